import type { Decision, LimitState, Settlement, TollgateRequest } from './types.ts'

export interface EngineEvents {
  decision: { request: TollgateRequest; action: 'check' | 'consume' | 'reserve'; decision: Decision }
  settled: { settlement: Settlement }
  /** An admission took a limit to its `softLimit`: once per window, unless some of it was given back. */
  warning: { subject: string; plan: string; limit: LimitState }
  /** A store failed and a failure policy decided. */
  degraded: { error: unknown; policy: 'open' | 'closed' | 'local' }
}

export type Listener<E extends keyof EngineEvents> = (event: EngineEvents[E]) => void

/** A listener that throws is the listener's problem: the decision stands, and the process says so once. */
export class Events {
  readonly #listeners = new Map<keyof EngineEvents, Set<(event: never) => void>>()

  on<E extends keyof EngineEvents>(name: E, listener: Listener<E>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(name)
    }
  }

  hasListeners(name: keyof EngineEvents): boolean {
    return this.#listeners.has(name)
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
