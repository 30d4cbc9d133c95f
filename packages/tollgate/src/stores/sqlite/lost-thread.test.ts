import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Fresh, freshSqlite } from '../../testing/databases.ts'
import { SqliteDatabase } from './database.ts'
import { openSqlite } from './index.ts'
import { WorkerConnection } from './worker-connection.ts'

// libsql, with statements that end its thread or hold it up.
const DRIVER = `
  const Libsql = require(${JSON.stringify(createRequire(import.meta.url).resolve('libsql'))})
  module.exports = class extends Libsql {
    prepare(sql) {
      if (sql === 'exit') process.exit(7)
      if (sql === 'exit later') setImmediate(() => {
        require('node:fs').writeFileSync(__dirname + '/gone', '')
        process.exit(7)
      })
      if (sql === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      return super.prepare(sql === 'exit later' ? 'SELECT 1' : sql)
    }
  }`

let fresh: Fresh
let database: SqliteDatabase
const open = (timeoutMs: number) => new SqliteDatabase(new WorkerConnection({ driver: join(dirname(fresh.url), 'driver.cjs'), path: fresh.url, synchronous: 'FULL', cacheKb: 100 }), { timeoutMs })
beforeEach(async () => {
  fresh = freshSqlite()
  writeFileSync(join(dirname(fresh.url), 'driver.cjs'), DRIVER)
  database = open(5000)
  await database.query('CREATE TABLE t (id integer PRIMARY KEY)')
})
afterEach(async () => {
  await database.close()
  await fresh.drop()
})

const UNAVAILABLE = { code: 'STORE_UNAVAILABLE', status: 503, retryAfterMs: 1000 }
const ids = async () => (await database.query('SELECT id FROM t ORDER BY id')).map(({ id }) => id)

it('fails what was asked of it, and is replaced', async () => {
  const lost = database.transaction(async (tx) => {
    await tx.query('INSERT INTO t VALUES (1)')
    await tx.query('exit')
  })
  const next = database.query('INSERT INTO t VALUES (2)')
  await expect(lost).rejects.toMatchObject({ ...UNAVAILABLE, details: undefined, message: 'SQLite: its thread ended with code 7' })
  await next
  expect(await ids()).toEqual([2])
})

it('takes its transaction with it: the next thread writes nothing of what follows', async () => {
  const lost = database.transaction(async (tx) => {
    await tx.query('INSERT INTO t VALUES (1)')
    await tx.query('exit').catch(() => {})
    await tx.query('INSERT INTO t VALUES (2)').catch(() => {})
  })
  await expect(lost).rejects.toMatchObject(UNAVAILABLE)
  expect(await ids()).toEqual([])
})

it('takes its transaction with it when nothing was asked of it, too', async () => {
  const lost = database.transaction(async (tx) => {
    await tx.query('INSERT INTO t VALUES (1)')
    await tx.query('exit later')
    await expect.poll(() => existsSync(join(dirname(fresh.url), 'gone'))).toBe(true)
    await tx.query('INSERT INTO t VALUES (2)')
  })
  await expect(lost).rejects.toMatchObject({ ...UNAVAILABLE, details: undefined })
  expect(await ids()).toEqual([])
})

it('may have written what it was to commit, or to write by itself', async () => {
  const lost = database.transaction(async (tx) => {
    void tx.query('INSERT INTO t VALUES (1)')
    void tx.query('exit')
  })
  await expect(lost).rejects.toMatchObject({ ...UNAVAILABLE, details: { mayBeWritten: true } })
  await expect(database.query('exit')).rejects.toMatchObject({ ...UNAVAILABLE, details: { mayBeWritten: true } })
  expect(await ids()).toEqual([])
})

it('is given up when it does not answer', async () => {
  const own = open(200)
  await own.query('SELECT 1')
  const hung = own.transaction(async (tx) => {
    await tx.query('INSERT INTO t VALUES (1)')
    await tx.query('hang')
  })
  await expect(hung).rejects.toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining('took more than 200 ms') as string })
  await own.query('INSERT INTO t VALUES (2)')
  expect(await ids()).toEqual([2])
  await own.close()
})

it.skipIf(!process.env.TOLLGATE_LONG)('does not take the process with it when an answer is too long for it (long suite: seconds of a full processor)', async () => {
  const own = await openSqlite(fresh.url, { timeoutMs: 60_000 })
  await expect(own.query('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000000) SELECT x, x AS y FROM c')).rejects.toMatchObject({
    ...UNAVAILABLE,
    cause: { code: 'ERR_WORKER_OUT_OF_MEMORY' },
  })
  expect(await own.query('SELECT 1 AS v')).toEqual([{ v: 1 }])
  await own.close()
})
