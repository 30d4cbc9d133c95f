import type { Decision, Locale } from '../../engine/types.ts'
import type { WorldLimitsInfo, WorldMessageLimits } from './plan-info.ts'
import type { WorldPlan } from './plans.ts'
import type { DailyUsage, UserUsageStats } from './usage-statistics.ts'

export interface WorldCheck {
  readonly allowed: boolean
  /** Why not, in the language of the request. */
  readonly error?: string
  /** Whole seconds, rounded up; absent where waiting does not help. */
  readonly retryAfter?: number
}

/** How the messages of the day stand. `Infinity` (in JSON `null`) is unlimited. */
export interface WorldMessageCheck extends WorldCheck {
  readonly limit: number
  readonly remaining: number
  /** Epoch ms of the next midnight in UTC; `null` where limits are off. */
  readonly resetAt: number | null
}

export interface WorldAgentCheck extends WorldCheck {
  readonly limit: number
  /** Room for so many more, before this one. */
  readonly remaining: number
}

export interface WorldMessage {
  readonly userId: string
  readonly worldId: string
  readonly plan: WorldPlan
  /** Compared with the user's other messages in the world, and never kept: at most 64 KiB. */
  readonly content: string
  readonly locale?: Locale
}

/**
 * The error and the wait are those of the first violation, in the order daily, cooldown, spam, flood; the rest is how the
 * day stands, this message included.
 */
export interface WorldLimitsCheck extends WorldMessageCheck {
  /** Has every violation, for `violationLog`, and the reservation of an admitted message. */
  readonly decision: Decision
}

/**
 * All throw a `TollgateError`, and only where they are used wrongly: INVALID_REQUEST for an id that is no text of
 * 1 … 249 characters, or a content that is no text; UNKNOWN_PLAN. A denial is a value. What names no plan is decided and recorded under the one that
 * the user's last check in this process named, else the stored one (`subjects`), else `free`.
 */
export interface WorldLimits {
  getWorldMessageLimits(plan: WorldPlan): WorldMessageLimits

  /** What a page about plans shows: this plan and the next. */
  getWorldLimitsInfo(plan: WorldPlan): WorldLimitsInfo

  /**
   * Decides a message by all four limits at once. An admitted one is counted by the guards and held in the day for 60 s:
   * call `trackWorldMessageUsage` when the answer is there (or `decision.reservation.commit()`, not both), and
   * `decision.reservation.release()` when it failed. A denied one uses up nothing. Under any concurrency no limit is passed.
   */
  checkAllWorldLimits(message: WorldMessage): Promise<WorldLimitsCheck>

  /** Whether the day has room for one more message. Counts nothing: `trackWorldMessageUsage` does. */
  checkWorldMessageLimit(userId: string, plan: WorldPlan): Promise<WorldMessageCheck>

  /**
   * The guards one by one, as the product's documents call them. Each decides and counts in one step, so two messages at
   * once cannot both pass, and a denial counts nothing. But none knows of the others: when a later one denies, what the
   * earlier ones counted stays. `checkAllWorldLimits` has no such gap.
   */
  checkWorldCooldown(worldId: string, userId: string, plan: WorldPlan): Promise<WorldCheck>
  checkSpamProtection(worldId: string, userId: string, content: string): Promise<WorldCheck>
  checkFloodProtection(worldId: string, userId: string): Promise<WorldCheck>

  /** @param currentCount how many agents the world has: an integer 0 … 2^31−1. */
  checkWorldAgentLimit(currentCount: number, plan: WorldPlan): WorldAgentCheck

  /**
   * Counts a message that was answered: the one that `checkAllWorldLimits` admitted last for this user, else one more.
   * Where the checks were made one by one, messages under way at the same time can so take the day above its limit; they
   * are counted all the same. The record is written behind it: only of a user whom the counters do not know is it asked
   * first, as with any check. What it has counted it never answers with an error.
   */
  trackWorldMessageUsage(userId: string): Promise<DailyUsage>

  /**
   * Messages of the day and the month that were tracked: by this process, or with a database by all; up to five minutes old.
   * While the database is away, those of the day as the counters have them, with those under way.
   * @throws STORE_UNAVAILABLE where the counters do not know them either
   */
  getUserUsageStats(userId: string): Promise<UserUsageStats>

  /**
   * Waits until what was recorded is written, which else takes a tenth of a second: for when the process ends.
   * @throws STORE_UNAVAILABLE while the database is away
   */
  flush(): Promise<void>
}
