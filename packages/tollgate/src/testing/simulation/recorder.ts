import { AsyncLocalStorage } from 'node:async_hooks'
import { CellKind } from '../../decide/charge.ts'
import type { Decision, Settlement, TollgateRequest, Usage } from '../../engine/types.ts'
import type { CounterStore, DecideCommand, MaybePromise } from '../../stores/store.ts'
import type { AuditEvent, DecisionEvent } from '../auditor.ts'
import { PLAN_SET } from './plans.ts'

/** One call of the engine by a caller. */
export interface Call {
  readonly name: string
  readonly request?: TollgateRequest
  readonly reset?: { subject: string; limit?: string }
  /** What came back, unless it failed, was decided without the store, or the process died first. */
  decision?: Decision
  settlement?: Settlement
  usage?: Usage
}

/**
 * Sits between the faults and the store, so it sees what the store took, in order, whoever was told; and knows for which call,
 * because that is the asynchronous context in which the engine asks.
 */
export class Recorder {
  readonly #calls = new AsyncLocalStorage<Call>()
  readonly #effects: (() => AuditEvent | undefined)[] = []
  readonly #pending = new Set<Promise<unknown>>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  within<T>(call: Call, run: () => Promise<T>): Promise<T> {
    return this.#calls.run(call, run)
  }

  emitted(name: string, value: unknown): void {
    const at = this.#now()
    this.#effects.push(() => ({ type: 'emitted', at, name, value }))
  }

  /** All that a store of its own process has under way has been answered. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
  }

  /** To be called when every call has ended: an event says what its caller was told. */
  events(): AuditEvent[] {
    return this.#effects.flatMap((effect) => effect() ?? [])
  }

  watch(inner: CounterStore): CounterStore {
    return {
      name: inner.name,
      decide: (command) => {
        const call = this.#calls.getStore()
        const { action, plan } = command
        const reservation = command.reservation && { id: command.reservation.id, ttlMs: command.reservation.ttlMs }
        const subject = nameOf(command.subject)
        const replayed = replayedBy(command)
        return this.#then(inner.decide(command), ({ at, admitted, stale }) => {
          if (stale) return
          if (replayed.length > 0) {
            if (admitted) this.#effects.push(...replayed.map((event) => () => ({ ...event, at })))
            return
          }
          if (!call?.request) return
          const request: TollgateRequest = subject === call.request.subject ? call.request : { ...call.request, subject, plan: plan.slice(PLAN_SET.length + 1) }
          this.#effects.push(() => ({
            type: 'decision',
            at,
            action,
            request,
            plan,
            admitted: admitted && action !== 'check' ? true : admitted,
            ...(admitted && reservation && { reservation: { id: reservation.id, expiresAt: at + reservation.ttlMs } }),
            ...(call.decision && { decision: call.decision }),
          }))
        })
      },
      settle: (command) => {
        const call = this.#calls.getStore()
        const { action, id, amounts, ttlMs } = command
        return this.#then(inner.settle(command), (outcome) => {
          if (outcome.result !== 'settled') return
          const at = action === 'extend' ? command.now : (outcome.reservation.settledAt ?? command.now)
          this.#effects.push(() => ({ type: 'settlement', at, action, id, ...(amounts && { amounts }), ...(ttlMs !== undefined && { ttlMs }), ...(call?.settlement?.id === id && { settlement: call.settlement }) }))
        })
      },
      usage: (command) => {
        const call = this.#calls.getStore()
        // A usage of the period that has just ended is a moment old, and nothing to be checked.
        const isOld = command.limits.some(({ charge }) => charge.endAt <= command.now || charge.startAt > command.now)
        return this.#then(inner.usage(command), () => {
          if (!isOld) this.#effects.push(() => (call?.usage ? { type: 'usage', at: command.now, ...call.usage } : undefined))
        })
      },
      reset: (subject, cells) => {
        const reset = this.#calls.getStore()?.reset
        return this.#then(inner.reset(subject, cells), () => {
          const at = this.#now()
          if (reset) this.#effects.push(() => ({ type: 'reset', at, ...reset }))
        })
      },
      erase: (subject) => inner.erase(subject),
      lastPlan: (subject) => inner.lastPlan(subject),
      knownAnchor: (subject) => inner.knownAnchor(subject),
      close: () => inner.close(),
    }
  }

  /** `see` is told at the moment of the answer, before anybody else. */
  #then<T>(answer: MaybePromise<T>, see: (value: T) => void): MaybePromise<T> {
    if (!(answer instanceof Promise)) {
      see(answer)
      return answer
    }
    const seen = answer.then((value) => {
      see(value)
      return value
    })
    this.#pending.add(seen)
    void seen.catch(() => {}).then(() => this.#pending.delete(seen))
    return seen
  }
}

/** What was used without the store, as requests that met one quota each; nothing for any other command. */
function replayedBy({ subject, charges, action }: DecideCommand): Omit<DecisionEvent, 'at'>[] {
  if (!charges[0]?.cell.startsWith('@replayed:')) return []
  return charges.slice(1).filter(({ kind }) => kind === CellKind.quota).map(({ cell, amount, meter, weight, partition }) => ({
    type: 'decision', action, admitted: true, plan: `${PLAN_SET}/replayed ${/\/(.*?):/.exec(cell)![1]}`,
    request: { subject: nameOf(subject), amounts: { [meter]: amount / weight }, ...(partition !== '' && { dimensions: { model: partition } }) },
  }))
}

/** A store's subjects begin with the namespace. */
function nameOf(key: string): string {
  return key.slice(key.indexOf('\0') + 1)
}
