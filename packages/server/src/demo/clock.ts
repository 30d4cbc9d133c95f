import { type Clock, systemClock, TollgateError } from 'tollgate'
import type { StateFile } from '../data/state.ts'

/** The engine's calendar ends in 2096. */
const LATEST_AT = 4e12

/** Running time plus an offset that only grows, so that a newcomer need not wait for midnight. Kept: it survives a restart. */
export class DemoClock implements Clock {
  readonly #state: StateFile
  readonly #running: () => number

  constructor(state: StateFile, running: () => number = Date.now) {
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
  advance(ms: number): number {
    if (this.now() + ms > LATEST_AT) throw new TollgateError('INVALID_REQUEST', `advanceMs: the demo clock ends in the year 2096; use at most ${LATEST_AT - this.now()}`, { field: 'advanceMs' })
    if (ms > 0) this.#state.update({ clockOffsetMs: this.#state.current.clockOffsetMs + ms })
    return this.now()
  }
}
