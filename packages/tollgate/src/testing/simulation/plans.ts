import { allowOnly, capacity, concurrency, cooldown, duplicates, fixedWindow, quota, slidingWindow, tokenBucket } from '../../define/limits.ts'
import { definePlans, type Plans } from '../../define/plans.ts'

export const PLAN_SET = 'simulated'

/** Small enough that a few hundred callers meet every limit, with every kind and every failure policy. */
export const PLANS: Plans = definePlans({
  free: {
    rank: 0,
    limits: {
      daily: quota({ limit: 40, every: 'day' }),
      tokens: quota({ limit: 20_000, every: 'month', meter: 'tokens', anchor: 'subject' }),
      flood: slidingWindow({ limit: 6, window: '10s', per: ['world'], exact: true }),
      spam: duplicates({ limit: 3, window: '30s' }),
      parallel: concurrency({ limit: 4 }),
      agents: capacity({ limit: 3, per: ['world'], match: { operation: 'agent_create' } }),
      models: allowOnly({ model: ['small', 'large'] }),
    },
  },
  plus: {
    rank: 1,
    limits: {
      daily: quota({ limit: 80, every: 'day' }),
      tokens: quota({ limit: 60_000, every: 'month', meter: 'tokens', anchor: 'subject' }),
      flood: slidingWindow({ limit: 12, window: '10s', per: ['world'], exact: true }),
      spam: duplicates({ limit: 5, window: '30s' }),
      parallel: concurrency({ limit: 8 }),
      agents: capacity({ limit: 5, per: ['world'], match: { operation: 'agent_create' } }),
    },
  },
  strict: {
    rank: 0,
    limits: {
      minutely: quota({ limit: 20, every: '1m', onFailure: 'closed' }),
      smooth: slidingWindow({ limit: 10, window: '20s' }),
      grid: fixedWindow({ limit: 15, window: '30s' }),
      pause: cooldown({ wait: 200, per: ['world'] }),
    },
  },
  open: {
    rank: 0,
    limits: {
      burst: tokenBucket({ capacity: 5, refill: 1, every: '1s', onFailure: 'open' }),
      weekly: quota({ limit: 150, every: 'week', timezone: 'Europe/Madrid', onFailure: 'open' }),
      words: quota({ limit: 30_000, every: 'day', meter: 'tokens', weight: 2, per: ['model'], onFailure: 'open' }),
    },
  },
  address: { rank: 0, limits: { requests: fixedWindow({ limit: 40, window: '10s' }), steady: slidingWindow({ limit: 50, window: '15s', exact: true }) } },
  team: {
    rank: 0,
    limits: {
      pool: quota({ limit: 60_000, every: 'day', timezone: 'America/New_York', meter: 'tokens' }),
      seats: concurrency({ limit: 10 }),
    },
  },
})

export const DEFAULT_PLAN = { ip: 'address', team: 'team', strict: 'strict', open: 'open', '*': 'free' }

/** Each quota in a plan of its own, without a limit: what was used without the store is counted there above every limit. */
export const REPLAYED: Plans = Object.fromEntries(
  Object.values(PLANS).flatMap(({ limits }) => Object.entries(limits)).flatMap(([name, limit]) => (limit.kind === 'quota' ? [[`replayed ${name}`, { rank: 0, limits: { [name]: { ...limit, limit: Infinity } } }]] : [])),
)
