import { CELL_WORDS, type CellKind } from '../../decide/charge.ts'

/**
 * Which cells a record holds and where. Records with the same cells share one layout, as objects share a hidden
 * class; a record that gets a further cell moves to the layout that has it. So a record needs no header per cell,
 * and a cell is still found by its identity, never by position. Slots are in ascending order: the same cells are
 * one layout whatever came first, so there is none per order of arrival, of which callers can make n!.
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
  /** All of them, by their slots. */
  readonly #bySlots: Map<string, Layout>

  private constructor(all: Layout[], bySlots: Map<string, Layout>, slots: readonly number[], kinds: readonly CellKind[]) {
    this.#all = all
    this.#bySlots = bySlots
    this.id = all.length
    all.push(this)
    bySlots.set(slots.join(), this)
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
    return new Layout(all, new Map(), [], [])
  }

  with(slot: number, kind: CellKind): Layout {
    let next = this.#next.get(slot)
    if (!next) {
      const after = this.slots.findIndex((other) => other > slot)
      const i = after < 0 ? this.slots.length : after
      const slots = this.slots.toSpliced(i, 0, slot)
      next = this.#bySlots.get(slots.join()) ?? new Layout(this.#all, this.#bySlots, slots, this.kinds.toSpliced(i, 0, kind))
      this.#next.set(slot, next)
    }
    return next
  }
}
