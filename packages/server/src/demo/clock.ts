import { type Clock, systemClock, TollgateError } from 'tollgate'
import type { StateStore } from '../data/state.ts'

/** The engine's calendar ends in 2096. */
const LATEST_AT = 4e12

/**
 * Running time plus an offset that only grows, so that a newcomer need not wait for midnight. It can be held, so that no
 * time passes by itself. Kept: it survives a restart, and all processes of a database share it.
 */
export class DemoClock implements Clock {
  readonly #state: StateStore
  readonly #running: () => number

  constructor(state: StateStore, running: () => number = Date.now) {
    this.#state = state
    this.#running = running
  }

  now(): number {
    const { clockHeldAt, clockOffsetMs } = this.#state.current
    return (clockHeldAt ?? this.#running()) + clockOffsetMs
  }

  /** Deadlines are of the host's time: a jump of the demo must not end what is under way. */
  after(ms: number, run: () => void): () => void {
    return systemClock.after(ms, run)
  }

  /**
   * Puts it `ms` forward, and holds it or lets it go: then it catches up with the time that has passed.
   * @throws INVALID_REQUEST
   */
  async advance(ms: number, isHeld?: boolean): Promise<number> {
    if (ms === 0 && isHeld === undefined) return this.now()
    await this.#state.update(({ clockOffsetMs, clockHeldAt }) => {
      const left = LATEST_AT - this.#running() - clockOffsetMs
      if (ms > left) throw new TollgateError('INVALID_REQUEST', `advanceMs: the demo clock ends in the year 2096; use at most ${left}`, { field: 'advanceMs' })
      const holds = isHeld ?? clockHeldAt !== null
      return { clockOffsetMs: clockOffsetMs + ms, clockHeldAt: holds ? (clockHeldAt ?? this.#running()) : null }
    })
    return this.now()
  }
}
