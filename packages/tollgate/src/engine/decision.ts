import type { Catalog } from '../compile/catalog.ts'
import { type Charges, isAllowed, type Matchable, matches, partitionValues } from '../compile/charges.ts'
import type { LimitProgram, Program } from '../compile/program.ts'
import type { Charge, Verdict } from '../decide/charge.ts'
import type { LimitKind } from '../define/limits.ts'
import type { Locale, MessageFacts } from '../messages/index.ts'
import type { Outcome } from '../stores/store.ts'
import type { Shares } from './shares.ts'
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
    max: compact(c.max),
    used: compact(v.used),
    remaining: v.used < c.max ? compact(c.max - v.used) : 0,
    resetAt: v.resetAt === Infinity ? null : v.resetAt,
    retryAfterMs: v.passes ? 0 : v.retryAt === Infinity ? null : v.retryAt - now,
  }
  if (c.partition !== '') state.partition = partitionValues(limit, c.partition)
  if (limit.softLimit !== null && isNear(v.used, limit.softLimit, c.max)) state.warning = true
  return state
}

/** The same number; V8 keeps a small integer in the object itself, and any other in 16 bytes besides. */
function compact(n: number): number {
  return n === (n | 0) ? n | 0 : n
}

/** From `softLimit`, a share, of the limit on. Rounded first, because 0.55 × 100 is 55.000000000000007. */
export function isNear(used: number, softLimit: number, max: number): boolean {
  return used > 0 && used >= Math.ceil(Number((softLimit * max).toFixed(6)))
}

export function decisionOf(program: Program, request: TollgateRequest, mode: Decision['mode'], { limits, charges }: Charges, outcome: Outcome, overrides: Overrides, context: DecisionContext, shares?: Shares): Decision {
  const { at, verdicts, admitted } = outcome
  const states = limits.map((limit, i) => limitState(limit, charges[i]!, verdicts[i]!, at))
  const violations: Violation[] = []
  let retryAfterMs: number | null = 0
  for (let i = 0; i < limits.length; i++) {
    if (verdicts[i]!.passes) continue
    const limit = limits[i]!
    const state = states[i]!
    const { operation, dimensions } = request
    // Not the whole request: a decision may be kept for long, and content is never.
    violations.push(new ViolatedLimit(state, { context, program, limit, request: { operation, dimensions }, overrides, shares, amount: charges[i]!.amount, now: at, locale: context.localeOf(request.locale) }))
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
    retryAfterMs: admitted || mode === 'shadow' ? 0 : retryAfterMs,
  }
}

type Overrides = Readonly<Record<string, number>> | undefined

/** `null`, waiting does not help, outlasts every wait. */
export function longerWait(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.max(a, b)
}

interface ViolationFacts {
  readonly context: DecisionContext
  readonly program: Program
  readonly limit: LimitProgram
  readonly request: Matchable
  readonly overrides: Overrides
  /** Set where only a share of each limit is in force. */
  readonly shares: Shares | undefined
  readonly amount: number
  readonly now: number
  readonly locale: Locale
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
    const { context, limit, program, amount, now, locale } = this.#facts
    // Also a plan that would not have helped right now, such as one with a shorter pause, is worth naming.
    const better = context.catalog
      .above(program)
      .map((plan) => ({ plan: plan.name, ...this.#benefitOf(plan) }))
      .filter(({ max, waitMs }) => this.#inForce(max) > this.max || (waitMs !== undefined && waitMs < limit.charge.windowMs))
    const every = periodOf(limit)
    return context.message({ ...this.#state(), meter: limit.meter, amount, plan: program.name, better, now, ...(every !== null && { every }) }, locale)
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
    if (limit.kind === 'allowOnly') return allows(plan, request)
    const other = this.#counterpartIn(plan)
    if (!other) return true
    if (other.kind === 'cooldown') return this.resetAt! - limit.charge.windowMs + other.charge.windowMs <= now
    const max = this.#inForce(this.#maxOf(other))
    // A larger bucket is not a fuller one.
    if (other.kind === 'tokenBucket') return max === Infinity
    const used = other.charge.slot === limit.charge.slot ? this.used : 0
    // A quota that is used up denies what asks for nothing, too.
    return used + (other.kind === 'quota' ? Math.max(amount, 1) : amount) <= max
  }

  /** What a plan gives in place of this limit. */
  #benefitOf(plan: Program): { max: number; waitMs?: number } {
    const { limit, request } = this.#facts
    if (limit.kind === 'allowOnly') return { max: allows(plan, request) ? Infinity : 0 }
    const other = this.#counterpartIn(plan)
    if (!other) return limit.kind === 'cooldown' ? { max: Infinity, waitMs: 0 } : { max: Infinity }
    return other.kind === 'cooldown' ? { max: other.max, waitMs: other.charge.windowMs } : { max: this.#maxOf(other) }
  }

  #counterpartIn(plan: Program): LimitProgram | undefined {
    const { limit, request } = this.#facts
    return plan.limits.find((other) => other.name === limit.name && matches(other, request))
  }

  #inForce(max: number): number {
    return this.#facts.shares?.of(max) ?? max
  }

  /** A limit of the subject's own holds under every plan. */
  #maxOf({ name, max }: LimitProgram): number {
    return this.#facts.overrides?.[name] ?? max
  }
}

/** Whether every `allowOnly` of a plan lets the request pass. */
function allows(plan: Program, request: Matchable): boolean {
  return plan.limits.every((limit) => limit.kind !== 'allowOnly' || !matches(limit, request) || isAllowed(limit, request))
}

function periodOf({ definition, windowMs }: LimitProgram): 'day' | 'week' | 'month' | number | null {
  const every = definition.kind === 'quota' ? definition.every : null
  return every === 'day' || every === 'week' || every === 'month' ? every : windowMs
}
