import { invalidDefinition, show } from '../../errors/index.ts'
import type { Dialect } from './database.ts'

/** Where Tollgate's tables live. */
export interface TableOptions {
  /** PostgreSQL's schema. Default `tollgate`. SQLite has none. */
  schema?: string
  /** Before each table's name. Default none. */
  tablePrefix?: string
}

/** A table's name as it is written in SQL. */
export type TableNames = (table: string) => string

/** PostgreSQL cuts names at 63 bytes: this leaves room for the longest name of ours. */
const MAX_SCHEMA = 63
const MAX_PREFIX = 24

/** @throws INVALID_DEFINITION for names that would need quoting: they go into SQL */
export function tableNames(dialect: Dialect, { schema = 'tollgate', tablePrefix = '' }: TableOptions = {}): TableNames {
  identifier('schema', schema, MAX_SCHEMA)
  if (schema.startsWith('pg_')) throw invalidDefinition('schema', `${show(schema)}: names that begin with pg_ are PostgreSQL's own; choose another`)
  if (tablePrefix !== '') identifier('tablePrefix', tablePrefix, MAX_PREFIX)
  const before = dialect === 'postgres' ? `"${schema}".` : ''
  return (table) => `${before}"${tablePrefix}${table}"`
}

/** SQL with `{{accounts}}` as the table's full name, and `{{index:accounts_due}}` as the name of an index, which has no schema. */
export function withNames(sql: string, dialect: Dialect, options: TableOptions = {}): string {
  const name = tableNames(dialect, options)
  return sql.replace(/\{\{(index:)?([a-z0-9_]+)\}\}/g, (_, isIndex, table) => (isIndex ? `"${options.tablePrefix ?? ''}${table}"` : name(table)))
}

function identifier(field: string, value: string, maxLength: number): void {
  if (typeof value === 'string' && value.length <= maxLength && /^[a-z_][a-z0-9_]*$/.test(value)) return
  throw invalidDefinition(field, `${show(value)}: write at most ${maxLength} lower-case letters, digits and _, and no digit first`)
}
