import { type Clock, systemClock } from 'tollgate'
import { Analytics, archiveEvents, type Database, forgetRecorded, SqlCounterStore, SqlLedger, SqlReceipts, SqlRecord, SqlSubjects } from 'tollgate/sqlite'
import type { Remembered } from '../http/idempotency.ts'
import { KEEP_EVENTS_DAYS, type RecordOptions } from './record-options.ts'
import type { Stores } from './storage.ts'

const DAY_MS = 86_400_000

export interface SqlStoresOptions extends RecordOptions {
  readonly hasCounters: boolean
  /** Where analytics are read instead. */
  readonly copy?: Database | undefined
}

/** Stores in a database, whose own clock counts where there is no other. */
export function sqlStores(database: Database, clock: Clock | undefined, { hasCounters, copy = database, timezone = 'UTC', keepEventsDays = KEEP_EVENTS_DAYS, archiveDir }: SqlStoresOptions): Stores {
  const own = clock === undefined ? {} : { clock }
  const now = (): number => (clock ?? systemClock).now()
  const eventDays = archiveDir === undefined ? keepEventsDays : Infinity
  const ledger = new SqlLedger(database, own)
  const counters = hasCounters ? { store: new SqlCounterStore(database, own) } : {}
  return {
    ledger,
    of: (namespace) => ({
      subjects: new SqlSubjects(database, { namespace, ...own }),
      receipts: new SqlReceipts<Remembered>(database, { namespace, ...own }),
      record: new SqlRecord(database, { namespace, timezone }),
      analytics: new Analytics(copy, { namespace, timezone, ...own }),
      ...counters,
    }),
    forget: async (limit) => (await ledger.forget(limit)) + (await forgetRecorded(database, { eventDays }, now(), limit)),
    ...(archiveDir !== undefined && { archive: async (signal) => void (await archiveEvents(database, { before: now() - keepEventsDays * DAY_MS, folder: archiveDir, signal })) }),
  }
}
