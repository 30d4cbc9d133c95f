import { type Cell, CellKind, type Charge, clearCell, MAX_LOGGED } from '../../../decide/charge.ts'
import { dropExpired, dropHolds, extendHolds, type Holds } from '../../../decide/holds.ts'
import { firstLive, growLog, hasRoom, isAhead, repair } from '../../../decide/kernel.ts'
import type { KeptCell } from './cell.ts'

/** A cell that a command works on: a copy, so that a command that fails or is denied leaves no trace. */
export class OpenCell {
  readonly cell: Cell
  readonly holds: Holds
  readonly #kept: KeptCell
  readonly #ids: string[]

  constructor(kept: KeptCell) {
    this.#kept = kept
    this.cell = { w: kept.words.slice(), at: 0, length: kept.words.length, id: 0 }
    this.holds = kept.holds.slice()
    this.#ids = [...kept.ids]
  }

  /** Brings it back when it is ahead of the clock, which was set back then. */
  repair(c: Charge, now: number): void {
    if (isAhead(c, this.cell, this.holds, now)) repair(c, this.cell, this.holds, now)
  }

  /** Room for one more admission: only a log can be full. */
  makeRoom(c: Charge, now: number): void {
    if (!hasRoom(c, this.cell, now)) this.#grow()
  }

  /** What names a reservation among the holds. */
  serialOf(id: string): number {
    const serial = this.#ids.indexOf(id)
    return serial < 0 ? this.#ids.push(id) - 1 : serial
  }

  drop(id: string): void {
    dropHolds(this.holds, this.#ids.indexOf(id))
  }

  extend(id: string, now: number, expiresAt: number): void {
    extendHolds(this.holds, this.#ids.indexOf(id), now, expiresAt)
  }

  /** The cell as it is to be kept; the one it was opened from when nothing has changed. */
  close(c: Charge, now: number): KeptCell {
    const { w, length } = this.cell
    if (isSame(w, this.#kept.words) && isSame(this.holds, this.#kept.holds)) return this.#kept
    dropExpired(this.holds, now)
    const words = c.kind === CellKind.slidingLog ? w.slice(Math.max(0, firstLive(this.cell, now - c.windowMs) - 2), length) : w
    const { name, kind, partition, digest, retainMs, refill } = this.#kept
    return { name, kind, partition, digest, words, holds: this.holds, ids: this.#ids, retainMs: Math.max(retainMs, c.retainMs), refill: Math.min(refill, c.refill) }
  }

  #grow(): void {
    const length = Math.min(2 * this.cell.length, 2 * MAX_LOGGED)
    if (length === this.cell.length) return
    const grown: Cell = { w: new Float64Array(length), at: 0, length, id: 0 }
    clearCell(grown.w, 0, length, CellKind.slidingLog)
    growLog(this.cell, grown)
    Object.assign(this.cell, grown)
  }
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
