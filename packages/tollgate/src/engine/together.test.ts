import { describe, expect, it } from 'vitest'
import { capacity, concurrency, cooldown, quota, slidingWindow, tokenBucket } from '../define/limits.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import { controlledClock } from '../testing/clock.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { createTollgate } from './create.ts'

function make() {
  const clock = controlledClock(Date.UTC(2026, 4, 20, 12))
  const store = new ScriptedStore(new MemoryStore())
  const tollgate = createTollgate({
    clock,
    store,
    defaultPlan: { ip: 'perIp', team: 'perTeam', '*': 'free' },
    plans: {
      free: { rank: 0, limits: { daily: quota({ limit: 3, every: 'day' }), tokens: quota({ limit: 100, every: 'day', meter: 'tokens' }), parallel: concurrency({ limit: 2 }) } },
      perIp: { rank: 0, limits: { flood: slidingWindow({ limit: 4, window: '1m', exact: true }), burst: tokenBucket({ capacity: 5, refill: 1, every: '1m' }), pause: cooldown({ wait: '1s', per: ['world'] }) } },
      perTeam: { rank: 0, limits: { shared: quota({ limit: 10, every: 'day' }), seats: capacity({ limit: 5, match: { operation: 'seat' } }) } },
    },
    operations: { message: {}, seat: {} },
  })
  const used = async (subject: string): Promise<Record<string, number>> => Object.fromEntries((await tollgate.usage(subject)).limits.map(({ limit, used: count }) => [limit, count]))
  const ask = { also: ['team:9', 'ip:203.0.113.7'], dimensions: { world: 'w1' }, amounts: { tokens: 7 }, operation: 'message' } as const
  return { clock, store, tollgate, used, ask }
}

describe('a request of several subjects', () => {
  it('counts for each under its own plan, in the order ip, team, subject', async () => {
    const { tollgate, used, ask, store } = make()
    const decision = await tollgate.consume({ subject: 'u', ...ask })
    expect(decision).toMatchObject({ allowed: true, subject: 'u', plan: 'free' })
    expect(decision.limits.map(({ limit, subject }) => [limit, subject])).toEqual([
      ['daily', undefined], ['tokens', undefined], ['parallel', undefined],
      ['flood', 'ip:203.0.113.7'], ['burst', 'ip:203.0.113.7'], ['pause', 'ip:203.0.113.7'],
      ['shared', 'team:9'],
    ])
    expect(store.calls.slice(0, 4)).toEqual(['decide reserve', 'decide reserve', 'decide reserve', 'settle commit'])
    expect(await used('u')).toEqual({ daily: 1, tokens: 7, parallel: 0 })
    expect(await used('ip:203.0.113.7')).toEqual({ flood: 1, burst: 1, pause: 1 })
    expect(await used('team:9')).toMatchObject({ shared: 1 })
  })

  it('that the subject itself refuses is taken back from the others, guards included', async () => {
    const { tollgate, used, ask, clock } = make()
    for (let i = 0; i < 3; i++) {
      await tollgate.consume({ subject: 'u', ...ask, also: ['team:9'] })
      clock.advance(1000)
    }
    const refused = await tollgate.consume({ subject: 'u', ...ask })
    expect(refused).toMatchObject({ allowed: false, violations: [{ limit: 'daily' }] })
    expect(refused.reservation).toBeUndefined()
    expect(await used('ip:203.0.113.7')).toEqual({ flood: 0, burst: 0 })
    expect(await used('team:9')).toMatchObject({ shared: 3 })
    // So the address is as free as before for others.
    expect((await tollgate.consume({ subject: 'v', ...ask })).allowed).toBe(true)
  })

  it('that an address refuses is not counted for anybody, and says whose limit it was', async () => {
    const { tollgate, used, ask, clock } = make()
    for (let i = 0; i < 4; i++) {
      await tollgate.consume({ subject: `other${i}`, ...ask })
      clock.advance(2000)
    }
    const refused = await tollgate.reserve({ subject: 'u', ...ask })
    expect(refused.violations.map(({ limit, subject }) => [limit, subject])).toEqual([['flood', 'ip:203.0.113.7']])
    expect(refused.retryAfterMs).toBe(60_000 - 8000)
    expect(await used('u')).toEqual({ daily: 0, tokens: 0, parallel: 0 })
    expect(await used('team:9')).toMatchObject({ shared: 4 })
    // Those after it are only looked at, so that the answer tells all that is in the way.
    for (let i = 0; i < 3; i++) await tollgate.consume({ subject: 'u' })
    expect((await tollgate.reserve({ subject: 'u', ...ask })).violations.map(({ limit }) => limit).toSorted()).toEqual(['daily', 'flood'])
  })

  it('is checked without a trace', async () => {
    const { tollgate, used, ask } = make()
    expect((await tollgate.check({ subject: 'u', ...ask })).allowed).toBe(true)
    for (const subject of ['u', 'ip:203.0.113.7', 'team:9']) expect(Object.values(await used(subject)).every((count) => count === 0)).toBe(true)
  })

  it('is settled for all by one id', async () => {
    const { tollgate, used, ask } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u', ...ask })
    expect(await used('u')).toEqual({ daily: 1, tokens: 7, parallel: 1 })
    await reservation!.commit({ amounts: { tokens: 3, requests: 2 } })
    expect(await used('u')).toEqual({ daily: 2, tokens: 3, parallel: 0 })
    expect(await used('team:9')).toMatchObject({ shared: 2 })
    const second = await tollgate.reserve({ subject: 'u', ...ask, dimensions: { world: 'w2' } })
    await second.reservation!.release()
    expect(await used('u')).toEqual({ daily: 2, tokens: 3, parallel: 0 })
    expect(await used('team:9')).toMatchObject({ shared: 2 })
  })

  it('is extended for all by one id', async () => {
    const { tollgate, used, ask, clock } = make()
    const { reservation } = await tollgate.reserve({ subject: 'u', ...ask, ttlMs: 1000 })
    clock.advance(999)
    await tollgate.extend(reservation!.id, { ttlMs: 5000 })
    clock.advance(4999)
    expect([await used('u'), await used('team:9')]).toMatchObject([{ parallel: 1 }, { shared: 1 }])
    clock.advance(1)
    expect([await used('u'), await used('team:9')]).toMatchObject([{ parallel: 0 }, { shared: 0 }])
  })

  it('gives capacity back for all by one id', async () => {
    const { tollgate, used, ask } = make()
    const decision = await tollgate.consume({ subject: 'u', ...ask, operation: 'seat' })
    expect(await used('team:9')).toMatchObject({ seats: 1 })
    expect(await tollgate.release(decision.reservation!.id)).toMatchObject({ status: 'released', subject: 'u' })
    expect(await used('team:9')).toMatchObject({ seats: 0, shared: 1 })
    await expect(tollgate.release(decision.reservation!.id)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect(await used('team:9')).toMatchObject({ seats: 0, shared: 1 })
  })

  it('that breaks off leaves nothing counted', async () => {
    const { tollgate, used, ask, store } = make()
    await expect(tollgate.consume({ subject: 'u', ...ask, plan: 'none' as 'free' })).rejects.toMatchObject({ code: 'UNKNOWN_PLAN' })
    await expect(tollgate.consume({ subject: 'u', ...ask, dimensions: {} })).rejects.toMatchObject({ code: 'MISSING_DIMENSION' })
    store.script.push('answers', 'hangs')
    const giveUp = new AbortController()
    const asked = tollgate.consume({ subject: 'u', ...ask, signal: giveUp.signal })
    await new Promise((resolve) => setImmediate(resolve))
    giveUp.abort()
    await expect(asked).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await used('ip:203.0.113.7')).toEqual({ flood: 0, burst: 0 })
    expect(await used('u')).toEqual({ daily: 0, tokens: 0, parallel: 0 })
  })

  it('takes each subject once, and at most eight others', async () => {
    const { tollgate } = make()
    for (const also of [['u'], ['a', 'a'], ['a', { subject: 'a' }], Array.from({ length: 9 }, (_, i) => `s${i}`), [''], [5], 'ip:1', [null]]) {
      await expect(tollgate.consume({ subject: 'u', also: also as string[] })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    }
    expect((await tollgate.consume({ subject: 'u', also: [{ subject: 'group:1', plan: 'free' }] })).allowed).toBe(true)
  })

  it('is announced once, as what was asked for', async () => {
    const { tollgate, ask } = make()
    const seen: string[] = []
    tollgate.on('decision', ({ action, decision, request }) => seen.push(`${action} ${request.subject} ${decision.limits.length}`))
    await tollgate.consume({ subject: 'u', ...ask })
    expect(seen).toEqual(['consume u 7'])
  })
})
