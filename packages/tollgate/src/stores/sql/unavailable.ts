import { TollgateError } from '../../errors/index.ts'

export interface Unavailable {
  cause?: unknown
  /** The answer to a commit was lost: asking again must be able to tell whether it was done. */
  mayBeWritten?: boolean
}

export function unavailable(message: string, { cause, mayBeWritten = false }: Unavailable = {}): TollgateError {
  const lost = mayBeWritten ? '; the answer to the commit was lost, so it may have been written' : ''
  return new TollgateError('STORE_UNAVAILABLE', message + lost, {
    retryAfterMs: 1000,
    ...(mayBeWritten && { details: { mayBeWritten } }),
    ...(cause !== undefined && { cause }),
  })
}

export function closed(): TollgateError {
  return new TollgateError('CLOSED', 'the database was closed; open it again')
}

export function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String((error as { code?: unknown } | null)?.code ?? error)
}
