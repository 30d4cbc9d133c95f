import type { CellKind } from '../../../decide/charge.ts'
import { damaged, readBody, writeBody } from './body.ts'
import { decodeCell, encodeCell, type KeptCell, type StoredCell, untilOf } from './cell.ts'

/**
 * A subject's record: the plan it was last admitted under, and the cells that are not counted per something. A cell is
 * found by its limit and kind. What nobody asks for is neither read nor changed, so that cells of other plans, or of
 * kinds that only a newer version knows, stay as they are until their time is over.
 */
export class SubjectRecord {
  readonly plan: string | undefined
  /** The plan is remembered this long, whatever becomes of the cells. */
  readonly keptUntil: number
  readonly #cells: ReadonlyMap<string, KeptCell | StoredCell>

  constructor(plan: string | undefined, keptUntil: number, cells: ReadonlyMap<string, KeptCell | StoredCell>) {
    this.plan = plan
    this.keptUntil = keptUntil
    this.#cells = cells
  }

  static read(body: string, what: string): SubjectRecord {
    const { plan, until, cells } = readBody(body, what)
    if ((plan !== undefined && typeof plan !== 'string') || typeof until !== 'number' || !Array.isArray(cells)) throw damaged(what, 'it lacks its cells')
    return new SubjectRecord(plan, until, new Map((cells as StoredCell[]).map((cell) => [keyOf(cell.n, cell.k), cell])))
  }

  cell(name: string, kind: CellKind, what: string): KeptCell | undefined {
    const found = this.#cells.get(keyOf(name, kind))
    return found && (isStored(found) ? decodeCell(found, what) : found)
  }

  with(plan: string | undefined, keptUntil: number, changed: readonly KeptCell[]): SubjectRecord {
    const cells = new Map(this.#cells)
    for (const cell of changed) cells.set(keyOf(cell.name, cell.kind), cell)
    return new SubjectRecord(plan, keptUntil, cells)
  }

  without(isGone: (name: string) => boolean): SubjectRecord {
    return new SubjectRecord(this.plan, this.keptUntil, new Map([...this.#cells].filter(([, cell]) => !isGone(isStored(cell) ? cell.n : cell.name))))
  }

  /** From when on it says nothing. */
  get until(): number {
    let until = this.keptUntil
    for (const cell of this.#cells.values()) until = Math.max(until, isStored(cell) ? (cell.u ?? Infinity) : untilOf(cell))
    return until
  }

  /** Cells whose time is over are left out. */
  write(now: number): string {
    const cells = [...this.#cells.values()].map((cell) => (isStored(cell) ? cell : encodeCell(cell))).filter(({ u = Infinity }) => u > now)
    return writeBody({ plan: this.plan, until: this.keptUntil, cells })
  }
}

export const NO_RECORD = new SubjectRecord(undefined, 0, new Map())

const keyOf = (name: string, kind: number): string => `${kind} ${name}`

function isStored(cell: KeptCell | StoredCell): cell is StoredCell {
  return 'n' in cell
}
