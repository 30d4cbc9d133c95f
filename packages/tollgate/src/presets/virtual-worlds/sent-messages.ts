import type { CounterStore, DecideCommand } from '../../stores/store.ts'
import { planSet } from './plans.ts'
import type { MessageLimit } from './single-limits.ts'

/** How the cell of the messages of a day begins. */
const DAY = `${planSet.name}/${'dailyMessages' satisfies MessageLimit}:`

/**
 * The same store, in which a message that was sent already counts above the day's limit too: it is what takes up the day
 * by itself. Its plan, and the limit that the record tells of, stay the user's own.
 */
export function countingSent(store: CounterStore): CounterStore {
  // What is no store the engine refuses.
  if (typeof store?.decide !== 'function') return store
  const decide: CounterStore['decide'] = (command) => store.decide(isSent(command) ? { ...command, charges: command.charges.map((charge) => ({ ...charge, max: Infinity })) } : command)
  return new Proxy(store, {
    get(target, name) {
      if (name === 'decide') return decide
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

function isSent({ action, charges }: DecideCommand): boolean {
  return action !== 'check' && charges.length === 1 && charges[0]!.cell.startsWith(DAY)
}
