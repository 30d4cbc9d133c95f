import { messageOf, unavailable } from '../sql/unavailable.ts'

/** Of the file or its lock, not of the statement: the same may pass later, or once the disk has been seen to. */
const UNAVAILABLE = /^SQLITE_(BUSY|LOCKED|NOMEM|READONLY|IOERR|CORRUPT|FULL|CANTOPEN|PROTOCOL|NOTADB)/
/** The same of node:sqlite, which gives numbers. */
const UNAVAILABLE_NUMBERS = [5, 6, 7, 8, 10, 11, 13, 14, 15, 26]
const BUSY = 5

/** What a driver raised, as STORE_UNAVAILABLE where that is what it means; else itself. */
export function sqliteError(error: unknown): unknown {
  const { code, errcode } = codesOf(error)
  if (!UNAVAILABLE.test(code) && !UNAVAILABLE_NUMBERS.includes(errcode)) return error
  return unavailable(`SQLite: ${messageOf(error)} (${code})`, { cause: error })
}

/** Another process writes. */
export function isBusy(error: unknown): boolean {
  const { code, errcode } = codesOf(error)
  return code.startsWith('SQLITE_BUSY') || errcode === BUSY
}

function codesOf(error: unknown): { code: string; errcode: number } {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown }
  // The low byte is the error, the rest says more of it.
  return { code: typeof code === 'string' ? code : '', errcode: typeof errcode === 'number' ? errcode & 255 : 0 }
}
