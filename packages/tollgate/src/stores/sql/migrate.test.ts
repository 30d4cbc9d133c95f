import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DIALECTS, type Fresh, freshDatabase, freshPostgres, freshSqlite } from '../../testing/databases.ts'
import { openPostgres } from '../postgres/index.ts'
import { openSqlite } from '../sqlite/index.ts'
import type { Database } from './database.ts'
import { migrate, type Migration } from './migrate.ts'
import { migrations as current } from './migrations.generated.ts'
import { tableNames } from './tables.ts'

const migration = (version: number, name: string, sql: string): Migration => ({ version, name: `000${version}_${name}`, checksum: createHash('sha256').update(sql).digest('hex'), sql })
const FIRST = migration(1, 'first', 'CREATE TABLE {{things}} (id bigint);\nCREATE INDEX {{index:things_id}} ON {{things}} (id);\n')
const SECOND = migration(2, 'second', `INSERT INTO {{things}} VALUES (1);\nINSERT INTO {{things}} VALUES (2);`)
const BROKEN = migration(2, 'broken', `INSERT INTO {{things}} VALUES (1);\nINSERT INTO {{missing}} VALUES (1);`)

describe.each(DIALECTS)('%s', (dialect) => {
  let fresh: Fresh & { database: Database }
  let database: Database
  beforeEach(async () => {
    fresh = await freshDatabase(dialect)
    ;({ database } = fresh)
  })
  afterEach(() => fresh.drop())
  const things = () => database.query(`SELECT id FROM ${tableNames(dialect)('things')} ORDER BY id`)

  it('migrates an empty database to this version, once', async () => {
    const names = current[dialect].map(({ name }) => name)
    expect(await migrate(database)).toEqual({ version: names.length, applied: names })
    expect(await migrate(database)).toEqual({ version: names.length, applied: [] })
  })

  it('works with no migrations at all', async () => {
    expect(await migrate(database, { migrations: [] })).toEqual({ version: 0, applied: [] })
  })

  it('applies what is new, in order', async () => {
    expect(await migrate(database, { migrations: [FIRST] })).toEqual({ version: 1, applied: ['0001_first'] })
    expect(await migrate(database, { migrations: [FIRST, SECOND] })).toEqual({ version: 2, applied: ['0002_second'] })
    expect(await things()).toEqual([{ id: 1 }, { id: 2 }])
    const recorded = await database.query(`SELECT version, name, checksum FROM ${tableNames(dialect)('migrations')} ORDER BY version`)
    expect(recorded).toEqual([FIRST, SECOND].map(({ version, name, checksum }) => ({ version, name, checksum })))
  })

  it('keeps what came before one that fails, and nothing of it', async () => {
    await expect(migrate(database, { migrations: [FIRST, BROKEN] })).rejects.toThrow(/^migration 0002_broken: .*missing/)
    expect(await things()).toEqual([])
    expect(await migrate(database, { migrations: [FIRST, SECOND] })).toEqual({ version: 2, applied: ['0002_second'] })
  })

  it('refuses a database of a newer version', async () => {
    await migrate(database, { migrations: [FIRST, SECOND] })
    await expect(migrate(database, { migrations: [FIRST] })).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      status: 503,
      message: expect.stringMatching(/is at version 2 \(0002_second\), and this version of Tollgate knows 1; use/) as string,
      details: { database: 2, known: 1 },
    })
  })

  it.each<[string, Migration]>([
    ['changed', { ...FIRST, checksum: 'other' }],
    ['renamed', { ...FIRST, name: '0001_other' }],
  ])('refuses a migration that was %s after it was applied', async (_, changed) => {
    await migrate(database, { migrations: [FIRST] })
    await expect(migrate(database, { migrations: [changed, SECOND] })).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH', details: { migration: '0001_first' } })
    await expect(things()).resolves.toEqual([])
  })

  it('keeps tables of several prefixes apart', async () => {
    await migrate(database, { migrations: [FIRST], tablePrefix: 'a_' })
    await migrate(database, { migrations: [FIRST, SECOND], tablePrefix: 'b_' })
    expect(await database.query(`SELECT id FROM ${tableNames(dialect, { tablePrefix: 'a_' })('things')}`)).toEqual([])
    expect(await database.query(`SELECT id FROM ${tableNames(dialect, { tablePrefix: 'b_' })('things')}`)).toHaveLength(2)
  })

  it.each([{ schema: 'a"; DROP SCHEMA public; --' }, { tablePrefix: 'a b' }])('refuses %j', async (names) => {
    await expect(migrate(database, names)).rejects.toMatchObject({ code: 'INVALID_DEFINITION' })
  })
})

describe.each([
  ['sqlite', () => freshSqlite(), openSqlite],
  ['postgres', freshPostgres, openPostgres],
] as const)('%s, ten at once', (dialect, makeFresh, open) => {
  it('migrates once', async () => {
    const { url, drop } = await makeFresh()
    const databases = await Promise.all(Array.from({ length: 10 }, () => open(url)))
    const results = await Promise.all(databases.map((database) => migrate(database, { migrations: [FIRST, SECOND] })))
    expect(results.flatMap(({ applied }) => applied).toSorted()).toEqual(['0001_first', '0002_second'])
    expect(await databases[0]!.query(`SELECT id FROM ${tableNames(dialect)('things')} ORDER BY id`)).toEqual([{ id: 1 }, { id: 2 }])
    await Promise.all(databases.map((database) => database.close()))
    await drop()
  })
})

describe('postgres', () => {
  it('gives a migration time to work, and little to wait for a table that is in use', async () => {
    const { database, drop } = await freshDatabase('postgres')
    const settings = migration(1, 'settings', `CREATE TABLE {{settings}} AS SELECT current_setting('statement_timeout') AS work, current_setting('lock_timeout') AS wait`)
    await migrate(database, { migrations: [settings], timeoutMs: 60_000 })
    expect(await database.query(`SELECT work, wait FROM ${tableNames('postgres')('settings')}`)).toEqual([{ work: '1min', wait: '5s' }])
    await drop()
  })

  it('lets a role that may not create use what another has migrated', async () => {
    const { url, drop } = await freshPostgres()
    const owner = await openPostgres(url)
    await migrate(owner, { migrations: [FIRST] })
    const role = `reader_${new URL(url).pathname.slice(-8)}`
    await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA tollgate TO ${role}; GRANT SELECT ON ALL TABLES IN SCHEMA tollgate TO ${role}`)
    const reader = await openPostgres(Object.assign(new URL(url), { username: role, password: 'secret' }).href)
    expect(await migrate(reader, { migrations: [FIRST] })).toEqual({ version: 1, applied: [] })
    await reader.close()
    await owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    await owner.close()
    await drop()
  })
})
