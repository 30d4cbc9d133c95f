import { randomUUID } from 'node:crypto'
import type { z } from 'zod'
import { TollgateError } from 'tollgate'
import { type Problem, problemOfError, problemResponse } from 'tollgate/http'
import type { Log } from '../log/log.ts'

/** What is wrong with one field of a request. */
export interface FieldError {
  field: string
  message: string
}

/** An error of HTTP alone, which the library has no code for. */
export class HttpError extends Error {
  readonly problem: Problem

  constructor(status: number, title: string, code: string, field: string, message: string) {
    super(message)
    this.problem = { type: 'about:blank', title, status, detail: `${field}: ${message}`, code, field }
  }
}

export class MethodNotAllowed extends TollgateError {
  readonly allow: string

  constructor(method: string, allow: string) {
    super('METHOD_NOT_ALLOWED', `${method} is not possible here; use ${allow}`)
    this.allow = allow
  }
}

/** @throws INVALID_REQUEST that names every wrong field, also those that are not known. */
export function parseWith<S extends z.ZodType>(schema: S, value: unknown, prefix = ''): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.flatMap((issue) => fieldErrorsOf(issue, prefix)).slice(0, MAX_ERRORS)
  throw new TollgateError('INVALID_REQUEST', errors.map(({ field, message }) => `${field}: ${message}`).join('; '), { field: errors[0]!.field, details: { errors } })
}

const MAX_ERRORS = 20
const MAX_FIELD = 100

function fieldErrorsOf(issue: z.core.$ZodIssue, prefix: string): FieldError[] {
  const path = [prefix, ...issue.path.map(String)].filter(Boolean)
  const at = (...more: string[]) => [...path, ...more].join('.').slice(0, MAX_FIELD) || 'body'
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ field: at(key), message: 'it is not a known field' }))
  return [{ field: at(), message: issue.message.replace(/^Invalid input: /, '') }]
}

/** For `catch`: what the engine calls `from` is the body's `to`. */
export function renamed(from: string, to: string): (error: unknown) => never {
  return (error) => {
    if (!TollgateError.isInstance(error) || error.field !== from) throw error
    const { code, message, details } = error
    throw new TollgateError(code, message.startsWith(`${from}: `) ? to + message.slice(from.length) : message, { field: to, ...(details && { details }), cause: error })
  }
}

/** Every error of the server as an answer and, where it belongs there, as a line of the log. */
export function errorResponse(error: unknown, log: Log, request: { method: string; route: string }): Response {
  const problem = problemFor(error)
  const headers: Record<string, string> = {}
  if (error instanceof MethodNotAllowed) headers['Allow'] = error.allow
  // A 401 has to say how to do better (RFC 9110, 11.6.1), on the demo's routes too, which know no tokens.
  if (problem.status === 401) headers['WWW-Authenticate'] = `${problem['field'] === 'Authorization' ? 'Bearer' : 'Demo'} realm="tollgate"`
  if (problem.status >= 500) logFailure(log, error, problem, request)
  // Its message may quote the request, so it is not logged.
  else log({ level: 'info', event: 'rejected', message: `${problem.status} ${problem.code}`, ...request, status: problem.status, code: problem.code, ...(problem['field'] !== undefined && { field: problem['field'] }) })
  return problemResponse(problem, headers)
}

function problemFor(error: unknown): Problem {
  // An id that the log has too, so that whoever reports the failure can be helped.
  const problem = error instanceof HttpError ? error.problem : problemOfError(error, isInternal(error) ? { instance: `urn:uuid:${randomUUID()}` } : {})
  const { details, ...rest } = problem
  const field = problem['field']
  return { ...rest, ...(typeof field === 'string' && { errors: [{ field, message: withoutField(problem.detail, field) }] }), ...(details as object | undefined) }
}

const withoutField = (message: string, field: string) => (message.startsWith(`${field}: `) ? message.slice(field.length + 2) : message)

const isInternal = (error: unknown) => !TollgateError.isInstance(error) || error.status === 500

function logFailure(log: Log, error: unknown, { status, code, instance }: Problem, request: { method: string; route: string }): void {
  // Too much to do, or a store that is down: the stack says nothing of it, and there may be thousands of these a second.
  if (status === 503 && TollgateError.isInstance(error)) return log({ level: 'warn', event: 'unavailable', message: error.message, ...request, status, code, ...(error.cause !== undefined && { cause: String(error.cause) }) })
  const { stack, cause } = error instanceof Error ? error : { stack: String(error), cause: undefined }
  log({
    level: 'error',
    event: 'error',
    message: error instanceof Error ? error.message : String(error),
    ...request,
    status,
    code,
    ...(instance !== undefined && { instance }),
    stack,
    ...(cause !== undefined && { cause: String(cause) }),
  })
}
