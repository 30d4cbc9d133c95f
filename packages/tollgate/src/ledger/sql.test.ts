import { afterAll, beforeAll, describe, it } from 'vitest'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { ledgerConformance } from '../testing/ledger/index.ts'
import { SqlLedger } from './sql.ts'

describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
  })
  afterAll(() => opened.drop())

  ledgerConformance(dialect, (clock) => new SqlLedger(opened.databases[0]!, { clock }), { describe, it })
})
