import { afterAll, beforeAll, describe, it } from 'vitest'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { compareLedgers } from '../testing/ledger/index.ts'
import { MemoryLedger } from './memory.ts'
import { SqlLedger } from './sql.ts'

const RUNS = process.env['TOLLGATE_LONG'] ? 2000 : 200

describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
  })
  afterAll(() => opened.drop())

  it(`is as memory, step for step, over ${RUNS} random histories`, { timeout: 900_000 }, () =>
    compareLedgers((clock) => new MemoryLedger(clock), (clock) => new SqlLedger(opened.databases[0]!, { clock }), { runs: RUNS }))
})
