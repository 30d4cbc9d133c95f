import { createPeriods, type Period } from '../../compile/calendar.ts'
import { textKey } from '../../stores/sql/counters/keys.ts'
import type { Database } from '../../stores/sql/database.ts'
import { tableNames } from '../../stores/sql/tables.ts'
import type { MaybePromise } from '../../stores/store.ts'
import { COUNTED_OPERATIONS, subjectOf } from './subjects.ts'

export interface Counts {
  readonly today: number
  readonly thisMonth: number
  /** Epoch ms: messages before it are not in the numbers. */
  readonly since: number
}

/** Messages per user of the current day and month, in UTC. */
export interface MessageCounts {
  of(userId: string, now: number): MaybePromise<Counts>
}

const dayOf = createPeriods({ every: 'day', timezone: 'UTC' })
const monthOf = createPeriods({ every: 'month', timezone: 'UTC' })

/** Of this process. */
export class MemoryCounts implements MessageCounts {
  readonly #since: number
  readonly #maxUsers: number
  #month: Period
  /** Of the current month only, so that it does not grow for ever. */
  readonly #counts = new Map<string, { day: Period; today: number; thisMonth: number }>()

  /** @param maxUsers of which it forgets the one who wrote longest ago. */
  constructor(now: number, maxUsers: number) {
    this.#since = now
    this.#maxUsers = maxUsers
    this.#month = monthOf(now)
  }

  record(userId: string, now: number): void {
    const { today, thisMonth } = this.of(userId, now)
    this.#counts.delete(userId)
    this.#counts.set(userId, { day: dayOf(now), today: today + 1, thisMonth: thisMonth + 1 })
    if (this.#counts.size > this.#maxUsers) this.#counts.delete(this.#counts.keys().next().value!)
  }

  of(userId: string, now: number): Counts {
    this.#startMonth(now)
    const { day, today, thisMonth } = this.#counts.get(userId) ?? { day: this.#month, today: 0, thisMonth: 0 }
    return { today: now < day.endAt ? today : 0, thisMonth, since: this.#since }
  }

  #startMonth(now: number): void {
    if (now < this.#month.endAt) return
    this.#month = monthOf(now)
    this.#counts.clear()
  }
}

/** Of the record in a database, so of every process and over restarts. */
export class RecordedCounts implements MessageCounts {
  readonly #database: Database
  readonly #namespace: string
  readonly #flush: () => Promise<void>
  readonly #sql: string

  /** @param flush writes what this process still has to write. */
  constructor(database: Database, namespace: string, flush: () => Promise<void>) {
    this.#database = database
    this.#namespace = namespace
    this.#flush = flush
    const name = tableNames(database.dialect)
    this.#sql = `SELECT coalesce(sum(amount) FILTER (WHERE day = $4), 0) AS today, coalesce(sum(amount), 0) AS "thisMonth" FROM ${name('usage_daily')}
      WHERE subject_id = (SELECT id FROM ${name('usage_subjects')} WHERE namespace = $1 AND subject = $2) AND day >= $3
      AND meter = 'requests' AND operation IN (${COUNTED_OPERATIONS})`
  }

  async of(userId: string, now: number): Promise<Counts> {
    const { startAt } = monthOf(now)
    await this.#flush()
    const [counts] = await this.#database.query(this.#sql, [this.#namespace, textKey(subjectOf(userId)), dateOf(startAt), dateOf(now)])
    return { ...(counts as { today: number; thisMonth: number }), since: startAt }
  }
}

const dateOf = (at: number): string => new Date(at).toISOString().slice(0, 10)
