import { assertInteger } from '../../compile/request.ts'
import type { Database, Row } from '../../stores/sql/database.ts'
import { type TableOptions, tableNames } from '../../stores/sql/tables.ts'
import type { BusinessPlan, plans } from './plans.ts'

export interface MonitorReportOptions extends TableOptions {
  /** The instant that the report is about: epoch ms. Default: now. */
  at?: number
  /** How many days, that of `at` the last: 1 … 90. Default 7. */
  days?: number
  /** The engine's. Default `default`. */
  namespace?: string
}

/** Plans go by their short names. Days are in UTC. */
export interface MonitorReport {
  readonly at: number
  /** How many businesses used up a day's messages; each day, the oldest first. */
  readonly atDailyLimit: readonly { readonly date: string; readonly businesses: number }[]
  /** How many businesses have used more than 80 % of the tokens of their period, per plan that has any. */
  readonly nearTokenLimit: readonly { readonly plan: string; readonly businesses: number }[]
  /** Must be empty. Tokens are not in it: an answer is counted in full, also above the limit. */
  readonly aboveLimit: readonly CounterAboveLimit[]
  /** Per code, in all the days. A message that two limits denied is in both. */
  readonly denials: readonly {
    readonly code: string
    readonly denied: number
    /** Would have been denied: limits were in shadow mode. */
    readonly shadow: number
  }[]
  /** Of the businesses that asked in these days, but for those on FREE, which has no chat. */
  readonly blocked: {
    readonly active: number
    readonly blocked: number
    readonly share: number
    /** Less than 5 % of the active. */
    readonly isOnTarget: boolean
    /** Businesses on FREE that asked. */
    readonly free: number
  }
}

export interface CounterAboveLimit {
  readonly business: string
  readonly plan: string
  readonly date: string
  readonly count: number
  readonly limit: number
}

type LimitName = keyof (typeof plans)['TRIAL']['limits']

const DAY_MS = 86_400_000
const MAX_AT = 4e12
const MAX_DAYS = 90
const NEAR_PERCENT = 80
const TARGET = 0.05

const SUBJECT = 'business:'
const DAILY = 'dailyMessages' satisfies LimitName
const TOKENS = 'monthlyTokens' satisfies LimitName
const FREE = 'FREE' satisfies BusinessPlan

/**
 * How the limits do, from the record: what to look at each day while they are rolled out. What was recorded within the
 * last tenth of a second may be missing.
 * @throws INVALID_REQUEST
 */
export async function monitorReport(database: Database, { at = Date.now(), days = 7, namespace = 'default', ...tables }: MonitorReportOptions = {}): Promise<MonitorReport> {
  assertInteger(at, 'at', 0, MAX_AT)
  assertInteger(days, 'days', 1, MAX_DAYS)
  const midnight = at - (at % DAY_MS)
  const dates = Array.from({ length: days }, (_, i) => dateOf(midnight - (days - 1 - i) * DAY_MS))
  const [first, last] = [dates[0]!, dates.at(-1)!]
  const sql = statementsFor(tableNames(database.dialect, tables))
  const [full, near, above, denials, [blocked]] = await Promise.all([
    database.query(sql.atDailyLimit, [namespace, Date.parse(first), at]),
    database.query(sql.nearTokenLimit, [namespace, at]),
    database.query(sql.aboveLimit, [namespace, Date.parse(first), at]),
    database.query(sql.denials, [namespace, first, last]),
    database.query(sql.blocked, [namespace, first, last]),
  ])
  const fullOn = new Map(full.map(({ start_at, businesses }) => [dateOf(start_at as number), businesses as number]))
  return {
    at,
    atDailyLimit: dates.map((date) => ({ date, businesses: fullOn.get(date) ?? 0 })),
    nearTokenLimit: near.map(({ plan, businesses }) => ({ plan: shortName(plan), businesses: businesses as number })),
    aboveLimit: above.map(counterOf),
    denials: denials as unknown as MonitorReport['denials'],
    blocked: blockedOf(blocked!),
  }
}

const dateOf = (at: number): string => new Date(at).toISOString().slice(0, 10)

/** `TRIAL` of `business-chat/TRIAL`. */
const shortName = (plan: unknown): string => (plan as string).replace(/^.*\//, '')

function counterOf({ subject, plan, start_at, used, max }: Row): CounterAboveLimit {
  return { business: (subject as string).slice(SUBJECT.length), plan: shortName(plan), date: dateOf(start_at as number), count: used as number, limit: max as number }
}

function blockedOf(row: Row): MonitorReport['blocked'] {
  const { active, blocked, free } = row as { active: number; blocked: number; free: number }
  const share = active === 0 ? 0 : blocked / active
  return { active, blocked, share, isOnTarget: share < TARGET, free }
}

function statementsFor(name: (table: string) => string) {
  const isOwn = `s.namespace = $1 AND s.subject >= '${SUBJECT}' AND s.subject < '${SUBJECT.replace(':', ';')}'`
  const totals = `${name('usage_totals')} t JOIN ${name('usage_subjects')} s ON s.id = t.subject_id`
  const denials = `${name('denial_daily')} d JOIN ${name('usage_subjects')} s ON s.id = d.subject_id WHERE ${isOwn} AND d.day BETWEEN $2 AND $3`
  const daily = `FROM ${totals} WHERE ${isOwn} AND t.lim = '${DAILY}' AND t.end_at > $2 AND t.start_at <= $3`
  return {
    atDailyLimit: `SELECT t.start_at, count(*) AS businesses ${daily} AND t.used >= t.max GROUP BY t.start_at`,
    nearTokenLimit: `SELECT t.plan, count(DISTINCT t.subject_id) AS businesses FROM ${totals}
      WHERE ${isOwn} AND t.lim = '${TOKENS}' AND t.start_at <= $2 AND t.end_at > $2 AND t.used * 100 > t.max * ${NEAR_PERCENT} GROUP BY t.plan ORDER BY t.plan`,
    aboveLimit: `SELECT s.subject, t.plan, t.start_at, t.used, t.max ${daily} AND t.used > t.max ORDER BY t.start_at, s.subject`,
    denials: `SELECT d.code, coalesce(sum(d.amount) FILTER (WHERE d.mode = 'enforce'), 0) AS denied, coalesce(sum(d.amount) FILTER (WHERE d.mode = 'shadow'), 0) AS shadow
      FROM ${denials} AND d.lim <> '' GROUP BY d.code ORDER BY d.code`,
    // Who was denied all day is active too. The spans of months are shorter than those of days.
    blocked: `SELECT count(*) FILTER (WHERE is_active = 1) AS active, count(*) FILTER (WHERE is_blocked = 1) AS blocked, count(*) FILTER (WHERE is_free = 1) AS free FROM (
        SELECT subject_id, max(is_active) AS is_active, max(is_blocked) AS is_blocked, max(is_free) AS is_free FROM (
          SELECT a.subject_id, 1 AS is_active, 0 AS is_blocked, 0 AS is_free FROM ${name('usage_active')} a JOIN ${name('usage_subjects')} s ON s.id = a.subject_id
          WHERE ${isOwn} AND a.namespace = $1 AND a.span BETWEEN $2 AND $3 AND length(a.span) = length($2) AND a.plan = ''
          UNION ALL
          SELECT d.subject_id, CASE WHEN ${isFree} THEN 0 ELSE 1 END, CASE WHEN ${isFree} THEN 0 ELSE 1 END, CASE WHEN ${isFree} THEN 1 ELSE 0 END
          FROM ${denials} AND d.lim = '' AND d.mode = 'enforce'
        ) asked GROUP BY subject_id
      ) businesses`,
  }
}

const isFree = `(d.plan = '${FREE}' OR d.plan LIKE '%/${FREE}')`
