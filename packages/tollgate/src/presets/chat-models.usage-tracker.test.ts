import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTollgate, MemoryStore, TollgateError } from '../index.ts'
import type { UsageEvent } from '../record/event.ts'
import type { Database } from '../stores/sql/database.ts'
import { DIALECTS, freshDatabase } from '../testing/databases.ts'
import { Random } from '../testing/random.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { createTables } from './chat-models/message-tables.ts'
import { ANONYMOUS_MODELS, defaultPlan, isPremium, MessageRecord, MODELS, planSet, PREMIUM_MODELS, UsageTracker, type UsageTrackerOptions } from './chat-models.ts'

const START = Date.parse('2026-03-10T12:00:00Z')
const MARCH = Date.parse('2026-03-01T00:00:00Z')
const DAY_MS = 86_400_000
const [PLAIN] = ANONYMOUS_MODELS
const [PREMIUM] = PREMIUM_MODELS

describe.each(DIALECTS)('UsageTracker on %s', (dialect) => {
  let fresh: Awaited<ReturnType<typeof freshDatabase>>
  let database: Database
  let clock: { now: number }
  const configure = (options: Partial<UsageTrackerOptions> = {}) => UsageTracker.configure({ database, secret: 'a secret of 16 bytes or more', clock: () => clock.now, ...options })
  beforeEach(async () => {
    fresh = await freshDatabase(dialect)
    ;({ database } = fresh)
    clock = { now: START }
    configure()
  })
  afterEach(async () => {
    await UsageTracker.close()
    await fresh.drop()
  })

  const usageRows = () => database.query('SELECT user_id, month, total_messages, premium_messages, last_reset_at FROM user_usage ORDER BY user_id, month')
  const logged = async () => (await database.query('SELECT count(*) AS n FROM message_logs'))[0]!['n']
  const flushed = () => UsageTracker.getUsageAnalytics(1)
  const send = async (times: number, model: string, userId = 'ada'): Promise<number> => {
    const checks = await Promise.all(Array.from({ length: times }, () => UsageTracker.recordMessage(userId, model)))
    return checks.filter(({ allowed }) => allowed).length
  }

  it('creates its tables as often as it is asked to, by any number of processes', async () => {
    await UsageTracker.initializeDatabase()
    configure()
    await Promise.all([UsageTracker.initializeDatabase(), createTables(database)])
    expect(await logged()).toBe(0)
    const indexes = await database.query(dialect === 'postgres' ? `SELECT indexname AS name FROM pg_indexes WHERE schemaname = 'public'` : `SELECT name FROM sqlite_schema WHERE type = 'index'`)
    expect(indexes.map(({ name }) => name)).toEqual(expect.arrayContaining(['user_usage_month', 'message_logs_day', 'message_logs_user']))
  })

  it.each([
    [
      'user_usage',
      'CREATE TABLE user_usage (id integer NOT NULL PRIMARY KEY, user_id integer NOT NULL, month text NOT NULL, total_messages bigint NOT NULL, last_reset_at bigint NOT NULL)',
      ['its column user_id is integer, not text', 'it lacks the column premium_messages (bigint)', 'it lacks the column updated_at (bigint)', 'its column id refuses rows that do not give it', 'its column last_reset_at refuses rows that do not give it', 'it lacks the primary key (user_id, month)'],
    ],
    ['message_logs', 'CREATE TABLE message_logs (id text NOT NULL, user_id text, model text, is_premium boolean, day text, created_at bigint)', ['it lacks the primary key (id)']],
    ['message_logs', 'CREATE TABLE message_logs (id text PRIMARY KEY, user_id text, model text, is_premium boolean, day text, created_at bigint, chat text NOT NULL)', ['its column chat refuses rows that do not give it']],
    ['message_logs', `CREATE VIEW message_logs AS SELECT 'x' AS text`, expect.arrayContaining(['it lacks the column id (text)', 'it lacks the primary key (id)'])],
  ])('refuses another’s %s and leaves it as it is: %s', async (table, create, differences) => {
    await database.query(create)
    const before = await database.query(`SELECT * FROM ${table}`)
    const refused = await UsageTracker.initializeDatabase().catch((error: unknown) => error as TollgateError)
    expect(refused).toMatchObject({ code: 'SCHEMA_MISMATCH', details: { table, differences } })
    const fix = dialect === 'postgres' ? 'rename that one, or open the database with a schema of its own first in its search path' : 'rename that one, or give UsageTracker.configure a database file of its own'
    expect((refused as TollgateError).message).toBe(`${table}: the database has a table of this name that UsageTracker did not make: ${((refused as TollgateError).details!['differences'] as string[]).join('; ')}; ${fix}`)
    await expect(UsageTracker.recordMessage('ada', PLAIN)).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    expect(await database.query(`SELECT * FROM ${table}`)).toEqual(before)

    await database.query(create.startsWith('CREATE VIEW') ? `DROP VIEW ${table}` : `ALTER TABLE ${table} RENAME TO theirs`)
    expect(await UsageTracker.recordMessage('ada', PLAIN)).toEqual({ allowed: true })
  })

  it('takes its tables with columns of the application’s own, and those of an earlier version', async () => {
    await database.query('CREATE TABLE message_logs (id text PRIMARY KEY, user_id text NOT NULL, model text NOT NULL, is_premium boolean NOT NULL, day text NOT NULL, created_at bigint NOT NULL)')
    await UsageTracker.initializeDatabase()
    await database.query('ALTER TABLE user_usage ADD COLUMN note text')
    await database.query(`ALTER TABLE message_logs ADD COLUMN source text NOT NULL DEFAULT 'chat'`)
    configure()
    await send(1, PREMIUM)
    await flushed()
    expect(await usageRows()).toMatchObject([{ total_messages: 1, premium_messages: 1 }])
  })

  it('admits and counts exactly the month’s messages, however many come at once', async () => {
    expect(await send(50, PREMIUM)).toBe(20)
    expect(await send(150, PLAIN)).toBe(80)
    expect(await UsageTracker.checkUsage('ada', PLAIN)).toEqual({ allowed: false, error: expect.any(String) })
    await flushed()
    expect(await usageRows()).toEqual([{ user_id: 'ada', month: '2026-03', total_messages: 100, premium_messages: 20, last_reset_at: null }])
    expect(await logged()).toBe(100)
    clock.now = Date.parse('2026-04-01T00:00:00Z')
    expect(await UsageTracker.checkUsage('ada', PLAIN)).toEqual({ allowed: true })
  })

  it('asks the database about a user once, not with each check', async () => {
    let asked = 0
    const query: Database['query'] = (sql, params) => {
      asked++
      return database.query(sql, params)
    }
    await send(1, PLAIN)
    await UsageTracker.close()
    configure({ database: { dialect, query, transaction: database.transaction.bind(database), close: async () => {} } })
    await UsageTracker.initializeDatabase()
    for (let i = 0; i < 100; i++) await UsageTracker.checkUsage('ada', PREMIUM)
    expect(asked).toBeLessThan(10)
  })

  it('tells a user’s month', async () => {
    expect(await UsageTracker.getUsage('ada')).toEqual({ userId: 'ada', totalMessages: 0, premiumMessages: 0, lastReset: MARCH, canSendMessage: true, canSendPremiumMessage: true })
    await send(20, PREMIUM)
    await send(79, PLAIN)
    expect(await UsageTracker.getUsage('ada')).toEqual({ userId: 'ada', totalMessages: 99, premiumMessages: 20, lastReset: MARCH, canSendMessage: true, canSendPremiumMessage: false })
    await send(1, PLAIN)
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 100, canSendMessage: false })
    expect(await UsageTracker.getUsage('bob')).toMatchObject({ totalMessages: 0, canSendMessage: true })
  })

  it('counts a message id once, after a restart too', async () => {
    for (let i = 0; i < 3; i++) expect(await UsageTracker.recordMessage('ada', PREMIUM, 'm1')).toEqual({ allowed: true })
    await UsageTracker.close()
    configure()
    expect(await UsageTracker.recordMessage('ada', PREMIUM, 'm1')).toEqual({ allowed: true })
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 1, premiumMessages: 1 })
    await expect(UsageTracker.recordMessage('bob', PREMIUM, 'm1')).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
    await flushed()
    expect(await logged()).toBe(1)
  })

  it('counts a reserved message when its answer was there, and not when it failed', async () => {
    const held = await Promise.all(Array.from({ length: 30 }, () => UsageTracker.reserveMessage('ada', PREMIUM)))
    const [first, second, ...others] = held.filter(({ allowed }) => allowed)
    expect(others).toHaveLength(18)
    expect(await UsageTracker.checkUsage('ada', PREMIUM)).toMatchObject({ allowed: false })
    await first!.reservation!.commit()
    await second!.reservation!.release()
    expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: true })
    await flushed()
    expect(await usageRows()).toMatchObject([{ total_messages: 1, premium_messages: 1 }])
    expect(await logged()).toBe(1)
  })

  it('counts a message in the month it was admitted in', async () => {
    clock.now = Date.parse('2026-03-31T23:59:59.999Z')
    const { reservation } = await UsageTracker.reserveMessage('ada', PLAIN)
    clock.now += 1
    await reservation!.commit()
    await flushed()
    expect(await usageRows()).toMatchObject([{ month: '2026-03', total_messages: 1 }])
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 0 })
  })

  it.each(['off', 'shadow'] as const)('logs and counts what is answered while limits are %s', async (mode) => {
    await send(20, PREMIUM)
    UsageTracker.tollgate.setRollout({ mode, percent: 100 })
    expect(await send(2, PREMIUM)).toBe(2)
    const [answered, failed] = [await UsageTracker.reserveMessage('ada', PREMIUM), await UsageTracker.reserveMessage('ada', PREMIUM)]
    await answered.reservation!.commit()
    await failed.reservation!.release()
    expect(await send(80, PLAIN)).toBe(80)
    await flushed()
    expect(await usageRows()).toMatchObject([{ month: '2026-03', total_messages: 103, premium_messages: 23 }])
    expect(await logged()).toBe(103)
    UsageTracker.tollgate.setRollout({ mode: 'enforce', percent: 100 })
    expect(await send(1, PREMIUM)).toBe(0)
  })

  it('knows everything again when the counters are lost', async () => {
    await send(20, PREMIUM)
    await send(70, PLAIN)
    await UsageTracker.close()
    configure({ store: new MemoryStore() })
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 90, premiumMessages: 20, canSendMessage: true, canSendPremiumMessage: false })
    expect(await send(50, PREMIUM)).toBe(0)
    expect(await send(50, PLAIN)).toBe(10)
    await flushed()
    expect(await usageRows()).toMatchObject([{ total_messages: 100, premium_messages: 20 }])
  })

  describe('while the counters are away', () => {
    let store: ScriptedStore
    const use = (options: Partial<UsageTrackerOptions> = {}) => {
      store = new ScriptedStore(new MemoryStore())
      configure({ store, ...options })
    }
    const lose = async () => {
      await flushed()
      store.behaviour = 'fails'
    }
    const totals = async () => (await usageRows()).map(({ total_messages, premium_messages }) => [total_messages, premium_messages])
    beforeEach(() => use())
    afterEach(() => void (store.behaviour = 'answers'))

    it('goes by what is on record', async () => {
      await send(20, PREMIUM)
      await send(5, PLAIN)
      await lose()
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: false, error: 'Monthly limit reached: “premiumMessages” allows 20 requests a month. Please try again in 22 days (Apr 1, 2026, 00:00 UTC).' })
      expect(await UsageTracker.getUsage('ada')).toEqual({ userId: 'ada', totalMessages: 25, premiumMessages: 20, lastReset: MARCH, canSendMessage: true, canSendPremiumMessage: false })
      expect(await send(5, PREMIUM)).toBe(0)
      expect(await UsageTracker.reserveMessage('ada', PREMIUM)).toMatchObject({ allowed: false, violations: [{ limit: 'premiumMessages', code: 'QUOTA_EXCEEDED', max: 20, used: 20, retryAfterMs: Date.parse('2026-04-01T00:00:00Z') - START }] })
      expect(await send(80, PLAIN)).toBe(75)
      expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 100, premiumMessages: 20, canSendMessage: false, canSendPremiumMessage: false })
      expect(await totals()).toEqual([[100, 20]])
      expect(await send(2, PREMIUM, 'bob')).toBe(2)
      clock.now = Date.parse('2026-04-01T00:00:00Z')
      expect(await send(21, PREMIUM)).toBe(20)
    })

    it('denies the very message with which they go, though it is counted', async () => {
      await send(20, PREMIUM)
      await lose()
      expect(await UsageTracker.recordMessage('ada', PREMIUM)).toMatchObject({ allowed: false })
      for (let i = 0; i < 3; i++) expect(await UsageTracker.recordMessage('ada', PREMIUM)).toMatchObject({ allowed: false })
      await flushed()
      expect(await totals()).toEqual([[21, 21]])
    })

    it('admits exactly what is left, however many come at once, and counts it when they are back', async () => {
      await send(15, PREMIUM)
      await lose()
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: true })
      expect(await send(50, PREMIUM)).toBe(5)
      expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 20, premiumMessages: 20, canSendMessage: true, canSendPremiumMessage: false })
      expect(await totals()).toEqual([[20, 20]])
      store.behaviour = 'answers'
      await expect.poll(() => UsageTracker.tollgate.check({ subject: 'chat:ada', operation: 'message', dimensions: { model: PREMIUM } }), { timeout: 10_000 }).toMatchObject({ degraded: false, allowed: false, limits: [{ used: 20 }, { used: 20 }] })
      await UsageTracker.resetUsage('ada')
      await lose()
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: true })
    })

    it('holds a reserved message, and gives back what failed', async () => {
      await send(18, PREMIUM)
      await lose()
      const held = await Promise.all(Array.from({ length: 5 }, () => UsageTracker.reserveMessage('ada', PREMIUM)))
      const [first, second, ...others] = held.filter(({ allowed }) => allowed)
      expect(others).toEqual([])
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toMatchObject({ allowed: false })
      await first!.reservation!.commit()
      await second!.reservation!.release()
      expect(await send(3, PREMIUM)).toBe(1)
      await flushed()
      expect(await totals()).toEqual([[20, 20]])
    })

    it('admits this process’s share of what is left', async () => {
      use({ localShare: 0.5 })
      await send(15, PREMIUM)
      await lose()
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: true })
      expect(await send(10, PREMIUM)).toBe(2)
      expect(await UsageTracker.reserveMessage('ada', PREMIUM)).toMatchObject({ allowed: false, violations: [{ max: 17, used: 17 }] })
      store.behaviour = 'answers'
      await expect.poll(() => UsageTracker.tollgate.check({ subject: 'chat:bob', operation: 'message', dimensions: { model: PREMIUM } }), { timeout: 10_000 }).toMatchObject({ degraded: false })
      await send(19, PREMIUM, 'bob')
      await lose()
      await expect(UsageTracker.checkUsage('bob', PREMIUM)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', message: expect.stringContaining('less is left of premiumMessages than there are processes') })
      await expect(UsageTracker.reserveMessage('bob', PREMIUM)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      expect(await UsageTracker.getUsage('bob')).toMatchObject({ premiumMessages: 19, canSendMessage: true, canSendPremiumMessage: false })
    })

    it('knows a user’s own limits, and lets shadow mode pass', async () => {
      await UsageTracker.tollgate.setPlan('chat:ada', 'user', { overrides: { premiumMessages: 22 } })
      await send(20, PREMIUM)
      await lose()
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: true })
      expect(await send(5, PREMIUM)).toBe(2)
      UsageTracker.tollgate.setRollout({ mode: 'shadow', percent: 100 })
      expect(await send(5, PREMIUM)).toBe(5)
    })

    it.each(['is away', 'hangs'])('counts by itself, and soon, where the database %s too', async (state) => {
      let isDown = false
      const down = () => (state === 'hangs' ? new Promise<never>(() => {}) : Promise.reject(new TollgateError('STORE_UNAVAILABLE', 'down')))
      const query: Database['query'] = (sql, params) => (isDown ? down() : database.query(sql, params))
      const transaction: Database['transaction'] = (work, options) => (isDown ? down() : database.transaction(work, options))
      use({ recordTimeoutMs: 100, database: { dialect, query, transaction, close: async () => {} } })
      await send(20, PREMIUM)
      await lose()
      isDown = true
      expect(await UsageTracker.checkUsage('ada', PREMIUM)).toEqual({ allowed: true })
      expect(await send(25, PREMIUM)).toBe(20)
      isDown = false
    })
  })

  it('resets a user, and nobody else', async () => {
    await send(20, PREMIUM)
    await send(3, PREMIUM, 'bob')
    clock.now += 1000
    await UsageTracker.resetUsage('ada')
    expect(await UsageTracker.getUsage('ada')).toEqual({ userId: 'ada', totalMessages: 0, premiumMessages: 0, lastReset: START + 1000, canSendMessage: true, canSendPremiumMessage: true })
    expect(await send(25, PREMIUM)).toBe(20)
    await flushed()
    expect(await usageRows()).toEqual([
      { user_id: 'ada', month: '2026-03', total_messages: 20, premium_messages: 20, last_reset_at: START + 1000 },
      { user_id: 'bob', month: '2026-03', total_messages: 3, premium_messages: 3, last_reset_at: null },
    ])
    expect(await logged()).toBe(43)
    clock.now = Date.parse('2026-04-02T00:00:00Z')
    expect((await UsageTracker.getUsage('ada')).lastReset).toBe(Date.parse('2026-04-01T00:00:00Z'))
  })

  it('resets nothing while the tables, or the counters, cannot be written', async () => {
    let isDown = false
    const transaction: Database['transaction'] = async (work, options) => {
      if (isDown) throw new TollgateError('STORE_UNAVAILABLE', 'down')
      return database.transaction(work, options)
    }
    const store = new ScriptedStore(new MemoryStore())
    configure({ store, database: { dialect, query: database.query.bind(database), transaction, close: async () => {} } })
    await send(20, PREMIUM)
    await flushed()
    clock.now += 1000
    isDown = true
    await expect(UsageTracker.resetUsage('ada')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    isDown = false
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 20, lastReset: MARCH, canSendPremiumMessage: false })
    store.behaviour = 'fails'
    await expect(UsageTracker.resetUsage('ada')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    store.behaviour = 'answers'
    expect(await usageRows()).toMatchObject([{ total_messages: 20, premium_messages: 20, last_reset_at: null }])
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 20, lastReset: MARCH })
    await UsageTracker.resetUsage('ada')
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 0, lastReset: START + 1000 })
    expect(await usageRows()).toMatchObject([{ total_messages: 0, premium_messages: 0, last_reset_at: START + 1000 }])
  })

  it('resets who never wrote', async () => {
    await UsageTracker.resetUsage('ada')
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 0, lastReset: START })
  })

  it('keeps users apart whose names look like each other’s', async () => {
    const names = ['ada', 'Ada', 'ada ', `a'da"\\`, 'áda', '🙂']
    for (const [i, name] of names.entries()) await send(i + 1, PLAIN, name)
    for (const [i, name] of names.entries()) expect((await UsageTracker.getUsage(name)).totalMessages).toBe(i + 1)
    await flushed()
    expect((await usageRows()).map((row) => row['total_messages']).toSorted()).toEqual([1, 2, 3, 4, 5, 6])
  })

  it.each([
    ['UTC', 0],
    ['America/New_York', -5 * 3_600_000],
  ])('tells messages, premium messages and active users per day of %s', async (timezone, offsetMs) => {
    configure({ timezone })
    clock.now = Date.parse('2026-02-01T00:00:00Z')
    const random = new Random(7)
    const days = new Map<string, { messages: number; premiumMessages: number; users: Set<string> }>()
    for (let i = 0; i < 300; i++) {
      clock.now += random.integer(0, 4 * 3_600_000)
      const [userId, model] = [`user${random.integer(1, 12)}`, random.pick(MODELS)]
      if (!(await UsageTracker.recordMessage(userId, model)).allowed) continue
      const date = new Date(clock.now + offsetMs).toISOString().slice(0, 10)
      const day = days.get(date) ?? { messages: 0, premiumMessages: 0, users: new Set() }
      days.set(date, day)
      day.messages++
      if (isPremium(model)) day.premiumMessages++
      day.users.add(userId)
    }
    for (const count of [1, 7, 30]) {
      const expected = Array.from({ length: count }, (_, i) => {
        const date = new Date(clock.now + offsetMs - (count - 1 - i) * DAY_MS).toISOString().slice(0, 10)
        const { messages = 0, premiumMessages = 0, users = new Set() } = days.get(date) ?? {}
        return { date, messages, premiumMessages, activeUsers: users.size }
      })
      expect(await UsageTracker.getUsageAnalytics(count)).toEqual(expected)
    }
  })

  it('forgets a user that is erased', async () => {
    await send(3, PREMIUM)
    await send(2, PLAIN, 'bob')
    await UsageTracker.tollgate.erase('chat:ada')
    expect(await usageRows()).toMatchObject([{ user_id: 'bob', total_messages: 2 }])
    expect(await logged()).toBe(2)
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 0, lastReset: MARCH })
  })

  it('tries again to make its tables when it could not', async () => {
    let isDown = true
    const transaction: Database['transaction'] = async (work, options) => {
      if (isDown) throw new Error('down')
      return database.transaction(work, options)
    }
    configure({ database: { dialect, query: database.query.bind(database), transaction, close: async () => {} } })
    await expect(UsageTracker.getUsage('ada')).rejects.toThrow('down')
    isDown = false
    expect(await UsageTracker.getUsage('ada')).toMatchObject({ totalMessages: 0 })
  })

  describe('its record', () => {
    const message: UsageEvent = { id: 'm1', at: START, kind: 'consume', subject: 'chat:ada', plan: 'user', planVersion: '', operation: 'message', dimensions: { model: PREMIUM }, amounts: {}, uses: [], mode: 'enforce', count: 1 }
    const use = (limit: string) => ({ cell: `chat-models/${limit}:`, limit, partition: '', startAt: MARCH, endAt: MARCH + 31 * DAY_MS, max: 100, amount: 1 })
    const premium = (id: string): UsageEvent => ({ ...message, id, uses: [use('monthlyMessages'), use('premiumMessages')] })
    const reset = (id: string, at: number, cells: string[] | null = null): UsageEvent => ({ ...message, id, at, kind: 'reset', cells })
    const counts = async () => (await usageRows()).map(({ total_messages, premium_messages }) => [total_messages, premium_messages])
    beforeEach(() => UsageTracker.initializeDatabase())

    it('counts a batch that is written twice once', async () => {
      const record = new MessageRecord(database)
      const batch = [premium('a'), reset('b', START), premium('c'), premium('d')]
      await record.write(batch)
      expect(await counts()).toEqual([[2, 2]])
      await record.write([premium('e')])
      await record.write(batch)
      expect(await counts()).toEqual([[3, 3]])
      expect(await logged()).toBe(4)
    })

    it('is written by several processes at once', async () => {
      const records = [new MessageRecord(database), new MessageRecord(database)]
      await Promise.all(records.flatMap((record, r) => Array.from({ length: 20 }, (_, i) => record.write([premium(`${r}-${i}`), { ...premium(`${r}-${i}-bob`), subject: 'chat:bob' }]))))
      expect(await counts()).toEqual([[40, 40], [40, 40]])
    })

    it('empties the counter whose limit was reset, and no other', async () => {
      const record = new MessageRecord(database)
      const tollgate = createTollgate({ planSets: [planSet], defaultPlan, record, clock: () => clock.now })
      for (let i = 0; i < 4; i++) await tollgate.consume({ subject: 'chat:ada', operation: 'message', dimensions: { model: PREMIUM } })
      clock.now += 1
      await tollgate.reset('chat:ada', { limit: 'premiumMessages' })
      await tollgate.flush()
      expect(await counts()).toEqual([[4, 0]])
      await tollgate.close()
    })

    it('leaves other subjects and operations to the record', async () => {
      await new MessageRecord(database).write([{ ...premium('a'), subject: 'worlds:ada' }, { ...premium('b'), operation: 'other' }, { ...premium('c'), kind: 'release' }])
      expect([await counts(), await logged()]).toEqual([[], 0])
    })
  })

  it('says what it cannot take', async () => {
    for (const days of [0, 367, 1.5, '7']) await expect(UsageTracker.getUsageAnalytics(days as number)).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'days' })
    for (const asked of [UsageTracker.getUsage(''), UsageTracker.resetUsage('')]) await expect(asked).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'userId' })
    await expect(UsageTracker.checkUsage('ada', 7 as unknown as string)).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'model' })
    await expect(UsageTracker.recordMessage('ada', PLAIN, '')).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'idempotencyKey' })
    expect(() => UsageTracker.configure({ database: {} as Database })).toThrow(/^database: an object is not a database; use openPostgres or openSqlite$/)
    expect(() => configure({ timezone: 'Mars' })).toThrow(/'Mars' is not a time zone/)
  })
})

it('is configured before it is used', async () => {
  await expect(UsageTracker.getUsage('ada')).rejects.toThrow('UsageTracker: is not configured; call UsageTracker.configure({ database }) when the application starts')
})
