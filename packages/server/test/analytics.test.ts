import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { UsageEvent } from 'tollgate'
import { type Database, migrate, openPostgres } from 'tollgate/postgres'
import { openSqlite, SqlRecord } from 'tollgate/sqlite'
import { type Fresh, freshPostgres } from '../../tollgate/src/testing/databases.ts'
import { StartupError } from '../src/index.ts'
import { settingsOf } from '../src/environment.ts'
import { ADMIN_KEY, eventually, jsonOf, startServer, temporaryFolder, type TestServer } from './helpers.ts'

const DAY_MS = 86_400_000
const AT = Date.UTC(2026, 2, 10, 12)
const RANGE = 'from=2026-03-01&to=2026-03-31'
const ROUTES = ['usage', 'denials', 'economics', 'conversion'] as const

let made = 0
const event = (more: Partial<UsageEvent>): UsageEvent => ({ id: `e${made++}`, at: AT, kind: 'consume', subject: 'worlds:ana', plan: 'virtual-worlds/free', planVersion: '', operation: 'message', amounts: {}, uses: [], mode: 'enforce', count: 1, ...more })
const violation = { limit: 'dailyMessages', kind: 'quota', code: 'QUOTA_EXCEEDED' }

/** Two days of two subjects: one is denied, and changes its plan an hour later. */
const happened = (): UsageEvent[] => [
  event({}),
  event({ amounts: { tokens: 40 }, at: AT + DAY_MS }),
  event({ subject: 'worlds:eva', operation: '=cmd' }),
  event({ kind: 'denial', violations: [violation], count: 3 }),
  event({ kind: 'plan', at: AT + 3_600_000, plan: 'virtual-worlds/plus', fromPlan: 'virtual-worlds/free' }),
  event({ plan: 'virtual-worlds/plus', at: AT + 2 * DAY_MS }),
]

/** Without a demo, today is what the database says: all that happened in March 2026 is over. */
const places = {
  async folder(): Promise<{ started: TestServer; database: Database }> {
    const dataDir = temporaryFolder()
    const started = await startServer({ dataDir, demo: false })
    return { started, database: await openSqlite(join(dataDir, 'tollgate.db')) }
  },
  async database(): Promise<{ started: TestServer; database: Database }> {
    const started = await startServer({ databaseUrl: fresh.url, demo: false })
    return { started, database: await openPostgres(fresh.url) }
  },
}

let fresh: Fresh
beforeAll(async () => {
  fresh = await freshPostgres()
})
afterAll(() => fresh?.drop())

describe.each(['folder', 'database'] as const)('/v1/analytics on a %s', (place) => {
  let ask: TestServer['ask']
  const get = (path: string, headers: Record<string, string> = {}, key: string = ADMIN_KEY) => ask('GET', `/v1/analytics/${path}`, { headers, key })

  /** A server of each test's own. Of the database, which they share, the first finds nothing. */
  async function start(): Promise<void> {
    const { started, database } = await places[place]()
    ask = started.ask
    const [row] = await database.query(`SELECT count(*) AS n FROM ${place === 'folder' ? '' : 'tollgate.'}usage_events`)
    if (row!['n'] === 0) await new SqlRecord(database).write(happened())
    await database.close()
  }

  it('usage', async () => {
    await start()
    expect(await jsonOf(get(`usage?${RANGE}`))).toEqual({
      from: '2026-03-01', to: '2026-03-31',
      rows: [
        { day: '2026-03-10', requests: 2, amounts: {}, activeSubjects: 2 },
        { day: '2026-03-11', requests: 1, amounts: { tokens: 40 }, activeSubjects: 1 },
        { day: '2026-03-12', requests: 1, amounts: {}, activeSubjects: 1 },
      ],
      months: [{ month: '2026-03', plan: null, activeSubjects: 2 }, { month: '2026-03', plan: 'virtual-worlds/free', activeSubjects: 2 }, { month: '2026-03', plan: 'virtual-worlds/plus', activeSubjects: 1 }],
      models: [], limits: [],
    })
    expect((await jsonOf(get(`usage?${RANGE}&by=plan,operation`))).rows).toEqual([
      { plan: 'virtual-worlds/free', operation: '=cmd', requests: 1, amounts: {} },
      { plan: 'virtual-worlds/free', operation: 'message', requests: 2, amounts: { tokens: 40 } },
      { plan: 'virtual-worlds/plus', operation: 'message', requests: 1, amounts: {} },
    ])
  })

  it('denials', async () => {
    await start()
    expect(await jsonOf(get(`denials?${RANGE}&by=code`))).toEqual({
      from: '2026-03-01', to: '2026-03-31',
      rows: [{ code: 'QUOTA_EXCEEDED', violations: 3 }],
      subjects: [{ plan: 'virtual-worlds/free', mode: 'enforce', subjects: 1 }],
      denied: { rows: [{ subject: 'worlds:ana', plan: 'virtual-worlds/free', requests: 3, lastAt: AT }], next: null },
    })
  })

  it('economics: prices of the plans, and a cost that can be told', async () => {
    await start()
    const { rows, total, currency } = await jsonOf(get(`economics?${RANGE}&by=plan`))
    expect(currency).toBe('USD')
    expect(rows).toEqual([
      // One of them is no message.
      { plan: 'virtual-worlds/free', requests: 3, activeSubjects: 2, subjectMonths: 2, cost: 0.001, revenue: 0, profit: -0.001, roi: -1 },
      { plan: 'virtual-worlds/plus', requests: 1, activeSubjects: 1, subjectMonths: 1, cost: 0.0005, revenue: 5, profit: 4.9995, roi: 9999 },
    ])
    expect(total).toEqual({ requests: 4, cost: 0.0015, revenue: 5, profit: 4.9985, roi: expect.closeTo(4.9985 / 0.0015, 9) })
    expect((await jsonOf(get(`economics?${RANGE}&costPerRequest=0.25`))).total).toMatchObject({ cost: 0.75, profit: 4.25 })
  })

  it('conversion: ranks of the plans', async () => {
    await start()
    expect((await jsonOf(get(`conversion?${RANGE}&windowDays=2&churnDays=3`))).rows).toEqual([
      { plan: 'virtual-worlds/free', denied: 1, upgraded: 1, upgradeShare: 1, medianMs: 3_600_000, meanMs: 3_600_000, judged: 1, churned: 0, churnShare: 0 },
    ])
  })

  it('answers with a table for whoever accepts CSV rather than JSON', async () => {
    await start()
    const response = await get(`usage?${RANGE}&by=operation`, { Accept: 'text/csv' })
    expect([response.headers.get('Content-Type'), response.headers.get('Content-Disposition'), response.headers.get('Vary')]).toEqual(['text/csv; charset=utf-8', 'attachment; filename="usage_2026-03-01_2026-03-31.csv"', 'Accept'])
    expect(await response.text()).toBe("operation,requests,amounts.tokens\r\n'=cmd,1,\r\nmessage,3,40\r\n")
    for (const route of ROUTES) expect((await get(`${route}?${RANGE}`, { Accept: 'application/json;q=0.1, text/csv' })).headers.get('Content-Type')).toMatch(/^text\/csv/)
    for (const Accept of ['*/*', 'application/json', 'text/html', 'application/json, text/csv;q=0.5']) expect((await get(`usage?${RANGE}`, { Accept })).headers.get('Content-Type')).toBe('application/json')
  })

  it('is about today and the 30 days before it when it is not told, economics about the running month, and says what is wrong otherwise', async () => {
    await start()
    for (const route of ROUTES) {
      const { from, to } = await jsonOf(get(route))
      if (route === 'economics') expect(from).toBe(`${to.slice(0, 7)}-01`)
      else expect(Date.parse(to) - Date.parse(from)).toBe(30 * DAY_MS)
      expect(Date.now() - Date.parse(to)).toBeLessThan(2 * DAY_MS)
    }
    for (const [query, field, detail] of [
      ['usage?from=yesterday', 'from', "'yesterday' is not a day; write one as YYYY-MM-DD"],
      ['usage?from=2026-03-02&to=2026-03-01', 'from', "is after 'to'"],
      ['usage?from=2020-01-01&to=2026-03-01', 'from', 'ask for at most 400 at once'],
      ['usage?by=plan,color', 'by', "'color' is nothing to group by; use one of"],
      ['usage?by=', 'by', "'' is nothing to group by"],
      ['denials?by=model', 'by', "did you mean 'mode'?"],
      ['denials?after=x', 'after', "is not the 'next' of a page"],
      ['denials?limit=0', 'limit', 'use an integer from 1 to 1000'],
      ['economics?costPerRequest=-1', 'costPerRequest', 'use a number such as 0.0005'],
      ['economics?by=day', 'by', "it is always by 'plan'"],
      ['conversion?windowDays=1000', 'windowDays', 'use an integer from 1 to 400'],
      ['usage?form=2026-03-01', 'form', 'it is not a known field'],
      ['usage?from=2026-03-01&from=2026-03-02', 'from', 'expected string'],
    ] as const) {
      const response = await get(query)
      expect([response.status, await response.json()], query).toEqual([422, expect.objectContaining({ code: 'INVALID_REQUEST', field, detail: expect.stringContaining(detail) })])
    }
  })

  it('is for admins, each of their own namespace', async () => {
    await start()
    const keyOf = async (body: object) => (await jsonOf(ask('POST', '/v1/keys', { body }))).key as string
    const [reader, consumer, stranger] = [await keyOf({ scopes: ['read'] }), await keyOf({ scopes: ['consume'] }), await keyOf({ scopes: ['admin'], namespace: 'acme' })]
    for (const route of ROUTES) {
      expect((await get(route, {}, reader)).status).toBe(403)
      expect((await get(route, {}, consumer)).status).toBe(403)
      expect((await ask('GET', `/v1/analytics/${route}`, { key: null })).status).toBe(401)
      expect((await jsonOf(get(`${route}?${RANGE}`, {}, stranger))).rows).toEqual([])
    }
  })

  it('answers whatever is asked', async () => {
    await start()
    const text = fc.oneof(fc.constantFrom('2026-03-01', '2026-02-30', 'day', 'plan,day', 'limit', '__proto__', 'constructor', '1', '0.5', 'WzAsIiJd', '\0', "'; DROP TABLE x"), fc.string({ unit: 'binary', maxLength: 12 }))
    const query = fc.dictionary(fc.constantFrom('from', 'to', 'by', 'after', 'limit', 'costPerRequest', 'windowDays', 'churnDays'), text)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ROUTES), query, fc.constantFrom('application/json', 'text/csv', ';;', '*/*;q=x'), async (route, query, Accept) => {
        const response = await get(`${route}?${new URLSearchParams(query).toString()}`, { Accept })
        expect([200, 422]).toContain(response.status)
      }),
      { numRuns: 200 },
    )
  })
})

describe('/v1/analytics', () => {
  it('tells what the server itself decided, by the demo clock', async () => {
    const { ask, as, advance } = await startServer({ dataDir: temporaryFolder() })
    const today = new Date(await advance(100 * DAY_MS)).toISOString().slice(0, 10)
    for (const world of ['w1', 'w2', 'w1']) await as('ana')('POST', `/api/worlds/${world}/message`, { content: `hola ${world}` })
    await eventually(async () => (await jsonOf(ask('GET', '/v1/analytics/denials'))).rows.length > 0)
    expect((await jsonOf(ask('GET', '/v1/analytics/usage?by=day,plan'))).rows).toEqual([{ day: today, plan: 'virtual-worlds/free', requests: 2, amounts: {}, activeSubjects: 1 }])
    expect((await jsonOf(ask('GET', '/v1/analytics/denials?by=plan,kind'))).rows).toEqual([{ plan: 'virtual-worlds/free', kind: 'cooldown', violations: 1 }])
  })

  it('is not there where nothing is kept, and says what would help', async () => {
    const { ask } = await startServer()
    for (const route of ROUTES) {
      const response = await ask('GET', `/v1/analytics/${route}`)
      expect([response.status, await response.json()]).toEqual([404, expect.objectContaining({ code: 'NOT_FOUND', detail: expect.stringContaining('start it with TOLLGATE_DATA_DIR (dataDir), or with DATABASE_URL (databaseUrl)') })])
    }
  })
})

describe('the zone of TOLLGATE_TIMEZONE', () => {
  it('is where days begin, what is asked for by default too', async () => {
    const { ask, as } = await startServer({ dataDir: temporaryFolder(), timezone: 'Pacific/Kiritimati' })
    const dayIn = (timeZone: string, at: number) => new Intl.DateTimeFormat('sv-SE', { timeZone }).format(at)
    const { now } = await jsonOf(ask('GET', '/demo/clock', { key: null }))
    // An instant before midnight there, and one after it: noon and later in UTC, of one day.
    const toMidnight = DAY_MS - ((now + 14 * 3_600_000) % DAY_MS)
    const advance = async (advanceMs: number) => (await jsonOf(ask('POST', '/demo/clock', { body: { advanceMs }, key: null }))).now as number
    const before = await advance(toMidnight - 60_000)
    await as('ana')('POST', '/api/worlds/w1/message', { content: 'hola' })
    const after = await advance(120_000)
    await as('ana')('POST', '/api/worlds/w1/message', { content: 'buenas' })
    expect([dayIn('UTC', before) === dayIn('UTC', after), dayIn('Pacific/Kiritimati', before) === dayIn('Pacific/Kiritimati', after)]).toEqual([true, false])
    await eventually(async () => (await jsonOf(ask('GET', '/v1/analytics/usage'))).rows.length === 2)
    const { rows, to } = await jsonOf(ask('GET', '/v1/analytics/usage'))
    expect(rows.map(({ day, requests }: { day: string; requests: number }) => [day, requests])).toEqual([before, after].map((at) => [dayIn('Pacific/Kiritimati', at), 1]))
    expect(to).toBe(dayIn('Pacific/Kiritimati', after))
  })
})

describe('a copy of the database for analytics', () => {
  it('is where analytics are read, and nothing else', async () => {
    const copy = await freshPostgres()
    const database = await openPostgres(copy.url)
    await migrate(database)
    await new SqlRecord(database).write([event({ subject: 'worlds:of-the-copy' })])
    const { ask } = await startServer({ databaseUrl: fresh.url, analyticsDatabaseUrl: copy.url, demo: false })
    expect((await jsonOf(ask('GET', `/v1/analytics/usage?${RANGE}`))).rows).toMatchObject([{ requests: 1 }])
    expect((await ask('PUT', '/v1/subjects/worlds:eva', { body: { plan: 'virtual-worlds/plus' } })).status).toBe(200)
    expect((await database.query('SELECT count(*) AS n FROM tollgate.subjects'))[0]).toEqual({ n: 0 })
    // Without it, requests are decided all the same.
    await database.close()
    await copy.drop()
    expect((await ask('GET', `/v1/analytics/usage?${RANGE}`)).status).toBe(503)
    expect((await jsonOf(ask('POST', '/v1/consume', { body: { subject: 'worlds:eva', operation: 'message', dimensions: { world: 'w' }, content: 'hi' } }))).allowed).toBe(true)
  })

  it('is told by ANALYTICS_DATABASE_URL, beside DATABASE_URL', async () => {
    expect(settingsOf({ DATABASE_URL: 'postgres://a/b', ANALYTICS_DATABASE_URL: 'postgres://c/d' }).options).toMatchObject({ databaseUrl: 'postgres://a/b', analyticsDatabaseUrl: 'postgres://c/d' })
    expect(settingsOf({ ANALYTICS_DATABASE_URL: '' }).options).not.toHaveProperty('analyticsDatabaseUrl')
    await expect(startServer({ analyticsDatabaseUrl: 'postgres://c/d' })).rejects.toThrow(new StartupError('ANALYTICS_DATABASE_URL is for a copy of the database of DATABASE_URL, which is not set: set it too, or leave both out.'))
    await expect(startServer({ databaseUrl: fresh.url, analyticsDatabaseUrl: 'mysql://u:secret@c/d' })).rejects.toThrow(/^ANALYTICS_DATABASE_URL is not the URL of a PostgreSQL database: write postgres:\/\//)
  })
})
