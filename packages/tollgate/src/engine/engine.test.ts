import { describe, expect, it } from 'vitest'
import { createTollgate, definePlans, slidingWindow, tokenBucket, quota, cooldown, duplicates, concurrency, capacity, allowOnly, fixedWindow } from '../index.ts'

const plans = definePlans({
  free: {
    rank: 0,
    price: { amount: 0, currency: 'USD', every: 'month' },
    limits: {
      dailyMessages: quota({ limit: 50, every: 'day', timezone: 'UTC', code: 'DAILY_MESSAGE_LIMIT_EXCEEDED', match: { operation: ['message'] } }),
      tokens: quota({ limit: 100_000, every: 'month', meter: 'tokens', anchor: 'subject' }),
      cooldown: cooldown({ wait: '5s', per: ['world'] }),
      spam: duplicates({ limit: 10, window: '1h', per: ['world'] }),
      flood: slidingWindow({ limit: 20, window: '1m', per: ['world'], exact: true }),
      burst: tokenBucket({ capacity: 3, refill: 3, every: '1s', per: ['operation'] }),
      agents: capacity({ limit: 3, per: ['world'], match: { operation: 'agent_create' } }),
      parallel: concurrency({ limit: 2 }),
      models: allowOnly({ model: ['gemini-2.0-flash'] }),
    },
    headline: 'dailyMessages',
    credits: { grant: 100, every: 'month' },
  },
  plus: { rank: 1, limits: { dailyMessages: quota({ limit: 500, every: 'day', match: { operation: ['message'] } }) } },
})

function setup(start = Date.UTC(2026, 0, 31, 12)) {
  let now = start
  const t = createTollgate({ plans, operations: { message: {}, agent_create: {} }, clock: () => now })
  return { t, advance: (ms: number) => { now += ms }, now: () => now }
}
const base = { subject: 'user:1', plan: 'free', operation: 'message', dimensions: { world: 'w1', model: 'gemini-2.0-flash' }, content: 'hello' } as const

describe('engine', () => {
  it('decides the example of the design', async () => {
    const { t, advance } = setup()
    const first = await t.reserve({ ...base, amounts: { tokens: 1200 } })
    expect(first.allowed).toBe(true)
    expect(first.limits.map((l) => [l.limit, l.used, l.remaining])).toEqual([
      ['dailyMessages', 1, 49], ['tokens', 1200, 98800], ['cooldown', 1, 0], ['spam', 1, 9], ['flood', 1, 19], ['burst', 1, 2], ['parallel', 1, 1], ['models', 0, Infinity],
    ])
    const second = await t.consume({ ...base })
    expect(second.allowed).toBe(false)
    expect(second.violations.map((v) => [v.limit, v.code, v.retryAfterMs, v.liftedBy])).toEqual([['cooldown', 'COOLDOWN', 5000, ['plus']]])
    const settled = await t.commit(first.reservation!.id, { amounts: { tokens: 834 } })
    expect(settled.status).toBe('committed')
    await t.setPlan('user:1', 'free')
    advance(5000)
    expect((await t.consume(base)).allowed).toBe(true)
  })
  it('gives a unit of capacity back', async () => {
    const { t, advance } = setup()
    const ids = []
    for (let i = 0; i < 3; i++) { const d = await t.consume({ ...base, operation: 'agent_create', content: `x${i}` }); ids.push(d.reservation!.id); expect(d.allowed).toBe(true); advance(10000) }
    const full = await t.consume({ ...base, operation: 'agent_create' })
    expect(full.violations.map((v) => v.code)).toEqual(['CAPACITY_EXCEEDED'])
    await t.release(ids[0]!)
    expect((await t.consume({ ...base, operation: 'agent_create' })).allowed).toBe(true)
    await expect(t.release(ids[0]!)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
  })
})
void fixedWindow

describe('stored facts', () => {
  it('removes a fact by null, and limits of its own with another plan set', async () => {
    const set = (name: string) => ({ name, plans: definePlans({ free: { rank: 0, limits: { daily: quota({ limit: 5, every: 'day' }) } } }) })
    const t = createTollgate({ planSets: [set('a'), set('b')] })
    await t.setPlan('u', 'a/free', { team: 'red', overrides: { daily: 2 } })
    expect(await t.setPlan('u', 'a/free', { team: null })).toEqual({ plan: 'a/free', overrides: { daily: 2 } })
    expect(await t.setPlan('u', 'b/free')).toEqual({ plan: 'b/free' })
    await expect(t.setPlan('u', 'a/free', { overrides: { dialy: 1 } })).rejects.toMatchObject({ code: 'UNKNOWN_LIMIT' })
  })

  it('takes a request without an operation for the default one', async () => {
    const daily = quota({ limit: 1, every: 'day', match: { operation: 'message' } })
    const set = { name: 'a', plans: definePlans({ free: { rank: 0, limits: { daily } } }), operations: { message: {}, other: {} }, defaultOperation: 'message' }
    const t = createTollgate({ planSets: [set], defaultPlan: 'free' })
    expect((await t.consume({ subject: 'u' })).allowed).toBe(true)
    expect((await t.consume({ subject: 'u' })).allowed).toBe(false)
    expect((await t.consume({ subject: 'u', operation: 'other' })).allowed).toBe(true)
    expect(() => createTollgate({ planSets: [{ ...set, defaultOperation: 'massage' }] })).toThrow(/did you mean 'message'/)
  })

  it('refuses a count of a limit that does not exist', async () => {
    const t = createTollgate({ planSets: [{ name: 'a', plans: definePlans({ free: { rank: 0, limits: { agents: capacity({ limit: 1 }) } } }) }], defaultPlan: 'free' })
    await expect(t.consume({ subject: 'u', current: { agnets: 3 } })).rejects.toMatchObject({ code: 'UNKNOWN_LIMIT', field: 'current.agnets' })
  })
})
