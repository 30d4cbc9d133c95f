import type { Dialect } from '../../stores/sql/database.ts'
import { clockOf, isOneOf } from '../../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../../stores/sql/tables.ts'

/** By which column of a table rows are grouped, by the name that it has outside. */
export const USAGE_COLUMNS = { day: 'day', plan: 'plan', limit: 'lim', operation: 'operation', model: 'model' } as const
export const DENIAL_COLUMNS = { day: 'day', plan: 'plan', limit: 'lim', kind: 'kind', code: 'code', operation: 'operation', mode: 'mode' } as const

/** The longest day: of 25 hours, where clocks are set back. */
const LONGEST_DAY_MS = 90_000_000

/**
 * What analytics read. $1 is the namespace, and one text serves any question: which columns count is a parameter too.
 * Sums over subjects are read from tables that hold them; no statement reads an event.
 */
export function statementsFor(dialect: Dialect, options: TableOptions) {
  const name = tableNames(dialect, options)
  const isPostgres = dialect === 'postgres'
  const [int, text] = isPostgres ? ['::bigint', '::text'] : ['', '']
  const chosen = (columns: Readonly<Record<string, string>>, first: number): string =>
    Object.entries(columns).map(([as, column], i) => `CASE WHEN $${first + i}${int} = 1 THEN ${column} ELSE '' END AS "${as}"`).join(', ')
  const upTo = (count: number): string => Array.from({ length: count }, (_, i) => i + 1).join(', ')
  const ofNamespace = 'namespace = $1 AND day BETWEEN $2 AND $3'
  // One look into the subjects for each row, never a join: plans made for empty tables would read all of them.
  const subjects = name('usage_subjects')
  const own = (row: string): string => `(SELECT s.namespace FROM ${subjects} s WHERE s.id = ${row}.subject_id) = $1`
  const subject = (row: string): string => `(SELECT s.subject FROM ${subjects} s WHERE s.id = ${row}.subject_id) AS subject`
  const onDay = isPostgres ? (day: string, days: string) => `to_char(${day}::date + ${days}::integer, 'YYYY-MM-DD')` : (day: string, days: string) => `date(${day}, ${days} || ' days')`

  const ofDenials = (isCounted: string): string => `FROM ${name('denial_daily')} d WHERE d.namespace = $1 AND d.day BETWEEN $2 AND $3 AND d.lim = '' AND ${isCounted}`
  const denied = (isCounted: string): string =>
    `FROM (SELECT d.subject_id, d.plan, d.mode, sum(d.amount) AS requests, max(d.last_at) AS last_at ${ofDenials(isCounted)} GROUP BY d.subject_id, d.plan, d.mode) AS r WHERE true`
  const isMode = (parameter: string): string => `(${parameter}${int} = 1 OR mode = 'enforce')`
  const ofLimit = (parameter: string): string => `(${parameter}${text} = '' OR t.lim = ${parameter})`
  const counts = 'count(DISTINCT t.subject_id) AS subjects, count(DISTINCT CASE WHEN t.used > t.max THEN t.subject_id END) AS "over"'
  const totalOf = `t.subject_id, ${subject('t')}, t.cell, t.partition, t.plan, t.lim, t.max, t.used, t.start_at, t.end_at`
  // `+ 0`: the primary key would be gone through, with all periods that ever were.
  const pageOf = (first: number): string =>
    `AND (t.subject_id + 0, t.cell, t.partition, t.start_at) > ($${first}${int}, $${first + 1}${text}, $${first + 2}${text}, $${first + 3}${int}) ORDER BY t.subject_id + 0, t.cell, t.partition, t.start_at LIMIT $${first + 4}${int}`
  const near = `FROM ${name('usage_totals')} t WHERE t.end_at > $2 AND t.start_at + 0 <= $2 AND t.max IS NOT NULL AND t.used > 0 AND t.used * 1000000 >= t.max * $3${int} AND ${ofLimit('$4')} AND ${own('t')}`
  const daily = `FROM ${name('usage_totals')} t WHERE t.end_at > $2 AND t.start_at + 0 <= $3 AND t.end_at - t.start_at <= ${LONGEST_DAY_MS} AND t.max IS NOT NULL AND t.used > 0 AND t.used >= t.max AND ${ofLimit('$4')} AND ${own('t')}`
  // A month's name comes before its days', and after those of the month before.
  const isDay = 'length(a.span) = 10'
  return {
    now: `SELECT ${clockOf(dialect)} AS now`,
    usage: `SELECT ${chosen(USAGE_COLUMNS, 4)}, meter, sum(amount) AS amount FROM ${name('usage_summary')} WHERE ${ofNamespace} AND (lim <> '') = ($6${int} = 1) GROUP BY ${upTo(6)} ORDER BY ${upTo(6)}`,
    shares: `SELECT plan, lim, CASE WHEN lim = '' THEN model ELSE '' END AS of_model, sum(amount) AS amount FROM ${name('usage_summary')} WHERE ${ofNamespace} AND (lim <> '' OR meter = 'requests') GROUP BY ${upTo(3)} ORDER BY ${upTo(3)}`,
    active: `SELECT span, plan, amount FROM ${name('active_summary')} WHERE namespace = $1 AND ${isOneOf(dialect, 'span', '$2', 'text')} ORDER BY span, plan`,
    // Who is in one of the spans $2: counted where it is one of $3, else where a look finds a day of the range. `>`: an index has no use for `<>`.
    activeOver: `SELECT plan, count(*) AS amount FROM (SELECT subject_id, plan, max(CASE WHEN ${isOneOf(dialect, 'span', '$3', 'text')} THEN 1 ELSE 0 END) AS is_known FROM ${name('usage_active')} WHERE namespace = $1 AND ${isOneOf(dialect, 'span', '$2', 'text')} AND plan > '' GROUP BY subject_id, plan) AS r WHERE is_known = 1 OR (SELECT 1 FROM ${name('usage_active')} a WHERE a.subject_id = r.subject_id AND a.plan = r.plan AND a.plan <> '' AND a.span BETWEEN $4 AND $5 AND ${isDay} LIMIT 1) IS NOT NULL GROUP BY plan ORDER BY plan`,
    // $11: violations alone.
    denials: `SELECT ${chosen(DENIAL_COLUMNS, 4)}, sum(CASE WHEN lim = '' THEN amount ELSE 0 END) AS requests, sum(CASE WHEN lim = '' THEN 0 ELSE amount END) AS violations FROM ${name('denial_summary')} WHERE ${ofNamespace} AND ${isMode('$10')} AND ($11${int} = 0 OR lim <> '') GROUP BY ${upTo(7)} ORDER BY ${upTo(7)}`,
    deniedCounts: `SELECT r.plan, r.mode, count(*) AS subjects ${denied(isMode('$4'))} GROUP BY r.plan, r.mode ORDER BY r.plan, r.mode`,
    deniedSubjects: `SELECT r.subject_id, ${subject('r')}, r.plan, r.requests, r.last_at ${denied("d.mode = 'enforce'")} AND (r.subject_id, r.plan) > ($4${int}, $5${text}) ORDER BY r.subject_id, r.plan LIMIT $6${int}`,
    near: `SELECT ${totalOf} ${near} ${pageOf(5)}`,
    nearCounts: `SELECT t.plan, t.lim, ${counts} ${near} GROUP BY t.plan, t.lim ORDER BY t.plan, t.lim`,
    full: `SELECT ${totalOf} ${daily} ${pageOf(5)}`,
    fullCounts: `SELECT t.start_at, t.plan, t.lim, ${counts} ${daily} GROUP BY t.start_at, t.plan, t.lim ORDER BY t.start_at, t.plan, t.lim`,
    // $5: last denied before that day, they have had $4 days to come back. Looked for in the order of an index: in any other it takes twice as long.
    churned: `SELECT r.plan, count(*) AS denied, sum(CASE WHEN r.last_day < $5 THEN 1 ELSE 0 END) AS judged, sum(CASE WHEN r.last_day < $5 AND NOT EXISTS (SELECT 1 FROM ${name('usage_active')} a WHERE a.subject_id = r.subject_id AND a.plan = '' AND a.span > r.last_day AND a.span <= ${onDay('r.last_day', '$4')} AND ${isDay}) THEN 1 ELSE 0 END) AS churned FROM (SELECT d.subject_id, d.plan, max(d.day) AS last_day ${ofDenials("d.mode = 'enforce'")} GROUP BY d.subject_id, d.plan ORDER BY d.subject_id) AS r GROUP BY r.plan ORDER BY r.plan`,
    // For each change of plan after a denial: when the last one before it was. One that was announced twice is one.
    changes: `SELECT c.subject_id, c.at, c.to_plan, d.plan, max(CASE WHEN d.last_at <= c.at THEN d.last_at ELSE d.first_at END) AS denied_at FROM ${name('plan_changes')} c JOIN ${name('denial_daily')} d ON d.subject_id = c.subject_id WHERE c.namespace = $1 AND c.at >= $4 AND c.at < $5 AND d.day BETWEEN $2 AND $3 AND d.lim = '' AND d.mode = 'enforce' AND d.first_at <= c.at GROUP BY c.subject_id, c.at, c.to_plan, d.plan ORDER BY c.at, c.subject_id, c.to_plan, d.plan`,
  }
}

export type Statements = ReturnType<typeof statementsFor>
