import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DIALECTS, freshDatabase } from '../../testing/databases.ts'
import { migrate } from './migrate.ts'

describe.each(DIALECTS)('%s', (dialect) => {
  let fresh: Awaited<ReturnType<typeof freshDatabase>>
  beforeAll(async () => {
    fresh = await freshDatabase(dialect)
    await fresh.database.query('CREATE TABLE t (id bigint PRIMARY KEY, body text UNIQUE)')
  })
  afterAll(() => fresh.drop())

  it('writes all of a transaction', async () => {
    const { database } = fresh
    await database.transaction(async (tx) => {
      await tx.query('SELECT 1')
      void tx.query('INSERT INTO t VALUES ($1, $2)', [1, 'a'])
      void tx.query('INSERT INTO t VALUES ($1, $2)', [2, 'b'])
    })
    expect(await database.query('SELECT * FROM t ORDER BY id')).toEqual([{ id: 1, body: 'a' }, { id: 2, body: 'b' }])
  })

  it('writes nothing when an unawaited query is refused', async () => {
    const { database } = fresh
    await expect(
      database.transaction(async (tx) => {
        void tx.query('INSERT INTO t VALUES ($1, $2)', [3, 'c'])
        void tx.query('INSERT INTO t VALUES ($1, $2)', [4, 'c'])
      }),
    ).rejects.toThrow(/unique/i)
    expect(await database.query('SELECT * FROM t WHERE id > $1', [2])).toEqual([])
  })

  it('migrates', async () => {
    expect(await migrate(fresh.database)).toMatchObject({ applied: expect.any(Array) })
    expect(await migrate(fresh.database)).toMatchObject({ applied: [] })
  })
})
