import { TollgateError } from '../errors/index.ts'
import type { StoredReservation } from '../stores/store.ts'
import type { CommitOptions, Reservation, Settlement } from './types.ts'

/** Marks reservations that this process's own counters hold while the store is down. */
export const LOCAL_ID = 'local_'

interface Settler {
  commit(id: string, options?: CommitOptions): Promise<Settlement>
  release(id: string, options?: { onlyOpen?: boolean }): Promise<Settlement>
}

/** An admitted request, to be committed or released. Leaving an `await using` block releases it unless it was settled. */
export class OpenReservation implements Reservation {
  readonly id: string
  readonly expiresAt: number
  readonly #engine: Settler
  #isSettled = false

  constructor(engine: Settler, id: string, expiresAt: number) {
    this.id = id
    this.expiresAt = expiresAt
    this.#engine = engine
  }

  async commit(options?: CommitOptions): Promise<Settlement> {
    const settlement = await this.#engine.commit(this.id, options)
    this.#isSettled = true
    return settlement
  }

  async release(): Promise<Settlement> {
    const settlement = await this.#engine.release(this.id)
    this.#isSettled = true
    return settlement
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isSettled) return
    try {
      // What was committed by id elsewhere stays committed, capacity included.
      await this.#engine.release(this.id, { onlyOpen: true })
    } catch (error) {
      // Settled by id elsewhere: nothing is left to give back.
      if (!TollgateError.isInstance(error) || error.code !== 'ALREADY_SETTLED') throw error
    }
  }
}

/** @param keyPrefix what goes before subjects in the store: not for callers to see. */
export function settlementOf(stored: StoredReservation, keyPrefix: string): Settlement {
  return {
    id: stored.id,
    subject: stored.subject.slice(keyPrefix.length),
    plan: stored.memo.plan,
    status: stored.status,
    expiresAt: stored.expiresAt,
    settledAt: stored.settledAt,
    amounts: stored.memo.amounts,
    late: stored.late,
  }
}
