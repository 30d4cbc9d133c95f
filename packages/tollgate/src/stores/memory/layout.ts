import { CELL_WORDS, type CellKind } from '../../decide/charge.ts'

/**
 * Which cells a record holds and where. Records with the same cells share one layout, as objects share a hidden
 * class; a record that gets a further cell moves to the layout that has it. So a record needs no header per cell,
 * and a cell is still found by its identity, never by position.
 */
export class Layout {
  readonly id: number
  readonly words: number
  readonly slots: readonly number[]
  readonly kinds: readonly CellKind[]
  /** Offset of each slot's cell; undefined where there is none. */
  readonly offsets: (number | undefined)[] = []
  readonly #next = new Map<number, Layout>()
  readonly #all: Layout[]

  private constructor(all: Layout[], slots: readonly number[], kinds: readonly CellKind[]) {
    this.#all = all
    this.id = all.length
    all.push(this)
    this.slots = slots
    this.kinds = kinds
    let words = 0
    slots.forEach((slot, i) => {
      this.offsets[slot] = words
      words += CELL_WORDS[kinds[i]!]
    })
    this.words = words
  }

  /** The empty layout, first of a list to which every derived one is added. */
  static root(all: Layout[]): Layout {
    return new Layout(all, [], [])
  }

  with(slot: number, kind: CellKind): Layout {
    let next = this.#next.get(slot)
    if (!next) {
      next = new Layout(this.#all, [...this.slots, slot], [...this.kinds, kind])
      this.#next.set(slot, next)
    }
    return next
  }
}
