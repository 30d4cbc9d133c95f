/** The headers of a decision. A hot path: no regular expressions, no Headers objects; a plan's text is built once. */
import type { Decision, LimitState, PlanLimit, PlanView } from '../../engine/types.ts'
import { statusOf } from './status.ts'
import { sfInteger, sfString } from './structured-fields.ts'

/** The revision of the IETF draft that `RateLimit-Policy` and `RateLimit` follow. */
export const RATE_LIMIT_DRAFT = 'draft-ietf-httpapi-ratelimit-headers-10'

/** Names and values, as `new Response`, `reply.headers` and loops take them. */
export type HeaderRecord = Record<string, string>

export interface HeaderOptions {
  /** What `X-RateLimit-Reset` counts since 1970. Default: seconds. */
  resetUnit?: 'seconds' | 'milliseconds'
  /** The limit that `X-RateLimit-*` speaks of. Default: the plan's headline, else its first quota. */
  headline?: string
  /** Headers in place of `RateLimit-Policy` and `RateLimit`, such as those of another revision. */
  rateLimitHeaders?: (decision: Decision, plan: PlanView | undefined) => HeaderRecord
}

/**
 * `RateLimit-Policy`, `RateLimit`, `X-RateLimit-Limit/-Remaining/-Reset` and, on a denial that waiting ends, `Retry-After`.
 * Unlimited limits are left out, and so is what is not known: a degraded decision has no numbers, a policy
 * that is switched off has no headers. Limits of further subjects are not told, their names could be those of this plan.
 */
export function decisionHeaders(decision: Decision, plan?: PlanView, options: HeaderOptions = {}): HeaderRecord {
  const headers: HeaderRecord = {}
  if (decision.mode !== 'off') {
    if (options.rateLimitHeaders) Object.assign(headers, options.rateLimitHeaders(decision, plan))
    else addRateLimit(headers, decision, plan)
    if (!decision.degraded) addHeadline(headers, decision, plan, options)
  }
  if (!decision.allowed) addRetryAfter(headers, statusOf(decision), decision.retryAfterMs)
  return headers
}

/** `Retry-After` in whole seconds, rounded up, where the status has one and waiting helps. */
export function addRetryAfter(headers: HeaderRecord, status: number, retryAfterMs: number | null | undefined): void {
  if (retryAfterMs && (status === 429 || status === 503)) headers['Retry-After'] = `${Math.ceil(retryAfterMs / 1000)}`
}

function addRateLimit(headers: HeaderRecord, decision: Decision, plan: PlanView | undefined): void {
  // Let pass without its store: no limit is in force.
  if (decision.degraded && decision.limits.length === 0) return
  const text = plan === undefined ? NO_PLAN : textOf(plan)
  let current = ''
  let isAsPlanned = true
  for (const state of decision.limits) {
    if (!isAmount(state.kind) || state.subject !== undefined) continue
    const limit = text.limits.get(state.limit)
    if (limit?.max !== state.max) isAsPlanned = false
    if (state.max === Infinity) continue
    if (current !== '') current += ', '
    current += (limit === undefined ? itemOf(state.limit) : limit.item) + sfInteger(state.remaining)
    if (state.resetAt !== null) current += `;t=${secondsLeft(state, state.resetAt - decision.decidedAt)}`
  }
  const policy = isAsPlanned ? text.policy : policyInForce(decision, plan)
  if (policy !== '') headers['RateLimit-Policy'] = policy
  if (current !== '' && !decision.degraded) headers['RateLimit'] = current
}

/** Where the limit is violated its own wait, which for a sliding window is shorter than until all of it is free. */
const secondsLeft = (state: LimitState, resetMs: number) => sfInteger((state.retryAfterMs || resetMs) / 1000)

/** A member of `RateLimit` up to its first number. */
const itemOf = (name: string) => `${sfString(name)};r=`

function addHeadline(headers: HeaderRecord, decision: Decision, plan: PlanView | undefined, options: HeaderOptions): void {
  const state = headlineOf(decision, options.headline ?? plan?.headline)
  if (state === undefined || state.max === Infinity) return
  headers['X-RateLimit-Limit'] = `${state.max}`
  headers['X-RateLimit-Remaining'] = `${state.remaining}`
  if (state.resetAt !== null) headers['X-RateLimit-Reset'] = `${options.resetUnit === 'milliseconds' ? state.resetAt : Math.ceil(state.resetAt / 1000)}`
}

function headlineOf(decision: Decision, name: string | undefined): LimitState | undefined {
  for (const state of decision.limits) {
    if (state.subject === undefined && (name === undefined ? state.kind === 'quota' : state.limit === name)) return state
  }
  return undefined
}

/** Whether `max` is how much there is of it. */
const isAmount = (kind: LimitState['kind']) => kind !== 'allowOnly' && kind !== 'credits'

interface PlanText {
  readonly policy: string
  readonly limits: ReadonlyMap<string, { readonly item: string; readonly max: number }>
}

const NO_PLAN: PlanText = { policy: '', limits: new Map() }

const texts = new WeakMap<PlanView, PlanText>()

function textOf(plan: PlanView): PlanText {
  let text = texts.get(plan)
  if (text === undefined) {
    const limits = new Map(plan.limits.map((limit) => [limit.name, { item: itemOf(limit.name), max: limit.max }]))
    texts.set(plan, (text = { policy: policyText(plan.limits), limits }))
  }
  return text
}

/** The plan's limits as they are for this subject: with its overrides, and those that the plan does not list. */
function policyInForce(decision: Decision, plan: PlanView | undefined): string {
  const limits = new Map<string, PlanLimit>(plan?.limits.map((limit) => [limit.name, limit]))
  for (const { limit: name, kind, max, subject } of decision.limits) {
    if (subject === undefined && kind !== 'credits') limits.set(name, { windowMs: null, ...limits.get(name), name, kind, max })
  }
  return policyText([...limits.values()])
}

function policyText(limits: readonly PlanLimit[]): string {
  return limits
    .filter(({ kind, max }) => isAmount(kind) && max !== Infinity)
    .map((limit) => {
      const unit = limit.kind === 'concurrency' ? 'concurrent-requests' : (limit.meter ?? 'requests')
      return (
        `${sfString(limit.name)};q=${sfInteger(limit.max)}` +
        (limit.windowMs === null ? '' : `;w=${sfInteger(limit.windowMs / 1000)}`) +
        (unit === 'requests' ? '' : `;qu=${sfString(unit)}`)
      )
    })
    .join(', ')
}
