import type { Dialect } from './database.ts'

/** Types of columns that a set of records has. */
export type ColumnType = 'bigint' | 'text'

/**
 * SQL that reads one parameter, a JSON array of objects, as rows: so any number of rows travels in one statement with
 * one text, which databases plan and prepare once.
 */
export function recordset(dialect: Dialect, parameter: string, columns: Readonly<Record<string, ColumnType>>): string {
  const names = Object.keys(columns)
  if (dialect === 'postgres') return `json_to_recordset(${parameter}::json) AS r(${names.map((name) => `"${name}" ${columns[name]}`).join(', ')})`
  return `(SELECT ${names.map((name) => `value ->> '${name}' AS "${name}"`).join(', ')} FROM json_each(${parameter})) AS r`
}

/** SQL for a condition that a column's value is one of a parameter's, which is an array. */
export function isOneOf(dialect: Dialect, column: string, parameter: string, type: ColumnType): string {
  return dialect === 'postgres' ? `${column} = ANY(${parameter}::${type}[])` : `${column} IN (SELECT value FROM json_each(${parameter}))`
}

/**
 * SQL for the database's own clock, in epoch milliseconds: after the locks that the statement waited for. A query of its
 * own, since PostgreSQL would ask a clock in a condition again for each row, and use no index.
 */
export function clockOf(dialect: Dialect): string {
  return dialect === 'postgres' ? `(SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)` : `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
}

/**
 * SQL that deletes the first rows of those that are `over`. PostgreSQL is told their places, since a join with what it
 * finds could read the whole table; what another process deletes at this moment is left to it.
 */
export function deleteFirst(dialect: Dialect, table: string, over: string, order: string, limit: string): string {
  return dialect === 'postgres'
    ? `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${table} WHERE ${over} ORDER BY ${order} LIMIT ${limit}::bigint FOR UPDATE SKIP LOCKED))`
    : `DELETE FROM ${table} WHERE rowid IN (SELECT rowid FROM ${table} WHERE ${over} ORDER BY ${order} LIMIT ${limit})`
}
