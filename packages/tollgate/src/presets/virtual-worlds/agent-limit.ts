import { assertInteger, MAX_AMOUNT } from '../../compile/request.ts'
import type { MessageFacts } from '../../messages/index.ts'
import { getWorldMessageLimits, plansAbove } from './plan-info.ts'
import type { WorldPlan } from './plans.ts'
import type { WorldAgentCheck } from './world-limits.ts'

/**
 * The limit of agents where the caller counts them. It answers at once, without an engine: there is nothing to count.
 * @param write says why a world is full.
 */
export function agentLimit(write: (facts: MessageFacts) => string, now: () => number): (currentCount: number, plan: WorldPlan) => WorldAgentCheck {
  return (currentCount, plan) => {
    assertInteger(currentCount, 'currentCount', 0, MAX_AMOUNT)
    const { agentsPerWorld: limit } = getWorldMessageLimits(plan)
    if (currentCount < limit) return { allowed: true, limit, remaining: limit - currentCount }
    const error = write({
      limit: 'agents',
      kind: 'capacity',
      code: 'CAPACITY_EXCEEDED',
      max: limit,
      used: currentCount,
      remaining: 0,
      resetAt: null,
      retryAfterMs: null,
      meter: 'requests',
      plan,
      better: plansAbove(plan)
        .map((above) => ({ plan: above, max: getWorldMessageLimits(above).agentsPerWorld }))
        .filter(({ max }) => currentCount < max),
      now: now(),
    })
    return { allowed: false, error, limit, remaining: 0 }
  }
}
