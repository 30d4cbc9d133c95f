import type { LimitKind } from '../define/limits.ts'
import type { Locale } from '../messages/index.ts'
import type { SubjectRecord } from './subjects.ts'

/** Names of one engine's plans, limits, meters, dimensions and operations; open strings unless plans are literal. */
export interface Names {
  plan: string
  limit: string
  meter: string
  dimension: string
  operation: string
}

/** Values under these names. Where there are none, `{}` alone would take any: what is given is refused then. */
type Named<K extends string, V> = [K] extends [never] ? { readonly [name: string]: never } : { readonly [N in K]?: V }

export interface TollgateRequest<N extends Names = Names> {
  /** Who is limited, such as `user:42`: 1 … 256 characters. */
  subject: string
  /** Default: the subject's stored plan, else the default plan. */
  plan?: N['plan']
  operation?: N['operation']
  /** Values of 1 … 256 characters. */
  dimensions?: Named<N['dimension'], string>
  /** Compared by the duplicate guard and never kept: at most 64 KiB. */
  content?: string
  /** Integers 0 … 2^31−1. For `reserve` an estimate; `commit` gives the actual amounts. */
  amounts?: { readonly [M in N['meter']]?: number }
  /** How many of a `capacity` limit exist already, by the caller's own count. */
  current?: Named<N['limit'], number>
  /** More subjects that must admit the request too; each is decided under its own plan. */
  also?: readonly (string | { subject: string; plan?: N['plan'] })[]
  /** The same key with the same request gives the first answer again for 24 h: 1 … 256 characters. */
  idempotencyKey?: string
  /** How long a reservation holds: 1 … 86,400,000 ms, default 60,000. */
  ttlMs?: number
  /** Language of the messages. */
  locale?: string
  signal?: AbortSignal
}

/** How one limit stands after the decision. */
export interface LimitState {
  /** The limit's name in its plan. */
  limit: string
  kind: LimitKind | 'credits'
  code: string
  /** `Infinity` (in JSON `null`) is unlimited. */
  max: number
  /** Includes open holds; passes `max` after a commit above its estimate. */
  used: number
  remaining: number
  /** Epoch ms at which the limit is wholly free; `null` where time does not free it. */
  resetAt: number | null
  /** 0 where not violated, `null` where waiting does not help. */
  retryAfterMs: number | null
  /** Whose limit it is, where the request named several subjects and this is not the first. */
  subject?: string
  /** The dimension values of a limit that is counted `per` something. */
  partition?: Readonly<Record<string, string>>
  /** `true` from the limit's `softLimit` on. */
  warning?: true
}

/** How the account that pays stands after the decision. */
export interface Credits {
  cost: number
  /** Available and reserved. */
  balance: number
  available: number
  /** Held by open reservations. */
  reserved: number
  /** In all the account's time, refunds deducted. */
  spent: number
  /** What is missing; 0 when allowed. */
  deficit: number
}

export interface Violation extends LimitState {
  /** In the request's language: the limit, when it frees, and what better plans give. */
  readonly message: string
  /** Plans that would have let the request pass this limit, the lowest rank first. */
  readonly liftedBy: readonly string[]
}

export interface ReservationInfo {
  id: string
  /** Epoch ms; from then on the hold counts no more. */
  expiresAt: number
}

export interface Decision<N extends Names = Names> {
  allowed: boolean
  subject: string
  plan: N['plan']
  mode: 'enforce' | 'shadow' | 'off'
  /** `true` when a store failed and a limit's failure policy decided. */
  degraded: boolean
  /** In the plan's order of limits. */
  violations: Violation[]
  limits: LimitState[]
  /** Present where the request costs credits and no limit denied it before. */
  credits?: Credits
  /**
   * Present after an admitted `reserve`; ends itself on `await using` unless it was committed. After a `consume` that took
   * capacity or credits it is settled already: capacity is released by its id, and credits are refunded.
   */
  reservation?: Reservation<N>
  /** Epoch ms, by the store's clock. */
  decidedAt: number
  /** The longest wait of all violations: 0 when allowed, `null` where waiting does not help. */
  retryAfterMs: number | null
}

export interface Reservation<N extends Names = Names> extends ReservationInfo, AsyncDisposable {
  commit(options?: CommitOptions<N>): Promise<Settlement>
  release(): Promise<Settlement>
}

export interface CommitOptions<N extends Names = Names> {
  /** What was used. A meter that is not named keeps its reserved amount. */
  amounts?: { readonly [M in N['meter']]?: number }
  signal?: AbortSignal
}

/** A reservation after `commit`, `release` or `extend`. */
export interface Settlement {
  id: string
  subject: string
  plan: string
  status: 'open' | 'committed' | 'released'
  expiresAt: number
  /** Epoch ms; `null` while open. */
  settledAt: number | null
  /** The amounts that count: the actual ones after a commit, the estimate before. */
  amounts: Readonly<Record<string, number>>
  /** `true` when it was settled after its hold had expired. */
  late: boolean
}

export interface Usage {
  subject: string
  plan: string
  limits: LimitState[]
  /** `null` where the subject has no account. */
  credits: Omit<Credits, 'cost' | 'deficit'> | null
}

/** What can be stored of a subject beside its plan; `null` removes it. */
export interface PlanFacts<N extends Names = Names> {
  /** Epoch ms, up to the year 2096. */
  anchorAt?: number | null
  team?: string | null
  attributes?: SubjectRecord['attributes'] | null
  /** Limits of its own, by name, in place of the plan's: 0 … 2^31−1, or `Infinity`. */
  overrides?: Named<N['limit'], number> | null
}

/** What a client, or an adapter, needs to know of a plan. */
export interface PlanView {
  readonly id: string
  /** The limit that `X-RateLimit-*` headers speak of: the one the plan names, else its first quota. */
  readonly headline?: string
  /** In the plan's order. */
  readonly limits: readonly PlanLimit[]
}

export interface PlanLimit {
  readonly name: string
  readonly kind: LimitKind
  /** `Infinity` is unlimited. */
  readonly max: number
  /** `null` where there is no window. */
  readonly windowMs: number | null
  /** What is counted. Default: `requests`. */
  readonly meter?: string
}

export type { Locale }
