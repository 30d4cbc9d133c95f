import { Pool } from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { openPostgres } from '../stores/postgres/index.ts'
import type { Database } from '../stores/sql/database.ts'
import { SqlReceipts } from '../stores/sql/receipts.ts'
import { openedBy } from '../testing/databases.ts'
import { SqlLedger } from './sql.ts'

const ROWS = process.env['TOLLGATE_LONG'] ? 200_000 : 20_000
/** What a call may read, of all tables and indexes: its own account, and not the others. */
const MAX_READ = 500
/** After five times a server may keep its plan. */
const TIMES = 8
const TABLES = ['accounts', 'entries', 'entry_notes', 'ledger_answers', 'receipts']
const FAR = 9e12

// PostgreSQL keeps a prepared statement's plan. One of when the tables were small reads them as a whole later.
describe.each([
  ['by URL', [0, 1, 30]],
  ['by URL with options', [30]],
  ['a pool of somebody', [30]],
] as const)('%s', (how, smalls) => {
  const close: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const each of close.splice(0).toReversed()) await each()
  })
  const open = async (url: string): Promise<Database> => {
    if (how !== 'a pool of somebody') return openPostgres(how === 'by URL' ? url : `${url}?options=-c%20work_mem%3D4MB`, { maxConnections: 1 })
    const pool = new Pool({ connectionString: url, max: 1 })
    close.push(() => pool.end())
    return openPostgres(pool)
  }

  it.each(smalls)('no call reads the accounts of others, with plans made when there were %i', async (small) => {
    const { url, drop } = await openedBy(1, 'postgres')
    close.push(drop)
    const admin = await openPostgres(url, { maxConnections: 1 })
    const database = await open(url)
    close.push(() => admin.close(), () => database.close())
    // What analyzes tables makes new plans too: not before they are needed, as in the minutes after a launch.
    for (const table of TABLES) await admin.query(`ALTER TABLE tollgate.${table} SET (autovacuum_enabled = false)`)
    await grow(admin, 1, small)
    for (const table of TABLES) await admin.query(`ANALYZE tollgate.${table}`)
    for (const call of Object.values(calls(database, 'early'))) await repeat(call)
    await grow(admin, small + 1, ROWS)
    await flushed(admin)

    const reads: Record<string, number> = {}
    for (const [name, call] of Object.entries(calls(database, 'late'))) {
      await flushed(database)
      const before = await rowsRead(admin)
      await repeat(call)
      await flushed(database)
      reads[name] = ((await rowsRead(admin)) - before) / TIMES
    }
    expect(Object.entries(reads).filter(([, read]) => read > MAX_READ)).toEqual([])
  })
})

function calls(database: Database, when: string): Record<string, (i: number) => Promise<unknown>> {
  const ledger = new SqlLedger(database)
  const receipts = new SqlReceipts<number>(database)
  return {
    open: (i) => ledger.run(`${when} ${i}`, { kind: 'grant', key: 'a', amount: 100, source: 'pack', reason: 'paid' }),
    grant: (i) => ledger.run(when, { kind: 'grant', key: `${i}`, amount: 100, source: 'pack', reason: 'paid' }),
    hold: (i) => ledger.run(when, { kind: 'hold', id: `held ${i}`, amount: 2, ttlMs: 60_000 }),
    commit: (i) => ledger.run(when, { kind: 'commit', id: `held ${i}`, overage: { policy: 'deny' } }),
    deduct: (i) => ledger.run(when, { kind: 'deduct', id: `${i}`, amount: 1 }),
    refund: (i) => ledger.run(when, { kind: 'refund', key: `refund ${i}`, id: `${i}` }),
    batch: (i) => Promise.all(Array.from({ length: 5 }, (_, k) => ledger.run(`${when} ${k}`, { kind: 'deduct', id: `batch ${i}`, amount: 1 }))),
    balance: () => ledger.balance(when),
    entries: () => ledger.entries(when, { limit: 10 }),
    balanceAt: () => ledger.balanceAt(when, FAR),
    runDue: () => ledger.runDue(10),
    verify: () => ledger.verify(when),
    erase: (i) => ledger.erase(`${when} ${i}`),
    forget: () => ledger.forget(10),
    receipt: (i) => receipts.once(`${when} ${i}`, 'same', async () => i),
  }
}

async function repeat(call: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < TIMES; i++) await call(i)
}

/** Accounts that nobody asks about, and what comes with them, from one number to another. */
async function grow(admin: Database, from: number, to: number): Promise<void> {
  const numbers = `generate_series(${from}::bigint, ${to}) AS i`
  await admin.query(`INSERT INTO tollgate.accounts (subject, state, due_at) SELECT 'other ' || i, '{"lots":[]}', ${FAR} + i FROM ${numbers}`)
  await admin.query(`INSERT INTO tollgate.entries SELECT id, 1, 1, 'grant', 1, 1, 1, NULL, NULL FROM tollgate.accounts WHERE subject LIKE 'other %' ON CONFLICT DO NOTHING`)
  await admin.query(`INSERT INTO tollgate.entry_notes SELECT id, 1, 'k', 'r', 'a' FROM tollgate.accounts WHERE subject LIKE 'other %' ON CONFLICT DO NOTHING`)
  await admin.query(`INSERT INTO tollgate.ledger_answers SELECT 'other ' || i, '{}', ${FAR} + i FROM ${numbers}`)
  await admin.query(`INSERT INTO tollgate.receipts (id, fingerprint, effect, answer, leased_until, expires_at) SELECT 'other ' || i, 'f', 'e', '1', 0, ${FAR} + i FROM ${numbers}`)
}

/** A session tells what it has read when it likes. */
async function flushed(database: Database): Promise<void> {
  await database.query('SELECT pg_stat_force_next_flush()')
  await database.query('SELECT 1')
}

async function rowsRead(admin: Database): Promise<number> {
  await admin.query('SELECT pg_stat_clear_snapshot()')
  const [row] = await admin.query(`SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'tollgate') + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'tollgate') AS n`)
  return row!['n'] as number
}
