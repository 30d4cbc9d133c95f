import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CellKind, type Charge } from '../../decide/charge.ts'
import { chargeOf, digestOf } from '../../testing/charges.ts'
import { controlledClock } from '../../testing/clock.ts'
import { differential } from '../../testing/differential/index.ts'
import { StoreDriver } from '../../testing/driver.ts'
import { redisUrl, uniquePrefix } from '../../testing/redis-servers.ts'
import { clientThat } from '../../testing/redis-clients.ts'
import type { IoredisClient } from './client.ts'
import { RedisStore } from './index.ts'

const START_AT = 1_800_000_000_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

let redis: Redis
beforeAll(async () => {
  redis = new Redis(await redisUrl())
})
afterAll(() => redis.quit())

const quota = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: 'p/daily:1', kind: CellKind.quota, max: 10, startAt: START_AT, endAt: START_AT + DAY_MS, ...facts })
const minute = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: 'p/minute:3', kind: CellKind.slidingCounter, max: 10, windowMs: 60_000, ...facts })
const log = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: 'p/log:4', kind: CellKind.slidingLog, max: 10, windowMs: 60_000, ...facts })
const pause = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: 'p/pause:6', kind: CellKind.cooldown, max: 1, windowMs: 5000, ...facts })
const parallel = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: 'p/parallel:7', kind: CellKind.concurrency, max: 5, ...facts })
const capacity = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: 'p/agents:8', kind: CellKind.capacity, max: 5, ...facts })
const anchor = (facts: Partial<Charge> = {}): Charge => chargeOf({ cell: '@anchor', kind: CellKind.anchor, amount: 0, startAt: START_AT, ...facts })

function opened(options: { client?: IoredisClient; maxScripts?: number } = {}) {
  const clock = controlledClock(START_AT)
  const prefix = uniquePrefix()
  const { client = redis, ...rest } = options
  const store = new RedisStore(client, { prefix, clock, ...rest })
  return { clock, prefix, store, driver: new StoreDriver(store, clock), keys: () => keysOf(prefix) }
}

async function keysOf(prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const batch of redis.scanStream({ match: `${prefix}*`, count: 1000 })) keys.push(...(batch as string[]))
  return keys.filter((key) => !key.includes('{processes}')).toSorted()
}

/** The same client, which keeps what it was asked to send. */
function watched() {
  const sent: (string | number)[][] = []
  const client = clientThat((command, ...args) => {
    sent.push([command, ...args])
    return redis.callBuffer(command, ...args)
  })
  // But for what says that the process is there.
  const scripts = (name = 'EVALSHA') => sent.filter(([command, ...args]) => command === name && !args.some((arg) => String(arg).includes('{processes}')))
  return { client, scripts, texts: () => new Set(scripts().map(([, sha]) => sha)).size }
}

describe('keys', () => {
  it('all have an expiry, and those of a subject are in one slot', async () => {
    const { driver, keys } = opened()
    const everything = [quota(), minute(), log(), log({ digest: digestOf(1) }), pause({ partition: 'w1' }), parallel(), capacity(), anchor()]
    const { id } = await driver.reserve('user:1', 1000, ...everything)
    await driver.settle('commit', id)
    await driver.reserve('user:1', 1000, capacity(), quota({ partition: 'w2' }))
    await driver.store.decide({ subject: 'user:1', plan: 'plan', charges: [quota()], now: START_AT, action: 'consume', receipt: 'r1' })
    const found = await keys()
    // The record, both indexes, a log, a text, a pause, a quota of a world, two reservations, a receipt, and the sentinel.
    expect(found).toHaveLength(11)
    for (const key of found) expect(await redis.pttl(key), key).toBeGreaterThan(60_000)
    expect(new Set(found.map((key) => /\{[0-9a-f]{2}\}/.exec(key)?.[0])).size).toBe(1)
  })

  it('are one for a subject whose limits are not counted per something', async () => {
    const { driver, keys } = opened()
    for (let i = 0; i < 3; i++) await driver.consume('user:1', quota(), minute(), pause({ windowMs: 0 }), capacity())
    expect((await keys()).filter((key) => key.includes('user:1'))).toHaveLength(1)
  })

  it('of names that UTF-8 would mix up are apart', async () => {
    const { driver } = opened()
    for (const subject of ['\ud800', '\ud801', '\ufffd', '\0"\\ud800"']) expect((await driver.consume(subject, quota({ max: 1 }))).admitted, JSON.stringify(subject)).toBe(true)
    for (const partition of ['\ud800', '\ud801', '\ufffd']) expect((await driver.consume('user:1', pause({ partition }))).admitted).toBe(true)
    expect((await driver.usage('user:1', [pause()], true)).map(({ partition }) => partition).toSorted()).toEqual(['\ud800', '\ud801', '\ufffd'])
  })

  it('of an erased subject are gone', async () => {
    const { driver, keys } = opened()
    await driver.reserve('user:1', 1000, quota(), log({ digest: digestOf(1) }), pause({ partition: 'w1' }))
    await driver.erase('user:1')
    expect((await keys()).filter((key) => key.includes('user:1') || key.includes('v'))).toEqual([])
  })

  it('cannot begin with a brace', () => {
    expect(() => new RedisStore(redis, { prefix: '{a}' })).toThrow(/prefix: '\{a\}' is not a prefix of keys; use up to 64 characters without braces/)
    expect(() => new RedisStore(new Redis({ lazyConnect: true, keyPrefix: 'app:' }))).toThrow(/its keyPrefix 'app:' is not for scripts; leave it out, and give the store a prefix/)
    expect(() => new RedisStore({} as never)).toThrow(/no client of Redis; give one of ioredis or node-redis/)
  })
})

describe('an expiry', () => {
  const ttlOf = async (keys: () => Promise<string[]>) => redis.pttl((await keys()).find((key) => key.includes('suser:1'))!)

  it('is never shortened by requests that meet shorter limits', async () => {
    const { driver, keys } = opened()
    await driver.consume('user:1', capacity(), quota({ endAt: START_AT + 30 * DAY_MS, retainMs: 30 * DAY_MS }))
    const before = await ttlOf(keys)
    expect(before).toBeGreaterThan(399 * DAY_MS)
    await driver.decide('consume', 'user:1', [minute()], { plan: 'other' })
    const { id } = await driver.reserve('user:1', 1000, parallel())
    await driver.settle('commit', id)
    await driver.reset('user:1', [minute().cell])
    expect(await ttlOf(keys)).toBeGreaterThan(before - 60_000)
  })

  it('outlasts the hold that lasts longest, and a debt', async () => {
    const { driver, keys } = opened()
    await driver.reserve('user:1', DAY_MS, parallel())
    await driver.reserve('user:1', 1000, parallel())
    expect(await ttlOf(keys)).toBeGreaterThan(DAY_MS)
    const bucket = chargeOf({ cell: 'p/bucket:5', kind: CellKind.tokenBucket, max: 10, windowMs: 60_000, refill: 1 })
    const { id } = await driver.reserve('user:1', 1000, bucket)
    await driver.settle('commit', id, { amounts: { requests: 10_000 } })
    await driver.consume('user:1', minute())
    expect(await ttlOf(keys)).toBeGreaterThan(9980 * 60_000)
  })

  it('is that of the largest bucket among limits of subjects’ own', async () => {
    const { store, keys } = opened()
    const bucket = (max: number) => chargeOf({ cell: 'p/own:5', kind: CellKind.tokenBucket, max, windowMs: 60_000, refill: 10, isOwn: true })
    for (const [subject, max] of [['user:0', 20], ['user:1', 6000], ['user:1', 6000]] as const) await store.decide({ subject, plan: 'plan', charges: [bucket(max)], now: START_AT, action: 'consume' })
    expect(await ttlOf(keys)).toBeGreaterThan(599 * 60_000)
  })
})

describe('a plan', () => {
  it.each([CellKind.quota, CellKind.fixedWindow, CellKind.slidingCounter, CellKind.tokenBucket, CellKind.cooldown, CellKind.slidingLog, CellKind.concurrency, CellKind.capacity])('has room for 64 limits of kind %i', async (kind) => {
    const { driver } = opened()
    const charges = (): Charge[] => Array.from({ length: 64 }, (_, i) => chargeOf({ cell: `many/${i}:${kind}`, kind, max: 2, windowMs: 60_000, refill: 1, ...(kind === CellKind.quota && { startAt: START_AT, endAt: START_AT + DAY_MS, windowMs: 0 }) }))
    const { id, admitted } = await driver.reserve('user:1', 1000, ...charges())
    expect(admitted).toBe(true)
    await driver.settle('commit', id)
    for (let i = 0; i < 2; i++) await driver.consume('user:1', ...charges())
    const { verdicts } = await driver.check('user:1', ...charges())
    expect(new Set(verdicts.map(({ used }) => used)).size).toBe(1)
  })

  it('of another engine with the same names counts by its own weights and meters', async () => {
    const { store } = opened()
    const consume = (subject: string, facts: Partial<Charge>) => store.decide({ subject, plan: 'plan', charges: [quota({ max: 1_000_000, ...facts })], now: START_AT, action: 'consume' })
    for (let i = 0; i < 2; i++) await consume('a', {})
    for (let i = 0; i < 2; i++) await consume('b', { weight: 10, amount: 10 })
    for (let i = 0; i < 2; i++) await consume('c', { meter: 'tokens', amount: 5000 })
    const used = await Promise.all(['a', 'b', 'c'].map((subject) => store.usage({ subject, limits: [{ charge: quota({ amount: 0 }), isPartitioned: false }], now: START_AT })))
    expect(used.map(([entry]) => entry!.verdict.used)).toEqual([2, 20, 10_000])
  })
})

describe('a script', () => {
  it('that Redis has forgotten is sent again, and counts once', async () => {
    const { client, scripts } = watched()
    const { driver } = opened({ client })
    await redis.script('FLUSH')
    await driver.consume('user:1', quota())
    await redis.script('FLUSH')
    const { id } = await driver.reserve('user:1', 1000, quota())
    await redis.script('FLUSH')
    await driver.settle('commit', id)
    await redis.script('FLUSH')
    expect((await driver.usage('user:1', [quota({ amount: 0 })]))[0]!.verdict.used).toBe(2)
    expect(scripts('EVAL')).toHaveLength(4)
  })

  it('is sent by a client that pipelines by itself', async () => {
    const pipelining = new Redis(await redisUrl(), { enableAutoPipelining: true })
    const { driver } = opened({ client: pipelining })
    expect((await Promise.all(Array.from({ length: 20 }, (_, i) => driver.consume(`user:${i % 2}`, quota({ max: 7 }))))).filter(({ admitted }) => admitted)).toHaveLength(14)
    await pipelining.quit()
  })

  it('is one for each decision and each settlement', async () => {
    const { client, scripts } = watched()
    const { driver } = opened({ client })
    const round = async (world: string): Promise<void> => {
      await driver.consume('user:1', quota(), minute(), log(), pause({ partition: world }))
      const { id } = await driver.reserve('user:1', 1000, quota(), minute(), log())
      await driver.settle('commit', id)
      await driver.usage('user:1', [quota(), minute()])
    }
    await round('w1')
    const before = scripts().length
    await round('w2')
    expect(scripts().length - before).toBe(4)
  })

  it('decides together what comes in one turn, up to 64, each with its own answer', async () => {
    const { client, scripts } = watched()
    const { driver } = opened({ client })
    await driver.consume('user:0', quota({ max: 83 }))
    const before = scripts().length
    const outcomes = await Promise.all(Array.from({ length: 200 }, (_, i) => driver.consume(`user:${i % 2}`, quota({ max: 83 }))))
    expect(scripts().length - before).toBe(4)
    expect(outcomes.filter(({ admitted }) => admitted).length).toBe(82 + 83)
  })

  it('decides in two halves what comes together while Redis has nothing to do', async () => {
    const { client, scripts } = watched()
    const { driver } = opened({ client })
    const ask = (count: number) => Promise.all(Array.from({ length: count }, (_, i) => driver.consume(`user:${i}`, quota())))
    await ask(1)
    const before = scripts().length
    const first = ask(9)
    await new Promise<void>((resolve) => process.nextTick(resolve))
    expect(scripts().length - before).toBe(2)
    const [, ...outcomes] = (await Promise.all([first, ask(9)])).flat()
    expect(scripts().length - before).toBe(3)
    expect(outcomes.every(({ admitted }) => admitted)).toBe(true)
    await ask(7)
    expect(scripts().length - before).toBe(4)
  })

  it('is the same for all subjects of a plan, whatever they ask and whatever limits are their own', async () => {
    const { client, texts } = watched()
    const { store } = opened({ client })
    for (let i = 0; i < 40; i++) {
      const own = { isOwn: i % 2 === 1, max: i % 2 === 1 ? 100 + i : 10 }
      await store.decide({ subject: `user:${i}`, plan: 'plan', charges: [quota({ ...own, amount: i % 5 }), minute(own)], now: START_AT, action: 'consume' })
    }
    expect(texts()).toBe(4)
  })

  it('is not made for charges that no request has, or beyond the bound', async () => {
    const { client, texts } = watched()
    const { store } = opened({ client, maxScripts: 1 })
    const consume = (n: number, isRare: boolean) => store.decide({ subject: 'user:1', plan: 'plan', charges: [quota({ cell: `p/${n}:1`, max: Infinity, amount: 7 }), quota({ cell: `p/${n}:1`, max: Infinity, amount: 7 })], now: START_AT, action: 'consume', isRare })
    for (let n = 0; n < 5; n++) await consume(n, n % 2 === 0)
    expect((await consume(4, true)).verdicts.map(({ used }) => used)).toEqual([21, 21])
    expect(texts()).toBe(1)
  })

  it('without one of its own decides the same', { timeout: 120_000 }, async () => {
    await differential((clock) => new RedisStore(redis, { clock, prefix: uniquePrefix(), maxScripts: 0 }), { runs: 25 })
  })
})

describe('what fails', () => {
  it('fails alone among what was asked together', async () => {
    const { driver, keys, prefix } = opened()
    await driver.consume('user:1', quota())
    const [record] = (await keys()).filter((key) => key.includes('user:1'))
    await redis.del(record!)
    await redis.lpush(record!, 'not a string')
    const outcomes = await Promise.allSettled([driver.consume('user:0', quota()), driver.consume('user:1', quota()), driver.consume('user:2', quota())])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(String((outcomes[1] as PromiseRejectedResult).reason)).toMatch(/WRONGTYPE/)
    expect(prefix).toBeTruthy()
  })

  it.each([
    ['of a newer format', (raw: Buffer) => Buffer.concat([Buffer.of(9), raw.subarray(1)]), /newer version of Tollgate \(format 9, this one reads 1\); upgrade this process/],
    ['that is cut off', (raw: Buffer) => raw.subarray(0, raw.length - 3), /too short|out of range|user_script/],
    ['with a cell of a kind that is not known', (raw: Buffer) => Buffer.concat([raw.subarray(0, 15), Buffer.of(15), raw.subarray(16)]), /Cell kind 15 is not one this version of Tollgate knows/],
  ])('is a record %s, and it stays as it is', async (_, damage, message) => {
    const { driver, keys } = opened()
    await driver.decide('consume', 'user:1', [quota()], { plan: 'six' })
    const record = (await keys()).find((key) => key.includes('user:1'))!
    const damaged = damage((await redis.getBuffer(record))!)
    await redis.set(record, damaged, 'KEEPTTL')
    await expect(driver.decide('consume', 'user:1', [quota()], { plan: 'six' })).rejects.toThrow(message)
    expect(await redis.getBuffer(record)).toEqual(damaged)
  })
})

describe('asking twice', () => {
  it('with one receipt counts once, and is admitted again', async () => {
    const { store, driver } = opened()
    const ask = (receipt: string, max = 10) => store.decide({ subject: 'user:1', plan: 'plan', charges: [quota({ max }), log()], now: START_AT, action: 'consume', receipt })
    expect([(await ask('a')).admitted, (await ask('a')).admitted]).toEqual([true, true])
    expect((await Promise.all(Array.from({ length: 20 }, () => ask('b')))).every(({ admitted }) => admitted)).toBe(true)
    expect((await driver.check('user:1', quota())).verdicts[0]!.used).toBe(2)
    // Under another plan meanwhile, with other limits.
    expect(await store.decide({ subject: 'user:1', plan: 'other', charges: [minute(), pause({ partition: 'w' }), quota()], now: START_AT, action: 'consume', receipt: 'a' })).toMatchObject({ admitted: true })
    // A denial has changed nothing, and may be asked again when there is room.
    expect((await ask('c', 2)).admitted).toBe(false)
    expect((await ask('c', 3)).admitted).toBe(true)
  })

  it('for one reservation counts once, also when it is settled already', async () => {
    const { driver } = opened()
    const id = driver.reservationId('user:1', 'r1')
    const ask = () => driver.decide('reserve', 'user:1', [quota({ max: 2 }), minute({ max: 1 })], { id })
    expect([(await ask()).admitted, (await ask()).admitted]).toEqual([true, true])
    await driver.settle('commit', id)
    expect((await ask()).admitted).toBe(true)
    const { verdicts } = await driver.check('user:1', quota(), minute())
    expect(verdicts.map(({ used }) => used)).toEqual([1, 1])
  })
})

describe('a partition', () => {
  const asked = { unlessUnknown: true }

  it('that has been there for longer than anything on record matters has no lost subjects, only new ones', async () => {
    const { store, driver, clock, prefix } = opened()
    // Some process has been there for ten days.
    await redis.zadd(`${prefix}1:{processes}`, Date.now() + 60_000, 'another')
    await redis.set(`${prefix}1:{processes}since`, Date.now() - 10 * DAY_MS, 'EX', 60)
    const decide = (subject: string, recordedMs: number) => store.decide({ subject, plan: 'plan', charges: [quota({ startAt: clock.now(), endAt: clock.now() + DAY_MS })], now: clock.now(), action: 'consume', ...asked, recordedMs })
    // Nobody knows since when the partition is there.
    expect((await decide('user:1', DAY_MS)).stale).toEqual({ isUnknown: true })
    await driver.consume('user:1', quota())
    await expect.poll(() => store.processes(), { timeout: 20_000 }).toBe(2)
    // 256 partitions: another subject of the same one.
    const tag = driver.reservationId('user:1', '').slice(-2)
    const neighbours = Array.from({ length: 5000 }, (_, i) => `other:${i}`).filter((subject) => driver.reservationId(subject, '').endsWith(tag))
    expect((await decide(neighbours[0]!, DAY_MS)).stale).toEqual({ isUnknown: true })
    clock.advance(DAY_MS)
    expect((await decide(neighbours[1]!, DAY_MS)).admitted).toBe(true)
    expect((await decide(neighbours[2]!, DAY_MS + 1)).stale).toEqual({ isUnknown: true })
  })

  it('that was lost knows nobody again', async () => {
    const { store, driver, clock, keys } = opened()
    await driver.consume('user:1', quota())
    clock.advance(DAY_MS)
    await redis.del(...(await keys()))
    expect((await store.decide({ subject: 'user:1', plan: 'plan', charges: [quota()], now: clock.now(), action: 'consume', ...asked, recordedMs: DAY_MS })).stale).toEqual({ isUnknown: true })
  })
})

describe('counts that grow beyond the width of their cell', () => {
  it('are exact, and so is what follows', async () => {
    const { driver } = opened()
    const small = () => [quota({ max: 200, cell: 'p/a:1' }), minute({ max: 200 }), quota({ max: 3, cell: 'p/b:1' })]
    const { id } = await driver.reserve('user:1', 1000, ...small())
    await driver.settle('commit', id, { amounts: { requests: 70_000 } })
    expect((await driver.check('user:1', ...small())).verdicts.map(({ used }) => used)).toEqual([70_000, 70_000, 70_000])
    const large = [quota({ max: 100_000, cell: 'p/a:1' }), minute({ max: 100_000 }), quota({ max: 2 ** 40, cell: 'p/b:1' })]
    expect((await driver.consume('user:1', ...large)).verdicts.map(({ used }) => used)).toEqual([70_001, 70_001, 70_001])
    expect((await driver.consume('user:1', ...small())).admitted).toBe(false)
  })
})

describe('amounts beyond all bounds', () => {
  it('stay what they are: a bucket that owes more than fits owes what fits', async () => {
    const { driver } = opened()
    const bucket = chargeOf({ cell: 'p/day:5', kind: CellKind.tokenBucket, max: 1000, windowMs: DAY_MS, refill: 1000 })
    for (let i = 0; i < 6; i++) {
      const { id } = await driver.reserve('user:1', 1000, { ...bucket, amount: 0 })
      if (i === 0) await driver.settle('commit', id, { amounts: { requests: 2 ** 31 - 1 } })
    }
    expect((await driver.consume('user:1', bucket)).admitted).toBe(false)
    const many = quota({ weight: 2 ** 31 - 1, max: Infinity })
    const { id } = await driver.reserve('user:2', 1000, many)
    await driver.settle('commit', id, { amounts: { requests: 2 ** 31 - 1 } })
    expect((await driver.check('user:2', quota())).admitted).toBe(false)
  })
})

describe('an erasure', () => {
  it('finds reservations however long they last, and whatever their number', async () => {
    const { driver, keys, clock } = opened()
    const { id } = await driver.reserve('user:1', 1000, capacity())
    await driver.settle('commit', id)
    clock.advance(3 * DAY_MS)
    for (let i = 0; i < 1200; i += 100) await Promise.all(Array.from({ length: 100 }, () => driver.reserve('user:1', 1000, parallel({ max: 10_000 }))))
    await driver.erase('user:1')
    expect((await keys()).filter((key) => key.includes('user:1') || key.includes('}v'))).toEqual([])
    expect((await driver.settle('release', id)).result).toBe('unknown')
  })
})

describe('holds that have ended', () => {
  it('leave the record with the next request', async () => {
    const { driver, keys, clock } = opened()
    for (let i = 0; i < 20; i++) await driver.reserve('user:1', 1000, parallel({ max: 100 }), minute({ max: 1000 }))
    const record = (await keys()).find((key) => key.includes('suser:1'))!
    const before = await redis.strlen(record)
    clock.advance(1000)
    await driver.consume('user:1', minute({ max: 1000 }))
    expect(await redis.strlen(record)).toBe(before - 20 * 32)
  })
})

describe('plans', () => {
  it('of two versions share the cells that both have, and keep those that only one has', async () => {
    const { driver, clock } = opened()
    const first = () => [quota({ max: 100 }), pause({ windowMs: 1 }), capacity()]
    const second = () => [minute({ max: 300 }), quota({ max: 100_000 }), log()]
    for (let i = 0; i < 5; i++) {
      expect((await driver.decide('consume', 'user:1', first(), { plan: 'v1' })).verdicts[0]!.used).toBe(2 * i + 1)
      expect((await driver.decide('consume', 'user:1', second(), { plan: 'v2' })).verdicts[1]!.used).toBe(2 * i + 2)
      clock.advance(2)
    }
    expect((await driver.check('user:1', capacity(), minute())).verdicts.map(({ used }) => used)).toEqual([5, 5])
  })

  it('that are gone leave no cells behind for ever', async () => {
    const { driver, clock, keys } = opened()
    await driver.consume('user:1', minute(), pause(), quota())
    const record = (await keys()).find((key) => key.includes('user:1'))!
    const before = await redis.strlen(record)
    clock.advance(40 * DAY_MS)
    // Of the second request, which writes more than its own words, nothing of the old ones is left.
    const later = quota({ cell: 'p/new:1', startAt: clock.now(), endAt: clock.now() + DAY_MS })
    await driver.consume('user:1', later)
    await driver.decide('consume', 'user:1', [later], { plan: 'other' })
    expect(await redis.strlen(record)).toBeLessThan(before)
  })
})

it('knows how many processes use it', async () => {
  const prefix = uniquePrefix()
  const stores = Array.from({ length: 3 }, () => new RedisStore(redis, { prefix }))
  expect(stores.map((store) => store.processes())).toEqual([1, 1, 1])
  for (const store of stores) await store.decide({ subject: 's', plan: 'p', charges: [pause()], now: 0, action: 'check' })
  await expect.poll(() => stores.at(-1)!.processes(), { timeout: 20_000 }).toBe(3)
  await Promise.all(stores.map((store) => store.close()))
  await expect.poll(() => redis.zcard(`${prefix}1:{processes}`), { timeout: 20_000 }).toBe(0)
})
