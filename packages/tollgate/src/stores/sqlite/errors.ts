import { messageOf, unavailable } from '../sql/unavailable.ts'

/** Of the file or its lock, not of the statement: the same may pass later, or once the disk has been seen to. */
const UNAVAILABLE = /^SQLITE_(BUSY|LOCKED|IOERR|FULL|CANTOPEN|READONLY|NOMEM|PROTOCOL|CORRUPT|NOTADB)/

/** What a driver raised, as STORE_UNAVAILABLE where that is what it means; else itself. */
export function sqliteError(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code === 'string' && UNAVAILABLE.test(code)) return unavailable(`SQLite: ${messageOf(error)} (${code})`, { cause: error })
  return error
}
