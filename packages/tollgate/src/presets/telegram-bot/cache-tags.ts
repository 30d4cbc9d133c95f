import { batchesOf, type CacheConnection } from './cache-connection.ts'
import type { CacheKeys } from './cache-keys.ts'
import { TAG } from './cache-scripts.ts'

/**
 * Which keys have a tag: a sorted set each, by when the entries end, so that it empties itself and ends with the last. What was
 * invalidated stays in it until then: a key that is written at that moment must not be lost to its tag.
 */
export class CacheTags {
  readonly #redis: CacheConnection
  readonly #keys: CacheKeys

  constructor(redis: CacheConnection, keys: CacheKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  /** `false`: the keys may not be written, as they would not be found. */
  async add(tags: readonly string[], names: readonly string[], ttlMs: number): Promise<boolean> {
    const batches = batchesOf(names)
    const commands = tags.map((tag) => this.#keys.ofTag(tag)).flatMap((tag) => batches.map((batch) => this.#redis.run(TAG, tag, String(ttlMs), ...batch)))
    return (await Promise.all(commands)).every((reply) => reply === 1)
  }

  members(tag: string): AsyncIterable<readonly string[]> {
    return this.#redis.members(this.#keys.ofTag(tag))
  }
}
