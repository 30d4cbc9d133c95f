import { Pool, type PoolClient, types } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Fresh, freshDatabase } from '../../testing/databases.ts'
import type { Database } from '../sql/database.ts'
import { fromPostgresClient, openPostgres, type PostgresPool } from './index.ts'

let fresh: Fresh & { database: Database }
beforeAll(async () => {
  fresh = await freshDatabase('postgres')
  await fresh.database.query('CREATE TABLE t (id bigint PRIMARY KEY, body jsonb)')
})
beforeEach(() => fresh.database.query('TRUNCATE t'))
afterAll(() => fresh.drop())
const ids = async () => (await fresh.database.query('SELECT id FROM t ORDER BY id')).map(({ id }) => id)

/** No more than the shape that is asked for. Whoever hides a client's errors has to hear them. */
function bare(pool: Pool): PostgresPool {
  pool.on('connect', (client) => client.on('error', () => {}))
  pool.on('error', () => {})
  return {
    connect: async () => {
      const client = await pool.connect()
      return { query: (sql, params) => client.query(sql, params), release: (error) => client.release(error) }
    },
  }
}

describe('the order on the wire', () => {
  it('sends BEGIN with the first reads, and the last writes with COMMIT; a write waits for BEGIN to be answered', async () => {
    const pool = new Pool({ connectionString: fresh.url, pipeline: true })
    const client = await pool.connect()
    const log: string[] = []
    const query = client.query.bind(client) as (config: { text: string }) => Promise<unknown>
    const spied = Object.assign(Object.create(client) as PoolClient, {
      query: async (config: { text: string }) => {
        log.push(`> ${config.text}`)
        const result = await query(config)
        log.push(`< ${config.text}`)
        return result
      },
      release: () => {},
    })
    const database = await openPostgres({ connect: async () => spied })
    await database.transaction(async (tx) => {
      await Promise.all([tx.query('SELECT 1'), tx.query('SELECT 2')])
      void tx.query('INSERT INTO t VALUES (1)')
      void tx.query('INSERT INTO t VALUES (2)')
    })
    expect(log.slice(0, 3)).toEqual(['> BEGIN', '> SELECT 1', '> SELECT 2'])
    expect(log.slice(6)).toEqual(['> INSERT INTO t VALUES (1)', '> INSERT INTO t VALUES (2)', '> COMMIT', '< INSERT INTO t VALUES (1)', '< INSERT INTO t VALUES (2)', '< COMMIT'])
    log.length = 0
    await database.transaction(async (tx) => void tx.query('INSERT INTO t VALUES (3)'))
    expect(log).toEqual(['> BEGIN', '< BEGIN', '> INSERT INTO t VALUES (3)', '> COMMIT', '< INSERT INTO t VALUES (3)', '< COMMIT'])
    client.release()
    await pool.end()
  })
})

describe.each<[string, boolean, (pool: Pool) => PostgresPool]>([
  ['a pool of pg', false, (pool) => pool],
  ['a pipelining pool of pg', true, (pool) => pool],
  ['a pool of the bare shape', false, bare],
])('%s', (_, pipeline, shape) => {
  let pool: Pool
  let database: Database
  beforeEach(async () => {
    pool = new Pool({ connectionString: fresh.url, pipeline, max: 3 })
    database = await openPostgres(shape(pool))
  })
  afterEach(async () => {
    await database.close()
    await pool.end()
  })

  it('writes all of a transaction, or nothing, and pg has nothing to warn of', async () => {
    const warned = vi.spyOn(process, 'emitWarning')
    await database.transaction(async (tx) => {
      await tx.query('SELECT 1')
      for (const id of [1, 2, 3]) void tx.query('INSERT INTO t VALUES ($1)', [id])
    })
    const refused = database.transaction(async (tx) => {
      for (const id of [4, 1, 5]) void tx.query('INSERT INTO t VALUES ($1)', [id])
    })
    await expect(refused).rejects.toMatchObject({ code: '23505' })
    expect(await ids()).toEqual([1, 2, 3])
    // Such as of queries that it has to queue.
    expect(warned).not.toHaveBeenCalled()
    warned.mockRestore()
  })

  it('gives numbers and JSON text, and leaves the types of the application alone', async () => {
    await database.query('INSERT INTO t VALUES ($1, $2)', [2 ** 53 - 1, '{"a": [1]}'])
    const rows = await database.query('SELECT id, sum(id) AS s, count(*) AS n, body, 1.5::numeric AS f FROM t GROUP BY id, body')
    expect(rows).toEqual([{ id: 2 ** 53 - 1, s: 2 ** 53 - 1, n: 1, body: expect.any(String) as string, f: 1.5 }])
    expect(JSON.parse(rows[0]!['body'] as string)).toEqual({ a: [1] })
    await expect(database.query('SELECT 9007199254740993::bigint AS v')).rejects.toThrow(/beyond 2\^53/)
    expect((await pool.query('SELECT 1::bigint AS v')).rows).toEqual([{ v: '1' }])
    expect(types.getTypeParser(20)('1')).toBe('1')
  })

  it('is not ours to close', async () => {
    await database.close()
    expect((await pool.query('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
  })

  it('outlives its connections', async () => {
    const end = database.transaction(async (tx) => {
      const [row] = await tx.query('SELECT pg_backend_pid() AS pid')
      await fresh.database.query('SELECT pg_terminate_backend($1, 5000)', [row!['pid'] as number])
      await tx.query('SELECT 1')
    })
    await expect(end).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect.poll(() => database.query('SELECT 1 AS v').catch(() => [])).toEqual([{ v: 1 }])
  })
})

describe('an edge of a transaction that the server cancels', () => {
  const cancelled = Object.assign(new Error('canceling statement due to user request'), { code: '57014' })
  /** A pool of one connection, on which `edge` is cancelled. */
  const cancelling = async (edge: string) => {
    const pool = new Pool({ connectionString: fresh.url, max: 1, pipeline: true })
    const connect = async () => {
      const client = await pool.connect()
      const query = client.query.bind(client) as (config: { text: string }) => Promise<unknown>
      return Object.assign(Object.create(client) as PoolClient, { query: (config: { text: string }) => (config.text === edge ? Promise.reject(cancelled) : query(config)) })
    }
    return { pool, database: await openPostgres({ connect }) }
  }
  const add = (database: Database, id: number) =>
    database.transaction(async (tx) => {
      await tx.query('SELECT 1')
      void tx.query('INSERT INTO t VALUES ($1)', [id])
    })

  it('BEGIN: its writes are not done one by one', async () => {
    const { pool, database } = await cancelling('BEGIN')
    await expect(add(database, 1)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const blind = database.transaction(async (tx) => void tx.query('INSERT INTO t VALUES (2)'))
    await expect(blind).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await ids()).toEqual([])
    await pool.end()
  })

  it('ROLLBACK: its connection is not used again', async () => {
    const { pool, database } = await cancelling('ROLLBACK')
    const failed = database.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    await add(database, 2)
    expect(await ids()).toEqual([2])
    await pool.end()
  })
})

describe('prepared statements', () => {
  const repeat = async (database: Database, sql: string) => {
    for (let i = 0; i < 5; i++) await database.query(sql, [1])
    return await database.query(sql, [1])
  }
  const one = (options = {}) => openPostgres(fresh.url, { maxConnections: 1, ...options })
  const prepared = 'SELECT count(*) AS n FROM pg_prepared_statements'

  it('are made for what runs again', async () => {
    const database = await one()
    await database.query('SELECT $1::int AS once', [1])
    await repeat(database, 'SELECT $1::int AS v')
    expect(await database.query(prepared)).toEqual([{ n: 1 }])
    await database.close()
  })

  it('are not made when switched off', async () => {
    const database = await one({ prepare: false })
    await repeat(database, 'SELECT $1::int AS v')
    expect(await database.query(prepared)).toEqual([{ n: 0 }])
    await database.close()
  })

  it('survive a migration that changes what they give', async () => {
    const database = await one()
    await database.query('CREATE TABLE changing (a int)')
    await database.query('INSERT INTO changing VALUES (1)')
    await repeat(database, 'SELECT * FROM changing WHERE a = $1')
    await database.query('ALTER TABLE changing ADD COLUMN b int DEFAULT 2')
    expect(await repeat(database, 'SELECT * FROM changing WHERE a = $1')).toEqual([{ a: 1, b: 2 }])
    expect(await database.query(prepared)).toEqual([{ n: 1 }])
    await database.close()
  })

  it('are given up behind something that forgets them', async () => {
    const database = await one()
    await repeat(database, 'SELECT $1::int AS v')
    await database.query('DEALLOCATE ALL')
    await database.transaction(async (tx) => {
      expect(await tx.query('SELECT $1::int AS v', [1])).toEqual([{ v: 1 }])
    })
    await repeat(database, 'SELECT $1::int AS v')
    expect(await database.query(prepared)).toEqual([{ n: 0 }])
    await database.close()
  })
})

describe('fromPostgresClient', () => {
  it.each([
    ['of pg', (client: PoolClient) => client],
    ['of another library, which answers rows', (client: PoolClient) => ({ query: async (sql: string, params?: unknown[]) => (await client.query(sql, params)).rows as unknown })],
  ])('writes with the transaction of a client %s', async (_, shape) => {
    const pool = new Pool({ connectionString: fresh.url })
    const client = await pool.connect()
    const tx = fromPostgresClient(shape(client))
    for (const end of ['ROLLBACK', 'COMMIT']) {
      await client.query('BEGIN')
      const [, rows, locked] = await Promise.all([
        tx.query('INSERT INTO t VALUES ($1, $2)', [1, '{}']),
        tx.query('INSERT INTO t VALUES ($1), ($2) RETURNING id, body', [2, 2 ** 40]),
        tx.query('SELECT id, body FROM t WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE', [[1, 2]]),
      ])
      expect(rows).toEqual([{ id: 2, body: null }, { id: 2 ** 40, body: null }])
      expect(locked).toEqual([{ id: 1, body: '{}' }, { id: 2, body: null }])
      await client.query(end)
    }
    expect(await ids()).toEqual([1, 2, 2 ** 40])
    await expect(tx.query('INSERT INTO t VALUES (1)')).rejects.toMatchObject({ code: '23505' })
    client.release()
    await pool.end()
  })
})

describe('openPostgres', () => {
  it.each(['mysql://localhost/x', 'localhost', ''])('refuses the URL %j, and names the right form', async (url) => {
    await expect(openPostgres(url)).rejects.toMatchObject({ code: 'INVALID_DEFINITION', message: expect.stringContaining('postgres://') as string })
  })

  it('does not repeat a password', async () => {
    await expect(openPostgres('postgre://me:hunter2@localhost/x')).rejects.not.toThrow(/hunter2/)
  })

  it.each([{ maxConnections: 0 }, { timeoutMs: Number.NaN }, { connectTimeoutMs: 2 ** 31 }, { statementTimeoutMs: 1.5 }, { maxWaiting: -1 }])('refuses %j', async (options) => {
    await expect(openPostgres(fresh.url, options)).rejects.toMatchObject({ code: 'INVALID_DEFINITION', field: Object.keys(options)[0] })
  })

  it('refuses settings of connections that it does not make', async () => {
    const pool = new Pool({ connectionString: fresh.url })
    await expect(openPostgres(pool, { lockTimeoutMs: 5 })).rejects.toMatchObject({ code: 'INVALID_DEFINITION', field: 'lockTimeoutMs' })
    await pool.end()
  })

  it('takes no more parameters than the protocol', async () => {
    await expect(fresh.database.query('SELECT 1', Array.from({ length: 70_000 }, () => 1))).rejects.toThrow(/65535/)
  })
})
