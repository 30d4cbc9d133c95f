import { type Tollgate, TollgateError } from 'tollgate'
import type { Metrics } from '../metrics/metrics.ts'
import { isWithoutPlan, usageOf } from '../usage-of.ts'
import { Subscription } from './subscription.ts'

/** Open streams of one namespace at a time: each is a connection and a queue. */
const MAX_SUBSCRIPTIONS = 1000

/** Hands what happens to a subject to those who watch it. Listens to the engine only while somebody does. */
export class EventHub {
  readonly #tollgate: Tollgate
  readonly #metrics: Metrics
  readonly #bySubject = new Map<string, Set<Subscription>>()
  #count = 0
  #isClosed = false
  #detach: (() => void)[] = []

  constructor(tollgate: Tollgate, metrics: Metrics) {
    this.#tollgate = tollgate
    this.#metrics = metrics
  }

  /** @throws CLOSED, OVERLOADED */
  assertRoom(): void {
    if (this.#isClosed) throw new TollgateError('CLOSED', 'the server is shutting down')
    if (this.#count >= MAX_SUBSCRIPTIONS) throw new TollgateError('OVERLOADED', `${MAX_SUBSCRIPTIONS} event streams are open; close some`, { retryAfterMs: 5000 })
  }

  /** `keyId`: of the API key that watches. */
  subscribe(subject: string, keyId: string, heartbeatMs: number): Subscription {
    this.assertRoom()
    const closed = this.#metrics.streamOpened()
    const subscription = new Subscription(keyId, () => this.#usage(subject), heartbeatMs, () => {
      closed()
      this.#remove(subject, subscription)
    })
    const watchers = this.#bySubject.get(subject) ?? new Set()
    this.#bySubject.set(subject, watchers.add(subscription))
    if (this.#count++ === 0) this.#attach()
    return subscription
  }

  /** Something else than a decision changed how the subject stands. */
  touch(subject: string): void {
    this.#tell(subject, (watcher) => watcher.usageChanged())
  }

  /** Ends the streams of a subject. */
  end(subject: string): void {
    this.#tell(subject, (watcher) => watcher.close())
  }

  /** Ends the streams that a key opened. */
  endOf(keyId: string): void {
    this.#tellAll((watcher) => watcher.keyId === keyId && watcher.close())
  }

  /** Ends every stream, for good. */
  close(): void {
    this.#isClosed = true
    this.#tellAll((watcher) => watcher.close())
  }

  #attach(): void {
    this.#detach = [
      this.#tollgate.on('decision', ({ action, decision }) => {
        if (action !== 'check') this.#tell(decision.subject, (watcher) => watcher.push('decision', decision))
      }),
      this.#tollgate.on('settled', ({ settlement }) => this.touch(settlement.subject)),
    ]
  }

  #tell(subject: string, tell: (watcher: Subscription) => void): void {
    this.#bySubject.get(subject)?.forEach(tell)
  }

  /** Who closes removes itself, which a walk over a Map or Set allows. */
  #tellAll(tell: (watcher: Subscription) => void): void {
    for (const watchers of this.#bySubject.values()) watchers.forEach(tell)
  }

  #remove(subject: string, subscription: Subscription): void {
    const watchers = this.#bySubject.get(subject)
    if (!watchers?.delete(subscription)) return
    if (watchers.size === 0) this.#bySubject.delete(subject)
    if (--this.#count === 0) this.#detach.forEach((detach) => detach())
  }

  /** `undefined` for a subject of which nothing is known, because nothing was asked for it yet. */
  async #usage(subject: string): Promise<unknown> {
    try {
      return await usageOf(this.#tollgate, subject)
    } catch (error) {
      if (isWithoutPlan(error)) return undefined
      throw error
    }
  }
}
