import type { Database, Dialect } from '../stores/sql/database.ts'
import { deleteFirst, isOneOf } from '../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'

export interface Retention {
  /** Days that single events are kept. Default 90. `Infinity`: until they are archived. */
  readonly eventDays?: number
  /** Days that sums of single subjects are kept, in whole months. Default 430: analytics look 400 days back. Sums over all subjects stay. */
  readonly subjectDays?: number
}

const DAY_MS = 86_400_000
const MONTH = 'YYYY-MM'.length

/**
 * Deletes what is older than that, of all namespaces: at most `limit` rows of each table. Subjects of whom nothing is left
 * go too: each call looks at the next `limit` of them. Returns how many rows there were.
 */
export async function forgetRecorded(database: Database, { eventDays = 90, subjectDays = 430 }: Retention, now: number, limit: number, tables: TableOptions = {}): Promise<number> {
  const sql = statementsFor(database.dialect, tables)
  const subjectsBefore = now - subjectDays * DAY_MS
  const month = new Date(subjectsBefore).toISOString().slice(0, MONTH)
  const deleted = [
    eventDays === Infinity ? [] : await database.query(sql.events, [now - eventDays * DAY_MS, limit]),
    await database.query(sql.totals, [subjectsBefore, limit]),
    await database.query(sql.daily, [month, limit]),
    await database.query(sql.denials, [month, limit]),
    await database.query(sql.active, [month, limit]),
    await database.query(sql.changes, [subjectsBefore, limit]),
  ]
  return deleted.reduce((sum, rows) => sum + rows.length, await forgetSubjects(database, sql, limit))
}

/** How far subjects were looked at, by the statement that does: of their order in a round, which has no end. */
const cursors = new WeakMap<Database, Map<string, number>>()

async function forgetSubjects(database: Database, sql: ReturnType<typeof statementsFor>, limit: number): Promise<number> {
  const own = cursors.get(database) ?? new Map<string, number>()
  cursors.set(database, own)
  const found = await database.query(sql.subjects, [own.get(sql.subjects) ?? 0, limit])
  own.set(sql.subjects, found.length < limit ? 0 : (found.at(-1)!['id'] as number))
  const unused = found.filter(({ is_used: isUsed }) => isUsed === 0).map(({ id }) => id as number)
  if (unused.length === 0) return 0
  return database.transaction(async (tx) => {
    // Whoever writes of a subject holds it first: what was written before it is ours is seen by the second look.
    const locked = await tx.query(sql.lockSubjects, [unused])
    return (await tx.query(sql.forgetSubjects, [locked.map(({ id }) => id as number)])).length
  })
}

function statementsFor(dialect: Dialect, tables: TableOptions) {
  const name = tableNames(dialect, tables)
  const first = (table: string, column: string): string => `${deleteFirst(dialect, name(table), `${column} < $1`, column, '$2')} RETURNING ${column}`
  const subjects = name('usage_subjects')
  const isOneOfThem = isOneOf(dialect, 'id', '$1', 'bigint')
  // A look by an index for each subject, never a join, for which a database could read whole tables. Whoever was active under a plan was so under any.
  const look = (table: string, more = ''): string => `(SELECT 1 FROM ${name(table)} t WHERE t.subject_id = s.id${more} LIMIT 1)`
  const isUsed = `coalesce(${look('usage_daily')}, ${look('usage_events')}, ${look('denial_daily')}, ${look('usage_totals')}, ${look('usage_active', " AND t.plan = ''")}, ${look('plan_changes')}, 0)`
  return {
    events: first('usage_events', 'at'),
    totals: first('usage_totals', 'end_at'),
    daily: first('usage_daily', 'day'),
    denials: first('denial_daily', 'day'),
    active: first('usage_active', 'span'),
    changes: first('plan_changes', 'at'),
    subjects: `SELECT s.id, ${isUsed} AS is_used FROM (SELECT id FROM ${subjects} WHERE id > $1 ORDER BY id LIMIT $2) AS s ORDER BY s.id`,
    lockSubjects: `SELECT id FROM ${subjects} WHERE ${isOneOfThem}${dialect === 'postgres' ? ' ORDER BY id FOR UPDATE SKIP LOCKED' : ''}`,
    forgetSubjects: `DELETE FROM ${subjects} AS s WHERE ${isOneOfThem} AND ${isUsed} = 0 RETURNING id`,
  }
}
