/** (a) What one decision costs in memory, side by side in one process, and with a million users. */
import { contenders, isSynchronous } from './contenders.mjs'
import { inChild, interleave, median, medianRatio, nanosecondsPer, shuffled } from './measure.mjs'

const USERS = 10_000
const ROUNDS = 11
/** Each round of a case takes tens of milliseconds: longer than a collection, shorter than the noise changes. */
const DECISIONS = { one: 100_000, six: 30_000 }

const MILLION_ROUNDS = 3
const MILLION = ['a Map and the time', 'tollgate: deciding, six limits', 'tollgate: consume, six limits', 'rate-limiter-flexible: one limit', 'express-rate-limit: one limit', '@fastify/rate-limit: one limit', 'hono-rate-limiter: one limit']

const ONE = 'rate-limiter-flexible: one limit'
const ADMITTED = 'tollgate: consume, six limits'

export async function memory() {
  const few = await withFewUsers()
  const many = await withManyUsers()
  const ratio = (samples, a, b) => medianRatio(samples[a], samples[b])
  return {
    columns: ['ns per decision', '10k users', '1M users'],
    rows: Object.keys(few).map((name) => [name, Math.round(median(few[name])), many[name] ? Math.round(median(many[name])) : null]),
    goals: [
      { what: 'deciding six limits, against one of rate-limiter-flexible', goal: 0.5, is: ratio(few, 'tollgate: deciding, six limits', ONE) },
      { what: '`await consume` of six limits, against one of rate-limiter-flexible', goal: 1, is: ratio(few, ADMITTED, ONE) },
      { what: 'the same, 1M users: deciding', goal: 0.5, is: ratio(many, 'tollgate: deciding, six limits', ONE) },
      { what: 'the same, 1M users: `await consume`', goal: 1, is: ratio(many, ADMITTED, ONE) },
      { what: 'deciding a denial, against an admission', goal: 1.2, is: ratio(few, 'tollgate: deciding, denied', 'tollgate: deciding, six limits') },
      { what: '`await consume` of a denial, against an admission', goal: 1.2, is: ratio(few, 'tollgate: consume, denied', ADMITTED) },
    ],
    facts: [
      { what: '`await consume` of six limits, against six of rate-limiter-flexible in sequence', is: ratio(few, ADMITTED, 'rate-limiter-flexible: six in sequence') },
      { what: 'the same, against its union', is: ratio(few, ADMITTED, 'rate-limiter-flexible: union of six') },
      { what: 'the same, against six of express-rate-limit', is: ratio(few, ADMITTED, 'express-rate-limit: six in sequence') },
      { what: 'the same, against six of @fastify/rate-limit', is: ratio(few, ADMITTED, '@fastify/rate-limit: six in sequence') },
      { what: 'the same, against six of hono-rate-limiter', is: ratio(few, ADMITTED, 'hono-rate-limiter: six in sequence') },
    ],
  }
}

function withFewUsers() {
  const users = shuffled(Array.from({ length: USERS }, (_, i) => `user:${i}`))
  const cases = Object.entries(contenders).map(([name, create]) => ({ name, decide: create(), decisions: name.includes(' six in ') || name.includes(' of six') || name.includes('eight') ? DECISIONS.six : DECISIONS.one }))
  return interleave(cases, {
    rounds: ROUNDS,
    warmUps: 2,
    measure: ({ name, decide, decisions }) => nanosecondsPer(decisions, isSynchronous(name) ? (count) => decideAll(decide, users, count) : (count) => awaitAll(decide, users, count)),
  })
}

/** Each in a process of its own, so that nobody's garbage collector walks another's million users. */
function withManyUsers() {
  return interleave(
    MILLION.map((name) => ({ name })),
    { rounds: MILLION_ROUNDS, warmUps: 0, measure: async ({ name }) => (await inChild('million.mjs', [name, 'speed'], ['--max-old-space-size=4096'])).nanoseconds },
  )
}

export function decideAll(decide, users, count) {
  for (let i = 0; i < count; i++) decide(users[i % users.length], i)
}

export async function awaitAll(decide, users, count) {
  for (let i = 0; i < count; i++) await decide(users[i % users.length], i)
}
