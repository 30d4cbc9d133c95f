import { createPeriods } from '../../compile/calendar.ts'
import type { MessageCounts } from './message-counts.ts'

/** One user's messages of one day. */
export interface DailyUsage {
  readonly userId: string
  /** The day in UTC, such as `2026-11-22`. */
  readonly date: string
  readonly worldMessagesCount: number
}

export interface UserUsageStats {
  /** Of the day and the calendar month in UTC. */
  readonly daily: { readonly worldMessages: number }
  readonly monthly: { readonly worldMessages: number }
  /** Epoch ms from which on messages were counted: without a database, what came before this process started is not in the numbers. */
  readonly since: number
}

const CACHE_MS = 300_000

const dayOf = createPeriods({ every: 'day', timezone: 'UTC' })

/** Messages per user of the current day and month. */
export class UsageStatistics {
  readonly #counts: MessageCounts
  readonly #cache = new Map<string, { stats: UserUsageStats; until: number }>()

  constructor(counts: MessageCounts) {
    this.#counts = counts
  }

  async today(userId: string, now: number): Promise<DailyUsage> {
    const { today } = await this.#counts.of(userId, now)
    return { userId, date: new Date(now).toISOString().slice(0, 10), worldMessagesCount: today }
  }

  /** Up to five minutes old, and never of another day. */
  async of(userId: string, now: number): Promise<UserUsageStats> {
    this.#forgetCached(now)
    const cached = this.#cache.get(userId)
    if (cached && now < cached.until) return cached.stats
    const { today, thisMonth, since } = await this.#counts.of(userId, now)
    const stats = { daily: { worldMessages: today }, monthly: { worldMessages: thisMonth }, since }
    this.#cache.delete(userId)
    this.#cache.set(userId, { stats, until: Math.min(now + CACHE_MS, dayOf(now).endAt) })
    return stats
  }

  /** What was cached first ends first. */
  #forgetCached(now: number): void {
    for (const [userId, { until }] of this.#cache) {
      if (until > now) return
      this.#cache.delete(userId)
    }
  }
}
