import type { CalendarUnit } from '../compile/calendar.ts'

/**
 * An account: all that the ledger must know of a subject to decide, small enough for one row. JSON-able, integers only.
 *
 * What always holds: granted − expired − voided − spent = balance = available + reserved.
 */
export interface Account {
  /** Entries written so far: the number of the newest. */
  seq: number
  /** Time of the newest entry, or of the end of a plan's period since: no entry is ever earlier, even if the clock is set back. */
  at: number
  nextLot: number
  lots: Lot[]
  holds: Hold[]
  debts: Debt[]
  granted: number
  spent: number
  expired: number
  voided: number
  allowance: Allowance | null
  /** Takes the allowance's place when its period ends. */
  following: AllowanceRule | null
}

export type GrantSource = 'plan' | 'pack' | 'admin' | 'rollover' | 'promo'

/** What one grant gave, until nothing of it is left and nobody can return anything to it. */
export interface Lot {
  id: number
  source: GrantSource
  amount: number
  /** Neither spent, nor held, nor gone. */
  left: number
  /** Lots of a lower one are spent first. */
  priority: number
  effectiveAt: number
  /** `null`: never. */
  expiresAt: number | null
  /** `false` until `effectiveAt`: it counts in no sum. */
  isEffective: boolean
  /** The plan whose allowance it is, and where the plan's periods start. */
  plan?: string
  anchorAt?: number | null
  /** Nothing was granted: it says that the period of a plan of no amount runs. */
  isMark?: true
  /** The warning of its period's `softLimit` was given. */
  isWarned?: true
  /** Taken back: what comes back to it is gone. */
  voidedAt?: number
}

/** A lot as whoever spends of it remembers it: it may be gone when something comes back. */
export type LotFacts = Omit<Lot, 'left'>

/** Spent beyond all lots by a commit above its hold. The next credits to come pay it back, the oldest debt first. */
export interface Debt {
  reservation: string
  at: number
  owed: number
  /** By which lots it has been paid, for refunds to return to. */
  paid: { lot: LotFacts; amount: number }[]
}

/** Credits set aside for a reservation. */
export interface Hold {
  id: string
  amount: number
  parts: Part[]
  expiresAt: number
  operation: string | null
}

export type Part = [lot: number, amount: number]

/** What a plan gives each period. */
export interface AllowanceRule {
  /** The plan's full name. */
  plan: string
  amount: number
  every: CalendarUnit | number
  timezone: string
  /** `subject`: periods count from when the plan began. */
  anchor: 'calendar' | 'subject'
  priority: number
  /** The most that is carried into the next period; 0 for nothing. */
  rolloverMax: number
  /** The share of an allowance from which a warning is given, once. */
  softLimit: number | null
  /** `false` while the plan's condition is not met: nothing is granted. */
  isEligible: boolean
}

export interface Allowance extends AllowanceRule {
  anchorAt: number | null
  /** Of the running period. */
  startAt: number
  /** Start of the next period, which has not been granted yet; `null` while nobody is eligible. */
  nextAt: number | null
  /** What the running period is to be granted in all, by the plans it was spent on. Less than was granted where a downgrade found it spent. */
  entitled: number
  /** What lots of other periods had granted of it already: it is not granted again in this one. */
  grantedElsewhere?: number
}

export const newAccount = (): Account => ({ seq: 0, at: 0, nextLot: 1, lots: [], holds: [], debts: [], granted: 0, spent: 0, expired: 0, voided: 0, allowance: null, following: null })

/** How an account stands. */
export interface Balance {
  /** Available and reserved. Negative after a commit that took more than there was. */
  balance: number
  available: number
  reserved: number
  /** In all its time, refunds deducted. */
  spent: number
  granted: number
  expired: number
}

export function balanceOf({ lots, holds, debts, spent, granted, expired, voided }: Account): Balance {
  const reserved = holds.reduce((sum, { amount }) => sum + amount, 0)
  const owed = debts.reduce((sum, debt) => sum + debt.owed, 0)
  const available = lots.reduce((sum, { left, isEffective }) => sum + (isEffective ? left : 0), 0) - owed
  return { balance: available + reserved, available, reserved, spent, granted, expired: expired + voided }
}

/** When something happens by itself next; `null` for never. */
export function dueAt({ lots, holds, allowance }: Account): number | null {
  const instants = [
    ...lots.flatMap(({ isEffective, effectiveAt, expiresAt, left }) => (isEffective ? (left > 0 && expiresAt !== null ? [expiresAt] : []) : [effectiveAt])),
    ...holds.map(({ expiresAt }) => expiresAt),
    ...(allowance && allowance.nextAt !== null ? [allowance.nextAt] : []),
  ]
  return instants.length === 0 ? null : Math.min(...instants)
}
