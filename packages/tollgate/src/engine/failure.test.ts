import { describe, expect, it } from 'vitest'
import { capacity, cooldown, quota, slidingWindow, type LimitDefinition } from '../define/limits.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import { type ControlledClock, controlledClock } from '../testing/clock.ts'
import { type Behaviour, ScriptedStore } from '../testing/scripted-store.ts'
import { type CommonOptions, createTollgate } from './create.ts'
import type { SubjectRecord, SubjectStore } from './subjects.ts'
import type { Tollgate } from './tollgate.ts'

const START_AT = Date.UTC(2026, 4, 20, 12)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function make(limits: Record<string, LimitDefinition>, options: CommonOptions = {}) {
  const clock = controlledClock(START_AT)
  const store = new ScriptedStore(new MemoryStore())
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits } }, defaultPlan: 'free', store, clock, ...options })
  const degraded: string[] = []
  tollgate.on('degraded', ({ policy }) => degraded.push(policy))
  return { clock, store, tollgate, degraded }
}

/** Lets time pass until the store is asked again. */
async function recovered(tollgate: Tollgate, clock: ControlledClock): Promise<void> {
  const recovered: number[] = []
  tollgate.on('recovered', ({ awayMs }) => recovered.push(awayMs))
  while (recovered.length === 0) {
    clock.advance(clock.nextTimerMs()!)
    await turn()
  }
}

const daily = (onFailure?: 'open' | 'closed' | 'local') => quota({ limit: 3, every: 'day', ...(onFailure && { onFailure }) })

describe('while the store is well', () => {
  it('its answers count, and nothing is degraded', async () => {
    const { tollgate, degraded, store } = make({ daily: daily('closed') })
    for (const allowed of [true, true, true, false]) expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed, degraded: false })
    expect(degraded).toEqual([])
    expect(store.calls).toEqual(Array(4).fill('decide consume'))
  })

  it('calls under way at a time do not mix up their charges', async () => {
    const { tollgate } = make({ daily: daily('closed'), pause: cooldown({ wait: '1s', per: ['world'] }) })
    const decisions = await Promise.all(Array.from({ length: 6 }, (_, i) => tollgate.consume({ subject: `u${i % 2}`, dimensions: { world: `w${i}` } })))
    expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, true])
    expect(decisions.map(({ limits }) => limits[1]!.partition)).toEqual(Array.from({ length: 6 }, (_, i) => ({ world: `w${i}` })))
  })
})

/** Subjects as a database has them, until it goes wrong. */
class ScriptedSubjects implements SubjectStore {
  readonly records = new Map<string, SubjectRecord>()
  readonly #seen = new Map<string, { record: SubjectRecord | undefined }>()
  behaviour: 'answers' | 'fails' | 'hangs' = 'answers'

  async get(subject: string): Promise<SubjectRecord | undefined> {
    if (this.behaviour === 'fails') throw new Error('connection refused')
    if (this.behaviour === 'hangs') return new Promise(() => {})
    const record = this.records.get(subject)
    this.#seen.set(subject, { record })
    return record
  }

  lastKnown(subject: string) {
    return this.#seen.get(subject)
  }

  async set() {}
  async delete() {}
}

describe('when what is stored of subjects cannot be read', () => {
  const plans = (onFailure: 'open' | 'closed' | 'local') => ({ free: { rank: 0, limits: { daily: quota({ limit: 1, every: 'day', onFailure }) } }, pro: { rank: 1, limits: { daily: quota({ limit: 5, every: 'day', onFailure }) } } })
  const makeWith = (onFailure: 'open' | 'closed' | 'local') => {
    const clock = controlledClock(START_AT)
    const subjects = new ScriptedSubjects()
    const tollgate = createTollgate({ plans: plans(onFailure), defaultPlan: 'free', subjects, clock })
    const degraded: string[] = []
    tollgate.on('degraded', ({ policy }) => degraded.push(policy))
    return { clock, subjects, tollgate, degraded }
  }

  it('what was read last counts, under every policy', async () => {
    const { subjects, tollgate, degraded } = makeWith('closed')
    subjects.records.set('u', { plan: 'pro' })
    await tollgate.consume({ subject: 'u' })
    subjects.behaviour = 'fails'
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, plan: 'pro', degraded: false })
    expect(await tollgate.consume({ subject: 'u', also: ['team:1'] }).catch(({ code }) => code as string)).toBe('STORE_UNAVAILABLE')
    expect(degraded).toEqual(['closed'])
  })

  it.each(['open', 'local'] as const)('%s: who was never seen is decided by the plan named, or the default', async (onFailure) => {
    const { subjects, tollgate, degraded } = makeWith(onFailure)
    subjects.behaviour = 'fails'
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, plan: 'free', degraded: true })
    expect(await tollgate.consume({ subject: 'u', plan: 'pro' })).toMatchObject({ allowed: true, plan: 'pro', degraded: true })
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: false })
    expect(degraded).toEqual([onFailure, onFailure, onFailure])
  })

  it('closed: who was never seen is refused, for now', async () => {
    const { subjects, tollgate, degraded } = makeWith('closed')
    subjects.behaviour = 'fails'
    await expect(tollgate.consume({ subject: 'u' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: 'the store of subjects is unavailable: it failed' })
    expect(degraded).toEqual(['closed'])
  })

  it('who has periods of its own is refused: new ones would begin', async () => {
    const clock = controlledClock(START_AT)
    const subjects = new ScriptedSubjects()
    subjects.behaviour = 'fails'
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { monthly: quota({ limit: 1, every: 'month', anchor: 'subject' }) } } }, defaultPlan: 'free', subjects, clock })
    await expect(tollgate.consume({ subject: 'u' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    subjects.behaviour = 'answers'
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    subjects.behaviour = 'fails'
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(false)
  })

  it('a team that is not known is not left out, nor a plan that is stored taken for none', async () => {
    const clock = controlledClock(START_AT)
    const subjects = new ScriptedSubjects()
    subjects.records.set('u', { plan: 'pro', team: 'team:1' })
    subjects.records.set('team:1', { plan: 'free' })
    const tollgate = createTollgate({ plans: plans('local'), subjects, clock })
    const get = subjects.get.bind(subjects)
    subjects.get = async (subject) => (subject.startsWith('team:') || subject === 'z' ? Promise.reject(new Error('connection refused')) : get(subject))
    for (const request of [{ subject: 'u' }, { subject: 'z', also: ['u'] }]) await expect(tollgate.consume(request)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    subjects.get = get
    expect((await tollgate.consume({ subject: 'u' })).limits.map(({ subject }) => subject)).toEqual([undefined, 'team:1'])
  })

  it('no call waits longer than its deadline, or its caller', async () => {
    const { subjects, tollgate, clock } = makeWith('local')
    subjects.behaviour = 'hangs'
    const asked = tollgate.consume({ subject: 'u' })
    const codeOf = (call: Promise<unknown>) => call.then(() => 'none', ({ code }: { code: string }) => code)
    const usage = codeOf(tollgate.usage('u'))
    const giveUp = new AbortController()
    const aborted = codeOf(tollgate.consume({ subject: 'v', signal: giveUp.signal }))
    await turn()
    giveUp.abort()
    expect(await aborted).toBe('ABORTED')
    clock.advance(1000)
    expect(await asked).toMatchObject({ allowed: true, degraded: true })
    expect(await usage).toBe('STORE_UNAVAILABLE')
    await tollgate.close()
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('they are left alone after five failures in a row, until they answer', async () => {
    const { subjects, tollgate, clock } = makeWith('local')
    subjects.behaviour = 'hangs'
    for (let i = 0; i < 5; i++) {
      const asked = tollgate.consume({ subject: `u${i}` })
      await turn()
      clock.advance(1000)
      await asked
    }
    // Nobody waits any more.
    expect(await tollgate.consume({ subject: 'late' })).toMatchObject({ degraded: true })
    subjects.behaviour = 'answers'
    subjects.records.set('late', { plan: 'pro' })
    clock.advance(clock.nextTimerMs()!)
    await turn()
    expect(await tollgate.consume({ subject: 'late' })).toMatchObject({ plan: 'pro', degraded: false })
  })
})

describe.each(['fails', 'loses'] as const satisfies Behaviour[])('when the store %s', (behaviour) => {
  it('closed: the caller gets an error with the cause', async () => {
    const { store, tollgate, degraded } = make({ daily: daily('closed'), open: slidingWindow({ limit: 1, window: '1m', onFailure: 'open' }) })
    store.behaviour = behaviour
    await expect(tollgate.consume({ subject: 'u' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503, retryAfterMs: 1000, cause: expect.any(Error) as Error })
    expect(degraded).toEqual(['closed'])
  })

  it('open: everything passes, and says that it is degraded', async () => {
    const { store, tollgate, degraded } = make({ daily: daily('open') })
    store.behaviour = behaviour
    for (let i = 0; i < 10; i++) expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, degraded: true, limits: [], violations: [] })
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    expect(await reservation!.commit()).toMatchObject({ status: 'committed', subject: 'u' })
    expect(degraded.length).toBe(11)
  })

  it('local: this process counts, and settles what it reserved', async () => {
    const { store, tollgate, degraded, clock } = make({ daily: daily() })
    store.behaviour = behaviour
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    for (const allowed of [true, true, false]) expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed, degraded: true })
    await reservation!.release()
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    expect((await tollgate.consume({ subject: 'other' })).allowed).toBe(true)
    expect(degraded).toEqual(Array(6).fill('local'))
    // Well again: the store's own counters decide, and what was reserved meanwhile can still be settled.
    const held = await tollgate.reserve({ subject: 'third' })
    store.behaviour = 'answers'
    await recovered(tollgate, clock)
    expect(await tollgate.consume({ subject: 'third' })).toMatchObject({ degraded: false })
    expect((await tollgate.commit(held.reservation!.id)).status).toBe('committed')
  })

  it('local: with the share of each limit that this process may admit', async () => {
    const { store, tollgate } = make({ messages: quota({ limit: 10, every: 'day' }), pause: cooldown({ wait: '1s', per: ['world'] }) }, { localShare: 0.5 })
    store.behaviour = behaviour
    const allowed: boolean[] = []
    for (let i = 0; i < 8; i++) allowed.push((await tollgate.consume({ subject: 'u', dimensions: { world: `w${i}` } })).allowed)
    expect(allowed.filter(Boolean).length).toBe(5)
    // What the caller counted by itself is no process's share, and a pause has none.
    const own = make({ agents: capacity({ limit: 4 }), pause: cooldown({ wait: '1s' }) }, { localShare: 0.5 })
    own.store.behaviour = behaviour
    const decision = await own.tollgate.consume({ subject: 'u', current: { agents: 3 } })
    expect(decision).toMatchObject({ allowed: true, degraded: true })
    expect(decision.limits.map(({ limit, max }) => [limit, max])).toEqual([['agents', 4], ['pause', 1]])
  })

  it('the strictest policy of the limits that a request meets wins', async () => {
    const { store, tollgate, degraded } = make({
      anyway: daily('open'),
      premium: quota({ limit: 1, every: 'day', match: { model: 'opus' }, onFailure: 'closed' }),
      chat: quota({ limit: 1, every: 'day', match: { operation: 'chat' }, onFailure: 'local' }),
    })
    store.behaviour = behaviour
    await tollgate.consume({ subject: 'u' })
    await tollgate.consume({ subject: 'u', operation: 'chat' })
    await expect(tollgate.consume({ subject: 'u', operation: 'chat', dimensions: { model: 'opus' } })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(degraded).toEqual(['open', 'local', 'closed'])
  })

  it('local: a subject\'s own periods go on', async () => {
    const { store, tollgate, clock } = make({ monthly: quota({ limit: 3, every: 'month', anchor: 'subject' }) })
    store.behaviour = behaviour
    for (const allowed of [true, true, true, false]) {
      expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(allowed)
      clock.advance(1000)
    }
  })

  it('limits that are off, or only shadow, let pass and reserve all the same', async () => {
    const { store, tollgate } = make({ daily: daily() })
    store.behaviour = behaviour
    tollgate.setRollout({ mode: 'off', percent: 100 })
    const off = await tollgate.reserve({ subject: 'u' })
    expect(off).toMatchObject({ allowed: true, mode: 'off', degraded: true })
    expect((await off.reservation!.commit()).status).toBe('committed')
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, mode: 'off', degraded: false })
    tollgate.setRollout({ mode: 'shadow', percent: 100 })
    for (let i = 0; i < 3; i++) await tollgate.consume({ subject: 'u' })
    const shadow = await tollgate.reserve({ subject: 'u' })
    expect(shadow).toMatchObject({ allowed: true, mode: 'shadow', degraded: true, violations: [{ limit: 'daily' }] })
    expect((await shadow.reservation!.release()).status).toBe('released')
  })
})

describe('deadlines and bounds', () => {
  it('a store that hangs is given up at the deadline, by the clock', async () => {
    const { clock, store, tollgate } = make({ daily: daily('closed') }, { storeTimeoutMs: 80 })
    store.behaviour = 'hangs'
    let failure: unknown
    void tollgate.consume({ subject: 'u' }).catch((error: unknown) => (failure = error))
    await turn()
    clock.advance(79)
    await turn()
    expect(failure).toBeUndefined()
    clock.advance(1)
    await turn()
    expect(failure).toMatchObject({ code: 'STORE_UNAVAILABLE', message: 'the counter store is unavailable: no answer within 80 ms' })
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('reading, resetting and erasing have deadlines too', async () => {
    const { clock, store, tollgate } = make({ daily: daily() })
    store.behaviour = 'hangs'
    const calls = [tollgate.usage('u'), tollgate.usage('u', { plan: 'free' }), tollgate.reset('u'), tollgate.erase('u'), tollgate.commit('r'), tollgate.release('r'), tollgate.extend('r', { ttlMs: 1 })]
    const settled = Promise.allSettled(calls)
    for (let i = 0; i < 5; i++) {
      await turn()
      clock.advance(50)
    }
    for (const result of await settled) expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } })
  })

  it('so many calls are under way at a time, and no more', async () => {
    const { clock, store, tollgate } = make({ daily: quota({ limit: 100, every: 'day' }) }, { maxInFlight: 4, storeTimeoutMs: 1000 })
    store.behaviour = 'hangs'
    const first = Array.from({ length: 4 }, () => tollgate.consume({ subject: 'u' }))
    await turn()
    for (const refused of [tollgate.consume({ subject: 'u' }), tollgate.check({ subject: 'u' }), tollgate.commit('r'), tollgate.usage('u')]) {
      await expect(refused).rejects.toMatchObject({ code: 'OVERLOADED', status: 503, retryAfterMs: 1000 })
    }
    expect(store.calls.length).toBe(4)
    store.wake()
    expect((await Promise.all(first)).every(({ allowed }) => allowed)).toBe(true)
    store.behaviour = 'answers'
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    // What is past its deadline is still under way at the store.
    store.behaviour = 'hangs'
    const late = Array.from({ length: 4 }, () => tollgate.consume({ subject: 'u' }))
    await turn()
    clock.advance(1000)
    expect((await Promise.all(late)).every(({ degraded }) => degraded)).toBe(true)
    await expect(tollgate.consume({ subject: 'u' })).rejects.toMatchObject({ code: 'OVERLOADED' })
    store.wake()
    await turn()
    store.behaviour = 'answers'
    expect((await tollgate.consume({ subject: 'u' })).degraded).toBe(false)
  })

  it('a caller can give up, before and while the store is asked', async () => {
    const { store, tollgate, clock } = make({ daily: daily() })
    await expect(tollgate.consume({ subject: 'u', signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED', status: 499 })
    expect(store.calls).toEqual([])
    store.behaviour = 'hangs'
    const giveUp = new AbortController()
    const asked = tollgate.consume({ subject: 'u', signal: giveUp.signal })
    const committed = tollgate.commit('r', { signal: giveUp.signal })
    await turn()
    giveUp.abort()
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(committed).rejects.toMatchObject({ code: 'ABORTED' })
    expect(clock.nextTimerMs()).toBeUndefined()
  })
})

describe('settling', () => {
  it('asks again when a reply was lost, and counts once', async () => {
    for (const behaviour of ['fails', 'loses'] as const) {
      const { store, tollgate } = make({ daily: daily() })
      const { reservation } = await tollgate.reserve({ subject: 'u' })
      store.script.push(behaviour, behaviour)
      expect(await reservation!.commit({ amounts: { requests: 2 } })).toMatchObject({ status: 'committed', amounts: { requests: 2 } })
      expect(store.calls.filter((call) => call === 'settle commit').length).toBe(3)
      expect((await tollgate.usage('u')).limits[0]!.used).toBe(2)
    }
  })

  it('gives up after three attempts, and can be tried again by whoever knows the id', async () => {
    const { store, tollgate } = make({ daily: daily() })
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    store.script.push('fails', 'fails', 'fails')
    await expect(reservation!.release()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect((await reservation!.release()).status).toBe('released')
  })

  it('an answer that somebody else settled it the other way is not taken for one\'s own', async () => {
    const { store, tollgate } = make({ daily: daily() })
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    await tollgate.release(reservation!.id)
    store.script.push('fails')
    await expect(reservation!.commit()).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
  })

  it('of several subjects is finished by the next attempt when the first broke off', async () => {
    const { store, tollgate } = make({ daily: daily() })
    const { reservation } = await tollgate.reserve({ subject: 'u', also: ['ip:203.0.113.7', 'team:9'] })
    // The subject's own is settled; the reply about the first of the others is lost three times.
    store.script.push('answers', 'fails', 'fails', 'fails')
    await expect(reservation!.commit({ amounts: { requests: 2 } })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(reservation!.commit({ amounts: { requests: 2 } })).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    for (const subject of ['u', 'ip:203.0.113.7', 'team:9']) expect((await tollgate.usage(subject)).limits[0]!.used, subject).toBe(2)
  })
})

describe('closing', () => {
  it('waits for calls under way, closes the store, and refuses what comes after', async () => {
    const { store, tollgate } = make({ daily: daily() })
    store.script.push('hangs')
    const asked = tollgate.consume({ subject: 'u' })
    await turn()
    let isClosed = false
    const closed = tollgate.close().then(() => (isClosed = true))
    await turn()
    expect(isClosed).toBe(false)
    for (const late of [tollgate.consume({ subject: 'u' }), tollgate.commit('r'), tollgate.usage('u'), tollgate.explain({ subject: 'u' })]) await expect(late).rejects.toMatchObject({ code: 'CLOSED', status: 503 })
    store.wake()
    expect((await asked).allowed).toBe(true)
    await closed
    expect(store.calls.at(-1)).toBe('close')
  })

  it('does not wait longer than a deadline for a store that hangs', async () => {
    const { store, tollgate, clock } = make({ daily: daily('open') })
    store.script.push('hangs')
    const asked = tollgate.consume({ subject: 'u' })
    await turn()
    const closed = tollgate.close()
    await turn()
    clock.advance(50)
    expect((await asked).degraded).toBe(true)
    await closed
    expect(store.calls.at(-1)).toBe('close')
  })

  it('comes with the end of an await using block', async () => {
    const store = new ScriptedStore(new MemoryStore())
    {
      await using tollgate = createTollgate({ plans: { free: { rank: 0, limits: {} } }, store })
      expect(tollgate.plans().length).toBe(1)
    }
    expect(store.calls).toEqual(['close'])
  })
})
