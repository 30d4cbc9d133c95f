import type { AllowanceRule, Balance, GrantSource, LotFacts } from './account.ts'

/** What can be asked of an account. Every command that changes something has a key, and has its effect once. */
export type LedgerCommand = Grant | Void | Hold | Deduct | Commit | Release | Cancel | Extend | Refund | SetAllowance | Touch

interface Keyed {
  /** The same key with the same command gives the first answer again; with another, a conflict. */
  readonly key: string
  readonly reason?: string
  readonly actor?: string
}

export interface Grant extends Keyed {
  readonly kind: 'grant'
  readonly amount: number
  /** Those of plans, and what is carried over, are the ledger's own. */
  readonly source: Exclude<GrantSource, 'plan' | 'rollover'>
  /** Lots of a lower one are spent first. Default 0. */
  readonly priority?: number
  /** Default: at once. */
  readonly effectiveAt?: number
  /** Default: never. */
  readonly expiresAt?: number
}

/** Takes back what is left of a grant, and what comes back to it later; what is held of it may still be spent. */
export interface Void extends Keyed {
  readonly kind: 'void'
  readonly lot: number
}

/** Sets credits aside for a reservation; `id` is its key. */
export interface Hold {
  readonly kind: 'hold'
  readonly id: string
  readonly amount: number
  readonly ttlMs: number
  readonly operation?: string
}

/** A hold and its commit in one. */
export interface Deduct {
  readonly kind: 'deduct'
  readonly id: string
  readonly amount: number
  readonly operation?: string
}

export interface Commit {
  readonly kind: 'commit'
  readonly id: string
  /** What was used; default: what was held. */
  readonly amount?: number
  readonly overage: Overage
}

/** What happens to a commit of more than was held and is available. */
export type Overage =
  /** It is refused, and the hold stays. */
  | { readonly policy: 'deny' }
  /** What there is is taken, and the rest is nobody's. */
  | { readonly policy: 'clamp' }
  /** The balance goes below zero, down to `floor` and no further: the rest is nobody's. */
  | { readonly policy: 'overdraft'; readonly floor: number }

export interface Release {
  readonly kind: 'release'
  readonly id: string
}

/**
 * As if a reservation had never been asked for: whoever asked never heard the answer, and nobody knows whether the
 * question arrived, or still will. What it spent or holds comes back, and what comes later under its id is refused.
 */
export interface Cancel {
  readonly kind: 'cancel'
  readonly id: string
}

export interface Extend {
  readonly kind: 'extend'
  readonly id: string
  readonly ttlMs: number
}

/** Gives back what a settled reservation spent: all of it, or up to `amount`. */
export interface Refund extends Keyed {
  readonly kind: 'refund'
  readonly id: string
  readonly amount?: number
}

/** The plan changes, or what it grants, or whether the subject meets its condition. Of the same plan, it counts from the next period on. */
export interface SetAllowance {
  readonly kind: 'setAllowance'
  readonly rule: AllowanceRule | null
  /** `now` grants at once; `periodEnd` when the running period ends. */
  readonly at: 'now' | 'periodEnd'
  /**
   * Of a change at once. `restart`: a new period with a whole allowance begins, unless one of that plan is still running.
   * `prorate`: the period goes on, and the difference of the allowances is granted, or taken back as far as it is neither
   * spent nor held, for what is left of it. Between plans whose periods are of different lengths, it is a restart.
   */
  readonly proration: 'restart' | 'prorate'
  /** What is left of the old plan's allowance: stays to its end, or goes. Without effect where the period goes on. */
  readonly leftover: 'keep' | 'void'
}

/** Does what is due. */
export interface Touch {
  readonly kind: 'touch'
}

export interface LedgerAnswer {
  /** `false`: there were not enough credits, and nothing was changed. */
  readonly ok: boolean
  readonly at: number
  readonly balance: Balance
  /** What is missing; 0 where nothing is. */
  readonly deficit: number
  /** Of a denial: when the same would pass, by what is known to come; `null` where waiting does not help. */
  readonly retryAt?: number | null
  /** Of a change of plan that waits: until when. */
  readonly changesAt?: number
  /** Of a grant: its lot. */
  readonly lot?: number
  /** Of a reservation's command. */
  readonly reservation?: CreditReservation
  readonly refunded?: number
  /** This spending took the plan's allowance to its `softLimit`. */
  readonly isNear?: true
  /** An answer that was given before. */
  readonly isReplay?: true
}

/** A reservation as it was settled, kept to answer repeats from, and to refund. */
export interface CreditReservation {
  readonly id: string
  readonly status: 'open' | 'committed' | 'released' | 'expired'
  readonly amount: number
  readonly operation: string | null
  readonly expiresAt: number
  readonly settledAt: number | null
  /** Settled after its expiry. */
  readonly isLate: boolean
  /** What nobody paid for: beyond what the policy of overage allows. */
  readonly unpaid: number
}

/** What the ledger keeps by key, apart from accounts, for as long as a repeat may come. */
export interface Remembered {
  /** The command that was answered; another one of the same key is refused. */
  readonly command: string
  readonly answer: LedgerAnswer
  /** What a settled reservation spent, by lot; `null` for a debt. */
  parts?: { lot: LotFacts | null; amount: number }[]
  /** How much of it has been refunded. */
  refunded?: number
}
