import { createPeriods, type Period } from '../../compile/calendar.ts'

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
  /** Epoch ms from which on messages were counted: what came before this process started is not in the numbers. */
  readonly since: number
}

const CACHE_MS = 300_000

const dayOf = createPeriods({ every: 'day', timezone: 'UTC' })
const monthOf = createPeriods({ every: 'month', timezone: 'UTC' })

/** Messages per user of the current day and month, in this process. */
export class UsageStatistics {
  readonly #since: number
  #month: Period
  /** Of the current month only, so that it does not grow for ever. */
  readonly #counts = new Map<string, { day: Period; today: number; thisMonth: number }>()
  readonly #cache = new Map<string, { stats: UserUsageStats; until: number }>()

  constructor(now: number) {
    this.#since = now
    this.#month = monthOf(now)
  }

  record(userId: string, now: number): void {
    this.#startMonth(now)
    const { today, thisMonth } = this.#countsOf(userId, now)
    this.#counts.set(userId, { day: dayOf(now), today: today + 1, thisMonth: thisMonth + 1 })
  }

  today(userId: string, now: number): DailyUsage {
    this.#startMonth(now)
    return { userId, date: new Date(now).toISOString().slice(0, 10), worldMessagesCount: this.#countsOf(userId, now).today }
  }

  /** Up to five minutes old, and never of another day. */
  of(userId: string, now: number): UserUsageStats {
    this.#forgetCached(now)
    const cached = this.#cache.get(userId)
    if (cached) return cached.stats
    this.#startMonth(now)
    const { today, thisMonth } = this.#countsOf(userId, now)
    const stats = { daily: { worldMessages: today }, monthly: { worldMessages: thisMonth }, since: this.#since }
    this.#cache.set(userId, { stats, until: Math.min(now + CACHE_MS, dayOf(now).endAt) })
    return stats
  }

  #countsOf(userId: string, now: number): { today: number; thisMonth: number } {
    const counts = this.#counts.get(userId)
    if (counts === undefined) return { today: 0, thisMonth: 0 }
    return { today: now < counts.day.endAt ? counts.today : 0, thisMonth: counts.thisMonth }
  }

  #startMonth(now: number): void {
    if (now < this.#month.endAt) return
    this.#month = monthOf(now)
    this.#counts.clear()
  }

  /** What was cached first ends first. */
  #forgetCached(now: number): void {
    for (const [userId, { until }] of this.#cache) {
      if (until > now) return
      this.#cache.delete(userId)
    }
  }
}
