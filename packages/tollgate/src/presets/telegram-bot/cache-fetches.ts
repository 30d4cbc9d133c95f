import { randomUUID } from 'node:crypto'
import type { CacheConnection, Reply } from './cache-connection.ts'
import { type Entry, entryText, parseEntry } from './cache-entry.ts'
import { LEASE, REPLACE, TAKE_LEASE } from './cache-scripts.ts'
import type { CacheTags } from './cache-tags.ts'
import { type SharedFetch, SharedFetches } from './shared-fetches.ts'

/** What a fetch may take: longer ones are not stored, and when a process dies in one, nobody stores anything there for so long. */
export const LEASE_MS = 30_000

export interface Fetch<T> {
  readonly name: string
  readonly tags: readonly string[]
  readonly ttlMs: number
  readonly fetch: () => T | Promise<T>
  readonly hooks: FetchHooks<T>
}

export interface FetchHooks<T> {
  /** Whether what is cached is what was looked for; else it is fetched and replaced. */
  accepts?: (cached: unknown) => cached is T
  /** What of a fetched value is stored; `undefined` for nothing. By default the value, unless it is `null`. */
  toStored?: (value: T) => unknown
  /** Called, if it was stored, before anybody is answered. */
  onStored?: (value: T) => Promise<unknown>
}

/**
 * The right to store what a fetch finds. It lies in Redis where the value will be, so whatever deletes or writes the key
 * meanwhile, in any process, ends it: what was fetched before an invalidation is never stored after it.
 */
interface Lease {
  /** Whether it still held. */
  store(text: string, ttlMs: number): Promise<boolean>
  giveUp(): Promise<unknown>
}

/** Misses: one fetch at a time of a key in this process, and what it finds is stored if it is still wanted. */
export class CacheFetches {
  readonly shared = new SharedFetches()
  readonly #redis: CacheConnection
  readonly #tags: CacheTags

  constructor(redis: CacheConnection, tags: CacheTags) {
    this.#redis = redis
    this.#tags = tags
  }

  getOrFetch<T>(wanted: Fetch<T>): Promise<T> {
    return this.shared.share(wanted.name, wanted.tags, (shared) => this.#read(wanted, shared))
  }

  async #read<T>(wanted: Fetch<T>, shared: SharedFetch): Promise<T> {
    const { name, tags, ttlMs, hooks } = wanted
    const accepted = (entry: Entry | undefined): entry is Entry & { value: T } => entry !== undefined && (hooks.accepts?.(entry.value) ?? true)
    const found = await this.#redis.ask(['GET', name], name)
    const entry = parseEntry(found)
    if (accepted(entry)) return entry.value
    // Before the fetch, so that an invalidation by tag finds the lease.
    const mayStore = found !== undefined && (await this.#tags.add(tags, [name], Math.max(ttlMs, LEASE_MS)))
    const lease = mayStore ? await this.#takeLease(name, found) : undefined
    if (lease && 'value' in lease) return accepted(lease) ? lease.value : this.#fetch(wanted, shared, undefined)
    return this.#fetch(wanted, shared, lease)
  }

  async #fetch<T>({ fetch, tags, ttlMs, hooks }: Fetch<T>, shared: SharedFetch, lease: Lease | undefined): Promise<T> {
    const { toStored = (value: T) => value ?? undefined, onStored } = hooks
    let isStored = false
    try {
      const value = await fetch()
      const stored = lease && (await toStored(value))
      const text = stored === undefined || shared.isOutdated ? undefined : this.#textOf(stored, tags)
      isStored = text !== undefined && (await lease!.store(text, ttlMs))
      if (isStored) await onStored?.(value)
      return value
    } finally {
      if (!isStored) await lease?.giveUp()
    }
  }

  /** The caller has its value, whether or not it can be cached. */
  #textOf(value: unknown, tags: readonly string[]): string | undefined {
    try {
      return entryText(value, tags)
    } catch (error) {
      return this.#redis.report(error)
    }
  }

  /** `found`: what was read there, and is no entry. Returns an entry that came meanwhile, or nothing where somebody else fetches. */
  async #takeLease(name: string, found: Reply): Promise<Lease | Entry | undefined> {
    const seen = typeof found === 'string' ? found : ''
    if (seen.startsWith(LEASE)) return undefined
    const lease = LEASE + randomUUID()
    const reply = await this.#redis.run(TAKE_LEASE, name, lease, String(LEASE_MS), seen)
    if (reply !== lease) return parseEntry(reply)
    return {
      store: async (text, ttlMs) => (await this.#redis.run(REPLACE, name, lease, text, String(ttlMs))) === 1,
      giveUp: () => this.#redis.run(REPLACE, name, lease, '', ''),
    }
  }
}
