import { type Clock, systemClock } from '../../engine/clock.ts'
import { StoreGuard } from '../../engine/guard.ts'
import { TollgateError } from '../../errors/index.ts'
import type { Balance } from '../../ledger/account.ts'
import type { LedgerAnswer, LedgerCommand } from '../../ledger/commands.ts'
import type { Entry } from '../../ledger/entries.ts'
import type { BalanceNow, EntryList, EntryPage, Ledger } from '../../ledger/ledger.ts'
import { assertUserId } from './user-id.ts'
import type { TokenBalance } from './user-profile.ts'

/** As long as a commit may wait for a disk. */
const TIMEOUT_MS = 5000
const MAX_IN_FLIGHT = 10_000
/** Between attempts to take back what nobody heard of: a minute in all. */
const CANCEL_WAITS_MS = [0, 1000, 4000, 15_000, 40_000]

/** Entries at a time: what is looked for is mostly among the last. */
const FIRST_PAGE = 100
const FURTHER_PAGE = 1000

/** Users' accounts in the ledger, each call with a deadline. */
export class TokenAccounts {
  readonly #ledger: Ledger
  readonly #namespace: string
  readonly #clock: Clock
  readonly #guard: StoreGuard

  constructor(ledger: Ledger, namespace: string, clock = systemClock) {
    this.#ledger = ledger
    this.#namespace = namespace
    this.#clock = clock
    this.#guard = new StoreGuard(clock, TIMEOUT_MS, MAX_IN_FLIGHT, undefined, 'the ledger')
  }

  /** @throws STORE_UNAVAILABLE, OVERLOADED */
  run(userId: string, command: LedgerCommand): Promise<LedgerAnswer> {
    return this.#ask((account) => this.#ledger.run(account, command), userId)
  }

  balance(userId: string): Promise<BalanceNow> {
    return this.#ask((account) => this.#ledger.balance(account), userId)
  }

  /** Entries from an instant on, the newest first. */
  async *history(userId: string, since = 0): AsyncGenerator<Entry> {
    let page: EntryPage = { limit: FIRST_PAGE }
    for (;;) {
      const { entries, next } = await this.entries(userId, page)
      for (const entry of entries) {
        if (entry.at < since) return
        yield entry
      }
      if (next === null) return
      page = { limit: FURTHER_PAGE, before: next }
    }
  }

  entries(userId: string, page: EntryPage): Promise<EntryList> {
    return this.#ask((account) => this.#ledger.entries(account, page), userId)
  }

  /** Nobody heard what became of a deduction, and nothing was done for it: it must not be paid for, now or later. */
  cancelLater(userId: string, id: string, attempt = 0): void {
    const waitMs = CANCEL_WAITS_MS[attempt]
    if (waitMs === undefined) return
    this.#clock.after(waitMs, () => {
      this.run(userId, { kind: 'cancel', id }).catch(() => this.cancelLater(userId, id, attempt + 1))
    })
  }

  async #ask<T>(ask: (account: string) => Promise<T>, userId: string): Promise<T> {
    assertUserId(userId)
    this.#guard.assertRoom()
    return this.#guard.within(ask(`${this.#namespace}/telegram:${userId}`))
  }
}

/** Takes back what is left of a grant, and what comes back to it later. */
export async function voidGrant(accounts: TokenAccounts, userId: string, lot: number, key: string): Promise<void> {
  try {
    await accounts.run(userId, { kind: 'void', key, lot })
  } catch (error) {
    // Used up, or voided long ago.
    if (!hasCode(error, 'NOT_FOUND')) throw error
  }
}

/** Whether a key of a grant was used. Asks for what cannot be done, which only a key that was used refuses for another reason. */
export async function wasGranted(accounts: TokenAccounts, userId: string, key: string): Promise<boolean> {
  try {
    await accounts.run(userId, { kind: 'void', key, lot: Number.MAX_SAFE_INTEGER })
  } catch (error) {
    if (hasCode(error, 'IDEMPOTENCY_CONFLICT')) return true
    if (!hasCode(error, 'NOT_FOUND')) throw error
  }
  return false
}

/** What reservations hold cannot be spent. */
export function tokensOf({ available, spent }: Balance): TokenBalance {
  return { tokensBalance: Math.max(0, available), tokensSpent: spent }
}

export function hasCode(error: unknown, ...codes: TollgateError['code'][]): boolean {
  return TollgateError.isInstance(error) && codes.includes(error.code)
}
