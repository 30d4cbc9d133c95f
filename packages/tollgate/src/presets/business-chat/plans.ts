import type { PlanSet } from '../../compile/catalog.ts'
import { quota } from '../../define/limits.ts'
import { definePlans } from '../../define/plans.ts'
import type { Rollout } from '../../engine/rollout.ts'
import { invalidDefinition, show } from '../../errors/index.ts'

/** Messages count at once. Tokens are known after the answer: reserve an estimate or nothing, commit what was used. */
const plan = <const R extends number>(rank: R, messagesPerDay: number, tokensPerMonth: number) =>
  ({
    rank,
    limits: {
      dailyMessages: quota({ limit: messagesPerDay, every: 'day', timezone: 'UTC', code: 'DAILY_MESSAGE_LIMIT_EXCEEDED' }),
      monthlyTokens: quota({ limit: tokensPerMonth, every: 'month', anchor: 'subject', meter: 'tokens', code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED' }),
    },
    headline: 'dailyMessages',
  }) as const

export const plans = definePlans({
  // No tokens, so no chat. Its messages are not limited, because a denial should name the one reason.
  FREE: plan(0, Infinity, 0),
  TRIAL: plan(1, 200, 100_000),
  PAYG: plan(2, 1000, 1_000_000),
  STARTER: plan(3, 2000, 2_000_000),
  PRO: plan(4, 5000, 5_000_000),
  ENTERPRISE: plan(5, 10_000, 10_000_000),
})

export type BusinessPlan = keyof typeof plans

export const operations = { message: {} } as const

export const planSet: PlanSet = { name: 'business-chat', plans, operations }

export const defaultPlan = 'TRIAL' satisfies BusinessPlan

/**
 * The plan that a subscription's plan name stands for. Whatever is not a plan counts as `ENTERPRISE`, so that nobody who
 * pays is turned away by a name that is new or misspelt here: log the warning, because somebody chats on a guess.
 */
export function planOf(name: string | null | undefined): { plan: BusinessPlan; warning?: string } {
  if (typeof name === 'string' && Object.hasOwn(plans, name)) return { plan: name as BusinessPlan }
  return { plan: 'ENTERPRISE', warning: `${show(name)} is not a plan and counts as ENTERPRISE; use one of ${Object.keys(plans).join(', ')}` }
}

const THIRTY_DAYS_MS = 30 * 86_400_000

/**
 * When a subscription's LLM tokens are first reset, as epoch ms, and from when on their months are counted:
 * `setPlan(subject, plan, { anchorAt: anchorOf(subscription) })`. It is the end of the paid period; 30 days after the
 * backfill where there is none, or where it had ended by then. Later calls give the same, because `now` has no part in it.
 *
 * Known gap: the engine counts whole months back from an anchor in the future too. A paid period of a year is so reset
 * each month, and after a backfill from Jan 30 to Feb 27 the 30 days are longer than the month before their end, which
 * gives one more reset within the first two days.
 */
export function anchorOf({ currentPeriodEnd, backfilledAt }: { currentPeriodEnd?: Date | number | null; backfilledAt: Date | number }): number {
  const start = Number(backfilledAt)
  const end = Number(currentPeriodEnd ?? 0)
  return end > start ? end : start + THIRTY_DAYS_MS
}

/**
 * How much the limits bite, by `CHAT_RATE_LIMITING_ENABLED` and `CHAT_RATE_LIMITING_PERCENT` (share of businesses, 0 … 100,
 * default 100). Only the exact value `true` enables. Off is off: then the percentage is not even read, so that a
 * rollback works whatever else is set.
 * @throws INVALID_DEFINITION when the limits are on and the percentage is not one.
 */
export function rolloutFromEnv(env: Readonly<Record<string, string | undefined>> = process.env): Rollout {
  if (env.CHAT_RATE_LIMITING_ENABLED !== 'true') return { mode: 'off', percent: 100 }
  const { CHAT_RATE_LIMITING_PERCENT: percent = '' } = env
  if (percent === '') return { mode: 'enforce', percent: 100 }
  if (/^\d{1,3}(\.\d{1,2})?$/.test(percent) && Number(percent) <= 100) return { mode: 'enforce', percent: Number(percent) }
  throw invalidDefinition('CHAT_RATE_LIMITING_PERCENT', `${show(percent)} is not a percentage; use a number from 0 to 100, such as 10`)
}
