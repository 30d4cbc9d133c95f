import type { CounterStore } from '../../stores/store.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { type HistoryOptions, playHistories } from '../histories.ts'
import { Play } from './play.ts'

export type DifferentialOptions = HistoryOptions

/** 2027-01-15: large enough an instant for mistakes of precision to show. */
const START_AT = 1_800_000_000_000

/**
 * Plays random histories on a store and on the plainest possible reference, and compares every answer. A failure is
 * shrunk to the shortest history that shows it. Needs the package `fast-check`.
 * @throws with that history, line by line.
 */
export async function differential(makeStore: (clock: ControlledClock) => CounterStore | Promise<CounterStore>, options: DifferentialOptions): Promise<void> {
  let plays = 0
  await playHistories(async () => (await import('./history.ts')).histories, 'differential(makeStore, ', options, async ({ limits, steps }) => {
    const clock = controlledClock(START_AT)
    const store = await makeStore(clock)
    try {
      await new Play({ limits, steps }, store, clock, `p${++plays}`).run(steps)
    } finally {
      await store.close()
    }
  })
}
