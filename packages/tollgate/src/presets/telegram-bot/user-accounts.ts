import { isNew, openAccount, validOpening } from './opening-balance.ts'
import { type TokenAccounts, tokensOf } from './token-accounts.ts'
import type { UserCache } from './user-cache.ts'
import type { TokenBalance } from './user-profile.ts'

/** `id`: the internal one, where the user may have been asked for by another. */
export type FetchBalance = (userId: string) => Promise<(TokenBalance & { id?: string }) | null>

interface Found {
  readonly id: string
  readonly opening: TokenBalance
}

/** One account for each user, by the internal id, whichever of their ids is given; begun with what they had before. */
export class UserAccounts {
  readonly #cache: UserCache
  readonly #accounts: TokenAccounts
  readonly #fetchBalance: FetchBalance | undefined

  constructor(cache: UserCache, accounts: TokenAccounts, fetchBalance: FetchBalance | undefined) {
    this.#cache = cache
    this.#accounts = accounts
    this.#fetchBalance = fetchBalance
  }

  /** The account's id; `undefined` where nobody knows the user. */
  async idOf(userId: string): Promise<string | undefined> {
    const id = await this.#cache.internalIdOf(userId)
    return isNew(await this.#accounts.balance(id)) ? this.open(id) : id
  }

  /** What there is, or else what it will begin with; `null` where nobody knows the user. */
  async balanceOf(userId: string): Promise<TokenBalance | null> {
    const id = await this.#cache.internalIdOf(userId)
    const balance = await this.#accounts.balance(id)
    if (!isNew(balance)) return tokensOf(balance)
    const found = await this.#find(id)
    if (!found || found.id === id) return found && found.opening
    const own = await this.#accounts.balance(found.id)
    return isNew(own) ? found.opening : tokensOf(own)
  }

  /** Begins the account of a user of whom the ledger knows nothing by this id. Returns its id; `undefined` where nobody knows the user. */
  async open(userId: string): Promise<string | undefined> {
    const found = await this.#find(userId)
    if (!found) return undefined
    if (found.id === userId || isNew(await this.#accounts.balance(found.id))) await openAccount(this.#accounts, found.id, found.opening)
    return found.id
  }

  async #find(userId: string): Promise<Found | null> {
    const profile = await this.#cache.findUserProfile(userId)
    const known = profile?.id ?? userId
    const found = this.#fetchBalance ? await this.#fetchBalance(known) : profile
    if (!found) return null
    const { id = known } = found
    if (id !== userId) this.#cache.rememberId(userId, id)
    return { id, opening: validOpening(found) }
  }
}
