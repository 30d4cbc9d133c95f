import { isBusy } from './errors.ts'
import type { Op, Outcome } from './executor.js'

/** Where SQL runs: in a thread of its own, or in this one. */
export interface Connection {
  /** A transaction keeps to one session: what replaces a lost one knows nothing of its BEGIN. */
  session(): Session
  close(): Promise<void>
}

export interface Session {
  /**
   * One after another until one is refused; then nothing of the transaction stays. `deadline` is of `performance.now`.
   * @throws STORE_UNAVAILABLE when there is no answer: anything may have been written
   */
  send(ops: readonly Op[], deadline: number): Promise<Outcome>
}

/**
 * `ops` that begin something: while another process holds the lock nothing of them is done, so they are sent again until
 * the deadline. SQLite's own waiting is short, for it does not hear that the caller has given up.
 */
export async function begin(session: Session, ops: readonly Op[], deadline: number, isOver = () => false): Promise<Outcome> {
  for (;;) {
    const outcome = await session.send(ops, deadline)
    if (outcome.rows.length > 0 || !isBusy(outcome.error) || performance.now() >= deadline || isOver()) return outcome
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 10))
  }
}
