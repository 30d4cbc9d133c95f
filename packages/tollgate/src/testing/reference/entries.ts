import type { Charge } from '../../decide/charge.ts'

/** One thing that happened to a cell. Entries are in the order in which they happened, whatever the clock showed. */
export interface Entry {
  at: number
  /**
   * `seen`: a request looked at it, so a clock that was set back is noticed. `used`: an admission counted `amount`, or
   * held it elsewhere and counted 0. `recorded`: a commit into the period `label`. `given`: `amount` was given back.
   */
  what: 'seen' | 'used' | 'recorded' | 'given'
  amount: number
  charge: Charge
  /** Start of the period of a `recorded`; when it was charged, of a `given`. */
  since: number
  isUndone: boolean
}

export interface Hold {
  amount: number
  /** Start of the period it was taken in; 0 for other kinds. */
  period: number
  takenAt: number
  until: number
}

export function entryOf(what: Entry['what'], at: number, charge: Charge, amount = 0, since = 0): Entry {
  return { what, at, charge: { ...charge }, amount, since, isUndone: false }
}

/** Many instants are tried against one list: what the list alone says is worked out once. */
export function once<T>(work: (entries: readonly Entry[]) => T): (entries: readonly Entry[]) => T {
  const known = new WeakMap<readonly Entry[], T>()
  return (entries) => {
    if (!known.has(entries)) known.set(entries, work(entries))
    return known.get(entries)!
  }
}
