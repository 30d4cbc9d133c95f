import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'pg'
import { openPostgres } from 'tollgate/postgres'
import { openSqlite } from 'tollgate/sqlite'
import { SqlLedger } from '../packages/tollgate/dist/ledger/sql.js'
import { migrate } from '../packages/tollgate/dist/stores/sql/migrate.js'
import { startPostgres } from '../tools/services/postgres.mjs'
import { interleave, median, medianRatio } from './measure.mjs'

const SUBJECTS = 10_000
const MILLISECONDS = 1500
const ROUNDS = 5
/** Callers at a time, on subjects of their own each time or all on one. */
const LOADS = [[256, 'distinct'], [256, 'hot'], [20, 'distinct'], [20, 'hot'], [1, 'distinct']]
const TODAY = 'BEGIN; SELECT … FOR UPDATE; UPDATE; INSERT; COMMIT'
const BATCHED = 'tollgate'
const ALONE = 'tollgate, a transaction each'

/** Deductions per second and their latency, with fsync on, beside what people write by hand. */
export async function ledger() {
  const parts = [await onPostgres(), await onSqlite()]
  return { columns: ['credit deductions', 'per second', 'p50 ms', 'p99 ms'], rows: parts.flatMap(({ rows }) => rows), goals: parts.flatMap(({ goals }) => goals), facts: parts.flatMap(({ facts }) => facts) }
}

async function onPostgres() {
  const server = await startPostgres({ isDurable: true })
  try {
    const pool = new Pool({ connectionString: server.url, max: 20 })
    const contenders = {
      [TODAY]: await todayOnPostgres(pool),
      [ALONE]: await ours(await openPostgres(server.url, { maxConnections: 20 }), { schema: 'alone', maxBatch: 1, maxInFlight: 20 }),
      [BATCHED]: await ours(await openPostgres(server.url, { maxConnections: 20 }), { schema: 'batched' }),
    }
    await pool.query('ANALYZE')
    const results = await measure(contenders)
    await Promise.all([pool.end(), contenders[ALONE].close(), contenders[BATCHED].close()])
    return {
      rows: rowsOf('PostgreSQL', results),
      goals: [
        throughput('PostgreSQL, 256 callers, distinct subjects: throughput against the transaction', results, '256 distinct', 6),
        throughput('the same, one hot subject', results, '256 hot', 25),
        latency('PostgreSQL, 20 callers, distinct subjects: p50 against the transaction', results, '20 distinct', 0.5),
        latency('the same, one hot subject', results, '20 hot', 0.5),
      ],
      facts: batchedAgainstAlone('PostgreSQL', results),
    }
  } finally {
    await server.stop()
  }
}

async function onSqlite() {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  try {
    const contenders = {
      [TODAY]: todayOnSqlite(join(folder, 'today.db')),
      [ALONE]: await ours(await openSqlite(join(folder, 'alone.db')), { maxBatch: 1, maxInFlight: 1 }),
      [BATCHED]: await ours(await openSqlite(join(folder, 'batched.db')), {}),
    }
    const results = await measure(contenders)
    await Promise.all([contenders[ALONE].close(), contenders[BATCHED].close()])
    return { rows: rowsOf('SQLite', results), goals: [], facts: batchedAgainstAlone('SQLite', results) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function ours(database, options) {
  await migrate(database, options)
  const credits = new SqlLedger(database, options)
  await Promise.all(Array.from({ length: SUBJECTS }, (_, i) => credits.run(nameOf(i), { kind: 'grant', key: 'g', amount: 1_000_000_000, source: 'pack' })))
  let n = 0
  return {
    deduct: async (i) => {
      const { ok } = await credits.run(nameOf(i), { kind: 'deduct', id: `d${n++}`, amount: 1, operation: 'chat' })
      if (!ok) throw new Error('denied')
    },
    close: async () => {
      await credits.close()
      await database.close()
    },
  }
}

const nameOf = (i) => `user:${i}`
const TABLES = [
  'CREATE TABLE balances (subject text PRIMARY KEY, balance bigint NOT NULL)',
  'CREATE TABLE movements (id bigint PRIMARY KEY, subject text NOT NULL, amount bigint NOT NULL, balance_after bigint NOT NULL, operation text)',
]

async function todayOnPostgres(pool) {
  for (const sql of TABLES) await pool.query(sql.replace('id bigint', 'id bigint GENERATED ALWAYS AS IDENTITY'))
  await pool.query(`INSERT INTO balances SELECT 'user:' || i, 1000000000 FROM generate_series(0, ${SUBJECTS - 1}) i`)
  const prepared = (name, text) => (client, values) => client.query({ name, text, values })
  const select = prepared('select', 'SELECT balance FROM balances WHERE subject = $1 FOR UPDATE')
  const update = prepared('update', 'UPDATE balances SET balance = $2 WHERE subject = $1')
  const insert = prepared('insert', 'INSERT INTO movements (subject, amount, balance_after, operation) VALUES ($1, $2, $3, $4)')
  return {
    async deduct(i) {
      const client = await pool.connect()
      await client.query('BEGIN')
      const balance = Number((await select(client, [nameOf(i)])).rows[0].balance) - 1
      if (balance < 0) throw new Error('denied')
      await update(client, [nameOf(i), balance])
      await insert(client, [nameOf(i), -1, balance, 'chat'])
      await client.query('COMMIT')
      client.release()
    },
  }
}

/** In the event loop's own thread, which waits for the disk with each. */
function todayOnSqlite(path) {
  const Database = createRequire(import.meta.url)('libsql')
  const db = new Database(path)
  db.exec('PRAGMA journal_mode = WAL')
  db.exec('PRAGMA synchronous = FULL')
  for (const sql of TABLES) db.exec(sql.replace('bigint PRIMARY KEY', 'INTEGER PRIMARY KEY'))
  const fill = db.prepare('INSERT INTO balances VALUES (?, 1000000000)')
  db.exec('BEGIN')
  for (let i = 0; i < SUBJECTS; i++) fill.run(nameOf(i))
  db.exec('COMMIT')
  const select = db.prepare('SELECT balance FROM balances WHERE subject = ?')
  const update = db.prepare('UPDATE balances SET balance = ? WHERE subject = ?')
  const insert = db.prepare('INSERT INTO movements (subject, amount, balance_after, operation) VALUES (?, ?, ?, ?)')
  return {
    async deduct(i) {
      db.exec('BEGIN IMMEDIATE')
      const balance = select.get(nameOf(i)).balance - 1
      update.run(balance, nameOf(i))
      insert.run(nameOf(i), -1, balance, 'chat')
      db.exec('COMMIT')
    },
  }
}

/** By contender, by load: one result per round. */
async function measure(contenders) {
  const cases = Object.entries(contenders).flatMap(([name, { deduct }]) => LOADS.map(([callers, spread]) => ({ name: `${name}\n${callers} ${spread}`, deduct, callers, isHot: spread === 'hot' })))
  return interleave(cases, { rounds: ROUNDS, warmUps: 1, measure: load })
}

async function load({ deduct, callers, isHot }) {
  const latencies = []
  const startedAt = performance.now()
  const endAt = startedAt + MILLISECONDS
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (let i = caller; performance.now() < endAt; i += callers) {
        const from = performance.now()
        await deduct(isHot ? 0 : i % SUBJECTS)
        latencies.push(performance.now() - from)
      }
    }),
  )
  const elapsed = performance.now() - startedAt
  latencies.sort((a, b) => a - b)
  return { perSecond: latencies.length / elapsed * 1000, p50: latencies[latencies.length >> 1], p99: latencies[Math.floor(latencies.length * 0.99)] }
}

const of = (results, name, load, what) => results[`${name}\n${load}`].map((result) => result[what])

function rowsOf(database, results) {
  return LOADS.flatMap(([callers, spread]) => [TODAY, ALONE, BATCHED].map((name) => {
    const load = `${callers} ${spread}`
    const [perSecond, p50, p99] = ['perSecond', 'p50', 'p99'].map((what) => median(of(results, name, load, what)))
    return [`${database}, ${callers === 1 ? '1 caller' : `${callers} callers, ${spread === 'hot' ? 'one hot subject' : 'distinct subjects'}`}: ${name}`, Math.round(perSecond), p50.toFixed(2), p99.toFixed(2)]
  }))
}

function throughput(what, results, load, goal) {
  return { what, goal, atLeast: true, is: medianRatio(of(results, BATCHED, load, 'perSecond'), of(results, TODAY, load, 'perSecond')) }
}

function latency(what, results, load, goal) {
  return { what, goal, is: medianRatio(of(results, BATCHED, load, 'p50'), of(results, TODAY, load, 'p50')) }
}

function batchedAgainstAlone(database, results) {
  return ['256 distinct', '256 hot'].map((load) => ({ what: `${database}, ${load}: batched, against a transaction each`, is: medianRatio(of(results, BATCHED, load, 'perSecond'), of(results, ALONE, load, 'perSecond')) }))
}
