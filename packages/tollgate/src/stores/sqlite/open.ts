import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { invalidDefinition, show } from '../../errors/index.ts'
import type { Database } from '../sql/database.ts'
import { SqliteDatabase, type SqliteLimits } from './database.ts'
import { Executor, type Connection as SqliteLike } from './executor.js'
import { WorkerConnection } from './worker-connection.ts'

export interface SqliteOptions extends SqliteLimits {
  /** FULL (default) keeps every commit through a loss of power; NORMAL may lose the last ones, not the file. */
  synchronous?: 'FULL' | 'NORMAL'
  /** SQLite's page cache. Default 4 MiB. */
  cacheKb?: number
}

/**
 * The database in a file: `./data/tollgate.db`, `file:///var/lib/tollgate.db` or `:memory:`. It is made when missing;
 * its folder is not. Several processes may use one file.
 */
export async function openSqlite(pathOrUrl: string, options: SqliteOptions = {}): Promise<Database> {
  const { timeoutMs = 5000, synchronous = 'FULL', cacheKb = 4096, ...limits } = options
  const connection = new WorkerConnection({
    driver: driver(),
    path: pathOf(pathOrUrl),
    // Inside the deadline, so that the answer is SQLite's own.
    busyTimeoutMs: Math.floor(timeoutMs * 0.8),
    synchronous,
    cacheKb,
  })
  const database = new SqliteDatabase(connection, { ...limits, timeoutMs })
  await database.query('SELECT 1')
  return database
}

/**
 * A connection of your own, of better-sqlite3, libsql or node:sqlite. It runs in this thread, so the event loop waits
 * for the disk, and nothing else may use it: statements of others would fall into Tollgate's transactions.
 */
export function fromSqliteDatabase(database: SqliteLike, limits: SqliteLimits = {}): Database {
  const executor = new Executor(database)
  return new SqliteDatabase({ send: async (ops) => executor.run(ops), close: async () => {} }, limits)
}

function pathOf(pathOrUrl: string): string {
  if (pathOrUrl.startsWith('file:')) return fileURLToPath(pathOrUrl)
  if (/^[a-z]{2,}:/i.test(pathOrUrl)) throw invalidDefinition('sqlite', `${show(pathOrUrl)} is not a file; give a path, a file: URL or ':memory:'`)
  return pathOrUrl
}

function driver(): string {
  try {
    return createRequire(import.meta.url).resolve('libsql')
  } catch (cause) {
    throw Object.assign(invalidDefinition('sqlite', 'libsql is not installed; run npm install libsql'), { cause })
  }
}
