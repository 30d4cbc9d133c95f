import type { Charges } from '../compile/charges.ts'
import { CellKind } from '../decide/charge.ts'
import type { FailurePolicy } from '../define/limits.ts'
import type { CounterStore } from '../stores/store.ts'
import { failurePolicyOf } from './guard.ts'

/** What one process may admit by itself while the store is away, so that all of them together stay within each limit. */
export class Shares {
  readonly #localShare: number | undefined
  readonly #store: CounterStore

  constructor(localShare: number | undefined, store: CounterStore) {
    this.#localShare = localShare
    this.#store = store
  }

  /** Rounded down: never more than the limit in sum. */
  of(max: number): number {
    // Rounded first, because 49 × (1 / 49) is a little less than 1.
    if (this.#localShare !== undefined) return Math.floor(Number((max * this.#localShare).toFixed(6)))
    return Math.floor(max / this.#processes)
  }

  /**
   * What decides a request: the strictest policy of its limits. Of a limit that is smaller than the number of processes
   * none has a share. Nobody used it up, so that is no denial: it is `closed` until the store is back.
   */
  policyFor(charges: Charges): FailurePolicy {
    const policy = failurePolicyOf(charges)
    if (policy !== 'local') return policy
    const hasNone = charges.limits.some(({ onFailure }, i) => onFailure === 'local' && charges.charges[i]!.max > 0 && this.#inForce(charges.charges[i]!) === 0)
    return hasNone ? 'closed' : 'local'
  }

  /** Copies that count by their share. */
  within({ limits, charges }: Charges): Charges {
    const shared = charges.map((c, i) => {
      const share = this.#inForce(c)
      // A limit that fails open does not deny because many share it.
      const max = share === 0 && c.max > 0 && limits[i]?.onFailure === 'open' ? Infinity : share
      // A bucket of a share of the size also fills at a share of the speed.
      return c.kind === CellKind.tokenBucket ? { ...c, max, windowMs: this.#slowed(c.windowMs) } : { ...c, max }
    })
    return { limits: [...limits], charges: shared }
  }

  /** A pause has no share, nor has what the caller counted. */
  #inForce({ kind, max }: Charges['charges'][number]): number {
    return kind === CellKind.stated || kind === CellKind.cooldown ? max : this.of(max)
  }

  #slowed(windowMs: number): number {
    return Math.ceil(this.#localShare === undefined ? windowMs * this.#processes : windowMs / this.#localShare)
  }

  get #processes(): number {
    return Math.max(1, Math.floor(this.#store.processes?.() ?? 1))
  }
}

/** Copies of what outlasts an outage, without limits: what is used under `open` is counted, and nobody is denied. */
export function unlimited({ limits, charges }: Charges): Charges {
  const isKept = (i: number): boolean => charges[i]!.kind === CellKind.quota || charges[i]!.kind === CellKind.anchor
  return { limits: limits.filter((_, i) => isKept(i)), charges: charges.filter((_, i) => isKept(i)).map((c) => ({ ...c, max: Infinity })) }
}
