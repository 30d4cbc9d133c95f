import type { Account, Hold } from './account.ts'

/** One movement of an account. Entries are only ever added; the balance at any instant is the sum of those up to it. */
export interface Entry {
  /** 1, 2, 3 … within the account. */
  seq: number
  at: number
  kind: EntryKind
  /** What it adds to the balance; negative for what leaves. */
  amount: number
  balanceAfter: number
  /** `null` for what no lot had: a debt. */
  lot: number | null
  reservation: string | null
  operation: string | null
  /** Names and free text: kept apart, and erased with the subject. */
  key: string | null
  reason: string | null
  actor: string | null
}

/**
 * `repay` moves a debt to a lot: two entries whose sum is 0. `expire` is also what comes back to a lot that has expired
 * meanwhile: a hold or a refund gives back to the grant it came from, or to nobody.
 */
export type EntryKind = 'grant' | 'spend' | 'refund' | 'expire' | 'void' | 'repay'

/** What entries of one command have in common. */
export type EntryNote = Partial<Pick<Entry, 'reservation' | 'operation' | 'key' | 'reason' | 'actor'>>

/** An account under change: entries are written as the sums move, so that they cannot part. */
export class Book {
  readonly account: Account
  readonly entries: Entry[] = []
  /** Holds that ended by themselves: a commit may still come. */
  readonly expired: Hold[] = []

  constructor(account: Account) {
    this.account = account
  }

  /** Lots or debt have been brought to their new state already; here the sums follow. */
  write(kind: EntryKind, at: number, amount: number, lot: number | null, note: EntryNote = {}): void {
    const { account } = this
    account.seq++
    account.at = Math.max(account.at, at)
    if (kind === 'grant') account.granted += amount
    if (kind === 'spend' || kind === 'refund') account.spent -= amount
    if (kind === 'expire') account.expired -= amount
    if (kind === 'void') account.voided -= amount
    const { granted, spent, expired, voided } = account
    const repaying = kind === 'repay' && lot !== null ? amount : 0
    const balanceAfter = granted - spent - expired - voided + repaying
    this.entries.push({ seq: account.seq, at: account.at, kind, amount, balanceAfter, lot, reservation: null, operation: null, key: null, reason: null, actor: null, ...note })
  }
}
