import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fromPostgresClient } from '../stores/postgres/index.ts'
import type { Transaction } from '../stores/sql/database.ts'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { SqlLedger } from './sql.ts'

/** What people have beside credits, and want written with them or not at all. */
const PAYMENTS = 'CREATE TABLE payments (id text PRIMARY KEY)'
const PAY = `INSERT INTO payments VALUES ('in_1')`

describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let ledger: SqlLedger
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
    ledger = new SqlLedger(opened.databases[0]!)
    await opened.databases[0]!.query(PAYMENTS)
  })
  afterAll(() => opened.drop())
  beforeEach(() => opened.databases[0]!.query('DELETE FROM payments'))

  /** Commits what `work` did, or rolls it back when it throws. */
  const transactions: [string, (work: (tx: Transaction) => Promise<void>) => Promise<void>][] = [['a transaction of the database', (work) => opened.databases[0]!.transaction(work)]]
  if (dialect === 'postgres') {
    transactions.push([
      'fromPostgresClient',
      async (work) => {
        const client = new Client({ connectionString: opened.url })
        await client.connect()
        try {
          await client.query('BEGIN')
          await work(fromPostgresClient(client))
          await client.query('COMMIT')
        } catch (error) {
          await client.query('ROLLBACK')
          throw error
        } finally {
          await client.end()
        }
      },
    ])
  }
  const payments = () => opened.databases[0]!.query('SELECT id FROM payments')

  describe.each(transactions)('in %s', (kind, transaction) => {
    const grant = (key: string) => ({ kind: 'grant', key: `${kind} ${key}`, amount: 10, source: 'pack', reason: 'paid' }) as const

    it.each(['a new subject', 'a subject that has credits'])('commits a grant for %s together with its payment, once', async (who) => {
      const subject = `${kind} ${who}`
      if (who !== 'a new subject') await ledger.run(subject, grant('first'))
      const { balance: before } = await ledger.balance(subject)
      await transaction(async (tx) => {
        await tx.query(PAY)
        expect(await ledger.runIn(tx, subject, grant('invoice'))).toMatchObject({ ok: true, balance: { balance: before + 10 } })
        expect(await ledger.runIn(tx, subject, { kind: 'deduct', id: 'at once', amount: 3 })).toMatchObject({ ok: true })
        expect(await ledger.runIn(tx, subject, grant('invoice'))).toMatchObject({ ok: true, isReplay: true })
      })
      expect(await payments()).toHaveLength(1)
      expect(await ledger.balance(subject)).toMatchObject({ balance: before + 7, granted: before + 10 })
      expect(await ledger.run(subject, grant('invoice'))).toMatchObject({ isReplay: true })
      expect(await ledger.verify(subject)).toEqual([])
    })

    it.each(['a new subject', 'a subject that has credits'])('takes a grant for %s back with all the rest', async (who) => {
      const subject = `${kind} rolled back ${who}`
      if (who !== 'a new subject') await ledger.run(subject, grant('first'))
      const before = await ledger.balance(subject)
      const refused = transaction(async (tx) => {
        await tx.query(PAY)
        await ledger.runIn(tx, subject, grant('invoice'))
        await tx.query(PAY)
      })
      await expect(refused).rejects.toThrow(/unique/i)
      expect(await payments()).toEqual([])
      expect(await ledger.balance(subject)).toEqual({ ...before, at: expect.any(Number), forecast: expect.any(Number) })
      // The key is free again.
      const { isReplay } = await ledger.run(subject, grant('invoice'))
      expect(isReplay).toBeUndefined()
      expect(await ledger.verify(subject)).toEqual([])
    })

    it('throws what the ledger refuses', async () => {
      const refused = transaction(async (tx) => void (await ledger.runIn(tx, `${kind} stranger`, { kind: 'release', id: 'unknown' })))
      await expect(refused).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION' })
    })
  })
})

it('waits for a transaction that has the account', async () => {
  const { url, databases, drop } = await openedBy(1, 'postgres')
  const ledger = new SqlLedger(databases[0]!)
  await ledger.run('a', { kind: 'grant', key: 'first', amount: 10, source: 'pack' })
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query('BEGIN')
  await ledger.runIn(fromPostgresClient(client), 'a', { kind: 'deduct', id: 'theirs', amount: 8 })
  const ours = ledger.run('a', { kind: 'deduct', id: 'ours', amount: 5 })
  const isWaiting = async () => (await databases[0]!.query(`SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`))[0]!['n']
  await expect.poll(isWaiting).toBe(1)
  await client.query('COMMIT')
  expect(await ours).toMatchObject({ ok: false, deficit: 3 })
  await client.end()
  await drop()
})
