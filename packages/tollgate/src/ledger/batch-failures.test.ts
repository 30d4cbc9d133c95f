import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPostgres } from '../stores/postgres/index.ts'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { SqlLedger } from './sql.ts'

// Commands that are submitted in one turn go in one transaction.
describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let ledger: SqlLedger
  let now = Date.UTC(2027, 0, 1)
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
    ledger = new SqlLedger(opened.databases[0]!, { clock: { now: () => now } })
  })
  afterAll(() => opened.drop())

  const sql = (statement: string) => opened.databases[0]!.query(statement)
  const [accounts, entries, notes] = ['accounts', 'entries', 'entry_notes'].map((name) => (dialect === 'postgres' ? `tollgate.${name}` : name))
  /** Three accounts, of which the second is to fail. */
  const threeOf = async (name: string) => {
    const subjects = [`${name} a`, `${name} b`, `${name} c`]
    await Promise.all(subjects.map((subject) => ledger.run(subject, { kind: 'grant', key: 'first', amount: 10, source: 'pack', expiresAt: now + 1000 })))
    return subjects
  }
  const outcomes = async (asked: readonly Promise<unknown>[]) => (await Promise.allSettled(asked)).map(({ status }) => status)

  it.each(['not JSON', '{}', 'null', '[]', '""'])('an account that cannot be read (%s) fails alone, and is not changed', async (state) => {
    const subjects = await threeOf(state)
    await sql(`UPDATE ${accounts} SET state = '${state}' WHERE subject = '${subjects[1]}'`)
    const asked = subjects.map((subject) => ledger.run(subject, { kind: 'deduct', id: 'one', amount: 3 }))
    await expect(asked[1]).rejects.toThrow(/account \d+: what is stored of it cannot be read/)
    expect(await outcomes(asked)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await sql(`SELECT state FROM ${accounts} WHERE subject = '${subjects[1]}'`)).toEqual([{ state }])
    expect(await ledger.balance(subjects[2]!)).toMatchObject({ balance: 7 })
    await expect(ledger.balance(subjects[1]!)).rejects.toThrow(/cannot be read/)
    expect(await ledger.verify(null)).toEqual([expect.stringMatching(/^not JSON|^\{\}|^null|^\[\]|^"" b: .*cannot be read/)])

    // What is due is done for the others, and the failure is told.
    now += 1000
    await expect(ledger.runDue(100)).rejects.toThrow(/cannot be read/)
    expect(await sql(`SELECT count(*) AS n FROM ${entries} WHERE kind = 'expire' AND amount = -7 AND at = ${now}`)).toEqual([{ n: 2 }])
    await sql(`DELETE FROM ${notes}`)
    await sql(`DELETE FROM ${entries}`)
    await sql(`DELETE FROM ${accounts}`)
  })

  it('a command that the database refuses fails alone, and changes nothing', async () => {
    const subjects = await threeOf('refused')
    // As a constraint of somebody else's would.
    if (dialect === 'sqlite') await sql(`CREATE TRIGGER no_such_operation BEFORE INSERT ON entries WHEN NEW.operation = 'refused' BEGIN SELECT RAISE(ABORT, 'no such operation'); END`)
    else await sql(`ALTER TABLE ${entries} ADD CONSTRAINT no_such_operation CHECK (operation <> 'refused')`)
    const asked = subjects.map((subject, i) => ledger.run(subject, { kind: 'deduct', id: 'one', amount: 3, operation: i === 1 ? 'refused' : 'chat' }))
    await expect(asked[1]).rejects.toThrow(/no.such.operation/)
    expect(await outcomes(asked)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await Promise.all(subjects.map(async (subject) => (await ledger.balance(subject)).balance))).toEqual([7, 10, 7])
    expect(await ledger.verify(null)).toEqual([])
  })
})

it('an account that somebody keeps locked fails alone', async () => {
  const { url, databases, drop } = await openedBy(1, 'postgres')
  const database = await openPostgres(url, { lockTimeoutMs: 200 })
  const ledger = new SqlLedger(database)
  const subjects = ['a', 'b', 'c']
  await Promise.all(subjects.map((subject) => ledger.run(subject, { kind: 'grant', key: 'first', amount: 10, source: 'pack' })))
  const client = new Client({ connectionString: url })
  await client.connect()
  await client.query(`BEGIN; SELECT * FROM tollgate.accounts WHERE subject = 'b' FOR UPDATE`)

  const asked = subjects.map((subject) => ledger.run(subject, { kind: 'deduct', id: 'one', amount: 3 }))
  await expect(asked[1]).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(await Promise.all([asked[0], asked[2]])).toMatchObject([{ ok: true }, { ok: true }])

  await client.query('ROLLBACK')
  expect(await ledger.run('b', { kind: 'deduct', id: 'one', amount: 3 })).toMatchObject({ ok: true })
  await client.end()
  await database.close()
  await drop()
  void databases
})
