import { invalidDefinition, show } from '../../errors/index.ts'
import type { Database, Dialect, Transaction } from '../../stores/sql/database.ts'
import { clockOf } from '../../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../../stores/sql/tables.ts'
import { getWorldMessageLimits } from './plan-info.ts'
import { defaultPlan, plans, type WorldPlan } from './plans.ts'
import { COUNTED_OPERATIONS, SUBJECT } from './subjects.ts'

export interface WorldViewsOptions extends TableOptions {
  /** The engine's. Default `default`. */
  namespace?: string
  /** What a message costs you, in the currency of the plans' prices. Default 0.0005. */
  messageCost?: number
}

/** What the product's queries find: `docs/queries.md` has their columns. */
const VIEWS = { Usage: usage, User: user, WorldPlan: worldPlan, WorldViolation: worldViolation, WorldPlanChange: worldPlanChange } as const

interface Names {
  readonly dialect: Dialect
  readonly table: (name: string) => string
  readonly namespace: string
  readonly messageCost: number
}

/**
 * The record and the subjects of this preset as the product's own tables, `"Usage"` and `"User"`, and as three more that
 * its reports need: views, so they are always current. They lie where the application's tables do (PostgreSQL: in the
 * first schema of the search path), while `schema` and `tablePrefix` are those of Tollgate's. May be called at every start.
 * @throws INVALID_DEFINITION, also where the application has a table of one of these names
 */
export async function createWorldViews(database: Database, { namespace = 'default', messageCost = 0.0005, ...tables }: WorldViewsOptions = {}): Promise<void> {
  if (typeof namespace !== 'string' || !/^[\w.-]{1,64}$/.test(namespace)) throw invalidDefinition('namespace', `${show(namespace)} is not a namespace; use 1 to 64 letters, digits, '_', '-' or '.'`)
  if (!Number.isFinite(messageCost) || messageCost < 0) throw invalidDefinition('messageCost', `${show(messageCost)} is not a cost; use a number from 0 up, such as 0.0005`)
  const { dialect } = database
  const names: Names = { dialect, table: tableNames(dialect, tables), namespace, messageCost }
  await database.transaction(async (tx) => {
    if (dialect === 'postgres') void tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('tollgate world views', 0))`)
    for (const [name, sql] of Object.entries(VIEWS)) {
      await assertFree(tx, dialect, name)
      // SQLite cannot replace a view; in PostgreSQL views of others may be made of it.
      if (dialect === 'sqlite') void tx.query(`DROP VIEW IF EXISTS "${name}"`)
      void tx.query(`CREATE ${dialect === 'postgres' ? 'OR REPLACE ' : ''}VIEW "${name}" AS ${sql(names)}`)
    }
  })
}

async function assertFree(tx: Transaction, dialect: Dialect, name: string): Promise<void> {
  const sql = dialect === 'postgres' ? `SELECT 1 AS found FROM pg_class WHERE oid = to_regclass($1) AND relkind <> 'v'` : `SELECT 1 AS found FROM sqlite_schema WHERE name = trim($1, '"') AND type <> 'view'`
  const found = await tx.query(sql, [`"${name}"`])
  if (found.length > 0) throw invalidDefinition('createWorldViews', `the database has a table "${name}" of its own; query that, or open the database with another schema first in its search path`)
}

/** Those of the preset among the record's subjects. */
const isOwn = (namespace: string): string => `s.namespace = '${namespace}' AND s.subject >= '${SUBJECT}' AND s.subject < '${SUBJECT.replace(':', ';')}'`

const USER_ID = `substr(s.subject, ${SUBJECT.length + 1})`

/** `free` of `virtual-worlds/free`. */
const shortName = (dialect: Dialect, plan: string): string => `substr(${plan}, ${dialect === 'postgres' ? `strpos(${plan}, '/')` : `instr(${plan}, '/')`} + 1)`

/** In UTC, so that a date is the plan's day whatever zone a session has. */
const timestamp = (dialect: Dialect, at: string): string => (dialect === 'postgres' ? `to_timestamp(${at} / 1000.0) AT TIME ZONE 'UTC'` : `strftime('%Y-%m-%d %H:%M:%f', ${at} / 1000.0, 'unixepoch')`)

function usage({ dialect, table, namespace }: Names): string {
  return `SELECT e.id, ${USER_ID} AS "userId", 'world_message' AS "resourceType", ${timestamp(dialect, 'e.at')} AS "createdAt", e.at
    FROM ${table('usage_events')} e JOIN ${table('usage_subjects')} s ON s.id = e.subject_id
    WHERE ${isOwn(namespace)} AND e.kind IN ('consume', 'commit') AND e.operation IN (${COUNTED_OPERATIONS})`
}

/** A plan that was stored, also one that waited for the end of a period; else the one that was last used. */
function user({ dialect, table, namespace }: Names): string {
  const body = dialect === 'postgres' ? 'p.body::json' : 'p.body'
  const stored = `CASE WHEN CAST(${body} -> 'nextPlan' ->> 'at' AS bigint) <= ${clockOf(dialect)} THEN ${body} -> 'nextPlan' ->> 'plan' ELSE ${body} ->> 'plan' END`
  return `SELECT id, ${shortName(dialect, 'plan')} AS plan FROM (
    SELECT ${USER_ID} AS id, coalesce(${stored}, s.last_plan, '${defaultPlan}') AS plan
    FROM ${table('usage_subjects')} s LEFT JOIN ${table('subjects')} p ON p.subject = '${namespace}/' || s.subject
    WHERE ${isOwn(namespace)}) u`
}

function worldPlan({ messageCost }: Names): string {
  const rows = (Object.keys(plans) as WorldPlan[]).map((plan) => {
    const { messagesPerDay } = getWorldMessageLimits(plan)
    return `('${plan}', ${plans[plan].price.amount}, ${messagesPerDay === Infinity ? 'NULL' : messagesPerDay}, ${messageCost})`
  })
  return `SELECT column1 AS id, column2 AS price, column3 AS "messagesPerDay", CAST(column4 AS numeric) AS "messageCost" FROM (VALUES ${rows.join(', ')}) v`
}

function worldViolation({ dialect, table, namespace }: Names): string {
  return `SELECT ${USER_ID} AS "userId", ${shortName(dialect, 'd.plan')} AS plan, d.lim AS "limitName", d.kind, d.day, d.amount, d.first_at AS "firstAt", d.last_at AS "lastAt"
    FROM ${table('denial_daily')} d JOIN ${table('usage_subjects')} s ON s.id = d.subject_id
    WHERE ${isOwn(namespace)} AND d.lim <> '' AND d.mode = 'enforce'`
}

/** Who had no plan stored was on the default one. */
function worldPlanChange({ dialect, table, namespace }: Names): string {
  const nameOf = (column: string): string => shortName(dialect, `coalesce(nullif(${column}, ''), '${defaultPlan}')`)
  return `SELECT ${USER_ID} AS "userId", ${nameOf('c.from_plan')} AS "fromPlan", ${nameOf('c.to_plan')} AS "toPlan", c.at AS "changedAt"
    FROM ${table('plan_changes')} c JOIN ${table('usage_subjects')} s ON s.id = c.subject_id
    WHERE ${isOwn(namespace)}`
}
