import { TollgateError } from '../../errors/index.ts'
import { closed, unavailable } from '../sql/unavailable.ts'

interface Waiting {
  resolve(): void
  timer: NodeJS.Timeout | undefined
}

/** One at a time, in order of asking: SQLite has one writer, and its own waiting is not fair. */
export class Turns {
  readonly #maxWaiting: number
  readonly #waiting: Waiting[] = []
  #isTaken = false
  #isClosed = false

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  /**
   * @throws OVERLOADED when too many wait already
   * @throws STORE_UNAVAILABLE when the turn does not come in time
   */
  async run<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closed()
    if (this.#isTaken && this.#waiting.length >= this.#maxWaiting) {
      throw new TollgateError('OVERLOADED', `${this.#maxWaiting} transactions wait for SQLite already; slow down, or raise 'maxWaiting'`, { retryAfterMs: 1000 })
    }
    return await this.#inTurn(work, timeoutMs)
  }

  /** Lets those before it finish, and nobody after it begin. */
  async close(work: () => Promise<void>): Promise<void> {
    this.#isClosed = true
    await this.#inTurn(work)
  }

  async #inTurn<T>(work: () => Promise<T>, timeoutMs?: number): Promise<T> {
    if (this.#isTaken) await this.#wait(timeoutMs)
    this.#isTaken = true
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      // It stays taken until the next one runs, or a third could slip in between.
      if (next === undefined) this.#isTaken = false
      else {
        clearTimeout(next.timer)
        next.resolve()
      }
    }
  }

  #wait(timeoutMs: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { resolve, timer: undefined }
      this.#waiting.push(waiting)
      if (timeoutMs === undefined) return
      waiting.timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(unavailable(`SQLite was busy with earlier transactions for ${timeoutMs} ms`))
      }, timeoutMs)
    })
  }
}
