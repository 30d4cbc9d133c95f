import { durationMs } from '../../define/duration.ts'
import type { Price } from '../../define/plans.ts'
import { suggest } from '../../define/suggest.ts'
import { show, TollgateError } from '../../errors/index.ts'
import { plans, type WorldPlan } from './plans.ts'

/** A plan's limits as plain numbers. `Infinity` (in JSON `null`) is unlimited. */
export interface WorldMessageLimits {
  readonly messagesPerDay: number
  readonly agentsPerWorld: number
  /** Between two messages of a user in a world; 0 is none. */
  readonly cooldownSeconds: number
  readonly identicalMessagesPerHour: number
  readonly messagesPerMinute: number
}

/** What a page about plans shows. */
export interface WorldLimitsInfo {
  readonly plan: WorldPlan
  readonly price: Price
  readonly limits: WorldMessageLimits
  /** The plan that an upgrade leads to; `null` for the best. */
  readonly next: Omit<WorldLimitsInfo, 'next'> | null
}

/** @throws UNKNOWN_PLAN */
export function getWorldMessageLimits(plan: WorldPlan): WorldMessageLimits {
  const { dailyMessages, agents, cooldown, spam, flood } = definitionOf(plan).limits
  return {
    messagesPerDay: dailyMessages.limit,
    agentsPerWorld: agents.limit,
    cooldownSeconds: durationMs(cooldown.wait, 'wait', 0) / 1000,
    identicalMessagesPerHour: spam.limit,
    messagesPerMinute: flood.limit,
  }
}

/** @throws UNKNOWN_PLAN */
export function getWorldLimitsInfo(plan: WorldPlan): WorldLimitsInfo {
  const [next] = plansAbove(plan)
  return { ...infoOf(plan), next: next === undefined ? null : infoOf(next) }
}

/** Better plans, the lowest rank first. */
export function plansAbove(plan: WorldPlan): WorldPlan[] {
  const { rank } = definitionOf(plan)
  return (Object.keys(plans) as WorldPlan[]).filter((other) => plans[other].rank > rank).toSorted((a, b) => plans[a].rank - plans[b].rank)
}

function infoOf(plan: WorldPlan): Omit<WorldLimitsInfo, 'next'> {
  return { plan, price: plans[plan].price, limits: getWorldMessageLimits(plan) }
}

function definitionOf(plan: WorldPlan): (typeof plans)[WorldPlan] {
  if (Object.hasOwn(plans, plan)) return plans[plan]
  throw new TollgateError('UNKNOWN_PLAN', `plan: ${show(plan)} is not a plan; ${suggest(plan, Object.keys(plans))}`, { field: 'plan' })
}
