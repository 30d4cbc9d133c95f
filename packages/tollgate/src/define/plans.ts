import type { CalendarUnit } from '../compile/calendar.ts'
import type { Duration } from './duration.ts'
import type { LimitDefinition } from './limits.ts'
import type { Headlines } from './names.ts'
import { validatePlans } from './validate.ts'

export interface Price {
  /** In major units of the currency: 19.9, 1990. */
  readonly amount: number
  /** ISO 4217, such as `USD`. */
  readonly currency: string
  readonly every: CalendarUnit | Duration
}

export interface PlanDefinition {
  /** Order of upgrade: a higher rank is a better plan. An integer. */
  readonly rank: number
  readonly price?: Price
  readonly limits: Readonly<Record<string, LimitDefinition>>
  /** The limit that `X-RateLimit-*` headers speak of. Default: the plan's first quota. */
  readonly headline?: string
  readonly credits?: CreditAllowance
}

/** Credits granted each period: once per subject and period, also when nobody asks for long. */
export interface CreditAllowance {
  /** An integer 0 … 2^31−1. */
  readonly grant: number
  readonly every: CalendarUnit | Duration
  /** An IANA name. Default `UTC`. */
  readonly timezone?: string
  /** Where periods start: when the subject got the plan (`subject`, default), or at midnight and on the 1st (`calendar`). */
  readonly anchor?: 'subject' | 'calendar'
  /** What is left when a period ends lapses, but for up to `max`, which go on for one more period. */
  readonly rollover?: { readonly max: number }
  /** Granted only while the subject's attribute of this name is set and not false. */
  readonly requires?: string
  /** The share of the allowance, above 0 and up to 1, from which a `warning` is emitted, once a period. */
  readonly softLimit?: number
  /** Grants of a lower priority are spent first. Default 0. */
  readonly priority?: number
}

export type Plans = Readonly<Record<string, PlanDefinition>>

export interface OperationDefinition {
  /** What one such operation costs in credits: an integer 0 … 2^31−1. */
  readonly credits?: number
}

export type Operations = Readonly<Record<string, OperationDefinition>>

/**
 * Plans as data: checked once, frozen, JSON-able (unlimited becomes `null` and is read back).
 * Limits of one name count into one counter across the plans, so that an upgrade keeps what was used.
 * @throws INVALID_DEFINITION that names plan, limit, value and fix.
 */
export function definePlans<const P extends Plans>(plans: P & Headlines<P>): P {
  return validatePlans(plans) as P
}
