import type { Catalog } from '../compile/catalog.ts'
import { type Charges, isAllowed, matches, partitionValues } from '../compile/charges.ts'
import type { LimitProgram, Program } from '../compile/program.ts'
import type { Charge, Verdict } from '../decide/charge.ts'
import type { LimitKind } from '../define/limits.ts'
import type { Locale, MessageFacts } from '../messages/index.ts'
import type { Outcome } from '../stores/store.ts'
import type { Decision, LimitState, TollgateRequest, Violation } from './types.ts'

/** What a denial's texts are made from, when somebody reads them. */
export interface DecisionContext {
  readonly catalog: Catalog
  readonly message: (facts: MessageFacts, locale: Locale) => string
  readonly localeOf: (locale: string | undefined) => Locale
}

/** How a limit stands, as a plain object. */
export function limitState(limit: LimitProgram, c: Charge, v: Verdict, now: number): LimitState {
  const state: LimitState = {
    limit: limit.name,
    kind: limit.kind,
    code: limit.code,
    max: c.max,
    used: v.used,
    remaining: v.used < c.max ? c.max - v.used : 0,
    resetAt: v.resetAt === Infinity ? null : v.resetAt,
    retryAfterMs: v.passes ? 0 : v.retryAt === Infinity ? null : v.retryAt - now,
  }
  if (c.partition !== '') state.partition = partitionValues(limit, c.partition)
  if (limit.softLimit !== null && v.used >= limit.softLimit) state.warning = true
  return state
}

export function decisionOf(program: Program, request: TollgateRequest, mode: Decision['mode'], { limits, charges }: Charges, outcome: Outcome, context: DecisionContext): Decision {
  const { at, verdicts, admitted } = outcome
  const states: LimitState[] = []
  const violations: Violation[] = []
  let retryAfterMs: number | null = 0
  for (let i = 0; i < limits.length; i++) {
    const limit = limits[i]!
    const state = limitState(limit, charges[i]!, verdicts[i]!, at)
    states.push(state)
    if (verdicts[i]!.passes) continue
    violations.push(new ViolatedLimit(state, { context, program, limit, request, amount: charges[i]!.amount, now: at }))
    retryAfterMs = longerWait(retryAfterMs, state.retryAfterMs)
  }
  return {
    allowed: admitted || mode === 'shadow',
    subject: request.subject,
    plan: program.id,
    mode,
    degraded: false,
    violations,
    limits: states,
    decidedAt: at,
    retryAfterMs,
  }
}

/** `null`, waiting does not help, outlasts every wait. */
export function longerWait(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.max(a, b)
}

interface ViolationFacts {
  readonly context: DecisionContext
  readonly program: Program
  readonly limit: LimitProgram
  readonly request: TollgateRequest
  readonly amount: number
  readonly now: number
}

/** Its texts are made on demand: most denials are only counted, and formatting costs more than deciding. */
class ViolatedLimit implements Violation {
  declare limit: string
  declare kind: LimitKind | 'credits'
  declare code: string
  declare max: number
  declare used: number
  declare remaining: number
  declare resetAt: number | null
  declare retryAfterMs: number | null
  declare partition?: Readonly<Record<string, string>>
  declare warning?: true
  readonly #facts: ViolationFacts

  constructor(state: LimitState, facts: ViolationFacts) {
    // One by one: Object.assign takes as long as all of deciding.
    this.limit = state.limit
    this.kind = state.kind
    this.code = state.code
    this.max = state.max
    this.used = state.used
    this.remaining = state.remaining
    this.resetAt = state.resetAt
    this.retryAfterMs = state.retryAfterMs
    if (state.partition) this.partition = state.partition
    if (state.warning) this.warning = state.warning
    this.#facts = facts
  }

  get liftedBy(): readonly string[] {
    return this.#lifting().map(({ id }) => id)
  }

  get message(): string {
    const { context, limit, program, request, now } = this.#facts
    // Also a plan that would not have helped right now, such as one with a shorter pause, is worth naming.
    const better = context.catalog
      .above(program)
      .map((plan) => ({ plan: plan.name, ...benefitOf(plan, limit, request) }))
      .filter(({ max, waitMs }) => max > this.max || (waitMs !== undefined && waitMs < limit.charge.windowMs))
    const every = periodOf(limit)
    return context.message({ ...this.#state(), meter: limit.charge.meter, plan: program.name, better, now, ...(every !== null && { every }) }, context.localeOf(request.locale))
  }

  toJSON(): Violation {
    return { ...this.#state(), message: this.message, liftedBy: this.liftedBy }
  }

  #state(): LimitState {
    return { ...(this as LimitState) }
  }

  #lifting(): Program[] {
    const { context, program } = this.#facts
    return context.catalog.above(program).filter((plan) => this.#isLiftedBy(plan))
  }

  /** Whether this limit, as it stands, would let the request pass under another plan. */
  #isLiftedBy(plan: Program): boolean {
    const { limit, request, amount, now } = this.#facts
    const other = plan.limits.find(({ name }) => name === limit.name)
    if (!other || !matches(other, request)) return true
    if (other.kind === 'allowOnly') return isAllowed(other, request)
    if (other.kind === 'cooldown') return this.resetAt! - limit.charge.windowMs + other.charge.windowMs <= now
    return this.used + Math.max(amount, 1) <= other.max
  }
}

function periodOf({ definition, windowMs }: LimitProgram): 'day' | 'week' | 'month' | number | null {
  const every = definition.kind === 'quota' ? definition.every : null
  return every === 'day' || every === 'week' || every === 'month' ? every : windowMs
}

/** What a plan gives in place of a limit that a request has hit. */
function benefitOf(plan: Program, { name, kind }: LimitProgram, request: TollgateRequest): { max: number; waitMs?: number } {
  const other = plan.limits.find((candidate) => candidate.name === name)
  if (!other || !matches(other, request)) return kind === 'cooldown' ? { max: Infinity, waitMs: 0 } : { max: Infinity }
  if (other.kind === 'allowOnly') return { max: isAllowed(other, request) ? Infinity : 0 }
  return other.kind === 'cooldown' ? { max: other.max, waitMs: other.charge.windowMs } : { max: other.max }
}
