import { cooldown, duplicates, quota, slidingWindow, tokenBucket } from 'tollgate'

/** Nobody reaches it, so every request is an admission; the arithmetic is that of any other number. */
export const PLENTY = 1_000_000_000

/** What a chat product asks of one message: three rates and three quotas, of requests, tokens and points. */
const six = {
  minute: slidingWindow({ limit: PLENTY, window: '1m' }),
  burst: tokenBucket({ capacity: PLENTY, refill: 10, every: '1s' }),
  daily: quota({ limit: PLENTY, every: 'day' }),
  flood: slidingWindow({ limit: PLENTY, window: '1m' }),
  tokens: quota({ limit: PLENTY, every: 'month', meter: 'tokens' }),
  points: quota({ limit: PLENTY, every: 'month', meter: 'points' }),
}

const plan = (rank, limits) => ({ rank, limits })

export const plans = {
  six: plan(0, six),
  /** The same six, of which one is exhausted after the first request. */
  exhausted: plan(1, { ...six, daily: quota({ limit: 1, every: 'day' }) }),
  /** And a cooldown in each world, and a digest of each text. */
  eight: plan(2, {
    ...six,
    cooldown: cooldown({ wait: 1, per: ['world'] }),
    duplicates: duplicates({ limit: 10_000, window: '1h' }),
  }),
}

const AMOUNTS = { tokens: 100, points: 1 }

/** A request is made for each decision, as callers do. */
export const messageOf = (subject, plan = 'six') => ({ subject, plan, amounts: AMOUNTS })

/** Worlds have about a hundred users each; everybody writes something else. */
export const messageInWorldOf = (subject, i) => ({
  subject,
  plan: 'eight',
  amounts: AMOUNTS,
  dimensions: { world: `world-${i % 10_000}` },
  content: `What is the capital of country number ${i}?`,
})
