import type { CounterStore } from '../../stores/store.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { Play } from './play.ts'

export interface DifferentialOptions {
  /** Random histories to play. */
  runs: number
  /** Repeats a failure: the message of one says which. */
  seed?: number
  path?: string
  /** `false`: take the first history that fails as it is. */
  shrink?: boolean
}

/** 2027-01-15: large enough an instant for mistakes of precision to show. */
const START_AT = 1_800_000_000_000

/**
 * Plays random histories on a store and on the plainest possible reference, and compares every answer. A failure is
 * shrunk to the shortest history that shows it. Needs the package `fast-check`.
 * @throws with that history, line by line.
 */
export async function differential(makeStore: (clock: ControlledClock) => CounterStore | Promise<CounterStore>, { runs, seed, path, shrink = true }: DifferentialOptions): Promise<void> {
  // Loaded here, so that who only wants the other suites needs no further package.
  const [fc, { histories }] = await Promise.all([import('fast-check'), import('./history.ts')])
  let plays = 0
  const property = fc.asyncProperty(histories, async ({ limits, steps }) => {
    const clock = controlledClock(START_AT)
    const store = await makeStore(clock)
    try {
      await new Play({ limits, steps }, store, clock, `p${++plays}`).run(steps)
    } finally {
      await store.close()
    }
  })
  const result = await fc.check(property, { numRuns: runs, endOnFailure: !shrink, ...(seed !== undefined && { seed }), ...(path !== undefined && { path }) })
  if (!result.failed) return
  const { errorInstance, seed: failedSeed, counterexamplePath, numShrinks } = result
  const again = `differential(makeStore, { runs: 1, seed: ${failedSeed}, path: '${counterexamplePath}' })`
  throw new Error(`after ${numShrinks} steps of shrinking, this history fails; run it again with\n  ${again}\n\n${(errorInstance as Error).message}`, { cause: errorInstance })
}
