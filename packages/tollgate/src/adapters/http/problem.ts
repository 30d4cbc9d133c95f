/** Denials and errors as RFC 9457 problem details. */
import type { Decision, Violation } from '../../engine/types.ts'
import { TollgateError } from '../../errors/index.ts'
import { addRetryAfter, type HeaderRecord } from './headers.ts'
import { statusOf, statusOfViolation } from './status.ts'

export const PROBLEM_CONTENT_TYPE = 'application/problem+json'

const QUOTA_EXCEEDED = 'https://iana.org/assignments/http-problem-types#quota-exceeded'
const REDUCED_CAPACITY = 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity'
/** "No more than what the status says": the `code` tells the rest. */
const BLANK = 'about:blank'

/** When to come back to a service that is down, where the error does not say it. */
const RETRY_UNAVAILABLE_MS = 1000

const DENIAL = {
  402: { type: BLANK, title: 'Payment Required', code: 'INSUFFICIENT_CREDITS' },
  403: { type: BLANK, title: 'Forbidden', code: 'NOT_IN_PLAN' },
  429: { type: QUOTA_EXCEEDED, title: 'Quota Exceeded', code: 'QUOTA_EXCEEDED' },
} as const

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  422: 'Unprocessable Content',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  instance?: string
  code: string
  retryAfterMs?: number | null
  [extension: string]: unknown
}

export interface DenialProblem extends Problem {
  /** The codes of all violations; `code` is that of the one that gave the status. */
  codes: string[]
  'violated-policies': string[]
  violations: Violation[]
  /** The longest wait; `null` where waiting does not help. */
  retryAfterMs: number | null
  /** Present where credits were asked for. */
  cost?: number
  balance?: number
  deficit?: number
}

/** The credits of a decision that asked for some. */
interface Credits {
  cost: number
  balance: number
  deficit: number
}

export interface ProblemOptions {
  /** A URI of this very occurrence. */
  instance?: string
}

/** The body of a denial. `detail` is the message of the violation that gave the status; `violations` tells all. */
export function problemOf(decision: Decision & { credits?: Credits }, options: ProblemOptions = {}): DenialProblem {
  const status = statusOf(decision)
  if (status === 200) throw new TypeError('problemOf: the decision allows the request; ask decision.allowed first')
  const leading = decision.violations.find((violation) => statusOfViolation(violation) === status)
  const { credits } = decision
  return {
    type: DENIAL[status].type,
    title: DENIAL[status].title,
    status,
    detail: leading?.message ?? DENIAL[status].title,
    ...options,
    code: leading?.code ?? DENIAL[status].code,
    codes: decision.violations.map((violation) => violation.code),
    'violated-policies': decision.violations.map((violation) => violation.limit),
    violations: decision.violations,
    retryAfterMs: decision.retryAfterMs,
    ...(credits && { cost: credits.cost, balance: credits.balance, deficit: credits.deficit }),
  }
}

/**
 * The body of an error. What a TollgateError says about the request is passed on; what concerns the server (an unknown error,
 * a definition, a store) is for its log: the client learns only that, and when to try again.
 */
export function problemOfError(error: unknown, options: ProblemOptions = {}): Problem {
  if (!TollgateError.isInstance(error) || error.status === 500) {
    return { type: BLANK, title: titleOf(500), status: 500, detail: 'Something went wrong on our side.', ...options, code: 'INTERNAL_ERROR' }
  }
  const { code, status, message, field, details, retryAfterMs } = error
  if (status === 503) {
    const detail = 'The service cannot answer right now. Please try again shortly.'
    return { type: code === 'OVERLOADED' ? REDUCED_CAPACITY : BLANK, title: titleOf(503), status, detail, ...options, code, retryAfterMs: retryAfterMs ?? RETRY_UNAVAILABLE_MS }
  }
  return { type: BLANK, title: titleOf(status), status, detail: message, ...options, code, ...(field !== undefined && { field }), ...(details && { details }) }
}

const titleOf = (status: number) => TITLES[status] ?? 'Error'

/** A whole answer, for frameworks without a `Response`. */
export interface ProblemAnswer {
  status: number
  headers: HeaderRecord
  body: string
}

/** The problem with its type, never cached (RFC 6585, 4), with `Retry-After` where it helps; `headers` come along. */
export function problemAnswer(problem: Problem, headers: HeaderRecord = {}): ProblemAnswer {
  const all: HeaderRecord = { ...headers, 'Content-Type': PROBLEM_CONTENT_TYPE, 'Cache-Control': 'no-store' }
  addRetryAfter(all, problem.status, problem.retryAfterMs)
  return { status: problem.status, headers: all, body: JSON.stringify(problem) }
}

/** The same as a `Response`: `problemResponse(problemOf(decision), decisionHeaders(decision, plan))`. */
export function problemResponse(problem: Problem, headers?: HeaderRecord): Response {
  const { body, ...init } = problemAnswer(problem, headers)
  return new Response(body, init)
}
