import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTollgate, MemoryStore, MemorySubjects } from '../index.ts'
import { SqlRecord } from '../record/sql.ts'
import type { Database } from '../stores/sql/database.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { tableNames } from '../stores/sql/tables.ts'
import { unavailable } from '../stores/sql/unavailable.ts'
import { DIALECTS, freshDatabase } from '../testing/databases.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { createWorldLimits, createWorldViews, planSet, type WorldLimitsOptions, type WorldPlan } from './virtual-worlds.ts'

const START = Date.parse('2026-03-10T12:00:00Z')
const MARCH = Date.parse('2026-03-01T00:00:00Z')
const MIDNIGHT = Date.parse('2026-03-11T00:00:00Z')

describe.each(DIALECTS)('usage statistics on %s', (dialect) => {
  let fresh: Awaited<ReturnType<typeof freshDatabase>>
  let database: Database
  let clock: { now: number }
  const start = (options: WorldLimitsOptions = {}) => createWorldLimits({ database, clock: () => clock.now, ...options })
  beforeEach(async () => {
    fresh = await freshDatabase(dialect)
    ;({ database } = fresh)
    await migrate(database)
    clock = { now: START }
  })
  afterEach(() => fresh.drop())

  it('outlive the process, and so do the limits', async () => {
    const before = start()
    for (let i = 0; i < 30; i++) {
      await before.checkAllWorldLimits({ userId: 'ada', worldId: `w${i}`, plan: 'free', content: 'hi' })
      expect(await before.trackWorldMessageUsage('ada')).toEqual({ userId: 'ada', date: '2026-03-10', worldMessagesCount: i + 1 })
    }
    await before.flush()
    const after = start()
    expect(await after.getUserUsageStats('ada')).toEqual({ daily: { worldMessages: 30 }, monthly: { worldMessages: 30 }, since: MARCH })
    expect(await after.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: true, remaining: 20 })
    expect(await after.getUserUsageStats('bob')).toEqual({ daily: { worldMessages: 0 }, monthly: { worldMessages: 0 }, since: MARCH })
  })

  it('count the day and the month of all processes, and are up to five minutes old', async () => {
    const [one, two] = [start(), start()]
    await one.trackWorldMessageUsage('ada')
    expect((await one.getUserUsageStats('ada')).daily.worldMessages).toBe(1)
    expect(await two.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: 2 })
    await two.flush()
    clock.now += 299_999
    expect((await one.getUserUsageStats('ada')).daily.worldMessages).toBe(1)
    clock.now += 1
    expect((await one.getUserUsageStats('ada')).daily.worldMessages).toBe(2)

    clock.now = MIDNIGHT
    expect(await one.trackWorldMessageUsage('ada')).toEqual({ userId: 'ada', date: '2026-03-11', worldMessagesCount: 1 })
    expect(await one.getUserUsageStats('ada')).toMatchObject({ daily: { worldMessages: 1 }, monthly: { worldMessages: 3 } })
    clock.now = Date.parse('2026-04-01T00:00:00Z')
    expect(await one.getUserUsageStats('ada')).toMatchObject({ daily: { worldMessages: 0 }, monthly: { worldMessages: 0 } })
  })

  it('count messages, whoever recorded them, and nothing else', async () => {
    const limits = start({ namespace: 'shop' })
    const tollgate = createTollgate({ planSets: [planSet], defaultPlan: 'free', namespace: 'shop', record: new SqlRecord(database, { namespace: 'shop' }), clock: () => clock.now })
    const request = { subject: 'worlds:ada', operation: 'message', dimensions: { world: 'w1' } }
    await tollgate.consume(request)
    await tollgate.consume(request)
    await tollgate.consume({ ...request, operation: 'agent_create' })
    await (await tollgate.reserve({ ...request, dimensions: { world: 'w2' } })).reservation!.release()
    await limits.checkWorldCooldown('w9', 'ada', 'free')
    await limits.checkFloodProtection('w9', 'ada')
    await tollgate.flush()
    expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(1)
    expect((await start().getUserUsageStats('ada')).daily.worldMessages).toBe(0)
    await tollgate.close()
  })

  describe('messages that are tracked by themselves', () => {
    const table = (name: string) => tableNames(dialect)(name)
    const recorded = () => database.query(`SELECT s.subject, e.plan, count(*) AS messages FROM ${table('usage_events')} e JOIN ${table('usage_subjects')} s ON s.id = e.subject_id WHERE e.kind IN ('consume', 'commit') GROUP BY s.subject, e.plan ORDER BY s.subject, e.plan`)
    const totals = () => database.query(`SELECT t.plan, t.max, t.used FROM ${table('usage_totals')} t WHERE t.lim = 'dailyMessages' ORDER BY t.used`)
    const users = async () => {
      await createWorldViews(database)
      return database.query('SELECT id, plan FROM "User" ORDER BY id')
    }
    /** One after the other, as the product's documents have it. */
    const send = async (limits: ReturnType<typeof start>, plan: WorldPlan, userId = 'ada') => {
      await limits.checkWorldMessageLimit(userId, plan)
      await limits.checkSpamProtection('w1', userId, 'hi')
      await limits.checkFloodProtection('w1', userId)
      return limits.trackWorldMessageUsage(userId)
    }

    it('are recorded under the plan that the checks named, also above its limit', async () => {
      const limits = start()
      for (const [userId, plan] of [['ada', 'free'], ['bob', 'plus'], ['eve', 'ultra']] as const) await send(limits, plan, userId)
      for (let i = 0; i < 51; i++) await limits.trackWorldMessageUsage('ada')
      expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: 53 })
      expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(53)
      expect(await recorded()).toEqual([
        { subject: 'worlds:ada', plan: 'virtual-worlds/free', messages: 55 },
        { subject: 'worlds:bob', plan: 'virtual-worlds/plus', messages: 3 },
        { subject: 'worlds:eve', plan: 'virtual-worlds/ultra', messages: 3 },
      ])
      expect(await totals()).toEqual(expect.arrayContaining([{ plan: 'virtual-worlds/free', max: 50, used: 53 }, { plan: 'virtual-worlds/plus', max: 500, used: 1 }, { plan: 'virtual-worlds/ultra', max: null, used: 1 }]))
      expect(await users()).toEqual([{ id: 'ada', plan: 'free' }, { id: 'bob', plan: 'plus' }, { id: 'eve', plan: 'ultra' }])

      const restarted = start()
      expect(await restarted.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: false, remaining: 0 })
      expect(await restarted.checkWorldMessageLimit('ada', 'plus')).toMatchObject({ allowed: true, remaining: 447 })
    })

    it('are recorded under the plan of the last check, which may have changed', async () => {
      const limits = start()
      await send(limits, 'free')
      await send(limits, 'plus')
      await expect(limits.checkWorldMessageLimit('ada', 'pluss' as WorldPlan)).rejects.toMatchObject({ code: 'UNKNOWN_PLAN' })
      await limits.trackWorldMessageUsage('ada')
      expect(await limits.getUserUsageStats('ada')).toMatchObject({ daily: { worldMessages: 3 } })
      expect(await totals()).toEqual([{ plan: 'virtual-worlds/plus', max: 500, used: 3 }])
      expect(await users()).toEqual([{ id: 'ada', plan: 'plus' }])
    })

    it('are recorded under the stored plan where no check named one, else under free', async () => {
      const subjects = new MemorySubjects()
      await createTollgate({ planSets: [planSet], subjects }).setPlan('worlds:bob', 'plus', { overrides: { dailyMessages: 1 } })
      const limits = start({ subjects })
      for (const userId of ['ada', 'bob', 'bob']) await limits.trackWorldMessageUsage(userId)
      expect((await limits.getUserUsageStats('bob')).daily.worldMessages).toBe(2)
      expect(await totals()).toEqual([{ plan: 'virtual-worlds/free', max: 50, used: 1 }, { plan: 'virtual-worlds/plus', max: 1, used: 2 }])
    })

    it('are recorded while the counters are away, however many', async () => {
      const store = new ScriptedStore(new MemoryStore())
      const limits = start({ store })
      await send(limits, 'free')
      store.behaviour = 'fails'
      for (let i = 1; i < 60; i++) expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: i + 1 })
      expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(60)
    })
  })

  describe('while the database is away', () => {
    let state: 'there' | 'away' | 'hangs'
    let asked: number
    const reach = async <T>(ask: () => Promise<T>): Promise<T> => {
      asked++
      if (state === 'hangs') await new Promise(() => {})
      if (state === 'away') throw unavailable('the database is away')
      return ask()
    }
    const shaky = (inner = database): Database => ({ dialect, query: (...args) => reach(() => inner.query(...args)), transaction: (...args) => reach(() => inner.transaction(...args)), close: async () => {} })
    beforeEach(() => {
      state = 'there'
      asked = 0
    })

    it.each(['away', 'hangs'] as const)('messages are counted without it: it %s', async (outage) => {
      const limits = start({ database: shaky() })
      await limits.checkWorldMessageLimit('ada', 'free')
      await limits.trackWorldMessageUsage('ada')
      asked = 0
      for (let i = 0; i < 3; i++) expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: i + 2 })
      expect(asked).toBe(0)

      state = outage
      for (let i = 0; i < 3; i++) expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: i + 5 })
      expect(await limits.checkAllWorldLimits({ userId: 'ada', worldId: 'w1', plan: 'free', content: 'hi' })).toMatchObject({ allowed: true, remaining: 42 })
      expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: 8 })
      expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(42)
    })

    it('a message of a user who is new is counted, and recorded when it is back', async () => {
      const limits = start({ database: shaky() })
      state = 'away'
      for (let i = 0; i < 2; i++) expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: i + 1 })
      await expect(limits.getUserUsageStats('ada')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      state = 'there'
      expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(2)
      expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(48)
    })

    it('statistics are those of the day, until it is back', async () => {
      const limits = start({ database: shaky() })
      clock.now = START - 86_400_000
      await limits.trackWorldMessageUsage('ada')
      clock.now = START
      for (let i = 0; i < 2; i++) await limits.trackWorldMessageUsage('ada')
      state = 'away'
      expect(await limits.getUserUsageStats('ada')).toEqual({ daily: { worldMessages: 2 }, monthly: { worldMessages: 2 }, since: MIDNIGHT - 86_400_000 })
      state = 'there'
      expect(await limits.getUserUsageStats('ada')).toEqual({ daily: { worldMessages: 2 }, monthly: { worldMessages: 3 }, since: MARCH })
    })
  })
})
