import type { PlanSet } from '../../compile/catalog.ts'
import { allowOnly, quota } from '../../define/limits.ts'
import { definePlans } from '../../define/plans.ts'

export const PREMIUM_MODELS = ['claude-3.5-sonnet', 'claude-3-haiku', 'claude-3-opus', 'claude-3.7-sonnet', 'claude-sonnet-4', 'claude-opus-4'] as const

/** What visitors who are not signed in may use. */
export const ANONYMOUS_MODELS = ['gemini-2.0-flash'] as const

/** What the chat offers. The limits do not depend on this list: any model that is not premium counts as an ordinary one. */
export const MODELS = [...ANONYMOUS_MODELS, 'gemini-2.5-flash', 'gpt-4o-mini', 'llama-3.3-70b', ...PREMIUM_MODELS] as const

export type PremiumModel = (typeof PREMIUM_MODELS)[number]
export type Model = (typeof MODELS)[number]

export const plans = definePlans({
  /**
   * Limited in what it may use, not in how much: the product has no number for visitors, and a made-up one would turn
   * away people who share an address. To bound them, add a limit for `ip:…` subjects with `also`.
   */
  anonymous: {
    rank: 0,
    limits: { models: allowOnly({ model: ANONYMOUS_MODELS }) },
  },
  /** A message to a premium model counts in both. */
  user: {
    rank: 1,
    limits: {
      monthlyMessages: quota({ limit: 100, every: 'month', timezone: 'UTC' }),
      premiumMessages: quota({ limit: 20, every: 'month', timezone: 'UTC', match: { model: PREMIUM_MODELS } }),
    },
    headline: 'monthlyMessages',
  },
})

export type ChatPlan = keyof typeof plans

/**
 * Name the dimension `model` with each: a message that names none counts as an ordinary one, as of any model that is not
 * premium, and a visitor's is denied. `UsageTracker` refuses it.
 */
export const operations = { message: {} } as const

export const planSet: PlanSet = { name: 'chat-models', plans, operations }

export const defaultPlan = 'user' satisfies ChatPlan

/** Whether messages to `model` count in `premiumMessages` too. */
export function isPremium(model: string): model is PremiumModel {
  return (PREMIUM_MODELS as readonly string[]).includes(model)
}
