import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type Fresh, freshDatabase } from '../../testing/databases.ts'
import type { Database, Transaction } from '../sql/database.ts'
import { openPostgres } from './index.ts'

let fresh: Fresh & { database: Database }
let database: Database
beforeAll(async () => {
  fresh = await freshDatabase('postgres')
  ;({ database } = fresh)
  await database.query('CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)')
})
beforeEach(() => database.query('TRUNCATE t; INSERT INTO t VALUES (1, 0), (2, 0)'))
afterAll(() => fresh.drop())

const rows = () => database.query('SELECT id, n FROM t ORDER BY id')
const add = (tx: Transaction, id: number) => tx.query('UPDATE t SET n = n + 1 WHERE id = $1', [id])

/** Everybody waits here for everybody else; those who come again do not. */
function meeting(size: number): () => Promise<void> {
  let here = 0
  let open!: () => void
  const opened = new Promise<void>((resolve) => (open = resolve))
  return () => {
    if (++here >= size) open()
    return opened
  }
}

it('runs a transaction again that lost a serialization race', async () => {
  const meet = meeting(2)
  let runs = 0
  const spend = (id: number) =>
    database.transaction(async (tx) => {
      runs++
      await tx.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')
      const [row] = await tx.query('SELECT sum(n) AS n FROM t')
      await meet()
      // Write skew: each is allowed by what it read, both together are not.
      if ((row!['n'] as number) === 0) await add(tx, id)
    })
  await Promise.all([spend(1), spend(2)])
  expect(runs).toBe(3)
  expect((await rows()).reduce((sum, { n }) => sum + (n as number), 0)).toBe(1)
})

it('runs a transaction again that was chosen to end a deadlock', async () => {
  const meet = meeting(2)
  let runs = 0
  const both = (first: number, second: number) =>
    database.transaction(async (tx) => {
      runs++
      await tx.query(`SET LOCAL deadlock_timeout = '10ms'`)
      await add(tx, first)
      await meet()
      void add(tx, second)
    })
  await Promise.all([both(1, 2), both(2, 1)])
  expect(runs).toBe(3)
  expect(await rows()).toEqual([{ id: 1, n: 2 }, { id: 2, n: 2 }])
})

it('gives up on races at its deadline', async () => {
  const own = await openPostgres(fresh.url, { timeoutMs: 300 })
  let runs = 0
  const losing = own.transaction(async (tx) => {
    runs++
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    await tx.query('SELECT n FROM t')
    await database.query('UPDATE t SET n = n + 1')
    await add(tx, 1)
  })
  await expect(losing).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', cause: { code: '40001' } })
  expect(runs).toBeGreaterThan(1)
  await own.close()
})

it('does not run again what failed otherwise', async () => {
  let runs = 0
  const failing = database.transaction(async (tx) => {
    runs++
    void add(tx, 1)
    void tx.query('INSERT INTO t VALUES (1, 1)')
  })
  await expect(failing).rejects.toMatchObject({ code: '23505' })
  expect(runs).toBe(1)
  expect(await rows()).toEqual([{ id: 1, n: 0 }, { id: 2, n: 0 }])
})

it('lets errors of the work through as they are', async () => {
  const mine = Object.assign(new Error('mine'), { code: 'MINE' })
  const failing = database.transaction(async (tx) => {
    await add(tx, 1)
    throw mine
  })
  await expect(failing).rejects.toBe(mine)
})

it('says what a commit was refused for', async () => {
  await database.query('CREATE TABLE late (id int, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)')
  const failing = database.transaction(async (tx) => {
    await tx.query('INSERT INTO late VALUES (1), (1)')
    await add(tx, 1)
  })
  await expect(failing).rejects.toMatchObject({ code: '23505' })
  expect(await database.query('SELECT id FROM late')).toEqual([])
  expect(await rows()).toEqual([{ id: 1, n: 0 }, { id: 2, n: 0 }])
})
