import { TollgateError } from '../errors/index.ts'
import type { Clock } from './clock.ts'

/**
 * Failures in a row after which a store is left alone: one answer in between shows that it is there. What was under way when
 * the first failed may fail before anybody else is answered, so it does not count: of a cluster only one node may be away.
 */
const MAX_FAILURES = 5
const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2000
/**
 * A wait is this share of its length, plus a random share up to a whole one more, so that processes which lost the store
 * at the same moment do not ask for it at the same moment. "Equal jitter" of Marc Brooker's "Exponential Backoff And
 * Jitter" (AWS Architecture Blog, 2015), with twice its spread: a fixed part keeps probes from following one another.
 */
const FIXED_SHARE = 0.5

/**
 * Leaves a store alone that does not answer: callers would wait for each deadline in vain, and a store that comes back
 * would find them all at its door. While it is open, one probe at a time asks for an answer, with or without traffic.
 */
export class Breaker {
  readonly #name: string
  readonly #clock: Clock
  readonly #probe: () => Promise<unknown>
  readonly #random: () => number
  readonly #onClosed: (awayMs: number) => void
  #isOpen = false
  #isStopped = false
  /** A call that began before the breaker last closed says nothing of the store since then. */
  #era = 0
  #failures = 0
  #allowed = MAX_FAILURES
  #lastError: unknown
  #openedAt = 0
  #probes = 0
  #probeAt = 0
  #cancel = (): void => {}

  /**
   * @param random 0 … 1, spreads the probes.
   * @param name what is asked, for people
   */
  constructor(clock: Clock, probe: () => Promise<unknown>, random: () => number, onClosed: (awayMs: number) => void, name = 'the counter store') {
    this.#name = name
    this.#clock = clock
    this.#probe = probe
    this.#random = random
    this.#onClosed = onClosed
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** To be kept by a call that begins, and told with how it failed. */
  get era(): number {
    return this.#era
  }

  answered(): void {
    this.#failures = 0
  }

  /** @param underWay calls beside this one */
  failed(error: unknown, era: number, underWay = 0): void {
    if (this.#isOpen || this.#isStopped || era !== this.#era) return
    this.#lastError = error
    if (this.#failures === 0) this.#allowed = MAX_FAILURES + underWay
    if (++this.#failures < this.#allowed) return
    this.#isOpen = true
    this.#openedAt = this.#clock.now()
    this.#probes = 0
    this.#wait()
  }

  /** What a call gets that is not made. */
  refusal(): TollgateError {
    const untilMs = this.#probeAt - this.#clock.now()
    // While a probe is under way, or after a step of the clock, nobody knows.
    const retryAfterMs = untilMs > 0 && untilMs <= 2 * LONGEST_WAIT_MS ? untilMs : FIRST_WAIT_MS
    return new TollgateError('STORE_UNAVAILABLE', `${this.#name} is unavailable: ${this.#failures} calls in a row failed, so none is made until it answers a probe; nothing was written, try again in ${retryAfterMs} ms`, { retryAfterMs, cause: this.#lastError })
  }

  /** Probes now, whenever the next one was to be. */
  async look(): Promise<void> {
    this.#cancel()
    try {
      await this.#probe()
    } catch (error) {
      this.#lastError = error
      if (!this.#isStopped) this.#wait()
      return
    }
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#failures = 0
    this.#era++
    this.#onClosed(Math.max(0, this.#clock.now() - this.#openedAt))
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel()
  }

  #wait(): void {
    const lengthMs = Math.min(FIRST_WAIT_MS * 2 ** this.#probes++, LONGEST_WAIT_MS)
    const waitMs = Math.round(lengthMs * (FIXED_SHARE + this.#random()))
    this.#probeAt = this.#clock.now() + waitMs
    this.#cancel = this.#clock.after(waitMs, () => void this.look())
  }
}
