import type { LimitState } from '../engine/types.ts'
import { Books, statesOf } from './auditor/books.ts'
import type { AuditEvent, AuditFinding, AuditHistory, DecisionEvent, SettlementEvent } from './auditor/history.ts'
import { type MetLimit, metLimits, uncountedRefusals, wholeLimit } from './auditor/limits.ts'
import { lengthBounds } from './auditor/periods.ts'

export type { AuditEvent, AuditFinding, AuditHistory, DecisionEvent, SettlementEvent } from './auditor/history.ts'

/**
 * Checks a history for the promises of design.md, section 5: 1 (exact limits, approximate bounds, nothing lost), 3 (holds
 * end), 5 (denials and refunds), 6 (periods), 8 (content and subjects stay apart), 10 (`check` predicts). Everything is
 * counted again from the events and the plans; what was decided `degraded` is not in a store and not counted.
 * Promise 2 belongs here once there is a ledger: its entries become events, and `#credits` joins the checks of `see`.
 */
export function audit(history: AuditHistory): AuditFinding[] {
  const auditor = new Auditor(history)
  history.events.forEach((event, i) => auditor.see(event, i))
  return auditor.findings
}

/** Shorter texts turn up by chance. */
const MIN_CONTENT_CHARACTERS = 8

class Auditor {
  readonly findings: AuditFinding[] = []
  readonly #history: AuditHistory
  readonly #books: Books
  /** As they would look in JSON. */
  readonly #contents: readonly string[]
  readonly #searched = new WeakMap<object, boolean>()
  /** The last event of each subject, if it was a check. */
  readonly #checks = new Map<string, DecisionEvent>()
  #index = 0

  constructor(history: AuditHistory) {
    this.#history = history
    this.#books = new Books(history)
    const contents = history.events.flatMap((event) => (event.type === 'decision' && event.request.content ? [event.request.content] : []))
    this.#contents = [...new Set(contents)].filter(({ length }) => length >= MIN_CONTENT_CHARACTERS).map((content) => JSON.stringify(content).slice(1, -1))
  }

  see(event: AuditEvent, index: number): void {
    this.#index = index
    this.#books.moveTo(event.at)
    if (event.type === 'decision') this.#decision(event)
    else if (event.type === 'settlement') this.#settlement(event)
    else if (event.type === 'reset') this.#books.reset(event.subject, event.limit)
    else if (event.type === 'usage') this.#usage(event)
    this.#content(event)
    if (event.type !== 'decision' && 'subject' in event) this.#checks.delete(event.subject)
  }

  #decision(event: DecisionEvent): void {
    const { request, decision, plan, at, action, admitted } = event
    const { subject } = request
    const limits = metLimits(plan, this.#plan(plan), request)
    const states = statesOf(event)
    if (action !== 'check') this.#books.see(event, limits)
    if (decision && decision.subject !== subject && !request.also?.length && states.length === 0 && decision.limits.length > 0) this.#find(8, `${subject} was told how ${decision.subject} stands`)
    if (action !== 'check' && admitted === true) {
      for (const limit of limits) this.#admission(event, limit)
      for (const name of uncountedRefusals(this.#plan(plan), request)) this.#find(1, `${subject} was admitted, and '${name}' does not allow it`)
    }
    if (decision && admitted === false) this.#refusal(event, limits)
    this.#prediction(event)
    if (action !== 'check' && admitted !== false) this.#books.admit(event, limits)
    for (const limit of limits) {
      if (admitted === false && action !== 'check') this.#books.counter(subject, limit).denied += limit.amount
      if (action !== 'check' && admitted === true) this.#approximation(event, limit)
      const state = states.find(({ limit: name }) => name === limit.name)
      if (!state) continue
      // An admitted check, and a consume that holds nothing, are told how it would stand.
      const isNotKept = action === 'check' || (limit.kind === 'concurrency' && !event.reservation)
      this.#state(subject, limit, state, at, admitted === true && isNotKept ? limit.amount : 0, isNotKept)
      this.#period(event, limit, state)
    }
  }

  #admission({ request: { subject }, at }: DecisionEvent, limit: MetLimit): void {
    const { low } = this.#books.bounds(subject, limit, at)
    const isQuota = limit.kind === 'quota'
    if (limit.amount === 0 ? !(isQuota && low >= limit.max) : low + limit.amount <= limit.max) return
    this.#find(1, `${subject} was admitted with ${limit.amount} on top of ${low} of ${limit.max} in ${limit.kind} '${limit.name}'`)
  }

  #approximation({ request: { subject }, at }: DecisionEvent, limit: MetLimit): void {
    const { kind, definition, max, amount } = limit
    const isApproximate = kind === 'fixedWindow' || (definition.kind === 'slidingWindow' && !definition.exact)
    const bound = kind === 'fixedWindow' ? 2 * max : Math.max(2 * max - 1, 0)
    const admitted = isApproximate && amount > 0 ? this.#books.counter(subject, limit).admittedInWindow(limit, at) : 0
    if (admitted > bound) this.#find(1, `${subject} was admitted ${admitted} times within one window of ${kind} '${limit.name}', whose bound is ${bound}`)
  }

  /** Exactly the limit is admitted: a denial needs a reason. */
  #refusal({ request: { subject }, decision, at }: DecisionEvent, limits: readonly MetLimit[]): void {
    const violations = decision!.violations.filter((v) => (v.subject ?? decision!.subject) === subject)
    for (const { limit: name } of violations) {
      const limit = limits.find((met) => met.name === name)
      if (!limit) continue
      const { high } = this.#books.bounds(subject, limit, at)
      if (high + limit.amount > limit.max || (limit.kind === 'quota' && high >= limit.max)) continue
      this.#find(1, `${subject} was denied ${limit.amount} of ${limit.kind} '${name}', of which at most ${high} of ${limit.max} are used`)
    }
    if (!decision!.allowed && decision!.violations.length === 0) this.#find(1, `${subject} was denied without a reason`)
  }

  /** What a check says, the same request at the same instant is told. */
  #prediction(event: DecisionEvent): void {
    const { request, decision, at, action } = event
    const { subject } = request
    const check = this.#checks.get(subject)
    this.#checks.delete(subject)
    if (action === 'check' && decision) this.#checks.set(subject, event)
    if (action === 'check' || !decision || !check || check.at !== at || bodyOf(check) !== bodyOf(event)) return
    const [predicted, came] = [answerOf(check), answerOf(event)]
    if (predicted !== came) this.#find(10, `${subject}: check said '${predicted}', and ${action} did '${came}'`)
  }

  #settlement(event: SettlementEvent): void {
    const { id, action, settlement, at } = event
    const booked = this.#books.reservation(id)
    if (!booked) return
    this.#checks.delete(booked.subject)
    if (settlement && settlement.subject !== booked.subject) this.#find(8, `${id} is of ${booked.subject}, and its settlement says '${settlement.subject}'`)
    const isReturn = action === 'release' && booked.status === 'committed' && booked.parts.some(({ limit }) => limit.kind === 'capacity')
    if (booked.status !== 'open' && !isReturn) this.#find(5, `${id} was ${booked.status} before, and the store took '${action}'`)
    else if (action === 'extend' && at >= booked.expiresAt) this.#find(3, `${id} had expired ${at - booked.expiresAt} ms before it was extended`)
    else this.#books.settle(event, booked)
  }

  #usage({ subject, plan, limits, at }: Extract<AuditEvent, { type: 'usage' }>): void {
    for (const state of limits) {
      const limit = state.partition ? undefined : wholeLimit(plan, this.#plan(plan), state.limit)
      if (limit) this.#state(subject, limit, state, at, 0, false)
    }
  }

  /** What somebody is told to be used, against what counts. */
  #state(subject: string, limit: MetLimit, { used }: LimitState, at: number, own: number, isTentative: boolean): void {
    if (limit.max === Infinity && limit.kind !== 'quota' && limit.kind !== 'capacity') return
    const bounds = this.#books.bounds(subject, limit, at)
    const counter = this.#books.counter(subject, limit)
    const what = `${subject} was told ${used} of ${limit.kind} '${limit.name}' are used, and`
    if (used < bounds.low) {
      const promise = counter.refunds > 0 ? 5 : limit.kind === 'quota' && !counter.hasOverspent ? 6 : 1
      this.#find(promise, `${what} ${bounds.low} count: ${promise === 5 ? 'more was given back than was taken' : promise === 6 ? 'they were forgotten within their period' : 'some were lost'}`)
    } else if (used > bounds.high + (isTentative ? Math.max(own, limit.amount) : own)) {
      const isDenial = counter.denied > 0 && used <= bounds.high + counter.denied && counter.expired(at) === 0
      const why = isDenial ? 'a denied request was counted' : counter.expired(at) > 0 ? 'a hold outlived its expiry' : 'nobody used the rest'
      this.#find(isDenial ? 5 : 3, `${what} at most ${bounds.high} count: ${why}`)
    } else if (used >= bounds.low) {
      counter.denied = 0
      counter.refunds = 0
    }
  }

  #period({ request: { subject }, at, admitted, action }: DecisionEvent, limit: MetLimit, { resetAt }: LimitState): void {
    // Where the clock was set back a period ends when it was to; before the first admission an own one has no start.
    if (limit.definition.kind !== 'quota' || this.#books.isStepped) return
    const period = this.#books.period(subject, limit, at)
    const isOwn = limit.definition.anchor === 'subject'
    if (period && resetAt !== period.endAt && (!isOwn || (admitted === true && action !== 'check'))) this.#find(6, `${subject}: quota '${limit.name}' resets at ${resetAt}, and its period ends at ${period.endAt}`)
    const [shortestMs, longestMs] = lengthBounds(limit.definition)
    const lengthMs = period && isOwn ? period.endAt - period.startAt : shortestMs
    if (lengthMs < shortestMs || (resetAt !== null && resetAt - at > longestMs)) this.#find(6, `${subject}: a period of quota '${limit.name}' that ends at ${resetAt} has an impossible length`)
  }

  #content(event: AuditEvent): void {
    if (this.#contents.length === 0) return
    const value = event.type === 'decision' ? event.decision : event.type === 'settlement' ? event.settlement : event.type === 'usage' ? event.limits : event.type === 'emitted' ? event.value : undefined
    if (typeof value !== 'object' || value === null) return
    // A decision is in several events: of each part of the request, and of the engine's own.
    const parts = event.type === 'emitted' ? Object.values(value) : [value]
    if (parts.some((part) => this.#isFoundIn(part))) this.#find(8, `raw content appears in a ${event.type === 'emitted' ? `'${event.name}' event` : event.type}`)
  }

  #isFoundIn(value: unknown): boolean {
    const known = typeof value === 'object' && value !== null ? this.#searched.get(value) : undefined
    if (known !== undefined) return known
    const json = JSON.stringify(value) ?? ''
    const isFound = this.#contents.some((content) => json.includes(content))
    if (typeof value === 'object' && value !== null) this.#searched.set(value, isFound)
    return isFound
  }

  #plan(id: string): AuditHistory['plans'][string] {
    const plan = this.#history.plans[id]
    if (!plan) throw new Error(`Plan '${id}' of event ${this.#index} is not in the history's plans`)
    return plan
  }

  #find(promise: number, explanation: string): void {
    this.findings.push({ promise, event: this.#index, explanation })
  }
}

function bodyOf({ request, plan }: DecisionEvent): string {
  const { idempotencyKey: _key, ttlMs: _ttl, signal: _signal, ...body } = request
  return JSON.stringify([body, plan])
}

function answerOf({ decision }: DecisionEvent): string {
  return decision!.allowed ? 'allowed' : `denied by ${decision!.violations.map(({ limit }) => limit).join(', ')}`
}
