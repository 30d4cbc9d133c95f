import type { SqlValue } from './database.ts'

/** Lists go as JSON text to SQLite and as arrays to PostgreSQL. */
export type Scalar = string | number | boolean | null | Uint8Array

/**
 * Values as an adapter sends them, all before anything is sent: one that fails in the driver would fail when the COMMIT
 * behind it is under way.
 * @throws TypeError for what is no value of SQL
 */
export function valuesOf<T>(params: readonly SqlValue[], scalar: (value: Scalar) => T, list: (values: readonly string[] | readonly number[]) => T): T[] {
  return params.map((value) => {
    if (typeof value === 'string' || typeof value === 'boolean' || value === null || value instanceof Uint8Array) return scalar(value)
    if (typeof value === 'number' && Number.isFinite(value)) return scalar(value)
    if (Array.isArray(value)) return list(value)
    throw new TypeError(`${String(value)} is not a value of SQL: give text, a finite number, a boolean, bytes, null, or a list of texts or numbers`)
  })
}

/** A number of a database. @throws RangeError for an integer that it cannot hold exactly */
export function exactNumber(value: number, written: unknown = value): number {
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new RangeError(`a column holds ${String(written)}, beyond 2^53: a number cannot hold it exactly`)
  return value
}
