import type { CalendarUnit } from '../compile/calendar.ts'
import type { Duration } from './duration.ts'

/** What to do when the store of a limit cannot answer: let pass, refuse, or count in this process with a share of the limit. */
export type FailurePolicy = 'open' | 'closed' | 'local'

/** The dimension values for which a limit applies; `operation` matches the request's operation. */
export type Match = Readonly<Record<string, string | readonly string[]>>

/** What every counted limit can carry. */
export interface LimitOptions {
  /** Dimensions that are counted apart: `['world']` gives every world a counter of its own. */
  readonly per?: readonly string[]
  /** The limit applies only to requests whose values are listed here. */
  readonly match?: Match
  /** The code of a denial, in place of the kind's default. */
  readonly code?: string
  readonly onFailure?: FailurePolicy
}

export interface MeteredOptions extends LimitOptions {
  /** The most that is admitted: an integer 0 … 2^31−1, or `Infinity` (in JSON `null`). */
  readonly limit: number | null
  /** What is counted: `requests` (default), or the name of an amount that requests carry, such as `tokens`. */
  readonly meter?: string
  /** Counts each request (or each unit of the meter) this many times: an integer 1 … 2^31−1. Default 1. */
  readonly weight?: number
  /** The share of the limit, above 0 and up to 1, from which a warning is given. */
  readonly softLimit?: number
}

export interface SlidingWindowOptions extends MeteredOptions {
  readonly window: Duration
  /**
   * `true` keeps a log of every request: never more than `limit` in any window, at 16 bytes a request.
   * Default: two counters (https://blog.cloudflare.com/counting-things-a-lot-of-different-things/). It holds the
   * limit exactly for evenly spread traffic, and never admits more than 2 × limit − 1 in any window.
   */
  readonly exact?: boolean
}

export interface FixedWindowOptions extends MeteredOptions {
  /** Windows are aligned to the epoch; up to 2 × limit can pass around a boundary. */
  readonly window: Duration
}

export interface TokenBucketOptions extends Omit<MeteredOptions, 'limit'> {
  /** The largest burst: an integer 0 … 2^31−1, or `Infinity`. */
  readonly capacity: number | null
  /** Tokens that flow back, evenly, in `every`: an integer 1 … 2^31−1. */
  readonly refill: number
  readonly every: Duration
}

export interface QuotaOptions extends MeteredOptions {
  readonly every: CalendarUnit | Duration
  /** IANA zone whose midnight cuts the period. Default `UTC`. */
  readonly timezone?: string
  /**
   * `calendar` (default): the zone's days, Monday weeks and months. `subject`: periods counted from the subject's own
   * start, which is `anchorAt` where `setPlan` stored one, else its first admitted request. A start that was not
   * stored may be forgotten once nothing else is counted of the subject and two periods (of the longest that its plan
   * counts so) have passed since it was last admitted; its next request starts anew. `reset` keeps it, `erase` does not.
   */
  readonly anchor?: 'calendar' | 'subject'
}

export interface CooldownOptions extends LimitOptions {
  /** Time between two admitted requests; 0 for none. */
  readonly wait: Duration
}

export interface DuplicatesOptions extends LimitOptions {
  /** How often the same content may come within `window`: an integer 0 … 10,000, or `Infinity`. */
  readonly limit: number | null
  readonly window: Duration
  readonly softLimit?: number
}

export interface ConcurrencyOptions extends LimitOptions {
  /** The most open reservations: an integer 0 … 2^31−1, or `Infinity`. */
  readonly limit: number | null
  readonly softLimit?: number
}

export type CapacityOptions = ConcurrencyOptions

/** The values of each dimension that the plan includes, and the common options. */
export type AllowOnlyOptions = Readonly<Record<string, readonly string[]>>

export interface LimitKinds {
  slidingWindow: SlidingWindowOptions
  fixedWindow: FixedWindowOptions
  tokenBucket: TokenBucketOptions
  quota: QuotaOptions
  cooldown: CooldownOptions
  duplicates: DuplicatesOptions
  concurrency: ConcurrencyOptions
  capacity: CapacityOptions
  allowOnly: { readonly allow: AllowOnlyOptions } & LimitOptions
}

export type LimitKind = keyof LimitKinds

/** One limit as plain data: what a factory returns and what a plan in JSON holds. */
export type LimitDefinition = { [K in LimitKind]: { readonly kind: K } & LimitKinds[K] }[LimitKind]

type Made<K extends LimitKind, O> = { readonly kind: K } & O

/** Keeps options from compiling that are not in `Known`: a type parameter takes any. */
type Only<O, Known> = O & { readonly [K in Exclude<keyof O, keyof Known>]: never }

/** At most `limit` in any stretch of `window`. */
export const slidingWindow = <const O extends SlidingWindowOptions>(options: Only<O, SlidingWindowOptions>): Made<'slidingWindow', O> => ({ kind: 'slidingWindow', ...options })

/** At most `limit` in each window of a fixed grid. */
export const fixedWindow = <const O extends FixedWindowOptions>(options: Only<O, FixedWindowOptions>): Made<'fixedWindow', O> => ({ kind: 'fixedWindow', ...options })

/** Bursts up to `capacity`, refilled continuously at `refill` per `every`. */
export const tokenBucket = <const O extends TokenBucketOptions>(options: Only<O, TokenBucketOptions>): Made<'tokenBucket', O> => ({ kind: 'tokenBucket', ...options })

/** At most `limit` in a day, week, month or any duration; given back when a reservation is released. */
export const quota = <const O extends QuotaOptions>(options: Only<O, QuotaOptions>): Made<'quota', O> => ({ kind: 'quota', ...options })

/** A pause of `wait` after every admitted request. */
export const cooldown = <const O extends CooldownOptions>(options: Only<O, CooldownOptions>): Made<'cooldown', O> => ({ kind: 'cooldown', ...options })

/** At most `limit` requests with the same content in any stretch of `window`. */
export const duplicates = <const O extends DuplicatesOptions>(options: Only<O, DuplicatesOptions>): Made<'duplicates', O> => ({ kind: 'duplicates', ...options })

/** At most `limit` open reservations at a time. */
export const concurrency = <const O extends ConcurrencyOptions>(options: Only<O, ConcurrencyOptions>): Made<'concurrency', O> => ({ kind: 'concurrency', ...options })

/** At most `limit` things that last, such as agents in a world; one is given back by releasing its reservation. */
export const capacity = <const O extends CapacityOptions>(options: Only<O, CapacityOptions>): Made<'capacity', O> => ({ kind: 'capacity', ...options })

/** Only these values of a dimension are in the plan: `allowOnly({ model: ['gemini-2.0-flash'] })`. */
export const allowOnly = <const A extends AllowOnlyOptions, const O extends LimitOptions = object>(
  allow: A,
  options?: Only<O, LimitOptions>,
  // `NoInfer`: without options there is nothing to infer them from but the place of use, which takes any.
): Made<'allowOnly', { readonly allow: A } & NoInfer<O>> => ({ kind: 'allowOnly', allow, ...(options as O) })
