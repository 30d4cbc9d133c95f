import type { SqlValue } from '../sql/database.ts'
import { exactNumber, valuesOf } from '../sql/values.ts'
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

function toNumber(text: string): number {
  return exactNumber(Number(text), text)
}

const MAX_PARAMS = 65_535

export function toPostgres(params: readonly SqlValue[]): unknown[] {
  if (params.length > MAX_PARAMS) throw new RangeError(`${params.length} parameters; PostgreSQL takes at most ${MAX_PARAMS} in a statement: send a list`)
  return valuesOf<unknown>(params, (value) => value, (values) => values)
}
