import { assertInteger, assertText } from '../../compile/request.ts'
import { type CommonOptions, createTollgate } from '../../engine/create.ts'
import { systemClock } from '../../engine/clock.ts'
import { isUnavailable } from '../../engine/guard.ts'
import type { Tollgate } from '../../engine/tollgate.ts'
import type { Decision } from '../../engine/types.ts'
import { invalidDefinition, show } from '../../errors/index.ts'
import { createMessages } from '../../messages/index.ts'
import { Days } from '../../record/days.ts'
import type { Database } from '../../stores/sql/database.ts'
import { migrate } from '../../stores/sql/migrate.ts'
import { SqlReceipts } from '../../stores/sql/receipts.ts'
import { MessageRecord, subjectOf, userOf } from './message-record.ts'
import { createTables, lastResetOf, messagesByDay, monthOf } from './message-tables.ts'
import { Outage } from './outage.ts'
import { ANONYMOUS_MODELS, defaultPlan, planSet, PREMIUM_MODELS } from './plans.ts'

/** Those of `createTollgate`, for the engine that decides. */
export interface UsageTrackerOptions extends Omit<CommonOptions, 'record'> {
  /** Holds the record, `user_usage` and `message_logs`. It stays open when the tracker is closed. */
  database: Database
  /** Where the days of `getUsageAnalytics` begin: an IANA name. Default `UTC`. Months are the plan's, in UTC. */
  timezone?: string
}

export interface MessageCheck {
  readonly allowed: boolean
  /** Why not, in the engine's language. */
  readonly error?: string
}

export interface ChatUsage {
  readonly userId: string
  readonly totalMessages: number
  readonly premiumMessages: number
  /** Epoch ms: the later of the 1st at 00:00 UTC and an admin's reset. */
  readonly lastReset: number
  readonly canSendMessage: boolean
  /** Needs both quotas. */
  readonly canSendPremiumMessage: boolean
}

export interface UsageOfDay {
  /** `YYYY-MM-DD` */
  readonly date: string
  readonly messages: number
  readonly premiumMessages: number
  readonly activeUsers: number
}

interface Configured {
  readonly tollgate: Tollgate
  readonly outage: Outage
  /** Resolves when the tables are there. */
  isReady?: Promise<void> | undefined
  readonly database: Database
  readonly record: MessageRecord
  readonly days: Days
  readonly now: () => number
}

const DAY_MS = 86_400_000
const MAX_DAYS = 366

/**
 * Usage of signed-in users: one for the whole process. The limits are decided by an engine on its counters, without
 * asking the database; what was used is written behind that, within a tenth of a second, and read again should the
 * counters be lost. While they are away, what is on record holds, with what this process has admitted since. Call `configure` when the application starts and `close` when it ends. The first call makes the tables.
 */
// oxlint-disable-next-line typescript/no-extraneous-class -- the product's code knows it so
export class UsageTracker {
  static #configured: Configured | undefined

  /** @throws INVALID_DEFINITION */
  static configure({ database, timezone = 'UTC', ...options }: UsageTrackerOptions): void {
    if (typeof database?.transaction !== 'function') throw invalidDefinition('database', `${show(database)} is not a database; use openPostgres or openSqlite`)
    const { namespace = 'default', messages, locale = 'en', store, localShare, recordTimeoutMs: timeoutMs = 1000 } = options
    const days = new Days(timezone)
    const clock = typeof options.clock === 'function' ? { ...systemClock, now: options.clock } : (options.clock ?? systemClock)
    const now = () => clock.now()
    const record = new MessageRecord(database, { namespace, timezone })
    const tollgate = createTollgate({
      receipts: new SqlReceipts<Decision>(database, { namespace, clock }),
      ...options,
      planSets: [planSet],
      defaultPlan,
      record,
    })
    const write = createMessages(messages)
    const outage = new Outage({ tollgate, record, clock, timeoutMs, share: () => localShare ?? 1 / Math.max(1, store?.processes?.() ?? 1), write: (facts) => write(facts, locale) })
    UsageTracker.#configured = { tollgate, outage, database, record, days, now }
  }

  /** The engine that decides: for its events, and to erase a user, who is its subject `chat:<userId>`. */
  static get tollgate(): Tollgate {
    return UsageTracker.#get().tollgate
  }

  /**
   * Creates the tables that are missing. Every process may call it at every start; whoever does not, has it done with the first call.
   * @throws SCHEMA_MISMATCH where the application has a table `user_usage` or `message_logs` of its own
   */
  static async initializeDatabase(): Promise<void> {
    await UsageTracker.#ready()
  }

  /** Whether the user may send one more message now. Counts nothing. */
  static async checkUsage(userId: string, model: string): Promise<MessageCheck> {
    return checkOf(await (await UsageTracker.#ready()).outage.check(requestOf(userId, model)))
  }

  /**
   * Decides and counts a message in one step. The same `messageId`, unique over all users, counts once: for 24 h, and over
   * restarts where `TOLLGATE_SECRET` (or `secret`) stays the same.
   */
  static async recordMessage(userId: string, model: string, messageId?: string): Promise<MessageCheck> {
    const { outage } = await UsageTracker.#ready()
    const request = requestOf(userId, model)
    return checkOf(await outage.consume({ ...request, ...(messageId !== undefined && { idempotencyKey: messageId }) }))
  }

  /**
   * Holds a message until its answer is there: then `decision.reservation.commit()`, which counts it, or `release()`
   * when it failed. So messages sent at once cannot pass the limit together.
   */
  static async reserveMessage(userId: string, model: string): Promise<Decision> {
    return (await UsageTracker.#ready()).outage.reserve(requestOf(userId, model))
  }

  /**
   * Empties the user's counters. The log of messages stays. The tables come first, so that while they, or the counters,
   * cannot be written everything stays as it is.
   * @throws STORE_UNAVAILABLE where that breaks off in between too: then try again
   */
  static async resetUsage(userId: string): Promise<void> {
    const { tollgate, outage, record, now } = await UsageTracker.#ready()
    assertText(userId, 'userId')
    const subject = subjectOf(userId)
    await tollgate.usage(subject)
    // What was used before must not be written after it.
    await tollgate.flush()
    await record.resetMonth(subject, now())
    await tollgate.reset(subject)
    outage.forget(subject)
  }

  /** As the counters have it, so with messages under way; while they are away, as it is on record. */
  static async getUsage(userId: string): Promise<ChatUsage> {
    const { tollgate, outage, database, now } = await UsageTracker.#ready()
    assertText(userId, 'userId')
    const at = now()
    const month = monthOf(at)
    const subject = subjectOf(userId)
    const counted = async () => new Map((await tollgate.usage(subject)).limits.map(({ limit, used }) => [limit, used]))
    const [used, canSendMessage, canSendPremiumMessage, resetAt] = await Promise.all([
      unlessAway(counted(), () => outage.recorded(subject)),
      unlessAway(UsageTracker.checkUsage(userId, ANONYMOUS_MODELS[0]), () => NOT_NOW),
      unlessAway(UsageTracker.checkUsage(userId, PREMIUM_MODELS[0]), () => NOT_NOW),
      lastResetOf(database, userOf(subject), month),
    ])
    return {
      userId,
      totalMessages: used.get('monthlyMessages') ?? 0,
      premiumMessages: used.get('premiumMessages') ?? 0,
      lastReset: Math.max(Date.parse(`${month}-01T00:00:00Z`), resetAt),
      canSendMessage: canSendMessage.allowed,
      canSendPremiumMessage: canSendPremiumMessage.allowed,
    }
  }

  /** The last `days` days with today, 1 … 366, the oldest first. Days without messages are there too. */
  static async getUsageAnalytics(days: number): Promise<UsageOfDay[]> {
    const { tollgate, database, days: named, now } = await UsageTracker.#ready()
    assertInteger(days, 'days', 1, MAX_DAYS)
    const today = Date.parse(named.of(now()))
    const dates = Array.from({ length: days }, (_, i) => new Date(today - (days - 1 - i) * DAY_MS).toISOString().slice(0, 10))
    await tollgate.flush()
    const found = new Map((await messagesByDay(database, dates[0]!)).map(({ day, ...sums }) => [day, sums]))
    return dates.map((date) => ({ date, messages: 0, premiumMessages: 0, activeUsers: 0, ...found.get(date) }))
  }

  /** Writes what is still to be written. `configure` starts anew. */
  static async close(): Promise<void> {
    const { tollgate } = UsageTracker.#get()
    UsageTracker.#configured = undefined
    await tollgate.close()
  }

  static async #ready(): Promise<Configured> {
    const configured = UsageTracker.#get()
    configured.isReady ??= initialize(configured.database).catch((error: unknown) => {
      // Whoever asks next tries again.
      configured.isReady = undefined
      throw error
    })
    await configured.isReady
    return configured
  }

  static #get(): Configured {
    if (UsageTracker.#configured) return UsageTracker.#configured
    throw invalidDefinition('UsageTracker', 'is not configured; call UsageTracker.configure({ database }) when the application starts')
  }
}

async function initialize(database: Database): Promise<void> {
  await migrate(database)
  await createTables(database)
}

function requestOf(userId: string, model: string) {
  assertText(userId, 'userId')
  assertText(model, 'model')
  return { subject: subjectOf(userId), operation: 'message', dimensions: { model } }
}

/** While too little is left for a share of each process. */
const NOT_NOW: MessageCheck = { allowed: false }

async function unlessAway<T>(counters: Promise<T>, instead: () => T | Promise<T>): Promise<T> {
  try {
    return await counters
  } catch (error) {
    if (!isUnavailable(error)) throw error
    return instead()
  }
}

function checkOf({ allowed, violations }: Decision): MessageCheck {
  return allowed ? { allowed } : { allowed, error: violations[0]!.message }
}
