import { batchesOf, CacheConnection, type CacheOptions, type Reply } from './cache-connection.ts'
import { entryText, parseEntry } from './cache-entry.ts'
import { CacheFetches, type FetchHooks, LEASE_MS } from './cache-fetches.ts'
import { CacheKeys, msOf } from './cache-keys.ts'
import { GRAVE, REPLACE } from './cache-scripts.ts'
import { CacheTags } from './cache-tags.ts'
import type { RedisClient } from './redis-client.ts'

type Entries = Readonly<Record<string, unknown>> | Iterable<readonly [key: string, value: unknown]>

/**
 * A cache in Redis that is never in the way. While Redis is away, too slow, or holds something else under a key, every read
 * is a miss, and nothing throws for that; `onError` hears of it. What was to be written and could not is deleted, as soon
 * as Redis can be told.
 *
 * Values are JSON: a `Date` comes back as text. Keys, tags and patterns are 1 … 256 characters; keys do not begin with '#'.
 * TTLs are whole seconds, 1 … 31,536,000 (a year). Anything else is refused with INVALID_REQUEST. Needs Redis 6.2.
 */
export class CacheManager {
  readonly #redis: CacheConnection
  readonly #keys: CacheKeys
  readonly #tags: CacheTags
  readonly #fetches: CacheFetches
  readonly #defaultTtlSeconds: number

  /**
   * @param redis a client, pool, sentinel or cluster of ioredis or node-redis; it stays its owner's to close
   * @param prefix what all keys begin with; a ':' follows unless it ends with one
   * @param defaultTtlSeconds for what is set without a TTL of its own
   * @throws INVALID_DEFINITION, INVALID_REQUEST
   */
  constructor(redis: RedisClient, prefix = 'cache', defaultTtlSeconds = 300, options: CacheOptions = {}) {
    msOf(defaultTtlSeconds, 'defaultTtlSeconds')
    this.#defaultTtlSeconds = defaultTtlSeconds
    this.#redis = new CacheConnection(redis, options)
    this.#keys = new CacheKeys(prefix)
    this.#tags = new CacheTags(this.#redis, this.#keys)
    this.#fetches = new CacheFetches(this.#redis, this.#tags)
  }

  async get<T>(key: string): Promise<T | null> {
    return (await this.mget<T>([key]))[0]!
  }

  /** In the order of the keys. */
  async mget<T>(keys: readonly string[]): Promise<(T | null)[]> {
    const found = await this.#redis.getAll(keys.map((key) => this.#keys.of(key)))
    return found.map((text) => (parseEntry(text)?.value ?? null) as T | null)
  }

  /** Returns whether it is stored. */
  set(key: string, value: unknown, ttlSeconds?: number, tags?: readonly string[]): Promise<boolean> {
    return this.mset([[key, value]], ttlSeconds, tags)
  }

  /** Returns whether all of them are stored. */
  async mset(entries: Entries, ttlSeconds = this.#defaultTtlSeconds, tags: readonly string[] = []): Promise<boolean> {
    const ttlMs = msOf(ttlSeconds)
    const pairs = Symbol.iterator in entries ? [...(entries as Iterable<readonly [string, unknown]>)] : Object.entries(entries)
    const texts = pairs.map(([key, value]) => [this.#keys.of(key), entryText(value, tags)] as const)
    let isStored = true
    for (const batch of batchesOf(texts)) isStored = (await this.#store(batch, ttlMs, tags)) && isStored
    return isStored
  }

  async #store(texts: readonly (readonly [name: string, text: string])[], ttlMs: number, tags: readonly string[]): Promise<boolean> {
    const names = texts.map(([name]) => name)
    for (const name of names) this.#fetches.shared.outdate(name)
    if (this.#redis.isReady && (await this.#tags.add(tags, names, ttlMs))) {
      const replies = await Promise.all(texts.map(([name, text]) => this.#redis.ask(['SET', name, text, 'PX', String(ttlMs)], name)))
      if (replies.every(isOk)) return true
    }
    // Not awaited: it comes after what may still be on its way.
    void this.#redis.remove(names)
    return false
  }

  /** Stores unless something is there, or was buried a moment ago. Returns whether it is stored. */
  async add(key: string, value: unknown, ttlSeconds = this.#defaultTtlSeconds): Promise<boolean> {
    const name = this.#keys.of(key)
    return isOk(await this.#redis.ask(['SET', name, entryText(value, []), 'NX', 'PX', String(msOf(ttlSeconds))], name))
  }

  /** Changes an entry and leaves its TTL. One that changes meanwhile goes, as does what is being fetched. Returns whether it was changed. */
  async update<T>(key: string, change: (value: T) => T): Promise<boolean> {
    const name = this.#keys.of(key)
    this.#fetches.shared.outdate(name)
    const text = await this.#redis.ask(['GET', name], name)
    const entry = parseEntry(text)
    if (entry && (await this.#redis.run(REPLACE, name, text as string, entryText(change(entry.value as T), entry.tags), '')) === 1) return true
    if (text !== null && text !== GRAVE) await this.#redis.remove([name])
    return false
  }

  /** Returns whether it is gone from Redis. If not, because Redis is away, it goes with its TTL at the latest. */
  async delete(key: string): Promise<boolean> {
    const name = this.#keys.of(key)
    this.#fetches.shared.outdate(name)
    return (await this.#redis.remove([name])) !== undefined
  }

  /**
   * Deletes, and keeps `add` from storing anything there for as long as a fetch may take, 30 s. Returns the entry that was
   * there, if any; `isBuried` is whether Redis could be told.
   */
  async bury(key: string): Promise<{ isBuried: boolean; was: unknown }> {
    const name = this.#keys.of(key)
    this.#fetches.shared.outdate(name)
    const text = await this.#redis.tell(['SET', name, GRAVE, 'GET', 'PX', String(LEASE_MS)], name)
    return { isBuried: text !== undefined, was: parseEntry(text)?.value ?? null }
  }

  /**
   * What is cached, or else what `fetch` finds, which is stored unless it is `null` or `undefined`. Callers of this process
   * share one fetch, its result (the same object) and its failure; who comes after a failure fetches anew.
   *
   * Whatever deletes or writes the key while it is being fetched wins, in whichever process: what was found is not stored,
   * and who comes from then on fetches anew (of other processes, once the fetch that they have under way is back). Nor is
   * it stored when the fetch takes longer than 30 s.
   */
  async getOrSet<T>(key: string, fetch: () => T | Promise<T>, ttlSeconds = this.#defaultTtlSeconds, tags: readonly string[] = [], hooks: FetchHooks<T> = {}): Promise<T> {
    for (const tag of tags) this.#keys.ofTag(tag)
    return this.#fetches.getOrFetch({ name: this.#keys.of(key), tags, ttlMs: msOf(ttlSeconds), fetch, hooks })
  }

  /** Seconds that are left, rounded up; `null` where there is no entry, or one of somebody else without an end. */
  async getTtl(key: string): Promise<number | null> {
    const name = this.#keys.of(key)
    const [first, leftMs] = await Promise.all([this.#redis.ask(['GETRANGE', name, '0', '0'], name), this.#redis.ask(['PTTL', name], name)])
    return first === '!' || typeof leftMs !== 'number' || leftMs < 0 ? null : Math.ceil(leftMs / 1000)
  }

  /** An entry lives on for at least so long from now. Returns whether there is one. */
  async extendTtl(key: string, ttlSeconds = this.#defaultTtlSeconds): Promise<boolean> {
    const ttlMs = msOf(ttlSeconds)
    const name = this.#keys.of(key)
    const [text, leftMs] = await Promise.all([this.#redis.ask(['GET', name], name), this.#redis.ask(['PTTL', name], name)])
    const entry = parseEntry(text)
    if (!entry || typeof leftMs !== 'number' || leftMs === -2) return false
    if (leftMs === -1 || leftMs >= ttlMs) return true
    return (await this.#tags.add(entry.tags, [name], ttlMs)) && (await this.#redis.ask(['PEXPIRE', name, String(ttlMs)], name)) === 1
  }

  /** Returns how many entries went: of those that Redis could be told. */
  async invalidateByTag(tag: string): Promise<number> {
    this.#fetches.shared.outdateTag(tag)
    return this.#removeAll(this.#tags.members(tag))
  }

  /**
   * Deletes what matches: `*` any text, `?` a character, `[ab]` one of them, and `\` takes the next literally. Goes through the
   * keys of the database a page at a time, so that Redis is not held up. Returns how many entries went: of those that Redis could be told.
   */
  async invalidateByPattern(pattern: string): Promise<number> {
    this.#fetches.shared.outdateAll()
    return this.#removeAll(this.#redis.scan(this.#keys.matching(pattern)))
  }

  async #removeAll(pages: AsyncIterable<readonly string[]>): Promise<number> {
    let count = 0
    for await (const names of pages) count += (await this.#redis.remove(names.filter((name) => !this.#keys.isTag(name)))) ?? 0
    return count
  }
}

const isOk = (reply: Reply): boolean => reply === 'OK'
