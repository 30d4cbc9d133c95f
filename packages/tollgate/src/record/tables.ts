import { textKey } from '../stores/sql/counters/keys.ts'
import type { Database, Dialect, Row, Transaction } from '../stores/sql/database.ts'
import { type ColumnType, isOneOf, recordset } from '../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'
import { settlementId, type UsageEvent } from './event.ts'
import type { RecordedSubject, RecordedTotal } from './store.ts'
import { columnsOf, type Sums } from './sums.ts'

/** A subject of events that are written, with the number of its last. */
export interface KnownSubject {
  readonly id: number
  readonly seq: number
}

/** The record's SQL: one text a statement, whatever the number of rows. */
export class RecordTables {
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(dialect: Dialect, options: TableOptions) {
    this.#sql = statementsFor(dialect, options)
  }

  /** Makes or changes the events' subjects, and so locks them: always in one order. By `textKey`. */
  async lockSubjects(tx: Transaction, namespace: string, events: readonly UsageEvent[]): Promise<Map<string, KnownSubject>> {
    const rows = new Map<string, { namespace: string; subject: string; anchor_at: number | null; last_plan: string | null; seq: number }>()
    for (const { subject: name, kind, plan, anchorAt } of events) {
      const subject = textKey(name)
      const row = rows.get(subject) ?? { namespace, subject, anchor_at: null, last_plan: null, seq: 0 }
      rows.set(subject, row)
      row.seq++
      row.anchor_at = anchorAt ?? row.anchor_at
      if (kind === 'consume' || kind === 'reserve' || kind === 'commit') row.last_plan = plan
    }
    const sorted = [...rows.values()].toSorted((a, b) => (a.subject < b.subject ? -1 : 1))
    const found = await tx.query(this.#sql.lockSubjects, [JSON.stringify(sorted)])
    return new Map(found.map(({ id, subject, seq }) => [subject as string, { id: id as number, seq: seq as number }]))
  }

  /** The ids of those that were not there yet. */
  async addEvents(tx: Transaction, namespace: string, events: readonly UsageEvent[], subjects: ReadonlyMap<string, KnownSubject>): Promise<Set<string>> {
    const left = new Map<string, number>()
    for (const { subject } of events) left.set(subject, (left.get(subject) ?? 0) + 1)
    const isLate = await this.#settledBefore(tx, events)
    const rows = events.filter(({ id }) => !isLate.has(id)).map((event) => {
      const { id, at, subject, kind, plan, operation: _, count, ...rest } = event
      const { id: subject_id, seq } = subjects.get(textKey(subject))!
      const behind = left.get(subject)! - 1
      left.set(subject, behind)
      return { id, namespace, at, subject_id, seq: seq - behind, kind, plan, ...columnsOf(event), count, body: JSON.stringify(rest) }
    })
    const added = await tx.query(this.#sql.addEvents, [JSON.stringify(rows)])
    return new Set(added.map(({ id }) => id as string))
  }

  /** Ends of holds that another process has settled: it did not come to that. */
  async #settledBefore(tx: Transaction, events: readonly UsageEvent[]): Promise<Set<string>> {
    const ends = events.filter(({ kind }) => kind === 'expire')
    if (ends.length === 0) return new Set()
    const settled = await tx.query(this.#sql.known, [ends.flatMap(({ reservation }) => [settlementId(reservation!, 'commit'), settlementId(reservation!, 'release')])])
    const known = new Set(settled.map(({ id }) => id))
    return new Set(ends.filter(({ reservation }) => known.has(settlementId(reservation!, 'commit')) || known.has(settlementId(reservation!, 'release'))).map(({ id }) => id))
  }

  async addSums(tx: Transaction, { resets, totals, daily, summary, denials, denialSummary, active, changes }: Sums): Promise<void> {
    const add = (sql: string, rows: readonly object[]) => void (rows.length > 0 && tx.query(sql, [JSON.stringify(rows)]))
    for (const { subject_id, at, cells } of resets) {
      if (cells === null) void tx.query(this.#sql.resetAll, [subject_id, at])
      else for (const cell of cells) void tx.query(this.#sql.resetCell, [subject_id, at, cell])
    }
    add(this.#sql.addTotals, totals)
    add(this.#sql.addDaily, daily)
    add(this.#sql.addDenials, denials)
    add(this.#sql.addChanges, changes)
    const isNew = active.length > 0 ? await tx.query(this.#sql.addActive, [JSON.stringify(active)]) : []
    // Rows that all processes share: last, so that they are locked for the shortest time.
    add(this.#sql.addSummary, summary)
    add(this.#sql.addDenialSummary, denialSummary)
    add(this.#sql.addActiveSummary, countsOf(isNew))
  }

  /** By subject; of periods that end after `since`. */
  async totals(database: Database, namespace: string, subjects: readonly string[], since: number): Promise<Map<string, RecordedSubject>> {
    const known = await database.query(this.#sql.subjects, [namespace, subjects])
    const rows = known.length === 0 ? [] : await database.query(this.#sql.totals, [known.map(({ id }) => id as number), since])
    const totals = new Map<unknown, RecordedTotal[]>(known.map(({ id }) => [id, []]))
    for (const { subject_id, cell, partition, start_at, end_at, used } of rows) {
      totals.get(subject_id)!.push({ cell: cell as string, partition: JSON.parse(partition as string) as string, startAt: start_at as number, endAt: end_at as number, used: used as number })
    }
    return new Map(
      known.map(({ id, subject, anchor_at: anchorAt, last_plan: lastPlan }) => [
        subject as string,
        { ...(anchorAt !== null && { anchorAt: anchorAt as number }), ...(lastPlan !== null && { lastPlan: lastPlan as string }), totals: totals.get(id)! },
      ]),
    )
  }

  async erase(tx: Transaction, namespace: string, subject: string): Promise<void> {
    const rows = await tx.query(this.#sql.lockSubject, [namespace, subject])
    for (const { id } of rows) {
      void tx.query(this.#sql.eraseEvents, [id as number])
      void tx.query(this.#sql.eraseTotals, [id as number])
      void tx.query(this.#sql.eraseSubject, [id as number])
    }
  }
}

/** In the order of keys. */
function countsOf(rows: readonly Row[]): object[] {
  const counts = new Map<string, { namespace: unknown; span: unknown; plan: unknown; amount: number }>()
  for (const { namespace, span, plan } of rows) {
    const key = JSON.stringify([span, plan])
    const count = counts.get(key) ?? { namespace, span, plan, amount: 0 }
    counts.set(key, count)
    count.amount++
  }
  return [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

const SUBJECT = { namespace: 'text', subject: 'text', anchor_at: 'bigint', last_plan: 'text', seq: 'bigint' } as const
const EVENT = { id: 'text', namespace: 'text', at: 'bigint', subject_id: 'bigint', seq: 'bigint', kind: 'text', plan: 'text', operation: 'text', model: 'text', count: 'bigint', body: 'text' } as const
const TOTAL = { subject_id: 'bigint', cell: 'text', partition: 'text', start_at: 'bigint', end_at: 'bigint', plan: 'text', lim: 'text', max: 'bigint', used: 'bigint' } as const
const USE = { day: 'text', plan: 'text', operation: 'text', model: 'text', meter: 'text', amount: 'bigint' } as const
const DENIAL = { day: 'text', plan: 'text', lim: 'text', kind: 'text', code: 'text', operation: 'text', mode: 'text', amount: 'bigint' } as const
const ACTIVE = { namespace: 'text', span: 'text', plan: 'text', subject_id: 'bigint' } as const
const CHANGE = { id: 'text', namespace: 'text', at: 'bigint', subject_id: 'bigint', from_plan: 'text', to_plan: 'text' } as const

function statementsFor(dialect: Dialect, options: TableOptions) {
  const name = tableNames(dialect, options)
  const subjects = name('usage_subjects')
  const events = name('usage_events')
  const totals = name('usage_totals')
  const insert = (table: string, columns: Readonly<Record<string, ColumnType>>, conflict: string): string => {
    const names = Object.keys(columns).map((column) => `"${column}"`).join(', ')
    return `INSERT INTO ${name(table)} AS t (${names}) SELECT ${names} FROM ${recordset(dialect, '$1', columns)} WHERE true ON CONFLICT ${conflict}`
  }
  const added = (key: string, more = ''): string => `(${key}) DO UPDATE SET amount = t.amount + excluded.amount${more}`
  const denialKey = 'day, plan, lim, kind, code, operation, mode'
  const [least, greatest] = dialect === 'postgres' ? ['least', 'greatest'] : ['min', 'max']
  const isLive = 'subject_id = $1 AND start_at <= $2 AND end_at > $2'
  return {
    lockSubjects: `${insert('usage_subjects', SUBJECT, '(namespace, subject) DO UPDATE SET anchor_at = coalesce(excluded.anchor_at, t.anchor_at), last_plan = coalesce(excluded.last_plan, t.last_plan), seq = t.seq + excluded.seq')} RETURNING id, subject, seq`,
    known: `SELECT id FROM ${events} WHERE ${isOneOf(dialect, 'id', '$1', 'text')}`,
    addEvents: `${insert('usage_events', EVENT, '(id) DO NOTHING')} RETURNING id`,
    resetAll: `DELETE FROM ${totals} WHERE ${isLive}`,
    resetCell: `DELETE FROM ${totals} WHERE ${isLive} AND cell = $3`,
    addTotals: insert('usage_totals', TOTAL, '(subject_id, cell, partition, start_at) DO UPDATE SET used = t.used + excluded.used, end_at = excluded.end_at, plan = excluded.plan, max = excluded.max'),
    addDaily: insert('usage_daily', { subject_id: 'bigint', ...USE }, added('subject_id, day, plan, operation, model, meter')),
    addSummary: insert('usage_summary', { namespace: 'text', lim: 'text', ...USE }, added('namespace, day, plan, lim, operation, model, meter')),
    addDenials: insert('denial_daily', { namespace: 'text', subject_id: 'bigint', ...DENIAL, first_at: 'bigint', last_at: 'bigint' }, added(`subject_id, ${denialKey}`, `, first_at = ${least}(t.first_at, excluded.first_at), last_at = ${greatest}(t.last_at, excluded.last_at)`)),
    addDenialSummary: insert('denial_summary', { namespace: 'text', ...DENIAL }, added(`namespace, ${denialKey}`)),
    addActive: `${insert('usage_active', ACTIVE, '(namespace, span, plan, subject_id) DO NOTHING')} RETURNING namespace, span, plan`,
    addActiveSummary: insert('active_summary', { namespace: 'text', span: 'text', plan: 'text', amount: 'bigint' }, added('namespace, span, plan')),
    addChanges: insert('plan_changes', CHANGE, '(id) DO NOTHING'),
    subjects: `SELECT id, subject, anchor_at, last_plan FROM ${subjects} WHERE namespace = $1 AND ${isOneOf(dialect, 'subject', '$2', 'text')}`,
    totals: `SELECT subject_id, cell, partition, start_at, end_at, used FROM ${totals} WHERE ${isOneOf(dialect, 'subject_id', '$1', 'bigint')} AND end_at > $2`,
    lockSubject: `SELECT id FROM ${subjects} WHERE namespace = $1 AND subject = $2${dialect === 'postgres' ? ' FOR UPDATE' : ''}`,
    eraseEvents: `DELETE FROM ${events} WHERE subject_id = $1`,
    eraseTotals: `DELETE FROM ${totals} WHERE subject_id = $1`,
    eraseSubject: `UPDATE ${subjects} SET subject = NULL, anchor_at = NULL, last_plan = NULL WHERE id = $1`,
  }
}
