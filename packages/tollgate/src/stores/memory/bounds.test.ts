import { describe, expect, it } from 'vitest'
import { CellKind } from '../../decide/charge.ts'
import { addHold } from '../../decide/holds.ts'
import { capacity, concurrency, cooldown, duplicates, quota, slidingWindow, tokenBucket } from '../../define/limits.ts'
import { createTollgate } from '../../engine/create.ts'
import { MemorySubjects } from '../../engine/subjects.ts'
import { chargeOf } from '../../testing/charges.ts'
import { MemoryStore } from './index.ts'
import { Layout } from './layout.ts'
import { Records } from './records.ts'

const START_AT = Date.UTC(2027, 0, 15)
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

let now = START_AT
const clock = (): number => now

/** Subjects whose limits of their own came from somewhere that knows no bounds. */
async function subjectsWith(overrides: Record<string, number>): Promise<MemorySubjects> {
  now = START_AT
  const subjects = new MemorySubjects()
  await subjects.set('u', { overrides })
  return subjects
}

describe('an exact log', () => {
  it('merges what comes beyond its bound, counts it exactly and blocks no shorter', { timeout: 30_000 }, async () => {
    now = START_AT
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { tokens: slidingWindow({ limit: 10_000, window: '1d', exact: true, meter: 'tokens' }) } } }, defaultPlan: 'free', clock })
    const used = async (): Promise<number> => (await tollgate.usage('u')).limits[0]!.used
    const ids: string[] = []
    for (let i = 0; i < 70_000; i++) ids.push((await tollgate.reserve({ subject: 'u' })).reservation!.id)
    for (const id of ids) {
      now++
      await tollgate.commit(id, { amounts: { tokens: 1 } })
    }
    expect(await used()).toBe(70_000)
    // The first 9,999 entries leave one by one, as if nothing had been merged; the rest no earlier than the newest.
    now = START_AT + DAY_MS + 9999
    expect(await used()).toBe(60_001)
    now = START_AT + DAY_MS + 69_999
    expect(await used()).toBe(60_001)
    now++
    expect(await used()).toBe(0)
    expect((await tollgate.consume({ subject: 'u', amounts: { tokens: 10_000 } })).allowed).toBe(true)
  })

  it('of texts is bounded too', { timeout: 30_000 }, () => {
    const store = new MemoryStore()
    const text = chargeOf({ cell: 'bounds/texts', kind: CellKind.slidingLog, windowMs: DAY_MS, max: 2 ** 31 - 1, digest: 'A'.repeat(22) })
    for (let i = 0; i < 40_000; i++) expect(store.decide({ subject: 'u', plan: 'p', charges: [text], now: START_AT + i, action: 'consume' }).admitted).toBe(true)
    expect(store.decide({ subject: 'u', plan: 'p', charges: [text], now: START_AT + 40_000, action: 'check' }).verdicts[0]!.used).toBe(40_000)
  })
})

describe('a limit of the subject\'s own', () => {
  it('is cut to what its cell counts exactly', async () => {
    const most = 2 ** 31 - 1
    const limits = {
      exact: slidingWindow({ limit: 5, window: '1d', exact: true }),
      texts: duplicates({ limit: 5, window: '1d' }),
      window: slidingWindow({ limit: 5, window: '1d' }),
      bucket: tokenBucket({ capacity: 5, refill: 1, every: '1d' }),
      daily: quota({ limit: 5, every: 'day' }),
      endless: slidingWindow({ limit: 5, window: '1d', exact: true }),
    }
    const subjects = await subjectsWith({ exact: most, texts: most, window: most, bucket: most, daily: most, endless: Infinity })
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits } }, defaultPlan: 'free', subjects, clock })
    const expected = { exact: 10_000, texts: 10_000, window: 104_249_991, bucket: 104_249_991, daily: most, endless: Infinity }
    const decision = await tollgate.consume({ subject: 'u', content: 'text' })
    expect(Object.fromEntries(decision.limits.map(({ limit, max }) => [limit, max]))).toEqual(expected)
    const usage = await tollgate.usage('u')
    expect(Object.fromEntries(usage.limits.map(({ limit, max }) => [limit, max]))).toEqual(expected)
    expect(usage.limits.find(({ limit }) => limit === 'bucket')!.used).toBe(1)
  })

  it('that makes a bucket larger keeps it until it would be full', async () => {
    const subjects = await subjectsWith({ burst: 1000 })
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { burst: tokenBucket({ capacity: 10, refill: 10, every: '1m' }) } } }, defaultPlan: 'free', subjects, clock })
    for (let i = 0; i < 1000; i++) await tollgate.consume({ subject: 'u' })
    now += 3000 * 1000
    for (let i = 0; i < 10; i++) await tollgate.consume({ subject: 'other' })
    expect((await tollgate.check({ subject: 'u' })).limits[0]!.remaining).toBe(500)
  })
})

it('amounts of a commit change only limits that measure them', async () => {
  now = START_AT
  const limits = {
    daily: quota({ limit: 50, every: 'day' }),
    agents: capacity({ limit: 10 }),
    texts: duplicates({ limit: 10, window: '1d' }),
    pause: cooldown({ wait: '1s' }),
    parallel: concurrency({ limit: 10 }),
  }
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits } }, defaultPlan: 'free', clock })
  const { reservation } = await tollgate.reserve({ subject: 'u', content: 'text' })
  await tollgate.commit(reservation!.id, { amounts: { requests: 7 } })
  const { limits: states } = await tollgate.usage('u')
  expect(Object.fromEntries(states.map(({ limit, used }) => [limit, used]))).toEqual({ daily: 7, agents: 1, texts: 1, pause: 1, parallel: 0 })
  await tollgate.release(reservation!.id)
  expect((await tollgate.usage('u')).limits.find(({ limit }) => limit === 'agents')!.used).toBe(0)
  expect(tollgate.plan('free')!.limits.map(({ meter }) => meter)).toEqual(Array(5).fill('requests'))
  // A capacity does not know what a request of nothing is.
  now += 1000
  const none = await tollgate.reserve({ subject: 'u' })
  await tollgate.commit(none.reservation!.id, { amounts: { requests: 0 } })
  expect((await tollgate.usage('u')).limits.find(({ limit }) => limit === 'agents')!.used).toBe(1)
})

describe('layouts', () => {
  it('are one per set of cells, whatever came first', () => {
    const all: Layout[] = []
    const root = Layout.root(all)
    const permute = (layout: Layout, left: number[]): void => {
      for (const slot of left) permute(layout.with(slot, CellKind.quota), left.filter((other) => other !== slot))
    }
    permute(root, [1, 2, 3, 4, 5, 6, 7])
    expect(all.length).toBe(2 ** 7)
  })

  it('keep what a record counts when cells come in between', () => {
    const store = new MemoryStore()
    const kinds = [CellKind.fixedWindow, CellKind.slidingCounter, CellKind.cooldown, CellKind.tokenBucket, CellKind.capacity]
    const charges = kinds.map((kind, i) => chargeOf({ cell: `bounds/${i}`, kind, windowMs: DAY_MS, refill: 1, max: 100, amount: kind === CellKind.cooldown ? 1 : 10 + i }))
    const orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]]
    for (const order of orders) for (const i of order) store.decide({ subject: `u${order}`, plan: 'p', charges: [charges[i]!], now: START_AT, action: 'consume' })
    for (const order of orders) {
      const { verdicts } = store.decide({ subject: `u${order}`, plan: 'p', charges, now: START_AT, action: 'check' })
      expect(verdicts.map(({ used }) => used)).toEqual([10, 11, 1, 13, 14])
    }
  })
})

describe('a start that was not stored', () => {
  const plans = { free: { rank: 0, limits: { monthly: quota({ limit: 5, every: 'month', anchor: 'subject' }) } } }
  /** A month is at most 32 days here: 31, and a zone that changes its clock. */
  const TWO_PERIODS_MS = 64 * DAY_MS

  it('is forgotten two periods after the last use, so invented subjects do not fill the store for good', async () => {
    now = START_AT
    const tollgate = createTollgate({ plans, defaultPlan: 'free', store: new MemoryStore({ maxSubjects: 100 }), clock })
    for (let i = 0; i < 100; i++) await tollgate.consume({ subject: `invented${i}` })
    now = START_AT + TWO_PERIODS_MS - 1
    await expect(tollgate.consume({ subject: 'u' })).rejects.toMatchObject({ code: 'OVERLOADED' })
    // The wheel comes by within 70 minutes.
    now = START_AT + TWO_PERIODS_MS + 2 * HOUR_MS
    for (let i = 0; i < 100; i++) expect((await tollgate.consume({ subject: `u${i}` })).allowed).toBe(true)
  })

  it('is kept while the subject comes every other period, also after the clock was once far ahead', async () => {
    now = START_AT
    const store = new MemoryStore()
    const tollgate = createTollgate({ plans, defaultPlan: 'free', store, clock })
    await tollgate.consume({ subject: 'u' })
    now += 3000 * DAY_MS
    await tollgate.consume({ subject: 'u' })
    for (let i = 0; i < 12; i++) {
      now = START_AT + i * 60 * DAY_MS
      await tollgate.consume({ subject: 'u' })
      for (let other = 0; other < 10; other++) await tollgate.consume({ subject: `other${other}` })
      expect(store.knownAnchor('default\0u')).toBe(START_AT)
    }
    for (const days of [64, 65, 66]) {
      now = START_AT + (11 * 60 + days) * DAY_MS
      for (let other = 0; other < 20; other++) await tollgate.consume({ subject: `another${other}` })
    }
    expect(store.knownAnchor('default\0u')).toBeUndefined()
  })
})

it('expired holds do not pile up until the wheel comes by', () => {
  const records = new Records()
  const row = records.add('u', START_AT)
  for (let i = 0; i < 10_000; i++) {
    const at = START_AT + i * 10
    addHold(records.openHolds(row, at), 1, i, 1, at, at + 15, 0)
    expect(records.holds(row, []).length).toBeLessThanOrEqual(2 * 6)
  }
})

describe('after a reset', () => {
  const plans = { free: { rank: 0, limits: { agents: capacity({ limit: 6 }), rooms: capacity({ limit: 6 }), monthly: quota({ limit: 50, every: 'month', anchor: 'subject' }) } } }
  const make = () => {
    now = START_AT
    const tollgate = createTollgate({ plans, defaultPlan: 'free', clock })
    const used = async (): Promise<number[]> => (await tollgate.usage('u')).limits.map((limit) => limit.used)
    const take = async (): Promise<string> => (await tollgate.consume({ subject: 'u' })).reservation!.id
    return { tollgate, used, take }
  }

  it('the subject\'s periods go on, and after an erasure they start anew', async () => {
    const { tollgate, used, take } = make()
    await take()
    const endsAt = async (): Promise<number | null> => (await tollgate.check({ subject: 'u' })).limits.find(({ limit }) => limit === 'monthly')!.resetAt
    const first = await endsAt()
    now += DAY_MS
    await tollgate.reset('u')
    expect([await used(), await endsAt()]).toEqual([[0, 0, 0], first])
    await tollgate.erase('u')
    expect([await used(), await endsAt()]).toEqual([[0, 0, 0], first! + DAY_MS])
  })

  it('what stood before gives nothing back, and can still be released', async () => {
    const { tollgate, used, take } = make()
    const before = [await take(), await take(), await take()]
    await tollgate.reset('u')
    for (let i = 0; i < 3; i++) await take()
    for (const id of before) expect((await tollgate.release(id)).status).toBe('released')
    expect(await used()).toEqual([3, 3, 3])
  })

  it('of one limit the others are given back', async () => {
    const { tollgate, used, take } = make()
    const id = await take()
    await tollgate.reset('u', { limit: 'agents' })
    await take()
    await tollgate.release(id)
    expect(await used()).toEqual([1, 1, 2])
  })
})
