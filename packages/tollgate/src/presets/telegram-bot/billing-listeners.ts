import { type Clock, systemClock } from '../../engine/clock.ts'
import type { TokenOperation } from './token-operations.ts'
import type { UserCache } from './user-cache.ts'

export interface BillingListeners {
  /** Told of each new balance, such as to write it to the user's row. Awaited, for up to 5 s. */
  onBalanceUpdate?: (userId: string, newBalance: number) => unknown
  /** Told of each movement of tokens, such as to write it to the audit. Awaited, for up to 5 s. */
  onTokenOperation?: (operation: TokenOperation) => unknown
  /** Told when one of them throws, or takes longer: the operation stands. */
  onError?: (error: unknown) => void
}

const TIMEOUT_MS = 5000

/** Brings what the ledger did to those who want to know: of one user in the ledger's order, one after the other. */
export class BillingNews {
  readonly #cache: UserCache
  readonly #listeners: BillingListeners
  readonly #clock: Clock
  readonly #turns = new Map<string, Promise<void>>()

  constructor(cache: UserCache, listeners: BillingListeners, clock = systemClock) {
    this.#cache = cache
    this.#listeners = listeners
    this.#clock = clock
  }

  tell(operation: TokenOperation): Promise<void> {
    const { userId } = operation
    const turn = (this.#turns.get(userId) ?? Promise.resolve()).then(() => this.#tell(operation)).catch((error: unknown) => this.#report(error))
    this.#turns.set(userId, turn)
    void turn.then(() => {
      if (this.#turns.get(userId) === turn) this.#turns.delete(userId)
    })
    return turn
  }

  async #tell(operation: TokenOperation): Promise<void> {
    const { userId, tokensBalance, tokensSpent } = operation
    const { onBalanceUpdate, onTokenOperation } = this.#listeners
    await this.#cache.setTokenBalance(userId, { tokensBalance, tokensSpent })
    await Promise.all([this.#heard(() => onTokenOperation?.(operation)), this.#heard(() => onBalanceUpdate?.(userId, tokensBalance))])
    // Last: a profile that is fetched from now on has the new figures already.
    await this.#cache.updateUserProfile(userId, { tokensBalance, tokensSpent })
  }

  async #heard(listen: () => unknown): Promise<void> {
    let cancel = (): void => {}
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(TIMEOUT_MS, () => reject(new Error(`a listener took longer than ${TIMEOUT_MS} ms`)))
    })
    try {
      await Promise.race([(async () => listen())(), late])
    } catch (error) {
      this.#report(error)
    } finally {
      cancel()
    }
  }

  #report(error: unknown): void {
    try {
      this.#listeners.onError?.(error)
    } catch {
      // A log that fails is no reason to fail.
    }
  }
}
