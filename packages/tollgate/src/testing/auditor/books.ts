import type { LimitState } from '../../engine/types.ts'
import { type Bounds, Counter } from './counter.ts'
import type { AuditHistory, DecisionEvent, SettlementEvent } from './history.ts'
import { isOwn, OwnPeriods } from './own-periods.ts'
import type { MetLimit } from './limits.ts'
import { calendarPeriod } from './periods.ts'

interface Account {
  limit: MetLimit
  counter: Counter
}

export interface BookedReservation {
  subject: string
  expiresAt: number
  status: 'open' | 'committed' | 'released' | 'undone'
  parts: readonly { limit: MetLimit; label: number }[]
  /** Which of the subject's own starts it belongs to. */
  start: number
}

/** What every subject used, kept from the events alone. */
export class Books {
  readonly #subjects = new Map<string, Map<string, Account>>()
  readonly #reservations = new Map<string, BookedReservation>()
  readonly #ownPeriods: OwnPeriods
  #lastAt = -Infinity
  isStepped = false

  constructor(history: AuditHistory) {
    this.#ownPeriods = new OwnPeriods(history)
  }

  /** To be called first with each event. */
  moveTo(at: number): void {
    if (at < this.#lastAt) {
      this.isStepped = true
      for (const accounts of this.#subjects.values()) for (const { limit, counter } of accounts.values()) counter.stepBack(limit, this.#lastAt, at)
    }
    this.#lastAt = at
  }

  counter(subject: string, limit: MetLimit): Counter {
    const accounts = this.#subjects.get(subject) ?? new Map<string, Account>()
    this.#subjects.set(subject, accounts)
    const account = accounts.get(limit.key) ?? { limit, counter: new Counter() }
    accounts.set(limit.key, account)
    return account.counter
  }

  bounds(subject: string, limit: MetLimit, at: number): Bounds {
    const period = this.period(subject, limit, at)
    // Nobody said when the subject's own period began: nothing can be said of what counts in it.
    if (limit.kind === 'quota' && !period) return { low: 0, high: Infinity }
    return this.counter(subject, limit).bounds(limit, at, period?.startAt ?? 0)
  }

  /** The period of a quota, half-open. */
  period(subject: string, { definition, key }: MetLimit, at: number): { startAt: number; endAt: number } | undefined {
    if (definition.kind !== 'quota') return undefined
    return isOwn(definition) ? this.#ownPeriods.at(subject, key, at) : calendarPeriod(definition, at)
  }

  /** A decision that is no check, before it is admitted or not. */
  see({ at, request: { subject } }: DecisionEvent, limits: readonly MetLimit[]): void {
    for (const limit of limits) {
      const period = this.period(subject, limit, at)
      if (period) this.counter(subject, limit).see(at, period.startAt, period.endAt - period.startAt)
    }
  }

  admit({ at, request: { subject }, admitted, reservation }: DecisionEvent, limits: readonly MetLimit[]): void {
    const parts = limits.map((limit) => {
      const period = this.period(subject, limit, at) ?? { startAt: -Infinity, endAt: Infinity }
      const label = this.counter(subject, limit).admit(limit, at, period.startAt, period.endAt - period.startAt, admitted === true, reservation)
      return { limit, label }
    })
    if (reservation) this.#reservations.set(reservation.id, { subject, expiresAt: reservation.expiresAt, status: 'open', parts, start: this.#ownPeriods.start(subject) })
  }

  reservation(id: string): BookedReservation | undefined {
    return this.#reservations.get(id)
  }

  settle({ at, action, id, amounts = {}, ttlMs = 0 }: SettlementEvent, booked: BookedReservation): void {
    const isReturn = action === 'release' && booked.status === 'committed'
    for (const { limit, label } of booked.parts) {
      const counter = this.counter(booked.subject, limit)
      const actual = amounts[limit.meter]
      // What was reserved before the subject started anew belongs to no period of now.
      const isCertain = !isOwn(limit.definition) || booked.start === this.#ownPeriods.start(booked.subject)
      if (action === 'commit') counter.commit(limit, id, at, label, actual === undefined ? limit.amount : actual * limit.weight, isCertain)
      else if (action === 'undo') counter.undo(limit, id)
      else if (action === 'extend') counter.extend(id, at, at + ttlMs)
      else if (!isReturn || limit.kind === 'capacity') counter.release(limit, id)
    }
    if (action === 'extend') booked.expiresAt = Math.max(booked.expiresAt, at + ttlMs)
    else booked.status = action === 'commit' ? 'committed' : action === 'undo' ? 'undone' : 'released'
  }

  reset(subject: string, name: string | undefined): void {
    for (const [key, { limit }] of this.#subjects.get(subject) ?? []) if (name === undefined || limit.name === name) this.#subjects.get(subject)!.delete(key)
    if (name === undefined) this.#ownPeriods.restart(subject)
  }
}

/** The states that a decision gives of one of its subjects. */
export function statesOf({ decision, request }: DecisionEvent): readonly LimitState[] {
  return (decision?.limits ?? []).filter(({ subject }) => (subject ?? decision!.subject) === request.subject)
}
