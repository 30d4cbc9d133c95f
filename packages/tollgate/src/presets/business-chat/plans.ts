import { createPeriods } from '../../compile/calendar.ts'
import type { PlanSet } from '../../compile/catalog.ts'
import { quota } from '../../define/limits.ts'
import { definePlans } from '../../define/plans.ts'
import type { Rollout } from '../../engine/rollout.ts'
import { invalidDefinition, invalidRequest, show } from '../../errors/index.ts'

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
/** The year 2096, as for `setPlan`. */
const MAX_AT = 4e12
/** Without a zone a time would be that of whatever machine reads it. */
const ISO_INSTANT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/

/** Epoch ms, or as text: a date, which is its midnight in UTC, or a time with its zone. */
export type Instant = Date | number | string

const monthOf = createPeriods({ every: 'month', timezone: 'UTC' })

/**
 * From when on the months of a subscription's LLM tokens are counted, as epoch ms:
 * `setPlan(subject, plan, { anchorAt: anchorOf(subscription) })`. They are first reset at the end of the paid period; 30
 * days after the backfill where there is none, or where it had ended by then. Later calls give the same, because `now` has
 * no part in it.
 *
 * Tokens are by the month, and what lies further ahead than one cannot be the first reset. Of a paid period that ends
 * later, such as a year's, the day counts: tokens are reset on that day of each month. And 30 days are more than a month
 * where February ends among them: then the first reset is a month after the backfill, which is 28 or 29 days.
 * @throws INVALID_REQUEST
 */
export function anchorOf({ currentPeriodEnd, backfilledAt }: { currentPeriodEnd?: Instant | null; backfilledAt: Instant }): number {
  const start = instantOf(backfilledAt, 'backfilledAt')
  const end = currentPeriodEnd === undefined || currentPeriodEnd === null ? undefined : instantOf(currentPeriodEnd, 'currentPeriodEnd')
  if (end !== undefined && end > start) return end
  const in30Days = start + THIRTY_DAYS_MS
  return monthOf(start, in30Days).endAt === in30Days ? in30Days : start
}

function instantOf(value: unknown, field: string): number {
  const at = value instanceof Date ? value.getTime() : typeof value === 'string' ? parsed(value) : value
  if (Number.isInteger(at) && (at as number) >= 0 && (at as number) <= MAX_AT) return at as number
  throw invalidRequest(field, `${value instanceof Date ? String(value) : show(value)} is not an instant of 1970 to 2096; use a Date, a text such as '2026-11-22T00:00:00Z', or epoch milliseconds`)
}

function parsed(text: string): number {
  const date = text.slice(0, 10)
  const midnight = ISO_INSTANT.test(text) ? Date.parse(date) : Number.NaN
  // Date.parse takes February 30 for March 2.
  return Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== date ? Number.NaN : Date.parse(text)
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
