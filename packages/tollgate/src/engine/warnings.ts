import type { LimitState } from './types.ts'

/** Of the oldest, a warning may come again. */
const MAX_WARNED = 100_000

/**
 * Which periods' warnings were given: what was given back and used again warns no second time. Windows slide and have no
 * periods, so theirs come with each crossing.
 */
export class Warnings {
  readonly #endOf = new Map<string, number>()

  /** Whether this is the first crossing of the limit's period; from then on it is not. */
  isFirst(subject: string, { limit, kind, resetAt, partition }: LimitState): boolean {
    if (kind !== 'quota' || resetAt === null) return true
    const key = JSON.stringify([subject, limit, partition])
    if (this.#endOf.get(key) === resetAt) return false
    this.#endOf.delete(key)
    this.#endOf.set(key, resetAt)
    if (this.#endOf.size > MAX_WARNED) this.#endOf.delete(this.#endOf.keys().next().value!)
    return true
  }
}
