import type { PlanSet } from '../../compile/catalog.ts'
import type { LimitDefinition } from '../../define/limits.ts'
import type { PlanDefinition } from '../../define/plans.ts'
import { operations, plans, planSet } from './plans.ts'

/** Limits of a message, in the order in which they are checked. */
export const MESSAGE_LIMITS = ['dailyMessages', 'cooldown', 'spam', 'flood'] as const

export type MessageLimit = (typeof MESSAGE_LIMITS)[number]

/**
 * The preset's plans, in which each limit of a message can also be asked for alone, by an operation of its own name.
 * What tells counters apart is the names of set and limit, and these are unchanged: asked for alone or with the others,
 * a limit counts in the same place.
 */
export const singleLimits: PlanSet = {
  name: planSet.name,
  plans: mapValues(plans, (plan: PlanDefinition) => ({ ...plan, limits: mapValues(plan.limits, alsoAlone) })),
  operations: { ...operations, ...Object.fromEntries(MESSAGE_LIMITS.map((name) => [name, {}])) },
}

function alsoAlone(limit: LimitDefinition, name: string): LimitDefinition {
  return limit.match?.operation === 'message' ? { ...limit, match: { operation: ['message', name] } } : limit
}

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))
}
