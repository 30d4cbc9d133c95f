import { type Cell, CELL_WORDS, CellKind, type Charge, clearCell, isHeld, type Verdict } from '../decide/charge.ts'
import { addHold, dropHolds, extendHolds, type Holds } from '../decide/holds.ts'
import { apply, applyHold, examine, growLog, hasRoom, isAhead, repair } from '../decide/kernel.ts'
import { commitCharge, undoCharge } from '../decide/settle.ts'

/** One cell with its holds, and nothing else of a store: the smallest thing that the kernel runs on. */
export class OneCell {
  cell: Cell
  readonly holds: Holds = []
  #serial = 0

  constructor({ kind }: Charge) {
    const length = CELL_WORDS[kind]
    this.cell = { w: new Float64Array(length), at: 0, length, id: 7 }
    clearCell(this.cell.w, 0, length, kind)
  }

  /** The words, as plain numbers. */
  get words(): number[] {
    return [...this.cell.w.subarray(this.cell.at, this.cell.at + this.cell.length)]
  }

  look(c: Charge, now: number): Verdict {
    const verdict = { passes: false, used: -1, resetAt: -1, retryAt: -1 }
    examine(c, this.cell, this.holds, now, verdict)
    return verdict
  }

  /** Counts the charge when it passes. */
  consume(c: Charge, now: number): Verdict {
    this.#repair(c, now)
    const verdict = this.look(c, now)
    if (!verdict.passes) return verdict
    this.#makeRoom(c, now)
    apply(c, this.cell, now, verdict)
    return verdict
  }

  /** Holds the charge when it passes; `serial` names the hold. */
  reserve(c: Charge, now: number, expiresAt: number): Verdict & { serial: number } {
    this.#repair(c, now)
    const verdict = this.look(c, now)
    const serial = ++this.#serial
    if (!verdict.passes) return { ...verdict, serial }
    if (!isHeld(c.kind)) return { ...this.consume(c, now), serial }
    applyHold(c, this.cell, expiresAt, verdict)
    addHold(this.holds, this.cell.id, serial, c.amount, now, expiresAt, c.kind === CellKind.quota ? this.words[0]! : 0)
    return { ...verdict, serial }
  }

  extend(serial: number, now: number, expiresAt: number): void {
    extendHolds(this.holds, serial, now, expiresAt)
  }

  commit(c: Charge, now: number, actual: number, serial = -1): void {
    dropHolds(this.holds, serial)
    this.#makeRoom(c, now)
    commitCharge(c, this.cell, now, actual)
  }

  undo(c: Charge, chargedAt: number): void {
    undoCharge(c, this.cell, chargedAt)
  }

  #repair(c: Charge, now: number): void {
    if (isAhead(c, this.cell, this.holds, now)) repair(c, this.cell, this.holds, now)
  }

  #makeRoom(c: Charge, now: number): void {
    if (hasRoom(c, this.cell, now)) return
    const length = this.cell.length * 2
    const longer = { ...this.cell, w: new Float64Array(length), at: 0, length }
    clearCell(longer.w, 0, length, c.kind)
    growLog(this.cell, longer)
    this.cell = longer
  }
}
