import { randomBytes } from 'node:crypto'
import { type Clock, type CounterStore, type Ledger, MemoryLedger, MemorySubjects, type ReceiptStore, type RecordStore, Receipts, type SubjectStore, systemClock } from 'tollgate'
import type { Problem } from 'tollgate/redis'
import type { Analytics } from 'tollgate/sqlite'
import type { Remembered } from '../http/idempotency.ts'
import type { Log } from '../log/log.ts'
import { openFolderStorage } from './folder-storage.ts'
import { openPostgresStorage } from './postgres-storage.ts'
import { withRedis } from './redis-counters.ts'
import { checkRecordOptions, type RecordOptions } from './record-options.ts'
import { StartupError } from '../startup-error.ts'
import { memoryState, type StateStore } from './state.ts'

/** Everything that is kept: where depends on what the process is told, and nobody else asks. */
export interface Storage {
  readonly state: StateStore
  /** What keys the digests of contents, where none was given. */
  secret(): Promise<string>
  /** `clock` in place of the storage's own: the demo's. */
  stores(clock: Clock | undefined): Stores
  /** Whether it answers. */
  isAlive(): Promise<boolean>
  /** What is wrong with where counters are kept. None: nothing can be. */
  problems?(): Promise<readonly Problem[]>
  /** The clock of a database that others use too: epoch ms. */
  databaseNow?(): Promise<number>
  close(): Promise<void>
}

export interface Stores {
  /** Of all namespaces: what they ask for at one time travels together. */
  readonly ledger: Ledger
  of(namespace: string): NamespaceStores
  /** Forgets what nobody can ask for again, up to `limit`. Returns how much that was. */
  forget(limit: number): Promise<number>
  /** Moves events that are old enough into files, until `signal` stops it. None: they are forgotten. */
  archive?(signal: AbortSignal): Promise<void>
}

export interface NamespaceStores {
  readonly subjects: SubjectStore
  readonly receipts: ReceiptStore<Remembered>
  /** None: each engine counts in memory of its own. */
  readonly store?: CounterStore
  /** None: nothing is recorded. */
  readonly record?: RecordStore
  readonly analytics?: Analytics
}

export interface StorageOptions {
  readonly dataDir?: string | undefined
  readonly databaseUrl?: string | undefined
  readonly analyticsDatabaseUrl?: string | undefined
  readonly redisUrl?: string | undefined
  readonly redisPrefix?: string | undefined
  readonly record?: RecordOptions
  readonly maxReceipts: number
  readonly log: Log
}

/** @throws StartupError that names what is wrong and the fix */
export async function openStorage({ redisUrl, redisPrefix, ...options }: StorageOptions): Promise<Storage> {
  const storage = await openWithoutRedis(options)
  if (redisUrl === undefined) return storage
  try {
    return await withRedis(storage, redisUrl, { prefix: redisPrefix, hasDatabase: options.databaseUrl !== undefined, log: options.log })
  } catch (error) {
    await storage.close()
    throw error
  }
}

async function openWithoutRedis({ dataDir, databaseUrl, analyticsDatabaseUrl, record = {}, maxReceipts, log }: Omit<StorageOptions, 'redisUrl' | 'redisPrefix'>): Promise<Storage> {
  checkRecordOptions(record)
  if (databaseUrl !== undefined) return openPostgresStorage(databaseUrl, log, { ...record, copyUrl: analyticsDatabaseUrl })
  if (analyticsDatabaseUrl !== undefined) throw new StartupError('ANALYTICS_DATABASE_URL is for a copy of the database of DATABASE_URL, which is not set: set it too, or leave both out.')
  if (dataDir !== undefined) return openFolderStorage(dataDir, record, log)
  if (record.archiveDir !== undefined) throw new StartupError('TOLLGATE_ARCHIVE_DIR is for usage that is recorded, and this server keeps everything in memory: set TOLLGATE_DATA_DIR or DATABASE_URL too, or leave it out.')
  return memoryStorage(maxReceipts)
}

/** Gone with the process. */
function memoryStorage(maxReceipts: number): Storage {
  return {
    state: memoryState(),
    secret: async () => randomBytes(32).toString('base64url'),
    stores: (clock = systemClock) => ({
      ledger: new MemoryLedger(clock),
      of: () => ({ subjects: new MemorySubjects(), receipts: new Receipts(clock, maxReceipts) }),
      forget: async () => 0,
    }),
    isAlive: async () => true,
    close: async () => {},
  }
}
