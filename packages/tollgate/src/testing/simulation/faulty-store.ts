import type { Clock } from '../../engine/clock.ts'
import type { CounterStore, DecideCommand, MaybePromise, SettleCommand } from '../../stores/store.ts'
import { keptOutcome, keptSettlement } from '../driver.ts'
import type { Random } from '../random.ts'

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
  let isConnected = true
  const never = new Promise<never>(() => {})
  const sleep = (ms: number): Promise<void> => (ms === 0 ? Promise.resolve() : new Promise((resolve) => clock.after(ms, resolve)))
  const trip = (): number => (random.chance(0.3) ? 0 : random.integer(0, faults.delayMs))

  const send = async <T>(effect: () => MaybePromise<T>, isRepeatable = false): Promise<T> => {
    // Drawn at once and always, so that one call's luck does not depend on another's timing.
    const luck = { fate: random.next(), isLate: random.chance(faults.late), isRepeated: random.chance(faults.repeat), lateMs: random.integer(...LATE_MS), there: trip(), back: trip() }
    if (!isConnected) return never
    const { failBefore, failAfter, hang } = faults
    await sleep(luck.isLate ? luck.lateMs : luck.there)
    if (luck.fate < failBefore) throw new Error('connection refused')
    if (luck.fate < failBefore + hang / 2) return never
    const answer = await effect()
    if (isRepeatable && luck.isRepeated) void sleep(luck.lateMs).then(effect)
    if (luck.fate < failBefore + hang || !isConnected) return never
    await sleep(luck.back)
    if (luck.fate < failBefore + hang + failAfter) throw new Error('connection reset')
    return isConnected ? answer : never
  }

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
    disconnect() {
      isConnected = false
    },
  }
}

/** At once where it can be: a store in this process uses its answer again with the next call. */
function mapped<T>(answer: MaybePromise<T>, copy: (value: T) => T): MaybePromise<T> {
  return answer instanceof Promise ? answer.then(copy) : copy(answer)
}
