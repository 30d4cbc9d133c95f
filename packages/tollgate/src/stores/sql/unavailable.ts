import { TollgateError } from '../../errors/index.ts'

export interface Unavailable {
  cause?: unknown
  details?: { mayBeWritten: true } | { isLocked: true }
}

export function unavailable(message: string, options: Unavailable = {}): TollgateError {
  return new TollgateError('STORE_UNAVAILABLE', message, { retryAfterMs: 1000, ...options })
}

/** The answer to a commit was lost: asking again must be able to tell whether it was done. */
export function lostCommit(error: unknown): TollgateError {
  const cause = TollgateError.isInstance(error) ? (error.cause ?? error) : error
  return unavailable(`${messageOf(error)}; the answer to the commit was lost, so it may have been written`, { cause, details: { mayBeWritten: true } })
}

/** Somebody kept a row locked: nothing is wrong with the database, and nothing was written. */
export function isLocked(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.details?.['isLocked'] === true
}

export function closed(): TollgateError {
  return new TollgateError('CLOSED', 'the database was closed; open it again')
}

export function messageOf(error: unknown): string {
  // Node's error for a refused connection to several addresses has no message.
  return error instanceof Error && error.message !== '' ? error.message : String((error as { code?: unknown } | null)?.code ?? error)
}
