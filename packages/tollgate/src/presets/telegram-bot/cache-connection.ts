import { assertInteger } from '../../compile/request.ts'
import { type Clock, systemClock } from '../../engine/clock.ts'
import { isLate, StoreGuard } from '../../engine/guard.ts'
import { TollgateError } from '../../errors/index.ts'
import { type RedisClient, type RedisConnection, redisConnection, type Send } from './redis-client.ts'

export interface CacheOptions {
  /** How long Redis may take for one command: 1 … 60,000 ms, default 50. After that a read is a miss. At least 5000 for sweeps through many keys. */
  timeoutMs?: number
  /** Told of every command that failed or came too late; what it throws is ignored. */
  onError?: (error: unknown) => void
  clock?: Clock
}

/** `undefined`: Redis was not asked, failed, or did not answer in time. Its own nothing is `null`. */
export type Reply = unknown

type Args = Parameters<Send>[0]

/** Commands under way; what does not fit is not sent. */
const MAX_IN_FLIGHT = 10_000
/** What goes through many keys may take longer: it must not stop half-way because Redis was busy for a moment. */
const SWEEP_TIMEOUT_MS = 5000
/** Keys in one command: large enough to be few, small enough not to hold Redis up. */
const BATCH = 500

/** Redis as a cache sees it: it may be slow, or away, and nothing ever throws for that. */
export class CacheConnection {
  readonly #redis: RedisConnection
  readonly #guard: StoreGuard
  readonly #sweepGuard: StoreGuard
  readonly #onError: ((error: unknown) => void) | undefined

  constructor(client: RedisClient, { timeoutMs = 50, clock = systemClock, onError }: CacheOptions) {
    assertInteger(timeoutMs, 'timeoutMs', 1, 60_000)
    this.#redis = redisConnection(client)
    this.#guard = new StoreGuard(clock, timeoutMs, MAX_IN_FLIGHT, undefined, 'Redis')
    this.#sweepGuard = new StoreGuard(clock, Math.max(timeoutMs, SWEEP_TIMEOUT_MS), MAX_IN_FLIGHT, undefined, 'Redis')
    this.#onError = onError
  }

  get isReady(): boolean {
    return this.#redis.isReady()
  }

  /** Not sent while the client is not connected: it would be answered when nobody waits any more, or written too late. */
  async ask(args: Args, key?: string): Promise<Reply> {
    return this.isReady ? this.#send(this.#redis.send, args, key) : undefined
  }

  /** Sent all the same, as the client's queue may yet deliver it; but nobody waits for that. */
  async tell(args: Args, key?: string, guard = this.#guard): Promise<Reply> {
    const first = this.#send(this.#redis.send, args, key, guard)
    if (!this.isReady) return undefined
    const reply = await first
    // Once more, for the connection may have been lost with it.
    if (reply === undefined) void this.#send(this.#redis.send, args, key)
    return reply
  }

  run(script: string, key: string, ...args: string[]): Promise<Reply> {
    return this.ask(['EVAL', script, '1', key, ...args], key)
  }

  /** What is under the keys, in their order. */
  async getAll(keys: readonly string[]): Promise<Reply[]> {
    if (this.#redis.isCluster || keys.length === 1) return Promise.all(keys.map((key) => this.ask(['GET', key], key)))
    const replies = await Promise.all(batchesOf(keys).map(async (batch) => asArray(await this.ask(['MGET', ...batch])) ?? batch.map(() => undefined)))
    return replies.flat()
  }

  /** Returns how many there were; `undefined` unless Redis answered for all. */
  async remove(keys: readonly string[]): Promise<number | undefined> {
    const batches = this.#redis.isCluster ? keys.map((key) => [key]) : batchesOf(keys)
    const guard = keys.length === 1 ? this.#guard : this.#sweepGuard
    const replies = await Promise.all(batches.map((batch) => this.tell(['UNLINK', ...batch], batch[0], guard)))
    return replies.reduce<number | undefined>((sum, reply) => (typeof reply === 'number' && sum !== undefined ? sum + reply : undefined), 0)
  }

  /** Every key that matches, a page at a time, of all servers. Ends early when one of them fails. */
  async *scan(pattern: string): AsyncGenerator<string[]> {
    const { keyPrefix } = this.#redis
    const match = escapeGlob(keyPrefix) + pattern
    const masters = await this.#redis.masters().catch((error: unknown) => this.report(error))
    for (const send of masters ?? []) {
      for await (const keys of this.#pages(send, (cursor) => ['SCAN', cursor, 'MATCH', match, 'COUNT', String(BATCH)])) yield keys.map((key) => key.slice(keyPrefix.length))
    }
  }

  /** The members of a sorted set, a page at a time. Ends early when Redis fails. */
  async *members(key: string): AsyncGenerator<string[]> {
    const pages = this.#pages((args) => this.#redis.send(args, key), (cursor) => ['ZSCAN', key, cursor, 'COUNT', String(BATCH)])
    for await (const found of pages) yield found.filter((_, i) => i % 2 === 0)
  }

  async *#pages(send: Send, pageAt: (cursor: string) => Args): AsyncGenerator<string[]> {
    let cursor = '0'
    do {
      const page = asArray(this.isReady ? await this.#send(send, pageAt(cursor), undefined, this.#sweepGuard) : this.report('it is not connected'))
      if (!page) return
      yield page[1] as string[]
      cursor = String(page[0])
    } while (cursor !== '0')
  }

  async #send(send: Send, args: Args, key?: string, guard = this.#guard): Promise<Reply> {
    try {
      guard.assertRoom()
      return await guard.within(send(args, key))
    } catch (error) {
      return this.report(causeOf(error))
    }
  }

  /** Returns nothing, as a command does that failed. */
  report(cause: unknown): undefined {
    try {
      this.#onError?.(new TollgateError('STORE_UNAVAILABLE', `the cache: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }))
    } catch {
      // A log that fails is no reason to fail.
    }
  }
}

/** The guard speaks of options that a cache does not have. */
function causeOf(error: unknown): unknown {
  if (!TollgateError.isInstance(error) || isLate(error)) return error
  if (error.code === 'OVERLOADED') return new Error(`${MAX_IN_FLIGHT} commands are under way; this one was not sent`, { cause: error })
  return error.cause ?? error
}

/** What a pattern of Redis takes literally. */
export function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)
}

function asArray(reply: Reply): unknown[] | undefined {
  return Array.isArray(reply) ? reply : undefined
}

export function batchesOf<T>(all: readonly T[]): T[][] {
  const batches: T[][] = []
  for (let i = 0; i < all.length; i += BATCH) batches.push(all.slice(i, i + BATCH))
  return batches
}
