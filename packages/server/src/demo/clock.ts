import { type Clock, systemClock, TollgateError } from 'tollgate'
import type { StateStore } from '../data/state.ts'

/** The engine's calendar ends in 2096. */
const LATEST_AT = 4e12

/** Running time plus an offset that only grows, so that a newcomer need not wait for midnight. Kept: it survives a restart, and all processes of a database share it. */
export class DemoClock implements Clock {
  readonly #state: StateStore
  readonly #running: () => number

  constructor(state: StateStore, running: () => number = Date.now) {
    this.#state = state
    this.#running = running
  }

  now(): number {
    return this.#running() + this.#state.current.clockOffsetMs
  }

  /** Deadlines are of the host's time: a jump of the demo must not end what is under way. */
  after(ms: number, run: () => void): () => void {
    return systemClock.after(ms, run)
  }

  /** @throws INVALID_REQUEST */
  async advance(ms: number): Promise<number> {
    if (ms === 0) return this.now()
    await this.#state.update(({ clockOffsetMs }) => {
      const left = LATEST_AT - this.#running() - clockOffsetMs
      if (ms > left) throw new TollgateError('INVALID_REQUEST', `advanceMs: the demo clock ends in the year 2096; use at most ${left}`, { field: 'advanceMs' })
      return { clockOffsetMs: clockOffsetMs + ms }
    })
    return this.now()
  }
}
