import type { Clock } from '../../engine/clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import type { Random } from '../random.ts'
import type { Faults } from './faulty-store.ts'
import { unreliable } from './unreliable.ts'

export interface FaultyLedger extends Ledger {
  /** The process died: what is on its way arrives, nothing is sent or answered any more. */
  disconnect(): void
}

/** Later than the engine's deadline of a ledger, so that the effect comes after the caller was told there is none. */
const LATE_MS = [100, 12_000] as const

/**
 * What may arrive a second time, later. A denial is not remembered, and a plan may have changed since: those a database
 * never runs by itself after it has answered.
 */
const REPEATABLE: ReadonlySet<string> = new Set(['commit', 'release', 'cancel', 'grant', 'refund'])

/** A ledger behind a network in virtual time, whose faults follow from the seed. */
export function faultyLedger(inner: Ledger, clock: Clock, random: Random, faults: Faults): FaultyLedger {
  const link = unreliable(clock, random, faults, LATE_MS)
  return {
    name: `faulty ${inner.name}`,
    run: (subject, command) => link.send(() => inner.run(subject, command), REPEATABLE.has(command.kind)),
    balance: (subject, amount) => link.send(() => inner.balance(subject, amount)),
    entries: (subject, page) => link.send(() => inner.entries(subject, page)),
    balanceAt: (subject, at) => link.send(() => inner.balanceAt(subject, at)),
    runDue: (limit) => link.send(() => inner.runDue(limit)),
    verify: (subject) => inner.verify(subject),
    erase: (subject) => link.send(() => inner.erase(subject)),
    // The inner ledger outlives this process.
    close: async () => {},
    disconnect: link.disconnect,
  }
}
