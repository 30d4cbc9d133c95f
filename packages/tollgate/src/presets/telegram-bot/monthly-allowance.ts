import { suggest } from '../../define/suggest.ts'
import { show, TollgateError } from '../../errors/index.ts'
import type { AllowanceRule } from '../../ledger/account.ts'
import { plans, type SubscriptionTier } from './plans.ts'

/** A century: it ends when it is set anew. */
const EVERY_MS = 36_525 * 86_400_000

/**
 * A tier's tokens a month as an allowance that is set from outside, by whoever knows what was paid for: it neither ends nor
 * renews by itself. Named by its key, so that one of another key takes its place, and one of the same changes nothing.
 * @throws UNKNOWN_PLAN
 */
export function allowanceOf(tier: SubscriptionTier, key: string): AllowanceRule {
  if (!Object.hasOwn(plans, tier)) throw new TollgateError('UNKNOWN_PLAN', `tier: ${show(tier)} is not a tier; ${suggest(tier, Object.keys(plans))}`, { field: 'tier' })
  return { plan: `telegram-bot/${tier} ${key}`, amount: plans[tier].credits.grant, every: EVERY_MS, timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true }
}
