import type { Database, Dialect } from '../stores/sql/database.ts'
import { deleteFirst } from '../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'

export interface Retention {
  /** Days that single events are kept. Default 90. */
  readonly eventDays?: number
  /** Days that sums of single subjects are kept, in whole months. Default 430: analytics look 400 days back. Sums over all subjects stay. */
  readonly subjectDays?: number
}

const DAY_MS = 86_400_000
const MONTH = 'YYYY-MM'.length

/** Deletes what is older than that, of all namespaces: at most `limit` rows of each table. Returns how many there were. */
export async function forgetRecorded(database: Database, { eventDays = 90, subjectDays = 430 }: Retention, now: number, limit: number, tables: TableOptions = {}): Promise<number> {
  const sql = statementsFor(database.dialect, tables)
  const subjectsBefore = now - subjectDays * DAY_MS
  const month = new Date(subjectsBefore).toISOString().slice(0, MONTH)
  const deleted = [
    await database.query(sql.events, [now - eventDays * DAY_MS, limit]),
    await database.query(sql.totals, [subjectsBefore, limit]),
    await database.query(sql.daily, [month, limit]),
    await database.query(sql.denials, [month, limit]),
    await database.query(sql.active, [month, limit]),
  ]
  return deleted.reduce((sum, rows) => sum + rows.length, 0)
}

function statementsFor(dialect: Dialect, tables: TableOptions) {
  const name = tableNames(dialect, tables)
  const first = (table: string, column: string): string => `${deleteFirst(dialect, name(table), `${column} < $1`, column, '$2')} RETURNING ${column}`
  return {
    events: first('usage_events', 'at'),
    totals: first('usage_totals', 'end_at'),
    daily: first('usage_daily', 'day'),
    denials: first('denial_daily', 'day'),
    active: first('usage_active', 'span'),
  }
}
