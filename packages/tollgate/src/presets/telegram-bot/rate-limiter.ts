import { assertText } from '../../compile/request.ts'
import { definePlans } from '../../define/plans.ts'
import { suggest } from '../../define/suggest.ts'
import type { Clock } from '../../engine/clock.ts'
import { createTollgate } from '../../engine/create.ts'
import type { Tollgate } from '../../engine/tollgate.ts'
import type { Decision } from '../../engine/types.ts'
import { invalidDefinition, show, TollgateError } from '../../errors/index.ts'
import { type RedisClient, RedisStore } from '../../stores/redis/index.ts'
import type { CounterStore } from '../../stores/store.ts'
import { defaultPlan, operations, type OperationType, plans, type SubscriptionTier } from './plans.ts'
import { assertUserId } from './user-id.ts'

export interface RateLimiterOptions {
  /** What can be asked for beside the operations of the plans, each with the tier's limits to itself: 1 … 48 characters. */
  operations?: readonly string[]
  /** What the names of all keys begin with: up to 64 characters, no braces. Default `tg`. */
  prefix?: string
  /** How long Redis may take: an integer 1 … 60,000 ms, default 50. After that this process counts by itself. */
  timeoutMs?: number
  /**
   * The share of each limit that this process admits by itself while Redis is away, above 0 and up to 1. Default 1, as the
   * smallest limit, 3 a second, has no share for a fourth process; give 1 / n for n processes to keep them within it together.
   */
  localShare?: number
  /** Told each time this process counts by itself, with what happened to Redis. */
  onDegraded?: (error: unknown) => void
  /** In place of the clock of Redis: a test's. */
  clock?: Clock
  /** In place of Redis. */
  store?: CounterStore
}

export interface RateLimitResult {
  readonly allowed: boolean
  /** Of the minute, after this request. */
  readonly remaining: number
  /** Of the minute. */
  readonly limit: number
  /** When the same request will pass; of one that passed, when the minute's window is empty again. */
  readonly resetAt: Date
  /** Whole seconds until then, at least 1. Only where it is denied. */
  readonly retryAfter?: number
}

/** Where a request names no operation. */
const ANY = 'any'
/** So that one fits before a user's id. */
const MAX_OPERATION_CHARACTERS = 48

/** Of a tier's plan, the rates: tokens are paid for elsewhere. Each operation is a subject, so nothing is counted `per` it. */
function ratesOf<T extends SubscriptionTier>(tier: T) {
  const { rank, limits: { perMinute: { per: _, ...perMinute }, burst: { per: __, ...burst } } } = plans[tier]
  return { rank, limits: { perMinute, burst } }
}

const rates = definePlans({ Gift: ratesOf('Gift'), Professional: ratesOf('Professional'), Business: ratesOf('Business') })

/**
 * Requests a minute, in an exact sliding window, and a second, in a token bucket, of each user and each operation: exhausting
 * one leaves the others alone. Decided in Redis in one step. While Redis is away or too slow, this process counts by itself,
 * and nothing throws for that.
 */
export class RateLimiter {
  readonly #tollgate: Tollgate
  readonly #operations: readonly string[]

  /**
   * @param redis a client or cluster of ioredis or node-redis; it stays its owner's to close
   * @throws INVALID_DEFINITION, TypeError
   */
  constructor(redis: RedisClient, options: RateLimiterOptions = {}) {
    const { prefix, clock, timeoutMs, localShare = 1, onDegraded } = options
    const store = options.store ?? new RedisStore(redis, { ...(prefix !== undefined && { prefix }), ...(clock && { clock }) })
    options.operations?.forEach(assertOperation)
    this.#operations = [ANY, ...Object.keys(operations), ...(options.operations ?? [])]
    this.#tollgate = createTollgate({
      plans: rates,
      defaultPlan,
      namespace: 'telegram-bot-rates',
      store,
      ...(clock && { clock }),
      ...(timeoutMs !== undefined && { storeTimeoutMs: timeoutMs }),
      localShare,
    }) as unknown as Tollgate
    if (onDegraded) this.#tollgate.on('degraded', ({ error }) => onDegraded(error))
  }

  /**
   * Decides, and counts the request if it passes. A request that names no operation has limits of its own, too.
   * @param userId 1 … 200 characters
   * @throws UNKNOWN_PLAN, UNKNOWN_OPERATION, INVALID_REQUEST
   */
  async checkLimit(userId: string, tier: SubscriptionTier, operation?: OperationType | (string & {})): Promise<RateLimitResult> {
    return resultOf(await this.#tollgate.consume({ subject: this.#subjectOf(userId, operation), plan: tier }))
  }

  /**
   * Forgets what the user asked for, of one operation or of all. Returns whether Redis could be told.
   * @throws UNKNOWN_OPERATION, INVALID_REQUEST
   */
  async reset(userId: string, operation?: OperationType | (string & {})): Promise<boolean> {
    const subjects = (operation === undefined ? this.#operations : [operation]).map((each) => this.#subjectOf(userId, each))
    try {
      await Promise.all(subjects.map((subject) => this.#tollgate.reset(subject)))
      return true
    } catch (error) {
      if (TollgateError.isInstance(error) && error.code === 'STORE_UNAVAILABLE') return false
      throw error
    }
  }

  #subjectOf(userId: string, operation: string = ANY): string {
    assertUserId(userId)
    // Its length, so that whatever colons are in either, no other two make the same name.
    if (this.#operations.includes(operation)) return `${operation.length}:${operation}:${userId}`
    throw new TollgateError('UNKNOWN_OPERATION', `operation: ${show(operation)} is not declared; ${suggest(operation, [...this.#operations])}`, { field: 'operation' })
  }
}

function assertOperation(operation: unknown): void {
  assertText(operation, 'operations')
  if (operation.length > MAX_OPERATION_CHARACTERS) throw invalidDefinition('operations', `${show(operation)} is too long; use at most ${MAX_OPERATION_CHARACTERS} characters`)
}

function resultOf({ allowed, limits, decidedAt, retryAfterMs }: Decision): RateLimitResult {
  const { max, remaining, resetAt } = limits.find(({ limit }) => limit === 'perMinute')!
  if (allowed) return { allowed, remaining, limit: max, resetAt: new Date(resetAt!) }
  return { allowed, remaining, limit: max, resetAt: new Date(decidedAt + retryAfterMs!), retryAfter: Math.max(1, Math.ceil(retryAfterMs! / 1000)) }
}
