import { type Cell, type Charge, isPartitioned } from '../../../decide/charge.ts'
import type { ReservedCells } from '../../settlement.ts'
import { type KeptCell, untilOf } from './cell.ts'
import { OpenCell } from './open-cell.ts'
import type { CounterRows } from './rows.ts'
import type { SubjectRows } from './subject-rows.ts'
import { rounded } from './until.ts'

/** A plan is remembered this long after the last admission, and as long as a cell of the subject lives. */
const KEEP_PLAN_MS = 600_000
/** Cells may live for ever. A record that is written again now and then need not. */
const KEEP_PLAN_AT_MOST_MS = 366 * 86_400_000

interface Opened {
  charge: Charge
  kept: KeptCell
  open: OpenCell
}

/** What one command makes of a subject's cells; nothing of it shows before it is saved. */
export class Draft {
  readonly #at: number
  readonly #rows: SubjectRows
  readonly #opened: Opened[] = []

  constructor(rows: CounterRows, subject: string) {
    this.#at = rows.at
    this.#rows = rows.of(subject)
  }

  /** The cell of a charge; charges of the same cell share it. */
  open(charge: Charge): OpenCell {
    const known = this.#opened.find(({ charge: c }) => c.cell === charge.cell && c.kind === charge.kind && c.partition === charge.partition && c.digest === charge.digest)
    if (known) return known.open
    const kept = this.#rows.cell(charge)
    const open = new OpenCell(kept)
    this.#opened.push({ charge, kept, open })
    return open
  }

  /** @param plan under which the subject was admitted. */
  save(plan?: string): void {
    const at = this.#at
    // Read before anything is put: it may not be readable.
    const { record } = this.#rows
    const changed = this.#opened.map(({ charge, kept, open }) => ({ charge, kept, closed: open.close(charge, at) })).filter(({ kept, closed }) => closed !== kept)
    const own = changed.filter(({ charge }) => !isPartitioned(charge)).map(({ closed }) => closed)
    const apart = changed.filter(({ charge }) => isPartitioned(charge)).map(({ closed }) => closed)
    for (const cell of apart) this.#rows.putCell(cell)
    const apartUntil = rounded(Math.min(Math.max(0, ...apart.map(untilOf)), at + KEEP_PLAN_AT_MOST_MS))
    const isNewPlan = plan !== undefined && plan !== record.plan
    if (own.length === 0 && !isNewPlan && apartUntil <= rounded(record.until)) return
    this.#rows.record = record.with(plan ?? record.plan, Math.max(record.keptUntil, at + KEEP_PLAN_MS, apartUntil), own)
  }
}

/** The cells that a reservation was admitted to. */
export class ReservedInRows implements ReservedCells {
  readonly #draft: Draft
  readonly #id: string
  readonly #charges: readonly Charge[]

  constructor(draft: Draft, id: string, charges: readonly Charge[]) {
    this.#draft = draft
    this.#id = id
    this.#charges = charges
  }

  each(use: (c: Charge, cell: Cell) => void): void {
    for (const c of this.#charges) use(c, this.#draft.open(c).cell)
  }

  makeRoom(c: Charge, _: Cell, now: number): void {
    this.#draft.open(c).makeRoom(c, now)
  }

  dropHolds(): void {
    for (const c of this.#charges) this.#draft.open(c).drop(this.#id)
  }

  extendHolds(now: number, expiresAt: number): void {
    for (const c of this.#charges) this.#draft.open(c).extend(this.#id, now, expiresAt)
  }
}
