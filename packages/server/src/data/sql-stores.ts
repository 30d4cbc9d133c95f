import type { Clock } from 'tollgate'
import { type Database, SqlCounterStore, SqlLedger, SqlReceipts, SqlSubjects } from 'tollgate/sqlite'
import type { Remembered } from '../http/idempotency.ts'
import type { Stores } from './storage.ts'

/** Stores in a database, whose own clock counts where there is no other. */
export function sqlStores(database: Database, clock: Clock | undefined, { hasCounters }: { hasCounters: boolean }): Stores {
  const own = clock === undefined ? {} : { clock }
  const ledger = new SqlLedger(database, own)
  const counters = hasCounters ? { store: new SqlCounterStore(database, own) } : {}
  return {
    ledger,
    of: (namespace) => ({
      subjects: new SqlSubjects(database, { namespace, ...own }),
      receipts: new SqlReceipts<Remembered>(database, { namespace, ...own }),
      ...counters,
    }),
    forget: (limit) => ledger.forget(limit),
  }
}
