import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTollgate } from '../index.ts'
import { SqlRecord } from '../record/sql.ts'
import type { Database } from '../stores/sql/database.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { DIALECTS, freshDatabase } from '../testing/databases.ts'
import { createWorldLimits, planSet, type WorldLimitsOptions } from './virtual-worlds.ts'

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
})
