/** What happened, as the record keeps it. Never content: of that a keyed digest. */
export interface UsageEvent {
  /** Counted once by it. */
  readonly id: string
  /** The store's time, epoch ms. */
  readonly at: number
  readonly kind: UsageKind
  readonly subject: string
  /** Full name; `''` where there is none. */
  readonly plan: string
  /** Changes with the plan's definition; `''` where there is none. */
  readonly planVersion: string
  /** `plan`: the plan before, `''` for none. */
  readonly fromPlan?: string | undefined
  /** Where the subject's own periods start, where that was told. */
  readonly anchorAt?: number | undefined
  readonly operation?: string | undefined
  readonly dimensions?: Readonly<Record<string, string>> | undefined
  /** By meter: what was asked for, or, of a commit, what was used. */
  readonly amounts: Readonly<Record<string, number>>
  /** Of quotas: what this event adds to their totals. */
  readonly uses: readonly QuotaUse[]
  readonly digest?: string | undefined
  readonly violations?: readonly { readonly limit: string; readonly kind: string; readonly code: string }[] | undefined
  readonly reservation?: string | undefined
  readonly mode: 'enforce' | 'shadow' | 'off'
  readonly isDegraded?: boolean | undefined
  /** A part of a request that is about another subject: a team's, an address's. It is in no sum over subjects. */
  readonly isShared?: boolean | undefined
  /** `reset`: the cells that were emptied; `null` for all. */
  readonly cells?: readonly string[] | null | undefined
  /** How many of the kind it stands for: denials of a flood go together. */
  readonly count: number
}

/** `consume` and `commit` are what was used; a `reserve` is followed by `commit`, `release` or `expire`. */
export type UsageKind = 'consume' | 'reserve' | 'commit' | 'release' | 'expire' | 'reset' | 'plan' | 'denial'

export interface QuotaUse {
  /** Stable identity of the counter. */
  readonly cell: string
  readonly limit: string
  readonly partition: string
  /** The period, half-open, epoch ms. */
  readonly startAt: number
  readonly endAt: number
  /** `Infinity` is unlimited. */
  readonly max: number
  readonly amount: number
}

/** A settlement happens once, whoever tells of it. */
export function settlementId(reservation: string, action: 'commit' | 'release' | 'expire'): string {
  return `${reservation}:${action}`
}
