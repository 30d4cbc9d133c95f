import { once } from 'node:events'
import net from 'node:net'
import { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from '../../../../../tools/services/ports.mjs'
import { startPostgres } from '../../../../../tools/services/postgres.mjs'
import { type Fresh, freshDatabase } from '../../testing/databases.ts'
import type { Database, Transaction } from '../sql/database.ts'
import { openPostgres, type PostgresOptions } from './index.ts'

let fresh: Fresh & { database: Database }
/** Healthy, to look with. */
let database: Database
/** What is tested, by default with one connection. */
let own: Database
beforeAll(async () => {
  fresh = await freshDatabase('postgres')
  ;({ database } = fresh)
  await database.query('CREATE TABLE t (id int PRIMARY KEY)')
})
const open = async (options?: PostgresOptions, url = fresh.url) => (own = await openPostgres(url, { maxConnections: 1, ...options }))
beforeEach(async () => {
  await database.query('TRUNCATE t')
  await open()
})
afterEach(() => own.close())
afterAll(() => fresh.drop())

const ids = async () => (await database.query('SELECT id FROM t ORDER BY id')).map(({ id }) => id)
const pidOf = async (tx: Pick<Transaction, 'query'>) => (await tx.query('SELECT pg_backend_pid() AS pid'))[0]!['pid'] as number
const terminate = (pid: number) => database.query('SELECT pg_terminate_backend($1, 5000)', [pid])
const waitUntil = async (sql: string) => {
  await expect.poll(async () => (await database.query(sql)).length).toBeGreaterThan(0)
}
/** What it fails with. */
const failureOf = (call: Promise<unknown>) => call.then(() => undefined, (error: unknown) => error)
const UNAVAILABLE = { code: 'STORE_UNAVAILABLE', status: 503, retryAfterMs: 1000 }

it('is heard when it is lost between the pool and whoever asked', async () => {
  const pool = new Pool({ connectionString: fresh.url, max: 1 })
  const mine = await openPostgres(pool)
  let lost = 0
  // Right after the pool has stopped listening, and before anybody else could begin to.
  pool.on('acquire', (client) => queueMicrotask(() => client.emit('error', new Error(`lost ${++lost}`))))
  expect(await mine.query('SELECT 1 AS v')).toEqual([{ v: 1 }])
  expect(await mine.query('SELECT 2 AS v')).toEqual([{ v: 2 }])
  expect(lost).toBe(2)
  await mine.close()
  await pool.end()
})

describe('a pool that is used up', () => {
  it('refuses after a while, and at once when too many wait', async () => {
    await open({ connectTimeoutMs: 100, maxWaiting: 1 })
    let letGo!: () => void
    let begun!: () => void
    const isBegun = new Promise<void>((resolve) => (begun = resolve))
    const first = own.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      begun()
      await new Promise<void>((resolve) => (letGo = resolve))
    })
    await isBegun
    const second = own.query('SELECT 1')
    const third = own.query('SELECT 1')
    await expect(third).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 })
    await expect(second).rejects.toMatchObject(UNAVAILABLE)
    letGo()
    await first
    expect(await own.query('SELECT 1 AS v')).toEqual([{ v: 1 }])
    expect(await ids()).toEqual([1])
  })
})

describe('deadlines', () => {
  it('ends a statement that takes too long, and keeps the connection', async () => {
    await open({ statementTimeoutMs: 100 })
    const pid = await pidOf(own)
    await expect(own.query('SELECT pg_sleep(10)')).rejects.toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining('statement timeout') as string })
    const slow = own.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      void tx.query('SELECT pg_sleep(10)')
    })
    await expect(slow).rejects.toMatchObject(UNAVAILABLE)
    expect(await pidOf(own)).toBe(pid)
    expect(await ids()).toEqual([])
  })

  it('ends a wait for a lock', async () => {
    await open({ lockTimeoutMs: 100 })
    await database.transaction(async (tx) => {
      await tx.query('LOCK TABLE t')
      await expect(own.query('INSERT INTO t VALUES (1)')).rejects.toMatchObject({ ...UNAVAILABLE, cause: { code: '55P03' } })
    })
  })

  it('ends a transaction whose work never ends', async () => {
    await open({ idleInTransactionTimeoutMs: 100 })
    const stuck = own.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      await new Promise(() => {})
    })
    await expect(stuck).rejects.toMatchObject({ ...UNAVAILABLE, cause: { code: '25P03' } })
    expect(await ids()).toEqual([])
    expect(await own.query('SELECT 1 AS v')).toEqual([{ v: 1 }])
  })

  it('lets a transaction take longer that says so', async () => {
    await open({ statementTimeoutMs: 50, timeoutMs: 50 })
    const rows = await own.transaction((tx) => tx.query(`SELECT pg_sleep(0.2), 'done' AS v`), { timeoutMs: 5000 })
    expect(rows).toMatchObject([{ v: 'done' }])
    await expect(own.query('SELECT pg_sleep(1)')).rejects.toMatchObject(UNAVAILABLE)
  })
})

describe('a connection that is lost', () => {
  it('in a transaction: nothing is written, and the next has another', async () => {
    const cut = own.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      await terminate(await pidOf(tx))
      await tx.query('INSERT INTO t VALUES (2)')
    })
    await expect(cut).rejects.toMatchObject({ ...UNAVAILABLE, details: undefined })
    expect(await ids()).toEqual([])
    await own.query('INSERT INTO t VALUES (3)')
    expect(await ids()).toEqual([3])
  })

  it('while a transaction waits for something else: it is told', async () => {
    const cut = own.transaction(async (tx) => {
      await terminate(await pidOf(tx))
      await new Promise(() => {})
    })
    await expect(cut).rejects.toMatchObject(UNAVAILABLE)
  })

  it('during a commit: it may have been written, and the error says so', async () => {
    await database.query(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(10); RETURN NULL; END $$;
      CREATE TABLE slow (id int);
      CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
    const pid = await pidOf(own)
    const failure = failureOf(
      own.transaction(async (tx) => {
        await tx.query('INSERT INTO slow VALUES (1)')
        void tx.query('INSERT INTO t VALUES (1)')
      }),
    )
    await waitUntil(`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND query = 'COMMIT' AND wait_event = 'PgSleep'`)
    await terminate(pid)
    expect(await failure).toMatchObject({ ...UNAVAILABLE, details: { mayBeWritten: true } })
  })

  it('during a write of its own: it may have been written; a read has not', async () => {
    for (const [sql, details] of [['INSERT INTO t SELECT 1 FROM pg_sleep(10)', { mayBeWritten: true }], ['SELECT pg_sleep(10)', undefined]] as const) {
      const pid = await pidOf(own)
      const failure = failureOf(own.query(sql))
      await waitUntil(`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND wait_event = 'PgSleep'`)
      await terminate(pid)
      expect(await failure).toMatchObject({ ...UNAVAILABLE, details })
    }
  })

  it('while it is idle: nobody notices', async () => {
    await terminate(await pidOf(own))
    await expect.poll(() => own.query('SELECT 1 AS v').catch(() => [])).toEqual([{ v: 1 }])
  })
})

describe('a server that is not there', () => {
  it('is unavailable, at once when it refuses', async () => {
    const [port] = await freePorts(1)
    await open({}, `postgres://postgres@127.0.0.1:${port}/none`)
    await expect(own.query('SELECT 1')).rejects.toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining('ECONNREFUSED') as string })
  })

  it('is unavailable when it refuses the user', async () => {
    await open({}, Object.assign(new URL(fresh.url), { username: 'nobody_of_this_name' }).href)
    await expect(own.transaction((tx) => tx.query('SELECT 1'))).rejects.toMatchObject(UNAVAILABLE)
  })

  it('is unavailable in time when it does not answer', async () => {
    const silent = net.createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    await open({ connectTimeoutMs: 100 }, `postgres://postgres@127.0.0.1:${(silent.address() as net.AddressInfo).port}/none`)
    await expect(own.query('SELECT 1')).rejects.toMatchObject(UNAVAILABLE)
    silent.close()
  })

  it('is unavailable in time when it stops answering in a transaction', async () => {
    const { hostname, port } = new URL(fresh.url)
    const sockets: net.Socket[] = []
    const proxy = net.createServer((socket) => {
      const server = net.connect(Number(port), hostname)
      sockets.push(socket, server)
      socket.pipe(server).pipe(socket)
      for (const end of [socket, server]) end.on('error', () => {})
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    await open({ timeoutMs: 300 }, fresh.url.replace(`:${port}/`, `:${(proxy.address() as net.AddressInfo).port}/`))
    const cut = own.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      for (const socket of sockets) socket.unpipe()
      await tx.query('INSERT INTO t VALUES (2)')
    })
    await expect(cut).rejects.toMatchObject({ ...UNAVAILABLE, message: 'PostgreSQL did not finish within 300 ms' })
    await own.close()
    for (const socket of sockets) socket.destroy()
    proxy.close()
    await expect.poll(ids).toEqual([])
  })

  it.skipIf(!process.env.TOLLGATE_LONG)('serves again after a restart (long suite: starts a server of its own)', async () => {
    const server = await startPostgres()
    await open({ maxConnections: 5 }, server.url)
    await own.query('CREATE TABLE t (id int)')
    await Promise.all([1, 2, 3].map((id) => own.query('INSERT INTO t VALUES ($1)', [id])))
    const cut = own.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (4)')
      await server.restart()
      await tx.query('INSERT INTO t VALUES (5)')
    })
    await expect(cut).rejects.toMatchObject(UNAVAILABLE)
    await expect.poll(() => own.query('SELECT count(*) AS n FROM t').catch(() => [])).toEqual([{ n: 3 }])
    await own.close()
    await server.stop()
  })
})
