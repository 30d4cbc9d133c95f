import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DIALECTS, freshDatabase } from '../../testing/databases.ts'
import type { Database, SqlValue } from './database.ts'

// What stores and the ledger may rely on, whichever the database.
describe.each(DIALECTS)('%s', (dialect) => {
  let fresh: Awaited<ReturnType<typeof freshDatabase>>
  let database: Database
  beforeAll(async () => {
    fresh = await freshDatabase(dialect)
    ;({ database } = fresh)
    await database.query('CREATE TABLE t (id bigint PRIMARY KEY, body text UNIQUE)')
    await database.query(`CREATE TABLE kinds (b bigint, i integer, d double precision, t text, y ${dialect === 'postgres' ? 'bytea' : 'blob'})`)
  })
  afterAll(() => fresh.drop())
  const bodies = async () => (await database.query('SELECT body FROM t ORDER BY id')).map(({ body }) => body)

  describe('values', () => {
    const cast = (type: string) => (dialect === 'postgres' ? `::${type}` : '')

    it('takes parameters in any order, and more than once', async () => {
      const sql = `SELECT $2${cast('text')} AS a, $1${cast('bigint')} AS b, $2${cast('text')} AS c, '$1' AS d -- $3`
      expect(await database.query(sql, [7, 'x'])).toEqual([{ a: 'x', b: 7, c: 'x', d: '$1' }])
    })

    it.each<[string, SqlValue]>([
      ['b', 0], ['b', -1], ['b', 2 ** 53 - 1], ['b', -(2 ** 53) + 1], ['b', 2 ** 40], ['i', 2 ** 31 - 1],
      ['d', 1.5], ['d', 1e-300], ['t', ''], ['t', `it's "$1"; -- ?`], ['t', 'é 漢 🙂'], ['t', '{"a":[1,2]}'],
      ['y', new Uint8Array([0, 1, 255])], ['y', new Uint8Array()], ['b', null], ['t', null], ['y', null],
    ])('gives back what went into column %s: %j', async (column, value) => {
      await database.query('DELETE FROM kinds')
      await database.query(`INSERT INTO kinds (${column}) VALUES ($1)`, [value])
      const [row] = await database.query(`SELECT ${column} AS v FROM kinds`)
      expect(row!['v'] instanceof Uint8Array ? new Uint8Array(row!['v']) : row!['v']).toEqual(value)
    })

    it('counts and sums in numbers', async () => {
      await database.query('DELETE FROM kinds')
      await database.query('INSERT INTO kinds (b) VALUES ($1), ($2)', [2 ** 52, 5])
      expect(await database.query('SELECT count(*) AS n, sum(b) AS s FROM kinds')).toEqual([{ n: 2, s: 2 ** 52 + 5 }])
    })

    it('divides integers as integers', async () => {
      expect(await database.query(`SELECT $1${cast('bigint')} / 2 AS v`, [5])).toEqual([{ v: 2 }])
    })

    it('refuses an integer that a number cannot hold, rather than change it', async () => {
      await expect(database.query('SELECT 9007199254740993 AS v')).rejects.toThrow(/beyond 2\^53/)
      expect(await database.query('SELECT 1 AS v')).toEqual([{ v: 1 }])
    })

    it.each([Number.NaN, Infinity, undefined, 1n, Symbol('s'), () => 1])('refuses %s as a parameter', async (value) => {
      await expect(database.query(`SELECT $1${cast('text')} AS v`, [value as unknown as SqlValue])).rejects.toThrow(TypeError)
    })

    it('takes lists', async () => {
      await database.query('DELETE FROM kinds')
      await database.query('INSERT INTO kinds (t, b) VALUES ($1, 1), ($2, 2), ($3, 3)', ['a"b', 'c,d', "e'"])
      const isOneOf = (column: string, type: string) => (dialect === 'postgres' ? `${column} = ANY($1::${type}[])` : `${column} IN (SELECT value FROM json_each($1))`)
      expect(await database.query(`SELECT b FROM kinds WHERE ${isOneOf('t', 'text')} ORDER BY b`, [['a"b', 'c,d', '\\']])).toEqual([{ b: 1 }, { b: 2 }])
      expect(await database.query(`SELECT b FROM kinds WHERE ${isOneOf('b', 'bigint')} ORDER BY b`, [[2, 3]])).toEqual([{ b: 2 }, { b: 3 }])
      expect(await database.query(`SELECT b FROM kinds WHERE ${isOneOf('b', 'bigint')}`, [[]])).toEqual([])
    })

    it('knows a boolean', async () => {
      await database.query('DELETE FROM kinds')
      await database.query('INSERT INTO kinds (b) VALUES (1)')
      expect(await database.query(`SELECT b FROM kinds WHERE (b = 1) = $1${cast('boolean')}`, [true])).toEqual([{ b: 1 }])
      expect(await database.query(`SELECT b FROM kinds WHERE (b = 1) = $1${cast('boolean')}`, [false])).toEqual([])
    })
  })

  describe('transactions', () => {
    it('writes all', async () => {
      await database.query('DELETE FROM t')
      const result = await database.transaction(async (tx) => {
        await tx.query('SELECT 1')
        void tx.query('INSERT INTO t VALUES ($1, $2)', [1, 'a'])
        void tx.query('INSERT INTO t VALUES ($1, $2)', [2, 'b'])
        return 'done'
      })
      expect(result).toBe('done')
      expect(await bodies()).toEqual(['a', 'b'])
    })

    it('answers each query with its own rows', async () => {
      const answers = await database.transaction((tx) => Promise.all([1, 2, 3].map((n) => tx.query(`SELECT ${n} AS n`))))
      expect(answers).toEqual([[{ n: 1 }], [{ n: 2 }], [{ n: 3 }]])
    })

    it('keeps the order of reads and writes that are not awaited', async () => {
      await database.query('DELETE FROM t')
      const seen = await database.transaction(async (tx) => {
        const before = tx.query('SELECT count(*) AS n FROM t')
        void tx.query(`INSERT INTO t VALUES (1, 'a')`)
        const between = tx.query('SELECT count(*) AS n FROM t')
        void tx.query('DELETE FROM t')
        const after = tx.query('SELECT count(*) AS n FROM t')
        return (await Promise.all([before, between, after])).map(([row]) => row!['n'])
      })
      expect(seen).toEqual([0, 1, 0])
    })

    it('gives rows of what it writes', async () => {
      await database.query('DELETE FROM t')
      const rows = await database.transaction((tx) => tx.query('INSERT INTO t VALUES ($1, $2), (2, NULL) RETURNING id, body', [1, 'a']))
      expect(rows).toEqual([{ id: 1, body: 'a' }, { id: 2, body: null }])
    })

    it('does nothing without a query', async () => {
      expect(await database.transaction(async () => 5)).toBe(5)
    })

    const expectNothing = async (refusing: () => Promise<unknown>, message: RegExp) => {
      await database.query('DELETE FROM t')
      await database.query(`INSERT INTO t VALUES (1, 'kept')`)
      await expect(refusing()).rejects.toThrow(message)
      expect(await bodies()).toEqual(['kept'])
      expect(await database.transaction((tx) => tx.query('SELECT 1 AS v'))).toEqual([{ v: 1 }])
    }

    it('writes nothing when work throws, with writes on their way', () =>
      expectNothing(
        () =>
          database.transaction(async (tx) => {
            await tx.query(`INSERT INTO t VALUES (2, 'b')`)
            void tx.query(`INSERT INTO t VALUES (3, 'c')`)
            throw new Error('changed my mind')
          }),
        /changed my mind/,
      ))

    it('writes nothing when the first query is refused', () =>
      expectNothing(
        () =>
          database.transaction(async (tx) => {
            void tx.query('SELECT nonsense FROM t')
            void tx.query(`INSERT INTO t VALUES (2, 'b')`)
          }),
        /nonsense/,
      ))

    it('writes nothing when an unawaited query is refused, and says what the first was', () =>
      expectNothing(
        () =>
          database.transaction(async (tx) => {
            void tx.query(`INSERT INTO t VALUES (2, 'b')`)
            void tx.query(`INSERT INTO t VALUES (3, 'kept')`)
            void tx.query(`INSERT INTO t VALUES (4, 'd')`)
          }),
        /unique/i,
      ))

    it('writes nothing when the last query before the commit is refused', () =>
      expectNothing(
        () =>
          database.transaction(async (tx) => {
            await tx.query(`INSERT INTO t VALUES (2, 'b')`)
            void tx.query(`INSERT INTO t VALUES (3, 'kept')`)
          }),
        /unique/i,
      ))

    it('writes nothing when a refusal is caught: half of it might be missing', () =>
      expectNothing(
        () =>
          database.transaction(async (tx) => {
            await tx.query(`INSERT INTO t VALUES (2, 'b')`)
            await tx.query(`INSERT INTO t VALUES (3, 'kept')`).catch(() => {})
            await tx.query('SELECT 1').catch(() => {})
          }),
        /unique/i,
      ))

    it('writes nothing when a value cannot be sent', () =>
      expectNothing(
        () =>
          database.transaction(async (tx) => {
            void tx.query(`INSERT INTO t VALUES (2, 'b')`)
            void tx.query('INSERT INTO t VALUES ($1, $2)', [3, Number.NaN])
          }),
        /not a value of SQL/,
      ))

    it('refuses queries after its end', async () => {
      await database.query('DELETE FROM t')
      const tx = await database.transaction(async (tx) => tx)
      await expect(tx.query(`INSERT INTO t VALUES (1, 'late')`)).rejects.toThrow(/over/)
      expect(await bodies()).toEqual([])
    })

    it('takes the values of the moment of asking', async () => {
      await database.query('DELETE FROM t')
      await database.transaction(async (tx) => {
        const values = [1, 'a']
        void tx.query('INSERT INTO t VALUES ($1, $2)', values)
        values[1] = 'changed'
      })
      expect(await bodies()).toEqual(['a'])
    })

    it('loses no update of many at once', async () => {
      await database.query('DELETE FROM t')
      await database.query(`INSERT INTO t VALUES (1, '0')`)
      const lock = dialect === 'postgres' ? ' FOR UPDATE' : ''
      await Promise.all(
        Array.from({ length: 50 }, () =>
          database.transaction(async (tx) => {
            const [row] = await tx.query(`SELECT body FROM t WHERE id = $1${lock}`, [1])
            void tx.query('UPDATE t SET body = $2 WHERE id = $1', [1, String(Number(row!['body']) + 1)])
          }),
        ),
      )
      expect(await bodies()).toEqual(['50'])
    })
  })

  it('ends a transaction that takes too long, and writes nothing of it', async () => {
    await database.query('DELETE FROM t')
    const never = database.transaction(
      async (tx) => {
        await tx.query(`INSERT INTO t VALUES (1, 'a')`)
        await new Promise(() => {})
      },
      { timeoutMs: 200 },
    )
    await expect(never).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterMs: 1000 })
    expect(await bodies()).toEqual([])
  })

  it('finishes what is under way before it closes, and refuses the rest', async () => {
    const { database, drop } = await freshDatabase(dialect)
    await database.query('CREATE TABLE t (id bigint)')
    const last = database.transaction(async (tx) => {
      await tx.query('INSERT INTO t VALUES (1)')
      return await tx.query('SELECT id FROM t')
    })
    const closing = database.close()
    await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(database.transaction(async () => 1)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await last).toEqual([{ id: 1 }])
    await closing
    await database.close()
    await drop()
  })
})
