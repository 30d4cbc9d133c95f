import { describe, expect, it } from 'vitest'
import { duplicates, quota } from '../define/limits.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import { controlledClock } from '../testing/clock.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { type CommonOptions, createTollgate } from './create.ts'
import { Receipts, type ReceiptStore } from './receipts.ts'
import type { Decision } from './types.ts'

const DAY_MS = 86_400_000
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function make(options: CommonOptions = {}) {
  const clock = controlledClock(Date.UTC(2026, 4, 20, 12))
  const limits = { daily: quota({ limit: 3, every: '30d', meter: 'tokens' }), requests: quota({ limit: 3, every: '30d', onFailure: 'closed' }), spam: duplicates({ limit: 5, window: '1h' }) }
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits } }, defaultPlan: 'free', clock, ...options })
  const used = async (): Promise<number> => (await tollgate.usage('u')).limits[1]!.used
  return { clock, tollgate, used }
}

describe('a request with an idempotency key', () => {
  it('that comes again gets the first answer, and is counted once', async () => {
    const { tollgate, used, clock } = make()
    const first = await tollgate.consume({ subject: 'u', idempotencyKey: 'k1', amounts: { tokens: 1 } })
    clock.advance(DAY_MS - 1)
    expect(await tollgate.consume({ amounts: { tokens: 1 }, idempotencyKey: 'k1', subject: 'u' })).toEqual(first)
    expect(await used()).toBe(1)
    clock.advance(1)
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k1', amounts: { tokens: 1 } })).decidedAt).toBe(clock.now())
    expect(await used()).toBe(2)
  })

  it('reserves once: the second caller settles the first one\'s reservation', async () => {
    const { tollgate, used } = make()
    const [first, second] = [await tollgate.reserve({ subject: 'u', idempotencyKey: 'k1' }), await tollgate.reserve({ subject: 'u', idempotencyKey: 'k1' })]
    expect(second.reservation!.id).toBe(first.reservation!.id)
    await second.reservation!.commit()
    await expect(first.reservation!.commit()).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect(await used()).toBe(1)
  })

  it('with another body is a conflict, whatever differs', async () => {
    const { tollgate } = make()
    const request = { subject: 'u', idempotencyKey: 'k1', amounts: { tokens: 1 }, content: 'hello' }
    await tollgate.consume(request)
    for (const other of [{ subject: 'v' }, { amounts: { tokens: 2 } }, { amounts: {} }, { content: 'hello!' }, { plan: 'free' as const }, { ttlMs: 5 }]) {
      await expect(tollgate.consume({ ...request, ...other })).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT', status: 409, field: 'idempotencyKey' })
    }
    expect((await tollgate.consume({ ...request, signal: new AbortController().signal })).allowed).toBe(true)
  })

  it('is apart from the same key in another call', async () => {
    const { tollgate, used } = make()
    await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })
    await tollgate.reserve({ subject: 'u', idempotencyKey: 'k1' })
    expect(await used()).toBe(2)
    // A check writes nothing, so it is decided each time.
    expect((await tollgate.check({ subject: 'u', idempotencyKey: 'k1' })).limits[1]!.used).toBe(2)
    await tollgate.consume({ subject: 'u', idempotencyKey: 'k2' })
    expect((await tollgate.check({ subject: 'u', idempotencyKey: 'k1' })).limits[1]!.used).toBe(3)
  })

  it('a denial is an answer, and stays one', async () => {
    const { tollgate } = make()
    for (let i = 0; i < 3; i++) await tollgate.consume({ subject: 'u' })
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).allowed).toBe(false)
    await tollgate.reset('u')
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).allowed).toBe(false)
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k2' })).allowed).toBe(true)
  })

  it('an error is none, so the key is free again', async () => {
    const store = new ScriptedStore(new MemoryStore())
    const { tollgate, used } = make({ store })
    store.script.push('fails')
    await expect(tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).allowed).toBe(true)
    expect(await used()).toBe(1)
    await expect(tollgate.consume({ subject: 'u', idempotencyKey: 'k3', amounts: { tokens: -1 } })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k3' })).allowed).toBe(true)
  })

  it('that is still under way is told so, and not counted twice', async () => {
    const store = new ScriptedStore(new MemoryStore())
    const { tollgate, used } = make({ store })
    store.script.push('hangs')
    const first = tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })
    await turn()
    await expect(tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS', status: 409, retryAfterMs: 1000 })
    await expect(tollgate.consume({ subject: 'v', idempotencyKey: 'k1' })).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
    store.wake()
    expect((await first).allowed).toBe(true)
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).allowed).toBe(true)
    expect(await used()).toBe(1)
  })

  it('of many at once, one is counted', async () => {
    const { tollgate, used } = make({ store: new ScriptedStore(new MemoryStore()) })
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })))
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(1)
    expect(await used()).toBe(1)
  })

  it('finds no room when as many are remembered as may be, and nothing is forgotten for it', async () => {
    const { tollgate, clock } = make({ maxReceipts: 2 })
    await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })
    clock.advance(1000)
    await tollgate.consume({ subject: 'u', idempotencyKey: 'k2' })
    await expect(tollgate.consume({ subject: 'u', idempotencyKey: 'k3' })).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: DAY_MS - 1000 })
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })).allowed).toBe(true)
    clock.advance(DAY_MS - 1000)
    expect((await tollgate.consume({ subject: 'u', idempotencyKey: 'k3' })).allowed).toBe(true)
  })

  it('gets a decision again even where answers are kept as JSON, and one of its own', async () => {
    const answers = new Map<string, string>()
    const receipts: ReceiptStore<Decision> = {
      async once(key, _, run) {
        const kept = answers.get(key)
        if (kept !== undefined) return { answer: JSON.parse(kept) as Decision, isReplay: true }
        const answer = await run()
        answers.set(key, JSON.stringify(answer))
        return { answer, isReplay: false }
      },
    }
    for (const option of [{ receipts }, {}]) {
      const { tollgate } = make(option)
      const ask = () => tollgate.reserve({ subject: 'u', idempotencyKey: 'k1' })
      const first = await ask()
      const again = await ask()
      expect(again.limits.map(({ max, remaining }) => [max, remaining])).toEqual(first.limits.map(({ max, remaining }) => [max, remaining]))
      again.allowed = false
      again.limits.length = 0
      const third = await ask()
      expect([third.allowed, third.limits.length]).toEqual([true, 3])
      await third.reservation!.commit()
      await expect(again.reservation!.release()).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    }
  })

  it('is another namespace\'s own', async () => {
    const clock = controlledClock()
    const receipts = new Receipts<Decision>(clock)
    const secret = 'a secret of sixteen bytes'
    const [a, b] = ['a', 'b'].map((namespace) => make({ store: new MemoryStore(), receipts, namespace, secret }))
    await a!.tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })
    await b!.tollgate.consume({ subject: 'u', idempotencyKey: 'k1' })
    expect([await a!.used(), await b!.used()]).toEqual([1, 1])
  })

  it('does not let a BigInt through', async () => {
    const { tollgate } = make()
    await expect(tollgate.consume({ subject: 'u', idempotencyKey: 'k1', amounts: { tokens: 5n as unknown as number } })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })

  it('must be a name', async () => {
    const { tollgate } = make()
    for (const idempotencyKey of ['', 'x'.repeat(257), 5 as unknown as string]) await expect(tollgate.consume({ subject: 'u', idempotencyKey })).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'idempotencyKey' })
  })
})
