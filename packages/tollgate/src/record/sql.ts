import type { Database, Transaction } from '../stores/sql/database.ts'
import { textKey } from '../stores/sql/counters/keys.ts'
import type { TableOptions } from '../stores/sql/tables.ts'
import { Days } from './days.ts'
import type { UsageEvent } from './event.ts'
import { sumsOf } from './sums.ts'
import type { RecordedSubject, RecordStore } from './store.ts'
import { RecordTables } from './tables.ts'

export interface SqlRecordOptions extends TableOptions {
  /** Keeps the subjects of several engines apart. Default `default`. */
  namespace?: string
  /** Where days begin: an IANA name. Default `UTC`. What was summed up before stays as it is. */
  timezone?: string
}

/** The record in a database. Any number of processes may write to it. */
export class SqlRecord implements RecordStore {
  readonly #database: Database
  readonly #namespace: string
  readonly #days: Days
  readonly #tables: RecordTables

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, { namespace = 'default', timezone = 'UTC', ...tables }: SqlRecordOptions = {}) {
    this.#database = database
    this.#namespace = namespace
    this.#days = new Days(timezone)
    this.#tables = new RecordTables(database.dialect, tables)
  }

  async write(events: readonly UsageEvent[]): Promise<void> {
    if (events.length === 0) return
    await this.#database.transaction((tx) => this.writeIn(tx, events))
  }

  /** The same as part of a transaction of your own. */
  async writeIn(tx: Transaction, events: readonly UsageEvent[]): Promise<void> {
    const subjects = await this.#tables.lockSubjects(tx, this.#namespace, events)
    const idOf = (subject: string): number => subjects.get(textKey(subject))!.id
    const isNew = await this.#tables.addEvents(tx, this.#namespace, events, subjects)
    const sums = sumsOf(events.filter(({ id }) => isNew.has(id)), this.#namespace, idOf, this.#days)
    await this.#tables.addSums(tx, sums)
  }

  async totals(subject: string, now: number): Promise<RecordedSubject | undefined> {
    return this.#tables.totals(this.#database, this.#namespace, textKey(subject), now)
  }

  async erase(subject: string): Promise<void> {
    await this.#database.transaction((tx) => this.#tables.erase(tx, this.#namespace, textKey(subject)))
  }
}
