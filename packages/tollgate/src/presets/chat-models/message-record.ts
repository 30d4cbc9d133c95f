import { Days } from '../../record/days.ts'
import type { UsageEvent } from '../../record/event.ts'
import { SqlRecord } from '../../record/sql.ts'
import type { RecordedSubject, RecordStore } from '../../record/store.ts'
import { columnsOf } from '../../record/sums.ts'
import { textKey } from '../../stores/sql/counters/keys.ts'
import type { Database } from '../../stores/sql/database.ts'
import { type Count, MessageTables, monthOf } from './message-tables.ts'
import { isPremium, type operations, type plans } from './plans.ts'

export interface MessageRecordOptions {
  /** Keeps the subjects of several engines apart in the record. `user_usage` and `message_logs` know none. Default `default`. */
  namespace?: string
  /** Where days begin: an IANA name. Default `UTC`. Months are the plan's, in UTC. */
  timezone?: string
}

type LimitName = keyof (typeof plans)['user']['limits']

const TOTAL = 'monthlyMessages' satisfies LimitName
const PREMIUM = 'premiumMessages' satisfies LimitName
const MESSAGE = 'message' satisfies keyof typeof operations
const SUBJECT = 'chat:'

/** What a user of this preset is called in the engine. */
export const subjectOf = (userId: string): string => SUBJECT + userId

/**
 * The engine's record, with `user_usage` and `message_logs` written beside it in the same transaction: a message that was
 * answered counts in all of them, whether limits were in force or not, and once. A lost counter store is rebuilt from the record; `user_usage` says the same in the
 * product's words, for queries of the application's own.
 */
export class MessageRecord implements RecordStore {
  readonly #database: Database
  readonly #record: SqlRecord
  readonly #tables: MessageTables
  readonly #days: Days

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, { namespace = 'default', timezone = 'UTC' }: MessageRecordOptions = {}) {
    this.#database = database
    this.#record = new SqlRecord(database, { namespace, timezone })
    this.#tables = new MessageTables(database.dialect)
    this.#days = new Days(timezone)
  }

  async write(events: readonly UsageEvent[]): Promise<void> {
    const own = events.filter(({ subject }) => subject.startsWith(SUBJECT))
    await this.#database.transaction(async (tx) => {
      // Locks the subjects, so that processes write the rows of a user in turn.
      await this.#record.writeIn(tx, events)
      const isNew = await this.#tables.addMessages(tx, own.filter(isMessage).map((event) => this.#messageOf(event)))
      for (const event of own) {
        if (event.kind === 'reset') this.#tables.reset(tx, resetOf(event))
        else if (isNew.has(event.id)) this.#tables.count(tx, countOf(event))
      }
    })
  }

  /** Empties the user's month in `user_usage`, ahead of what the engine tells of its own reset: that is the same then. */
  async resetMonth(subject: string, at: number): Promise<void> {
    await this.#database.transaction(async (tx) => this.#tables.reset(tx, { userId: userOf(subject), month: monthOf(at), at, isTotal: true, isPremium: true }))
  }

  totals(subject: string, now: number): Promise<RecordedSubject | undefined> {
    return this.#record.totals(subject, now)
  }

  async erase(subject: string): Promise<void> {
    await this.#record.erase(subject)
    if (!subject.startsWith(SUBJECT)) return
    await this.#database.transaction(async (tx) => this.#tables.erase(tx, userOf(subject)))
  }

  #messageOf(event: UsageEvent) {
    const { model } = columnsOf(event)
    return { id: event.id, user_id: userOf(event.subject), model, is_premium: isPremium(model) ? 1 : 0, day: this.#days.of(event.at), created_at: event.at }
  }
}

/** As the tables have it: PostgreSQL takes not every text. */
export const userOf = (subject: string): string => textKey(subject.slice(SUBJECT.length))

function isMessage({ kind, operation }: UsageEvent): boolean {
  return (kind === 'consume' || kind === 'commit') && operation === MESSAGE
}

/**
 * A message counts in the month that it was admitted in, as in the engine. Where no quota counted it (limits are off, or in
 * shadow and would have denied) it is one of the month in which it was answered.
 */
function countOf(event: UsageEvent): Count {
  const { subject, at, uses } = event
  const used = (limit: LimitName) => uses.find((use) => use.limit === limit)
  const total = used(TOTAL)
  return {
    userId: userOf(subject),
    month: monthOf(total?.startAt ?? at),
    at,
    total: total?.amount ?? 1,
    premium: total ? (used(PREMIUM)?.amount ?? 0) : Number(isPremium(columnsOf(event).model)),
  }
}

function resetOf({ subject, at, cells = null }: UsageEvent) {
  const isEmptied = (limit: LimitName): boolean => cells === null || cells.some((cell) => cell.includes(`/${limit}:`))
  return { userId: userOf(subject), month: monthOf(at), at, isTotal: isEmptied(TOTAL), isPremium: isEmptied(PREMIUM) }
}
