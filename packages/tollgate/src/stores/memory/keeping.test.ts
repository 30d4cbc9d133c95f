import { describe, expect, it } from 'vitest'
import { capacity, concurrency, cooldown, quota, slidingWindow } from '../../define/limits.ts'
import { createTollgate } from '../../engine/create.ts'
import { controlledClock } from '../../testing/clock.ts'
import { MemoryStore } from './index.ts'

const HOUR_MS = 3_600_000

const plans = {
  free: {
    rank: 0,
    limits: {
      daily: quota({ limit: 10, every: 'day', meter: 'tokens' }),
      parallel: concurrency({ limit: 2 }),
      agents: capacity({ limit: 2, per: ['world'], match: { operation: 'agent' } }),
      seats: capacity({ limit: Infinity, match: { operation: 'seat' } }),
      minute: slidingWindow({ limit: 100, window: '1m' }),
      pause: cooldown({ wait: '1s', match: { operation: 'slow' } }),
    },
  },
}

function make() {
  const clock = controlledClock(Date.UTC(2026, 4, 20, 12))
  const start = (kept?: string) => {
    const store = new MemoryStore()
    if (kept !== undefined) store.resume(kept, clock.now())
    const tollgate = createTollgate({ plans, defaultPlan: 'free', store, clock })
    const used = async () => Object.fromEntries((await tollgate.usage('u', { plan: 'free' })).limits.map(({ limit, used: count }) => [limit, count]))
    return { store, tollgate, used }
  }
  return { clock, start }
}

const tokens = { subject: 'u', amounts: { tokens: 4 } }
const agent = { subject: 'u', operation: 'agent', dimensions: { world: 'w"1' } }

describe('what a store kept when its process ended', () => {
  it('is open in the next one: held, committed, released and extended as before', async () => {
    const { clock, start } = make()
    const before = start()
    const ids: string[] = []
    for (let i = 0; i < 2; i++) ids.push((await before.tollgate.reserve({ ...tokens, ttlMs: 2 * HOUR_MS })).reservation!.id)
    clock.advance(HOUR_MS)
    const { store, tollgate, used } = start(before.store.keep(clock.now()))
    expect(await used()).toEqual({ daily: 8, parallel: 2, agents: undefined, seats: 0, minute: 0, pause: 0 })
    expect((await tollgate.consume(tokens)).violations.map(({ limit }) => limit)).toEqual(['daily', 'parallel'])
    expect(await tollgate.commit(ids[0]!, { amounts: { tokens: 3 } })).toMatchObject({ status: 'committed', amounts: { tokens: 3 }, late: false })
    await expect(tollgate.commit(ids[0]!)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect(await tollgate.extend(ids[1]!, { ttlMs: 3 * HOUR_MS })).toMatchObject({ expiresAt: clock.now() + 3 * HOUR_MS })
    clock.advance(2 * HOUR_MS)
    expect(await used()).toMatchObject({ daily: 7, parallel: 1 })
    // And once more.
    const third = start(store.keep(clock.now()))
    await third.tollgate.release(ids[1]!)
    expect(await third.used()).toMatchObject({ daily: 0, parallel: 0 })
    await expect(third.tollgate.commit(ids[0]!)).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION' })
  })

  it('is late after its hold ended, and unknown a day after that', async () => {
    const { clock, start } = make()
    const before = start()
    const { reservation } = await before.tollgate.reserve({ ...tokens, ttlMs: 1000 })
    clock.advance(HOUR_MS)
    const kept = before.store.keep(clock.now())
    expect(await start(kept).used()).toMatchObject({ daily: 0, parallel: 0 })
    expect(await start(kept).tollgate.commit(reservation!.id)).toMatchObject({ late: true })
    clock.advance(24 * HOUR_MS)
    await expect(start(kept).tollgate.commit(reservation!.id)).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION' })
    expect(JSON.parse(before.store.keep(clock.now()))).toEqual({ format: 1, reservations: [] })
  })

  it('stands for capacity until it is given back', async () => {
    const { clock, start } = make()
    const before = start()
    const ids = [(await before.tollgate.consume(agent)).reservation!.id, (await before.tollgate.consume(agent)).reservation!.id]
    await before.tollgate.consume({ subject: 'u', operation: 'seat' })
    await before.tollgate.release((await before.tollgate.consume({ subject: 'u', operation: 'seat' })).reservation!.id)
    clock.advance(40 * 24 * HOUR_MS)
    const { tollgate, used } = start(before.store.keep(clock.now()))
    expect(await used()).toMatchObject({ agents: 2, seats: 1 })
    expect((await tollgate.consume(agent)).allowed).toBe(false)
    await tollgate.release(ids[0]!)
    await expect(tollgate.release(ids[0]!)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect((await tollgate.consume(agent)).allowed).toBe(true)
  })

  it('is taken up once, and holds no longer after the clock was set back', async () => {
    const { clock, start } = make()
    const before = start()
    await before.tollgate.consume(agent)
    await before.tollgate.reserve({ ...tokens, ttlMs: 60_000 })
    const kept = before.store.keep(clock.now())
    clock.set(clock.now() - HOUR_MS)
    const { store, tollgate, used } = start(kept)
    store.resume(kept, clock.now())
    expect(await used()).toMatchObject({ agents: 1, daily: 4, parallel: 1 })
    clock.advance(60_000)
    expect(await used()).toMatchObject({ agents: 1, daily: 0, parallel: 0 })
    expect((await tollgate.consume(agent)).allowed).toBe(true)
    expect((await tollgate.consume(agent)).allowed).toBe(false)
  })

  it('tells when there is something new to keep', async () => {
    const { start } = make()
    const { store, tollgate } = start()
    const seen = [store.changes]
    const note = () => void seen.push(store.changes)
    await tollgate.consume(tokens)
    expect(store.changes).toBe(seen[0])
    const { reservation } = await tollgate.reserve({ ...tokens, subject: 'v' })
    note()
    await tollgate.extend(reservation!.id, { ttlMs: HOUR_MS })
    note()
    await tollgate.commit(reservation!.id)
    note()
    await tollgate.erase('v')
    note()
    expect(new Set(seen).size).toBe(seen.length)
  })

  it.each([
    ['', 'end of JSON'],
    ['{}', 'format undefined'],
    ['[]', 'format undefined'],
    ['{"format":2,"reservations":[]}', 'format 2 cannot be read; this version reads 1'],
  ])('is not read from %j', (text, message) => {
    expect(() => new MemoryStore().resume(text, 0)).toThrow(message)
  })
})
