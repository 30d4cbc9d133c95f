/** Chat in virtual worlds: messages a day, agents a world, and guards against haste, spam and floods. */
import { withWorldLimits, worldLimitsHere } from './virtual-worlds/shared-limits.ts'
import type { WorldLimits } from './virtual-worlds/world-limits.ts'

export { createWorldLimits, type WorldLimitsOptions } from './virtual-worlds/create-world-limits.ts'
export { messages } from './virtual-worlds/messages.ts'
export { getWorldLimitsInfo, getWorldMessageLimits, type WorldLimitsInfo, type WorldMessageLimits } from './virtual-worlds/plan-info.ts'
export { defaultPlan, operations, plans, planSet, type WorldPlan } from './virtual-worlds/plans.ts'
export { useWorldLimits } from './virtual-worlds/shared-limits.ts'
export type { DailyUsage, UserUsageStats } from './virtual-worlds/usage-statistics.ts'
export { type ViolationFields, type ViolationLog, violationLog } from './virtual-worlds/violation-log.ts'
export { createWorldViews, type WorldViewsOptions } from './virtual-worlds/world-views.ts'
export type { WorldAgentCheck, WorldCheck, WorldLimits, WorldLimitsCheck, WorldMessage, WorldMessageCheck } from './virtual-worlds/world-limits.ts'

/**
 * The functions below are those of one instance that all of the process shares, with texts in Spanish; `WorldLimits`
 * documents each. It counts in the Redis that REDIS_URL names, else in memory, and in memory too while Redis is away.
 * Redis needs the package `ioredis`, and TOLLGATE_SECRET (at least 16 bytes, the same in all processes) so that a text is
 * known again in each. For other options give an instance of your own to `useWorldLimits`; for a test, call
 * `createWorldLimits`.
 */
export const checkAllWorldLimits: WorldLimits['checkAllWorldLimits'] = (message) => withWorldLimits((limits) => limits.checkAllWorldLimits(message))
export const checkWorldMessageLimit: WorldLimits['checkWorldMessageLimit'] = (userId, plan) => withWorldLimits((limits) => limits.checkWorldMessageLimit(userId, plan))
export const checkWorldCooldown: WorldLimits['checkWorldCooldown'] = (worldId, userId, plan) => withWorldLimits((limits) => limits.checkWorldCooldown(worldId, userId, plan))
export const checkSpamProtection: WorldLimits['checkSpamProtection'] = (worldId, userId, content) => withWorldLimits((limits) => limits.checkSpamProtection(worldId, userId, content))
export const checkFloodProtection: WorldLimits['checkFloodProtection'] = (worldId, userId) => withWorldLimits((limits) => limits.checkFloodProtection(worldId, userId))
export const checkWorldAgentLimit: WorldLimits['checkWorldAgentLimit'] = (currentCount, plan) => worldLimitsHere().checkWorldAgentLimit(currentCount, plan)
export const trackWorldMessageUsage: WorldLimits['trackWorldMessageUsage'] = (userId) => withWorldLimits((limits) => limits.trackWorldMessageUsage(userId))
export const getUserUsageStats: WorldLimits['getUserUsageStats'] = (userId) => withWorldLimits((limits) => limits.getUserUsageStats(userId))
