import type { Cell, Charge } from '../../decide/charge.ts'
import { dropHolds, extendHolds } from '../../decide/holds.ts'
import { hasRoom } from '../../decide/kernel.ts'
import type { ReservedCells } from '../settlement.ts'
import type { Records } from './records.ts'
import type { MemoryReservation } from './reservations.ts'

/** A reservation's cells, found when they are needed. */
export class CellsInMemory implements ReservedCells {
  readonly #records: Records
  readonly #reservation: MemoryReservation
  readonly #charges: readonly Charge[]
  readonly #makeRow: () => number
  #known = -1

  /**
   * @param charges those of the reservation that are settled here
   * @param makeRow the subject's row, with cells for all charges.
   */
  constructor(records: Records, reservation: MemoryReservation, charges: readonly Charge[], makeRow: () => number) {
    this.#records = records
    this.#reservation = reservation
    this.#charges = charges
    this.#makeRow = makeRow
  }

  each(use: (c: Charge, cell: Cell) => void): void {
    const cell: Cell = { w: NO_WORDS, at: 0, length: 0, id: 0 }
    for (const c of this.#charges) {
      this.#records.locate(this.#row, c, cell)
      use(c, cell)
    }
  }

  makeRoom(c: Charge, cell: Cell, now: number): void {
    if (!hasRoom(c, cell, now)) this.#records.grow(this.#row, c, cell)
  }

  dropHolds(): void {
    if (this.#holdsNothing) return
    dropHolds(this.#records.ownHolds(this.#row), this.#reservation.serial)
  }

  extendHolds(now: number, expiresAt: number): void {
    if (this.#holdsNothing) return
    extendHolds(this.#records.ownHolds(this.#row), this.#reservation.serial, now, expiresAt)
  }

  /** One of nothing (limits are off, or there was no room) brings no record with it. */
  get #holdsNothing(): boolean {
    return this.#reservation.charges.length === 0
  }

  get #row(): number {
    if (this.#known < 0) this.#known = this.#makeRow()
    return this.#known
  }
}

const NO_WORDS = new Float64Array(0)
