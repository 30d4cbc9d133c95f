/** Chat in virtual worlds: messages a day, agents a world, and guards against haste, spam and floods. */
import { createWorldLimits } from './virtual-worlds/create-world-limits.ts'
import type { WorldLimits } from './virtual-worlds/world-limits.ts'

export { createWorldLimits, type WorldLimitsOptions } from './virtual-worlds/create-world-limits.ts'
export { messages } from './virtual-worlds/messages.ts'
export { getWorldLimitsInfo, getWorldMessageLimits, type WorldLimitsInfo, type WorldMessageLimits } from './virtual-worlds/plan-info.ts'
export { defaultPlan, operations, plans, planSet, type WorldPlan } from './virtual-worlds/plans.ts'
export type { DailyUsage, UserUsageStats } from './virtual-worlds/usage-statistics.ts'
export { type ViolationFields, type ViolationLog, violationLog } from './virtual-worlds/violation-log.ts'
export { createWorldViews, type WorldViewsOptions } from './virtual-worlds/world-views.ts'
export type { WorldAgentCheck, WorldCheck, WorldLimits, WorldLimitsCheck, WorldMessage, WorldMessageCheck } from './virtual-worlds/world-limits.ts'

/**
 * The functions below are those of one instance that all of the process shares, made with the first call: counters in
 * memory, texts in Spanish. For other options, or for a test, call `createWorldLimits`. `WorldLimits` documents each.
 */
let shared: WorldLimits | undefined
const limits = (): WorldLimits => (shared ??= createWorldLimits())

export const checkAllWorldLimits: WorldLimits['checkAllWorldLimits'] = (message) => limits().checkAllWorldLimits(message)
export const checkWorldMessageLimit: WorldLimits['checkWorldMessageLimit'] = (userId, plan) => limits().checkWorldMessageLimit(userId, plan)
export const checkWorldCooldown: WorldLimits['checkWorldCooldown'] = (worldId, userId, plan) => limits().checkWorldCooldown(worldId, userId, plan)
export const checkSpamProtection: WorldLimits['checkSpamProtection'] = (worldId, userId, content) => limits().checkSpamProtection(worldId, userId, content)
export const checkFloodProtection: WorldLimits['checkFloodProtection'] = (worldId, userId) => limits().checkFloodProtection(worldId, userId)
export const checkWorldAgentLimit: WorldLimits['checkWorldAgentLimit'] = (currentCount, plan) => limits().checkWorldAgentLimit(currentCount, plan)
export const trackWorldMessageUsage: WorldLimits['trackWorldMessageUsage'] = (userId) => limits().trackWorldMessageUsage(userId)
export const getUserUsageStats: WorldLimits['getUserUsageStats'] = (userId) => limits().getUserUsageStats(userId)
