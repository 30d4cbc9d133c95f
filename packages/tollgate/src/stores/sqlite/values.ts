import type { Row, SqlValue } from '../sql/database.ts'
import { exactNumber, valuesOf } from '../sql/values.ts'
import type { Op } from './executor.js'
import { positionalOnce } from './positional.ts'

/** Values that every driver binds: libsql ends the process on a type that it does not know. */
type SqliteValue = string | number | bigint | null | Uint8Array

/** A query as drivers take it. @throws TypeError, RangeError for parameters that do not fit */
export function queryOp(sql: string, params: readonly SqlValue[]): Op {
  const { text, order } = positionalOnce(sql)
  const values = valuesOf<SqliteValue>(params, scalar, (list) => JSON.stringify(list))
  return {
    sql: text,
    values: order.map((index) => {
      const value = values[index]
      if (value === undefined) throw new RangeError(`$${index + 1} has no value: ${values.length} were given`)
      return value
    }),
  }
}

function scalar(value: Exclude<SqlValue, readonly unknown[]>): SqliteValue {
  if (typeof value === 'boolean') return value ? 1n : 0n
  // The drivers would bind a number as a floating-point value.
  return typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
}

/** In place. */
export function fromSqlite(rows: Row[]): Row[] {
  for (const row of rows) {
    for (const column in row) {
      const value = row[column]
      if (typeof value === 'number') exactNumber(value)
      // libsql's way of giving bytes.
      else if (value instanceof ArrayBuffer) row[column] = new Uint8Array(value)
    }
  }
  return rows
}
