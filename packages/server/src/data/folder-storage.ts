import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock, TollgateError } from 'tollgate'
import { type Database, migrate, openSqlite, SqlReceipts } from 'tollgate/sqlite'
import { StartupError } from '../startup-error.ts'
import type { Log } from '../log/log.ts'
import { openFolder } from './folder.ts'
import { KeptReservations } from './kept-reservations.ts'
import type { RecordOptions } from './record-options.ts'
import { sqlStores } from './sql-stores.ts'
import type { Storage } from './storage.ts'

/** A folder of this process alone: credits, subjects and idempotency keys in SQLite, keys and rollout in a file beside it. */
export async function openFolderStorage(dataDir: string, record: RecordOptions, log: Log): Promise<Storage> {
  const folder = openFolder(dataDir)
  try {
    const database = await openDatabase(join(folder.path, 'tollgate.db'))
    let kept: KeptReservations | undefined
    return {
      state: folder.state,
      secret: async () => folder.secret(),
      stores(clock) {
        const stores = sqlStores(database, clock, { ...record, hasCounters: false })
        const counters = (kept = new KeptReservations(folder.path, clock ?? systemClock, log))
        return { ...stores, of: (namespace) => ({ store: counters.store(namespace), ...stores.of(namespace) }) }
      },
      isAlive: async () => (await database.query('SELECT 1')).length === 1,
      async close() {
        await kept?.close()
        await database.close()
        folder.close()
      },
    }
  } catch (error) {
    folder.close()
    throw error
  }
}

async function openDatabase(path: string): Promise<Database> {
  let database: Database | undefined
  try {
    // SQLite would let others read what it makes.
    closeSync(openSync(path, 'a', 0o600))
    database = await openSqlite(path)
    await migrate(database)
    // Whoever held them is gone: the folder is ours.
    await new SqlReceipts(database).reclaim()
    return database
  } catch (error) {
    await database?.close().catch(() => {})
    // Of the file system, of SQLite, or of ours; anything else is a bug, and stays what it is.
    if (!TollgateError.isInstance(error) && (error as { code?: unknown }).code === undefined) throw error
    const isNewer = TollgateError.isInstance(error) && error.code === 'SCHEMA_MISMATCH'
    throw new StartupError(`${path} cannot be used (${(error as Error).message}). It holds credits, plans of subjects and idempotency keys: ${isNewer ? 'use the version of Tollgate that wrote it, or a newer one' : 'restore it from a backup, or move it away (with its -wal file) to start afresh'}.`)
  }
}
