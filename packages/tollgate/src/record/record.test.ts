import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { capacity, cooldown, createTollgate, definePlans, duplicates, MemoryStore, quota, slidingWindow, type CounterStore, type Tollgate } from '../index.ts'
import { RedisStore } from '../stores/redis/index.ts'
import type { Database } from '../stores/sql/database.ts'
import { SqlCounterStore } from '../stores/sql/index.ts'
import { type ControlledClock, controlledClock } from '../testing/clock.ts'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { redisUrl, uniquePrefix } from '../testing/redis-servers.ts'
import { SqlRecord } from './sql.ts'

const DAY_MS = 86_400_000
const plans = definePlans({
  free: {
    rank: 0,
    limits: {
      daily: quota({ limit: 50, every: 'day', match: { operation: ['chat'] } }),
      monthly: quota({ limit: 1000, every: 'month', meter: 'tokens', anchor: 'subject' }),
      perWorld: quota({ limit: 30, every: 'week', per: ['world'], match: { operation: ['visit'] } }),
      flood: slidingWindow({ limit: 1000, window: '1m' }),
      spam: duplicates({ limit: 3, window: '1h' }),
      premium: slidingWindow({ limit: 1000, window: '1m', match: { model: ['a'] } }),
    },
  },
  plus: { rank: 1, limits: { daily: quota({ limit: 500, every: 'day', match: { operation: ['chat'] } }), slots: capacity({ limit: 2, match: { operation: ['open'] } }) } },
  hasty: { rank: 2, limits: { wait: cooldown({ wait: '5s' }) } },
})
const operations = { chat: {}, visit: {}, open: {} } as const

describe.each(DIALECTS)('the record in %s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let database: Database
  let redis: Redis
  let clock: ControlledClock
  let serial = 0
  let namespace = ''
  beforeAll(async () => {
    opened = await openedBy(2, dialect)
    database = opened.databases[0]!
    redis = new Redis(await redisUrl())
  })
  afterAll(async () => {
    await redis.quit()
    await opened.drop()
  })
  beforeEach(() => {
    clock = controlledClock(Date.UTC(2026, 5, 10, 12))
    namespace = `n${serial++}`
  })

  const table = (name: string): string => (dialect === 'postgres' ? `tollgate.${name}` : name)
  const rows = (sql: string, params: (string | number)[] = []) => database.query(sql, params)
  const engine = (store: CounterStore = new MemoryStore(), on = database) => createTollgate({ plans, operations, store, clock, namespace, defaultPlan: 'free', secret: 'a secret of sixteen bytes', storeTimeoutMs: 10_000, record: new SqlRecord(on, { namespace }) })
  const events = async (subject: string) =>
    (await rows(`SELECT e.* FROM ${table('usage_events')} e JOIN ${table('usage_subjects')} s ON s.id = e.subject_id WHERE s.namespace = $1 AND s.subject = $2 ORDER BY e.seq`, [namespace, subject])).map(({ body, ...row }) => ({ ...row, ...(JSON.parse(body as string) as object) })) as Record<string, unknown>[]
  const totals = async (subject: string) =>
    (await rows(`SELECT t.lim, t.partition, t.start_at, t.used FROM ${table('usage_totals')} t JOIN ${table('usage_subjects')} s ON s.id = t.subject_id WHERE s.namespace = $1 AND s.subject = $2 ORDER BY t.lim, t.partition, t.start_at`, [namespace, subject])).map(({ lim, partition, used }) => [lim, JSON.parse(partition as string), used])
  const summary = () => rows(`SELECT day, plan, lim, operation, model, meter, amount FROM ${table('usage_summary')} WHERE namespace = $1 ORDER BY day, plan, lim, operation, model, meter`, [namespace])
  const used = async (tollgate: Tollgate, subject: string, limit: string) => (await tollgate.usage(subject)).limits.find((state) => state.limit === limit)?.used
  const chat = (tollgate: Tollgate, subject: string, tokens = 0) => tollgate.consume({ subject, operation: 'chat', amounts: { tokens } })

  describe('events', () => {
    it('tell what happened, in order, and never content', async () => {
      const tollgate = engine()
      await tollgate.setPlan('u', 'free')
      await tollgate.consume({ subject: 'u', operation: 'chat', content: 'very private', dimensions: { world: 'w', model: 'm' }, amounts: { tokens: 5 } })
      const held = await tollgate.reserve({ subject: 'u', operation: 'chat', amounts: { tokens: 100 } })
      await tollgate.commit(held.reservation!.id, { amounts: { tokens: 130 } })
      const freed = await tollgate.reserve({ subject: 'u', operation: 'visit', dimensions: { world: 'w' } })
      await tollgate.release(freed.reservation!.id)
      expect((await tollgate.consume({ subject: 'u', operation: 'chat', content: 'very private', amounts: { tokens: 5000 } })).allowed).toBe(false)
      await tollgate.reset('u', { limit: 'daily' })
      await tollgate.setPlan('u', 'plus')
      await tollgate.flush()
      const found = await events('u')
      expect(found.map(({ kind }) => kind)).toEqual(['plan', 'consume', 'reserve', 'commit', 'reserve', 'release', 'denial', 'reset', 'plan'])
      expect(found.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
      expect(found[1]).toMatchObject({ at: clock.now(), plan: 'free', operation: 'chat', model: 'm', dimensions: { world: 'w', model: 'm' }, amounts: { tokens: 5 }, mode: 'enforce', anchorAt: clock.now(), uses: [{ limit: 'daily', amount: 1, max: 50 }, { limit: 'monthly', amount: 5 }] })
      expect(found[1]!['digest']).toMatch(/^[\w-]{16,}$/)
      expect(found[3]).toMatchObject({ reservation: held.reservation!.id, operation: 'chat', amounts: { tokens: 130 }, uses: [{ limit: 'daily', amount: 1 }, { limit: 'monthly', amount: 130 }] })
      expect(found[6]).toMatchObject({ violations: [{ limit: 'monthly', kind: 'quota', code: 'QUOTA_EXCEEDED' }], count: 1 })
      expect(found[8]).toMatchObject({ plan: 'plus', fromPlan: 'free' })
      expect(new Set(found.slice(0, 8).map(({ planVersion }) => planVersion)).size).toBe(1)
      expect(found[8]!['planVersion']).not.toBe(found[0]!['planVersion'])
      expect(JSON.stringify(found)).not.toContain('private')
      await tollgate.close()
    })

    it('tell of holds that ended by themselves', async () => {
      const tollgate = engine()
      const { reservation } = await tollgate.reserve({ subject: 'u', operation: 'chat', ttlMs: 5000 })
      clock.advance(7000)
      await tollgate.flush()
      const found = await events('u')
      expect(found.map(({ kind, at }) => [kind, (at as number) - clock.now()])).toEqual([['reserve', -7000], ['expire', -2000]])
      expect(found[1]).toMatchObject({ reservation: reservation!.id, uses: [] })
      expect(await totals('u')).toEqual([])
      await tollgate.close()
    })

    it('go together where a subject is denied more than ten times a second', async () => {
      const tollgate = engine()
      await tollgate.setPlan('u', 'hasty')
      for (let i = 0; i < 51; i++) await tollgate.consume({ subject: 'u', operation: 'chat' })
      await tollgate.flush()
      const denials = (await events('u')).filter(({ kind }) => kind === 'denial')
      expect(denials).toHaveLength(10)
      expect(denials.reduce((sum, { count }) => sum + (count as number), 0)).toBe(50)
      expect(await rows(`SELECT lim, amount FROM ${table('denial_summary')} WHERE namespace = $1 ORDER BY lim`, [namespace])).toEqual([{ lim: '', amount: 50 }, { lim: 'wait', amount: 50 }])
      await tollgate.close()
    })

    it('are written after 100 ms, with nobody asking', async () => {
      const tollgate = engine()
      await chat(tollgate, 'u')
      expect(await events('u')).toEqual([])
      clock.advance(100)
      await expect.poll(() => events('u').then((found) => found.length), { timeout: 20_000 }).toBe(1)
      await tollgate.close()
    })
  })

  describe('sums', () => {
    it('are counted once a day, a plan, a limit, an operation and a model', async () => {
      const tollgate = engine()
      for (const model of ['a', 'a', 'b']) await tollgate.consume({ subject: 'u', operation: 'chat', dimensions: { model }, amounts: { tokens: 7 } })
      await chat(tollgate, 'v', 1)
      clock.advanceTo(Date.UTC(2026, 5, 11))
      await chat(tollgate, 'u', 2)
      await tollgate.flush()
      const key = { plan: 'free', operation: 'chat' }
      expect(await summary()).toEqual(
        [
          ['2026-06-10', '', '', 'requests', 1], ['2026-06-10', '', '', 'tokens', 1], ['2026-06-10', '', 'a', 'requests', 2], ['2026-06-10', '', 'a', 'tokens', 14], ['2026-06-10', '', 'b', 'requests', 1], ['2026-06-10', '', 'b', 'tokens', 7],
          ['2026-06-10', 'daily', '', '', 1], ['2026-06-10', 'daily', 'a', '', 2], ['2026-06-10', 'daily', 'b', '', 1], ['2026-06-10', 'monthly', '', '', 1], ['2026-06-10', 'monthly', 'a', '', 14], ['2026-06-10', 'monthly', 'b', '', 7],
          ['2026-06-11', '', '', 'requests', 1], ['2026-06-11', '', '', 'tokens', 2], ['2026-06-11', 'daily', '', '', 1], ['2026-06-11', 'monthly', '', '', 2],
        ].map(([day, lim, model, meter, amount]) => ({ day, ...key, lim, model, meter, amount })),
      )
      expect(await rows(`SELECT span, plan, amount FROM ${table('active_summary')} WHERE namespace = $1 ORDER BY span, plan`, [namespace])).toEqual([
        { span: '2026-06', plan: '', amount: 2 }, { span: '2026-06', plan: 'free', amount: 2 }, { span: '2026-06-10', plan: '', amount: 2 }, { span: '2026-06-10', plan: 'free', amount: 2 }, { span: '2026-06-11', plan: '', amount: 1 }, { span: '2026-06-11', plan: 'free', amount: 1 },
      ])
      expect(await totals('u')).toEqual([['daily', '', 3], ['daily', '', 1], ['monthly', '', 23]])
      await tollgate.close()
    })

    it('count an event once, however often and in which order batches come', async () => {
      const seen: Parameters<SqlRecord['write']>[0][] = []
      const record = new SqlRecord(database, { namespace })
      const tollgate = createTollgate({ plans, operations, clock, defaultPlan: 'free', record: { write: async (batch) => void seen.push(batch), totals: async () => undefined, erase: async () => {} } })
      for (let i = 0; i < 40; i++) await chat(tollgate, `u${i % 3}`, i)
      await tollgate.flush()
      const all = seen.flat()
      await Promise.all([all.slice(20), all.slice(0, 30), all.slice(5, 25), all.toReversed()].map((batch, i) => new SqlRecord(opened.databases[i % 2]!, { namespace }).write(batch)))
      await record.write(all)
      expect((await summary()).filter(({ lim }) => lim === '').map(({ meter, amount }) => [meter, amount])).toEqual([['requests', 40], ['tokens', 780]])
      expect([...(await totals('u0')), ...(await totals('u1')), ...(await totals('u2'))].filter(([lim]) => lim === 'monthly').reduce((sum, [, , n]) => sum + (n as number), 0)).toBe(780)
    })

    it('leave a team out that shares what its members use', async () => {
      const tollgate = engine()
      await tollgate.consume({ subject: 'u', operation: 'chat', also: ['team:9'] })
      await tollgate.flush()
      expect((await summary()).filter(({ meter }) => meter === 'requests').map(({ amount }) => amount)).toEqual([1])
      expect(await totals('team:9')).toEqual([['daily', '', 1]])
      await tollgate.close()
    })

    it('of what is committed while they are read are not lost', async () => {
      const before = new MemoryStore()
      const first = engine(before)
      await chat(first, 'u', 100)
      const ids: string[] = []
      for (let i = 0; i < 10; i++) ids.push((await first.reserve({ subject: 'u', operation: 'chat', amounts: { tokens: 10 } })).reservation!.id)
      await first.flush()
      const store = new MemoryStore()
      store.resume(before.keep(clock.now()), clock.now())
      const again = engine(store)
      await Promise.all(ids.map(async (id, i) => {
        for (let turns = 0; turns < i; turns++) await new Promise((resolve) => setImmediate(resolve))
        await Promise.all([again.commit(id), chat(again, 'u', 1)])
      }))
      await again.flush()
      expect([await used(again, 'u', 'monthly'), await used(again, 'u', 'daily')]).toEqual([210, 21])
      expect(await used(engine(), 'u', 'monthly')).toBe(210)
    })

    it('survive names of any characters', async () => {
      const tollgate = engine()
      const subject = 'user:"\\ é'
      await tollgate.consume({ subject, operation: 'chat', dimensions: { model: '\u0001"\\\u{10ffff}' } })
      await tollgate.flush()
      const again = engine()
      expect(await used(again, subject, 'daily')).toBe(1)
      await tollgate.close()
      await again.close()
    })

    it('of an erased subject stay, and nothing that names it', async () => {
      const tollgate = engine()
      await tollgate.setPlan('user:erased', 'free')
      await tollgate.consume({ subject: 'user:erased', operation: 'visit', dimensions: { world: 'secret world' } })
      await tollgate.flush()
      const before = await summary()
      await tollgate.erase('user:erased')
      expect(await summary()).toEqual(before)
      for (const name of ['usage_subjects', 'usage_events', 'usage_totals', 'usage_daily', 'usage_active', 'plan_changes', 'denial_daily']) {
        const text = JSON.stringify(await rows(`SELECT * FROM ${table(name)}`))
        expect(text).not.toContain('user:erased')
        expect(text).not.toContain('secret world')
      }
      // Whoever comes again begins anew.
      expect(await used(tollgate, 'user:erased', 'daily')).toBe(0)
      await tollgate.close()
    })
  })

  const STORES: Record<string, () => { store: CounterStore; another?: () => [CounterStore, Database]; lose: () => Promise<CounterStore> }> = {
    memory: () => ({ store: new MemoryStore(), lose: async () => new MemoryStore() }),
    database: () => {
      const store = new SqlCounterStore(database, { clock })
      return { store, another: () => [new SqlCounterStore(opened.databases[1]!, { clock }), opened.databases[1]!], lose: async () => (await rows(`DELETE FROM ${table('counters')}`), store) }
    },
    Redis: () => {
      const prefix = uniquePrefix()
      const store = new RedisStore(redis, { clock, prefix })
      return {
        store,
        another: () => [new RedisStore(redis, { clock, prefix }), opened.databases[1]!],
        async lose() {
          for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 })) if ((keys as string[]).length > 0) await redis.del(...(keys as string[]))
          return store
        },
      }
    },
  }

  describe.each(Object.entries(STORES))('lost counters in %s', (_kind, open) => {
    it.each([['a day', 'daily', 50, 0], ['a month', 'monthly', 1000, 20]])('in the middle of %s: the limit is what it was', async (_, limit, max, tokens) => {
      const { store, lose } = open()
      const before = engine(store)
      for (let i = 0; i < 50; i++) expect((await chat(before, 'u', tokens)).allowed).toBe(true)
      expect(await used(before, 'u', limit)).toBe(max)
      await before.flush()
      clock.advance(3_600_000)
      const after = engine(await lose())
      expect(await used(after, 'u', limit)).toBe(max)
      const denied = await chat(after, 'u', tokens)
      expect(denied.allowed).toBe(false)
      expect(denied.violations.map((violation) => violation.limit)).toContain(limit)
      await Promise.all([before, after].map((each) => each.flush()))
    })

    it('are found again by parallel requests, exactly', async () => {
      const { store, another, lose } = open()
      const before = engine(store)
      for (let i = 0; i < 10; i++) await chat(before, 'u')
      await before.flush()
      const left = await lose()
      // Several processes where they share counters.
      const after = another ? [engine(left), engine(...another())] : [engine(left)]
      const decisions = await Promise.all(Array.from({ length: 200 }, (_, i) => chat(after[i % after.length]!, 'u')))
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(40)
    })

    it('bring back the subject’s own periods, each of its worlds, and nothing of what is over', async () => {
      const { store, lose } = open()
      const before = engine(store)
      const startAt = clock.now()
      await chat(before, 'u', 10)
      for (const world of ['a', 'a', 'b']) await before.consume({ subject: 'u', operation: 'visit', dimensions: { world } })
      clock.advance(2 * DAY_MS)
      await before.flush()
      const after = engine(await lose())
      const usage = await after.usage('u')
      expect(usage.limits.map(({ limit, partition, used: n }) => [limit, partition?.['world'], n]).toSorted()).toEqual([['daily', undefined, 0], ['flood', undefined, 0], ['monthly', undefined, 10], ['perWorld', 'a', 2], ['perWorld', 'b', 1], ['premium', undefined, 0]])
      expect(usage.limits.find(({ limit }) => limit === 'monthly')!.resetAt).toBe(Date.UTC(2026, 6, 10, 12))
      clock.advanceTo(Date.UTC(2026, 6, 10, 12))
      expect(await used(after, 'u', 'monthly')).toBe(0)
      expect(startAt).toBe(Date.UTC(2026, 5, 10, 12))
    })

    it('do not come back from before a reset', async () => {
      const { store, lose } = open()
      const before = engine(store)
      for (let i = 0; i < 7; i++) await chat(before, 'u', 3)
      await before.reset('u', { limit: 'daily' })
      await chat(before, 'u', 3)
      await before.flush()
      const after = engine(await lose())
      expect([await used(after, 'u', 'daily'), await used(after, 'u', 'monthly')]).toEqual([1, 24])
      await after.reset('u')
      await after.flush()
      const last = engine(await lose())
      expect([await used(last, 'u', 'daily'), await used(last, 'u', 'monthly')]).toEqual([0, 0])
    })
  })

  describe('a database that does not answer', () => {
    it('holds nobody up; what was recorded meanwhile is written when it is back', async () => {
      const record = new SqlRecord(database, { namespace })
      let isDown = true
      const failing = { write: (batch: Parameters<SqlRecord['write']>[0]) => (isDown ? Promise.reject(new Error('down')) : record.write(batch)), totals: async () => undefined, erase: async () => {} }
      const unavailable = { ...failing, write: (batch: Parameters<SqlRecord['write']>[0]) => failing.write(batch).catch((cause: unknown) => Promise.reject(Object.assign(cause as Error, { name: 'TollgateError', code: 'STORE_UNAVAILABLE', [Symbol.for('tollgate.error')]: true }))) }
      const told: unknown[] = []
      const tollgate = createTollgate({ plans, operations, clock, defaultPlan: 'free', record: unavailable })
      tollgate.on('unrecorded', (event) => told.push(event))
      for (let i = 0; i < 5; i++) expect((await chat(tollgate, 'u')).allowed).toBe(true)
      await expect(tollgate.flush()).rejects.toThrow('down')
      expect(told).toMatchObject([{ waiting: 5, lost: 0 }])
      isDown = false
      await tollgate.flush()
      expect(await totals('u')).toEqual([['daily', '', 5]])
      await tollgate.close()
    })
  })
})
