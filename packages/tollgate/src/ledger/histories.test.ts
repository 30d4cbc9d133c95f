import { describe, it } from 'vitest'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { compareLedgers } from '../testing/ledger/index.ts'
import { MemoryLedger } from './memory.ts'
import { SqlLedger } from './sql.ts'

const RUNS = process.env['TOLLGATE_LONG'] ? 2000 : 200

// One waits for its database while the other plays.
describe.concurrent(`over ${RUNS} random histories`, { timeout: 1_200_000 }, () => {
  it.each(DIALECTS)('%s is as memory, step for step', async (dialect) => {
    const { databases, drop } = await openedBy(1, dialect)
    try {
      await compareLedgers((clock) => new MemoryLedger(clock), (clock) => new SqlLedger(databases[0]!, { clock }), { runs: RUNS })
    } finally {
      await drop()
    }
  })
})
