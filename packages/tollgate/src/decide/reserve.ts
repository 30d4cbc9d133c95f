import { type Cell, CellKind, type Charge, isHeld, type Verdict } from './charge.ts'
import { addHold, type Holds } from './holds.ts'
import { apply, applyHold } from './kernel.ts'

/**
 * Counts an admitted charge of a reservation, or holds its amount until `expiresAt`.
 * @param serial names the reservation among `holds`.
 * @returns the copy that the reservation is settled with: it says in which period the charge was counted.
 */
export function reserveCharge(c: Charge, cell: Cell, holds: Holds, serial: number, now: number, expiresAt: number, v: Verdict): Charge {
  const startAt = c.kind === CellKind.quota ? Math.max(cell.w[cell.at]!, c.startAt) : 0
  if (!isHeld(c.kind)) apply(c, cell, now, v)
  else {
    applyHold(c, cell, expiresAt, v)
    if (c.amount > 0) addHold(holds, cell.id, serial, c.amount, now, expiresAt, startAt)
  }
  return c.kind === CellKind.quota ? { ...c, startAt } : { ...c }
}
