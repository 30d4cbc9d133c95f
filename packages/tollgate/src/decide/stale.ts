import { type Cell, CellKind, type Charge } from './charge.ts'

/** Charges that were compiled for another period than the clock is in, or for another anchor than the subject's. */
export interface Staleness {
  anchorAt?: number
}

/** @param cells one for each charge. */
export function stalenessOf(charges: readonly Charge[], cells: readonly Cell[], now: number): Staleness | undefined {
  for (let i = 0; i < charges.length; i++) {
    const c = charges[i]!
    if (c.kind === CellKind.quota && (now < c.startAt || now >= c.endAt)) return {}
    if (c.kind !== CellKind.anchor) continue
    const { w, at } = cells[i]!
    if (w[at] !== -Infinity && w[at] !== c.startAt) return { anchorAt: w[at]! }
  }
  return undefined
}
