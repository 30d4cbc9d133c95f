import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSqlite } from 'tollgate/sqlite'
import { eventually, jsonOf, startServer, temporaryFolder, type TestServer } from './helpers.ts'

const DAY_MS = 86_400_000
const user = '/v1/subjects/telegram:7'
const image = { subject: 'telegram:7', plan: 'Professional', operation: 'image_generation' }

const grant = ({ ask }: TestServer, body: object, headers: Record<string, string> = {}) => ask('POST', `${user}/grants`, { body: { amount: 100, source: 'pack', ...body }, headers })
const creditsOf = async ({ ask }: TestServer) => (await jsonOf(ask('GET', `${user}/usage`))).credits
const entriesOf = async ({ ask }: TestServer, query = '') => (await jsonOf(ask('GET', `${user}/ledger${query}`))).entries as { kind: string; amount: number; actor: string | null; grant: number }[]

describe('grants', () => {
  it('are spent by priority, then by what expires soonest', async () => {
    const server = await startServer()
    const now = await server.advance(0)
    await grant(server, { amount: 10 })
    await grant(server, { amount: 10, expiresAt: now + 2 * DAY_MS })
    await grant(server, { amount: 10, expiresAt: now + DAY_MS })
    await grant(server, { amount: 10, priority: -1 })
    for (let i = 0; i < 4; i++) await server.ask('POST', '/v1/consume', { body: image })
    expect((await entriesOf(server)).flatMap(({ kind, grant }) => (kind === 'spend' ? [grant] : [])).toReversed()).toEqual([4, 3, 2, 1])
  })

  it('count from their beginning to their end', async () => {
    const server = await startServer()
    const now = await server.advance(0)
    const { balance } = await jsonOf(grant(server, { effectiveAt: now + DAY_MS, expiresAt: now + 2 * DAY_MS }))
    expect(balance).toMatchObject({ balance: 0, granted: 0 })
    await server.advance(DAY_MS)
    expect(await creditsOf(server)).toMatchObject({ balance: 100 })
    await server.advance(DAY_MS)
    expect((await server.ask('POST', '/v1/check?respond=status', { body: image })).status).toBe(402)
    expect((await entriesOf(server)).map(({ kind, amount }) => `${kind} ${amount}`)).toEqual(['expire -100', 'grant 100'])
  })

  it('name the key that gave them, and are seen by who has nothing else', async () => {
    const server = await startServer()
    const { key, id } = await jsonOf(server.ask('POST', '/v1/keys', { body: { scopes: ['admin'] } }))
    await server.ask('POST', `${user}/grants`, { body: { amount: 5 }, key })
    expect((await entriesOf(server))[0]).toMatchObject({ kind: 'grant', amount: 5, actor: id, reason: null })
    expect(await jsonOf(server.ask('GET', `${user}/usage`))).toEqual({ subject: 'telegram:7', plan: null, limits: [], credits: { balance: 5, available: 5, reserved: 0, spent: 0 } })
  })

  it('of one key are given once, also when the answer is forgotten', async () => {
    const server = await startServer()
    const headers = { 'Idempotency-Key': 'payment-7' }
    const first = await (await grant(server, {}, headers)).text()
    const again = await grant(server, {}, headers)
    expect([again.status, again.headers.get('Idempotency-Replayed'), await again.text()]).toEqual([201, 'true', first])
    await server.advance(30 * DAY_MS)
    expect(await (await grant(server, {}, headers)).text()).toBe(first)
    expect((await grant(server, { amount: 101 }, headers)).status).toBe(409)
    expect(await creditsOf(server)).toMatchObject({ balance: 100 })
    // A key belongs to its route.
    const { reservation } = await jsonOf(server.ask('POST', '/v1/consume', { body: image, headers }))
    expect((await server.ask('POST', `${user}/refunds`, { body: { reservation: reservation.id }, headers })).status).toBe(200)
    expect((await grant(server, {}, { 'Idempotency-Key': 'payment-8' })).status).toBe(201)
    expect(await creditsOf(server)).toMatchObject({ balance: 200 })
  })

  it.each([
    [{ amount: 0 }, 'amount'],
    [{ amount: -5 }, 'amount'],
    [{ amount: 1.5 }, 'amount'],
    [{ amount: 2 ** 31 }, 'amount'],
    [{ amount: 2 ** 53 }, 'amount'],
    [{ amount: '5' }, 'amount'],
    [{ amount: undefined }, 'amount'],
    [{ source: 'plan' }, 'source'],
    [{ source: 'theft' }, 'source'],
    [{ priority: 0.5 }, 'priority'],
    [{ effectiveAt: -1 }, 'effectiveAt'],
    [{ expiresAt: 1000 }, 'expiresAt'],
    [{ effectiveAt: 3e12, expiresAt: 3e12 }, 'expiresAt'],
    [{ expiresAt: 1e15 }, 'expiresAt'],
    [{ reason: 'x'.repeat(1001) }, 'reason'],
    [{ reason: 'a\0b' }, 'reason'],
    [{ actor: 'somebody' }, 'actor'],
  ])('refuse %j', async (body, field) => {
    const server = await startServer()
    const response = await grant(server, body)
    expect([response.status, (await jsonOf(response)).field]).toEqual([422, field])
    expect((await server.ask('GET', `${user}/usage`)).status).toBe(404)
  })

  it('are for admins, refunds too; who reads sees the ledger', async () => {
    const server = await startServer()
    await grant(server, {})
    const keyOf = async (scope: string) => (await jsonOf(server.ask('POST', '/v1/keys', { body: { scopes: [scope] } }))).key as string
    const [read, consume] = [await keyOf('read'), await keyOf('consume')]
    for (const key of [read, consume]) {
      expect((await server.ask('POST', `${user}/grants`, { body: { amount: 1 }, key })).status).toBe(403)
      expect((await server.ask('POST', `${user}/refunds`, { body: { reservation: 'r' }, key })).status).toBe(403)
      expect((await server.ask('GET', `${user}/ledger`, { key })).status).toBe(200)
    }
    // Of another namespace, it is another subject.
    const { key } = await jsonOf(server.ask('POST', '/v1/keys', { body: { scopes: ['admin'], namespace: 'acme' } }))
    expect(await jsonOf(server.ask('GET', `${user}/ledger`, { key }))).toEqual({ entries: [], next: null })
    expect((await jsonOf(server.ask('POST', '/v1/consume', { body: image, key }))).credits).toMatchObject({ balance: 0, deficit: 10 })
  })
})

describe('refunds', () => {
  it('give back in parts, and never more than was spent', async () => {
    const server = await startServer()
    await grant(server, {})
    const { reservation } = await jsonOf(server.ask('POST', '/v1/consume', { body: image }))
    const refund = (body: object) => server.ask('POST', `${user}/refunds`, { body: { reservation: reservation.id, ...body } })
    expect(await jsonOf(refund({ amount: 4 }))).toMatchObject({ refunded: 4, balance: { balance: 94, spent: 6 } })
    const tooMuch = await refund({ amount: 7 })
    expect([tooMuch.status, (await jsonOf(tooMuch)).field]).toEqual([422, 'amount'])
    expect(await jsonOf(refund({}))).toMatchObject({ refunded: 6, balance: { balance: 100, spent: 0 } })
    expect(await creditsOf(server)).toMatchObject({ balance: 100, spent: 0 })
  })

  it('take the reservation of a keyed request too', async () => {
    const server = await startServer()
    await grant(server, {})
    const headers = { 'Idempotency-Key': 'k' }
    const { reservation } = await jsonOf(server.ask('POST', '/v1/reserve', { body: image, headers }))
    expect((await server.ask('POST', `/v1/reservations/${reservation.id}/commit`, { body: { amounts: { credits: 8 } } })).status).toBe(200)
    expect(await creditsOf(server)).toMatchObject({ balance: 92, reserved: 0, spent: 8 })
    expect(await jsonOf(server.ask('POST', `${user}/refunds`, { body: { reservation: reservation.id } }))).toMatchObject({ refunded: 8, balance: { balance: 100 } })
  })

  it.each([
    [{ reservation: 'r_unknown' }, 404, 'reservation'],
    [{ reservation: '' }, 422, 'reservation'],
    [{}, 422, 'reservation'],
    [{ reservation: 'r', amount: 0 }, 422, 'amount'],
    [{ reservation: 'r', id: 'r' }, 422, 'id'],
  ])('refuse %j', async (body, status, field) => {
    const server = await startServer()
    await grant(server, {})
    const response = await server.ask('POST', `${user}/refunds`, { body })
    expect([response.status, (await jsonOf(response)).field]).toEqual([status, field])
  })

  it("refuse another subject's reservation, and one that is open or released", async () => {
    const server = await startServer()
    await grant(server, {})
    const refund = (subject: string, id: string) => server.ask('POST', `/v1/subjects/${subject}/refunds`, { body: { reservation: id } })
    const spent = await jsonOf(server.ask('POST', '/v1/consume', { body: image }))
    expect((await refund('telegram:8', spent.reservation.id)).status).toBe(404)
    const { reservation } = await jsonOf(server.ask('POST', '/v1/reserve', { body: image }))
    expect((await refund('telegram:7', reservation.id)).status).toBe(422)
    await server.ask('POST', `/v1/reservations/${reservation.id}/release`)
    expect((await refund('telegram:7', reservation.id)).status).toBe(422)
    expect(await creditsOf(server)).toMatchObject({ balance: 90, spent: 10 })
  })
})

describe('the ledger', () => {
  it('comes in pages, to its end', async () => {
    const server = await startServer()
    for (let i = 1; i <= 5; i++) await grant(server, { amount: i })
    const amounts: number[][] = []
    let query = '?limit=2'
    for (;;) {
      const { entries, next } = await jsonOf(server.ask('GET', `${user}/ledger${query}`))
      amounts.push(entries.map(({ amount }: { amount: number }) => amount))
      if (next === null) break
      query = `?limit=2&before=${next}`
    }
    expect(amounts).toEqual([[5, 4], [3, 2], [1]])
  })

  it.each(['limit=0', 'limit=1001', 'limit=x', 'limit=1.5', 'before=0', 'before=-1', 'before=99999999999999999999', 'limit=1&limit=2', 'after=1'])('refuses ?%s', async (query) => {
    const { ask } = await startServer()
    const response = await ask('GET', `${user}/ledger?${query}`)
    expect([response.status, (await jsonOf(response)).field]).toEqual([422, query.split('=')[0]])
  })
})

describe('a denial for missing credits', () => {
  it('is a 402 with cost, balance and deficit, and comes before 429 and after 403', async () => {
    const server = await startServer()
    await grant(server, { amount: 4 })
    const response = await server.ask('POST', '/v1/consume?respond=status', { body: image, headers: { 'Accept-Language': 'en' } })
    expect([response.status, response.headers.get('Content-Type'), response.headers.get('Retry-After')]).toEqual([402, 'application/problem+json', null])
    expect(await jsonOf(response)).toMatchObject({ title: 'Payment Required', code: 'INSUFFICIENT_CREDITS', cost: 10, balance: 4, deficit: 6, violations: [{ limit: 'credits', kind: 'credits', liftedBy: ['telegram-bot/Business'] }] })
    // As a decision, with 200, it tells the same.
    expect(await jsonOf(server.ask('POST', '/v1/check', { body: image }))).toMatchObject({ allowed: false, credits: { cost: 10, balance: 4, available: 4, reserved: 0, spent: 0, deficit: 6 } })
    expect((await jsonOf(server.ask('POST', '/v1/explain', { body: image }))).decision.credits).toMatchObject({ deficit: 6 })
  })
})

describe('a plan', () => {
  it('grants with PUT, once; with a change, what the change says', async () => {
    const server = await startServer()
    const put = (body: object) => jsonOf(server.ask('PUT', user, { body }))
    await put({ plan: 'Professional' })
    await put({ plan: 'Professional' })
    expect(await creditsOf(server)).toMatchObject({ balance: 2000 })
    await put({ plan: 'Business', change: { proration: 'restart', leftover: 'void' } })
    expect(await creditsOf(server)).toMatchObject({ balance: 10_000 })
    const waiting = await put({ plan: 'Gift', change: { at: 'periodEnd' } })
    expect(waiting).toEqual({ subject: 'telegram:7', plan: 'telegram-bot/Business', nextPlan: { plan: 'telegram-bot/Gift', at: expect.any(Number) } })
    expect(await jsonOf(server.ask('GET', user))).toEqual(waiting)
    // Another PUT takes its place.
    expect(await put({ plan: 'Business' })).toEqual({ subject: 'telegram:7', plan: 'telegram-bot/Business' })
  })

  it.each([
    [{ at: 'tomorrow' }, 'change.at'],
    [{ proration: true }, 'change.proration'],
    [{ leftover: 'burn' }, 'change.leftover'],
    [{ until: 5 }, 'change.until'],
    ['now', 'change'],
    // There is no period to wait for the end of.
    [{ at: 'periodEnd' }, 'change.at'],
  ])('does not change as %j', async (change, field) => {
    const { ask } = await startServer()
    const response = await ask('PUT', user, { body: { plan: 'Professional', change } })
    expect([response.status, (await jsonOf(response)).field]).toEqual([422, field])
    expect((await ask('GET', user)).status).toBe(404)
  })
})

describe('events', () => {
  it('tell the credits after a grant, a spending and a refund', async () => {
    const server = await startServer()
    await server.ask('PUT', user, { body: { plan: 'Professional' } })
    const reader = (await server.ask('GET', `${user}/events`)).body!.getReader()
    let text = ''
    const balance = async (wanted: number) => {
      while (!text.includes(`"credits":{"balance":${wanted},`)) text += new TextDecoder().decode((await reader.read()).value)
    }
    await balance(2000)
    await grant(server, {})
    await balance(2100)
    const { reservation } = await jsonOf(server.ask('POST', '/v1/consume', { body: { ...image, plan: undefined } }))
    await balance(2090)
    expect(text).toMatch(/event: decision\ndata: .*"credits":\{"cost":10,/)
    text = ''
    await server.ask('POST', `${user}/refunds`, { body: { reservation: reservation.id } })
    await balance(2100)
    await reader.cancel()
  })
})

describe('credits that nobody looks at', () => {
  it('are renewed all the same', async () => {
    const dataDir = temporaryFolder()
    const server = await startServer({ dataDir })
    await server.ask('PUT', user, { body: { plan: 'Professional' } })
    await server.advance(32 * DAY_MS)
    const database = await openSqlite(join(dataDir, 'tollgate.db'))
    try {
      const kinds = async () => (await database.query('SELECT kind FROM entries ORDER BY seq')).map(({ kind }) => kind)
      await eventually(async () => (await kinds()).length === 3)
      expect(await kinds()).toEqual(['grant', 'expire', 'grant'])
    } finally {
      await database.close()
    }
  })
})
