import { expect, it } from 'vitest'
import { simulateCredits } from './credits.ts'

const only = process.env.TOLLGATE_SEED
const seeds = only ? [Number(only)] : Array.from({ length: process.env.TOLLGATE_LONG ? 1000 : 60 }, (_, i) => i + 1)
const CALLERS = 150

it(`charges what callers were told, with ${seeds.length} seeds of ${CALLERS} callers`, { timeout: 1_800_000 }, async () => {
  const outcomes: Record<string, number> = {}
  for (const seed of seeds) {
    const result = await simulateCredits({ seed, callers: CALLERS })
    expect(result.findings, `seed ${seed}; run it again with TOLLGATE_SEED=${seed} npx vitest run packages/tollgate/src/testing/simulation/credits.test.ts`).toEqual([])
    for (const [outcome, count] of Object.entries(result.outcomes)) outcomes[outcome] = (outcomes[outcome] ?? 0) + count
  }
  if (only) return
  // What never happened was not tested.
  const wanted = ['consume done', 'consume STORE_UNAVAILABLE', 'consume unheard', 'reserve done', 'commit done', 'commit STORE_UNAVAILABLE', 'release done', 'refund done', 'repeat done', 'grant done', 'setPlan done']
  expect(wanted.filter((outcome) => !outcomes[outcome])).toEqual([])
})
