import type { Balance } from './account.ts'
import type { LedgerAnswer, LedgerCommand } from './commands.ts'
import type { Entry } from './entries.ts'

/**
 * Credits: who has how many, and where they went. One implementation is in memory, one on databases; both run the same
 * machine, and `tollgate/testing` has the suite that both pass.
 */
export interface Ledger {
  readonly name: string
  /**
   * Asks a subject's account for something; each command has its effect once, however often it is repeated.
   * @throws TollgateError for a bad or refused command, STORE_UNAVAILABLE when the database does not answer
   */
  run(subject: string, command: LedgerCommand): Promise<LedgerAnswer>
  /**
   * How the account stands now; all zeros where there is none. Writes nothing. `forecast` is when `amount` will be
   * available, `null` where no such instant is in sight.
   */
  balance(subject: string, amount?: number): Promise<BalanceNow>
  /** Entries, the newest first. */
  entries(subject: string, page?: EntryPage): Promise<EntryList>
  /** The balance as it was at an instant. */
  balanceAt(subject: string, at: number): Promise<number>
  /** Does what is due of accounts that nobody asks about: up to `limit` of them. Returns how many there were. */
  runDue(limit: number): Promise<number>
  /** Recomputes accounts from their entries; what does not agree, in words. `null` is every account. */
  verify(subject: string | null): Promise<readonly string[]>
  /** Takes the names and free texts away; entries and their sums stay, of nobody. */
  erase(subject: string): Promise<void>
  close(): Promise<void>
}

export interface BalanceNow extends Balance {
  readonly at: number
  readonly forecast: number | null
}

export interface EntryPage {
  /** Entries older than this number. */
  before?: number
  /** 1 … 1000, default 100. */
  limit?: number
}

export interface EntryList {
  readonly entries: readonly Entry[]
  /** `before` of the next page; `null` at the end. */
  readonly next: number | null
}
