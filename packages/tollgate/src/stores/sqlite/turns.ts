import { TollgateError } from '../../errors/index.ts'
import { closed, unavailable } from '../sql/unavailable.ts'

interface Waiting {
  resolve(): void
  reject(error: unknown): void
  timer: NodeJS.Timeout
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
    await this.#take(timeoutMs)
    try {
      return await work()
    } finally {
      this.#release()
    }
  }

  /** Refuses whoever comes after, and waits for those before. */
  async close(work: () => Promise<void>): Promise<void> {
    this.#isClosed = true
    await new Promise<void>((resolve) => {
      // Ahead of nobody, bound by nobody's deadline but theirs.
      if (this.#isTaken) this.#waiting.push({ resolve, reject: () => {}, timer: setTimeout(() => {}, 0) })
      else resolve()
      this.#isTaken = true
    })
    await work()
    this.#release()
  }

  #take(timeoutMs: number): Promise<void> | undefined {
    if (!this.#isTaken) {
      this.#isTaken = true
      return undefined
    }
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new TollgateError('OVERLOADED', `${this.#maxWaiting} transactions wait for SQLite already; slow down, or raise 'maxWaiting'`, { retryAfterMs: 1000 })
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(unavailable(`SQLite was busy with earlier transactions for ${timeoutMs} ms`))
      }, timeoutMs)
      const waiting: Waiting = { resolve, reject, timer }
      this.#waiting.push(waiting)
    })
  }

  #release(): void {
    const next = this.#waiting.shift()
    if (next === undefined) {
      this.#isTaken = false
      return
    }
    clearTimeout(next.timer)
    next.resolve()
  }
}
