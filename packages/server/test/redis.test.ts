import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startRedis } from '../../../tools/services/redis.mjs'
import { type Fresh, freshPostgres } from '../../tollgate/src/testing/databases.ts'
import { redisUrl, uniquePrefix } from '../../tollgate/src/testing/redis-servers.ts'
import { settingsOf } from '../src/environment.ts'
import { StartupError } from '../src/startup-error.ts'
import { eventually, jsonOf, startServer } from './helpers.ts'

let fresh: Fresh
beforeAll(async () => {
  fresh = await freshPostgres()
})
afterAll(() => fresh?.drop())

/** A machine that is busy must not look like a Redis that is away. */
const engine = () => ({ storeTimeoutMs: 5000 })
const start = (options: { redisUrl: string; redisPrefix?: string; databaseUrl?: string }) => startServer({ databaseUrl: fresh.url, engine, ...options })

/** Each in a world of its own, where no pause is in its way. */
let worlds = 0
const message = (user: string) => ({ subject: `worlds:${user}`, plan: 'virtual-worlds/free', operation: 'message', dimensions: { world: `w${++worlds}` } })
const DENIED = [{ limit: 'dailyMessages', used: 50 }]

describe('a server with REDIS_URL', () => {
  it('shares every limit with the others: the 51st message of a day is denied, whoever is asked', async () => {
    const at = { redisUrl: await redisUrl(), redisPrefix: uniquePrefix() }
    const servers = [await start(at), await start(at)]
    for (let i = 0; i < 50; i++) {
      const decision = await jsonOf(servers[i % 2]!.ask('POST', '/v1/consume', { body: message('shared') }))
      expect([i, decision.allowed, decision.degraded]).toEqual([i, true, false])
    }
    for (const { ask } of servers) {
      expect((await jsonOf(ask('POST', '/v1/consume', { body: message('shared') }))).violations).toMatchObject(DENIED)
      expect((await jsonOf(ask('GET', '/v1/subjects/worlds:shared/usage'))).limits.find(({ kind }: { kind: string }) => kind === 'quota')).toMatchObject({ used: 50, remaining: 0 })
    }
    const { reservation } = await jsonOf(servers[0]!.ask('POST', '/v1/reserve', { body: message('held') }))
    const settled = await jsonOf(servers[1]!.ask('POST', `/v1/reservations/${encodeURIComponent(reservation.id)}/commit`, { body: {} }))
    expect(settled).toMatchObject({ status: 'committed' })
    expect((await jsonOf(servers[0]!.ask('POST', '/v1/subjects/worlds:held/reset', { body: {} }))).limits[0]).toMatchObject({ used: 0 })
  })

  it('goes on without Redis, says so, and forgets no quota when Redis comes back empty', async () => {
    const redis = await startRedis()
    const { ask, lines } = await start({ redisUrl: redis.url })
    const consume = () => jsonOf(ask('POST', '/v1/consume', { body: message('outage') }))
    for (let i = 0; i < 20; i++) expect(await consume()).toMatchObject({ allowed: true, degraded: false })
    expect(await jsonOf(ask('GET', '/readyz'))).toMatchObject({ status: 'ready', problems: [{ check: 'persistence', level: 'warning' }] })
    await redis.kill()
    for (let i = 0; i < 10; i++) expect(await consume()).toMatchObject({ allowed: true, degraded: true })
    // Redis is asked once a second at most.
    await eventually(async () => (await jsonOf(ask('GET', '/readyz'))).status === 'degraded')
    const readiness = await ask('GET', '/readyz')
    expect([readiness.status, await readiness.json()]).toMatchObject([200, { problems: [{ check: 'reachable' }] }])
    expect(lines.some(({ event }) => event === 'degraded')).toBe(true)
    await redis.start()
    await eventually(async () => (await jsonOf(ask('POST', '/v1/check', { body: message('outage') }))).degraded === false, 20_000)
    for (let i = 0; i < 20; i++) expect(await consume()).toMatchObject({ allowed: true, degraded: false })
    expect((await consume()).violations).toMatchObject(DENIED)
    await redis.stop()
  })

  it('is not ready while Redis may evict limits', async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] })
    const { ask, lines } = await start({ redisUrl: redis.url })
    const readiness = await ask('GET', '/readyz')
    expect([readiness.status, await readiness.json()]).toMatchObject([503, { status: 'misconfigured', problems: [{ check: 'eviction', message: expect.stringContaining('set it to noeviction') }, { check: 'persistence' }] }])
    expect(lines.find(({ event }) => event === 'preflight')).toMatchObject({ level: 'error', message: expect.stringContaining('allkeys-lru') })
    await redis.stop()
  })

  it('starts without Redis, and warns of one without a database', async () => {
    const { ask, lines } = await startServer({ redisUrl: 'redis://127.0.0.1:1' })
    expect(lines.map(({ event }) => event)).toEqual(expect.arrayContaining(['redis_alone', 'preflight']))
    expect(await jsonOf(ask('POST', '/v1/consume', { body: message('alone') }))).toMatchObject({ allowed: true, degraded: true })
  })

  it('does not start with a URL that it cannot read, and never shows the password', async () => {
    const error = await startServer({ redisUrl: 'redis://u:pa55word@host:nowhere' }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(StartupError)
    expect(String(error)).toMatch(/REDIS_URL: one of its hosts is no host with a port; write redis:\/\//)
    expect(String(error)).not.toContain('pa55word')
  })

  it('is told by its environment', () => {
    expect(settingsOf({ REDIS_URL: 'redis://a', TOLLGATE_REDIS_PREFIX: 'shop', DATABASE_URL: 'postgres://h/d' }).options).toEqual({ redisUrl: 'redis://a', redisPrefix: 'shop', databaseUrl: 'postgres://h/d' })
    expect(settingsOf({ REDIS_URL: '' }).options).not.toHaveProperty('redisUrl')
  })
})
