import LocalStore from '@fastify/rate-limit/store/LocalStore.js'
import { MemoryStore as ExpressStore } from 'express-rate-limit'
import { MemoryStore as HonoStore } from 'hono-rate-limiter'
import { RateLimiterMemory, RateLimiterUnion } from 'rate-limiter-flexible'
import { createTollgate, MemoryLedger, MemoryStore, Receipts } from 'tollgate'
import { createDigester } from '../packages/tollgate/dist/content/digest.js'
import { Catalog } from '../packages/tollgate/dist/compile/catalog.js'
import { systemClock } from '../packages/tollgate/dist/engine/clock.js'
import { Engine } from '../packages/tollgate/dist/engine/engine.js'
import { MemorySubjects } from '../packages/tollgate/dist/engine/subjects.js'
import { messageInWorldOf, messageOf, PLENTY, plans } from './plans.mjs'

const SECRET = 'the secret of a benchmark'
const DAY_SECONDS = 86_400
/** rate-limiter-flexible sets a timer per key, and timers end after 24.8 days: a month would expire at once. */
const LONG_SECONDS = 24 * DAY_SECONDS
const SIX_SECONDS = [60, 1, DAY_SECONDS, 60, LONG_SECONDS, LONG_SECONDS]

const limiter = (duration, i, points = PLENTY) => new RateLimiterMemory({ points, duration, keyPrefix: i === undefined ? undefined : `limit${i}` })
const sixLimiters = () => SIX_SECONDS.map((seconds, i) => limiter(seconds, i))

/**
 * Each makes a fresh limiter and returns the function that decides for a user. Peers count one window per limit and
 * write each at once; ours are the kinds of plans.mjs, all or nothing. One limit lasts a day, which spares the peers
 * any expiry while they are measured.
 */
export const contenders = {
  'a Map and the time': () => {
    const counts = new Map()
    return (user) => counts.set(user, (counts.get(user) ?? 0) + Math.sign(Date.now()))
  },

  'tollgate: deciding, six limits': () => {
    const engine = createEngine()
    return (user) => engine.decide(messageOf(user), 'consume')
  },
  'tollgate: deciding, denied': () => {
    const engine = createEngine()
    return (user) => engine.decide(messageOf(user, 'exhausted'), 'consume')
  },
  'tollgate: consume, six limits': () => {
    const tollgate = createTollgate({ plans, secret: SECRET })
    return (user) => tollgate.consume(messageOf(user))
  },
  'tollgate: consume, denied': () => {
    const tollgate = createTollgate({ plans, secret: SECRET })
    return (user) => tollgate.consume(messageOf(user, 'exhausted'))
  },
  'tollgate: consume, eight limits': () => {
    const tollgate = createTollgate({ plans, secret: SECRET })
    return (user, i) => tollgate.consume(messageInWorldOf(user, i))
  },

  'rate-limiter-flexible: one limit': () => {
    const one = limiter(DAY_SECONDS)
    return (user) => one.consume(user)
  },
  'rate-limiter-flexible: one limit, denied': () => {
    const one = limiter(DAY_SECONDS, undefined, 1)
    return (user) => one.consume(user).catch((denial) => denial)
  },
  'rate-limiter-flexible: six in sequence': () => {
    const limiters = sixLimiters()
    return async (user) => {
      for (const each of limiters) await each.consume(user)
    }
  },
  'rate-limiter-flexible: union of six': () => {
    const union = new RateLimiterUnion(...sixLimiters())
    return (user) => union.consume(user)
  },

  'express-rate-limit: one limit': () => {
    const store = expressStore()
    return (user) => store.increment(user)
  },
  'express-rate-limit: six in sequence': () => {
    const stores = SIX_SECONDS.map(expressStore)
    return async (user) => {
      for (const store of stores) await store.increment(user)
    }
  },

  '@fastify/rate-limit: one limit': () => {
    const increment = fastifyIncrement()
    return (user) => increment(user)
  },
  '@fastify/rate-limit: six in sequence': () => {
    const increments = SIX_SECONDS.map(fastifyIncrement)
    return async (user) => {
      for (const increment of increments) await increment(user)
    }
  },

  'hono-rate-limiter: one limit': () => {
    const store = honoStore()
    return async (user) => store.increment(user)
  },
  'hono-rate-limiter: six in sequence': () => {
    const stores = SIX_SECONDS.map(honoStore)
    return async (user) => {
      for (const store of stores) await store.increment(user)
    }
  },
}

/** Those whose answer is no promise. */
export const isSynchronous = (name) => name === 'a Map and the time' || name.startsWith('tollgate: deciding')

/** What is under the public API: from a request to a decision, at once, since the store is in memory. */
function createEngine() {
  return new Engine({
    catalog: new Catalog([{ name: 'default', plans }], true),
    store: new MemoryStore(),
    subjects: new MemorySubjects(),
    clock: systemClock,
    digest: createDigester(SECRET),
    message: () => '',
    localeOf: () => 'en',
    defaultPlanOf: () => undefined,
    keyPrefix: '',
    secret: SECRET,
    newId: () => '',
    rollout: { mode: 'enforce', percent: 100 },
    storeTimeoutMs: 50,
    ledgerTimeoutMs: 5000,
    maxInFlight: 10_000,
    receipts: new Receipts(systemClock),
    localShare: 1,
    ledger: new MemoryLedger(),
    overage: { policy: 'clamp' },
    accountOf: (subject) => subject,
  })
}

function expressStore() {
  const store = new ExpressStore()
  store.init({ windowMs: DAY_SECONDS * 1000 })
  return store
}

function honoStore() {
  const store = new HonoStore()
  store.init({ windowMs: DAY_SECONDS * 1000 })
  return store
}

/** As its hook calls it; by default it keeps 5,000 users and evicts the rest. */
function fastifyIncrement() {
  const store = new LocalStore(false, false, 1_000_000)
  return (user) => new Promise((resolve, reject) => store.incr(user, (error, state) => (error ? reject(error) : resolve(state)), DAY_SECONDS * 1000, PLENTY))
}
