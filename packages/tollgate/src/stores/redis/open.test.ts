import { describe, expect, it } from 'vitest'
import { startProxy } from '../../../../../tools/services/proxy.mjs'
import { command, startRedis } from '../../../../../tools/services/redis.mjs'
import { quota } from '../../define/limits.ts'
import { createTollgate } from '../../engine/create.ts'
import { clusterUrl, redisUrl, uniquePrefix } from '../../testing/redis-servers.ts'
import { openRedis, parseRedisUrl, preflight } from './index.ts'

describe('a URL of Redis', () => {
  it.each([
    ['redis://localhost', { kind: 'server', server: { host: 'localhost', port: 6379 } }],
    ['redis://:p%40ss@10.0.0.1:7000/3', { kind: 'server', server: { host: '10.0.0.1', port: 7000, password: 'p@ss', db: 3 } }],
    ['rediss://me:secret@redis.example', { kind: 'server', server: { host: 'redis.example', port: 6379, username: 'me', password: 'secret', tls: true } }],
    ['redis://[::1]:6380', { kind: 'server', server: { host: '::1', port: 6380 } }],
    ['redis://a:7000,b:7001,c', { kind: 'cluster', nodes: [{ host: 'a', port: 7000 }, { host: 'b', port: 7001 }, { host: 'c', port: 6379 }], login: {} }],
    ['redis://a:7000,redis://b:7001', { kind: 'cluster', nodes: [{ host: 'a', port: 7000 }, { host: 'b', port: 7001 }], login: {} }],
    ['rediss://u:p@a?cluster=1', { kind: 'cluster', nodes: [{ host: 'a', port: 6379 }], login: { username: 'u', password: 'p', tls: true } }],
    ['redis+sentinel://:p@s1,s2:26380/main?db=2', { kind: 'sentinel', sentinels: [{ host: 's1', port: 26379 }, { host: 's2', port: 26380 }], name: 'main', login: { password: 'p', db: 2 } }],
  ])('%s', (url, place) => {
    expect(parseRedisUrl(url)).toEqual(place)
  })

  it.each([
    ['localhost:6379', /it is not a URL of Redis; write redis:\/\//],
    ['http://localhost', /it is not a URL of Redis/],
    ['redis://u:secret@host:99999', /one of its hosts is no host with a port/],
    ['redis://u:sec%ret@host', /hold a % that is no escape; write %25 for it/],
    ['redis://host/zero', /what follows the host is no number of a database/],
    ['redis://a,b/1', /a cluster has no databases but 0/],
    ['redis+sentinel://s1,s2', /does not name the master/],
    ['redis://default:sec/ret@db:6379', /a \/ or @ in user or password is written %2F or %40/],
    ['redis://user:1234/sec@h:6379/0', /a \/ or @ in user or password/],
    ['redis://user:sec@ret@h:6379/0', /it is not a URL of Redis|a \/ or @ in user/],
  ])('%s is refused without a word of the password', (url, message) => {
    expect(() => parseRedisUrl(url)).toThrow(message)
    expect(() => parseRedisUrl(url)).not.toThrow(/sec/)
  })
})

const plans = { free: { rank: 0, limits: { daily: quota({ limit: 2, every: 'day' }) } } }

describe('a client of ours', () => {
  it.each([['a server', redisUrl], ['a cluster', clusterUrl]] as const)('decides on %s', async (_, url) => {
    const redis = await openRedis(await url(), { prefix: uniquePrefix() })
    const tollgate = createTollgate({ plans, store: redis.store, defaultPlan: 'free', storeTimeoutMs: 10_000 })
    const allowed: boolean[] = []
    for (let i = 0; i < 3; i++) allowed.push((await tollgate.consume({ subject: 'u' })).allowed)
    expect(allowed).toEqual([true, true, false])
    expect((await tollgate.usage('u')).limits[0]!.used).toBe(2)
    await redis.close()
  })

  it('opens without a Redis, says so, fails at once, and finds it when it is there', async () => {
    const server = await startRedis()
    const proxy = await startProxy({ port: server.port })
    await proxy.cut()
    const errors: Error[] = []
    const redis = await openRedis(`redis://127.0.0.1:${proxy.port}`, { prefix: uniquePrefix(), connectTimeoutMs: 10, onError: (error) => errors.push(error) })
    await expect(redis.store.lastPlan('u')).rejects.toThrow(/enableOfflineQueue|Connection is closed|ECONN/)
    await expect.poll(() => errors.length, { timeout: 20_000 }).toBeGreaterThan(0)
    await proxy.mend()
    await expect.poll(() => redis.store.lastPlan('u').catch(() => 'not yet'), { timeout: 20_000 }).toBeUndefined()
    await redis.close()
    await proxy.stop()
    await server.stop()
  })

  it('uses the user and the password of the URL', async () => {
    const server = await startRedis()
    await command(server.port, 'ACL', 'SETUSER', 'me', 'on', '>p@ss', '~*', '+@all')
    await command(server.port, 'ACL', 'SETUSER', 'default', 'off')
    const redis = await openRedis(`redis://me:p%40ss@127.0.0.1:${server.port}`, { prefix: uniquePrefix() })
    expect(await redis.store.lastPlan('u')).toBeUndefined()
    await redis.close()
    await server.stop()
  })
})

describe('a preflight', () => {
  async function problemsWith(args: string[], databaseAheadMs?: number): Promise<string[]> {
    const server = await startRedis({ args })
    const redis = await openRedis(server.url)
    const problems = await preflight(redis.client, databaseAheadMs === undefined ? {} : { databaseNow: async () => Date.now() + databaseAheadMs })
    await redis.close()
    await server.stop()
    return problems.map(({ check, level, message }) => `${level} ${check}: ${message}`)
  }

  it('has nothing to say of a Redis that keeps what it is given', async () => {
    expect(await problemsWith(['--appendonly', 'yes'], 0)).toEqual([])
  })

  it('names a policy under which limits are evicted, missing persistence, and clocks that are apart', async () => {
    expect(await problemsWith(['--maxmemory-policy', 'volatile-lru', '--maxmemory', '100mb'], -5000)).toEqual([
      expect.stringMatching(/^error eviction: Redis's maxmemory-policy is volatile-lru, which may evict limits that are in force; set it to noeviction/),
      expect.stringMatching(/^warning persistence: Redis has no append-only file.*set appendonly yes$/),
      expect.stringMatching(/^warning clock: Redis's clock is \d{4} ms ahead of the database's/),
    ])
  })

  it('names slots that nobody serves, and a cluster that is taken for a server', async () => {
    const problems = await problemsWith(['--cluster-enabled', 'yes', '--appendonly', 'yes'])
    expect(problems).toEqual([expect.stringMatching(/^error slots: Redis is a node of a cluster.*name several nodes between commas, or add \?cluster=1/), expect.stringMatching(/^error slots: 16384 of the cluster's 16,384 slots are served by no node/)])
  })

  it('of a healthy cluster names only what its nodes lack', async () => {
    const redis = await openRedis(await clusterUrl())
    expect((await preflight(redis.client)).map(({ check }) => check)).toEqual(['persistence'])
    await redis.close()
  })

  it('says when Redis is not there', async () => {
    const redis = await openRedis('redis://127.0.0.1:1', { connectTimeoutMs: 10 })
    expect(await preflight(redis.client)).toEqual([{ check: 'reachable', level: 'error', message: 'Redis does not answer; start it, or correct REDIS_URL' }])
    await redis.close()
  })
})
