/** (b) What an active user takes, with a million users, key included. */
import { inChild, interleave, median } from './measure.mjs'

const CASES = ['tollgate: consume, six limits', 'tollgate: consume, eight limits', 'rate-limiter-flexible: one limit', 'rate-limiter-flexible: six in sequence', 'express-rate-limit: one limit', 'express-rate-limit: six in sequence', '@fastify/rate-limit: one limit', 'hono-rate-limiter: one limit']
/** The heap hardly varies: two rounds show that. */
const ROUNDS = 2

export async function heap() {
  const samples = await interleave(
    CASES.map((name) => ({ name })),
    { rounds: ROUNDS, warmUps: 0, measure: async ({ name }) => (await inChild('million.mjs', [name, 'heap'], ['--expose-gc', '--max-old-space-size=8192'])).bytes },
  )
  return {
    columns: ['bytes per active user', '1M users'],
    rows: CASES.map((name) => [name, Math.round(median(samples[name]))]),
    goals: [
      { what: 'bytes per user, six limits', goal: 220, is: median(samples['tollgate: consume, six limits']) },
      { what: 'bytes per user, eight limits (a world of a hundred users, a text)', goal: 300, is: median(samples['tollgate: consume, eight limits']) },
    ],
    facts: [],
  }
}
