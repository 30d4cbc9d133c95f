import { suggest } from '../define/suggest.ts'
import { invalidRequest, show } from '../errors/index.ts'
import type { Unrecorded } from '../record/recorder.ts'
import type { Unreplayed } from './replay.ts'
import type { Decision, LimitState, Settlement, TollgateRequest } from './types.ts'

export interface EngineEvents {
  /** The request comes without its content. */
  decision: { request: TollgateRequest; action: 'check' | 'consume' | 'reserve'; decision: Decision }
  settled: { settlement: Settlement }
  /** An admission took a limit, or a plan's credits, to its `softLimit`: once a period in this process; of windows, with each crossing. */
  warning: { subject: string; plan: string; limit: LimitState }
  /** A store failed and a failure policy decided. */
  degraded: { error: unknown; policy: 'open' | 'closed' | 'local' }
  /** A store that was left alone after several failures in a row answers again. What was used meanwhile is counted there now. */
  recovered: { awayMs: number }
  /** Use of quotas while the store was away that its counters will not know of; where there is a record, it is in that. */
  unreplayed: Unreplayed
  /** The record could not be written to: what waits is tried again; what is lost was refused by itself, or too much. */
  unrecorded: Unrecorded
}

export type Listener<E extends keyof EngineEvents> = (event: EngineEvents[E]) => void

const NAMES: Readonly<Record<keyof EngineEvents, true>> = { decision: true, settled: true, warning: true, degraded: true, recovered: true, unreplayed: true, unrecorded: true }

/** A listener that throws is the listener's problem: the decision stands, and the process says so once. */
export class Events {
  readonly #listeners = new Map<keyof EngineEvents, Set<(event: never) => void>>()

  /** @throws INVALID_REQUEST for an event that never comes, or what cannot be called. */
  on<E extends keyof EngineEvents>(name: E, listener: Listener<E>): () => void {
    if (!Object.hasOwn(NAMES, name)) throw invalidRequest('event', `${show(name)} is not an event; ${suggest(name, Object.keys(NAMES))}`)
    if (typeof listener !== 'function') throw invalidRequest('listener', `${show(listener)} cannot be called; use a function`)
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(name)
    }
  }

  hasListeners(name: keyof EngineEvents): boolean {
    return this.#listeners.size > 0 && this.#listeners.has(name)
  }

  emit<E extends keyof EngineEvents>(name: E, event: EngineEvents[E]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        ;(listener as Listener<E>)(event)
      } catch (error) {
        process.emitWarning(`a '${name}' listener of Tollgate threw: ${String(error)}`, 'TollgateListener')
      }
    }
  }
}
