import { expect, it } from 'vitest'
import { simulate } from './simulator.ts'

/** Every day 200 callers a seed, which two cores run in some 15 s; the long run has 500, and takes some 20 minutes. */
const CALLERS = Number(process.env.TOLLGATE_CALLERS ?? (process.env.TOLLGATE_LONG ? 500 : 200))
const only = process.env.TOLLGATE_SEED
const seeds = only ? [Number(only)] : Array.from({ length: process.env.TOLLGATE_LONG ? 600 : 48 }, (_, i) => i + 1)
/** All seeds are one test. */
const TIMEOUT_MS = 3_600_000

it('gives the same trace for the same seed, and another for another', async () => {
  const [first, again, other] = [await simulate({ seed: 7, callers: 200 }), await simulate({ seed: 7, callers: 200 }), await simulate({ seed: 8, callers: 200 })]
  expect(again.traceHash).toBe(first.traceHash)
  expect(again.history.events.length).toBe(first.history.events.length)
  expect(other.traceHash).not.toBe(first.traceHash)
})

it(`keeps the promises with ${seeds.length} seeds of ${CALLERS} callers`, { timeout: TIMEOUT_MS }, async () => {
  const outcomes: Record<string, number> = {}
  for (const seed of seeds) {
    const result = await simulate({ seed, callers: CALLERS })
    const wrong = [...result.failures, ...result.findings.map(({ promise, event, explanation }) => `promise ${promise}, event ${event} of ${result.history.events.length}: ${explanation}`)]
    if (wrong.length > 0) {
      throw new Error(`seed ${seed} breaks promises; run it again with\n  TOLLGATE_SEED=${seed} TOLLGATE_CALLERS=${CALLERS} npx vitest run packages/tollgate/src/testing/simulation\n\n${wrong.slice(0, 10).join('\n')}`)
    }
    for (const [outcome, count] of Object.entries(result.outcomes)) outcomes[outcome] = (outcomes[outcome] ?? 0) + count
  }
  if (only) return
  // What never happened was not tested.
  const wanted = ['allowed', 'denied', 'degraded', 'committed', 'released', 'open', 'STORE_UNAVAILABLE', 'ALREADY_SETTLED', 'RESERVATION_EXPIRED', 'UNKNOWN_RESERVATION', 'IDEMPOTENCY_CONFLICT', 'IDEMPOTENCY_IN_PROGRESS', 'ABORTED']
  expect(wanted.filter((outcome) => !outcomes[outcome])).toEqual([])
})
