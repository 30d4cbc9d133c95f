import { type Database, migrate, openPostgres } from 'tollgate/postgres'
import { TollgateError } from 'tollgate'
import type { Log } from '../log/log.ts'
import { StartupError } from '../startup-error.ts'
import { DatabaseState } from './database-state.ts'
import type { RecordOptions } from './record-options.ts'
import { sqlStores } from './sql-stores.ts'
import type { Storage } from './storage.ts'

/** PostgreSQL, shared with other processes: everything is there, and no folder is needed. `copyUrl`: of a read replica. */
export async function openPostgresStorage(url: string, log: Log, { copyUrl, ...record }: RecordOptions & { copyUrl?: string | undefined } = {}): Promise<Storage> {
  const copy = copyUrl === undefined ? undefined : await openCopy(copyUrl)
  let database: Database | undefined
  try {
    database = await openPostgres(url)
    await migrate(database)
    const state = await DatabaseState.open(database, log)
    return storageOf(database, state, record, copy)
  } catch (error) {
    await database?.close().catch(() => {})
    await copy?.close()
    throw explained(error, url)
  }
}

/** Nobody waits for analytics before requests can be decided: one that does not answer stops them alone. */
function openCopy(url: string): Promise<Database> {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) throw new StartupError('ANALYTICS_DATABASE_URL is not the URL of a PostgreSQL database: write postgres://user:password@host:5432/database, with %40 for @ and the like in the password, or leave it out.')
  return openPostgres(url, { maxConnections: COPY_CONNECTIONS, statementTimeoutMs: COPY_TIMEOUT_MS })
}

const COPY_CONNECTIONS = 4
const COPY_TIMEOUT_MS = 30_000

function storageOf(database: Database, state: DatabaseState, record: RecordOptions, copy: Database | undefined): Storage {
  return {
    state,
    secret: () => state.secret(),
    stores: (clock) => sqlStores(database, clock, { ...record, hasCounters: true, copy }),
    isAlive: async () => (await database.query('SELECT 1')).length === 1,
    databaseNow: async () => (await database.query('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now'))[0]!['now'] as number,
    async close() {
      await state.stop()
      await copy?.close()
      await database.close()
    },
  }
}

const FIX = 'Or leave DATABASE_URL out: then everything is kept in a folder, by this process alone.'

/** What is the operator's to mend, in words for them; anything else is a bug, and stays what it is. */
function explained(error: unknown, url: string): unknown {
  const { severity, code: kind } = error as { severity?: unknown; code?: unknown }
  const isTheirs = TollgateError.isInstance(error) || severity !== undefined || error instanceof URIError || kind === 'ERR_INVALID_URL'
  if (!isTheirs) return error
  const message = withoutPassword((error as Error).message, url)
  const code = TollgateError.isInstance(error) ? error.code : undefined
  if (code === 'SCHEMA_MISMATCH') return new StartupError(`The database of DATABASE_URL is not one of this version: ${message}.`)
  if (code === 'STORE_UNAVAILABLE') return new StartupError(`The database of DATABASE_URL, ${addressOf(url)}, cannot be used (${message}). Start it, or correct the address, user and password in DATABASE_URL. ${FIX}`)
  return new StartupError(`DATABASE_URL cannot be used (${message}). Write postgres://user:password@host:5432/database, with %40 for @ and the like in the password; the user must be allowed to make tables. ${FIX}`)
}

/** Where it is, and as whom; never the password. */
function addressOf(url: string): string {
  if (!URL.canParse(url)) return 'whose URL cannot be read'
  const { username, host, pathname } = new URL(url)
  return `${username && `${username}@`}${host}${pathname}`
}

function withoutPassword(message: string, url: string): string {
  // Also of what is no URL: all that stands between a colon and the last @.
  const [, written] = /^[a-z]*:\/\/[^:@/]*:(.*)@/is.exec(url) ?? []
  const passwords = [written, ...(URL.canParse(url) ? [new URL(url).password, decoded(new URL(url).password)] : [])]
  return passwords.reduce<string>((text, password) => (password ? text.replaceAll(password, '…') : text), message)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
