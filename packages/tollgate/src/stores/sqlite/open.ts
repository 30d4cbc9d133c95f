import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { invalidDefinition, show } from '../../errors/index.ts'
import type { Database } from '../sql/database.ts'
import { checkLimits } from '../sql/limits.ts'
import { SqliteDatabase, type SqliteLimits } from './database.ts'
import { type Connection, Executor } from './executor.js'
import { WorkerConnection } from './worker-connection.ts'

export interface SqliteOptions extends SqliteLimits {
  /** FULL (default) keeps every commit through a loss of power; NORMAL may lose the last ones, not the file. */
  synchronous?: 'FULL' | 'NORMAL'
  /** SQLite's page cache. Default 4096. */
  cacheKb?: number
}

/** A connection of better-sqlite3, libsql or node:sqlite. */
export type SqliteLike = Connection

/**
 * The database in a file: `./data/tollgate.db`, `file:///var/lib/tollgate.db`, or `:memory:`. It is made when missing;
 * its folder is not. Several processes may use one file.
 */
export async function openSqlite(pathOrUrl: string, options: SqliteOptions = {}): Promise<Database> {
  const { synchronous = 'FULL', cacheKb = 4096, ...limits } = options
  const path = pathOf(pathOrUrl)
  if (!['FULL', 'NORMAL'].includes(synchronous)) throw invalidDefinition('synchronous', `${show(synchronous)} is not a way to write; use 'FULL' or 'NORMAL'`)
  checkLimits({ cacheKb })
  const database = new SqliteDatabase(new WorkerConnection({ driver: driver(), path, synchronous, cacheKb }), limits)
  await database.query('SELECT count(*) FROM sqlite_schema')
  return database
}

/**
 * A connection of your own. It runs in this thread, so the event loop waits for the disk, and it must be Tollgate's
 * alone: statements of others would fall into its transactions. It is not closed.
 */
export function fromSqliteDatabase(database: SqliteLike, limits: SqliteLimits = {}): Database {
  const executor = new Executor(database)
  const session = { send: async (ops: Parameters<Executor['run']>[0]) => executor.run(ops) }
  return new SqliteDatabase({ session: () => session, close: async () => {} }, limits)
}

function pathOf(pathOrUrl: string): string {
  if (pathOrUrl === ':memory:') return pathOrUrl
  if (pathOrUrl === '' || /^(?!file:)[a-z]{2,}:/i.test(pathOrUrl) || /^file:.*[?#]/.test(pathOrUrl)) {
    throw invalidDefinition('sqlite', `${show(pathOrUrl)} is not a file; give a path, a file: URL without parameters, or ':memory:'`)
  }
  const path = pathOrUrl.startsWith('file://') ? fileURLToPath(pathOrUrl) : resolve(pathOrUrl.replace(/^file:/, ''))
  if (!existsSync(dirname(path))) throw invalidDefinition('sqlite', `the folder of ${show(path)} does not exist; make it first`)
  return path
}

function driver(): string {
  try {
    return createRequire(import.meta.url).resolve('libsql')
  } catch (cause) {
    throw Object.assign(invalidDefinition('sqlite', 'libsql is not installed; run npm install libsql'), { cause })
  }
}
