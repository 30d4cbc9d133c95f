import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTollgate } from '../index.ts'
import type { UsageEvent } from '../record/event.ts'
import { SqlRecord } from '../record/sql.ts'
import type { Database } from '../stores/sql/database.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { DIALECTS, freshDatabase } from '../testing/databases.ts'
import { Random } from '../testing/random.ts'
import { type BusinessPlan, defaultPlan, monitorReport, planSet } from './business-chat.ts'

const DAY_MS = 86_400_000
const FIRST = Date.parse('2026-11-26T00:00:00Z')
const DAYS = 8
const AT = FIRST + (DAYS - 1) * DAY_MS + 43_200_000

const LIMITS = { FREE: [Infinity, 0], TRIAL: [200, 100_000], PAYG: [1000, 1_000_000], STARTER: [2000, 2_000_000], PRO: [5000, 5_000_000], ENTERPRISE: [10_000, 10_000_000] } as const
const PLANS = Object.keys(LIMITS) as BusinessPlan[]
const DENIALS = [{ limit: 'dailyMessages', kind: 'quota', code: 'DAILY_MESSAGE_LIMIT_EXCEEDED' }, { limit: 'monthlyTokens', kind: 'quota', code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED' }] as const

interface Day {
  readonly business: string
  readonly plan: BusinessPlan
  readonly date: string
  readonly messages: number
  /** How often each code, enforced and in shadow. */
  readonly denied: readonly [daily: number, tokens: number]
  readonly shadow: number
}

const dateOf = (at: number) => new Date(at).toISOString().slice(0, 10)

/** Eight days of 60 businesses: as events, and as what each business did. */
function generate(seed: number) {
  const random = new Random(seed)
  const days: Day[] = []
  const tokens = new Map<string, { plan: BusinessPlan; used: number }>()
  const events: UsageEvent[] = []
  for (let b = 0; b < 60; b++) {
    const [business, plan] = [`b${b}`, PLANS[b % PLANS.length]!]
    const [perDay, perMonth] = LIMITS[plan]
    const add = (kind: UsageEvent['kind'], at: number, more: Partial<UsageEvent>) =>
      events.push({ id: `e${events.length}`, at, kind, subject: `business:${business}`, plan: `business-chat/${plan}`, planVersion: '1', operation: 'message', amounts: {}, uses: [], mode: 'enforce', count: 1, ...more })
    tokens.set(business, { plan, used: 0 })
    for (let day = 0; day < DAYS; day++) {
      const start = FIRST + day * DAY_MS
      const at = () => start + random.integer(0, 43_199_999)
      const messages = plan === 'FREE' ? 0 : random.pick([0, random.integer(1, perDay - 1), perDay])
      if (messages > 0) {
        const used = random.integer(0, Math.floor(perMonth / 6))
        tokens.get(business)!.used += used
        add('commit', at(), {
          amounts: { tokens: used },
          uses: [
            { cell: 'business-chat/dailyMessages', limit: 'dailyMessages', partition: '', startAt: start, endAt: start + DAY_MS, max: perDay, amount: messages },
            { cell: 'business-chat/monthlyTokens', limit: 'monthlyTokens', partition: '', startAt: FIRST - DAY_MS, endAt: FIRST + 30 * DAY_MS, max: perMonth, amount: used },
          ],
        })
      }
      const isDenied = random.chance(plan === 'FREE' ? 0.3 : 0.01)
      const denied: [number, number] = isDenied ? (plan === 'FREE' ? [0, 2] : [random.integer(1, 9), random.integer(0, 3)]) : [0, 0]
      const shadow = random.chance(0.1) ? 3 : 0
      DENIALS.forEach((violation, i) => {
        if (denied[i]! > 0) add('denial', at(), { violations: [violation], count: denied[i]! })
      })
      if (shadow > 0) add('denial', at(), { violations: DENIALS, mode: 'shadow', count: shadow })
      days.push({ business, plan, date: dateOf(start), messages, denied, shadow })
    }
  }
  // Of others: the report is about businesses.
  events.push({ ...events[0]!, id: 'other', subject: 'worlds:b1' })
  return { days, tokens, events }
}

describe.each(DIALECTS)('monitorReport on %s', (dialect) => {
  let fresh: Awaited<ReturnType<typeof freshDatabase>>
  let database: Database
  beforeEach(async () => {
    fresh = await freshDatabase(dialect)
    ;({ database } = fresh)
    await migrate(database)
  })
  afterEach(() => fresh.drop())

  it('is empty of an empty record', async () => {
    expect(await monitorReport(database, { at: AT, days: 2 })).toEqual({
      at: AT,
      atDailyLimit: [{ date: '2026-12-02', businesses: 0 }, { date: '2026-12-03', businesses: 0 }],
      nearTokenLimit: [],
      aboveLimit: [],
      denials: [],
      blocked: { active: 0, blocked: 0, share: 0, isOnTarget: true, free: 0 },
    })
  })

  it.each([
    [1, AT],
    [7, AT],
    [8, AT],
    [2, AT - 2 * DAY_MS],
  ])('tells what happened in %d days up to %d', async (count, at) => {
    const { days, tokens, events } = generate(5)
    await new SqlRecord(database).write(events)
    await new SqlRecord(database, { namespace: 'another' }).write(events.slice(0, 50).map((event) => ({ ...event, id: `x${event.id}` })))
    const dates = Array.from({ length: count }, (_, i) => dateOf(at - (count - 1 - i) * DAY_MS))
    const told = days.filter(({ date }) => dates.includes(date))
    const businesses = (isMeant: (day: Day) => boolean) => new Set(told.filter(isMeant).map(({ business }) => business)).size
    const sum = (of: (day: Day) => number) => told.reduce((total, day) => total + of(day), 0)
    const isBlocked = ({ plan, denied }: Day) => plan !== 'FREE' && denied.some((times) => times > 0)
    const active = businesses((day) => day.messages > 0 || isBlocked(day))
    const blocked = businesses(isBlocked)
    const near = PLANS.map((plan) => ({ plan, businesses: [...tokens.values()].filter((own) => own.plan === plan && own.used > LIMITS[plan][1] * 0.8).length }))
    expect(await monitorReport(database, { at, days: count })).toEqual({
      at,
      atDailyLimit: dates.map((date) => ({ date, businesses: told.filter((day) => day.date === date && day.messages === LIMITS[day.plan][0]).length })),
      nearTokenLimit: near.filter((row) => row.businesses > 0).toSorted((a, b) => (a.plan < b.plan ? -1 : 1)),
      aboveLimit: [],
      denials: DENIALS.map(({ code }, i) => ({ code, denied: sum(({ denied }) => denied[i]!), shadow: sum(({ shadow }) => shadow) })),
      blocked: { active, blocked, share: blocked / active, isOnTarget: blocked / active < 0.05, free: businesses(({ plan, denied }) => plan === 'FREE' && denied[1] > 0) },
    })
  })

  it('names a counter that is above its limit', async () => {
    const { events } = generate(5)
    const [event] = events.filter(({ subject, uses }) => subject === 'business:b1' && uses.length > 0)
    const uses = event!.uses.map((use) => (use.limit === 'dailyMessages' ? { ...use, amount: 201 } : { ...use, amount: 100_001 }))
    await new SqlRecord(database).write([{ ...event!, uses }])
    expect((await monitorReport(database, { at: AT, days: DAYS })).aboveLimit).toEqual([{ business: 'b1', plan: 'TRIAL', date: dateOf(event!.at), count: 201, limit: 200 }])
    expect((await monitorReport(database, { at: FIRST - 1 })).aboveLimit).toEqual([])
  })

  it('reads what the engine records', async () => {
    const tollgate = createTollgate({ planSets: [planSet], defaultPlan, record: new SqlRecord(database), clock: () => AT })
    const send = (business: string, plan?: BusinessPlan) => tollgate.consume({ subject: `business:${business}`, operation: 'message', amounts: { tokens: 401 }, ...(plan && { plan }) })
    await Promise.all(Array.from({ length: 210 }, () => send('a')))
    for (let i = 0; i < 30; i++) await send('b', 'PRO')
    await send('c', 'FREE')
    await tollgate.flush()
    expect(await monitorReport(database, { at: AT, days: 1 })).toEqual({
      at: AT,
      atDailyLimit: [{ date: '2026-12-03', businesses: 1 }],
      nearTokenLimit: [{ plan: 'TRIAL', businesses: 1 }],
      aboveLimit: [],
      denials: [{ code: 'DAILY_MESSAGE_LIMIT_EXCEEDED', denied: 10, shadow: 0 }, { code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', denied: 1, shadow: 0 }],
      blocked: { active: 2, blocked: 1, share: 0.5, isOnTarget: false, free: 1 },
    })
    await tollgate.close()
  })

  it('says what it cannot take', async () => {
    for (const at of [-1, 1.5, Number.NaN, 'now']) await expect(monitorReport(database, { at: at as number })).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'at' })
    for (const days of [0, 91]) await expect(monitorReport(database, { days })).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'days' })
  })
})
