import { type Clock, systemClock } from '../../engine/clock.ts'
import { Recent } from './recent.ts'
import type { TokenOperation } from './token-operations.ts'
import type { UserCache } from './user-cache.ts'

export interface BillingListeners {
  /** Told of each new balance, such as to write it to the user's row. Awaited, for up to 5 s; one that takes longer may be overtaken. */
  onBalanceUpdate?: (userId: string, newBalance: number) => unknown
  /** Told of each movement of tokens, such as to write it to the audit. Awaited as the other; after a repeat it may be told again, with the same `id`. */
  onTokenOperation?: (operation: TokenOperation) => unknown
  /** Told when one of them throws, takes longer, or falls so far behind that it is not told: the operation stands. */
  onError?: (error: unknown) => void
}

const TIMEOUT_MS = 5000
/** Of one user, those that wait for a listener that is behind; of more, the oldest is not told. */
const MAX_WAITING = 1000
/** What was told lately, so that a repeat of it is not. */
const MAX_TOLD = 10_000

interface News {
  readonly operation: TokenOperation
  readonly isRepeat: boolean
  readonly end: () => void
}

interface Queue {
  /** The first is being told. */
  readonly news: News[]
  /** When the latest balance is cached: that waits for no listener. */
  cached: Promise<unknown>
}

/** Brings what the ledger did to those who want to know: of one user in the ledger's order, one after the other. */
export class BillingNews {
  readonly #cache: UserCache
  readonly #listeners: BillingListeners
  readonly #clock: Clock
  readonly #queues = new Map<string, Queue>()
  readonly #told = new Recent<true>(MAX_TOLD)

  constructor(cache: UserCache, listeners: BillingListeners, clock = systemClock) {
    this.#cache = cache
    this.#listeners = listeners
    this.#clock = clock
  }

  /** Resolves when all have heard, or after 5 s: whoever is behind hears of it later. A repeat is told unless this process told of it. */
  tell(operation: TokenOperation, isRepeat: boolean): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(TIMEOUT_MS, resolve)
      this.#enqueue({ operation, isRepeat, end: () => (cancel(), resolve()) })
    })
  }

  #enqueue(news: News): void {
    const { userId, tokensBalance, tokensSpent } = news.operation
    const queue = this.#queues.get(userId) ?? { news: [], cached: Promise.resolve() }
    queue.cached = queue.cached.then(() => this.#cache.setTokenBalance(userId, { tokensBalance, tokensSpent })).catch((error: unknown) => this.#report(error))
    queue.news.push(news)
    if (queue.news.length > MAX_WAITING + 1) this.#drop(queue.news.splice(1, 1)[0]!)
    if (queue.news.length > 1) return
    this.#queues.set(userId, queue)
    void this.#drain(userId, queue)
  }

  async #drain(userId: string, queue: Queue): Promise<void> {
    for (let next = queue.news[0]; next; next = queue.news[0]) {
      await queue.cached
      await this.#tell(next).catch((error: unknown) => this.#report(error))
      next.end()
      queue.news.shift()
    }
    this.#queues.delete(userId)
  }

  #drop({ operation, end }: News): void {
    this.#report(new Error(`${operation.userId}: ${MAX_WAITING} operations wait for a listener; it is not told of ${operation.type} '${operation.id}'`, { cause: operation }))
    end()
  }

  async #tell({ operation, isRepeat }: News): Promise<void> {
    const { userId, id, tokensBalance, tokensSpent } = operation
    const { onBalanceUpdate, onTokenOperation } = this.#listeners
    const name = `${userId} ${id}`
    if (!isRepeat || !this.#told.get(name)) {
      const heard = await Promise.all([this.#heard(() => onTokenOperation?.(operation)), this.#heard(() => onBalanceUpdate?.(userId, tokensBalance))])
      if (heard.every(Boolean)) this.#told.set(name, true)
    }
    // Last: a profile that is fetched from now on has the new figures already.
    await this.#cache.updateUserProfile(userId, { tokensBalance, tokensSpent })
  }

  async #heard(listen: () => unknown): Promise<boolean> {
    let cancel = (): void => {}
    const late = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(TIMEOUT_MS, () => reject(new Error(`a listener took longer than ${TIMEOUT_MS} ms`)))
    })
    try {
      await Promise.race([(async () => listen())(), late])
      return true
    } catch (error) {
      this.#report(error)
      return false
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
