import { at } from '../define/rules.ts'
import { suggest } from '../define/suggest.ts'
import { isText } from '../define/values.ts'
import type { TollgateRequest } from '../engine/types.ts'
import { invalidRequest, show, TollgateError, type TollgateErrorCode } from '../errors/index.ts'
import type { Vocabulary } from './program.ts'

export const MAX_AMOUNT = 2 ** 31 - 1
export const MAX_TTL_MS = 86_400_000
/** How long a reservation holds that does not say. */
export const DEFAULT_TTL_MS = 60_000
const MAX_NAME_CHARACTERS = 256
const MAX_CONTENT_BYTES = 65_536

/** @throws INVALID_REQUEST unless `value` is a string of 1 … 256 characters that every store can keep. */
export function assertText(value: unknown, field: string): asserts value is string {
  if (isText(value) && value.length > 0 && value.length <= MAX_NAME_CHARACTERS) return
  throw invalidRequest(field, `${show(value)} is not a name; use 1 to ${MAX_NAME_CHARACTERS} characters, no NUL and no half of a surrogate pair`)
}

/** @throws INVALID_REQUEST unless `value` is an integer of `min` … `max`. */
export function assertInteger(value: unknown, field: string, min: number, max: number): asserts value is number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  throw invalidRequest(field, `${show(value)} is out of range; use an integer from ${min} to ${max}`)
}

/**
 * Everything of a request that does not depend on state.
 * @throws INVALID_REQUEST, UNKNOWN_OPERATION, UNKNOWN_DIMENSION, UNKNOWN_METER or UNKNOWN_LIMIT, naming field, value and fix.
 */
export function validateRequest(request: TollgateRequest, { operations, dimensions, meters, limits }: Vocabulary): void {
  const { operation, content, ttlMs } = request
  if (operation !== undefined) {
    assertText(operation, 'operation')
    if (operations && !operations.has(operation)) throw unknown('UNKNOWN_OPERATION', 'operation', operation, operations)
  }
  if (request.dimensions !== undefined) {
    assertRecord(request.dimensions, 'dimensions')
    for (const name in request.dimensions) {
      if (!dimensions.has(name)) throw unknown('UNKNOWN_DIMENSION', at('dimensions', name), name, dimensions)
      if (request.dimensions[name] !== undefined) assertText(request.dimensions[name], `dimensions.${name}`)
    }
  }
  if (content !== undefined) assertContent(content)
  if (request.amounts !== undefined) validateAmounts(request.amounts, meters)
  if (request.current !== undefined) {
    assertRecord(request.current, 'current')
    for (const name in request.current) if (!limits.has(name)) throw unknown('UNKNOWN_LIMIT', at('current', name), name, limits)
  }
  if (ttlMs !== undefined) assertInteger(ttlMs, 'ttlMs', 1, MAX_TTL_MS)
}

export function validateAmounts(amounts: unknown, meters: ReadonlySet<string>): void {
  assertRecord(amounts, 'amounts')
  for (const meter in amounts) {
    if (!meters.has(meter)) throw unknown('UNKNOWN_METER', at('amounts', meter), meter, meters)
    if (amounts[meter] !== undefined) assertInteger(amounts[meter], `amounts.${meter}`, 0, MAX_AMOUNT)
  }
}

function assertContent(content: unknown): void {
  if (typeof content !== 'string') throw invalidRequest('content', `${show(content)} is not text; use a string`)
  // A UTF-16 unit is at most three bytes, so short texts need no counting.
  if (content.length * 3 <= MAX_CONTENT_BYTES || Buffer.byteLength(content) <= MAX_CONTENT_BYTES) return
  throw new TollgateError('TOO_LARGE', `content: ${Buffer.byteLength(content)} bytes are too many; use at most ${MAX_CONTENT_BYTES}`, { field: 'content' })
}

function assertRecord(value: unknown, field: string): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidRequest(field, `${show(value)} is not an object of names and values`)
}

function unknown(code: TollgateErrorCode, field: string, name: string, known: ReadonlySet<string>): TollgateError {
  return new TollgateError(code, `${field}: ${show(name)} is not declared; ${suggest(name, [...known])}`, { field })
}
