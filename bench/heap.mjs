/** (b) What an active user keeps in memory, of a million: key, index and counters. A process per case. */
import { inChild } from './measure.mjs'

const CASES = {
  'tollgate: six limits': 'tollgate: consume, six limits',
  'tollgate: eight limits, a world and a digest among them': 'tollgate: consume, eight limits',
  'rate-limiter-flexible: one limit': 'rate-limiter-flexible: one limit',
  'express-rate-limit: one limit': 'express-rate-limit: one limit',
  '@fastify/rate-limit: one limit': '@fastify/rate-limit: one limit',
  'hono-rate-limiter: one limit': 'hono-rate-limiter: one limit',
  'a Map from a name to a number': 'a Map and the time',
}

export async function heap() {
  const bytes = {}
  for (const [name, contender] of Object.entries(CASES)) {
    bytes[name] = (await inChild('million.mjs', [contender, 'heap'], ['--expose-gc', '--max-old-space-size=4096'])).bytes
  }
  return {
    columns: ['bytes per user', '1M users'],
    rows: Object.entries(bytes).map(([name, each]) => [name, Math.round(each)]),
    goals: [
      { what: 'bytes per user, six limits', goal: 220, is: bytes['tollgate: six limits'] },
      { what: 'bytes per user, eight limits', goal: 300, is: bytes['tollgate: eight limits, a world and a digest among them'] },
    ],
    facts: [],
  }
}
