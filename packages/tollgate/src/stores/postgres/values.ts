import type { SqlValue } from '../sql/database.ts'
import type { GetTypeParser } from './client.ts'

const INT8 = 20
const JSON_ = 114
const NUMERIC = 1700
const JSONB = 3802

const PARSERS: Record<number, (text: string) => unknown> = {
  [INT8]: toNumber,
  [NUMERIC]: toNumber,
  // As it went: text, as in SQLite.
  [JSON_]: String,
  [JSONB]: String,
}

/** The types of one query: the process-wide parsers of `pg` belong to the application. */
export function typesFor(getTypeParser: GetTypeParser): { getTypeParser: GetTypeParser } {
  return { getTypeParser: (oid, format) => (format !== 'binary' ? PARSERS[oid] : undefined) ?? getTypeParser(oid, format) }
}

export function toNumber(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new RangeError(`a column holds ${text}, beyond 2^53: it cannot be told exactly`)
  return value
}

const MAX_PARAMS = 65_535

/** As the driver takes them. A value that fails inside the driver would fail when the COMMIT behind it is under way. */
export function toPostgres(params: readonly SqlValue[]): unknown[] {
  if (params.length > MAX_PARAMS) throw new RangeError(`${params.length} parameters; PostgreSQL takes at most ${MAX_PARAMS} in a statement: send an array`)
  return params.map(one)
}

function one(value: SqlValue | undefined): unknown {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return value
    case 'undefined':
      return null
    case 'object':
      if (value === null || value instanceof Uint8Array || Array.isArray(value)) return value
      return JSON.stringify(value)
    default:
      throw new TypeError(`a ${typeof value} is not a value of SQL`)
  }
}
