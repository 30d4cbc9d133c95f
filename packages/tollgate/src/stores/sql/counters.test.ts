import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CellKind, type Charge } from '../../decide/charge.ts'
import { concurrency, createTollgate, definePlans, duplicates, quota as quotaOf, slidingWindow, type Tollgate } from '../../index.ts'
import { chargeOf } from '../../testing/charges.ts'
import { storeConformance } from '../../testing/conformance/index.ts'
import { DIALECTS, type Fresh, freshPostgres, freshSqlite } from '../../testing/databases.ts'
import { differential } from '../../testing/differential/index.ts'
import { StoreDriver } from '../../testing/driver.ts'
import { openPostgres } from '../postgres/index.ts'
import { openSqlite } from '../sqlite/index.ts'
import { SqlCounterStore, type SqlCounterStoreOptions } from './counters.ts'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { unavailable } from './unavailable.ts'

const RUNS = process.env.TOLLGATE_LONG ? 1000 : 100

const quota = (max: number): Charge => chargeOf({ cell: 'set/quota', kind: CellKind.quota, max, startAt: 0, endAt: 4e12 })
const log = (max: number): Charge => chargeOf({ cell: 'set/log', kind: CellKind.slidingLog, max, windowMs: 3_600_000 })
const world = (partition: string): Charge => chargeOf({ cell: 'set/world', kind: CellKind.cooldown, max: 1, windowMs: 3_600_000, partition })
const parallel = (max: number): Charge => chargeOf({ cell: 'set/parallel', kind: CellKind.concurrency, max })

const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0)

describe.each(DIALECTS)('%s', (dialect) => {
  let fresh: Fresh
  let database: Database
  const opened: Database[] = []
  let subjects = 0
  const newSubject = (): string => `user:${++subjects}`

  /** What makes each commit durable costs most of the time of a test. */
  async function open(): Promise<Database> {
    const another = dialect === 'postgres' ? await openPostgres(fresh.url) : await openSqlite(fresh.url, { synchronous: 'NORMAL' })
    opened.push(another)
    return another
  }

  const driverOf = (db: Database, options: SqlCounterStoreOptions = {}): StoreDriver => new StoreDriver(new SqlCounterStore(db, options), { now: () => 0, after: () => () => {} })

  beforeAll(async () => {
    fresh = dialect === 'postgres' ? await freshPostgres() : freshSqlite()
    database = await open()
    await migrate(database)
  })
  afterAll(async () => {
    for (const each of opened) await each.close()
    await fresh.drop()
  })

  storeConformance(dialect, (clock) => new SqlCounterStore(database, { clock }), { describe, it })

  it(`agrees with the reference on ${RUNS} random histories`, { timeout: 600_000 }, () => differential((clock) => new SqlCounterStore(database, { clock }), { runs: RUNS }))

  describe('several stores, each with connections of its own', () => {
    const STORES = 4
    const CONSUMERS = 25
    let drivers: StoreDriver[]
    beforeAll(async () => {
      drivers = []
      for (let i = 0; i < STORES; i++) drivers.push(driverOf(await open()))
    })
    const everywhere = async <T>(ask: (driver: StoreDriver) => Promise<T>): Promise<T[]> => {
      const callers = drivers.flatMap((driver) => Array.from({ length: CONSUMERS }, () => driver))
      return Promise.all(callers.map(ask))
    }

    it.each([1, 10, 166])('admit exactly %i of a new subject', async (limit) => {
      const subject = newSubject()
      const outcomes = await everywhere(async (driver) => {
        let admitted = 0
        for (let i = 0; i < 3; i++) if ((await driver.consume(subject, quota(limit), log(limit + 5), world(String(Math.random())))).admitted) admitted++
        return admitted
      })
      expect(sumOf(outcomes)).toBe(limit)
      expect((await drivers[0]!.check(subject, quota(limit), log(limit + 5))).verdicts.map(({ used }) => used)).toEqual([limit, limit])
    })

    it('admit a world once', async () => {
      const subject = newSubject()
      const outcomes = await everywhere((driver) => driver.consume(subject, world('w1')))
      expect(outcomes.filter(({ admitted }) => admitted)).toHaveLength(1)
    })

    it('hold, commit and release, and the sum is right', async () => {
      const subject = newSubject()
      const committed = await everywhere(async (driver) => {
        const { admitted, id } = await driver.reserve(subject, 60_000, quota(1000), parallel(40))
        if (!admitted) return 0
        const other = drivers[Math.floor(Math.random() * STORES)]!
        const isCommitted = Math.random() < 0.5
        const settled = await other.settle(isCommitted ? 'commit' : 'release', id, { amounts: { requests: 3 } })
        expect(settled.result).toBe('settled')
        return isCommitted ? 3 : 0
      })
      const { verdicts } = await drivers[0]!.check(subject, quota(1000), parallel(40))
      expect(verdicts.map(({ used }) => used)).toEqual([sumOf(committed), 0])
    })

    it('settle a reservation once', async () => {
      const subject = newSubject()
      const { id } = await drivers[0]!.reserve(subject, 60_000, quota(10))
      const outcomes = await everywhere((driver) => driver.settle(Math.random() < 0.5 ? 'commit' : 'release', id))
      expect(outcomes.filter(({ result }) => result === 'settled')).toHaveLength(1)
      expect(outcomes.filter(({ result }) => result === 'settled-before')).toHaveLength(STORES * CONSUMERS - 1)
    })

    it('learn anchors from one another, and bring none back that another has erased', async () => {
      const subject = newSubject()
      const anchor = (startAt: number): Charge => chargeOf({ cell: '@anchor', kind: CellKind.anchor, amount: 0, startAt })
      const [here, there] = drivers as [StoreDriver, StoreDriver]
      await here.consume(subject, anchor(1000))
      expect((await there.consume(subject, anchor(2000))).stale).toEqual({ anchorAt: 1000 })
      expect(there.store.knownAnchor(subject)).toBe(1000)
      await there.erase(subject)
      expect(here.store.knownAnchor(subject)).toBe(1000)
      const { stale, at } = await here.consume(subject, anchor(1000))
      expect(stale).toEqual({ anchorAt: at })
      expect((await here.consume(subject, anchor(at))).admitted).toBe(true)
      expect(here.store.knownAnchor(subject)).toBe(at)
      expect(await drivers[2]!.store.lastPlan(subject)).toBe('plan')
      expect(drivers[2]!.store.knownAnchor(subject)).toBe(at)
    })
  })

  it('keeps no row that names an erased subject', async () => {
    const driver = driverOf(database)
    const [subject, other] = [newSubject(), newSubject()]
    const rowsOf = async (whose: string) => {
      const found = await Promise.all(['counters', 'reservations'].map((name) => database.query(`SELECT count(*) AS n FROM ${dialect === 'postgres' ? 'tollgate.' : ''}${name} WHERE subject = $1`, [whose])))
      return found.map(([row]) => row!['n'])
    }
    for (const whose of [subject, other]) {
      const ids = await Promise.all(Array.from({ length: 3 }, async () => (await driver.reserve(whose, 60_000, quota(9))).id))
      await driver.settle('commit', ids[0]!)
      await driver.settle('release', ids[1]!)
    }
    await driver.erase(subject)
    expect([await rowsOf(subject), await rowsOf(other)]).toEqual([[0, 0], [1, 3]])
  })

  describe('what one row says', () => {
    const damage = (subject: string, body: string) => database.query(`UPDATE ${dialect === 'postgres' ? 'tollgate.' : ''}counters SET body = $1 WHERE subject = $2`, [body, subject])

    it.each([
      ['is damaged', 'not JSON', /the record of subject .+ is damaged: it is not JSON/],
      ['was written by a newer version', '{"v":2}', /was written by a newer version of Tollgate \(format 2, this one reads 1\); upgrade this process/],
    ])('fails one command of a batch when it %s', async (_, body, message) => {
      const driver = driverOf(database)
      const [poisoned, ...others] = Array.from({ length: 10 }, newSubject) as [string, ...string[]]
      for (const subject of [poisoned, ...others]) await driver.consume(subject, quota(5))
      await damage(poisoned, body)
      const answers = await Promise.allSettled([poisoned, ...others, poisoned].map((subject) => driver.consume(subject, quota(5))))
      expect(answers.map(({ status }) => status)).toEqual(['rejected', ...others.map(() => 'fulfilled'), 'rejected'])
      await expect(driver.consume(poisoned, quota(5))).rejects.toThrow(message)
      for (const subject of others) expect((await driver.check(subject, quota(5))).verdicts[0]!.used).toBe(2)
      await driver.erase(poisoned)
      expect((await driver.consume(poisoned, quota(5))).admitted).toBe(true)
    })

    it('names nobody in another way', async () => {
      const driver = driverOf(database)
      const names = ['\0', '\ud800', '\ufffd', '\\u0000', '"', "'; DROP TABLE counters; --", 'ж'.repeat(3000), 'ж'.repeat(3001)].map((name) => newSubject() + name)
      for (const name of names) {
        const { admitted, id } = await driver.reserve(name, 60_000, quota(1), { ...world(name), max: 1 })
        expect(admitted).toBe(true)
        expect(await driver.settle('commit', id)).toMatchObject({ result: 'settled', reservation: { subject: name } })
      }
      for (const name of names) expect((await driver.check(name, quota(1), world(name))).verdicts.map(({ used }) => used)).toEqual([1, 1])
    })
  })

  describe('a batch', () => {
    /** Counts what travels; `after` may lose the answer to a commit. */
    const watched = (after = (): void => {}) => {
      const seen = { queries: 0, transactions: [] as number[] }
      const spy: Database = {
        dialect,
        query: (sql, params) => {
          seen.queries++
          return database.query(sql, params)
        },
        async transaction(work) {
          let statements = 0
          const value = await database.transaction((tx) =>
            work({
              query: (sql, params) => {
                statements++
                return tx.query(sql, params)
              },
            }),
          )
          seen.transactions.push(statements)
          after()
          return value
        },
        close: () => database.close(),
      }
      return { seen, driver: driverOf(spy) }
    }
    // SQLite's transaction is its lock.
    const lock = dialect === 'postgres' ? 1 : 0

    it('locks, loads, and writes each table with one statement, for one or a hundred', async () => {
      const { seen, driver } = watched()
      const some = Array.from({ length: 100 }, newSubject)
      await driver.consume(some[0]!, quota(9), world('w'))
      const reserved = await Promise.all(some.map((subject) => driver.reserve(subject, 60_000, quota(9), log(9))))
      await Promise.all(reserved.map(({ id }) => driver.settle('commit', id)))
      // After so many rows it also deletes what is over, of each table.
      expect(seen).toEqual({ queries: 0, transactions: [lock + 1 + 1, lock + 1 + 2 + 2, lock + 1 + 2 + 2] })
    })

    it('that only reads is one statement without a transaction; a denial writes none', async () => {
      const { seen, driver } = watched()
      const subject = newSubject()
      await Promise.all([driver.check(subject, quota(9)), driver.check(newSubject(), log(9)), driver.usage(subject, [world('')], true), driver.store.lastPlan(subject)])
      expect(seen).toEqual({ queries: 1, transactions: [] })
      await driver.consume(subject, quota(0))
      expect(seen.transactions).toEqual([lock + 1])
    })

    it('whose answer was lost is settled once, however often it is asked for again', async () => {
      let losses = 0
      const { driver } = watched(() => {
        if (losses-- > 0) throw unavailable('the answer to the commit was lost')
      })
      const subject = newSubject()
      const { id } = await driver.reserve(subject, 60_000, quota(10))
      losses = 1
      await expect(driver.settle('commit', id, { amounts: { requests: 4 } })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect(await driver.settle('commit', id, { amounts: { requests: 4 } })).toMatchObject({ result: 'settled-before', reservation: { status: 'committed' } })
      losses = 1
      await expect(driver.consume(subject, quota(10))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect((await driver.check(subject, quota(10))).verdicts[0]!.used).toBe(5)
    })
  })

  it('deletes what is over as it writes, and nothing else', async () => {
    let now = 1_800_000_000_000
    const options = { tablePrefix: 'tidy_', clock: { now: () => now } }
    await migrate(database, options)
    const driver = driverOf(database, options)
    const count = async (table: string) => (await database.query(`SELECT count(*) AS n FROM ${dialect === 'postgres' ? 'tollgate.' : ''}tidy_${table}`))[0]!['n'] as number
    const brief = (n: number): Charge => chargeOf({ cell: 'set/brief', kind: CellKind.cooldown, max: 1, windowMs: 1000, partition: `w${n}` })
    const hour = chargeOf({ cell: 'set/hour', kind: CellKind.quota, max: 1e9, startAt: 0, endAt: 4e12 })
    for (let i = 0; i < 300; i += 50) await Promise.all(Array.from({ length: 50 }, (_, k) => driver.reserve(`u${k}`, 1000, brief(i + k), hour)))
    expect([await count('counters'), await count('reservations')]).toEqual([350, 300])
    now += 2 * 86_400_000
    // Each batch writes 50 records; what is over goes twice as fast.
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 50 }, (_, k) => driver.consume(`u${k}`, hour)))
    expect([await count('counters'), await count('reservations')]).toEqual([50, 0])
    expect((await driver.check('u1', hour)).verdicts[0]!.used).toBe(10)
  })

  it('serves engines of several processes', async () => {
    const plans = definePlans({
      free: {
        rank: 0,
        limits: {
          tokens: quotaOf({ limit: 1000, every: 'month', meter: 'tokens', anchor: 'subject' }),
          spam: duplicates({ limit: 2, window: '1h', per: ['world'] }),
          flood: slidingWindow({ limit: 5, window: '1h', exact: true }),
          jobs: concurrency({ limit: 1 }),
        },
      },
    })
    const [here, there, reader] = [await open(), await open(), await open()].map((db) => createTollgate({ plans, store: new SqlCounterStore(db, { ownsDatabase: true }), defaultPlan: 'free', secret: 'x'.repeat(32) })) as [Tollgate, Tollgate, Tollgate]
    const request = { subject: newSubject(), dimensions: { world: 'w1' }, content: 'hello', amounts: { tokens: 100 } }
    const first = await here.reserve(request)
    expect((await there.check(request)).violations.map(({ limit }) => limit)).toEqual(['jobs'])
    await there.commit(first.reservation!.id, { amounts: { tokens: 40 } })
    expect((await there.consume(request)).allowed).toBe(true)
    expect((await here.consume(request)).violations.map(({ limit }) => limit)).toEqual(['spam'])
    for (const each of [here, there, reader]) {
      const { limits } = await each.usage(request.subject)
      expect(limits.map(({ limit, used }) => [limit, used])).toEqual([['tokens', 140], ['spam', 2], ['flood', 2], ['jobs', 0]])
    }
    for (const each of [here, there, reader]) await each.close()
  })

  it('goes by the database\'s clock', async () => {
    const before = Date.now()
    const { at } = await driverOf(database).consume(newSubject(), quota(1))
    // Both are this machine's.
    expect(at).toBeGreaterThanOrEqual(before - 1)
    expect(at).toBeLessThanOrEqual(Date.now() + 1)
  })

  it('closes when what is under way has ended, and the database only when it is its own', async () => {
    const another = await open()
    const store = new SqlCounterStore(another)
    const driver = driverOf(another)
    const outcome = driver.consume(newSubject(), quota(1))
    await driver.store.close()
    expect((await outcome).admitted).toBe(true)
    await store.close()
    await another.query('SELECT 1')
    await new SqlCounterStore(another, { ownsDatabase: true }).close()
    await expect(another.query('SELECT 1')).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
