import { createHash } from 'node:crypto'
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

  const table = (name: string) => (dialect === 'postgres' ? `tollgate.${name}` : name)

  it('forgets some with each batch that writes, though nobody asks it to', async () => {
    let now = Date.UTC(2021, 0, 1)
    const database = opened.databases[0]!
    const ledger = new SqlLedger(database, { clock: { now: () => now } })
    const count = async () => (await database.query(`SELECT count(*) AS n FROM ${table('ledger_answers')} WHERE substr(id, 1, 21) = $1`, [createHash('sha256').update('tidy').digest('base64url').slice(0, 21)]))[0]!['n']
    await ledger.run('tidy', { kind: 'grant', key: 'g', amount: 1000, source: 'pack' })
    await Promise.all(Array.from({ length: 50 }, (_, i) => ledger.run('tidy', { kind: 'deduct', id: `${i}`, amount: 1 })))
    expect(await count()).toBe(51)
    now += 3 * DAY_MS
    await ledger.run('tidy', { kind: 'deduct', id: 'a', amount: 1 })
    expect(await count()).toBe(51 + 1 - 20)
    // A denial writes nothing.
    await ledger.run('tidy', { kind: 'deduct', id: 'b', amount: 5000 })
    expect(await count()).toBe(32)
    await Promise.all(Array.from({ length: 20 }, (_, i) => ledger.run('tidy', { kind: 'deduct', id: `c${i}`, amount: 1 })))
    expect(await count()).toBe(1 + 1 + 20)
  })

  it('has nothing to do for an account of nobody', async () => {
    const now = Date.UTC(2022, 0, 1)
    const database = opened.databases[0]!
    const ledger = new SqlLedger(database, { clock: { now: () => now } })
    await ledger.run('goes', { kind: 'grant', key: 'g', amount: 10, source: 'pack', expiresAt: now + 1000 })
    const due = async () => (await database.query(`SELECT count(*) AS n FROM ${table('accounts')} WHERE due_at = $1`, [now + 1000]))[0]!['n']
    expect(await due()).toBe(1)
    await ledger.erase('goes')
    expect(await due()).toBe(0)
    // Whoever comes by that name is somebody else.
    await ledger.run('goes', { kind: 'touch' })
    expect([await due(), await ledger.runDue(100), (await ledger.balance('goes')).available]).toEqual([0, 0, 0])
  })

  it('opens no account for a stranger of whom nothing is written', async () => {
    const now = Date.UTC(2020, 0, 1)
    const ledger = new SqlLedger(opened.databases[0]!, { clock: { now: () => now } })
    const accounts = () => opened.databases[0]!.query(`SELECT id FROM ${dialect === 'postgres' ? 'tollgate.' : ''}accounts`)
    const before = await accounts()
    const rule = { plan: 'test/plus', amount: 50, every: 'month', timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true } as const
    const refused = { kind: 'grant', key: 'late', amount: 10, source: 'pack', expiresAt: now } as const
    await expect(ledger.run('stranger', refused)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await ledger.run('stranger', { kind: 'setAllowance', rule, at: 'periodEnd', proration: 'restart', leftover: 'keep' })
    expect(await accounts()).toEqual(before)
    const [, granted] = await Promise.allSettled([ledger.run('stranger', refused), ledger.run('stranger', { ...refused, expiresAt: now + 1 }), ledger.run('other stranger', refused)])
    expect(granted).toMatchObject({ value: { balance: { balance: 10 } } })
    expect(await accounts()).toHaveLength(before.length + 1)
  })

  ledgerConformance(dialect, (clock) => new SqlLedger(opened.databases[0]!, { clock }), { describe, it })
})
