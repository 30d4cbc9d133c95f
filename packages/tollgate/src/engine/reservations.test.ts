import { describe, expect, it } from 'vitest'
import { capacity, concurrency, cooldown, quota } from '../define/limits.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import { controlledClock } from '../testing/clock.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { createTollgate } from './create.ts'

const DAY_MS = 86_400_000
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function make() {
  const clock = controlledClock(Date.UTC(2026, 4, 20, 12))
  const limits = {
    daily: quota({ limit: 10, every: '30d' }),
    tokens: quota({ limit: 1000, every: '30d', meter: 'tokens', softLimit: 0.8 }),
    parallel: concurrency({ limit: 2 }),
    agents: capacity({ limit: 3, match: { operation: 'agent' } }),
    pause: cooldown({ wait: '1s', per: ['world'], match: { operation: 'chat' } }),
  }
  const store = new ScriptedStore(new MemoryStore())
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits } }, operations: { chat: {}, agent: {}, other: {} }, defaultPlan: 'free', clock, store })
  const used = async (): Promise<number[]> => (await tollgate.usage('u')).limits.slice(0, 4).map((limit) => limit.used)
  return { clock, store, tollgate, used }
}

describe('a reservation', () => {
  it('holds its estimate until it is committed with what was used', async () => {
    const { tollgate, used, clock } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u', amounts: { tokens: 300 } })
    expect(reservation).toMatchObject({ id: expect.stringMatching(/^r_[0-9a-f]{32}$/) as string, expiresAt: clock.now() + 60_000 })
    expect(await used()).toEqual([1, 300, 1, 0])
    clock.advance(100)
    expect(await reservation!.commit({ amounts: { tokens: 1200 } })).toEqual({ id: reservation!.id, subject: 'u', plan: 'free', status: 'committed', expiresAt: reservation!.expiresAt, settledAt: clock.now(), amounts: { tokens: 1200 }, late: false })
    expect(await used()).toEqual([1, 1200, 0, 0])
    expect((await tollgate.usage('u')).limits[1]).toMatchObject({ used: 1200, max: 1000, remaining: 0 })
  })

  it('frees itself when it expires, and can be committed late for a day', async () => {
    const { tollgate, used, clock } = make()
    const [first, second] = [await tollgate.reserve({ subject: 'u', ttlMs: 1000 }), await tollgate.reserve({ subject: 'u', ttlMs: 1000 })]
    expect((await tollgate.reserve({ subject: 'u' })).violations).toMatchObject([{ limit: 'parallel', retryAfterMs: 1000 }])
    clock.advance(1000)
    expect(await used()).toEqual([0, 0, 0, 0])
    expect(await first.reservation!.commit()).toMatchObject({ late: true, status: 'committed' })
    expect(await used()).toEqual([1, 0, 0, 0])
    await expect(tollgate.extend(second.reservation!.id, { ttlMs: 1000 })).rejects.toMatchObject({ code: 'RESERVATION_EXPIRED', status: 409, details: { reservation: { status: 'open' } } })
    clock.advance(DAY_MS)
    await expect(second.reservation!.commit()).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION', status: 404 })
  })

  it('is settled once, and says what came first', async () => {
    const { tollgate } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    await reservation!.release()
    for (const again of [reservation!.commit(), reservation!.release(), tollgate.extend(reservation!.id, { ttlMs: 5 })]) {
      await expect(again).rejects.toMatchObject({ code: 'ALREADY_SETTLED', details: { reservation: { status: 'released', subject: 'u' } } })
    }
  })

  it('is extended, from 1 ms to a day', async () => {
    const { tollgate, used, clock } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u', ttlMs: 1000 })
    const extended = await tollgate.extend(reservation!.id, { ttlMs: DAY_MS })
    expect(extended).toMatchObject({ status: 'open', settledAt: null, expiresAt: clock.now() + DAY_MS })
    clock.advance(DAY_MS - 1)
    expect((await used())[2]).toBe(1)
    clock.advance(1)
    expect((await used())[2]).toBe(0)
    for (const ttlMs of [0, DAY_MS + 1, 1.5, undefined as unknown as number]) await expect(tollgate.extend(reservation!.id, { ttlMs })).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'ttlMs' })
  })

  it('checks what it is settled with', async () => {
    const { tollgate } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    await expect(reservation!.commit({ amounts: { tokens: -1 } })).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'amounts.tokens' })
    await expect(reservation!.commit({ amounts: { token: 1 } as object })).rejects.toMatchObject({ code: 'UNKNOWN_METER' })
    await expect(tollgate.commit('')).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'id' })
    await expect(tollgate.commit('r_none')).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION' })
    expect((await reservation!.commit()).status).toBe('committed')
  })

  it('ends with an await using block, unless it was settled in it', async () => {
    const { tollgate, used } = make()
    {
      await using reservation = (await tollgate.reserve({ subject: 'u' })).reservation!
      expect(reservation.id).toBeTruthy()
      expect(await used()).toEqual([1, 0, 1, 0])
    }
    expect(await used()).toEqual([0, 0, 0, 0])
    for (const settle of ['commit', 'byId'] as const) {
      await using reservation = (await tollgate.reserve({ subject: 'u' })).reservation!
      if (settle === 'commit') await reservation.commit()
      else await tollgate.commit(reservation.id)
    }
    expect(await used()).toEqual([2, 0, 0, 0])
  })

  it('of capacity stands after its commit until it is released', async () => {
    const { tollgate, used, clock } = make()
    const { reservation } = await tollgate.consume({ subject: 'u', operation: 'agent' })
    clock.advance(40 * DAY_MS)
    expect((await used())[3]).toBe(1)
    {
      await using held = reservation!
      expect(held.id).toBe(reservation!.id)
    }
    expect((await used())[3]).toBe(1)
    expect((await tollgate.release(reservation!.id)).status).toBe('released')
    expect((await used())[3]).toBe(0)
    expect((await tollgate.consume({ subject: 'u', operation: 'chat', dimensions: { world: 'w' } })).reservation).toBeUndefined()
  })
})

describe('run', () => {
  it('commits when the work returns, with what it said it used', async () => {
    const { tollgate, used } = make()
    const result = await tollgate.run({ subject: 'u', amounts: { tokens: 500 } }, async (spend) => {
      expect(spend.decision.allowed).toBe(true)
      expect(await used()).toEqual([1, 500, 1, 0])
      spend.set({ tokens: 10 })
      spend.set({ tokens: 20 })
      return 'answer'
    })
    expect(result).toMatchObject({ allowed: true, value: 'answer', settlement: { status: 'committed', amounts: { tokens: 20 } } })
    expect(await used()).toEqual([1, 20, 0, 0])
  })

  it('commits the estimate when the work says nothing', async () => {
    const { tollgate, used } = make()
    await tollgate.run({ subject: 'u', amounts: { tokens: 500 } }, () => 1)
    expect(await used()).toEqual([1, 500, 0, 0])
  })

  it('releases when the work throws, and throws that', async () => {
    const { tollgate, used, store } = make()
    const failure = new Error('the model is down')
    await expect(tollgate.run({ subject: 'u' }, () => { throw failure })).rejects.toBe(failure)
    await expect(tollgate.run({ subject: 'u' }, () => Promise.reject(failure))).rejects.toBe(failure)
    expect(await used()).toEqual([0, 0, 0, 0])
    // Also when the release fails: the hold expires.
    await expect(tollgate.run({ subject: 'u' }, () => { store.behaviour = 'fails'; throw failure })).rejects.toBe(failure)
    store.behaviour = 'answers'
    expect((await used())[2]).toBe(1)
  })

  it('does not run what is denied', async () => {
    const { tollgate } = make()
    for (let i = 0; i < 2; i++) await tollgate.reserve({ subject: 'u' })
    let runs = 0
    expect(await tollgate.run({ subject: 'u' }, () => ++runs)).toMatchObject({ allowed: false, decision: { violations: [{ limit: 'parallel' }] } })
    expect(runs).toBe(0)
  })

  it('holds on for as long as the work takes', async () => {
    const { tollgate, used, clock } = make()
    let finish = (): void => {}
    const ran = tollgate.run({ subject: 'u', ttlMs: 1000 }, () => new Promise<void>((resolve) => (finish = resolve)))
    for (let i = 0; i < 20; i++) {
      await turn()
      clock.advance(250)
    }
    expect((await used())[2]).toBe(1)
    finish()
    expect((await ran)).toMatchObject({ allowed: true, settlement: { status: 'committed', late: false } })
    expect(clock.nextTimerMs()).toBeUndefined()
    expect((await used())[2]).toBe(0)
  })

  it('takes work that settled by itself at its word', async () => {
    const { tollgate, used } = make()
    const result = await tollgate.run({ subject: 'u' }, async ({ decision }) => {
      await tollgate.release(decision.reservation!.id)
    })
    expect(result).toMatchObject({ allowed: true, settlement: { status: 'released' } })
    expect(await used()).toEqual([0, 0, 0, 0])
  })

  it('does the work of an idempotency key once, and again after it failed', async () => {
    const { tollgate, used } = make()
    const request = { subject: 'u', amounts: { tokens: 10 }, idempotencyKey: 'k1' }
    const failure = new Error('the model is down')
    for (let i = 0; i < 3; i++) await expect(tollgate.run(request, () => { throw failure })).rejects.toBe(failure)
    expect(await used()).toEqual([0, 0, 0, 0])
    let runs = 0
    const results = await Promise.allSettled([tollgate.run(request, async () => ++runs), tollgate.run(request, async () => ++runs)])
    expect(results.map((result) => (result.status === 'fulfilled' ? (result.value as { value: number }).value : (result.reason as { code: string }).code)).toSorted()).toEqual([1, 'IDEMPOTENCY_IN_PROGRESS'])
    await expect(tollgate.run(request, () => ++runs)).rejects.toMatchObject({ code: 'ALREADY_SETTLED', details: { reservation: { status: 'committed' } } })
    expect(runs).toBe(1)
    expect(await used()).toEqual([1, 10, 0, 0])
    await expect(tollgate.run({ ...request, amounts: { tokens: 11 } }, () => ++runs)).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
  })

  it('does not begin work of a key that is under way, and begins it anew when its hold has ended', async () => {
    const { tollgate, clock } = make()
    const request = { subject: 'u', idempotencyKey: 'k1', ttlMs: 1000 }
    // Whoever was at it died.
    await tollgate.reserve(request)
    await expect(tollgate.run(request, () => 'done')).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' })
    clock.advance(1000)
    expect(await tollgate.run(request, () => 'done')).toMatchObject({ value: 'done', settlement: { status: 'committed' } })
  })

  it('keeps the estimate of a meter that is named without an amount', async () => {
    const { tollgate, used } = make()
    const result = await tollgate.run({ subject: 'u', amounts: { tokens: 7 } }, ({ set }) => set({ tokens: undefined as unknown as number }))
    expect(result).toMatchObject({ settlement: { amounts: { tokens: 7 } } })
    expect(await used()).toEqual([1, 7, 0, 0])
  })

  it('is not committed for a caller who gave up', async () => {
    const { tollgate, used } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u', amounts: { tokens: 7 } })
    await expect(tollgate.commit(reservation!.id, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    await tollgate.release(reservation!.id)
    expect(await used()).toEqual([0, 0, 0, 0])
  })

  it('refuses amounts and work that are none', async () => {
    const { tollgate, used } = make()
    await expect(tollgate.run({ subject: 'u' }, ({ set }) => set({ tokens: 0.5 }))).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await expect(tollgate.run({ subject: 'u' }, 'work' as unknown as () => void)).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'work' })
    expect(await used()).toEqual([0, 0, 0, 0])
  })
})

describe('many at once', () => {
  it('of 400 parallel consumes at a limit of 166 exactly 166 are admitted', async () => {
    for (const store of [new MemoryStore(), new ScriptedStore(new MemoryStore())]) {
      const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { daily: quota({ limit: 166, every: 'day' }), parallel: concurrency({ limit: 500 }) } } }, defaultPlan: 'free', store, storeTimeoutMs: 60_000 })
      const decisions = await Promise.all(Array.from({ length: 400 }, () => tollgate.consume({ subject: 'u' })))
      expect(decisions.filter(({ allowed }) => allowed).length).toBe(166)
      expect(new Set(decisions.filter(({ allowed }) => allowed).map(({ limits }) => limits[0]!.used)).size).toBe(166)
      expect((await tollgate.usage('u')).limits[0]).toMatchObject({ used: 166, remaining: 0 })
    }
  })

  it('of 400 parallel runs no more than the limit work at a time', async () => {
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { parallel: concurrency({ limit: 7 }) } } }, defaultPlan: 'free', store: new ScriptedStore(new MemoryStore()), storeTimeoutMs: 60_000 })
    let working = 0
    let most = 0
    const results = await Promise.all(Array.from({ length: 400 }, () => tollgate.run({ subject: 'u' }, async () => {
      most = Math.max(most, ++working)
      await turn()
      working--
    })))
    expect(most).toBe(7)
    expect(results.filter(({ allowed }) => allowed).length).toBeGreaterThanOrEqual(7)
    expect((await tollgate.usage('u')).limits[0]!.used).toBe(0)
  })
})
