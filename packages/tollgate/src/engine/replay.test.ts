import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { capacity, type LimitDefinition, quota, slidingWindow } from '../define/limits.ts'
import { TollgateError } from '../errors/index.ts'
import { SqlRecord } from '../record/sql.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import type { CounterStore, Outcome } from '../stores/store.ts'
import { type ControlledClock, controlledClock } from '../testing/clock.ts'
import { openedBy } from '../testing/databases.ts'
import { Random } from '../testing/random.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { faultyStore } from '../testing/simulation/faulty-store.ts'
import { type CommonOptions, createTollgate } from './create.ts'
import type { Unreplayed } from './replay.ts'
import type { Tollgate } from './tollgate.ts'

const START_AT = Date.UTC(2026, 4, 20, 12)
const HOUR_MS = 3_600_000
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const LIMITS = {
  daily: quota({ limit: 50, every: 'day' }),
  tokens: quota({ limit: 10_000, every: 'month', meter: 'tokens', weight: 2 }),
  worlds: quota({ limit: 50, every: 'day', per: ['world'], match: { operation: 'chat' } }),
  flood: slidingWindow({ limit: 1000, window: '1h' }),
}

/** One process; several share `inner` and `clock`. */
function make(limits: Record<string, LimitDefinition> = LIMITS, { inner = new MemoryStore(), clock = controlledClock(START_AT), ...options }: CommonOptions & { inner?: CounterStore; clock?: ControlledClock } = {}) {
  const plans = { free: { rank: 0, limits: { ...limits, broken: quota({ limit: 100, every: 'day', match: { operation: 'break' }, onFailure: 'closed' as const }) } } }
  const store = new ScriptedStore(inner)
  const tollgate = createTollgate({ plans, defaultPlan: 'free', store, clock, random: () => 0.5, ...options }) as Tollgate
  const lost: Unreplayed[] = []
  tollgate.on('unreplayed', (event) => lost.push(event))
  const recovered: number[] = []
  tollgate.on('recovered', ({ awayMs }) => recovered.push(awayMs))
  // Without a record of its own it sees what the store counts, and changes nothing.
  const view = createTollgate({ plans, defaultPlan: 'free', store: { ...facade(inner) }, clock }) as Tollgate
  return {
    clock, store, tollgate, lost,
    async away(behaviour: 'fails' | 'hangs' = 'fails') {
      store.behaviour = 'fails'
      for (let i = 0; i < 5; i++) await tollgate.consume({ subject: 'nobody', operation: 'break' }).catch(() => {})
      store.behaviour = behaviour
      store.calls.length = 0
    },
    async back() {
      store.behaviour = 'answers'
      const { length } = recovered
      while (recovered.length === length) {
        clock.advance(clock.nextTimerMs()!)
        await turn()
      }
      await settle()
    },
    /** What the store has counted. */
    async used(subject: string): Promise<Record<string, number>> {
      const { limits: states } = await view.usage(subject)
      return Object.fromEntries(states.filter(({ limit, used }) => used > 0 && limit !== 'broken').map(({ limit, partition, used }) => [partition ? `${limit} ${Object.values(partition).join()}` : limit, used]))
    },
  }
}

function facade(inner: CounterStore): CounterStore {
  return { name: 'view', decide: (c) => inner.decide(c), settle: (c) => inner.settle(c), usage: (c) => inner.usage(c), reset: (...c) => inner.reset(...c), erase: (s) => inner.erase(s), lastPlan: (s) => inner.lastPlan(s), knownAnchor: (s) => inner.knownAnchor(s), close() {} }
}

/** Until nothing is left to do in the present. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await turn()
}

async function consume(tollgate: Tollgate, count: number, request: { subject: string; amounts?: Record<string, number> } = { subject: 'u' }): Promise<void> {
  for (let i = 0; i < count; i++) expect((await tollgate.consume(request)).allowed).toBe(true)
}

describe('what was admitted while the store was away', () => {
  it.each(['local', 'open'] as const)('is counted when it is back: exactly what was used (%s)', async (onFailure) => {
    const limits = Object.fromEntries(Object.entries(LIMITS).map(([name, limit]) => [name, { ...limit, onFailure }]))
    const { tollgate, away, back, used, lost, store } = make(limits)
    await consume(tollgate, 2, { subject: 'u', amounts: { tokens: 10 } })
    await away()
    await consume(tollgate, 3, { subject: 'u', amounts: { tokens: 100 } })
    await tollgate.consume({ subject: 'u', operation: 'chat', dimensions: { world: 'w1' } })
    const [committed, more, released, open] = await Promise.all(Array.from({ length: 4 }, () => tollgate.reserve({ subject: 'u', amounts: { tokens: 50 } })))
    expect((await committed!.reservation!.commit()).status).toBe('committed')
    await more!.reservation!.commit({ amounts: { tokens: 700, requests: 3 } })
    await released!.reservation!.release()
    await tollgate.check({ subject: 'u', amounts: { tokens: 1000 } })
    await tollgate.consume({ subject: 'other', operation: 'chat', dimensions: { world: 'w2' } })
    expect(store.calls).toEqual([])
    expect(await used('u')).toEqual({ daily: 2, tokens: 40, flood: 2 })
    await back()
    // Guards count what they see; only quotas outlast the outage.
    expect(await used('u')).toEqual({ daily: 2 + 3 + 1 + 1 + 3, tokens: 40 + 600 + 100 + 1400, 'worlds w1': 1, flood: 2 })
    expect(await used('other')).toEqual({ daily: 1, 'worlds w2': 1 })
    // What is committed later is counted then, above the limit if need be, or before the subject is decided again.
    await open!.reservation!.commit({ amounts: { requests: 90 } })
    const { limits: states } = await tollgate.check({ subject: 'u' })
    expect(states[0]).toMatchObject({ limit: 'daily', used: 101 - 1, max: 50 })
    expect(await used('u')).toMatchObject({ daily: 100, tokens: 40 + 600 + 100 + 1400 + 100 })
    expect(lost).toEqual([])
  })

  it('is not what was denied, or only would have been', async () => {
    const { tollgate, away, back, used } = make({ daily: quota({ limit: 2, every: 'day' }) })
    await away()
    for (const allowed of [true, true, false, false]) expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(allowed)
    tollgate.setRollout({ mode: 'shadow', percent: 100 })
    for (let i = 0; i < 3; i++) await tollgate.consume({ subject: 'u' })
    tollgate.setRollout({ mode: 'off', percent: 100 })
    for (let i = 0; i < 3; i++) await tollgate.consume({ subject: 'u' })
    await back()
    expect(await used('u')).toEqual({ daily: 2 })
  })

  it('is each part of a request of several subjects', async () => {
    const { tollgate, away, back, used } = make()
    await away()
    await tollgate.consume({ subject: 'u', also: ['team:9'] })
    const { reservation } = await tollgate.reserve({ subject: 'u', also: ['team:9'] })
    await reservation!.commit({ amounts: { requests: 5 } })
    await back()
    expect([await used('u'), await used('team:9')]).toEqual([{ daily: 6 }, { daily: 6 }])
  })

  it('is counted again with the next outage, and nothing twice', async () => {
    const { tollgate, away, back, used } = make()
    for (let i = 1; i <= 3; i++) {
      await away()
      await consume(tollgate, 4)
      await back()
      expect(await used('u')).toEqual({ daily: 4 * i })
    }
  })

  it('is left out where its period is over', async () => {
    const { tollgate, away, back, used, clock } = make()
    await away()
    await consume(tollgate, 4, { subject: 'u', amounts: { tokens: 5 } })
    clock.advanceTo(Date.UTC(2026, 4, 20, 23, 59, 59, 999))
    await consume(tollgate, 1, { subject: 'u', amounts: { tokens: 5 } })
    clock.advance(1)
    await settle()
    await consume(tollgate, 2, { subject: 'u', amounts: { tokens: 5 } })
    await back()
    expect(await used('u')).toEqual({ daily: 2, tokens: 70 })
    await away()
    await consume(tollgate, 1)
    clock.advanceTo(Date.UTC(2026, 4, 22))
    await settle()
    await back()
    expect(await used('u')).toEqual({ tokens: 70 })
  })

  it('belongs to the periods of the store\'s anchor, whatever this process believed', async () => {
    const limits = { monthly: quota({ limit: 100, every: 'month', anchor: 'subject' }) }
    const clock = controlledClock(START_AT)
    const inner = new MemoryStore()
    const before = make(limits, { inner, clock })
    await consume(before.tollgate, 7)
    clock.advance(100 * HOUR_MS)
    const { tollgate, away, back, used } = make(limits, { inner, clock })
    await away()
    await consume(tollgate, 5)
    await consume(tollgate, 2, { subject: 'new' })
    await back()
    expect([await used('u'), await used('new')]).toEqual([{ monthly: 12 }, { monthly: 2 }])
    const states = [await tollgate.check({ subject: 'u' }), await tollgate.check({ subject: 'new' })].map(({ limits: [state] }) => state!.resetAt)
    expect(states).toEqual([Date.UTC(2026, 5, 20, 12), Date.UTC(2026, 5, 24, 16)])
  })

  it('waits for its period where the store\'s clock is behind', async () => {
    const clock = controlledClock(Date.UTC(2026, 4, 21) - 1000)
    const behind = new MemoryStore()
    const decide = behind.decide.bind(behind)
    behind.decide = (command) => decide({ ...command, now: clock.now() - 5000 })
    const { tollgate, away, back } = make(LIMITS, { inner: behind, clock })
    await away()
    await consume(tollgate, 1)
    clock.advance(2000)
    await settle()
    await consume(tollgate, 3)
    await back()
    // Three were used of a day that has not begun there.
    expect((await tollgate.check({ subject: 'u' })).limits[0]).toMatchObject({ used: 0 })
    clock.advance(6000)
    await settle()
    expect((await tollgate.check({ subject: 'u' })).limits[0]).toMatchObject({ used: 3 })
  })
})

describe('a decision of a subject whose use waits', () => {
  it('is made when that is counted: also at once, by fifty callers, with one replay', async () => {
    const { tollgate, away, back, used, store, clock } = make({ daily: quota({ limit: 10, every: 'day' }) })
    await away()
    await consume(tollgate, 5)
    // The replay that begins by itself hangs on its way.
    store.script.push('answers', 'hangs')
    await back()
    store.calls.length = 0
    const asked = Promise.all(Array.from({ length: 50 }, () => tollgate.consume({ subject: 'u' })))
    const others = await tollgate.consume({ subject: 'other' })
    expect(others.degraded).toBe(false)
    expect(store.calls.splice(0)).toEqual(['decide consume'])
    store.wake()
    const decisions = await asked
    expect(decisions.filter(({ allowed }) => allowed).length).toBe(5)
    expect(decisions.some(({ degraded }) => degraded)).toBe(false)
    expect(store.calls.length).toBe(50)
    expect(await used('u')).toEqual({ daily: 10 })
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('can be given up, and the replay goes on', async () => {
    const { tollgate, away, back, used, store } = make()
    await away()
    await consume(tollgate, 5)
    store.script.push('answers', 'hangs')
    await back()
    const giveUp = new AbortController()
    const asked = tollgate.consume({ subject: 'u', signal: giveUp.signal })
    await turn()
    giveUp.abort()
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
    store.wake()
    await settle()
    expect(await used('u')).toEqual({ daily: 5 })
  })

  it('is made without the store again where that fails, and its use waits too', async () => {
    const { tollgate, away, back, used, store, clock } = make()
    await away()
    await consume(tollgate, 5)
    store.script.push('answers', 'fails')
    await back()
    store.script.push('fails')
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, degraded: true, limits: [{ used: 6 }, {}, {}] })
    expect(await used('u')).toEqual({})
    expect(clock.nextTimerMs()).toBe(1000)
    clock.advance(1000)
    await settle()
    expect(await used('u')).toEqual({ daily: 6 })
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('is not the only one that sees it: usage and reset do', async () => {
    const { tollgate, away, back, used, store, clock } = make()
    await away()
    await consume(tollgate, 5)
    store.script.push('answers', 'fails')
    await back()
    expect((await tollgate.usage('u')).limits[0]).toMatchObject({ limit: 'daily', used: 5 })
    await away()
    await consume(tollgate, 5)
    store.script.push('answers', 'fails')
    await back()
    await tollgate.reset('u')
    expect(await used('u')).toEqual({})
    clock.advance(1000)
    await settle()
    expect(await used('u')).toEqual({})
  })

  it('is forgotten with the subject', async () => {
    const { tollgate, away, back, used, store } = make()
    await away()
    await consume(tollgate, 5)
    await consume(tollgate, 2, { subject: 'other' })
    await expect(tollgate.erase('u')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await back()
    await tollgate.erase('u')
    expect([await used('u'), await used('other')]).toEqual([{}, { daily: 2 }])
    // While it is on its way, too.
    await away()
    await consume(tollgate, 5)
    store.script.push('answers', 'hangs')
    await back()
    const erased = tollgate.erase('u')
    await turn()
    store.wake()
    await erased
    expect(await used('u')).toEqual({})
  })
})

describe('a replay whose answer is lost', () => {
  it.each([1, 2, 3, 7])('counts once, with what was used meanwhile (%i times)', async (times) => {
    const { tollgate, away, back, used, store, clock } = make()
    await away()
    await consume(tollgate, 5)
    store.script.push('answers', 'loses')
    await back()
    for (let i = 1; i < times; i++) {
      store.script.push(i % 2 === 0 ? 'loses' : 'fails')
      // What comes between is decided here, and goes with the next replay.
      expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, degraded: true })
    }
    store.script.length = 0
    for (let ms = clock.nextTimerMs(); ms !== undefined; ms = clock.nextTimerMs()) {
      clock.advance(ms)
      await settle()
    }
    expect(await used('u')).toEqual({ daily: 5 + times - 1 })
  })

  it('of another process does not stand in its way', async () => {
    const clock = controlledClock(START_AT)
    const inner = new MemoryStore()
    const [a, b] = [make(LIMITS, { inner, clock }), make(LIMITS, { inner, clock })]
    for (const each of [a, b]) {
      await each.away()
      await consume(each.tollgate, 5)
    }
    a.store.script.push('answers', 'loses')
    await a.back()
    await b.back()
    await a.tollgate.consume({ subject: 'u' })
    await b.tollgate.consume({ subject: 'u' })
    expect(await a.used('u')).toEqual({ daily: 12, flood: 2 })
  })

  it('is not counted again in a day that has begun since', async () => {
    const { tollgate, away, back, used, store, clock } = make()
    clock.advanceTo(Date.UTC(2026, 4, 20, 23, 59, 59))
    await away()
    await consume(tollgate, 5, { subject: 'u', amounts: { tokens: 5 } })
    store.script.push('answers', 'loses')
    await back()
    clock.advanceTo(Date.UTC(2026, 4, 21))
    clock.advance(1000)
    await settle()
    expect((await tollgate.check({ subject: 'u' })).limits.map(({ used: count }) => count)).toEqual([0, 50, 0])
    expect(await used('u')).toEqual({ tokens: 50 })
  })
})

describe('a call that is answered too late', () => {
  it('was counted by the store, and is not counted again', async () => {
    const { tollgate, used, store, clock } = make()
    store.behaviour = 'hangs'
    const asked = tollgate.consume({ subject: 'u' })
    await turn()
    clock.advance(50)
    expect(await asked).toMatchObject({ allowed: true, degraded: true })
    store.behaviour = 'answers'
    store.wake()
    await settle()
    expect(await used('u')).toEqual({ daily: 1, flood: 1 })
    for (let i = 0; i < 5; i++) {
      clock.advance(1000)
      await settle()
    }
    expect(await used('u')).toEqual({ daily: 1, flood: 1 })
    expect((await tollgate.consume({ subject: 'u' })).limits[0]).toMatchObject({ used: 2 })
  })

  it.each(['denied', 'never answered', 'failed'])('counts as used here where it was %s', async (fate) => {
    const inner = new MemoryStore()
    const { tollgate, used, store, clock } = make(LIMITS, { inner })
    const calls: { resolve: (outcome: Outcome) => void; reject: (error: Error) => void }[] = []
    const decide = store.decide.bind(store)
    store.decide = () => new Promise((resolve, reject) => calls.push({ resolve, reject }))
    const asked = tollgate.consume({ subject: 'u' })
    await turn()
    clock.advance(50)
    expect(await asked).toMatchObject({ allowed: true, degraded: true })
    store.decide = decide
    if (fate === 'denied') calls[0]!.resolve({ at: START_AT, admitted: false, verdicts: [] })
    if (fate === 'failed') calls[0]!.reject(new Error('reset'))
    for (let i = 0; i < 3; i++) {
      clock.advance(1000)
      await settle()
    }
    expect(await used('u')).toEqual({ daily: 1 })
    if (fate !== 'never answered') return
    // Later than anybody waits for: it counts twice, on the safe side.
    calls[0]!.resolve({ at: START_AT, admitted: true, verdicts: [] })
    await settle()
    expect(await used('u')).toEqual({ daily: 1 })
  })

  it('while the store is away is waited for until it is back', async () => {
    const { tollgate, away, back, used, store, clock } = make()
    store.behaviour = 'hangs'
    // What was under way at the first failure does not count as five in a row.
    for (const calls of [8, 4]) {
      const asked = Array.from({ length: calls }, () => tollgate.consume({ subject: 'u' }))
      await turn()
      clock.advance(50)
      expect((await Promise.all(asked)).every(({ degraded }) => degraded)).toBe(true)
    }
    await consume(tollgate, 3)
    clock.advance(60)
    await settle()
    // The client connects again and sends what it had.
    store.wake()
    await back()
    expect(await used('u')).toEqual({ daily: 15, flood: 12 })
    await away()
  })
})

describe('bounds', () => {
  it('100,000 sums are kept; what does not fit is told', async () => {
    const { tollgate, away, back, used, lost, clock } = make({ daily: quota({ limit: 10, every: 'day' }), hourly: quota({ limit: 10, every: '1h' }) })
    await away()
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    for (let i = 0; i < 50_000; i++) await tollgate.consume({ subject: `s${i}` })
    expect(lost).toEqual([])
    await consume(tollgate, 3, { subject: 's0' })
    for (let i = 0; i < 501; i++) await tollgate.consume({ subject: `late${i}` })
    expect(lost).toEqual([{ reason: 'full', lost: 1 }, { reason: 'full', lost: 1001 }])
    // Hours that are over make room.
    clock.advance(HOUR_MS)
    await settle()
    await tollgate.consume({ subject: 'later' })
    Error.stackTraceLimit = limit
    expect(lost.length).toBe(2)
    await back()
    for (let i = 0; i < 3000; i++) await turn()
    expect([await used('s0'), await used('s49999'), await used('late0'), await used('later')]).toEqual([{ daily: 4 }, { daily: 1 }, {}, { daily: 1, hourly: 1 }])
  })
})

describe('closing', () => {
  it('counts what waits, if the store answers', async () => {
    const { tollgate, away, used, lost, store, clock } = make()
    await away()
    await consume(tollgate, 5)
    await consume(tollgate, 2, { subject: 'other' })
    store.behaviour = 'answers'
    await tollgate.close()
    expect(store.calls).toEqual(['lastPlan', 'decide consume', 'decide consume', 'close'])
    expect([await used('u'), await used('other')]).toEqual([{ daily: 5 }, { daily: 2 }])
    expect([lost, clock.nextTimerMs()]).toEqual([[], undefined])
  })

  it('tells what is lost otherwise', async () => {
    const { tollgate, away, used, lost, store, clock } = make()
    await away()
    await consume(tollgate, 5, { subject: 'u', amounts: { tokens: 1 } })
    store.script.push('fails')
    store.behaviour = 'answers'
    await tollgate.close()
    expect(lost).toEqual([{ reason: 'closed', lost: 2 }])
    expect([await used('u'), clock.nextTimerMs()]).toEqual([{}, undefined])
  })

  it('does not wait for a store that hangs', async () => {
    const { tollgate, lost, store, clock } = make()
    store.script.push('fails')
    await consume(tollgate, 1)
    store.behaviour = 'hangs'
    const closed = tollgate.close()
    await turn()
    clock.advance(50)
    await settle()
    expect(lost).toEqual([{ reason: 'closed', lost: 1 }])
    store.wake()
    await closed
    expect(clock.nextTimerMs()).toBeUndefined()
  })
})

it('closing counts what the store did not say whether it had', async () => {
  const { tollgate, used, store, clock } = make()
  store.script.push('hangs')
  const asked = tollgate.consume({ subject: 'u' })
  await turn()
  clock.advance(50)
  expect(await asked).toMatchObject({ allowed: true, degraded: true })
  const closed = tollgate.close()
  await turn()
  clock.advance(50)
  await closed
  expect(await used('u')).toEqual({ daily: 1 })
})

it('closing a store that is slow to answer ends after a while', async () => {
  const { tollgate, away, lost, store, clock } = make({ daily: quota({ limit: 1, every: 'day' }) })
  await away()
  for (let i = 0; i < 2500; i++) await tollgate.consume({ subject: `s${i}` })
  store.behaviour = 'answers'
  const decide = store.decide.bind(store)
  store.decide = async (command) => {
    await new Promise<void>((resolve) => clock.after(40, resolve))
    return decide(command)
  }
  const closed = tollgate.close()
  await turn()
  for (let ms = clock.nextTimerMs(); ms !== undefined; ms = clock.nextTimerMs()) {
    clock.advance(ms)
    await turn()
  }
  await closed
  // 16 at a time, 25 times a second, for 5 seconds.
  expect(lost).toEqual([{ reason: 'closed', lost: 500 }])
})

describe('what stands for a while', () => {
  it('is not replayed: capacity ends with the outage', async () => {
    const { tollgate, away, back, used } = make({ agents: capacity({ limit: 3 }), daily: quota({ limit: 9, every: 'day' }) })
    await away()
    expect((await tollgate.consume({ subject: 'u' })).reservation).toBeDefined()
    await back()
    expect(await used('u')).toEqual({ daily: 1 })
  })
})

describe('with a record', () => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let serial = 0
  beforeAll(async () => {
    opened = await openedBy(1, 'sqlite')
  })
  afterAll(() => opened?.drop())

  /** Processes over one store, which can lose everything, and one record. */
  function several(count: number, onFailure: 'local' | 'open' = 'local', options: Omit<CommonOptions, 'clock'> = {}) {
    const clock = controlledClock(START_AT)
    const namespace = `r${serial++}`
    let kept = new MemoryStore()
    const inner = facade(new Proxy({} as CounterStore, { get: (_, name: keyof MemoryStore) => (kept[name] as (...args: unknown[]) => unknown).bind(kept) }))
    const record = () => new SqlRecord(opened.databases[0]!, { namespace })
    const processes = Array.from({ length: count }, () => make({ daily: quota({ limit: 50, every: 'day', onFailure }), tokens: quota({ limit: 9000, every: 'month', meter: 'tokens', onFailure }) }, { inner, clock, record: record(), ...options }))
    const total = async (subject = 'u') => (await record().totals(subject, clock.now()))?.totals.map(({ used }) => used).toSorted((a, b) => a - b) ?? []
    const limitOf = async (lim: string) => (await opened.databases[0]!.query('SELECT t.max FROM usage_totals t JOIN usage_subjects s ON s.id = t.subject_id WHERE s.namespace = $1 AND t.lim = $2', [namespace, lim]))[0]!['max']
    return { clock, processes, limitOf, lose: () => void (kept = new MemoryStore()), total }
  }

  /** What the store counts, told by whoever decides by it. */
  const daily = async ({ tollgate }: ReturnType<typeof make>, subject = 'u'): Promise<number | string> => {
    const { degraded, limits } = await tollgate.check({ subject })
    return degraded ? 'degraded' : limits[0]!.used
  }

  it.each(['local', 'open'] as const)('a store that kept its counters gets it, and the record has it once (%s)', async (onFailure) => {
    const { processes: [a], total, limitOf } = several(1, onFailure, { localShare: 0.5 })
    await consume(a!.tollgate, 7)
    await a!.away()
    const { reservation } = await a!.tollgate.reserve({ subject: 'u', amounts: { tokens: 10 } })
    await reservation!.commit({ amounts: { tokens: 25 } })
    await consume(a!.tollgate, 5)
    await a!.back()
    expect(await daily(a!)).toBe(13)
    await a!.tollgate.flush()
    expect(await total()).toEqual([13, 25])
    // The limits, not a process's share of them.
    expect([await limitOf('daily'), await limitOf('tokens')]).toEqual([50, 9000])
  })

  it.each(['a decision', 'nobody'])('a store that came back empty gets it from there, once (%s comes first)', async (first) => {
    const { processes: [a], total, lose } = several(1)
    await consume(a!.tollgate, 7)
    // Somebody looked at the new one, of whom the record knew nothing yet.
    await a!.tollgate.check({ subject: 'new' })
    await a!.away()
    lose()
    await consume(a!.tollgate, 5)
    await consume(a!.tollgate, 2, { subject: 'new' })
    if (first === 'a decision') a!.store.script.push('answers', 'fails', 'fails')
    await a!.back()
    expect([await daily(a!), await daily(a!, 'new')]).toEqual([12, 2])
    await a!.tollgate.flush()
    expect([await total(), await total('new')]).toEqual([[12], [2]])
  })

  it('several processes used it, and the store came back empty: each use counts once, whoever is back first', async () => {
    for (const order of [[0, 1, 2], [2, 1, 0]]) {
      const { processes, lose, clock, total } = several(3)
      await consume(processes[0]!.tollgate, 4)
      for (const each of processes) await each.away()
      lose()
      for (const each of processes) await consume(each.tollgate, 5)
      // The record has it before anybody is back.
      clock.advance(1)
      for (const each of processes) await each.tollgate.flush()
      for (const i of order) {
        await processes[i]!.back()
        expect(await daily(processes[i]!)).toBe(19)
      }
      for (const each of processes) expect(await daily(each)).toBe(19)
      expect(await total()).toEqual([19])
    }
  })

  it('several processes used it, and the store kept its counters', async () => {
    const { processes } = several(3)
    await consume(processes[0]!.tollgate, 4)
    for (const each of processes) await each.away()
    for (const each of processes) await consume(each.tollgate, 5)
    for (const [i, each] of processes.entries()) {
      await each.back()
      expect(await daily(each)).toBe(4 + 5 * (i + 1))
    }
  })

  it('totals that were brought back before the outage do not stand in its way', async () => {
    const { processes: [a, b], lose, clock } = several(2)
    await consume(a!.tollgate, 4)
    await a!.tollgate.flush()
    lose()
    expect(await daily(b!)).toBe(4)
    await consume(b!.tollgate, 1)
    clock.advance(1000)
    await a!.away()
    await consume(a!.tollgate, 5)
    a!.store.script.push('answers', 'answers', 'loses')
    await a!.back()
    expect([await daily(a!), await daily(b!)]).toEqual([10, 10])
  })

  it('what the record did not answer for waits for nothing: it comes with the subject\'s totals', async () => {
    const clock = controlledClock(START_AT)
    const away = () => Promise.reject(new TollgateError('STORE_UNAVAILABLE', 'away'))
    const { tollgate, store } = make(LIMITS, { clock, record: { write: async () => {}, totals: away, erase: away } })
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, degraded: true })
    clock.advance(5000)
    await settle()
    expect(store.calls).toEqual(['decide consume'])
  })

  it('the record is away too: use waits until it is back, and counts once', async () => {
    const { processes: [a], lose } = several(1)
    await consume(a!.tollgate, 4)
    await a!.tollgate.flush()
    await a!.away()
    lose()
    await consume(a!.tollgate, 5)
    const database = opened.databases[0]!
    const { query, transaction } = database
    const away = (): Promise<never> => Promise.reject(new TollgateError('STORE_UNAVAILABLE', 'away'))
    Object.assign(database, { query: away, transaction: away })
    await a!.back()
    expect(await daily(a!)).toBe('degraded')
    await consume(a!.tollgate, 2)
    Object.assign(database, { query, transaction })
    a!.clock.advance(1000)
    expect(await daily(a!)).toBe(11)
  })
})

describe('over a connection that delays, loses and fails', () => {
  it.each(Array.from({ length: 20 }, (_, i) => i + 1))('each use counts once (seed %i)', async (seed) => {
    const clock = controlledClock(START_AT)
    const random = new Random(seed)
    const inner = new MemoryStore()
    const plans = { free: { rank: 0, limits: { daily: quota({ limit: Infinity, every: 'day' }) } } }
    const store = faultyStore(inner, clock, random, { delayMs: 20, late: 0.1, failBefore: 0.3 * random.next(), failAfter: 0, repeat: 0, hang: 0 })
    const [neverSent, lostReplays] = [0.1 * random.next(), 0.5 * random.next()]
    const decide = store.decide.bind(store)
    // The answer to a request comes late or never; that it was counted, and the answer lost for good, nobody could tell.
    store.decide = async (command) => {
      if (random.chance(neverSent)) return new Promise(() => {})
      const isReplay = command.charges[0]!.cell.startsWith('@replayed:')
      const outcome = await decide(command)
      if (isReplay && random.chance(lostReplays)) throw new Error('connection reset')
      return outcome
    }
    const tollgate = createTollgate({ plans, defaultPlan: 'free', store, clock, random: () => random.next() })
    const degraded: boolean[] = []
    for (let i = 0; i < 600; i++) {
      void tollgate.consume({ subject: `u${i % 3}` }).then((decision) => degraded.push(decision.degraded))
      await turn()
      clock.advance(random.integer(0, 15))
    }
    for (let ms = clock.nextTimerMs(); ms !== undefined; ms = clock.nextTimerMs()) {
      clock.advance(ms)
      await turn()
    }
    expect(degraded.length).toBe(600)
    expect(degraded.filter(Boolean).length).toBeGreaterThan(0)
    const view = createTollgate({ plans, defaultPlan: 'free', store: facade(inner), clock })
    let used = 0
    for (let i = 0; i < 3; i++) used += (await view.usage(`u${i}`)).limits[0]!.used
    expect(used).toBe(600)
  })
})
