import { type Cell, CELL_WORDS, type CellKind, type Charge, clearCell, isPartitioned } from '../../decide/charge.ts'
import { dropCells, dropExpired, type Holds, isHeldNow } from '../../decide/holds.ts'
import { forgottenAt } from '../../decide/kernel.ts'
import { ExpiryWheel } from './expiry-wheel.ts'
import { IntTable } from './int-table.ts'
import { Layout } from './layout.ts'
import { Partitions } from './partitions.ts'
import { WordPool } from './word-pool.ts'

const ADDRESS = 0
const LAYOUT = 1
const WHEEL = 2
const HEAD = 3
const PLAN = 4
const NONE = -1

/** A record with partitioned cells is looked at this often, so that short-lived cells do not pile up. */
const TIDY_EVERY_MS = 600_000

/** The words of a cell that was never used; never written to. */
const UNUSED = new Float64Array([-Infinity, 0, 0, 0])

/**
 * All records of one store: a subject's cells lie together in one block of words, and cells that are counted per
 * something, or that grow, hang on it as a chain of partition entries.
 */
export class Records {
  readonly partitions: Partitions
  readonly #pool = new WordPool()
  readonly #rows = new Map<string, number>()
  readonly #table = new IntTable(5)
  readonly #keys: (string | undefined)[] = []
  readonly #layouts: Layout[] = []
  readonly #holds = new Map<number, Holds>()
  readonly #wheel = new ExpiryWheel(this.#table, WHEEL)
  /** By slot, the longest time that its cells matter and the slowest refill: plans that share a cell may differ. */
  readonly #retainMs: number[] = []
  readonly #refill: number[] = []
  readonly #scratch: Cell = { w: UNUSED, at: 0, length: 0, id: 0 }
  /** The record looked at last, until it moves: its row, and where its cells are. */
  #open = NONE
  #openOffsets: Layout['offsets'] = []
  #openWords: Float64Array = UNUSED
  #openAt = 0

  constructor() {
    this.partitions = new Partitions(this.#pool)
    Layout.root(this.#layouts)
  }

  get size(): number {
    return this.#rows.size
  }

  /** The row of a subject, -1 where there is none. */
  find(subject: string): number {
    return this.#rows.get(subject) ?? NONE
  }

  add(subject: string, now: number): number {
    const row = this.#table.add()
    this.#rows.set(subject, row)
    this.#keys[row] = subject
    this.#table.set(row, ADDRESS, 0)
    this.#table.set(row, LAYOUT, 0)
    this.#table.set(row, HEAD, NONE)
    this.#open = NONE
    this.#wheel.add(row, now + TIDY_EVERY_MS, now)
    return row
  }

  /** Index of the plan under which the subject was last admitted. */
  plan(row: number): number {
    return this.#table.get(row, PLAN)
  }

  setPlan(row: number, plan: number): void {
    this.#table.set(row, PLAN, plan)
  }

  /** Open holds of a row, `none` where there are none. */
  holds(row: number, none: Holds): Holds {
    return this.#holds.size === 0 ? none : (this.#holds.get(row) ?? none)
  }

  ownHolds(row: number): Holds {
    let holds = this.#holds.get(row)
    if (!holds) this.#holds.set(row, (holds = []))
    return holds
  }

  /** Those that another is added to: expired ones would pile up until the wheel comes by. To count the open ones takes as long. */
  openHolds(row: number, now: number): Holds {
    const holds = this.ownHolds(row)
    dropExpired(holds, now)
    return holds
  }

  /** Points `cell` at the words of a charge. Returns false where there are none yet: then it is an unused cell. */
  locate(row: number, c: Charge, cell: Cell): boolean {
    if (row !== NONE) {
      if (row !== this.#open) this.#openRow(row)
      const offset = this.#openOffsets[c.slot]
      if (offset !== undefined) {
        cell.w = this.#openWords
        cell.at = this.#openAt + offset
        cell.length = CELL_WORDS[c.kind]
        cell.id = c.slot
        return true
      }
      const entry = isPartitioned(c) ? this.partitions.find(row, c) : NONE
      if (entry !== NONE) {
        this.partitions.cell(entry, cell)
        return true
      }
    }
    cell.w = UNUSED
    cell.at = 0
    cell.length = CELL_WORDS[c.kind]
    cell.id = isPartitioned(c) ? NONE : c.slot
    return cell.length === 0 && cell.id !== NONE
  }

  /** `locate` for each charge; returns how many have no words yet. */
  locateAll(row: number, charges: readonly Charge[], cells: readonly Cell[]): number {
    let missing = 0
    for (let i = 0; i < charges.length; i++) if (!this.locate(row, charges[i]!, cells[i]!)) missing++
    return missing
  }

  /** Looks up a record's block once for all its charges. */
  #openRow(row: number): void {
    const address = this.#table.get(row, ADDRESS)
    this.#open = row
    this.#openOffsets = this.#layouts[this.#table.get(row, LAYOUT)]!.offsets
    this.#openWords = this.#pool.chunk(address)
    this.#openAt = this.#pool.offset(address)
  }

  /** Makes cells for the charges that have none, all with one move of the record. */
  extend(row: number, charges: readonly Charge[]): void {
    this.#open = NONE
    const from = this.#layouts[this.#table.get(row, LAYOUT)]!
    let to = from
    for (const c of charges) {
      this.retain(c)
      if (isPartitioned(c)) {
        if (this.partitions.find(row, c) === NONE) this.#table.set(row, HEAD, this.partitions.add(row, c, this.#table.get(row, HEAD)))
      } else if (CELL_WORDS[c.kind] > 0 && to.offsets[c.slot] === undefined) to = to.with(c.slot, c.kind)
    }
    if (to === from) return
    const old = this.#table.get(row, ADDRESS)
    const address = this.#pool.allocate(to.words)
    const w = this.#pool.chunk(address)
    const at = this.#pool.offset(address)
    const words = this.#pool.chunk(old)
    to.slots.forEach((slot, i) => {
      const kind = to.kinds[i]!
      const target = at + to.offsets[slot]!
      const offset = from.offsets[slot]
      if (offset === undefined) return clearCell(w, target, CELL_WORDS[kind], kind)
      const source = this.#pool.offset(old) + offset
      w.set(words.subarray(source, source + CELL_WORDS[kind]), target)
    })
    if (from.words > 0) this.#pool.release(old, from.words)
    this.#table.set(row, ADDRESS, address)
    this.#table.set(row, LAYOUT, to.id)
  }

  /** How many partition entries `extend` would make. */
  missingPartitions(row: number, charges: readonly Charge[]): number {
    let missing = 0
    for (const c of charges) if (isPartitioned(c) && (row === NONE || this.partitions.find(row, c) === NONE)) missing++
    return missing
  }

  /** Keeps the cells of a charge as long as they can matter. */
  retain(c: Charge): void {
    if (!(this.#retainMs[c.slot]! >= c.retainMs)) this.#retainMs[c.slot] = c.retainMs
    if (!(this.#refill[c.slot]! <= c.refill)) this.#refill[c.slot] = c.refill
  }

  /** Doubles the log of a charge that has no room left, up to its bound. */
  grow(row: number, c: Charge, cell: Cell): void {
    this.partitions.grow(this.partitions.find(row, c), cell)
  }

  /** Every partition entry of a row. */
  *entries(row: number): Generator<number> {
    for (let entry = this.#table.get(row, HEAD); entry !== NONE; entry = this.partitions.next(entry)) yield entry
  }

  /** Makes the cells of slots unused again. The wheel collects what is left. */
  clear(row: number, isNamed: (slot: number) => boolean): void {
    const layout = this.#layouts[this.#table.get(row, LAYOUT)]!
    for (let i = 0; i < layout.slots.length; i++) {
      if (!isNamed(layout.slots[i]!)) continue
      const { w, at, length } = this.#cellAt(row, layout, i)
      clearCell(w, at, length, layout.kinds[i]!)
    }
    const holds = this.#holds.get(row)
    const gone = new Set<number>()
    this.#removeEntries(row, (entry) => isNamed(this.partitions.scope(entry).slot) && gone.add(Partitions.cellId(entry)).size > 0)
    if (holds) dropCells(holds, (cell) => gone.has(cell) || (cell >= 0 && isNamed(cell)))
  }

  /** Looks at up to `steps` records whose time has come, and drops what says no more than an unused cell. */
  tidy(now: number, steps: number): void {
    for (let i = 0; i < steps; i++) {
      const row = this.#wheel.next(now)
      if (row === NONE) return
      const aliveUntil = this.#aliveUntil(row, now)
      if (aliveUntil > now) this.#wheel.add(row, aliveUntil, now)
      else this.#drop(row)
    }
  }

  #aliveUntil(row: number, now: number): number {
    const holds = this.#holds.get(row)
    if (holds) {
      dropExpired(holds, now)
      if (holds.length === 0) this.#holds.delete(row)
    }
    this.#removeEntries(row, (entry) => {
      const { kind, slot } = this.partitions.scope(entry)
      const cell = this.partitions.cell(entry, this.#scratch)
      return this.#forgottenAt(kind, slot, cell) <= now && !(holds && isHeldNow(holds, cell.id, now))
    })
    const isBusy = this.#table.get(row, HEAD) !== NONE || this.#holds.has(row)
    let until = isBusy ? now + TIDY_EVERY_MS : -Infinity
    const layout = this.#layouts[this.#table.get(row, LAYOUT)]!
    for (let i = 0; i < layout.slots.length; i++) {
      until = Math.max(until, this.#forgottenAt(layout.kinds[i]!, layout.slots[i]!, this.#cellAt(row, layout, i)))
    }
    return until
  }

  #forgottenAt(kind: CellKind, slot: number, cell: Cell): number {
    return forgottenAt(kind, cell, this.#retainMs[slot]!, this.#refill[slot]!)
  }

  /** The `i`-th cell of a record's own block. */
  #cellAt(row: number, layout: Layout, i: number): Cell {
    const address = this.#table.get(row, ADDRESS)
    const cell = this.#scratch
    cell.w = this.#pool.chunk(address)
    cell.at = this.#pool.offset(address) + layout.offsets[layout.slots[i]!]!
    cell.length = CELL_WORDS[layout.kinds[i]!]
    return cell
  }

  #drop(row: number): void {
    this.#rows.delete(this.#keys[row]!)
    this.#keys[row] = undefined
    const { words } = this.#layouts[this.#table.get(row, LAYOUT)]!
    if (words > 0) this.#pool.release(this.#table.get(row, ADDRESS), words)
    this.#table.remove(row)
  }

  #removeEntries(row: number, isDead: (entry: number) => boolean): void {
    let previous = NONE
    let entry = this.#table.get(row, HEAD)
    while (entry !== NONE) {
      const next = this.partitions.next(entry)
      if (isDead(entry)) {
        if (previous === NONE) this.#table.set(row, HEAD, next)
        else this.partitions.setNext(previous, next)
        this.partitions.remove(entry)
      } else previous = entry
      entry = next
    }
  }
}
