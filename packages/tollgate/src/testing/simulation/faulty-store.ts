import type { Clock } from '../../engine/clock.ts'
import type { CounterStore, DecideCommand, MaybePromise, SettleCommand } from '../../stores/store.ts'
import { keptOutcome, keptSettlement } from '../driver.ts'
import type { Random } from '../random.ts'
import { unreliable } from './unreliable.ts'

/** Shares of calls, 0 … 1, that go wrong. */
export interface Faults {
  /** Longest way to the store and back, each: the usual delay. */
  delayMs: number
  /** Delayed beyond any deadline, and yet to arrive. */
  late: number
  failBefore: number
  /** The store does it, and the reply is lost. */
  failAfter: number
  /** Settlements that are delivered a second time, later. */
  repeat: number
  /** Never answered. */
  hang: number
}

export const NO_FAULTS: Faults = { delayMs: 0, late: 0, failBefore: 0, failAfter: 0, repeat: 0, hang: 0 }

export interface FaultyStore extends CounterStore {
  /** The process died: what is on its way arrives, nothing is sent or answered any more. */
  disconnect(): void
}

/** Later than any deadline of the engine, so that the effect comes after the caller was told there is none. */
const LATE_MS = [60, 1500] as const

/** A remote store that misbehaves: `inner` behind a network in virtual time, whose faults follow from the seed. */
export function faultyStore(inner: CounterStore, clock: Clock, random: Random, faults: Faults): FaultyStore {
  const { send, disconnect } = unreliable(clock, random, faults, LATE_MS)
  return {
    name: `faulty ${inner.name}`,
    // Commands are copied: the engine uses theirs again. Time is the store's own, when the command arrives.
    decide(command) {
      const copy: DecideCommand = { ...command, charges: command.charges.map((c) => ({ ...c })) }
      return send(() => mapped(inner.decide({ ...copy, now: clock.now() }), keptOutcome))
    },
    settle(command) {
      const copy: SettleCommand = { ...command }
      return send(() => mapped(inner.settle({ ...copy, now: clock.now() }), keptSettlement), true)
    },
    usage: (command) => send(() => inner.usage({ ...command, now: clock.now() })),
    reset: (subject, cells) => send(() => inner.reset(subject, cells)),
    erase: (subject) => send(() => inner.erase(subject)),
    lastPlan: (subject) => send(() => inner.lastPlan(subject)),
    knownAnchor: (subject) => inner.knownAnchor(subject),
    // The inner store outlives this process.
    close() {},
    disconnect,
  }
}

/** At once where it can be: a store in this process uses its answer again with the next call. */
function mapped<T>(answer: MaybePromise<T>, copy: (value: T) => T): MaybePromise<T> {
  return answer instanceof Promise ? answer.then(copy) : copy(answer)
}
