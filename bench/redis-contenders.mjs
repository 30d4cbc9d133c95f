import { createHash } from 'node:crypto'
import { Ratelimit } from '@upstash/ratelimit'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import { createTollgate, quota, slidingWindow, tokenBucket } from 'tollgate'
import { RedisStore } from 'tollgate/redis'

const SECRET = 'the secret of a benchmark'
const STORE_TIMEOUT_MS = 5000
/** As many as ask at a time. */
export const CALLERS = 64

/** Of sizes that products have, since a count is as wide as its limit: nobody comes near one. */
const limits = {
  minute: slidingWindow({ limit: 100, window: '1m' }),
  burst: tokenBucket({ capacity: 20, refill: 20, every: '1s' }),
  daily: quota({ limit: 1000, every: 'day' }),
  flood: slidingWindow({ limit: 200, window: '1m' }),
  tokens: quota({ limit: 1_000_000, every: 'month', meter: 'tokens' }),
  points: quota({ limit: 10_000, every: 'month', meter: 'points' }),
}
const plans = { chat: { rank: 0, limits } }
const AMOUNTS = { tokens: 100, points: 1 }

const DAY_SECONDS = 86_400
/** The same for peers: limit, seconds, and what a request asks. */
const SIX = [
  [100, 60, 1],
  [20, 1, 1],
  [1000, DAY_SECONDS, 1],
  [200, 60, 1],
  [1_000_000, 30 * DAY_SECONDS, AMOUNTS.tokens],
  [10_000, 30 * DAY_SECONDS, AMOUNTS.points],
]

export const ONE = 'rate-limiter-flexible: one limit'
export const SIX_AT_ONCE = 'rate-limiter-flexible: six at once'
export const SIX_IN_SEQUENCE = 'rate-limiter-flexible: six in sequence'
export const UPSTASH_ONE = '@upstash/ratelimit: one limit'
export const UPSTASH_SIX = '@upstash/ratelimit: six at once'
export const INCR = 'INCR'
export const EMPTY = 'an empty script'
export const UNBATCHED = 'tollgate without batches'
export const BATCHED = 'tollgate'
export const recordingTo = (ours, record) => `${ours}, recording to ${record}`
export const NOBODY = 'nobody'
export const SQLITE = 'SQLite'

/** Events are made and handed on in batches, which nobody writes. */
export const nobody = { write: async () => {}, totals: async () => undefined, erase: async () => {} }

/**
 * Each makes a limiter on a client, and gives what decides for a user; whoever is denied ends the benchmark.
 * @param client of `clients`
 * @param records by name, what makes one for ours
 */
export function contenders(client, records = {}) {
  const { raw } = client
  return {
    [INCR]: () => client.incr(),
    [EMPTY]: () => client.emptyScript(),
    [ONE]: () => flexible(client, 'rlflx', SIX[0]),
    [SIX_AT_ONCE]: () => atOnce(SIX.map((each, i) => flexible(client, `rlfl${i}`, each))),
    [SIX_IN_SEQUENCE]: () => inSequence(SIX.map((each, i) => flexible(client, `rlfs${i}`, each))),
    [UPSTASH_ONE]: () => upstash(client, '@upstash/ratelimit', SIX[0]),
    [UPSTASH_SIX]: () => atOnce(SIX.map((each, i) => upstash(client, `@upstash/ratelimit${i}`, each))),
    [UNBATCHED]: () => tollgate(unbatched(raw, 'tu')),
    [BATCHED]: () => tollgate(new RedisStore(raw)),
    ...Object.fromEntries(
      Object.entries(records).flatMap(([to, record], i) => [
        [recordingTo(UNBATCHED, to), () => tollgate(unbatched(raw, `u${i}`), record())],
        [recordingTo(BATCHED, to), () => tollgate(new RedisStore(raw, { prefix: `b${i}` }), record())],
      ]),
    ),
  }
}

function tollgate(store, record) {
  const ours = createTollgate({ plans, store, secret: SECRET, storeTimeoutMs: STORE_TIMEOUT_MS, ...(record && { record }) })
  const decide = async (subject) => {
    const { allowed, degraded, violations } = await ours.consume({ subject, plan: 'chat', amounts: AMOUNTS })
    if (!allowed || degraded) throw new Error(degraded ? `the store did not answer for ${subject}` : `${subject} reached ${violations[0].limit}`)
  }
  return Object.assign(decide, { flush: () => ours.flush(), close: () => ours.close() })
}

/** Requests that ask one store at a time meet in a batch: here each asks another. */
function unbatched(client, prefix) {
  const stores = Array.from({ length: CALLERS }, () => new RedisStore(client, { prefix }))
  let next = 0
  const [first] = stores
  const decide = first.decide.bind(first)
  first.decide = (command) => {
    const i = next++ % CALLERS
    return i === 0 ? decide(command) : stores[i].decide(command)
  }
  const close = first.close.bind(first)
  first.close = async () => {
    await Promise.all([close(), ...stores.slice(1).map((store) => store.close())])
  }
  return first
}

function flexible({ raw, isNodeRedis }, keyPrefix, [points, duration, amount]) {
  const limiter = new RateLimiterRedis({ storeClient: raw, useRedisPackage: isNodeRedis, keyPrefix, points, duration })
  return (user) => limiter.consume(user, amount)
}

function upstash({ evalSha, load }, prefix, [tokens, seconds, amount]) {
  const limiter = new Ratelimit({ redis: upstashRedis(evalSha, load), prefix, limiter: Ratelimit.slidingWindow(tokens, `${seconds} s`), timeout: STORE_TIMEOUT_MS, enableTelemetry: false })
  return async (user) => {
    const { success, reason } = await limiter.limit(user, { rate: amount })
    if (!success || reason !== undefined) throw new Error(`${user} was denied by @upstash/ratelimit: ${reason ?? 'too many requests'}`)
  }
}

/**
 * What its limiters ask of a client. Their scripts begin with a line that only its own servers accept, so they are loaded
 * without it, under a name that follows from what is left.
 */
function upstashRedis(evalSha, load) {
  const loaded = new Map()
  const sha1 = (text) => createHash('sha1').update(text).digest('hex')
  return {
    async evalsha(sha, keys, args) {
      const own = loaded.get(sha)
      if (own === undefined) throw new Error('NOSCRIPT No matching script')
      return evalSha(own, keys, args)
    },
    async eval(script, keys, args) {
      const own = await load(script.replace(/^#!.*/, ''))
      loaded.set(sha1(script), own)
      return evalSha(own, keys, args)
    },
  }
}

const atOnce = (limiters) => (user) => Promise.all(limiters.map((limit) => limit(user)))
const inSequence = (limiters) => async (user) => {
  for (const limit of limiters) await limit(user)
}

/** A client of either library, with what contenders call that is named differently. */
export const clients = {
  async ioredis(url) {
    const { Redis } = await import('ioredis')
    const raw = new Redis(url)
    const empty = await raw.script('LOAD', '')
    return {
      isNodeRedis: false,
      raw,
      incr: () => (user) => raw.incr(`floor:${user}`),
      emptyScript: () => (user) => raw.evalsha(empty, 1, `floor:${user}`),
      evalSha: (sha, keys, args) => raw.evalsha(sha, keys.length, ...keys, ...args),
      load: (script) => raw.script('LOAD', script),
      close: () => raw.quit(),
    }
  },
  async 'node-redis'(url) {
    const { createClient } = await import('redis')
    const raw = createClient({ url })
    // Its server ends after it; should it end before, that is no reason to end the benchmark.
    raw.on('error', (error) => console.error(`node-redis: ${error.message}`))
    await raw.connect()
    const empty = await raw.scriptLoad('')
    return {
      isNodeRedis: true,
      raw,
      incr: () => (user) => raw.incr(`floor:${user}`),
      emptyScript: () => (user) => raw.evalSha(empty, { keys: [`floor:${user}`] }),
      evalSha: (sha, keys, args) => raw.evalSha(sha, { keys, arguments: args.map(String) }),
      load: (script) => raw.scriptLoad(script),
      close: () => raw.close(),
    }
  },
}
