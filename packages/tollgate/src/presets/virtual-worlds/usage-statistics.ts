import { createPeriods } from '../../compile/calendar.ts'
import { TollgateError } from '../../errors/index.ts'
import type { Counts, MessageCounts } from './message-counts.ts'

/** One user's messages of one day. */
export interface DailyUsage {
  readonly userId: string
  /** The day in UTC, such as `2026-11-22`. */
  readonly date: string
  /** As the counters have it, so with those under way. Where limits are off, or the counters are away: those of this process. */
  readonly worldMessagesCount: number
}

export interface UserUsageStats {
  /** Of the day and the calendar month in UTC. */
  readonly daily: { readonly worldMessages: number }
  readonly monthly: { readonly worldMessages: number }
  /**
   * Epoch ms from which on messages were counted: what came before is in no number. The start of the month; without a
   * database, of this process; while the database is away, of the day.
   */
  readonly since: number
}

const CACHE_MS = 300_000

const dayOf = createPeriods({ every: 'day', timezone: 'UTC' })

/** Messages per user of the current day and month. */
export class UsageStatistics {
  readonly #counts: MessageCounts
  readonly #countedToday: (userId: string) => Promise<number | undefined>
  readonly #cache = new Map<string, { stats: UserUsageStats; until: number }>()

  /** @param countedToday as the counters have it, where they do. */
  constructor(counts: MessageCounts, countedToday: (userId: string) => Promise<number | undefined>) {
    this.#counts = counts
    this.#countedToday = countedToday
  }

  /** Up to five minutes old, and never of another day. */
  async of(userId: string, now: number): Promise<UserUsageStats> {
    this.#forgetCached(now)
    const cached = this.#cache.get(userId)
    if (cached && now < cached.until) return cached.stats
    let stats: UserUsageStats
    try {
      stats = statsOf(await this.#counts.of(userId, now))
    } catch (error) {
      return this.#ofCounters(userId, now, error)
    }
    this.#cache.delete(userId)
    this.#cache.set(userId, { stats, until: Math.min(now + CACHE_MS, dayOf(now).endAt) })
    return stats
  }

  /** The day is all that counters know. Not kept, as the month is back when the database is. */
  async #ofCounters(userId: string, now: number, error: unknown): Promise<UserUsageStats> {
    const today = isUnavailable(error) ? await this.#countedToday(userId) : undefined
    if (today === undefined) throw error
    return statsOf({ today, thisMonth: today, since: dayOf(now).startAt })
  }

  /** What was cached first ends first. */
  #forgetCached(now: number): void {
    for (const [userId, { until }] of this.#cache) {
      if (until > now) return
      this.#cache.delete(userId)
    }
  }
}

export function dailyUsage(userId: string, now: number, worldMessagesCount: number): DailyUsage {
  return { userId, date: new Date(now).toISOString().slice(0, 10), worldMessagesCount }
}

function statsOf({ today, thisMonth, since }: Counts): UserUsageStats {
  return { daily: { worldMessages: today }, monthly: { worldMessages: thisMonth }, since }
}

function isUnavailable(error: unknown): boolean {
  return TollgateError.isInstance(error) && (error.code === 'STORE_UNAVAILABLE' || error.code === 'OVERLOADED')
}
