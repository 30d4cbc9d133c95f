import { TollgateError } from '../../errors/index.ts'
import { messageOf, unavailable } from '../sql/unavailable.ts'

/**
 * SQLSTATE classes of a server that cannot serve now: connection, resources, operator (57: shutdown, cancelled, starting
 * up), system. 55P03 is a lock timeout; 25P03 and 25P04 are timeouts of idle and long transactions; 25006 is a server that
 * has become a replica.
 */
const UNAVAILABLE = /^(08...|53...|57...|58...|55P03|25P03|25P04|25006)$/
/** After these the connection is gone. */
const LOST = /^(08...|57P0[1-5]|25P0[34])$/

export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code) ? code : undefined
}

/** A lost race: nothing was written, and running again is the way. */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error)
  return state === '40001' || state === '40P01'
}

/** The connection's prepared statement is missing, or of another shape since a migration. */
export function isStaleStatement(error: unknown): boolean {
  const state = sqlState(error)
  return state === '26000' || state === '42P05' || (state === '0A000' && /cached plan/.test(messageOf(error)))
}

/** Errors without SQLSTATE come from the client: sockets, timeouts, "Connection terminated". TypeErrors are mistakes. */
export function isLost(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) return LOST.test(state)
  return !(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) && !(TollgateError.isInstance(error) && error.code !== 'STORE_UNAVAILABLE')
}

export function postgresError(error: unknown, { mayBeWritten = false } = {}): unknown {
  if (TollgateError.isInstance(error)) return mayBeWritten && error.code === 'STORE_UNAVAILABLE' ? unavailable(error.message, { cause: error.cause, mayBeWritten }) : error
  const state = sqlState(error)
  if (state === undefined ? !isLost(error) : !UNAVAILABLE.test(state)) return error
  return unavailable(`PostgreSQL: ${messageOf(error)}`, { cause: error, mayBeWritten })
}
