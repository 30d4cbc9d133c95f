import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTollgate } from '../index.ts'
import type { UsageEvent } from '../record/event.ts'
import { SqlRecord } from '../record/sql.ts'
import type { Database, Row } from '../stores/sql/database.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { SqlSubjects } from '../stores/sql/subjects.ts'
import { DIALECTS, freshDatabase } from '../testing/databases.ts'
import { Random } from '../testing/random.ts'
import { createWorldViews, defaultPlan, planSet, type WorldPlan } from './virtual-worlds.ts'

const DAY_MS = 86_400_000
const FIRST = Date.parse('2026-11-01T00:00:00Z')
const DAYS = 30
const END = FIRST + DAYS * DAY_MS
const PLANS: readonly WorldPlan[] = ['free', 'plus', 'ultra']
const MESSAGES_PER_DAY = { free: 50, plus: 500, ultra: Infinity }
const PRICES = { free: 0, plus: 5, ultra: 15 }
const KINDS = { dailyMessages: 'quota', cooldown: 'cooldown', spam: 'duplicates', flood: 'slidingWindow' } as const
type LimitName = keyof typeof KINDS

/** The queries of the page, by their headings. */
const page = readFileSync(new URL('../../../../docs/queries.md', import.meta.url), 'utf8')
const queries = new Map([...page.matchAll(/^## (.+)\n[\s\S]*?```sql\n([\s\S]*?)```/gm)].map(([, heading, sql]) => [heading!, sql!]))

interface Traffic {
  readonly messages: { userId: string; at: number }[]
  readonly violations: { userId: string; plan: WorldPlan; limit: LimitName; at: number; count: number }[]
  readonly changes: { userId: string; from: WorldPlan; to: WorldPlan; at: number }[]
  /** The plan of each user in the end. */
  readonly plans: Map<string, WorldPlan>
}

/** A month of 80 users; some change their plan, some fall silent. As events, and as what it was. */
function generate(seed: number): { traffic: Traffic; events: UsageEvent[] } {
  const random = new Random(seed)
  const traffic: Traffic = { messages: [], violations: [], changes: [], plans: new Map() }
  const events: UsageEvent[] = []
  const add = (kind: UsageEvent['kind'], userId: string, plan: WorldPlan, at: number, more: Partial<UsageEvent> = {}) =>
    events.push({ id: `e${events.length}`, at, kind, subject: `worlds:${userId}`, plan: `virtual-worlds/${plan}`, planVersion: '1', operation: 'message', amounts: {}, uses: [], mode: 'enforce', count: 1, ...more })

  for (let u = 0; u < 80; u++) {
    const userId = `user${u}`
    let plan = random.pick(PLANS)
    traffic.plans.set(userId, plan)
    const silentFrom = random.chance(0.3) ? random.integer(3, DAYS) : DAYS
    const changesOn = random.chance(0.5) ? random.integer(5, DAYS - 1) : -1
    for (let day = 0; day < silentFrom; day++) {
      const instant = () => FIRST + day * DAY_MS + random.integer(0, DAY_MS - 1)
      if (day === changesOn) {
        const to = random.pick(PLANS.filter((other) => other !== plan))
        const at = FIRST + day * DAY_MS
        add('plan', userId, to, at, { fromPlan: plan === 'free' ? '' : `virtual-worlds/${plan}`, operation: '' })
        traffic.changes.push({ userId, from: plan, to, at })
        traffic.plans.set(userId, (plan = to))
      }
      // A day in twenty is above free's limit, as for somebody who came down to it that day.
      const sent = random.chance(0.05) ? random.integer(51, 60) : random.integer(0, 8)
      for (let i = 0; i < sent; i++) {
        const at = instant()
        if (random.chance(0.1)) add('reserve', userId, plan, at)
        add(random.chance(0.5) ? 'commit' : 'consume', userId, plan, at, random.chance(0.2) ? { operation: 'dailyMessages' } : {})
        traffic.messages.push({ userId, at })
      }
      if (random.chance(0.2)) {
        const limits = random.chance(0.3) ? (['dailyMessages', 'cooldown'] as const) : ([random.pick(Object.keys(KINDS) as LimitName[])] as const)
        // Some are denied last thing in the day, and never come back.
        const leaves = random.chance(0.1)
        const [at, count] = [leaves ? FIRST + (day + 1) * DAY_MS - 1 : instant(), random.integer(1, 5)]
        add('denial', userId, plan, at, { count, violations: limits.map((limit) => ({ limit, kind: KINDS[limit], code: 'ANY' })) })
        for (const limit of limits) traffic.violations.push({ userId, plan, limit, at, count })
        if (leaves) break
      }
      // What is no message, and what is no denial.
      if (random.chance(0.2)) add('consume', userId, plan, instant(), { operation: 'agent_create' })
      if (random.chance(0.1)) add('release', userId, plan, instant())
      if (random.chance(0.1)) add('denial', userId, plan, instant(), { mode: 'shadow', violations: [{ limit: 'flood', kind: 'slidingWindow', code: 'ANY' }] })
    }
    // So that everybody is known, on the plan of the end.
    add('consume', userId, plan, FIRST, { operation: 'flood' })
  }
  for (const subject of ['chat:user1', 'worldsuser1', 'worlds;user1']) add('consume', '', 'free', FIRST, { subject })
  return { traffic, events }
}

const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10)
const unique = <T>(values: readonly T[]) => [...new Set(values)]
const round = (rows: Row[]) => rows.map((row) => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, typeof value === 'number' ? Math.round(value * 1e6) / 1e6 : value])))
const sorted = (rows: Row[], ...columns: string[]) => rows.toSorted((a, b) => (columns.map((column) => String(a[column])).join(' ') < columns.map((column) => String(b[column])).join(' ') ? -1 : 1))

describe.each(DIALECTS)('on %s', (dialect) => {
  let fresh: Awaited<ReturnType<typeof freshDatabase>>
  let database: Database
  const open = async () => {
    fresh = await freshDatabase(dialect)
    ;({ database } = fresh)
    await migrate(database)
  }

  describe('the queries over a generated month', () => {
    const { traffic, events } = generate(3)
    beforeAll(async () => {
      await open()
      const record = new SqlRecord(database)
      for (let i = 0; i < events.length; i += 500) await record.write(events.slice(i, i + 500))
      await new SqlRecord(database, { namespace: 'another' }).write([{ ...events[0]!, id: 'other' }])
      await record.write([{ ...events.find(({ kind }) => kind === 'consume')!, id: 'gone', subject: 'worlds:erased' }])
      await record.erase('worlds:erased')
      await createWorldViews(database)
    })
    afterAll(() => fresh.drop())
    const ask = async (heading: string, ...params: number[]) => round(await database.query(queries.get(heading)!, params))
    const since = FIRST + 5 * DAY_MS
    const messages = traffic.messages.filter(({ at }) => at >= since)
    const violations = traffic.violations.filter(({ at }) => at >= since)

    it('are all tried here', () => {
      expect([...queries.keys()]).toEqual(['Users over the daily limit', 'Users who wanted more than their day', 'Average messages per plan', 'Violations by plan and kind', 'Cost, revenue and return per plan', 'Upgrades after a limit', 'Churn after a limit'])
    })

    it('users over the daily limit', async () => {
      const expected = unique(messages.map(({ userId, at }) => `${dayOf(at)} ${userId}`)).flatMap((key) => {
        const [day, userId] = key.split(' ') as [string, string]
        const plan = traffic.plans.get(userId)!
        const sent = messages.filter((m) => m.userId === userId && dayOf(m.at) === day).length
        return sent > MESSAGES_PER_DAY[plan] ? [{ userId, plan, day, messages: sent, messagesPerDay: MESSAGES_PER_DAY[plan] }] : []
      })
      expect(expected.length).toBeGreaterThan(3)
      expect(await ask('Users over the daily limit', since)).toEqual(sorted(expected, 'day', 'userId'))
    })

    it('users who wanted more than their day', async () => {
      const denied = violations.filter(({ limit }) => limit === 'dailyMessages')
      const expected = unique(denied.map(({ userId, plan, at }) => `${dayOf(at)} ${userId} ${plan}`)).map((key) => {
        const [day, userId, plan] = key.split(' ')
        return { userId, plan, day, denials: denied.filter((d) => d.userId === userId && d.plan === plan && dayOf(d.at) === day).reduce((sum, { count }) => sum + count, 0) }
      })
      expect(expected.length).toBeGreaterThan(3)
      expect(await ask('Users who wanted more than their day', since)).toEqual(sorted(expected, 'day', 'userId', 'plan'))
    })

    it('average messages per plan', async () => {
      const expected = PLANS.map((plan) => {
        const sent = messages.filter(({ userId }) => traffic.plans.get(userId) === plan)
        const users = unique(sent.map(({ userId }) => userId)).length
        return { plan, users, messages: sent.length, average: sent.length / users }
      })
      expect(await ask('Average messages per plan', since)).toEqual(round(expected))
    })

    it('violations by plan and kind', async () => {
      const expected = unique(violations.map(({ plan, limit }) => `${plan} ${limit}`)).map((key) => {
        const [plan, limitName] = key.split(' ') as [WorldPlan, LimitName]
        const found = violations.filter((v) => v.plan === plan && v.limit === limitName)
        return { plan, limitName, kind: KINDS[limitName], violations: found.reduce((sum, { count }) => sum + count, 0), users: unique(found.map(({ userId }) => userId)).length }
      })
      expect(await ask('Violations by plan and kind', since)).toEqual(sorted(expected, 'plan', 'limitName'))
    })

    it.each([undefined, 0.002, 0])('cost, revenue and return per plan, at %s a message', async (messageCost) => {
      await createWorldViews(database, messageCost === undefined ? {} : { messageCost })
      const expected = PLANS.map((plan) => {
        const users = [...traffic.plans.values()].filter((own) => own === plan).length
        const sent = messages.filter(({ userId }) => traffic.plans.get(userId) === plan).length
        const [cost, revenue] = [sent * (messageCost ?? 0.0005), users * PRICES[plan]]
        return { plan, users, messages: sent, cost, revenue, roi: cost === 0 ? null : (revenue - cost) / cost }
      })
      expect(await ask('Cost, revenue and return per plan', since)).toEqual(round(expected))
    })

    it('upgrades after a limit', async () => {
      const limited = unique(violations.filter(({ plan }) => plan === 'free').map(({ userId }) => userId))
      const took = limited.flatMap((userId) => {
        const limitedAt = Math.min(...violations.filter((v) => v.userId === userId && v.plan === 'free').map(({ at }) => at))
        const upgrades = traffic.changes.filter((c) => c.userId === userId && c.from === 'free' && c.at >= limitedAt)
        return upgrades.length > 0 ? [Math.min(...upgrades.map(({ at }) => at)) - limitedAt] : []
      })
      expect(took.length).toBeGreaterThan(1)
      const averageHours = took.reduce((sum, ms) => sum + ms, 0) / took.length / 3_600_000
      expect(await ask('Upgrades after a limit', since)).toEqual(round([{ limited: limited.length, upgraded: took.length, share: took.length / limited.length, averageHours }]))
      expect(await ask('Upgrades after a limit', END)).toEqual([{ limited: 0, upgraded: 0, share: null, averageHours: null }])
    })

    it('churn after a limit', async () => {
      const until = END - 10 * DAY_MS
      const expected = PLANS.map((plan) => {
        const last = new Map<string, number>()
        for (const { userId, plan: own, at } of violations) if (own === plan) last.set(userId, Math.max(at, last.get(userId) ?? 0))
        const limited = [...last].filter(([, at]) => at < until)
        const silent = limited.filter(([userId, at]) => !messages.some((m) => m.userId === userId && m.at > at))
        const cancelled = limited.filter(([userId, at]) => traffic.changes.some((c) => c.userId === userId && c.to === 'free' && c.at >= at))
        return { plan, limited: limited.length, silent: silent.length, cancelled: cancelled.length }
      })
      expect(expected.reduce((sum, { silent }) => sum + silent, 0)).toBeGreaterThan(1)
      expect(expected.reduce((sum, { cancelled }) => sum + cancelled, 0)).toBeGreaterThan(0)
      expect(await ask('Churn after a limit', since, until)).toEqual(expected)
    })
  })

  describe('the views', () => {
    beforeEach(open)
    afterEach(() => fresh.drop())

    it('find what the engine records', async () => {
      const clock = { now: FIRST }
      const subjects = new SqlSubjects(database, { clock: { now: () => clock.now } })
      const tollgate = createTollgate({ planSets: [planSet], defaultPlan, subjects, record: new SqlRecord(database), clock: () => clock.now })
      const request = { subject: 'worlds:ada', operation: 'message', dimensions: { world: 'w1' }, content: 'hi' }
      await tollgate.consume(request)
      await tollgate.consume(request)
      const { reservation } = await tollgate.reserve({ ...request, dimensions: { world: 'w2' } })
      clock.now += 1500
      await reservation!.commit()
      await tollgate.setPlan('worlds:ada', 'plus')
      await tollgate.consume({ ...request, subject: 'worlds:bob' })
      await tollgate.setPlan('worlds:bob', 'ultra')
      await subjects.set('worlds:bob', { plan: 'virtual-worlds/ultra', nextPlan: { plan: 'virtual-worlds/free', at: 1 } })
      await tollgate.consume({ ...request, subject: 'worlds:eve' })
      await subjects.set('worlds:eve', { plan: 'virtual-worlds/ultra', nextPlan: { plan: 'virtual-worlds/free', at: 4e12 } })
      await tollgate.consume({ ...request, subject: 'worlds:dan', operation: 'agent_create' })
      await tollgate.flush()
      await createWorldViews(database)
      await createWorldViews(database)

      expect(await database.query('SELECT id, plan FROM "User" ORDER BY id')).toEqual([{ id: 'ada', plan: 'plus' }, { id: 'bob', plan: 'free' }, { id: 'dan', plan: 'free' }, { id: 'eve', plan: 'ultra' }])
      expect(await database.query('SELECT "userId", "resourceType", at FROM "Usage" ORDER BY "userId", at')).toEqual([
        { userId: 'ada', resourceType: 'world_message', at: FIRST },
        { userId: 'ada', resourceType: 'world_message', at: FIRST + 1500 },
        { userId: 'bob', resourceType: 'world_message', at: FIRST + 1500 },
        { userId: 'eve', resourceType: 'world_message', at: FIRST + 1500 },
      ])
      expect(await database.query('SELECT "userId", plan, "limitName", kind, day, amount, "firstAt" FROM "WorldViolation"')).toEqual([{ userId: 'ada', plan: 'free', limitName: 'cooldown', kind: 'cooldown', day: '2026-11-01', amount: 1, firstAt: FIRST }])
      expect(await database.query('SELECT "userId", "fromPlan", "toPlan", "changedAt" FROM "WorldPlanChange" ORDER BY "userId"')).toEqual([
        { userId: 'ada', fromPlan: 'free', toPlan: 'plus', changedAt: FIRST + 1500 },
        { userId: 'bob', fromPlan: 'free', toPlan: 'ultra', changedAt: FIRST + 1500 },
      ])
      await tollgate.close()
    })

    it('take the form of the product’s own, with days in UTC', async () => {
      const midnight = Math.floor(Date.now() / DAY_MS) * DAY_MS
      const message = { kind: 'consume', subject: 'worlds:ada', plan: 'virtual-worlds/free', planVersion: '1', operation: 'message', amounts: {}, uses: [], mode: 'enforce', count: 1 } as const
      const ages = [1, DAY_MS, DAY_MS + 1, 3 * DAY_MS, 9 * DAY_MS]
      await new SqlRecord(database).write(ages.map((age, i) => ({ ...message, id: `m${i}`, at: midnight - age })))
      await createWorldViews(database)
      const weekAgo = dialect === 'postgres' ? `NOW() - INTERVAL '7 days'` : `datetime('now', '-7 days')`
      const rows = await database.query(`
        SELECT u.id, u.plan, CAST(DATE(m."createdAt") AS text) AS day, COUNT(*) AS count FROM "Usage" m JOIN "User" u ON u.id = m."userId"
        WHERE m."resourceType" = 'world_message' AND m."createdAt" >= ${weekAgo} GROUP BY u.id, u.plan, DATE(m."createdAt") ORDER BY day DESC`)
      expect(rows).toEqual([
        { id: 'ada', plan: 'free', day: dayOf(midnight - 1), count: 2 },
        { id: 'ada', plan: 'free', day: dayOf(midnight - DAY_MS - 1), count: 1 },
        { id: 'ada', plan: 'free', day: dayOf(midnight - 3 * DAY_MS), count: 1 },
      ])
    })

    it('does not touch a table of the application’s own', async () => {
      await database.query('CREATE TABLE "User" (id text PRIMARY KEY)')
      await expect(createWorldViews(database)).rejects.toThrow(/^createWorldViews: the database has a table "User" of its own; query that, or/)
      await expect(database.query('SELECT 1 FROM "Usage"')).rejects.toThrow(/Usage/)
    })

    it('refuses what would go into SQL as it is', async () => {
      await expect(createWorldViews(database, { namespace: `x' OR 'y` })).rejects.toMatchObject({ code: 'INVALID_DEFINITION', field: 'namespace' })
      for (const messageCost of [-1, Number.NaN, '0; DROP TABLE x']) await expect(createWorldViews(database, { messageCost: messageCost as number })).rejects.toMatchObject({ code: 'INVALID_DEFINITION', field: 'messageCost' })
    })
  })
})
