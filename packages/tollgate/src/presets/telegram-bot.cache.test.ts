import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { controlledClock } from '../testing/clock.ts'
import { REDIS_CLIENTS } from '../testing/redis-clients.ts'
import { redisUrl, uniquePrefix } from '../testing/redis-servers.ts'
import { CacheManager } from './telegram-bot/cache-manager.ts'
import { type RedisClient, redisConnection, type Send } from './telegram-bot/redis-client.ts'

interface Opened {
  readonly client: RedisClient
  close(): Promise<unknown>
}

const CLIENTS: Record<string, () => Promise<Opened>> = REDIS_CLIENTS

/** A busy machine is no lost Redis. */
const PATIENT = { timeoutMs: 10_000 }

/** A promise, and what resolves it. */
function later<T>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => (resolve = done))
  return { promise, resolve }
}

function cacheOf(client: RedisClient, options = {}) {
  const prefix = uniquePrefix()
  const { send } = redisConnection(client)
  const errors: unknown[] = []
  const cache = new CacheManager(client, prefix, 60, { ...PATIENT, onError: (error) => errors.push(error), ...options })
  const ask: Send = (args) => send(args, args[1])
  return { prefix, cache, errors, ask }
}

describe.each(Object.entries(CLIENTS))('a cache on %s', (_, open) => {
  let client: RedisClient
  let close: () => Promise<unknown>
  beforeAll(async () => ({ client, close } = await open()))
  afterAll(() => close())

  it('keeps values for their TTL, one by one and many at once', async () => {
    const { cache, errors, prefix, ask } = cacheOf(client)
    expect(await cache.get('a')).toBeNull()
    expect(await cache.getTtl('a')).toBeNull()
    expect(await cache.set('a', { n: 1, text: 'ñ\n"' })).toBe(true)
    expect(await cache.get('a')).toEqual({ n: 1, text: 'ñ\n"' })
    expect(await cache.getTtl('a')).toBe(60)
    expect(await ask(['GET', `${prefix}a`])).toBe(JSON.stringify({ n: 1, text: 'ñ\n"' }))
    expect(await cache.mset({ b: false, c: 0, d: '' }, 5)).toBe(true)
    expect(await cache.mget(['d', 'nothing', 'b', 'c', 'a'])).toEqual(['', null, false, 0, { n: 1, text: 'ñ\n"' }])
    expect(await cache.getTtl('b')).toBe(5)
    expect(await cache.extendTtl('b', 4)).toBe(true)
    expect(await cache.getTtl('b')).toBe(5)
    expect(await cache.extendTtl('b', 9)).toBe(true)
    expect(await cache.getTtl('b')).toBe(9)
    expect(await cache.extendTtl('nothing', 9)).toBe(false)
    expect(await cache.delete('a')).toBe(true)
    expect(await cache.get('a')).toBeNull()
    expect(await cache.mget([])).toEqual([])
    expect(await cache.mset(Array.from({ length: 1200 }, (_, i) => [`many${i}`, i] as const))).toBe(true)
    expect(await cache.mget(['many0', 'many499', 'many500', 'many1199'])).toEqual([0, 499, 500, 1199])
    expect(errors).toEqual([])
  })

  it('fetches once for all who ask meanwhile, and not again while it is kept', async () => {
    const { cache, prefix, ask } = cacheOf(client)
    const answer = later<string>()
    let fetches = 0
    const ask3 = () => Promise.all([1, 2, 3].map(() => cache.getOrSet('k', () => (fetches++, answer.promise), 20)))
    const first = ask3()
    answer.resolve('found')
    expect(await first).toEqual(['found', 'found', 'found'])
    expect(await ask3()).toEqual(['found', 'found', 'found'])
    expect(fetches).toBe(1)
    expect(await cache.getTtl('k')).toBe(20)
    // Nothing found is not remembered, and leaves nothing behind.
    expect(await cache.getOrSet('none', () => null)).toBeNull()
    expect(await cache.getOrSet('none', () => undefined)).toBeUndefined()
    expect(await ask(['EXISTS', `${prefix}none`])).toBe(0)
  })

  it('a failed fetch is the failure of those who waited for it; who comes next fetches anew', async () => {
    const { cache, prefix, ask } = cacheOf(client)
    const failing = () => Promise.reject(new Error('no database'))
    const both = await Promise.allSettled([cache.getOrSet('k', failing), cache.getOrSet('k', () => 'never asked')])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await ask(['EXISTS', `${prefix}k`])).toBe(0)
    expect(await cache.getOrSet('k', () => 'found')).toBe('found')
    expect(await cache.get('k')).toBe('found')
  })

  it.each<[string, (cache: CacheManager) => Promise<unknown>, unknown]>([
    ['delete', (cache) => cache.delete('user:1'), null],
    ['set', (cache) => cache.set('user:1', 'newest'), 'newest'],
    ['update', (cache) => cache.update('user:1', () => 'changed'), null],
    ['invalidateByTag', (cache) => cache.invalidateByTag('users'), null],
    ['invalidateByPattern', (cache) => cache.invalidateByPattern('user:*'), null],
    ['bury', (cache) => cache.bury('user:1'), null],
  ])('%s while a fetch is under way wins, here and in another process', async (_, invalidate, left) => {
    for (const isElsewhere of [false, true]) {
      const { cache, prefix } = cacheOf(client)
      const elsewhere = new CacheManager(client, prefix, 60, PATIENT)
      const [started, answer] = [later<void>(), later<string>()]
      const old = cache.getOrSet('user:1', () => (started.resolve(), answer.promise), 60, ['users'])
      await started.promise
      await invalidate(isElsewhere ? elsewhere : cache)
      // Who asks now gets what is true now, even where the old fetch is not back yet.
      if (!isElsewhere) expect(await cache.getOrSet('user:1', () => 'new', 60, ['users'])).toBe(left ?? 'new')
      answer.resolve('old')
      expect(await old).toBe('old')
      expect(await cache.get('user:1')).toBe(left ?? (isElsewhere ? null : 'new'))
    }
  })

  it('of two processes that fetch at once the first stores, and nobody waits for the other', async () => {
    const { cache, prefix } = cacheOf(client)
    const elsewhere = new CacheManager(client, prefix, 60, PATIENT)
    const [started, answer] = [later<void>(), later<string>()]
    const first = cache.getOrSet('k', () => (started.resolve(), answer.promise))
    await started.promise
    expect(await elsewhere.getOrSet('k', () => 'second')).toBe('second')
    expect(await elsewhere.get('k')).toBeNull()
    expect(await elsewhere.getTtl('k')).toBeNull()
    // Nor does one that has just found nothing, which it learns where it would begin.
    const late = () => new CacheManager({ call: async (command, args) => (command === 'GET' ? null : redisConnection(client).send([command, ...args], args[2])) }, prefix, 60, PATIENT)
    expect(await late().getOrSet('k', () => 'third')).toBe('third')
    answer.resolve('first')
    await first
    expect(await elsewhere.get('k')).toBe('first')
    expect(await late().getOrSet('k', () => 'fourth')).toBe('first')
  })

  it('invalidates by tag what has it, whatever else it has, and tags end with their entries', async () => {
    const { cache, prefix, ask } = cacheOf(client)
    await cache.set('a', 1, 30, ['odd', 'small'])
    await cache.mset({ b: 2, d: 4 }, 40, ['even'])
    await cache.set('c', 3, 10, ['odd'])
    await cache.getOrSet('e', () => 5, 20, ['odd'])
    expect(await cache.mget(['a', 'b', 'c', 'd', 'e'])).toEqual([1, 2, 3, 4, 5])
    expect(Number(await ask(['PTTL', `${prefix}#odd`]))).toBeGreaterThan(29_000)
    expect(Number(await ask(['PTTL', `${prefix}#odd`]))).toBeLessThanOrEqual(30_000)
    expect(await cache.extendTtl('a', 50)).toBe(true)
    for (const tag of ['odd', 'small']) expect(Number(await ask(['PTTL', `${prefix}#${tag}`]))).toBeGreaterThan(49_000)
    expect(await cache.invalidateByTag('odd')).toBe(3)
    expect(await cache.mget(['a', 'b', 'c', 'd', 'e'])).toEqual([null, 2, null, 4, null])
    expect(await cache.invalidateByTag('odd')).toBe(0)
    // What is set for shorter does not make the tag end before others.
    await cache.set('c', 3, 5, ['odd'])
    expect(Number(await ask(['PTTL', `${prefix}#odd`]))).toBeGreaterThan(49_000)
    expect(Number(await ask(['ZSCORE', `${prefix}#odd`, `${prefix}a`])) - Number(await ask(['ZSCORE', `${prefix}#odd`, `${prefix}c`]))).toBeGreaterThan(30_000)
    await cache.set('a', 1, 5, ['odd'])
    expect(Number(await ask(['PTTL', `${prefix}#odd`]))).toBeGreaterThan(49_000)
    // What ended goes from the set with the next that comes.
    await ask(['ZADD', `${prefix}#even`, '1', `${prefix}gone`])
    await cache.set('f', 6, 10, ['even'])
    expect(await ask(['ZCARD', `${prefix}#even`])).toBe(3)
    expect(await cache.invalidateByTag('even')).toBe(3)
  })

  it('invalidates by pattern what matches, with wildcards in prefixes and keys taken as they are', async () => {
    const { send } = redisConnection(client)
    const base = uniquePrefix()
    const errors: unknown[] = []
    const options = { ...PATIENT, onError: (error: unknown) => errors.push(error) }
    const wild = new CacheManager(client, String.raw`${base}[a]*?\x`, 60, options)
    const tame = new CacheManager(client, String.raw`${base}aa-b\x`, 60, options)
    await wild.mset({ 'user:1': 1, 'user:2': 2, 'user:*': 3, 'plan:1': 4 }, 60, ['all'])
    await tame.set('user:1', 'of somebody else')
    expect(await wild.invalidateByPattern(String.raw`user:\*`)).toBe(1)
    expect(await wild.mget(['user:1', 'user:2', 'user:*', 'plan:1'])).toEqual([1, 2, null, 4])
    expect(await wild.invalidateByPattern('user:[1]')).toBe(1)
    expect(await wild.invalidateByPattern('user:?')).toBe(1)
    expect(await wild.invalidateByPattern('*')).toBe(1)
    expect(await tame.get('user:1')).toBe('of somebody else')
    expect(await send(['EXISTS', String.raw`${base}[a]*?\x:#all`], String.raw`${base}[a]*?\x:#all`)).toBe(1)
    await tame.mset(Array.from({ length: 1500 }, (_, i) => [`many:${i}`, i] as const))
    expect(await tame.invalidateByPattern('many:*')).toBe(1500)
    expect(errors).toEqual([])
  })

  it('takes rubbish for a miss, and puts an entry in its place', async () => {
    const { cache, prefix, ask } = cacheOf(client)
    for (const rubbish of ['', '{"n":', 'undefined', '!lost', '1\n{}', '1\n[2]', '1\nx']) {
      await ask(['SET', `${prefix}k`, rubbish])
      expect(await cache.get('k')).toBeNull()
      expect(await cache.extendTtl('k')).toBe(false)
      expect(await cache.getOrSet('k', () => 'found')).toBe('found')
      expect(await cache.get('k')).toBe('found')
      expect(await cache.getTtl('k')).toBe(60)
    }
    await ask(['DEL', `${prefix}k`])
    await ask(['RPUSH', `${prefix}k`, 'a list'])
    expect(await cache.get('k')).toBeNull()
    expect(await cache.getOrSet('k', () => 'found')).toBe('found')
    expect(await cache.set('k', 'ours')).toBe(true)
    expect(await cache.get('k')).toBe('ours')
  })

  it('takes for a miss what is not what was looked for, stores what it is told to, and tells when it has', async () => {
    const { cache } = cacheOf(client)
    const hooks = { accepts: (cached: unknown): cached is number => typeof cached === 'number', toStored: (n: number) => (n > 0 ? n * 10 : undefined), onStored: async (n: number) => stored.push(n) }
    const stored: number[] = []
    await cache.set('k', 'text')
    expect(await cache.getOrSet<number>('k', () => -1, 60, [], hooks)).toBe(-1)
    expect(await cache.getOrSet<number>('k', () => 1, 60, [], hooks)).toBe(1)
    expect(await cache.getOrSet<number>('k', () => 2, 60, [], hooks)).toBe(10)
    expect(stored).toEqual([1])
  })

  it('adds where nothing is and nothing was buried; a fetch begun later is stored all the same', async () => {
    const { cache } = cacheOf(client)
    expect(await cache.add('k', 1)).toBe(true)
    expect(await cache.add('k', 2)).toBe(false)
    expect(await cache.bury('k')).toEqual({ isBuried: true, was: 1 })
    expect(await cache.bury('k')).toEqual({ isBuried: true, was: null })
    expect(await cache.get('k')).toBeNull()
    expect(await cache.getTtl('k')).toBeNull()
    expect(await cache.add('k', 3)).toBe(false)
    expect(await cache.update('k', () => 4)).toBe(false)
    expect(await cache.add('k', 5)).toBe(false)
    expect(await cache.getOrSet('k', () => 6)).toBe(6)
    expect(await cache.get('k')).toBe(6)
    expect(await cache.update<number>('k', (n) => n + 1)).toBe(true)
    expect(await cache.get('k')).toBe(7)
    expect(await cache.getTtl('k')).toBe(60)
  })
})

describe('without Redis', () => {
  const lost: Record<string, Record<string, unknown>> = {
    'always fails': { call: () => Promise.reject(new Error('connection lost')) },
    'fails at once': { call: () => { throw new Error('connection lost') } },
    'fails too (node-redis)': { sendCommand: () => Promise.reject(new Error('connection lost')) },
    'never answers': { call: () => new Promise(() => {}) },
    'is reconnecting (ioredis)': { call: () => new Promise(() => {}), status: 'reconnecting' },
    'is reconnecting (node-redis)': { sendCommand: () => new Promise(() => {}), isReady: false },
    'answers nonsense': { call: async () => ({}) },
  }

  it.each(Object.entries(lost))('%s: every read is a miss, the fetch is used, and nothing throws', async (_, client) => {
    const clock = controlledClock()
    const { cache } = cacheOf(client as never, { timeoutMs: 50, clock, onError: () => { throw new Error('the log is full') } })
    const during = async <T>(work: Promise<T>): Promise<T> => {
      const state = { isDone: false }
      void work.finally(() => (state.isDone = true))
      // As if each command took all its time.
      for (let i = 0; !state.isDone && i < 1000; i++) {
        await new Promise((resolve) => setImmediate(resolve))
        if (clock.nextTimerMs() !== undefined) clock.advance(50)
      }
      expect(state.isDone).toBe(true)
      return work
    }
    expect(await during(cache.get('k'))).toBeNull()
    expect(await during(cache.mget(['k', 'l']))).toEqual([null, null])
    expect(await during(cache.getTtl('k'))).toBeNull()
    expect(await during(cache.extendTtl('k'))).toBe(false)
    expect(await during(cache.set('k', 1, 10, ['tag']))).toBe(false)
    expect(await during(cache.add('k', 1))).toBe(false)
    expect(await during(cache.update('k', () => 2))).toBe(false)
    expect(await during(cache.delete('k'))).toBe(false)
    expect(await during(cache.bury('k'))).toMatchObject({ was: null })
    expect(await during(cache.invalidateByTag('tag'))).toBe(0)
    expect(await during(cache.invalidateByPattern('*'))).toBe(0)
    let fetches = 0
    const three = [1, 2, 3].map(() => cache.getOrSet('k', async () => ++fetches, 10, ['tag']))
    expect(await during(Promise.all(three))).toEqual([1, 1, 1])
    expect(await during(cache.getOrSet('k', async () => ++fetches))).toBe(2)
  })

  it('a read takes no longer than its deadline, and is not even sent while the client is not connected', async () => {
    const clock = controlledClock()
    const sent: unknown[] = []
    const hanging = { status: 'ready', call: (...command: unknown[]) => (sent.push(command), new Promise(() => {})) }
    const errors: unknown[] = []
    const cache = new CacheManager(hanging as never, 'p', 60, { clock, onError: (error) => errors.push(error) })
    const read = cache.get('k')
    await Promise.resolve()
    expect(clock.nextTimerMs()).toBe(50)
    clock.advance(50)
    expect(await read).toBeNull()
    expect(errors).toMatchObject([{ code: 'STORE_UNAVAILABLE', message: 'the cache: Redis is unavailable: no answer within 50 ms' }])
    hanging.status = 'reconnecting'
    sent.length = 0
    expect(await cache.get('k')).toBeNull()
    expect(sent).toEqual([])
    // What deletes is: the client delivers it when it is back. And so is what cannot be written.
    expect(await cache.delete('k')).toBe(false)
    expect(await cache.set('l', 1)).toBe(false)
    expect(sent).toEqual([['UNLINK', ['p:k']], ['UNLINK', ['p:l']]])
  })

  it('what could not be deleted is not stored by a fetch that began before', async () => {
    const client = new Redis(await redisUrl())
    const broken = { call: (command: string, args: string[]) => (command === 'UNLINK' ? Promise.reject(new Error('connection lost')) : client.call(command, args)) }
    const { cache } = cacheOf(broken)
    const [started, answer] = [later<void>(), later<string>()]
    const old = cache.getOrSet('k', () => (started.resolve(), answer.promise))
    await started.promise
    expect(await cache.delete('k')).toBe(false)
    answer.resolve('old')
    await old
    expect(await cache.get('k')).toBeNull()
    await client.quit()
  })

  it('is back as soon as Redis is', async () => {
    const client = new Redis(await redisUrl())
    const { cache } = cacheOf(client)
    await cache.set('k', 'before')
    client.disconnect()
    await expect.poll(() => client.status).toBe('end')
    expect(await cache.getOrSet('k', () => 'from the database')).toBe('from the database')
    await client.connect()
    expect(await cache.get('k')).toBe('before')
    await client.quit()
  })
})

describe('what is refused', () => {
  const cache = new CacheManager({ call: async () => null }, 'p')

  it.each<[string, () => unknown, string]>([
    ['a client of no kind', () => new CacheManager({} as never), 'INVALID_DEFINITION'],
    ['no client', () => new CacheManager(null as never), 'INVALID_DEFINITION'],
    ['an empty prefix', () => new CacheManager({ call: async () => null }, ''), 'INVALID_REQUEST'],
    ['a TTL of nothing', () => new CacheManager({ call: async () => null }, 'p', 0), 'INVALID_REQUEST'],
    ['a TTL in parts of a second', () => cache.set('k', 1, 0.5), 'INVALID_REQUEST'],
    ['a TTL of more than a year', () => cache.getOrSet('k', () => 1, 31_536_001), 'INVALID_REQUEST'],
    ['an empty key', () => cache.get(''), 'INVALID_REQUEST'],
    ['a key like a tag', () => cache.delete('#tag'), 'INVALID_REQUEST'],
    ['an empty tag', () => cache.getOrSet('k', () => 1, 1, ['']), 'INVALID_REQUEST'],
    ['a value that is no JSON', () => cache.set('k', 1n), 'INVALID_REQUEST'],
    ['no value', () => cache.set('k', undefined), 'INVALID_REQUEST'],
  ])('%s', async (_, act, code) => {
    await expect((async () => act())()).rejects.toMatchObject({ code })
  })

  it('but a fetched value that is no JSON reaches who fetched it', async () => {
    const errors: unknown[] = []
    const client = new Redis(await redisUrl())
    const cache = new CacheManager(client, uniquePrefix(), 60, { ...PATIENT, onError: (error) => errors.push(error) })
    expect(await cache.getOrSet('k', () => 1n)).toBe(1n)
    expect(errors).toMatchObject([{ message: expect.stringContaining('JSON') }])
    await client.quit()
  })
})

describe('with a key prefix of the client', () => {
  it('finds its own keys by pattern and by tag', async () => {
    const client = new Redis(await redisUrl(), { keyPrefix: `*${uniquePrefix()}` })
    const { cache } = cacheOf(client)
    await cache.mset({ 'a:1': 1, 'a:2': 2, b: 3 }, 60, ['all'])
    expect(await cache.invalidateByPattern('a:*')).toBe(2)
    expect(await cache.mget(['a:1', 'a:2', 'b'])).toEqual([null, null, 3])
    expect(await cache.invalidateByTag('all')).toBe(1)
    await client.quit()
  })
})
