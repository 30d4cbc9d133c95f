import type { IntTable } from './int-table.ts'

/**
 * When each record is worth a look again: a wheel of buckets, each a chain through one column of the records' table.
 * A record sits in one bucket and is looked at when its time has come; then it is either dead or put back.
 * There is no timer: callers turn the wheel a little with each call, so that no call pays for all.
 * After Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987), without the hierarchy: what is further
 * away than one turn is looked at once a turn.
 */
const BUCKETS = 1024
const BUCKET_MS = 4096
const NONE = -1

export class ExpiryWheel {
  readonly #heads = new Int32Array(BUCKETS).fill(NONE)
  readonly #table: IntTable
  readonly #column: number
  /** Buckets up to this one have been emptied into `#due`. */
  #turned = Number.NaN
  #due = NONE

  constructor(table: IntTable, column: number) {
    this.#table = table
    this.#column = column
  }

  /** To be looked at soon after `at`, at the latest one turn (70 minutes) from now. */
  add(row: number, at: number, now: number): void {
    const first = this.#turnTo(now) + 1
    const bucket = Math.min(Math.max(Math.floor(at / BUCKET_MS) + 1, first), first + BUCKETS - 2) % BUCKETS
    this.#table.set(row, this.#column, this.#heads[bucket]!)
    this.#heads[bucket] = row
  }

  /** The next record whose time has come, now out of the wheel; -1 when there is none. */
  next(now: number): number {
    const row = this.#due === NONE ? this.#collect(now) : this.#due
    if (row !== NONE) this.#due = this.#table.get(row, this.#column)
    return row
  }

  #turnTo(now: number): number {
    const current = Math.floor(now / BUCKET_MS)
    // Turned for the first time, or the clock was set back: each bucket still comes up within a turn from here, while
    // a wheel that waited for a clock that once stood years ahead would collect nothing for years.
    if (!(this.#turned <= current)) this.#turned = current
    return current
  }

  /** Moves on bucket by bucket until one has records. */
  #collect(now: number): number {
    const current = this.#turnTo(now)
    // A leap of more than a turn finds every bucket due once.
    this.#turned = Math.max(this.#turned, current - BUCKETS)
    while (this.#turned < current) {
      this.#turned++
      const bucket = this.#turned % BUCKETS
      const head = this.#heads[bucket]!
      if (head === NONE) continue
      this.#heads[bucket] = NONE
      return head
    }
    return NONE
  }
}
