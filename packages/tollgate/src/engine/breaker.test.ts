import { describe, expect, it } from 'vitest'
import { decisionHeaders } from '../adapters/http/headers.ts'
import { concurrency, cooldown, type LimitDefinition, quota, slidingWindow, tokenBucket } from '../define/limits.ts'
import { TollgateError } from '../errors/index.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import { controlledClock } from '../testing/clock.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { Breaker } from './breaker.ts'
import { type CommonOptions, createTollgate } from './create.ts'

const START_AT = Date.UTC(2026, 4, 20, 12)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function make(limits: Record<string, LimitDefinition>, options: CommonOptions & { processes?: number } = {}) {
  const { processes, ...rest } = options
  const clock = controlledClock(START_AT)
  const store = Object.assign(new ScriptedStore(new MemoryStore()), processes !== undefined && { processes: () => processes })
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits } }, defaultPlan: 'free', store, clock, random: () => 0.5, ...rest })
  const events: string[] = []
  tollgate.on('degraded', ({ policy }) => events.push(policy))
  tollgate.on('recovered', ({ awayMs }) => events.push(`recovered after ${awayMs} ms`))
  const next = async (): Promise<number> => {
    const ms = clock.nextTimerMs()!
    clock.advance(ms)
    await turn()
    return ms
  }
  return { clock, store, tollgate, events, next }
}

const daily = (limit = 100) => quota({ limit, every: 'day', onFailure: 'closed' })
const codeOf = (call: Promise<unknown>): Promise<unknown> => call.then(() => 'answered', (error: unknown) => (error as TollgateError).code)

describe('a breaker', () => {
  function makeBreaker(random: () => number) {
    const clock = controlledClock(START_AT)
    const probes: { resolve: () => void; reject: (error: Error) => void }[] = []
    const closed: number[] = []
    const breaker = new Breaker(clock, () => new Promise<void>((resolve, reject) => probes.push({ resolve, reject })), random, (awayMs) => closed.push(awayMs))
    const fail = (count: number, era = breaker.era): void => {
      for (let i = 0; i < count; i++) breaker.failed(new Error(`failure ${i + 1}`), era)
    }
    return { clock, probes, closed, breaker, fail }
  }

  it('opens after five failures in a row, and not when there is an answer between them', () => {
    const { breaker, fail, clock } = makeBreaker(() => 0)
    for (let i = 0; i < 10; i++) {
      fail(4)
      breaker.answered()
    }
    expect([breaker.isOpen, clock.nextTimerMs()]).toEqual([false, undefined])
    fail(5)
    expect(breaker.isOpen).toBe(true)
    fail(5)
    expect(breaker.refusal()).toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503, retryAfterMs: 50, cause: { message: 'failure 5' } })
  })

  it.each([
    ['the shortest', 0, [50, 100, 200, 400, 800, 1000, 1000]],
    ['the longest', 1 - 2 ** -53, [150, 300, 600, 1200, 2400, 3000, 3000]],
  ])('probes one at a time, after waits that double up to a bound: %s', async (_, random, waits) => {
    const { clock, probes, breaker, fail, closed } = makeBreaker(() => random)
    fail(5)
    for (const [i, ms] of waits.entries()) {
      expect(clock.nextTimerMs()).toBe(ms)
      expect(breaker.refusal().retryAfterMs).toBe(ms)
      clock.advance(ms - 1)
      expect(breaker.refusal().retryAfterMs).toBe(1)
      expect(probes.length).toBe(i)
      clock.advance(1)
      expect(probes.length).toBe(i + 1)
      // However long it takes, there is no second one.
      clock.advance(10_000)
      expect(probes.length).toBe(i + 1)
      expect(breaker.refusal().retryAfterMs).toBe(100)
      probes[i]!.reject(new Error('still away'))
      await turn()
    }
    clock.advance(waits.at(-1)!)
    probes.at(-1)!.resolve()
    await turn()
    expect(breaker.isOpen).toBe(false)
    expect(closed).toEqual([waits.reduce((sum, ms) => sum + ms + 10_000, 0) + waits.at(-1)!])
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('is not opened by calls of before it closed, and begins anew with the shortest wait', async () => {
    const { clock, probes, breaker, fail } = makeBreaker(() => 0.5)
    const { era } = breaker
    fail(5)
    clock.advance(100)
    probes[0]!.resolve()
    await turn()
    fail(5, era)
    expect(breaker.isOpen).toBe(false)
    fail(5)
    expect([breaker.isOpen, clock.nextTimerMs()]).toEqual([true, 100])
    breaker.stop()
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('that is stopped asks no more, whatever becomes of the probe under way', async () => {
    const { clock, probes, breaker, fail } = makeBreaker(() => 0.5)
    fail(5)
    clock.advance(100)
    breaker.stop()
    probes[0]!.reject(new Error('still away'))
    await turn()
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('names no wait that a step of the clock made wrong', () => {
    const { clock, breaker, fail } = makeBreaker(() => 0.5)
    fail(5)
    clock.set(START_AT - 3_600_000)
    expect(breaker.refusal().retryAfterMs).toBe(100)
    clock.set(START_AT + 3_600_000)
    expect(breaker.refusal().retryAfterMs).toBe(100)
  })
})

describe.each(['fails', 'hangs'] as const)('a store that %s', (behaviour) => {
  /** Failures of calls that came one after the other. */
  async function fail({ store, tollgate, clock }: ReturnType<typeof make>, count: number): Promise<void> {
    store.behaviour = behaviour
    for (let i = 0; i < count; i++) {
      const failed = codeOf(tollgate.consume({ subject: 'u' }))
      await turn()
      if (behaviour === 'hangs') clock.advance(50)
      expect(await failed).toBe('STORE_UNAVAILABLE')
    }
  }

  it('is left alone after five calls, whatever is asked of it, until it answers a probe', async () => {
    const made = make({ daily: daily() })
    const { store, tollgate, events, clock, next } = made
    await fail(made, 5)
    expect(store.calls.splice(0)).toEqual(Array(5).fill('decide consume'))
    const calls = () => [
      tollgate.consume({ subject: 'u' }), tollgate.check({ subject: 'u' }), tollgate.reserve({ subject: 'u', also: ['team:1'] }), tollgate.explain({ subject: 'u' }), tollgate.commit('r'), tollgate.release('r'),
      tollgate.extend('r', { ttlMs: 1 }), tollgate.usage('u'), tollgate.reset('u'), tollgate.erase('u'), tollgate.run({ subject: 'u' }, () => {}),
    ]
    for (const result of await Promise.allSettled(calls())) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE', retryAfterMs: clock.nextTimerMs(), message: expect.stringMatching(/5 calls in a row failed, so none is made until it answers a probe/) as string } })
    }
    expect(store.calls).toEqual([])
    // Without any traffic.
    await next()
    expect(store.calls.splice(0)).toEqual(['lastPlan'])
    if (behaviour === 'hangs') await next()
    store.behaviour = 'answers'
    await next()
    expect(store.calls.splice(0)).toEqual(['lastPlan'])
    expect(events.at(-1)).toBe(behaviour === 'hangs' ? 'recovered after 350 ms' : 'recovered after 300 ms')
    expect(clock.nextTimerMs()).toBeUndefined()
    expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, degraded: false })
  })

  it('is not left alone while it answers now and then', async () => {
    const made = make({ daily: daily() })
    const { store, tollgate } = made
    for (let i = 0; i < 5; i++) {
      await fail(made, 4)
      store.wake()
      store.behaviour = 'answers'
      expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    }
    expect(store.calls.length).toBe(25)
  })
})

describe('what does not count', () => {
  it('is what says nothing about the store: bad input, too many calls, callers who gave up, refusals, locks', async () => {
    const { store, tollgate, clock } = make({ daily: daily() }, { maxInFlight: 1 })
    for (let i = 0; i < 6; i++) {
      const giveUp = new AbortController()
      store.script.push('hangs')
      const asked = codeOf(tollgate.consume({ subject: 'u', signal: giveUp.signal }))
      await turn()
      expect(await codeOf(tollgate.consume({ subject: 'u' }))).toBe('OVERLOADED')
      giveUp.abort()
      expect(await asked).toBe('ABORTED')
      store.wake()
      await turn()
      expect(await codeOf(tollgate.consume({ subject: '' }))).toBe('INVALID_REQUEST')
      expect(await codeOf(tollgate.commit('nobody made it'))).toBe('UNKNOWN_RESERVATION')
    }
    const decide = store.decide.bind(store)
    for (const error of [new TollgateError('OVERLOADED', 'full'), new TollgateError('STORE_UNAVAILABLE', 'locked', { details: { isLocked: true } })]) {
      store.decide = () => Promise.reject(error)
      for (let i = 0; i < 6; i++) expect(await codeOf(tollgate.consume({ subject: 'u' }))).toBe(error.code)
    }
    store.decide = decide
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    expect(clock.nextTimerMs()).toBeUndefined()
  })
})

describe('while the store is left alone', () => {
  async function away(limits: Record<string, LimitDefinition>, options: CommonOptions & { processes?: number } = {}) {
    const made = make({ ...limits, broken: quota({ limit: 1, every: 'day', match: { operation: 'break' }, onFailure: 'closed' }) }, options)
    made.store.behaviour = 'fails'
    for (let i = 0; i < 5; i++) await codeOf(made.tollgate.consume({ subject: 'nobody', operation: 'break' }))
    made.store.calls.length = 0
    made.events.length = 0
    return made
  }

  it('each policy decides at once', async () => {
    const { tollgate, store, events } = await away({ open: quota({ limit: 1, every: 'day', onFailure: 'open' }), local: quota({ limit: 2, every: 'day', match: { operation: 'chat' } }), closed: quota({ limit: 1, every: 'day', match: { operation: 'paid' }, onFailure: 'closed' }) })
    for (let i = 0; i < 3; i++) expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, degraded: true })
    for (const allowed of [true, false]) expect(await tollgate.consume({ subject: 'v', operation: 'chat' })).toMatchObject({ allowed, degraded: true })
    expect(await codeOf(tollgate.consume({ subject: 'u', operation: 'paid' }))).toBe('STORE_UNAVAILABLE')
    expect(events).toEqual(['open', 'open', 'open', 'local', 'local', 'closed'])
    expect(store.calls).toEqual([])
  })

  it('a settlement of what the store holds says so, and is made once the store is back', async () => {
    const { tollgate, store, next } = make({ daily: daily() })
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    store.behaviour = 'fails'
    // Three attempts, and with the second settlement's second failure the store is left alone.
    for (let i = 0; i < 2; i++) await expect(reservation!.commit()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: /it failed/ })
    expect(store.calls.filter((call) => call === 'settle commit').length).toBe(5)
    await expect(reservation!.commit()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterMs: 100, message: /none is made until it answers a probe; nothing was written, try again in 100 ms/ })
    expect(store.calls.filter((call) => call === 'settle commit').length).toBe(5)
    store.behaviour = 'answers'
    await next()
    expect(await reservation!.commit()).toMatchObject({ status: 'committed' })
  })

  it('what could not be given back does not hide why', async () => {
    const { tollgate, store } = make({ daily: daily() })
    const decide = store.decide.bind(store)
    store.decide = async (command) => {
      if (!command.subject.endsWith('u')) return decide(command)
      store.behaviour = 'fails'
      for (let i = 0; i < 5; i++) await codeOf(tollgate.consume({ subject: 'somebody' }))
      return decide(command)
    }
    // The team's part is reserved; the subject's fails after five others that came while it was under way.
    await expect(tollgate.consume({ subject: 'u', also: ['team:1'] })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('it failed') as string })
    expect(store.calls).toEqual(['decide reserve', ...Array(5).fill('decide consume'), 'decide reserve'])
  })

  it('closing does not wait for the store', async () => {
    const { tollgate, store, clock } = await away({})
    store.behaviour = 'answers'
    await tollgate.close()
    expect(store.calls).toEqual(['close'])
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  describe('a share of each limit', () => {
    const shares = (processes: number | undefined, localShare?: number) => async (limit: number) => {
      const { tollgate } = await away({ messages: quota({ limit, every: 'day' }) }, { ...(processes !== undefined && { processes }), ...(localShare !== undefined && { localShare }) })
      let count = 0
      while ((await tollgate.consume({ subject: 'u' })).allowed) count++
      return count
    }

    it('is one part for each process, rounded down: in sum never more than the limit', async () => {
      for (const [processes, limit, share] of [[1, 7, 7], [2, 7, 3], [3, 7, 2], [7, 7, 1], [49, 49, 1], [3, 50, 16]] as const) expect(await shares(processes)(limit), `${limit} / ${processes}`).toBe(share)
      expect(await shares(undefined)(7)).toBe(7)
      // What no store should say.
      for (const processes of [0, -1, 0.5]) expect(await shares(processes)(3)).toBe(3)
    })

    it('is what the options say', async () => {
      expect(await shares(3, 1)(6)).toBe(6)
      expect(await shares(3, 0.5)(6)).toBe(3)
      expect(await shares(undefined, 1 / 49)(49)).toBe(1)
    })

    it('that is nobody\'s is no denial: the limit fails closed until the store is back', async () => {
      const { tollgate, events } = await away({ parallel: concurrency({ limit: 2 }), messages: quota({ limit: 9, every: 'day' }), burst: slidingWindow({ limit: 1, window: '1s', onFailure: 'open', match: { operation: 'chat' } }) }, { processes: 3 })
      await expect(tollgate.reserve({ subject: 'u' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503, retryAfterMs: expect.any(Number) as number })
      const other = await away({ messages: quota({ limit: 9, every: 'day' }), burst: slidingWindow({ limit: 1, window: '1s', onFailure: 'open' }), never: quota({ limit: 0, every: 'day', match: { operation: 'paid' } }) }, { processes: 3 })
      // A limit that fails open has no share either, and lets pass; one of nothing denies as ever.
      for (const allowed of [true, true, true, false]) expect((await other.tollgate.consume({ subject: 'u' })).allowed).toBe(allowed)
      expect(await other.tollgate.consume({ subject: 'v', operation: 'paid' })).toMatchObject({ allowed: false, violations: [{ limit: 'never', max: 0 }] })
      expect([...events, ...other.events]).toEqual(['closed', ...Array(5).fill('local')])
    })

    it('of a bucket is a share of its size and of its speed', async () => {
      const { tollgate, clock } = await away({ burst: tokenBucket({ capacity: 6, refill: 3, every: '1s' }) }, { processes: 3 })
      const admitted = async (): Promise<number> => {
        let count = 0
        while ((await tollgate.consume({ subject: 'u' })).allowed) count++
        return count
      }
      expect(await admitted()).toBe(2)
      clock.advance(999)
      expect(await admitted()).toBe(0)
      clock.advance(1)
      expect(await admitted()).toBe(1)
      expect((await tollgate.check({ subject: 'u' })).violations).toMatchObject([{ max: 2, used: 2, retryAfterMs: 1000 }])
    })

    it('is what states, messages and headers speak of', async () => {
      const limits = { messages: quota({ limit: 10, every: 'day' }), pause: cooldown({ wait: '0s' }) }
      const clock = controlledClock(START_AT)
      const store = Object.assign(new ScriptedStore(new MemoryStore()), { processes: () => 3 })
      const plans = { free: { rank: 0, limits }, plus: { rank: 1, limits: { messages: quota({ limit: 11, every: 'day' }) } }, pro: { rank: 2, limits: { messages: quota({ limit: 90, every: 'day' }) } } }
      const tollgate = createTollgate({ plans, defaultPlan: 'free', store, clock })
      store.behaviour = 'fails'
      for (let i = 0; i < 3; i++) await tollgate.consume({ subject: 'u' })
      const denied = await tollgate.consume({ subject: 'u' })
      const state = { limit: 'messages', max: 3, used: 3, remaining: 0, resetAt: Date.UTC(2026, 4, 21), retryAfterMs: 43_200_000 }
      // A third of 11 is 3 as well.
      expect(denied).toMatchObject({ allowed: false, degraded: true, limits: [state, { limit: 'pause' }], violations: [{ ...state, liftedBy: ['pro'], message: expect.stringMatching(/\b3\b/) as string }] })
      expect(denied.violations[0]!.message).not.toMatch(/\b1[01]\b/)
      expect(decisionHeaders(denied, tollgate.plan('free'))).toEqual({ 'RateLimit-Policy': '"messages";q=3;w=86400', 'Retry-After': '43200' })
      expect((await tollgate.explain({ subject: 'u' })).rules[0]).toMatchObject({ passes: false, reason: '3 of 3 used, and this request does not fit' })
    })

    it('is not spoken of under `open`: nobody knows how limits stand', async () => {
      const { tollgate } = await away({ messages: quota({ limit: 10, every: 'day', onFailure: 'open', softLimit: 0.1 }), flood: slidingWindow({ limit: 1, window: '1m', onFailure: 'open' }) })
      const warnings: unknown[] = []
      tollgate.on('warning', (warning) => warnings.push(warning))
      for (let i = 0; i < 12; i++) {
        for (const decision of [await tollgate.check({ subject: 'u' }), await tollgate.consume({ subject: 'u' })]) {
          expect(decision).toMatchObject({ allowed: true, degraded: true, limits: [], violations: [], retryAfterMs: 0 })
          expect(Object.keys(decisionHeaders(decision, tollgate.plan('free')))).toEqual([])
        }
      }
      expect(warnings).toEqual([])
    })
  })
})

it('a store in this process has no breaker, no deadline and no timer', async () => {
  const clock = controlledClock(START_AT)
  const store = new MemoryStore()
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { daily: daily(3) } } }, defaultPlan: 'free', store, clock })
  const decide = store.decide.bind(store)
  store.decide = () => { throw new TollgateError('OVERLOADED', 'full') }
  for (let i = 0; i < 6; i++) expect(await codeOf(tollgate.consume({ subject: 'u' }))).toBe('OVERLOADED')
  store.decide = decide
  expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
  expect(clock.nextTimerMs()).toBeUndefined()
})
