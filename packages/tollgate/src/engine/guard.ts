import type { Charges } from '../compile/charges.ts'
import type { FailurePolicy } from '../define/limits.ts'
import { TollgateError } from '../errors/index.ts'
import type { Breaker } from './breaker.ts'
import type { Clock } from './clock.ts'
import { Deadlines } from './deadlines.ts'

/** Keeps calls to a remote store within bounds: so many at a time, each with a deadline, and none while its breaker is open. */
export class StoreGuard {
  readonly #clock: Clock
  readonly #name: string
  readonly #timeoutMs: number
  readonly #maxInFlight: number
  readonly #deadlines: Deadlines
  readonly breaker: Breaker | undefined
  #inFlight = 0
  #onIdle: (() => void)[] = []

  /** @param name what is asked, for people */
  constructor(clock: Clock, timeoutMs: number, maxInFlight: number, breaker?: Breaker, name = 'the counter store') {
    this.#name = name
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#maxInFlight = maxInFlight
    this.#deadlines = new Deadlines(clock, timeoutMs)
    this.breaker = breaker
  }

  /** @throws OVERLOADED, STORE_UNAVAILABLE while the breaker is open */
  assertRoom(): void {
    if (this.breaker?.isOpen) throw this.breaker.refusal()
    if (this.#inFlight < this.#maxInFlight) return
    throw new TollgateError('OVERLOADED', `${this.#maxInFlight} calls to ${this.#name} are under way; slow down, or raise maxInFlight`, { retryAfterMs: 1000 })
  }

  /** `call`, or STORE_UNAVAILABLE at the deadline, or ABORTED as soon as the signal says so. */
  within<T>(call: Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#inFlight++
    const era = this.breaker?.era ?? 0
    return new Promise<T>((resolve, reject) => {
      let isOver = false
      const end = (): void => {
        isOver = true
        spare()
        signal?.removeEventListener('abort', onAbort)
      }
      const fail = (error: unknown): void => {
        end()
        reject(this.#failed(error, era))
      }
      const onAbort = (): void => fail(aborted())
      const spare = this.#deadlines.begin(() => fail(this.#unavailable(`no answer within ${this.#timeoutMs} ms`, { details: { mayBeWritten: true } })))
      // A call may still be under way after its deadline: the bound counts those too.
      call.then(
        (answer) => {
          if (!isOver) {
            end()
            this.breaker?.answered()
            resolve(answer)
          }
          this.#done()
        },
        (error: unknown) => {
          if (!isOver) fail(error)
          this.#done()
        },
      )
      // It may have come between two calls of one request.
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort)
    })
  }

  /** What a caller is told, and the breaker of it. */
  #failed(error: unknown, era: number): TollgateError {
    const failure = TollgateError.isInstance(error) ? error : this.#unavailable('it failed', { cause: error })
    if ((error as StoreFault | undefined)?.isStoreThere === true) this.breaker?.answered()
    // Somebody who keeps a row locked is no sign that the database is away.
    else if (isUnavailable(failure) && failure.details?.['isLocked'] !== true) this.breaker?.failed(failure, era, this.#inFlight - 1)
    return failure
  }

  /** When no call is under way any more, or those left are past their deadline: a store that hangs must not keep us. */
  async idle(): Promise<void> {
    if (this.#inFlight === 0) return
    let cancel = (): void => {}
    await new Promise<void>((resolve) => {
      this.#onIdle.push(resolve)
      cancel = this.#clock.after(this.#timeoutMs, resolve)
    })
    cancel()
  }

  #unavailable(what: string, options: { cause?: unknown; details?: Record<string, unknown> }): TollgateError {
    return new TollgateError('STORE_UNAVAILABLE', `${this.#name} is unavailable: ${what}`, { retryAfterMs: 1000, ...options })
  }

  #done(): void {
    if (--this.#inFlight > 0) return
    this.#onIdle.forEach((resolve) => resolve())
    this.#onIdle = []
  }
}

/** What a store throws that did answer: something is wrong with what was asked for, and with nobody else's. */
export interface StoreFault extends Error {
  isStoreThere?: boolean
}

export function aborted(): TollgateError {
  return new TollgateError('ABORTED', 'signal: the caller gave up')
}

/** What is shared with others goes on; whoever gave up does not wait for it. */
export function untilAborted<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return shared
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(aborted())
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort)
    void shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

const STRICTNESS: Record<FailurePolicy, number> = { open: 0, local: 1, closed: 2 }

/** The strictest policy of a request's limits. */
export function failurePolicyOf({ limits }: Charges): FailurePolicy {
  let strictest: FailurePolicy = 'open'
  for (const { onFailure } of limits) if (STRICTNESS[onFailure] > STRICTNESS[strictest]) strictest = onFailure
  return strictest
}

export function isUnavailable(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.code === 'STORE_UNAVAILABLE'
}

/** No answer came in time, and the call may yet have its effect. */
export function isLate(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.details?.['mayBeWritten'] === true
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === 'function'
}
