/**
 * Every error Tollgate raises on purpose. A denial is a value, never an error: see `Decision`.
 * The table below is the one place that ties a code to its HTTP status.
 */
const STATUS = {
  /** A definition (plan, limit, option) breaks a rule; raised at start-up. */
  INVALID_DEFINITION: 500,
  /** A request breaks a rule: wrong type, out of range, too long. */
  INVALID_REQUEST: 422,
  /** A body that is not JSON, or not an object. */
  MALFORMED_BODY: 400,
  UNKNOWN_PLAN: 422,
  UNKNOWN_OPERATION: 422,
  UNKNOWN_METER: 422,
  UNKNOWN_DIMENSION: 422,
  UNKNOWN_LIMIT: 422,
  /** A limit is counted `per` a dimension that the request lacks. */
  MISSING_DIMENSION: 422,
  UNKNOWN_RESERVATION: 404,
  /** The reservation was settled before; `details.reservation` is the first outcome. */
  ALREADY_SETTLED: 409,
  /** The hold has expired and cannot be extended; a commit is still recorded, as late. */
  RESERVATION_EXPIRED: 409,
  /** The idempotency key was used with another body. */
  IDEMPOTENCY_CONFLICT: 409,
  /** The first request with this idempotency key has not been answered yet. */
  IDEMPOTENCY_IN_PROGRESS: 409,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  TOO_LARGE: 413,
  /** The store did not answer in time and a limit of the request fails `closed`. */
  STORE_UNAVAILABLE: 503,
  /** The database's tables are not those of this version; `details` says which. */
  SCHEMA_MISMATCH: 503,
  /** A queue or table is at its bound. */
  OVERLOADED: 503,
  /** The engine was closed. */
  CLOSED: 503,
  ABORTED: 499,
} as const

export type TollgateErrorCode = keyof typeof STATUS

const marker = Symbol.for('tollgate.error')

export interface TollgateErrorOptions {
  /** The path of the offending value, such as `amounts.tokens`. */
  field?: string
  /** Facts a program can use; JSON-able. */
  details?: Record<string, unknown>
  /** When trying again makes sense, in milliseconds. */
  retryAfterMs?: number
  cause?: unknown
}

export class TollgateError extends Error {
  override readonly name = 'TollgateError'
  readonly code: TollgateErrorCode
  readonly status: number
  readonly field?: string
  readonly details?: Record<string, unknown>
  readonly retryAfterMs?: number

  constructor(code: TollgateErrorCode, message: string, options: TollgateErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.status = STATUS[code]
    if (options.field !== undefined) this.field = options.field
    if (options.details !== undefined) this.details = options.details
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    Object.defineProperty(this, marker, { value: true })
  }

  /** Recognises errors of another copy of the package too, where `instanceof` does not. */
  static isInstance(error: unknown): error is TollgateError {
    return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[marker] === true
  }
}

/** `value` as it appears in a message: short, quoted, never the whole of a hostile input. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${cut(value)}'`
  if (typeof value === 'bigint') return `${cut(String(value))}n`
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    return Array.isArray(value) ? 'an array' : 'an object'
  } catch {
    return 'a revoked proxy'
  }
}

function cut(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** A definition's error: names what is wrong, the rule and the fix. */
export function invalidDefinition(field: string, message: string): TollgateError {
  return new TollgateError('INVALID_DEFINITION', `${field}: ${message}`, { field })
}

/** A request's error: names what is wrong, the rule and the fix. */
export function invalidRequest(field: string, message: string): TollgateError {
  return new TollgateError('INVALID_REQUEST', `${field}: ${message}`, { field })
}
