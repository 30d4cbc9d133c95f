import type { Database, Transaction } from '../stores/sql/database.ts'
import { textKey } from '../stores/sql/counters/keys.ts'
import type { TableOptions } from '../stores/sql/tables.ts'
import { Days } from './days.ts'
import type { UsageEvent } from './event.ts'
import { type Sums, sumsOf } from './sums.ts'
import type { RecordedSubject, RecordStore } from './store.ts'
import { RecordTables } from './tables.ts'

export interface SqlRecordOptions extends TableOptions {
  /** Keeps the subjects of several engines apart. Default `default`. */
  namespace?: string
  /** Where days begin: an IANA name. Default `UTC`. What was summed up before stays as it is. */
  timezone?: string
}

const MAX_ACTIVE = 100_000
const keyOf = ({ span, plan, subject_id }: Sums['active'][number]): string => `${span} ${subject_id} ${plan}`

/** The record in a database. Any number of processes may write to it. */
export class SqlRecord implements RecordStore {
  readonly #database: Database
  readonly #namespace: string
  readonly #days: Days
  readonly #tables: RecordTables
  /** Who is known to be written down as active: most requests are not a subject's first of the day. */
  #active = new Set<string>()

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, { namespace = 'default', timezone = 'UTC', ...tables }: SqlRecordOptions = {}) {
    this.#database = database
    this.#namespace = namespace
    this.#days = new Days(timezone)
    this.#tables = new RecordTables(database.dialect, tables)
  }

  async write(events: readonly UsageEvent[]): Promise<void> {
    if (events.length === 0) return
    const active = await this.#database.transaction((tx) => this.#write(tx, events))
    if (this.#active.size > MAX_ACTIVE) this.#active = new Set()
    for (const row of active) this.#active.add(keyOf(row))
  }

  /** The same as part of a transaction of your own. */
  async writeIn(tx: Transaction, events: readonly UsageEvent[]): Promise<void> {
    if (events.length > 0) await this.#write(tx, events)
  }

  async #write(tx: Transaction, events: readonly UsageEvent[]): Promise<Sums['active']> {
    const subjects = await this.#tables.lockSubjects(tx, this.#namespace, events)
    const idOf = (subject: string): number => subjects.get(textKey(subject))!.id
    const isNew = await this.#tables.addEvents(tx, this.#namespace, events, subjects)
    const sums = sumsOf(events.filter(({ id }) => isNew.has(id)), this.#namespace, idOf, this.#days)
    const active = sums.active.filter((row) => !this.#active.has(keyOf(row)))
    await this.#tables.addSums(tx, { ...sums, active })
    return active
  }

  async totals(subject: string, now: number): Promise<RecordedSubject | undefined> {
    return this.#tables.totals(this.#database, this.#namespace, textKey(subject), now)
  }

  async erase(subject: string): Promise<void> {
    await this.#database.transaction((tx) => this.#tables.erase(tx, this.#namespace, textKey(subject)))
  }
}
