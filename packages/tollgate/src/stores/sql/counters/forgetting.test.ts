import { it } from 'vitest'
import type { ControlledClock } from '../../../testing/clock.ts'
import { differential } from '../../../testing/differential/index.ts'
import { KeptRows } from '../../../testing/kept-rows.ts'
import type { CounterStore } from '../../store.ts'
import { type CounterCommand, decideCommand, eraseCommand, lastPlanCommand, resetCommand, settleCommand, usageCommand } from './commands.ts'

/** What may be deleted is deleted at once: a database does it at any time after. */
function forgetfulStore(clock: ControlledClock): CounterStore {
  const kept = new KeptRows()
  const run = async <A>(command: CounterCommand<A>): Promise<A> => {
    const answer = kept.run(command, clock.now())
    for (const [key, row] of kept.counters) if (row.expires_at <= clock.now()) kept.counters.delete(key)
    for (const [key, row] of kept.reservations) if (row.forget_at <= clock.now()) kept.reservations.delete(key)
    return answer
  }
  return {
    name: 'forgetful',
    decide: (command) => run(decideCommand(command, undefined)),
    settle: (command) => run(settleCommand(command)),
    usage: (command) => run(usageCommand(command)),
    reset: (subject, cells) => run(resetCommand(subject, cells)),
    erase: (subject) => run(eraseCommand(subject)),
    lastPlan: async (subject) => (await run(lastPlanCommand(subject))).plan,
    knownAnchor: () => undefined,
    close: () => {},
  }
}

const RUNS = process.env.TOLLGATE_LONG ? 10_000 : 200

it(`rows can be deleted as soon as they say they can: ${RUNS} random histories`, { timeout: 600_000 }, () => differential(forgetfulStore, { runs: RUNS }))
