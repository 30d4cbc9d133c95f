import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Fresh, freshSqlite } from '../../testing/databases.ts'
import type { Database } from '../sql/database.ts'
import { fromSqliteDatabase, openSqlite, type SqliteLike, type SqliteOptions } from './index.ts'

const UNAVAILABLE = { code: 'STORE_UNAVAILABLE', status: 503, retryAfterMs: 1000 }
const Libsql = createRequire(import.meta.url)('libsql') as new (path: string) => SqliteLike & { close(): void }

let fresh: Fresh
let database: Database
let opened: Database[]
beforeEach(async () => {
  opened = []
  fresh = freshSqlite()
  database = await open()
  await database.query('CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL)')
})
afterEach(async () => {
  await Promise.all(opened.map((each) => each.close()))
  await fresh.drop()
})

async function open(options?: SqliteOptions, url = fresh.url): Promise<Database> {
  const database = await openSqlite(url, options)
  opened.push(database)
  return database
}
const rows = () => database.query('SELECT id, n FROM t ORDER BY id')

/** A transaction that is under way until it is let go. */
async function holding(database: Database): Promise<{ letGo(): void; done: Promise<void> }> {
  let letGo!: () => void
  const held = new Promise<void>((resolve) => (letGo = resolve))
  let done!: Promise<void>
  await new Promise<void>((begun) => {
    done = database.transaction(
      async (tx) => {
        await tx.query('SELECT 1')
        begun()
        await held
      },
      { timeoutMs: 60_000 },
    )
  })
  return { letGo, done }
}

describe('opening', () => {
  it('takes a path, a relative path and URLs for the same file', async () => {
    await database.query('INSERT INTO t VALUES (1, 1)')
    for (const url of [pathToFileURL(fresh.url).href, `file:${relative('.', fresh.url)}`, relative('.', fresh.url)]) {
      expect(await (await open({}, url)).query('SELECT n FROM t')).toEqual([{ n: 1 }])
    }
  })

  it('takes a name that would mean something in SQL or a URL', async () => {
    const path = join(dirname(fresh.url), `it's 100%20 "ok" #1?.db`)
    await open({}, path)
    expect(existsSync(path)).toBe(true)
  })

  it('keeps a database in memory', async () => {
    const memory = await open({}, ':memory:')
    await memory.query('CREATE TABLE t (id integer)')
    expect(await memory.query('SELECT id FROM t')).toEqual([])
  })

  it.each(['', 'libsql://host', 'https://host/db', 'file:a.db?mode=ro'])('refuses %j', async (url) => {
    await expect(openSqlite(url)).rejects.toMatchObject({ code: 'INVALID_DEFINITION' })
  })

  it('says which folder is missing', async () => {
    await expect(openSqlite('/no/such/folder/x.db')).rejects.toMatchObject({ code: 'INVALID_DEFINITION', message: expect.stringContaining(`/no/such/folder/x.db' does not exist`) as string })
  })

  it('is unavailable when the file is something else', async () => {
    const folder = join(dirname(fresh.url), 'folder.db')
    mkdirSync(folder)
    await expect(openSqlite(folder)).rejects.toMatchObject({ ...UNAVAILABLE, message: expect.stringContaining('open') as string })
  })

  it.each([{ synchronous: 'OFF; DROP TABLE t' }, { cacheKb: 0 }, { timeoutMs: Number.NaN }, { maxWaiting: 0.5 }])('refuses %j', async (options) => {
    await expect(openSqlite(fresh.url, options as SqliteOptions)).rejects.toMatchObject({ code: 'INVALID_DEFINITION', field: Object.keys(options)[0] })
  })

  it('writes ahead, keeps foreign keys, and every commit through a loss of power', async () => {
    expect(await database.query('PRAGMA journal_mode')).toEqual([{ journal_mode: 'wal' }])
    expect(await database.query('PRAGMA synchronous')).toEqual([{ synchronous: 2 }])
    expect(await database.query('PRAGMA foreign_keys')).toEqual([{ foreign_keys: 1 }])
    expect(await (await open({ synchronous: 'NORMAL' })).query('PRAGMA synchronous')).toEqual([{ synchronous: 1 }])
  })
})

describe('turns', () => {
  it('come in the order of asking', async () => {
    const order: number[] = []
    await Promise.all(
      [1, 2, 3, 4].map((n) =>
        database.transaction(async (tx) => {
          await tx.query('SELECT 1')
          await tx.query('SELECT 2')
          order.push(n)
        }),
      ),
    )
    expect(order).toEqual([1, 2, 3, 4])
  })

  it('are refused when too many wait, and when they do not come in time', async () => {
    const own = await open({ timeoutMs: 200, maxWaiting: 2 })
    const { letGo, done } = await holding(own)
    const waiting = [own.query('SELECT 1'), own.transaction((tx) => tx.query('SELECT 1'))]
    await expect(own.query('SELECT 1')).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 })
    const reason: unknown = expect.objectContaining({ ...UNAVAILABLE, message: 'SQLite was busy with earlier transactions for 200 ms' })
    expect(await Promise.allSettled(waiting)).toEqual([{ status: 'rejected', reason }, { status: 'rejected', reason }])
    letGo()
    await done
    expect(await own.query('SELECT 1 AS v')).toEqual([{ v: 1 }])
  })
})

describe('another connection to the file', () => {
  it('is waited for', async () => {
    const other = await open()
    const { letGo, done } = await holding(other)
    const waiting = [database.query('INSERT INTO t VALUES (1, 1)'), database.transaction(async (tx) => void tx.query('INSERT INTO t VALUES (2, 2)'))]
    letGo()
    await Promise.all([done, ...waiting])
    expect(await rows()).toEqual([{ id: 1, n: 1 }, { id: 2, n: 2 }])
  })

  it('is waited for no longer than the deadline, and reads do not wait', async () => {
    const own = await open({ timeoutMs: 400 })
    const { letGo, done } = await holding(database)
    expect(await own.query('SELECT count(*) AS n FROM t')).toEqual([{ n: 0 }])
    await expect(own.query('INSERT INTO t VALUES (1, 1)')).rejects.toMatchObject({ ...UNAVAILABLE, cause: { code: 'SQLITE_BUSY' } })
    await expect(own.transaction((tx) => tx.query('INSERT INTO t VALUES (1, 1)'))).rejects.toMatchObject(UNAVAILABLE)
    letGo()
    await done
    await own.query('INSERT INTO t VALUES (1, 1)')
    expect(await rows()).toEqual([{ id: 1, n: 1 }])
  })

  it('of another process loses nothing, and nothing of ours is lost', async () => {
    await database.query('INSERT INTO t VALUES (1, 0)')
    const script = `
      const db = new (require('libsql'))(process.argv[1], { timeout: 20000 })
      process.stdout.write('ready')
      for (let i = 0; i < 200; i++) {
        db.exec('BEGIN IMMEDIATE')
        const { n } = db.prepare('SELECT n FROM t WHERE id = 1').get()
        db.prepare('UPDATE t SET n = ? WHERE id = 1').run(n + 1)
        db.exec('COMMIT')
      }`
    const child = spawn(process.execPath, ['-e', script, fresh.url], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    await once(child.stdout, 'data')
    for (let i = 0; i < 200; i++) {
      await database.transaction(async (tx) => {
        const [row] = await tx.query('SELECT n FROM t WHERE id = 1')
        void tx.query('UPDATE t SET n = $1 WHERE id = 1', [(row!['n'] as number) + 1])
      })
    }
    expect(await exited).toEqual([0, null])
    expect(await rows()).toEqual([{ id: 1, n: 400 }])
  })
})

describe('the process', () => {
  // The built package, as it is used.
  const start = (script: string) => spawn(process.execPath, ['--input-type=module', '-e', `import { openSqlite } from 'tollgate/sqlite'\n${script}`, fresh.url], { stdio: ['ignore', 'pipe', 'inherit'] })

  it('ends though a database is open, with everything written that was asked for', async () => {
    const child = start(`
      const database = await openSqlite(process.argv[1])
      void database.query('INSERT INTO t VALUES (1, 1)')
      void database.transaction(async (tx) => void tx.query('INSERT INTO t VALUES (2, 2)'))`)
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(await rows()).toEqual([{ id: 1, n: 1 }, { id: 2, n: 2 }])
  })

  it('goes on while a write waits', async () => {
    const { letGo, done } = await holding(database)
    const child = start(`
      const database = await openSqlite(process.argv[1])
      let ticks = 0
      const timer = setInterval(() => ++ticks === 20 && process.stdout.write('ticks'), 1)
      await database.query('INSERT INTO t VALUES (1, 1)')
      clearInterval(timer)
      await database.close()`)
    const exited = once(child, 'exit')
    // It says so while we hold the lock that it waits for.
    expect(String((await once(child.stdout, 'data'))[0])).toBe('ticks')
    letGo()
    await done
    expect(await exited).toEqual([0, null])
    expect(await rows()).toEqual([{ id: 1, n: 1 }])
  })
})

describe('fromSqliteDatabase', () => {
  let connection: InstanceType<typeof Libsql>
  let own: Database
  beforeEach(() => {
    connection = new Libsql(fresh.url)
    own = fromSqliteDatabase(connection)
  })
  afterEach(() => connection.close())

  it('writes all of a transaction, or nothing', async () => {
    await own.transaction(async (tx) => {
      await tx.query('SELECT 1')
      void tx.query('INSERT INTO t VALUES ($1, $2)', [1, 2 ** 40])
    })
    const refused = own.transaction(async (tx) => {
      void tx.query('INSERT INTO t VALUES (2, 2)')
      void tx.query('INSERT INTO t VALUES (1, 1)')
    })
    await expect(refused).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' })
    expect(await own.query('SELECT id, n FROM t')).toEqual([{ id: 1, n: 2 ** 40 }])
  })

  it('waits for others, its deadline at most, and is not closed', async () => {
    const { letGo, done } = await holding(database)
    const limited = fromSqliteDatabase(connection, { timeoutMs: 100 })
    await expect(limited.transaction((tx) => tx.query('INSERT INTO t VALUES (1, 1)'))).rejects.toMatchObject(UNAVAILABLE)
    const patient = own.query('INSERT INTO t VALUES (1, 1)')
    letGo()
    await Promise.all([done, patient])
    await own.close()
    expect(connection.prepare('SELECT n FROM t').all()).toEqual([{ n: 1 }])
  })
})
