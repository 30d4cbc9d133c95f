import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { capacity, quota } from '../../src/define/limits.ts'
import type { UsageEvent } from '../../src/record/event.ts'
import { Analytics, type DenialColumn, type DenialRow, type Page, type UsageColumn, type UsageRow } from '../../src/record/analytics/index.ts'
import { SqlRecord } from '../../src/record/sql.ts'
import type { Database } from '../../src/stores/sql/database.ts'
import { migrate } from '../../src/stores/sql/migrate.ts'
import { DIALECTS, freshDatabase } from '../../src/testing/databases.ts'
import { byKey, DAY_MS, dayIn, distinct, groups, isDenied, isUse, sum, totalsOf } from './expected.ts'
import { END, isPremium, PLANS, type PlanName, traffic } from './traffic.ts'

const BATCH = 500
/** With days without a month's end, and a change of clocks between them. */
const RANGE = { from: '2026-02-20', to: '2026-03-24' }
const WORLDS: Record<string, UsageEvent[]> = { utc: traffic(7, 'utc'), 'new-york': traffic(7, 'ny'), tokyo: traffic(8, 'tk', 20) }
const ZONES = [['utc', 'UTC'], ['new-york', 'America/New_York'], ['tokyo', 'Asia/Tokyo']] as const
const clock = { now: () => END }
const ranks = Object.fromEntries(Object.entries(PLANS).map(([plan, { rank }]) => [plan, rank]))

async function write(database: Database, namespace: string, timezone: string, events: readonly UsageEvent[]): Promise<void> {
  const record = new SqlRecord(database, { namespace, timezone })
  for (let i = 0; i < events.length; i += BATCH) await record.write(events.slice(i, i + BATCH))
}

describe.each(DIALECTS)('%s', (dialect) => {
  let database: Database
  let drop: () => Promise<void>
  beforeAll(async () => {
    ;({ database, drop } = await freshDatabase(dialect))
    await migrate(database)
    // All in one database: what is another's would show.
    for (const [namespace, timezone] of ZONES) await write(database, namespace, timezone, WORLDS[namespace]!)
  }, 300_000)
  afterAll(() => drop?.())

  describe.each(ZONES)('%s', (namespace, timezone) => {
    const events = WORLDS[namespace]!
    const dayOf = dayIn(timezone)
    const inRange = events.filter(({ at }) => dayOf(at) >= RANGE.from && dayOf(at) <= RANGE.to)
    const uses = inRange.filter(isUse)
    const months = new Set(['2026-02', '2026-03'])
    const monthOf = ({ at }: UsageEvent): string => dayOf(at).slice(0, 7)
    const ofMonths = events.filter((event) => isUse(event) && months.has(monthOf(event)))
    let analytics: Analytics
    beforeAll(() => {
      analytics = new Analytics(database, { namespace, timezone, clock })
    })

    const columnOf: Record<UsageColumn, (event: UsageEvent) => string> = {
      day: ({ at }) => dayOf(at), plan: ({ plan }) => plan, operation: ({ operation }) => operation!, model: ({ dimensions }) => dimensions?.['model'] ?? '', limit: () => '',
    }
    const groupOf = (event: UsageEvent, by: readonly UsageColumn[]) => Object.fromEntries(by.map((column) => [column, columnOf[column](event)]))

    it.each<[UsageColumn[]]>([[['day']], [['plan']], [['plan', 'day']], [['operation']], [['model', 'plan']], [['day', 'plan', 'operation', 'model']]])('sums use by %j', async (by) => {
      const expected = groups(uses, (event) => groupOf(event, by)).map(([key, of]) => ({
        ...JSON.parse(key), requests: of.length, amounts: { tokens: sum(of.map(({ amounts }) => amounts['tokens']!)) },
        ...(by.every((column) => column === 'day' || column === 'plan') && { activeSubjects: distinct(of) }),
      }))
      const { rows } = await analytics.usage({ ...RANGE, by })
      expect(byKey(rows, (row: UsageRow) => by.map((column) => row[column]))).toEqual(byKey(expected, (row: UsageRow) => by.map((column) => row[column])))
      expect(rows.length).toBeGreaterThan(1)
    })

    it('sums what limits counted', async () => {
      const counted = uses.flatMap((event) => event.uses.map(({ limit, amount }) => ({ plan: event.plan, limit, amount })))
      const expected = groups(counted, ({ plan, limit }) => [plan, limit]).map(([key, of]) => ({ plan: JSON.parse(key)[0], limit: JSON.parse(key)[1], used: sum(of.map(({ amount }) => amount)) }))
      expect((await analytics.usage({ ...RANGE, by: ['plan', 'limit'] })).rows).toEqual(expected)
    })

    it('counts who was active in each month, whole months', async () => {
      const expected = groups(ofMonths.flatMap((event) => [null, event.plan].map((plan) => ({ plan, event }))), ({ plan, event }) => [monthOf(event), plan ?? ''])
        .map(([key, of]) => ({ month: JSON.parse(key)[0], plan: JSON.parse(key)[1] || null, activeSubjects: distinct(of.map(({ event }) => event)) }))
      expect((await analytics.usage(RANGE)).months).toEqual(expected)
    })

    it('tells the share of models, and of premium use', async () => {
      const { models, limits } = await analytics.usage(RANGE)
      for (const plan of [null, 'chat/user']) {
        const all = uses.filter((event) => plan === null || event.plan === plan)
        for (const model of ['gemini-2.0-flash', 'claude-opus-4', 'claude-3-haiku']) {
          const requests = all.filter(({ dimensions }) => dimensions?.['model'] === model).length
          expect(models.find((row) => row.plan === plan && row.name === model)).toEqual({ plan, name: model, requests, share: requests / all.length })
        }
        const premium = all.filter(({ dimensions, uses }) => isPremium(dimensions?.['model']) && uses.length === 2).length
        expect(limits.find((row) => row.plan === plan && row.name === 'premium')).toEqual({ plan, name: 'premium', requests: premium, share: premium / all.length })
      }
      expect(models).toHaveLength(6)
    })

    it('tells how much an active subject of a plan uses', async () => {
      const expected = groups(uses, ({ plan }) => plan).map(([key, of]) => ({ plan: JSON.parse(key), requests: of.length, activeSubjects: distinct(of), average: of.length / distinct(of) }))
      expect(await analytics.averageUse(RANGE)).toEqual(expected)
    })

    const denials = inRange.filter(({ kind }) => kind === 'denial')

    it.each<[DenialColumn[]]>([[['day']], [['plan', 'operation']], [['mode']], [['day', 'mode', 'plan']]])('sums denied requests by %j', async (by) => {
      const column: Record<string, (event: UsageEvent) => string> = { ...columnOf, mode: ({ mode }) => mode }
      const counted = by.includes('mode') ? denials : denials.filter(isDenied)
      const expected = groups(counted, (event) => by.map((name) => column[name]!(event))).map(([key, of]) => ({
        ...Object.fromEntries(by.map((name, i) => [name, JSON.parse(key)[i]])), requests: sum(of.map(({ count }) => count)), violations: sum(of.map(({ count, violations }) => count * violations!.length)),
      }))
      const { rows, subjects } = await analytics.denials({ ...RANGE, by })
      expect(byKey(rows, (row: DenialRow) => by.map((name) => row[name]))).toEqual(expected)
      expect(subjects).toEqual(groups(counted, ({ plan, mode }) => [plan, mode]).map(([key, of]) => ({ plan: JSON.parse(key)[0], mode: JSON.parse(key)[1], subjects: distinct(of) })))
    })

    it.each<[('limit' | 'kind' | 'code')[]]>([[['limit']], [['kind']], [['code', 'limit']]])('sums violations by %j', async (by) => {
      const counted = denials.filter(isDenied).flatMap(({ count, violations = [] }) => violations.map((violation) => ({ ...violation, count })))
      const expected = groups(counted, (violation) => by.map((name) => violation[name])).map(([key, of]) => ({ ...Object.fromEntries(by.map((name, i) => [name, JSON.parse(key)[i]])), violations: sum(of.map(({ count }) => count)) }))
      expect(byKey((await analytics.denials({ ...RANGE, by })).rows, (row: DenialRow) => by.map((name) => row[name]))).toEqual(expected)
    })

    const everyPage = async <R>(ask: (page: { after?: string; limit: number }) => Promise<Page<R>>): Promise<R[]> => {
      const rows: R[] = []
      for (let after: string | null | undefined; after !== null; ) {
        const page = await ask({ limit: 7, ...(after !== undefined && { after }) })
        rows.push(...page.rows)
        after = page.next
      }
      return rows
    }

    it('names who was denied, page by page', async () => {
      const expected = groups(denials.filter(isDenied), ({ subject, plan }) => [subject, plan]).map(([, of]) => ({ subject: of[0]!.subject, plan: of[0]!.plan, requests: sum(of.map(({ count }) => count)), lastAt: Math.max(...of.map(({ at }) => at)) }))
      const rows = await everyPage((page) => analytics.deniedSubjects({ ...RANGE, ...page }))
      expect(byKey(rows, (row: { subject: string; plan: string }) => [row.subject, row.plan])).toEqual(expected)
      expect(rows.length).toBeGreaterThan(7)
    })

    const totalRow = ({ subject, plan, limit, partition, used, max, startAt, endAt }: ReturnType<typeof totalsOf>[number]) => ({ subject, plan, limit, partition, used, max, isOver: used > max, startAt, endAt })
    const keyOf = (row: { subject: string; limit: string; startAt: number }) => [row.subject, row.limit, row.startAt]
    const countsOf = (rows: readonly ReturnType<typeof totalRow>[], more: (row: ReturnType<typeof totalRow>) => object = () => ({})) =>
      groups(rows, ({ plan, limit, ...row }) => ({ ...more({ plan, limit, ...row }), plan, limit })).map(([key, of]) => ({ ...JSON.parse(key), subjects: of.length, over: of.filter(({ isOver }) => isOver).length }))

    it.each([0.8, 0.07, 1])('names who has used %d of a limit now', async (share) => {
      const expected = totalsOf(events).filter(({ startAt, endAt, max, used }) => startAt <= END && END < endAt && max !== Infinity && used >= share * max).map(totalRow)
      const rows = await everyPage((page) => analytics.nearLimits({ share, page }))
      expect(byKey(rows, keyOf)).toEqual(byKey(expected, keyOf))
      const { counts } = await analytics.nearLimits({ share })
      expect(counts).toEqual(countsOf(expected))
      expect(rows.some(({ limit }) => limit === 'premium')).toBe(share !== 1 || expected.some(({ limit }) => limit === 'premium'))
      expect((await analytics.nearLimits({ share, limit: 'premium' })).rows.map(({ limit }) => limit)).toEqual(expected.filter(({ limit }) => limit === 'premium').slice(0, 100).map(() => 'premium'))
    })

    it('names who used up a daily quota in the last days', async () => {
      const days = 30
      const first = dayOf(END - (days - 1) * DAY_MS)
      const expected = totalsOf(events).filter(({ limit, endAt, max, used }) => limit === 'daily' && dayOf(endAt - 1) >= first && used >= max).map(totalRow)
      const rows = await everyPage((page) => analytics.fullDays({ days, limit: 'daily', page }))
      expect(byKey(rows, keyOf)).toEqual(byKey(expected, keyOf))
      expect((await analytics.fullDays({ days })).counts).toEqual(countsOf(expected, ({ startAt }) => ({ day: dayOf(startAt) })))
      expect(expected.length).toBeGreaterThan(0)
    })

    it('counts money to the last decimal', async () => {
      const { rows, total, currency } = await analytics.economics({ ...RANGE, costs: { perUnit: { tokens: 0.000_000_15 }, rates: { RUB: 0.0127 } }, plans: PLANS })
      const plans = groups(ofMonths, ({ plan }) => plan).map(([key]) => JSON.parse(key) as PlanName)
      let [costs, revenues] = [0, 0]
      const expected = plans.map((plan) => {
        const own = uses.filter((event) => event.plan === plan)
        const subjectMonths = sum([...months].map((month) => distinct(ofMonths.filter((event) => event.plan === plan && monthOf(event) === month))))
        // In hundredths of a millionth: 0.0005 are 50,000, a token 15. 490 RUB every 7 days are 2,100 every 30, so 26.67 USD.
        const cost = own.length * 50_000 + sum(own.map(({ amounts }) => amounts['tokens']!)) * 15
        const revenue = subjectMonths * { 'worlds/free': 0, 'worlds/plus': 510_000_000, 'worlds/ultra': 1_503_000_000, 'chat/user': 2_667_000_000 }[plan]
        costs += cost
        revenues += revenue
        return { plan, requests: own.length, activeSubjects: distinct(own), subjectMonths, ...balance(cost, revenue) }
      })
      expect(currency).toBe('USD')
      expect(rows).toEqual(expected)
      expect(total).toEqual({ requests: uses.length, ...balance(costs, revenues) })
    })

    it('charges for the operations that the headline of a plan counts', async () => {
      const [message, any] = [quota({ limit: 2, every: 'day', match: { operation: ['message'] } }), quota({ limit: 9, every: 'day' })]
      const plans = {
        'worlds/free': { headline: 'messages', limits: { all: any, messages: message } },
        'worlds/plus': { limits: { agents: capacity({ limit: 3, match: { operation: 'image' } }), messages: message, all: any } },
        'worlds/ultra': { headline: 'all', limits: { messages: message, all: any } },
      }
      const { rows } = await analytics.economics({ ...RANGE, costs: { perRequest: 0.5 }, plans })
      const expected = Object.keys(PLANS).toSorted().map((plan) => {
        const own = uses.filter((event) => event.plan === plan)
        const costly = plan === 'worlds/free' || plan === 'worlds/plus' ? own.filter(({ operation }) => operation === 'message') : own
        return [plan, own.length, costly.length / 2]
      })
      expect(rows.map(({ plan, requests, cost }) => [plan, requests, cost])).toEqual(expected)
    })

    /** Of hundredths of a millionth. */
    const balance = (cost: number, revenue: number) => ({ cost: Math.round(cost / 100) / 1e6, revenue: revenue / 1e8, profit: Math.sign(revenue - cost) * Math.round(Math.abs(revenue - cost) / 100) / 1e6, roi: expect.closeTo((revenue - cost) / cost, 9) })

    it('knows no revenue where a currency has no rate', async () => {
      const { rows, total } = await analytics.economics({ ...RANGE, plans: PLANS })
      expect(rows.map(({ plan, revenue, profit, roi }) => [plan, revenue === null, profit === null, roi === null])).toEqual(rows.map(({ plan }) => [plan, plan === 'chat/user', plan === 'chat/user', plan === 'chat/user']))
      expect(total).toMatchObject({ revenue: null, profit: null, roi: null })
    })

    it.each([[30, 14], [2, 3], [10, 20]])('tells who upgraded within %i days, and who did not come back in %i', async (windowDays, churnDays) => {
      const denied = groups(denials.filter(isDenied), ({ subject, plan }) => [subject, plan]).map(([, of]) => ({ subject: of[0]!.subject, plan: of[0]!.plan, times: of.map(({ at }) => at) }))
      const fates = denied.map(({ subject, plan, times }) => {
        const upgrades = events.flatMap((event) => {
          const deniedAt = Math.max(...times.filter((at) => at <= event.at))
          const isUpgrade = event.kind === 'plan' && event.subject === subject && ranks[event.plan]! > ranks[plan]! && event.at - deniedAt <= windowDays * DAY_MS
          return isUpgrade ? [event.at - deniedAt] : []
        })
        // Noon of the day, so that no change of clocks matters.
        const noonOf = Date.parse(`${dayOf(Math.max(...times))}T12:00:00Z`)
        const following = Array.from({ length: churnDays }, (_, i) => new Date(noonOf + (i + 1) * DAY_MS).toISOString().slice(0, 10))
        return { plan, took: upgrades[0], isJudged: following.at(-1)! < dayOf(END), isGone: !events.some((event) => isUse(event) && event.subject === subject && following.includes(dayOf(event.at))) }
      })
      const expected = groups(fates, ({ plan }) => plan).map(([key, of]) => {
        const took = of.flatMap((fate) => fate.took ?? []).toSorted((a, b) => a - b)
        const judged = of.filter(({ isJudged }) => isJudged)
        const churned = judged.filter(({ isGone }) => isGone).length
        const middle = took.length === 0 ? null : (took[Math.floor((took.length - 1) / 2)]! + took[Math.ceil((took.length - 1) / 2)]!) / 2
        return {
          plan: JSON.parse(key), denied: of.length, upgraded: took.length, upgradeShare: took.length / of.length, medianMs: middle, meanMs: took.length === 0 ? null : sum(took) / took.length,
          judged: judged.length, churned, churnShare: judged.length === 0 ? 0 : churned / judged.length,
        }
      })
      const { rows } = await analytics.conversion({ ...RANGE, windowDays, churnDays, ranks })
      expect(rows).toEqual(expected)
      expect(sum(rows.map(({ upgraded }) => upgraded))).toBeGreaterThan(0)
      expect(sum(rows.map(({ churned }) => churned))).toBeGreaterThan(0)
    })
  })

  it('asks about the last 30 days and today when it is not told', async () => {
    const analytics = new Analytics(database, { namespace: 'utc', clock })
    expect(await analytics.usage()).toEqual(await analytics.usage({ from: '2026-03-10', to: '2026-04-09', by: 'day' }))
    // Whole months' revenue needs the cost of whole months.
    expect(await analytics.economics({ plans: PLANS })).toEqual(await analytics.economics({ from: '2026-04-01', to: '2026-04-09', plans: PLANS }))
    expect(await analytics.economics({ to: '2026-03-31', plans: PLANS })).toMatchObject({ from: '2026-03-01', to: '2026-03-31' })
    expect((await new Analytics(database, { namespace: 'utc' }).usage()).to).toMatch(/^20\d\d-\d\d-\d\d$/)
    // In Kiritimati it is tomorrow.
    expect(await new Analytics(database, { timezone: 'Pacific/Kiritimati', clock }).usage()).toMatchObject({ from: '2026-03-11', to: '2026-04-10', rows: [] })
  })

  it('answers empty ranges, and namespaces of nobody, with nothing', async () => {
    const empty = { from: '2020-01-01', to: '2020-12-31' }
    for (const [analytics, range] of [[new Analytics(database, { namespace: 'utc', clock }), empty], [new Analytics(database, { namespace: 'nobody', clock }), RANGE]] as const) {
      expect(await analytics.usage(range)).toEqual({ ...range, rows: [], months: [], models: [], limits: [] })
      expect(await analytics.averageUse(range)).toEqual([])
      expect(await analytics.denials(range)).toEqual({ ...range, rows: [], subjects: [] })
      expect(await analytics.deniedSubjects(range)).toEqual({ rows: [], next: null })
      expect(await analytics.economics({ ...range, plans: PLANS })).toEqual({ ...range, currency: 'USD', rows: [], total: { requests: 0, cost: 0, revenue: 0, profit: 0, roi: null } })
      expect(await analytics.conversion({ ...range, ranks })).toEqual({ ...range, rows: [] })
    }
    const nobody = new Analytics(database, { namespace: 'nobody', clock })
    expect(await nobody.nearLimits()).toEqual({ rows: [], counts: [], next: null })
    expect(await nobody.fullDays()).toEqual({ rows: [], counts: [], next: null })
  })

  it('keeps the sums of an erased subject, and not its name', async () => {
    const timezone = 'UTC'
    await write(database, 'erasing', timezone, traffic(7, 'erasing', 5))
    const analytics = new Analytics(database, { namespace: 'erasing', clock })
    const ask = () => Promise.all([analytics.usage(RANGE), analytics.averageUse(RANGE), analytics.denials(RANGE), analytics.conversion({ ...RANGE, ranks })])
    const [before, { rows }] = [await ask(), await analytics.deniedSubjects(RANGE)]
    await new SqlRecord(database, { namespace: 'erasing', timezone }).erase(rows[0]!.subject!)
    expect(await ask()).toEqual(before)
    expect((await analytics.deniedSubjects(RANGE)).rows).toEqual(rows.map((row) => (row.subject === rows[0]!.subject ? { ...row, subject: null } : row)))
  })

  it('counts who was active, however many days they were, and whichever way they are read', async () => {
    // Of ten subjects, those on all days, on one in three, and one each on the first, the last and other days alone.
    const days = Array.from({ length: 61 }, (_, i) => Date.UTC(2026, 3, 1, 12) + i * DAY_MS)
    const isThere = (subject: number, day: number): boolean => (subject < 3 ? true : subject < 6 ? (subject + day) % 3 === 0 : day === [0, 30, 9, 45][subject - 6])
    const planOf = (subject: number, day: number): string => (subject === 1 && day > 20 ? 'worlds/plus' : 'worlds/free')
    const uses = days.flatMap((at, day) => Array.from({ length: 10 }, (_, subject) => subject).filter((subject) => isThere(subject, day)).map((subject): UsageEvent => ({
      id: `over-${day}-${subject}`, at, kind: 'consume', subject: `user:${subject}`, plan: planOf(subject, day), planVersion: '', operation: '', amounts: {}, uses: [], mode: 'enforce', count: 1,
    })))
    await write(database, 'over', 'UTC', uses)
    const analytics = new Analytics(database, { namespace: 'over', clock: { now: () => days.at(-1)! } })
    const dayOf = dayIn('UTC')
    for (let from = 0; from < days.length; from += 4) {
      for (let to = from; to < days.length; to += 3) {
        const inRange = uses.filter(({ at }) => at >= days[from]! && at <= days[to]!)
        const expected = groups(inRange, ({ plan }) => plan).map(([key, of]) => [JSON.parse(key), distinct(of)])
        const rows = await analytics.averageUse({ from: dayOf(days[from]!), to: dayOf(days[to]!) })
        expect(rows.map(({ plan, activeSubjects }) => [plan, activeSubjects]), `${from} to ${to}`).toEqual(expected)
      }
    }
  })

  it('counts a scheduled change once, however often it was announced, and not before its time', async () => {
    const common = { subject: 'user:1', plan: 'worlds/free', planVersion: '', amounts: {}, uses: [], mode: 'enforce', count: 1 } as const
    const change = { ...common, kind: 'plan', plan: 'worlds/plus', fromPlan: 'worlds/free', at: Date.UTC(2026, 2, 11) } as const
    await write(database, 'scheduled', 'UTC', [{ ...common, id: 'scheduled-1', kind: 'denial', at: Date.UTC(2026, 2, 10), violations: [] }, { ...change, id: 'scheduled-2' }, { ...change, id: 'scheduled-3' }, { ...change, id: 'scheduled-4', at: END + DAY_MS, plan: 'worlds/ultra' }])
    const [once] = (await new Analytics(database, { namespace: 'scheduled', clock }).conversion({ ...RANGE, ranks })).rows
    expect(once).toMatchObject({ denied: 1, upgraded: 1, medianMs: DAY_MS, meanMs: DAY_MS })
    const before = { now: () => Date.UTC(2026, 2, 10, 23) }
    expect((await new Analytics(database, { namespace: 'scheduled', clock: before }).conversion({ ...RANGE, ranks })).rows).toMatchObject([{ denied: 1, upgraded: 0 }])
  })

  it('does not take a month of use for a day of it', async () => {
    const common = { subject: 'user:1', plan: 'worlds/free', planVersion: '', operation: 'message', amounts: {}, uses: [], mode: 'enforce', count: 1 } as const
    const denial: UsageEvent = { ...common, id: 'months-1', kind: 'denial', at: Date.UTC(2026, 1, 25), violations: [] }
    await write(database, 'months', 'UTC', [denial, { ...common, id: 'months-2', kind: 'consume', at: Date.UTC(2026, 2, 20) }])
    const { rows } = await new Analytics(database, { namespace: 'months', clock }).conversion({ ...RANGE, churnDays: 10, ranks })
    expect(rows).toMatchObject([{ denied: 1, judged: 1, churned: 1 }])
  })

  it('reads tables of other names', async () => {
    const tables = { tablePrefix: 'other_', ...(dialect === 'postgres' && { schema: 'elsewhere' }) }
    await migrate(database, tables)
    await new SqlRecord(database, tables).write(traffic(9, 'elsewhere', 3))
    const analytics = new Analytics(database, { ...tables, clock })
    expect((await analytics.usage(RANGE)).rows.length).toBeGreaterThan(0)
    expect(await new Analytics(database, { clock }).averageUse(RANGE)).toEqual([])
  })

  it('gives names back as they were', async () => {
    const names = ['"quoted"', 'back\\slash', 'new\nline', '\ud800', 'ünï', 'nul\0']
    const denial = { kind: 'denial', plan: 'p', planVersion: '', amounts: {}, uses: [], violations: [], mode: 'enforce', count: 1 } as const
    await write(database, 'names', 'UTC', names.map((subject, i) => ({ ...denial, id: `names-${i}`, at: END, subject })))
    const { rows } = await new Analytics(database, { namespace: 'names', clock }).deniedSubjects()
    expect(rows.map(({ subject }) => subject).toSorted()).toEqual(names.toSorted())
  })

  it('has one text for each question, and goes through no table that it need not', async () => {
    const texts = new Set<string>()
    const watched: Database = { ...database, dialect, query: (sql, params) => (texts.add(sql), database.query(sql, params)), transaction: (work) => database.transaction(work), close: () => database.close() }
    const analytics = new Analytics(watched, { namespace: 'utc', clock })
    const ranges = [RANGE, { from: '2026-03-01', to: '2026-03-31' }, { from: '2026-03-08', to: '2026-03-08' }]
    for (const range of ranges) {
      for (const by of [['day'], ['plan'], ['day', 'plan', 'operation', 'model'], ['limit']] as UsageColumn[][]) await analytics.usage({ ...range, by })
      for (const by of [['day'], ['limit', 'code'], ['mode']] as DenialColumn[][]) await analytics.denials({ ...range, by })
      await analytics.averageUse(range)
      await analytics.deniedSubjects({ ...range, limit: 3 })
      await analytics.economics({ ...range, plans: PLANS })
      await analytics.conversion({ ...range, ranks })
      for (const limit of ['', 'daily']) await Promise.all([analytics.nearLimits({ limit }), analytics.fullDays({ limit, page: { limit: 3 } })])
    }
    expect(texts.size).toBe(13)
    expect([...texts].filter((sql) => sql.includes('usage_events'))).toEqual([])
    if (dialect !== 'sqlite') return
    for (const sql of texts) {
      const plan = await database.query(`EXPLAIN QUERY PLAN ${sql}`, Array.from({ length: 11 }, () => '1').slice(0, Math.max(...[...sql.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)))))
      expect(plan.map(({ detail }) => detail as string).filter((detail) => /^SCAN (?!r$|json_each)/.test(detail)), sql).toEqual([])
    }
  })
})
