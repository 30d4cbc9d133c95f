import { TollgateError } from '../errors/index.ts'
import type { Engine } from './engine.ts'
import { isUnavailable, type StoreGuard } from './guard.ts'
import type { Lost, Recording } from './recording.ts'

const MAX_ATTEMPTS = 8

/** It was the record that did not answer: the counters are well. */
export function isOfRecord(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.details?.['isOfRecord'] === true
}

/** What is on record of a subject, brought back to counters that know nothing of it. */
export class Restoring {
  readonly #engine: Engine
  readonly #record: Recording
  readonly #guard: StoreGuard

  constructor(engine: Engine, record: Recording, guard: StoreGuard) {
    this.#engine = engine
    this.#record = record
    this.#guard = guard
  }

  /** @throws STORE_UNAVAILABLE, OVERLOADED, ABORTED */
  async restore(subject: string, signal?: AbortSignal): Promise<void> {
    // A store may first have to forget an anchor that it believed to know, or be in another period by its own clock.
    let at: number | undefined
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { command, isOutdated } = await this.#lost(subject, at, signal)
      if (isOutdated()) continue
      if (!command) return
      const outcome = await this.#engine.askStore((store) => store.decide(command), signal)
      if (!outcome.stale) return
      at = outcome.at
    }
    throw new TollgateError('OVERLOADED', 'what is on record of the subject could not be brought back: it is settled too fast, or the clocks of this process and its store are too far apart', { retryAfterMs: 1000 })
  }

  async #lost(subject: string, at: number | undefined, signal: AbortSignal | undefined): Promise<Lost> {
    this.#guard.assertRoom()
    try {
      return await this.#guard.within(this.#record.lost(subject, at), signal)
    } catch (error) {
      if (TollgateError.isInstance(error) && error.code === 'ABORTED') throw error
      this.#record.failed(error)
      throw new TollgateError('STORE_UNAVAILABLE', `the record is unavailable, and the counters know nothing of the subject: ${(error as Error).message}`, { retryAfterMs: 1000, cause: error, details: { isOfRecord: true } })
    }
  }

  /** The same for whoever only looks: without the record, what the counters know is the answer. */
  async restoreToLook(subject: string): Promise<void> {
    try {
      await this.restoreIfUnknown(subject)
    } catch (error) {
      if (!isUnavailable(error)) throw error
    }
  }

  async restoreIfUnknown(subject: string): Promise<void> {
    if ((await this.#engine.askStore((store) => store.lastPlan(this.#engine.keyOf(subject)))) === undefined) await this.restore(subject)
  }
}
