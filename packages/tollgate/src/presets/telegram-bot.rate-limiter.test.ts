import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryStore } from '../stores/memory/index.ts'
import { controlledClock } from '../testing/clock.ts'
import { REDIS_CLIENTS } from '../testing/redis-clients.ts'
import { uniquePrefix } from '../testing/redis-servers.ts'
import { OperationType, RateLimiter, SubscriptionTier } from './telegram-bot.ts'

const START_AT = Date.UTC(2027, 0, 31, 12)
const { CHATGPT_MESSAGE: chat, IMAGE_GENERATION: image } = OperationType

type Client = ConstructorParameters<typeof RateLimiter>[0]

interface Opened {
  readonly client: Client
  close(): Promise<unknown>
}

const CLIENTS: Record<string, () => Promise<Opened>> = REDIS_CLIENTS

describe.each(Object.entries(CLIENTS))('limits in Redis by %s', (_, open) => {
  let client: Client
  let close: () => Promise<unknown>
  beforeAll(async () => ({ client, close } = await open()))
  afterAll(() => close())

  const limiterOf = (options = {}) => {
    const clock = controlledClock(START_AT)
    const prefix = uniquePrefix()
    const made = { clock, prefix, timeoutMs: 60_000, ...options }
    return { clock, limiter: new RateLimiter(client, made), other: new RateLimiter(client, made) }
  }

  it.each([
    [SubscriptionTier.Gift, 10, 3],
    [SubscriptionTier.Professional, 50, 10],
    [SubscriptionTier.Business, 100, 20],
  ])('%s: %i a minute, %i a second, exactly, however many ask at once', async (tier, perMinute, perSecond) => {
    const { clock, limiter, other } = limiterOf()
    const admitted = async () => {
      const results = await Promise.all(Array.from({ length: 24 }, (_, i) => (i % 2 ? limiter : other).checkLimit('7', tier, chat)))
      return results.filter(({ allowed }) => allowed).length
    }
    expect(await admitted()).toBe(perSecond)
    let total = perSecond
    for (let second = 1; second < 60; second++) {
      clock.advance(1000)
      total += await admitted()
    }
    expect(total).toBe(perMinute)
    // The window slides: what came a minute ago makes room, not all at once.
    clock.advanceTo(START_AT + 60_000)
    expect(await admitted()).toBe(perSecond)
    expect(await limiter.checkLimit('7', tier, chat)).toMatchObject({ allowed: false, remaining: 0, limit: perMinute })
  })

  it('tells what is left, and when the same request passes', async () => {
    const { clock, limiter } = limiterOf()
    const at = (ms: number) => new Date(START_AT + ms)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toEqual({ allowed: true, remaining: 9, limit: 10, resetAt: at(60_000) })
    await limiter.checkLimit('7', 'Gift', chat)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: true, remaining: 7 })
    // Three a second are one each 333 ⅓ ms.
    expect(await limiter.checkLimit('7', 'Gift', chat)).toEqual({ allowed: false, remaining: 7, limit: 10, resetAt: at(334), retryAfter: 1 })
    clock.advance(333)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: false })
    clock.advance(1)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: true, remaining: 6 })
    for (let i = 0; i < 6; i++) {
      clock.advance(1000)
      await limiter.checkLimit('7', 'Gift', chat)
    }
    clock.advance(1000)
    // The first of them leaves the window a minute after it came.
    expect(await limiter.checkLimit('7', 'Gift', chat)).toEqual({ allowed: false, remaining: 0, limit: 10, resetAt: at(60_000), retryAfter: 53 })
    clock.advanceTo(START_AT + 59_999)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: false, retryAfter: 1 })
    clock.advance(1)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: true, remaining: 2 })
  })

  it('one operation, or one user, leaves the others alone; a reset forgets one of them, or all', async () => {
    const { limiter } = limiterOf({ operations: ['voice'] })
    const remaining = async (userId: string, operation?: string) => (await limiter.checkLimit(userId, 'Gift', operation)).remaining
    for (let i = 0; i < 3; i++) await limiter.checkLimit('7', 'Gift', chat)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: false })
    for (const operation of [image, OperationType.SORA_IMAGE, 'voice', undefined]) expect(await remaining('7', operation)).toBe(9)
    expect(await remaining('8', chat)).toBe(9)
    expect(await limiter.reset('7', chat)).toBe(true)
    expect(await remaining('7', chat)).toBe(9)
    expect(await remaining('7', image)).toBe(8)
    expect(await limiter.reset('7')).toBe(true)
    for (const operation of [chat, image, 'voice', undefined]) expect(await remaining('7', operation)).toBe(9)
    expect(await remaining('8', chat)).toBe(8)
  })

  it('an operation and a user have counters that no others have, whatever colons are in their names', async () => {
    const { limiter } = limiterOf({ operations: ['voice', 'voice:vip'] })
    const remaining = async (userId: string, operation?: string) => (await limiter.checkLimit(userId, 'Gift', operation)).remaining
    expect(await remaining('vip:7', 'voice')).toBe(9)
    expect(await remaining('7', 'voice:vip')).toBe(9)
    expect(await remaining('7')).toBe(9)
    expect(await remaining('vip:7', 'voice')).toBe(8)
  })

  it('what was used counts on under a better tier', async () => {
    const { limiter } = limiterOf()
    for (let i = 0; i < 3; i++) await limiter.checkLimit('7', 'Gift', chat)
    expect(await limiter.checkLimit('7', 'Business', chat)).toMatchObject({ limit: 100, remaining: 97, allowed: false, retryAfter: 1 })
  })
})

describe('without Redis', () => {
  it.each<[string, () => unknown]>([
    ['fails', () => Promise.reject(new Error('connection lost'))],
    ['fails at once', () => { throw new Error('connection lost') }],
    ['never answers', () => new Promise(() => {})],
  ])('that %s, this process counts by itself, and nothing throws', async (_, answer) => {
    const clock = controlledClock(START_AT)
    let degraded = 0
    const limiter = new RateLimiter({ call: answer, callBuffer: answer } as never, { clock, onDegraded: () => degraded++ })
    const checked = async () => {
      const result = limiter.checkLimit('7', 'Gift', chat)
      // As if Redis took all the time it has.
      await new Promise((resolve) => setImmediate(resolve))
      clock.advance(50)
      return result
    }
    const results = []
    for (let i = 0; i < 4; i++) results.push(await checked())
    expect(results.map(({ allowed }) => allowed)).toEqual([true, true, true, false])
    expect(results[3]).toMatchObject({ remaining: 7, limit: 10, retryAfter: 1 })
    expect(degraded).toBe(4)
    const reset = limiter.reset('7')
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(50)
    expect(await reset).toBe(false)
  })

  it('that is not there from the start, too', async () => {
    const client = new Redis({ host: '127.0.0.1', port: 1, lazyConnect: true, retryStrategy: () => null })
    client.on('error', () => {})
    const limiter = new RateLimiter(client)
    expect(await limiter.checkLimit('7', 'Gift', chat)).toMatchObject({ allowed: true, remaining: 9 })
    client.disconnect()
  })
})

describe('what is refused', () => {
  const limiter = new RateLimiter(undefined as never, { store: new MemoryStore() })

  it.each<[string, () => unknown, string]>([
    ['an unknown tier', () => limiter.checkLimit('7', 'Silver' as never), 'UNKNOWN_PLAN'],
    ['an unknown operation', () => limiter.checkLimit('7', 'Gift', 'chatgpt'), 'UNKNOWN_OPERATION'],
    ['to reset an unknown operation', () => limiter.reset('7', 'chatgpt'), 'UNKNOWN_OPERATION'],
    ['an operation of too many characters', () => new RateLimiter(undefined as never, { store: new MemoryStore(), operations: ['o'.repeat(49)] }), 'INVALID_DEFINITION'],
  ])('%s', async (_, act, code) => {
    await expect((async () => act())()).rejects.toMatchObject({ code })
  })

  it.each([0, 201, 253, 256, 257])('a user id of %i characters, by its name', async (characters) => {
    const userId = 'u'.repeat(characters)
    for (const act of [() => limiter.checkLimit(userId, 'Gift', image), () => limiter.reset(userId)]) await expect(act()).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'userId' })
  })

  it('no user id of up to 200 characters, for any operation', async () => {
    const longest = new RateLimiter(undefined as never, { store: new MemoryStore(), operations: ['o'.repeat(48)] })
    expect(await longest.checkLimit('u'.repeat(200), 'Gift', 'o'.repeat(48))).toMatchObject({ allowed: true })
  })
})
