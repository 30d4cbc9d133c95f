import { type Clock, systemClock } from 'tollgate'
import { Analytics, type Database, forgetRecorded, SqlCounterStore, SqlLedger, SqlReceipts, SqlRecord, SqlSubjects } from 'tollgate/sqlite'
import type { Remembered } from '../http/idempotency.ts'
import type { Stores } from './storage.ts'

/** Stores in a database, whose own clock counts where there is no other. `copy`: where analytics are read instead. */
export function sqlStores(database: Database, clock: Clock | undefined, { hasCounters, copy = database }: { hasCounters: boolean; copy?: Database | undefined }): Stores {
  const own = clock === undefined ? {} : { clock }
  const ledger = new SqlLedger(database, own)
  const counters = hasCounters ? { store: new SqlCounterStore(database, own) } : {}
  return {
    ledger,
    of: (namespace) => ({
      subjects: new SqlSubjects(database, { namespace, ...own }),
      receipts: new SqlReceipts<Remembered>(database, { namespace, ...own }),
      record: new SqlRecord(database, { namespace }),
      analytics: new Analytics(copy, { namespace, ...own }),
      ...counters,
    }),
    forget: async (limit) => (await ledger.forget(limit)) + (await forgetRecorded(database, {}, (clock ?? systemClock).now(), limit)),
  }
}
