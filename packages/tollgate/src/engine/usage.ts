import { isAllowed, maxOf } from '../compile/charges.ts'
import type { LimitProgram, Program } from '../compile/program.ts'
import type { Charge } from '../decide/charge.ts'
import { limitState } from './decision.ts'
import type { Engine } from './engine.ts'
import { recordAt, type SubjectRecord } from './subjects.ts'
import type { Credits, Decision, LimitState, TollgateRequest, Usage } from './types.ts'

/** How every limit of the subject's plan stands: one state each, of partitioned limits one per live partition. */
export async function usageOf(engine: Engine, program: Program, subject: string, record: SubjectRecord | undefined): Promise<Usage> {
  const { clock, store } = engine.config
  const now = clock.now()
  // A process that never saw the subject learns from the store where its own periods start.
  if (program.isAnchored && record?.anchorAt === undefined && store.knownAnchor(engine.keyOf(subject)) === undefined) await engine.askStore((asked) => asked.lastPlan(engine.keyOf(subject)))
  const { anchorAt, overrides } = engine.factsOf(subject, record, program, now)
  const limits = program.limits.filter(({ kind }) => kind !== 'allowOnly').map((limit) => ({ limit, charge: chargeFor(limit, now, anchorAt, overrides), isPartitioned: limit.per.length > 0 || limit.kind === 'duplicates' }))
  const entries = await engine.askStore((store) => store.usage({ subject: engine.keyOf(subject), limits, now }))
  const states = entries.map((entry) => {
    const { limit, charge } = limits[entry.limit]!
    return { index: entry.limit, state: limitState(limit, { ...charge, partition: limit.per.length > 0 ? entry.partition : '' }, { ...entry.verdict, passes: true }, now) }
  })
  states.sort((a, b) => a.index - b.index)
  return { subject, plan: program.id, limits: states.map(({ state }) => state), credits: await creditsOf(engine, subject) }
}

/** Of a subject that was never granted anything, `null`. */
async function creditsOf(engine: Engine, subject: string): Promise<Usage['credits']> {
  const { balance, available, reserved, spent, granted } = await engine.balanceOf(subject)
  return granted === 0 && spent === 0 ? null : { balance, available, reserved, spent }
}

/** A charge of nothing, to look at the limit's cell. */
function chargeFor(limit: LimitProgram, now: number, anchorAt: number, overrides: Readonly<Record<string, number>> | undefined): Charge {
  const max = maxOf(limit, overrides)
  const isCounted = limit.kind === 'quota' || limit.kind === 'capacity' || max !== Infinity
  if (!isCounted) return { ...limit.uncounted, max: Infinity, stated: 0, amount: 0 }
  const period = limit.periods?.(now, limit.isAnchored ? anchorAt : undefined)
  return { ...limit.charge, amount: 0, max, partition: '', digest: '', ...(period && { startAt: period.startAt, endAt: period.endAt }) }
}

/** One limit of the plan, or the credits, and what it says about a request. */
export interface Rule {
  limit: string
  kind: string
  /** Whether the limit is about this request, and if not, why. */
  applies: boolean
  passes: boolean
  reason: string
  state?: LimitState
}

export interface Explanation {
  decision: Decision
  /** Where the plan came from. */
  planSource: 'request' | 'subject' | 'default'
  rules: Rule[]
}

/** A decision rule by rule, as `check` would make it: nothing is written. */
export async function explain(engine: Engine, request: TollgateRequest, stored: SubjectRecord | undefined): Promise<Explanation> {
  const decision = await engine.decide(request, 'check')
  const record = recordAt(stored, decision.decidedAt)
  const program = engine.programOf(request.subject, request.plan, record)
  const planSource = request.plan !== undefined ? 'request' : record?.plan !== undefined ? 'subject' : 'default'
  const own = decision.limits.filter(({ subject }) => subject === undefined)
  const rules = program.limits.map((limit): Rule => {
    const base = { limit: limit.name, kind: limit.kind }
    const state = own.find(({ limit: name }) => name === limit.name)
    if (decision.mode === 'off') return { ...base, applies: false, passes: true, reason: 'limits are off for this subject' }
    if (!state && decision.degraded && decision.limits.length === 0) return { ...base, applies: false, passes: true, reason: 'the store is unavailable, and the limits fail open' }
    if (!state) return { ...base, applies: false, passes: true, reason: mismatchOf(limit, request) }
    const violated = decision.violations.some(({ limit: name, kind, subject }) => name === limit.name && kind === limit.kind && subject === undefined)
    const max = decision.degraded && state.max !== Infinity ? state.max : (record?.overrides?.[limit.name] ?? limit.max)
    return { ...base, applies: true, passes: !violated, reason: reasonOf(limit, request, max, state, violated), state }
  })
  return { decision, planSource, rules: decision.credits ? [...rules, creditsRule(decision.credits)] : rules }
}

/** Credits come last, as in a decision, and only where the request costs some. */
function creditsRule({ cost, available, deficit }: Credits): Rule {
  return { limit: 'credits', kind: 'credits', applies: true, passes: deficit === 0, reason: `it costs ${cost}, and ${Math.max(0, available)} are available` }
}

function mismatchOf({ match }: LimitProgram, request: TollgateRequest): string {
  const [dimension, values] = match.find(([name, set]) => !set.has(valueOf(request, name) ?? '')) ?? match[0]!
  return `only for ${dimension} ${[...values].slice(0, 5).join(', ')}; the request has ${valueOf(request, dimension) ?? 'none'}`
}

/** `max` is the subject's: the state of a limit that the request does not touch says `Infinity`. */
function reasonOf(limit: LimitProgram, request: TollgateRequest, max: number, { used }: LimitState, violated: boolean): string {
  if (limit.kind === 'allowOnly') return isAllowed(limit, request) ? 'in the plan' : 'not in the plan'
  if (max === Infinity) return 'unlimited'
  if (limit.kind === 'duplicates' && request.content === undefined) return `no content to compare; the same text is admitted up to ${max} times`
  return `${used} of ${max} used${violated ? ', and this request does not fit' : ''}`
}

const valueOf = (request: TollgateRequest, dimension: string): string | undefined => (dimension === 'operation' ? request.operation : request.dimensions?.[dimension])

