import { TollgateError } from '../../errors/index.ts'
import { messageOf, unavailable } from '../sql/unavailable.ts'

/**
 * SQLSTATE of a server that cannot serve now: connection, resources, operator (57: shut down, cancelled, starting up),
 * system; a lock timeout, timeouts of idle and long transactions, and a server that has become a replica.
 */
const UNAVAILABLE = /^(08...|53...|57...|58...|55P03|25P03|25P04|25006)$/
const LOCK_TIMEOUT = '55P03'
/** After these the connection is gone. */
const LOST = /^(08...|57P0[1-5]|25P0[34])$/

function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  // EPIPE has five letters too.
  return typeof code === 'string' && /^(?!EPIPE)[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** A lost race: nothing was written, and running again is the way. */
export function isConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '')
}

/** The connection's prepared statement is missing or taken, or outdated. */
export function isStaleStatement(error: unknown): boolean {
  return ['26000', '42P05'].includes(sqlState(error) ?? '') || isOutdated(error)
}

/** It was prepared before a migration changed the table. */
export function isOutdated(error: unknown): boolean {
  return sqlState(error) === '0A000' && messageOf(error).includes('cached plan')
}

/** Errors without SQLSTATE come from the client: sockets, timeouts, "Connection terminated". Others are mistakes. */
export function isLost(error: unknown): boolean {
  const state = sqlState(error)
  if (state !== undefined) return LOST.test(state)
  if (TollgateError.isInstance(error)) return error.code === 'STORE_UNAVAILABLE'
  return !(error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError)
}

/** What a query raised, as STORE_UNAVAILABLE where that is what it means; else itself. */
export function postgresError(error: unknown): unknown {
  if (TollgateError.isInstance(error)) return error
  const state = sqlState(error)
  if (state === undefined ? !isLost(error) : !UNAVAILABLE.test(state)) return error
  return unavailable(`PostgreSQL: ${messageOf(error)}`, { cause: error, ...(state === LOCK_TIMEOUT && { details: { isLocked: true } }) })
}
