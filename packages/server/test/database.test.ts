import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fresh, freshPostgres } from '../../tollgate/src/testing/databases.ts'
import { ADMIN_KEY, eventually, jsonOf, startServer } from './helpers.ts'
import { proxyTo } from './proxy.ts'

let fresh: Fresh
beforeAll(async () => {
  fresh = await freshPostgres()
})
afterAll(() => fresh?.drop())

const start = (databaseUrl = fresh.url) => startServer({ databaseUrl })
const image = { subject: 'telegram:7', plan: 'Professional', operation: 'image_generation' }

describe('a server on PostgreSQL', () => {
  it('keeps everything there: the next one finds it', async () => {
    const first = await start()
    const { key } = await jsonOf(first.ask('POST', '/v1/keys', { body: { scopes: ['read'], namespace: 'acme' } }))
    await first.ask('PUT', '/v1/subjects/telegram:kept', { body: { plan: 'Business' } })
    await first.ask('POST', '/v1/consume', { body: { subject: 'business:1', plan: 'TRIAL', amounts: { tokens: 100 } } })
    await first.ask('PUT', '/v1/rollout', { body: { mode: 'shadow', percent: 50 } })
    const headers = { 'Idempotency-Key': 'k' }
    const answer = await (await first.ask('POST', '/v1/subjects/telegram:kept/grants', { body: { amount: 5 }, headers })).text()
    const now = await first.advance(3_600_000)
    await first.server.close()

    const second = await start()
    expect((await second.ask('GET', '/v1/plans', { key })).status).toBe(200)
    expect(await jsonOf(second.ask('GET', '/v1/rollout'))).toEqual({ mode: 'shadow', percent: 50 })
    expect((await jsonOf(second.ask('GET', '/v1/subjects/telegram:kept/usage'))).credits).toMatchObject({ balance: 10_005 })
    expect((await jsonOf(second.ask('GET', '/v1/subjects/business:1/usage'))).limits[1]).toMatchObject({ limit: 'monthlyTokens', used: 100 })
    const again = await second.ask('POST', '/v1/subjects/telegram:kept/grants', { body: { amount: 5 }, headers })
    expect([again.headers.get('Idempotency-Replayed'), await again.text()]).toEqual(['true', answer])
    expect((await jsonOf(second.ask('GET', '/demo/clock'))).now).toBeGreaterThanOrEqual(now)
    await second.ask('PUT', '/v1/rollout', { body: { mode: 'enforce', percent: 100 } })
  })

  it('has one secret for all processes: the same text is a duplicate in each', async () => {
    const servers = [await start(), await start()]
    const say = (i: number) => servers[i % 2]!.ask('POST', '/v1/consume', { body: { subject: 'worlds:a', plan: 'ultra', operation: 'message', dimensions: { world: 'w' }, content: 'hola' } })
    for (let i = 0; i < 10; i++) expect((await jsonOf(say(i))).allowed).toBe(true)
    expect((await jsonOf(say(10))).violations).toMatchObject([{ limit: 'spam' }])
  })

  it('loses no fact of a subject that another process has just stored', async () => {
    const [one, two] = [await start(), await start()]
    const path = '/v1/subjects/telegram:shared'
    await one.ask('PUT', path, { body: { plan: 'Gift' } })
    await two.ask('PUT', path, { body: { plan: 'Gift', attributes: { channelSubscription: true } } })
    // What it read itself may be older than that.
    expect((await jsonOf(one.ask('PUT', path, { body: { plan: 'Professional' } }))).attributes).toEqual({ channelSubscription: true })
  })

  it('loses no key that processes make at once', async () => {
    const servers = [await start(), await start()]
    const before = (await jsonOf(servers[0]!.ask('GET', '/v1/keys'))).keys.length as number
    const made = await Promise.all(Array.from({ length: 20 }, (_, i) => servers[i % 2]!.ask('POST', '/v1/keys', { body: { scopes: ['read'] } })))
    expect(made.every(({ status }) => status === 201)).toBe(true)
    for (const { ask } of servers) await eventually(async () => (await jsonOf(ask('GET', '/v1/keys'))).keys.length === before + 20)
  })

  it('adds up what processes put the clock forward at once', async () => {
    const servers = [await start(), await start()]
    const now = await servers[0]!.advance(0)
    await Promise.all(Array.from({ length: 10 }, (_, i) => servers[i % 2]!.advance(86_400_000)))
    for (const { advance } of servers) await eventually(async () => (await advance(0)) >= now + 10 * 86_400_000)
    expect(await servers[0]!.advance(0)).toBeLessThan(now + 11 * 86_400_000)
  })

  it('keeps streams for their key', async () => {
    const servers = [await start(), await start()]
    const headers = { 'Idempotency-Key': 'stream' }
    const chat = (i: number) => servers[i]!.as('ana')('POST', '/api/chat', { model: 'gemini-2.0-flash', messages: [{ role: 'user', content: 'hi' }] }, headers)
    const first = await (await chat(0)).text()
    const again = await chat(1)
    expect([again.headers.get('Idempotency-Replayed'), await again.text()]).toEqual(['true', first])
    expect((await jsonOf(servers[1]!.as('ana')('GET', '/api/usage'))).totalMessages).toBe(1)
  })
})

describe('a database that is lost', () => {
  it.each(['refused', 'silent'] as const)('(%s) is told by 503 and /readyz, soon, and found again', async (how) => {
    const proxy = await proxyTo(fresh.url)
    const { ask, lines, server } = await start(proxy.url)
    const subject = `telegram:${how}`
    await ask('POST', `/v1/subjects/${subject}/grants`, { body: { amount: 100 } })
    const consume = (key: string) => ask('POST', '/v1/consume', { body: { ...image, subject }, headers: { 'Idempotency-Key': `${how} ${key}` } })
    expect((await consume('before')).status).toBe(200)
    const ready = async () => (await ask('GET', '/readyz', { key: null })).status
    expect(await ready()).toBe(200)

    proxy.lose(how)
    const startedAt = performance.now()
    const answers = await Promise.all([consume('lost'), ask('PUT', '/v1/rollout', { body: { mode: 'off', percent: 100 } }), ask('GET', `/v1/subjects/${subject}/ledger`), ask('POST', '/v1/keys', { body: { scopes: ['read'] } }), ask('POST', '/demo/clock', { body: { advanceMs: 1 }, key: null })])
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 503, 503])
    expect(answers[0]!.headers.get('Retry-After')).toBe('1')
    expect(await jsonOf(answers[0]!)).toMatchObject({ status: 503, code: 'STORE_UNAVAILABLE' })
    expect(await ready()).toBe(503)
    // What needs no database is answered; keys that are known stay so.
    expect((await ask('GET', '/healthz', { key: null })).status).toBe(200)
    expect((await ask('GET', '/v1/plans', { key: ADMIN_KEY })).status).toBe(200)
    // Deadlines, not patience: a statement's is six seconds, and a lost command is asked for three times.
    expect(performance.now() - startedAt).toBeLessThan(45_000)

    proxy.restore()
    await eventually(async () => (await ready()) === 200, 10_000)
    await eventually(async () => (await consume('lost')).status === 200, 10_000)
    expect((await jsonOf(ask('GET', `/v1/subjects/${subject}/usage`))).credits).toEqual({ balance: 80, available: 80, reserved: 0, spent: 20 })
    expect(await jsonOf(ask('GET', '/v1/rollout'))).toEqual({ mode: 'enforce', percent: 100 })
    const outages = lines.filter(({ event }) => event === 'background').map(({ level }) => level)
    expect(outages.length).toBeLessThanOrEqual(6)
    await server.close()
  })
})
