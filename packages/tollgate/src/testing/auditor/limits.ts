import { normalise } from '../../content/normalise.ts'
import { durationMs } from '../../define/duration.ts'
import type { LimitDefinition, LimitKind } from '../../define/limits.ts'
import type { PlanDefinition } from '../../define/plans.ts'
import type { TollgateRequest } from '../../engine/types.ts'

/** One limit of a plan as it meets one request, worked out from the plan alone: nothing is shared with compile/. */
export interface MetLimit {
  readonly name: string
  readonly kind: LimitKind
  readonly definition: LimitDefinition
  /** Names the counter: the same for plans of one set that share it. */
  readonly key: string
  readonly max: number
  readonly amount: number
  /** `''` where it counts what happens, not how much of it. */
  readonly meter: string
  readonly weight: number
  /** 0 where there is no window. */
  readonly windowMs: number
}

/** By request and plan: a request is in the history of each of its calls. */
const met = new WeakMap<TollgateRequest, Map<string, readonly MetLimit[]>>()

/** The counted limits that the request meets. */
export function metLimits(planId: string, plan: PlanDefinition, request: TollgateRequest): readonly MetLimit[] {
  const byPlan = met.get(request) ?? new Map<string, readonly MetLimit[]>()
  met.set(request, byPlan)
  const limits = byPlan.get(planId) ?? meet(planId, plan, request)
  byPlan.set(planId, limits)
  return limits
}

function meet(planId: string, plan: PlanDefinition, request: TollgateRequest): MetLimit[] {
  return Object.entries(plan.limits).flatMap(([name, definition]) => {
    if (definition.kind === 'allowOnly' || !isAbout(definition, request)) return []
    if (definition.kind === 'duplicates' && request.content === undefined) return []
    if (definition.kind === 'capacity' && request.current?.[name] !== undefined) return []
    const per = (definition.per ?? []).map((dimension) => `${dimension}=${JSON.stringify(valueOf(dimension, request))}`)
    // Which texts are the same is what content/ says, and tests; how often they come is counted here.
    const content = definition.kind === 'duplicates' ? [normalise(request.content!)] : []
    return [metLimit(planId, name, definition, [...per, ...content].join(), request)]
  })
}

/** What a plan denies or lets pass without counting: values it lacks, and counts of the caller's own. */
export function uncountedRefusals(plan: PlanDefinition, request: TollgateRequest): string[] {
  return Object.entries(plan.limits).flatMap(([name, d]) => {
    if (!isAbout(d, request)) return []
    if (d.kind === 'allowOnly') return Object.entries(d.allow).every(([dimension, values]) => values.includes(valueOf(dimension, request) ?? '')) ? [] : [name]
    const current = d.kind === 'capacity' ? request.current?.[name] : undefined
    return current !== undefined && d.kind === 'capacity' && current + 1 > (d.limit ?? Infinity) ? [name] : []
  })
}

/** A limit that is counted for the subject as a whole, to read what its usage says. */
export function wholeLimit(planId: string, plan: PlanDefinition, name: string): MetLimit | undefined {
  const definition = plan.limits[name]
  if (!definition || definition.kind === 'allowOnly' || definition.kind === 'duplicates' || definition.per?.length) return undefined
  return metLimit(planId, name, definition, '', { subject: '' })
}

type Fixed = Omit<MetLimit, 'amount' | 'key'> & { isMetered: boolean; counter: string }

/** What of a limit does not depend on the request; a history has thousands. */
const fixed = new WeakMap<LimitDefinition, Map<string, Fixed>>()

function metLimit(planId: string, name: string, definition: LimitDefinition, partition: string, request: TollgateRequest): MetLimit {
  const byName = fixed.get(definition) ?? new Map<string, Fixed>()
  fixed.set(definition, byName)
  const known = byName.get(`${planId} ${name}`) ?? fix(planId, name, definition)
  byName.set(`${planId} ${name}`, known)
  const { kind, max, meter, weight, windowMs, isMetered, counter } = known
  const asked = request.amounts?.[meter] ?? (meter === 'requests' ? 1 : 0)
  return { name, kind, definition, key: `${counter} ${partition}`, max, amount: isMetered ? asked * weight : 1, meter, weight, windowMs }
}

function fix(planId: string, name: string, definition: LimitDefinition): Fixed {
  const isMetered = 'meter' in definition || ['quota', 'slidingWindow', 'fixedWindow', 'tokenBucket'].includes(definition.kind)
  const meter = ('meter' in definition && definition.meter) || 'requests'
  const weight = ('weight' in definition && definition.weight) || 1
  const windowMs = windowMsOf(definition)
  const period = definition.kind === 'quota' ? [definition.every, definition.timezone ?? 'UTC', definition.anchor ?? 'calendar'] : [windowMs]
  const set = planId.includes('/') ? planId.slice(0, planId.indexOf('/')) : ''
  const per = 'per' in definition ? (definition.per ?? []) : []
  const exact = definition.kind === 'slidingWindow' && definition.exact === true
  const counter = JSON.stringify([set, name, definition.kind, exact, period, per])
  return { name, kind: definition.kind, definition, counter, max: maxOf(definition), isMetered, meter: isMetered ? meter : '', weight, windowMs }
}

function maxOf(d: LimitDefinition): number {
  if (d.kind === 'cooldown' || d.kind === 'allowOnly') return 1
  return (d.kind === 'tokenBucket' ? d.capacity : d.limit) ?? Infinity
}

function windowMsOf(d: LimitDefinition): number {
  if (d.kind === 'slidingWindow' || d.kind === 'fixedWindow' || d.kind === 'duplicates') return durationMs(d.window, 'window')
  if (d.kind === 'cooldown') return durationMs(d.wait, 'wait', 0)
  return d.kind === 'tokenBucket' ? durationMs(d.every, 'every') : 0
}

function isAbout({ match }: LimitDefinition, request: TollgateRequest): boolean {
  return Object.entries(match ?? {}).every(([dimension, values]) => {
    const value = valueOf(dimension, request)
    return value !== undefined && (typeof values === 'string' ? values === value : values.includes(value))
  })
}

function valueOf(dimension: string, request: TollgateRequest): string | undefined {
  return dimension === 'operation' ? request.operation : request.dimensions?.[dimension]
}
