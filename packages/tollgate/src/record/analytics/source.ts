import { TollgateError } from '../../errors/index.ts'
import type { Database, SqlValue } from '../../stores/sql/database.ts'
import type { TableOptions } from '../../stores/sql/tables.ts'
import { Days } from '../days.ts'
import { type Range, type RangeInput, rangeOf, startOf } from './range.ts'
import { type Statements, statementsFor } from './statements.ts'

export interface AnalyticsOptions extends TableOptions {
  /** Whose record is read. Default `default`. */
  namespace?: string
  /** Where days begin, as the record was told when it was written. Default `UTC`. */
  timezone?: string
  /** In place of the database's own clock: what today is. */
  clock?: { now(): number }
}

const MAX_WAITING = 100

/** One namespace of the record, to be read. */
export class Source {
  readonly #database: Database
  readonly #namespace: string
  readonly #timezone: string
  readonly #clock: { now(): number } | undefined
  readonly #days: Days
  readonly #sql: Statements
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, { namespace = 'default', timezone = 'UTC', clock, ...tables }: AnalyticsOptions) {
    this.#database = database
    this.#namespace = namespace
    this.#timezone = timezone
    this.#clock = clock
    this.#days = new Days(timezone)
    this.#sql = statementsFor(database.dialect, tables)
  }

  /** One statement at a time: connections are there for decisions. @throws OVERLOADED when too many wait already */
  async ask<R>(statement: Exclude<keyof Statements, 'now'>, ...params: readonly SqlValue[]): Promise<R[]> {
    if (this.#waiting >= MAX_WAITING) throw new TollgateError('OVERLOADED', `${MAX_WAITING} questions wait for analytics already; ask again later`, { retryAfterMs: 1000 })
    this.#waiting++
    const asked = this.#last.then(() => this.#database.query(this.#sql[statement], [this.#namespace, ...params])).finally(() => this.#waiting--)
    this.#last = asked.catch(() => {})
    return (await asked) as R[]
  }

  async now(): Promise<number> {
    if (this.#clock) return this.#clock.now()
    const [row] = await this.#database.query(this.#sql.now)
    return row!['now'] as number
  }

  /** @throws INVALID_REQUEST */
  async range(input: RangeInput, defaultFrom?: (to: string) => string): Promise<Range> {
    return rangeOf(input, this.dayOf(await this.now()), defaultFrom)
  }

  dayOf(at: number): string {
    return this.#days.of(at)
  }

  startOf(day: string): number {
    return startOf(day, this.#timezone)
  }
}
