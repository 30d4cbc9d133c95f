import { randomUUID } from 'node:crypto'
import { assertInteger, assertText, MAX_AMOUNT } from '../../compile/request.ts'
import { suggest } from '../../define/suggest.ts'
import type { Clock } from '../../engine/clock.ts'
import { show, TollgateError } from '../../errors/index.ts'
import type { Balance } from '../../ledger/account.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { MemoryLedger } from '../../ledger/memory.ts'
import { type BillingListeners, BillingNews } from './billing-listeners.ts'
import { deduct, deductionId, refund, refundLatest } from './deductions.ts'
import { setAllowance, tokensAMonth, voidReturned } from './monthly-allowance.ts'
import { isNew } from './opening-balance.ts'
import { operations, type OperationType, type SubscriptionTier } from './plans.ts'
import { hasCode, TokenAccounts, tokensOf, wasGranted } from './token-accounts.ts'
import type { Affordability, OnceOptions, TokenOperation, TokenResult } from './token-operations.ts'
import { type FetchBalance, UserAccounts } from './user-accounts.ts'
import type { UserCache } from './user-cache.ts'
import type { TokenBalance } from './user-profile.ts'

export interface TokenBillingOptions extends BillingListeners {
  /** Where tokens are counted. Default: this process's memory, see `TokenBilling`. It stays its owner's to close. */
  ledger?: Ledger
  /** That of the engine, where one uses the same ledger: a user's account is that of its subject `telegram:<userId>`. Default `default`. */
  namespace?: string
  /**
   * What a user has of whom the ledger knows nothing; `null` where there is no such user. Default: what their profile says. It
   * finds users by the internal id; if by others too, it must give the internal one as `id`, as they would pay from two accounts.
   */
  fetchBalance?: FetchBalance
  clock?: Clock
}

/** Of an answer of the ledger, what is passed on. */
interface Done {
  readonly balance: Balance
  readonly at: number
  readonly isReplay?: boolean
}

/**
 * Users' prepaid tokens. The truth is the ledger: of deductions at once, from however many processes, none spends a token that
 * another spends, and what is cached decides nothing but what is shown.
 *
 * A user has one account, by the internal id. Every `userId` may be the telegram id, too, of a user whose profile is cached, or can be
 * fetched: by the `fetchUserProfile` of the `userCache`, or as `getOrFetchUserProfile` last did in this process. A user of
 * whom the ledger knows nothing begins with what `fetchBalance`, or else that profile, says.
 *
 * Without a `ledger`, tokens are counted in this process's memory, once for each `userCache`, and begin anew with each start, from
 * the profile: then only what `onBalanceUpdate` writes to where profiles come from is durable, one process may count, and a
 * process that is killed between a deduction and that write gives its tokens back. Give a ledger (`SqlLedger` over PostgreSQL or SQLite), and
 * every answer is durable before it is given.
 *
 * Too few tokens, and a user whom nobody knows, are answers. Throws STORE_UNAVAILABLE when the ledger does not answer within 5 s.
 */
export class TokenBilling {
  readonly #cache: UserCache
  readonly #accounts: TokenAccounts
  readonly #users: UserAccounts
  readonly #news: BillingNews

  constructor(userCache: UserCache, options: TokenBillingOptions = {}) {
    const { ledger, namespace = 'default', clock, fetchBalance } = options
    this.#cache = userCache
    this.#accounts = new TokenAccounts(ledger ?? ownLedgerOf(userCache, clock), namespace, clock)
    this.#users = new UserAccounts(userCache, this.#accounts, fetchBalance)
    this.#news = new BillingNews(userCache, options, clock)
  }

  /** From the cache, for up to a minute; `null` where nobody knows the user. */
  getBalance(userId: string): Promise<TokenBalance | null> {
    return this.#cache.getOrFetchTokenBalance(userId, () => this.#users.balanceOf(userId))
  }

  /** A no is never from the cache alone. */
  async canAffordOperation(userId: string, operation: OperationType): Promise<Affordability> {
    const cost = costOf(operation)
    let balance = (await this.getBalance(userId))?.tokensBalance ?? 0
    if (balance < cost) {
      const current = await this.#users.balanceOf(userId)
      if (current && current.tokensBalance !== balance) await this.#cache.setTokenBalance(userId, current)
      balance = current?.tokensBalance ?? 0
    }
    return { canAfford: balance >= cost, cost, balance, deficit: Math.max(0, cost - balance) }
  }

  /** How many of the operation the balance buys. */
  async estimateOperations(userId: string, operation: OperationType): Promise<number> {
    return Math.floor(((await this.getBalance(userId))?.tokensBalance ?? 0) / costOf(operation))
  }

  /** Pays for an operation. With a `key`, a repeat within 3 days pays nothing more, unless what was paid was given back. */
  async deductTokens(userId: string, operation: OperationType, { key }: OnceOptions = {}): Promise<TokenResult> {
    const cost = costOf(operation)
    const id = deductionId(operation, key)
    let account: string | undefined = await this.#cache.internalIdOf(userId)
    try {
      let answer = await deduct(this.#accounts, account, operation, id)
      if (!answer.ok && isNew(answer.balance)) {
        account = await this.#users.open(account)
        if (account === undefined) return unknownUser(userId)
        answer = await deduct(this.#accounts, account, operation, id)
      }
      if (answer.ok) return await this.#done(account, answer, { id: answer.reservation!.id, type: 'deduct', amount: cost, operation })
      const { tokensBalance } = tokensOf(answer.balance)
      return { success: false, newBalance: tokensBalance, error: `Insufficient tokens: ${operation} costs ${cost}, and the balance is ${tokensBalance}` }
    } catch (error) {
      // With a key, whoever repeats it resolves it.
      if (key === undefined && account !== undefined && hasCode(error, 'STORE_UNAVAILABLE')) this.#accounts.cancelLater(account, id)
      throw error
    }
  }

  /**
   * Gives back what an operation cost that failed: of the last hour's deductions for it the latest that was not given back, or
   * the last one that was made with `key`, of which a repeat is answered as the first. Tokens of an allowance that was set anew
   * since then are not added to the new one.
   */
  async refundTokens(userId: string, operation: OperationType, { key }: OnceOptions = {}): Promise<TokenResult> {
    costOf(operation)
    const account = await this.#users.idOf(userId)
    if (account === undefined) return unknownUser(userId)
    const answer = await (key === undefined ? refundLatest(this.#accounts, account, operation) : refund(this.#accounts, account, operation, deductionId(operation, key)))
    if (!answer) {
      const { tokensBalance } = tokensOf(await this.#accounts.balance(account))
      const which = key === undefined ? 'of the last hour' : `of the last 3 days with the key ${show(key)}`
      return { success: false, newBalance: tokensBalance, error: `Nothing to refund: no ${operation} ${which} is left that was paid for and not given back` }
    }
    const { id, settledAt } = answer.reservation!
    const isVoided = await voidReturned(this.#accounts, account, settledAt!)
    const balance = isVoided ? await this.#accounts.balance(account) : answer.balance
    return this.#done(account, { ...answer, balance }, { id: `refund of ${id}`, type: 'refund', amount: answer.refunded!, operation })
  }

  /**
   * Gives tokens that were bought: they have no end, and setting the month's allowance leaves them. With a `key`, once in 90 days.
   * Refused where the balance would be over 2,147,483,647.
   */
  async addTokens(userId: string, tokens: number, { key = randomUUID() }: OnceOptions = {}): Promise<TokenResult> {
    assertInteger(tokens, 'tokens', 1, MAX_AMOUNT)
    assertText(key, 'key')
    const account = await this.#users.idOf(userId)
    if (account === undefined) return unknownUser(userId)
    const id = `telegram-bot ${key}`
    const { tokensBalance } = tokensOf(await this.#accounts.balance(account))
    if (tokensBalance + tokens > MAX_AMOUNT && !(await wasGranted(this.#accounts, account, id))) return tooMany(tokensBalance, tokens)
    const answer = await this.#accounts.run(account, { kind: 'grant', key: id, amount: tokens, source: 'pack' })
    return this.#done(account, answer, { id, type: 'add', amount: tokens })
  }

  /**
   * Sets the allowance to the tier's tokens a month: what is left of the one before goes, tokens that were added stay. With a
   * `key`, such as the period's first day, a repeat changes nothing. The same key with another tier sets that tier's; one that
   * comes late, when another key was set since, changes nothing either: a key is remembered for 90 days.
   */
  async resetMonthlyTokens(userId: string, tier: SubscriptionTier, { key = randomUUID() }: OnceOptions = {}): Promise<TokenResult> {
    assertText(key, 'key')
    const amount = tokensAMonth(tier)
    const account = await this.#users.idOf(userId)
    if (account === undefined) return unknownUser(userId)
    const { tokensBalance } = tokensOf(await this.#accounts.balance(account))
    if (tokensBalance + amount > MAX_AMOUNT) return tooMany(tokensBalance, amount)
    const set = await setAllowance(this.#accounts, account, tier, key)
    const balance = await this.#accounts.balance(account)
    if (!set) return { success: true, newBalance: tokensOf(balance).tokensBalance }
    return this.#done(account, { balance, at: set.at, isReplay: set.isRepeat }, { id: set.id, type: 'reset', amount, tier })
  }

  /** Of a repeat, with what there is now: what there was then would undo what came between. */
  async #done(userId: string, { balance, at, isReplay = false }: Done, what: Pick<TokenOperation, 'id' | 'type' | 'amount' | 'operation' | 'tier'>): Promise<TokenResult> {
    const tokens = tokensOf(isReplay ? await this.#accounts.balance(userId) : balance)
    await this.#news.tell({ ...what, ...tokens, userId, at: new Date(at) }, isReplay)
    return { success: true, newBalance: tokens.tokensBalance }
  }
}

const ownLedgers = new WeakMap<UserCache, Ledger>()

/** One of all who bill the users of a cache: they would spend the same tokens twice. */
function ownLedgerOf(cache: UserCache, clock: Clock | undefined): Ledger {
  const ledger = ownLedgers.get(cache) ?? new MemoryLedger(clock)
  ownLedgers.set(cache, ledger)
  return ledger
}

function costOf(operation: OperationType): number {
  if (Object.hasOwn(operations, operation)) return operations[operation].credits
  throw new TollgateError('UNKNOWN_OPERATION', `operation: ${show(operation)} is not declared; ${suggest(operation, Object.keys(operations))}`, { field: 'operation' })
}

function unknownUser(userId: string): TokenResult {
  return { success: false, newBalance: 0, error: `Unknown user: neither the ledger nor a profile says what ${show(userId)} has; give UserCache a fetchUserProfile, or TokenBilling a fetchBalance, that finds them` }
}

/** More than a column of type INTEGER can hold. */
function tooMany(tokensBalance: number, tokens: number): TokenResult {
  return { success: false, newBalance: tokensBalance, error: `Too many tokens: ${tokensBalance} and ${tokens} more are over ${MAX_AMOUNT}, the most that a balance can be; use some up first` }
}
