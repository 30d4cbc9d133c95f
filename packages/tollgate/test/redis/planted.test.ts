import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { storeConformance } from '../../src/testing/conformance/index.ts'
import { controlledClock, type ControlledClock } from '../../src/testing/clock.ts'
import { differential } from '../../src/testing/differential/index.ts'
import { redisUrl, uniquePrefix } from '../../src/testing/redis-servers.ts'
import { CellKind } from '../../src/decide/charge.ts'
import { chargeOf } from '../../src/testing/charges.ts'
import { clientThat } from '../../src/testing/redis-clients.ts'
import type { IoredisClient } from '../../src/stores/redis/client.ts'
import { RedisStore } from '../../src/stores/redis/index.ts'

/**
 * Mistakes that ports to Lua are made of, each planted in the scripts on their way to Redis: the suites that hold the port
 * to the kernel have to find every one.
 */
const MISTAKES: Readonly<Record<string, readonly [find: string, replace: string]>> = {
  'the numbers of a request are compared as texts': ["n[#n + 1] = tonumber(number)", 'n[#n + 1] = number'],
  'the numbers of a request are compared as texts (simple)': ['n1+0', 'n1'],
  'a quota admits at its limit (simple)': ['if w2 >=', 'if w2 >'],
  'a window ends a millisecond late (simple)': ['if now - w1 >= 60000', 'if now - w1 > 60000'],
  'a window ends a millisecond late': ['if age < window then return start_at end', 'if age <= window then return start_at end'],
  'a quota admits one more': ['return used + amount <= max and used < max', 'return used + amount <= max + 1 and used < max + 1'],
  'a pause ends a millisecond late': ['return now >= w[at] + window or amount == 0', 'return now > w[at] + window or amount == 0'],
  'a sliding count is rounded down': ['return current + math.ceil(previous', 'return current + math.floor(previous'],
  'a log keeps what has just left its window': ["string.format('(%.0f', cutoff)", "string.format('%.0f', cutoff)"],
  'a denied request charges (simple)': ['if status == 1 and action == 117', 'if action == 117'],
  'a denied request charges': ['if not admitted then', 'if false then'],
  'a check charges': ['if action == CHECK then return', 'if false then return'],
  'a key has no expiry': ["redis.call('SET', key, value, 'PX', string.format('%.0f', tick * TICK_MS - now))", "redis.call('SET', key, value)"],
  'a log has no expiry': ["redis.call('PEXPIRE', key, string.format('%.0f', window + 660000))", ''],
  'a settled reservation has no expiry': ["redis.call('SET', key, packed_reservation(v), 'PX', string.format('%.0f', keep_ms))", "redis.call('SET', key, packed_reservation(v))"],
  'an expiry is set anew by each request': ['local is_new = r.is_repaired or not lives(r.tick, now, retain_ms)', 'local is_new = true r.tick = 0'],
  'a refund has no bound': ['w[1], w[2] = now, math.max(0, w[2] - x.amount)', 'w[1], w[2] = now, w[2] + x.amount'],
  'an undo gives a bucket more than it holds': ['math.min(c[MAX] * c[WINDOW], w[2] + math.max(0, amount * c[WINDOW] - flowed))', 'w[2] + amount * c[WINDOW]'],
  'an undo takes from the wrong window': ['elseif w[1] - c[WINDOW] <= v.charged_at then', 'elseif false then'],
  'a release after a reset gives back': ['if w[1] > 0 and w[3] == x.start_at then', 'if w[1] > 0 then'],
  'a commit goes into the period of now': ['if w[1] > x.start_at then return end', ''],
  'a commit below the estimate counts the estimate': ['commit(x, actual and actual * x.c[WEIGHT] or x.amount)', 'commit(x, x.amount)'],
  'a weight is forgotten': ['actual * x.c[WEIGHT]', 'actual'],
  'the clock is a float': ['if given ~= \'\' then return tonumber(given) end', "if given ~= '' then return given + 0.5 end"],
  'a total is written as a float': ["string.format('%016.0f:%.0f', total, amount)", "string.format('%016g:%g', total, amount)"],
  'a kind that is not known is let pass': ['unknown_kind(kind)\nend\nlocal function format_of', 'return 6\nend\nlocal function format_of'],
  'holds never end': ['holds[i] == cell and holds[i + 3] > now and', 'holds[i] == cell and'],
  'a hold is of any period': ['and holds[i + 4] == start_at then', 'then'],
  'what is ahead of the clock stays there': ['if is_ahead(kind, w, at, r.holds, C[i + CELL], now) then', 'if false then'],
  'an extension counts from the expiry': ["local expires_at = now + tonumber(ARGV[5])", 'local expires_at = v.expires_at + tonumber(ARGV[5])'],
  'a narrow count overflows': ['while width < 3 and largest >=', 'while false and largest >='],
  'another namespace settles': ['string.sub(v.subject, 1, #prefix) ~= prefix', 'false'],
  'another version\'s cells are dropped': ["if not own[key] then order[#order + 1] = key end", ''],
}

/** Of each kind of mistake one is planted every day; all of them take some minutes. */
const EVERYDAY = new Set([
  'the numbers of a request are compared as texts (simple)', 'a window ends a millisecond late (simple)', 'a denied request charges', 'a key has no expiry', 'a refund has no bound',
  'a total is written as a float', 'a kind that is not known is let pass', 'an undo takes from the wrong window',
])
const PLANTED = Object.entries(MISTAKES).filter(([name]) => process.env['TOLLGATE_LONG'] || EVERYDAY.has(name))

let redis: Redis
beforeAll(async () => {
  redis = new Redis(await redisUrl())
})
afterAll(() => redis.quit())

/** A client on whose way every script with `find` in it has `replace` there instead. */
function mistaken([find, replace]: readonly [string, string]): { client: IoredisClient; isPlanted(): boolean } {
  const [wanted, planted] = [compact(find), compact(replace)]
  let isPlanted = false
  return {
    isPlanted: () => isPlanted,
    client: clientThat(async (command, ...args) => {
      if (command === 'EVALSHA') throw new Error('NOSCRIPT')
      if (command !== 'EVAL') return redis.callBuffer(command, ...args)
      const text = args[0]!
      const changed = text.includes(wanted) ? text.replaceAll(wanted, planted) : text
      isPlanted ||= changed !== text
      return redis.callBuffer('EVAL', changed, ...args.slice(1))
    }),
  }
}

const compact = (text: string): string => text.split('\n').map((line) => line.trim()).join('\n')

type Run = () => Promise<unknown>

/** The scenarios of the conformance suite, one by one. */
function conformance(makeStore: (clock: ControlledClock) => RedisStore): Run[] {
  const runs: Run[] = []
  storeConformance('planted', makeStore, { describe: (_, define) => define(), it: (_, run) => void runs.push(async () => run()) })
  return runs
}

async function allExpire(prefix: string): Promise<void> {
  for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 })) {
    for (const key of keys as string[]) if ((await redis.pttl(key)) === -1) throw new Error(`${key} has no expiry`)
  }
}

/** A record in which a newer version has left a cell of a kind of its own. */
async function refusesNewerKinds(prefix: string, make: (clock: ControlledClock) => RedisStore): Promise<void> {
  const clock = controlledClock(1_800_000_000_000)
  const store = make(clock)
  const consume = (plan: string) => store.decide({ subject: 'newer', plan, charges: [chargeOf({ cell: 'planted/pause', kind: CellKind.cooldown, windowMs: 1 })], now: clock.now(), action: 'consume' })
  await consume('plan')
  for await (const keys of redis.scanStream({ match: `${prefix}*snewer`, count: 1000 })) {
    for (const key of keys as string[]) await redis.setrange(key, 8 + 'plan'.length + 4, '\x0f')
  }
  clock.advance(1)
  const outcome = await Promise.resolve(consume('other')).catch((error: Error) => error.message)
  if (typeof outcome !== 'string' || !outcome.includes('Cell kind 15')) throw new Error('a cell of a newer kind was not refused')
}

/** What one request needs for long, others that need it for a short time only must not take away. */
async function keepsExpiries(prefix: string, make: (clock: ControlledClock) => RedisStore): Promise<void> {
  const clock = controlledClock(1_800_000_000_000)
  const store = make(clock)
  const consume = (plan: string, kind: CellKind) => store.decide({ subject: 'lasting', plan, charges: [chargeOf({ cell: `planted/${kind}`, kind, max: 9, windowMs: 1 })], now: clock.now(), action: 'consume' })
  await consume('plan', CellKind.capacity)
  await consume('other', CellKind.cooldown)
  for await (const keys of redis.scanStream({ match: `${prefix}*slasting`, count: 1000 })) {
    for (const key of keys as string[]) {
      const left = await redis.pttl(key)
      await redis.del(key)
      if (left < 399 * 86_400_000) throw new Error(`${key} ends in ${left} ms`)
    }
  }
}

describe('a mistake in the scripts is found:', () => {
  it.each(PLANTED)('%s', { timeout: 120_000 }, async (_, mistake) => {
    const { client, isPlanted } = mistaken(mistake)
    const prefix = uniquePrefix()
    let stores = 0
    const make = (clock: ControlledClock): RedisStore => new RedisStore(client, { clock, prefix: `${prefix}${++stores}:` })
    let found: unknown
    const attempts: Run[] = [...conformance(make), () => differential(make, { runs: 150, seed: 7, shrink: false }), () => allExpire(prefix), () => refusesNewerKinds(prefix, make), () => keepsExpiries(prefix, make)]
    for (const attempt of attempts) {
      try {
        await attempt()
      } catch (error) {
        found = error
        break
      }
    }
    expect(isPlanted(), 'the mistake is in the scripts').toBe(true)
    expect(found, 'nobody found it').toBeDefined()
  })

  it('and none where there is none', { timeout: 120_000 }, async () => {
    const { client } = mistaken(['nothing of the kind', ''])
    const prefix = uniquePrefix()
    const make = (clock: ControlledClock): RedisStore => new RedisStore(client, { clock, prefix })
    const all = [...conformance(make), () => allExpire(prefix), () => refusesNewerKinds(prefix, make), () => keepsExpiries(prefix, make)]
    for (const run of all) await run()
    expect(all.length).toBeGreaterThan(80)
  })
})
