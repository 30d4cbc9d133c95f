import { TollgateError } from '../../errors/index.ts'
import type { Dialect, Transaction } from '../../stores/sql/database.ts'

type ColumnType = 'text' | 'bigint' | 'boolean'

interface Shape {
  readonly columns: Readonly<Record<string, ColumnType>>
  /** Of them those that may be null. */
  readonly optional: readonly string[]
  readonly key: readonly string[]
}

/** The tables that lie beside the application's own. Instants are epoch ms; a month is `YYYY-MM`, a day `YYYY-MM-DD`. */
const SHAPES: Readonly<Record<string, Shape>> = {
  user_usage: {
    columns: { user_id: 'text', month: 'text', total_messages: 'bigint', premium_messages: 'bigint', last_reset_at: 'bigint', updated_at: 'bigint' },
    optional: ['last_reset_at'],
    key: ['user_id', 'month'],
  },
  message_logs: {
    columns: { id: 'text', user_id: 'text', model: 'text', is_premium: 'boolean', day: 'text', created_at: 'bigint' },
    optional: [],
    key: ['id'],
  },
}

const INDEXES = [
  'CREATE INDEX IF NOT EXISTS user_usage_month ON user_usage (month)',
  'CREATE INDEX IF NOT EXISTS message_logs_day ON message_logs (day)',
  'CREATE INDEX IF NOT EXISTS message_logs_user ON message_logs (user_id, created_at)',
]

export const CREATE_TABLES: readonly string[] = [...Object.entries(SHAPES).map(([name, shape]) => createTable(name, shape)), ...INDEXES]

function createTable(name: string, { columns, optional, key }: Shape): string {
  const lines = Object.entries(columns).map(([column, type]) => `${column} ${type}${optional.includes(column) ? '' : ' NOT NULL'}`)
  return `CREATE TABLE IF NOT EXISTS ${name} (${lines.join(', ')}, PRIMARY KEY (${key.join(', ')}))`
}

interface Column {
  readonly table: string
  readonly name: string
  readonly type: string
  /** An insert that does not name it is refused. */
  readonly isRequired: boolean
  readonly isKey: boolean
}

const NAMES = Object.keys(SHAPES).map((name) => `'${name}'`).join(', ')

/** Of tables and views by these names, where `CREATE TABLE` looks. */
const COLUMNS: Record<Dialect, string> = {
  postgres: `SELECT c.relname AS "table", a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
      a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS "isRequired", coalesce(a.attnum = ANY (i.indkey), false) AS "isKey"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relname IN (${NAMES}) ORDER BY a.attnum`,
  sqlite: `SELECT lower(m.name) AS "table", lower(p.name) AS name, lower(p.type) AS type, p."notnull" = 1 AND p.dflt_value IS NULL AS "isRequired", p.pk > 0 AS "isKey"
    FROM sqlite_schema m JOIN pragma_table_info(m.name) p WHERE m.type IN ('table', 'view') AND lower(m.name) IN (${NAMES}) ORDER BY p.cid`,
}

const FIX: Record<Dialect, string> = {
  postgres: 'rename that one, or open the database with a schema of its own first in its search path',
  sqlite: 'rename that one, or give UsageTracker.configure a database file of its own',
}

/**
 * A table that somebody else made under one of these names would stay as it is, and refuse each message, or mix two kinds of rows.
 * @throws SCHEMA_MISMATCH
 */
export async function assertShapes(tx: Transaction, dialect: Dialect): Promise<void> {
  const found = (await tx.query(COLUMNS[dialect])) as unknown as Column[]
  for (const [table, shape] of Object.entries(SHAPES)) {
    const columns = found.filter((column) => column.table === table)
    const differences = columns.length === 0 ? [] : differencesOf(columns, shape)
    if (differences.length === 0) continue
    throw new TollgateError('SCHEMA_MISMATCH', `${table}: the database has a table of this name that UsageTracker did not make: ${differences.join('; ')}; ${FIX[dialect]}`, { details: { table, differences } })
  }
}

function differencesOf(found: readonly Column[], { columns, optional, key }: Shape): string[] {
  const differences: string[] = []
  for (const [name, type] of Object.entries(columns)) {
    const own = found.find((column) => column.name === name)
    if (!own) differences.push(`it lacks the column ${name} (${type})`)
    else if (own.type !== type) differences.push(`its column ${name} is ${own.type || 'of no type'}, not ${type}`)
  }
  for (const { name, isRequired } of found) if (isRequired && (!Object.hasOwn(columns, name) || optional.includes(name))) differences.push(`its column ${name} refuses rows that do not give it`)
  const ownKey = found.filter(({ isKey }) => isKey).map(({ name }) => name)
  if (ownKey.toSorted().join() !== key.toSorted().join()) differences.push(`it lacks the primary key (${key.join(', ')})`)
  return differences
}
