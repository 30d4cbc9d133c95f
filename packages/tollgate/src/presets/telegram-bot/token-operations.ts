import type { OperationType, SubscriptionTier } from './plans.ts'
import type { TokenBalance } from './user-profile.ts'

/** A movement of tokens, for the audit. */
export interface TokenOperation extends TokenBalance {
  /** Of this user, nothing else has it while the ledger remembers its key; told again after a repeat, it is the same. */
  readonly id: string
  /** The internal one. */
  readonly userId: string
  readonly type: 'deduct' | 'refund' | 'add' | 'reset'
  /** How many: an integer from 1; of a reset, the allowance that was set. */
  readonly amount: number
  /** Of a deduction and of its refund. */
  readonly operation?: OperationType
  /** Of a reset. */
  readonly tier?: SubscriptionTier
  readonly at: Date
}

export interface TokenResult {
  readonly success: boolean
  /** What can be spent now, whether or not it succeeded. */
  readonly newBalance: number
  /** Why not. */
  readonly error?: string
}

export interface Affordability {
  readonly canAfford: boolean
  readonly cost: number
  readonly balance: number
  /** What is missing; 0 where nothing is. */
  readonly deficit: number
}

/** Makes an operation have its effect once, however often it is asked for: 1 … 200 characters, such as the id of Telegram's update. */
export interface OnceOptions {
  key?: string
}
