import type { Database, Transaction } from '../stores/sql/database.ts'
import { textKey } from '../stores/sql/counters/keys.ts'
import type { Answer } from '../stores/answer.ts'
import { Batches } from '../stores/sql/batches.ts'
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
  /** After a restart many subjects are asked for at once. */
  readonly #reads: Batches<{ subject: string; now: number }, RecordedSubject | undefined>

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, { namespace = 'default', timezone = 'UTC', ...tables }: SqlRecordOptions = {}) {
    this.#database = database
    this.#namespace = namespace
    this.#days = new Days(timezone)
    this.#tables = new RecordTables(database.dialect, tables)
    this.#reads = new Batches({ run: (asked) => this.#read(asked), keyOf: ({ subject }) => subject })
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

  async #write(tx: Transaction, all: readonly UsageEvent[]): Promise<Sums['active']> {
    // The first of an id counts, in a batch too.
    const events = [...new Map(all.toReversed().map((event) => [event.id, event])).values()].toReversed()
    const subjects = await this.#tables.lockSubjects(tx, this.#namespace, events)
    const idOf = (subject: string): number => subjects.get(textKey(subject))!.id
    const isNew = await this.#tables.addEvents(tx, this.#namespace, events, subjects)
    const sums = sumsOf(events.filter(({ id }) => isNew.has(id)), this.#namespace, idOf, this.#days)
    const active = sums.active.filter((row) => !this.#active.has(keyOf(row)))
    await this.#tables.addSums(tx, { ...sums, active })
    return active
  }

  totals(subject: string, now: number): Promise<RecordedSubject | undefined> {
    return this.#reads.submit({ subject: textKey(subject), now })
  }

  async #read(asked: readonly { subject: string; now: number }[]): Promise<Answer<RecordedSubject | undefined>[]> {
    const found = await this.#tables.totals(this.#database, this.#namespace, [...new Set(asked.map(({ subject }) => subject))], Math.min(...asked.map(({ now }) => now)))
    return asked.map(({ subject, now }) => {
      const recorded = found.get(subject)
      return { value: recorded && { ...recorded, totals: recorded.totals.filter(({ startAt, endAt }) => startAt <= now && now < endAt) } }
    })
  }

  async erase(subject: string): Promise<void> {
    await this.#database.transaction((tx) => this.#tables.erase(tx, this.#namespace, textKey(subject)))
  }
}
