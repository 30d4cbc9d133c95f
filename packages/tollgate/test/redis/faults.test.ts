import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startProxy } from '../../../../tools/services/proxy.mjs'
import { command, startRedis, startRedisCluster } from '../../../../tools/services/redis.mjs'
import { createTollgate, type Decision, type FailurePolicy, quota, slidingWindow, type Tollgate, TollgateError } from '../../src/index.ts'
import { openRedis } from '../../src/stores/redis/index.ts'
import { migrate, openSqlite, SqlLedger, SqlRecord } from '../../src/stores/sqlite/index.ts'
import { freshSqlite, openedBy } from '../../src/testing/databases.ts'
import { Random } from '../../src/testing/random.ts'

const LIMIT = 300
const SECRET = 'the secret of the tests'

const plansWith = (onFailure: FailurePolicy) => ({
  free: { rank: 0, limits: { daily: quota({ limit: LIMIT, every: 'day', onFailure }), minute: slidingWindow({ limit: 1_000_000, window: '1m', onFailure }) } },
})

interface Opened {
  tollgate: Tollgate
  /** What is held back of it ends with the test. */
  addClose(close: () => Promise<unknown>): void
}

/** An engine on a Redis at this URL, and a record in SQLite. */
async function opened(url: string, { onFailure = 'local' as FailurePolicy, hasRecord = true, storeTimeoutMs = 2000 } = {}): Promise<Opened> {
  const redis = await openRedis(url, { connectTimeoutMs: 20_000 })
  const file = freshSqlite()
  const database = await openSqlite(file.url)
  await migrate(database)
  const tollgate = createTollgate({ plans: plansWith(onFailure), defaultPlan: 'free', store: redis.store, secret: SECRET, storeTimeoutMs, recordTimeoutMs: 20_000, ...(hasRecord && { record: new SqlRecord(database) }) }) as Tollgate
  const closes: (() => Promise<unknown>)[] = []
  onTestFinished(async () => {
    for (const close of closes) await close()
    await tollgate.close()
    await redis.close()
    await database.close()
    await file.drop()
  })
  return { tollgate, addClose: (close) => void closes.push(close) }
}

/** Asks until Redis decides again. Returns what was allowed on the way. */
async function untilRecovered(tollgate: Tollgate, subject: string): Promise<number> {
  let allowed = 0
  await expect
    .poll(
      async () => {
        const decision = await tollgate.consume({ subject })
        if (decision.allowed) allowed++
        return decision.degraded
      },
      { timeout: 30_000 },
    )
    .toBe(false)
  return allowed
}

async function consume(tollgate: Tollgate, subject: string, times: number): Promise<number> {
  let allowed = 0
  for (let i = 0; i < times; i++) if ((await tollgate.consume({ subject })).allowed) allowed++
  return allowed
}

/** What many callers at once are allowed, each until it is denied. */
async function exhaust(tollgate: Tollgate, subject: string, callers: number, onAllowed = (): void => {}): Promise<number> {
  const each = async (): Promise<number> => {
    for (let allowed = 0; ; allowed++) {
      if (!(await tollgate.consume({ subject })).allowed) return allowed
      onAllowed()
    }
  }
  return (await Promise.all(Array.from({ length: callers }, each))).reduce((sum, n) => sum + n, 0)
}

describe('Redis', () => {
  it('that is killed and starts empty: quotas come back from the record, with what was admitted meanwhile', async () => {
    const server = await startRedis()
    const { tollgate, addClose } = await opened(server.url)
    addClose(() => server.stop())
    let allowed = await consume(tollgate, 'u', 100)
    await server.kill()
    const away = await consume(tollgate, 'u', 50)
    expect(away).toBe(50)
    await server.start()
    allowed += away + (await untilRecovered(tollgate, 'u'))
    allowed += await exhaust(tollgate, 'u', 20)
    expect(allowed).toBe(LIMIT)
    expect((await tollgate.usage('u')).limits.find(({ limit }) => limit === 'daily')!.used).toBe(LIMIT)
  })

  it('that keeps what it is given: what was admitted while it was away is counted when it is back, once', async () => {
    const server = await startRedis({ isDurable: true })
    const { tollgate, addClose } = await opened(server.url, { hasRecord: false })
    addClose(() => server.stop())
    let allowed = await consume(tollgate, 'u', 100)
    await server.kill()
    const away = await consume(tollgate, 'u', 50)
    await server.start()
    allowed += away + (await untilRecovered(tollgate, 'u'))
    allowed += await exhaust(tollgate, 'u', 20)
    expect(allowed).toBe(LIMIT)
  })

  it('that is killed and started again under load: everything that was allowed is counted, and nothing twice', { timeout: 120_000 }, async () => {
    const server = await startRedis({ isDurable: true })
    const { tollgate, addClose } = await opened(server.url, { hasRecord: false })
    addClose(() => server.stop())
    const [callers, asks] = [20, 250]
    let asked = 0
    const load = Promise.all(Array.from({ length: callers }, async (_, caller) => {
      let allowed = 0
      for (let i = 0; i < asks; i++, asked++) if ((await tollgate.consume({ subject: `u${caller}` })).allowed) allowed++
      return allowed
    }))
    for (const share of [0.2, 0.5]) {
      await expect.poll(() => asked, { interval: 1, timeout: 30_000 }).toBeGreaterThan(callers * asks * share)
      await server.kill()
      await server.start()
    }
    expect(await load).toEqual(Array(callers).fill(asks))
    await untilRecovered(tollgate, 'probe')
    // Of a call whose answer was lost nobody knows whether it was counted: with what this process counted in its place, twice.
    for (let caller = 0; caller < callers; caller++) {
      const { used } = (await tollgate.usage(`u${caller}`)).limits.find(({ limit }) => limit === 'daily')!
      expect(used).toBeGreaterThanOrEqual(asks)
      expect(used).toBeLessThanOrEqual(asks + 2)
    }
  })

  it('that is lost with all it had: credits are what they were', async () => {
    const server = await startRedis()
    const redis = await openRedis(server.url, { connectTimeoutMs: 20_000 })
    const { databases, drop } = await openedBy(1, 'sqlite')
    const plans = { gift: { rank: 0, limits: { minute: slidingWindow({ limit: 1000, window: '1m' }) }, credits: { grant: 100, every: 'month' as const } } }
    const tollgate = createTollgate({ plans, operations: { image: { credits: 10 } }, store: redis.store, ledger: new SqlLedger(databases[0]!), secret: SECRET, storeTimeoutMs: 2000 })
    onTestFinished(async () => {
      await tollgate.close()
      await redis.close()
      await server.stop()
      await drop()
    })
    await tollgate.setPlan('u', 'gift')
    const spend = async (times: number): Promise<number> => {
      let spent = 0
      for (let i = 0; i < times; i++) if ((await tollgate.consume({ subject: 'u', operation: 'image' })).allowed) spent++
      return spent
    }
    let spent = await spend(3)
    await server.kill()
    spent += await spend(3)
    await server.start()
    await expect.poll(async () => (await tollgate.check({ subject: 'u' })).degraded, { timeout: 30_000 }).toBe(false)
    await command(server.port, 'FLUSHALL')
    spent += await spend(10)
    expect([spent, (await tollgate.balance('u')).available]).toEqual([10, 0])
  })

  it('that is emptied under load: nobody passes a quota by more than was under way', async () => {
    const server = await startRedis()
    const { tollgate, addClose } = await opened(server.url)
    addClose(() => server.stop())
    const callers = 20
    let soFar = 0
    const load = exhaust(tollgate, 'u', callers, () => soFar++)
    // The load may be over by then: it always gets as far as the limit.
    for (const share of [0.2, 0.4, 0.6]) {
      await expect.poll(() => soFar, { interval: 1, timeout: 30_000 }).toBeGreaterThan(LIMIT * share)
      await command(server.port, 'FLUSHALL')
    }
    const allowed = await load
    expect(allowed).toBeGreaterThanOrEqual(LIMIT)
    expect(allowed).toBeLessThanOrEqual(LIMIT + 3 * callers)
  })

  it('that forgets its scripts under load: nothing is lost or counted twice', async () => {
    const server = await startRedis()
    const { tollgate, addClose } = await opened(server.url, { hasRecord: false })
    addClose(() => server.stop())
    const load = exhaust(tollgate, 'u', 20)
    for (let i = 0; i < 10; i++) await command(server.port, 'SCRIPT', 'FLUSH')
    expect(await load).toBe(LIMIT)
  })

  it('whose replies are lost one time in five: what is asked for with a key counts once', { timeout: 120_000 }, async () => {
    const server = await startRedis()
    const proxy = await startProxy({ port: server.port })
    const { tollgate, addClose } = await opened(`redis://127.0.0.1:${proxy.port}`, { onFailure: 'closed', hasRecord: false })
    addClose(() => proxy.stop().then(() => server.stop()))
    await consume(tollgate, 'warm', 1)
    const random = new Random(5)
    proxy.dropReplies(0.2, () => random.next())
    const ask = async (i: number): Promise<void> => {
      const request = { subject: 'u', idempotencyKey: `k${i}` }
      const decision = await stubbornly(() => (i % 3 === 0 ? tollgate.reserve(request) : tollgate.consume(request)))
      expect(decision.allowed).toBe(true)
      if (decision.reservation) await stubbornly(() => tollgate.commit(decision.reservation!.id), ['ALREADY_SETTLED'])
    }
    // One after the other, or a few replies would answer all of them.
    const caller = async (_: unknown, from: number): Promise<void> => {
      for (let i = from; i < 150; i += 5) await ask(i)
    }
    await Promise.all(Array.from({ length: 5 }, caller))
    expect(proxy.droppedCount).toBeGreaterThan(5)
    proxy.dropReplies(0)
    const usage = await stubbornly(() => tollgate.usage('u'))
    expect(usage.limits.find(({ limit }) => limit === 'daily')!.used).toBe(150)
  })

  it.each(['open', 'closed', 'local'] as const)("that is away: policy '%s' decides, says so, and everything is as before when it is back", async (onFailure) => {
    const server = await startRedis({ isDurable: true })
    const proxy = await startProxy({ port: server.port })
    const { tollgate, addClose } = await opened(`redis://127.0.0.1:${proxy.port}`, { onFailure, hasRecord: false, storeTimeoutMs: 500 })
    addClose(() => proxy.stop().then(() => server.stop()))
    await consume(tollgate, 'u', 10)
    await proxy.pause()
    const outcomes = await Promise.all(Array.from({ length: 400 }, (_, i) => tollgate.consume({ subject: i % 2 === 0 ? 'u' : 'v' }).catch((error: unknown) => error)))
    const decisions = outcomes.filter((outcome) => !(outcome instanceof Error)) as Decision[]
    expect(decisions.every(({ degraded }) => degraded)).toBe(true)
    expect(decisions.filter(({ allowed }) => allowed).length).toBe(onFailure === 'closed' ? 0 : 400)
    if (onFailure === 'closed') expect(outcomes.every((error) => TollgateError.isInstance(error) && error.code === 'STORE_UNAVAILABLE' && error.retryAfterMs! > 0)).toBe(true)
    // What was on its way when the connection was cut may or may not have been counted by Redis: only stricter.
    await proxy.cut()
    await proxy.mend()
    proxy.resume()
    await expect.poll(() => tollgate.check({ subject: 'v' }).then(({ degraded }) => degraded, () => true), { timeout: 30_000 }).toBe(false)
    const used = (await tollgate.usage('v')).limits.find(({ limit }) => limit === 'daily')!.used
    if (onFailure === 'closed') expect(used).toBeLessThanOrEqual(200)
    else expect(used).toBeGreaterThanOrEqual(200)
  })
})

describe('sentinels', () => {
  it('lead to the replica that takes over from a master that is killed', { timeout: 120_000 }, async () => {
    const master = await startRedis()
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', master.port] })
    const sentinel = await startRedis({ isSentinel: true })
    const watch = (...args: (string | number)[]) => command(sentinel.port, 'SENTINEL', ...args)
    await watch('MONITOR', 'main', '127.0.0.1', master.port, 1)
    await watch('SET', 'main', 'down-after-milliseconds', 1000, 'failover-timeout', 10_000)
    await expect.poll(async () => String(await command(replica.port, 'INFO', 'replication')), { timeout: 30_000 }).toContain('master_link_status:up')
    await expect.poll(async () => ((await watch('REPLICAS', 'main')) as unknown[]).length, { timeout: 30_000 }).toBe(1)
    const { tollgate, addClose } = await opened(`redis+sentinel://127.0.0.1:${sentinel.port}/main`)
    addClose(() => Promise.all([sentinel.stop(), replica.stop(), master.stop()]))
    let allowed = await consume(tollgate, 'u', 100)
    await expect.poll(async () => command(replica.port, 'DBSIZE'), { timeout: 30_000 }).not.toBe(0)
    await master.kill()
    allowed += await untilRecovered(tollgate, 'u')
    allowed += await exhaust(tollgate, 'u', 20)
    expect(Math.abs(allowed - LIMIT)).toBeLessThanOrEqual(2)
    expect(await command(replica.port, 'ROLE')).toEqual(expect.arrayContaining(['master']))
  })
})

describe('a cluster', () => {
  const subjects = Array.from({ length: 60 }, (_, i) => `user:${i}`)

  it('whose master is killed: a replica takes over, and nobody passes a quota by more than was under way', { timeout: 120_000 }, async () => {
    const cluster = await startRedisCluster({ masters: 3, replicas: 1 })
    const { tollgate, addClose } = await opened(cluster.urls.join(','), { hasRecord: true })
    addClose(() => cluster.stop())
    const allowed = new Map(subjects.map((subject) => [subject, 0]))
    const round = async (): Promise<Decision[]> => {
      const decisions = await Promise.all(subjects.map((subject) => tollgate.consume({ subject })))
      for (const decision of decisions) if (decision.allowed) allowed.set(decision.subject, allowed.get(decision.subject)! + 1)
      return decisions
    }
    for (let i = 0; i < 50; i++) await round()
    await cluster.kill(0)
    let degraded = 0
    await expect
      .poll(
        async () => {
          const now = (await round()).filter((decision) => decision.degraded).length
          degraded += now
          return now
        },
        { timeout: 60_000 },
      )
      .toBe(0)
    expect(degraded).toBeGreaterThan(0)
    while ((await round()).some((decision) => decision.allowed)) await turn()
    for (const [subject, count] of allowed) expect(Math.abs(count - LIMIT), subject).toBeLessThanOrEqual(5)
  })

  it('whose slots move under load: every request is counted once', { timeout: 120_000 }, async () => {
    const cluster = await startRedisCluster({ masters: 3 })
    const { tollgate, addClose } = await opened(cluster.urls.join(','), { hasRecord: false, storeTimeoutMs: 10_000 })
    addClose(() => cluster.stop())
    for (const subject of subjects) await tollgate.consume({ subject })
    const keys = (await Promise.all(cluster.nodes.map(({ port }) => command(port, 'KEYS', 'tg1:{*')))).flat() as string[]
    const slots = [...new Set(await Promise.all(keys.map((key) => command(cluster.nodes[0]!.port, 'CLUSTER', 'KEYSLOT', key))))] as number[]
    const moving = { isOver: false }
    let asked = 1
    const load = (async () => {
      for (; !moving.isOver; asked++) {
        const decisions = await Promise.all(subjects.map((subject) => tollgate.consume({ subject })))
        expect(decisions.filter(({ degraded }) => degraded)).toEqual([])
      }
    })()
    for (const slot of slots.slice(0, 20)) {
      const from = (await cluster.ownerOf(slot))!
      await cluster.moveSlot(slot, from, (from + 1) % 3, () => turn())
    }
    moving.isOver = true
    await load
    for (const subject of subjects) expect((await tollgate.usage(subject)).limits.find(({ limit }) => limit === 'daily')!.used).toBe(Math.min(asked, LIMIT))
  })
})

/** Asks until there is an answer: a lost reply, and a breaker that is open, are none. */
async function stubbornly<T>(ask: () => Promise<T>, answers: readonly string[] = []): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (TollgateError.isInstance(error) && answers.includes(error.code)) return undefined as T
      if (!TollgateError.isInstance(error) || (error.code !== 'STORE_UNAVAILABLE' && error.code !== 'IDEMPOTENCY_IN_PROGRESS')) throw error
      await turn()
    }
  }
}
