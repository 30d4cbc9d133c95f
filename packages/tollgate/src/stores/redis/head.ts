import { type Cell, CELL_WORDS, CellKind, type Charge, clearCell } from '../../decide/charge.ts'
import { unknownKind } from '../../decide/kernel.ts'

/**
 * How a cell lies in a record, as one number of eight bits, its head: see `lua/lib/record.lua`. Counts are as wide as the
 * limit needs; a count that outgrows its width takes a wider one with it.
 */

/** A number above every amount: no limit. */
export const UNLIMITED = 2 ** 53
const WIDTH_BYTES = [1, 2, 4, 7] as const
const CLASS_MS = [86_400_000, 3_024_000_000, 69_120_000_000] as const

function classOf(retainMs: number): number {
  const found = CLASS_MS.findIndex((ms) => retainMs <= ms)
  return found < 0 ? CLASS_MS.length : found
}

/** The narrowest width for what the cell counts up to its limit; above it the record says so itself. */
export function widthOf({ kind, max, windowMs }: Charge, hasOwnMax: boolean): number {
  if (kind === CellKind.tokenBucket) return hasOwnMax ? 3 : narrowest(2 * max * windowMs)
  return hasOwnMax || max === Infinity ? 2 : narrowest(max)
}

function narrowest(largest: number): number {
  const width = WIDTH_BYTES.findIndex((bytes) => largest < 256 ** bytes)
  return width < 0 ? WIDTH_BYTES.length - 1 : width
}

export function largestOf(kind: CellKind, width: number): number {
  const bytes = WIDTH_BYTES[width]!
  if (bytes === 7) return UNLIMITED
  return kind === CellKind.tokenBucket ? 128 * 256 ** (bytes - 1) - 1 : 256 ** bytes - 1
}

/** Kind, width of its counts, and class of how long it matters. */
export const headOf = (c: Charge, width: number): number => c.kind + 16 * width + 64 * classOf(c.retainMs)

/** One that was never used. */
export function newCell(kind: CellKind, id: number): Cell {
  const length = CELL_WORDS[kind]
  const w = new Float64Array(length)
  clearCell(w, 0, length, kind)
  return { w, at: 0, length, id }
}

export const kindOf = (head: number): CellKind => (head % 16) as CellKind

/** Bytes of one count. */
export const widthBytes = (head: number): number => WIDTH_BYTES[Math.floor(head / 16) % 4]!

/** Bytes of a cell's words. */
export function bytesOf(head: number): number {
  const kind = kindOf(head)
  switch (kind) {
    case CellKind.quota:
    case CellKind.fixedWindow:
    case CellKind.tokenBucket:
      return 6 + widthBytes(head)
    case CellKind.slidingCounter:
      return 6 + 2 * widthBytes(head)
    case CellKind.cooldown:
      return 6
    case CellKind.concurrency:
      return 0
    case CellKind.capacity:
      return 12 + widthBytes(head)
    case CellKind.anchor:
      return 12
    case CellKind.slidingLog:
    case CellKind.stated:
      throw new Error(`A cell of kind ${kind} does not lie in a record`)
    default:
      throw unknownKind(kind)
  }
}

export function wordsOf(head: number): number {
  return (formatOf(head).match(/I|i/g) ?? []).length
}

export function formatOf(head: number): string {
  const count = widthBytes(head)
  switch (kindOf(head)) {
    case CellKind.tokenBucket:
      return `I6i${count}`
    case CellKind.slidingCounter:
      return `I6I${count}I${count}`
    case CellKind.cooldown:
      return 'I6'
    case CellKind.concurrency:
      return ''
    case CellKind.capacity:
      return `I6I${count}I6`
    case CellKind.anchor:
      return 'I6I6'
    default:
      return `I6I${count}`
  }
}

export function directoryEntry(number: number, head: number): Buffer {
  const entry = Buffer.alloc(5)
  entry.writeUInt32LE(number)
  entry.writeUInt8(head, 4)
  return entry
}
