import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { ledgerConformance } from '../testing/ledger/index.ts'
import { SqlLedger } from './sql.ts'

const DAY_MS = 86_400_000

describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
  })
  afterAll(() => opened.drop())

  it('forgets answers that count no more, the oldest first, and no others', async () => {
    let now = Date.UTC(2020, 0, 1)
    const ledger = new SqlLedger(opened.databases[0]!, { clock: { now: () => now } })
    await ledger.run('a', { kind: 'grant', key: 'paid', amount: 10, source: 'pack' })
    for (const id of ['1', '2', '3']) await ledger.run('a', { kind: 'deduct', id, amount: 1 })
    now += 3 * DAY_MS - 1
    await ledger.run('a', { kind: 'deduct', id: '4', amount: 1 })
    expect(await ledger.forget(100)).toBe(0)
    now += 1
    expect([await ledger.forget(2), await ledger.forget(100), await ledger.forget(100)]).toEqual([2, 1, 0])
    expect(await ledger.run('a', { kind: 'deduct', id: '4', amount: 1 })).toMatchObject({ isReplay: true })
    now += 87 * DAY_MS - 1
    expect(await ledger.forget(100)).toBe(1)
    expect(await ledger.run('a', { kind: 'grant', key: 'paid', amount: 10, source: 'pack' })).toMatchObject({ isReplay: true })
    now += 1
    expect(await ledger.forget(100)).toBe(1)
  })

  ledgerConformance(dialect, (clock) => new SqlLedger(opened.databases[0]!, { clock }), { describe, it })
})
