import { type Cell, CellKind, clearCell } from '../../decide/charge.ts'
import { addHold, type Holds } from '../../decide/holds.ts'
import { unknownKind } from '../../decide/kernel.ts'
import { bytesOf, kindOf, newCell, widthBytes } from './head.ts'
import type { KeyShape } from './layout.ts'
import { KEY_FORMAT } from './names.ts'

/** Reads what `lua/lib/record.lua` packs. Nothing is written on this side. */

const FORMAT = KEY_FORMAT
const ENTRY_BYTES = 5
const HOLD_BYTES = 32
/** After the format, the tick, the numbers of cells and holds, and the length of the plan's name. */
const NAME_AT = 8
const NO_HOLDS: Holds = []

/** A subject's record, or one partition's cell. */
export interface Kept {
  readonly plan: string
  readonly holds: Holds
  /** Of a cell by its number and kind: one that was never used where there is none. */
  cell(number: number, kind: CellKind): Cell
}

/**
 * Reads the record of `length` bytes from `start` into the cells of its shape, and gives what is held of any.
 * @param length 0 where there is no record.
 */
export function readShaped(raw: Buffer, start: number, length: number, { directory, heads, cells }: KeyShape): Holds {
  if (length === 0) {
    for (let i = 0; i < cells.length; i++) clearCell(cells[i]!.w, 0, cells[i]!.length, kindOf(heads[i]!))
    return NO_HOLDS
  }
  assertFormat(raw[start]!)
  const directoryAt = start + NAME_AT + raw[start + NAME_AT - 1]!
  if (!hasAt(raw, directoryAt, directory)) {
    const kept = readRecord(raw.subarray(start, start + length))
    cells.forEach((cell, i) => cell.w.set(kept.cell(cell.id, kindOf(heads[i]!)).w))
    return kept.holds
  }
  let at = directoryAt + raw[start + 4]! * ENTRY_BYTES
  for (let i = 0; i < heads.length; i++) {
    const head = heads[i]!
    readCell(raw, at, head, cells[i]!)
    at += bytesOf(head)
  }
  return readHolds(raw, start, start + length)
}

/** For so few bytes a loop takes less than a call of the buffer's. */
function hasAt(raw: Buffer, at: number, bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (raw[at + i] !== bytes[i]) return false
  return true
}

export function readRecord(raw: Buffer): Kept {
  if (raw.length === 0) return { plan: '', holds: NO_HOLDS, cell: (number, kind) => newCell(kind, number) }
  assertFormat(raw[0]!)
  const directoryAt = NAME_AT + raw[NAME_AT - 1]!
  const count = raw[4]!
  const cells = new Map<number, Cell>()
  let at = directoryAt + count * ENTRY_BYTES
  for (let i = 0; i < count; i++) {
    const entry = directoryAt + i * ENTRY_BYTES
    const number = raw.readUInt32LE(entry)
    const head = raw[entry + 4]!
    cells.set(number * 16 + kindOf(head), readCell(raw, at, head, newCell(kindOf(head), number)))
    at += bytesOf(head)
  }
  return { plan: raw.toString('utf8', NAME_AT, directoryAt), holds: readHolds(raw, 0, raw.length), cell: (number, kind) => cells.get(number * 16 + kind) ?? newCell(kind, number) }
}

function assertFormat(format: number): void {
  if (format !== FORMAT) throw new Error(`a record in Redis was written by a newer version of Tollgate (format ${format}, this one reads ${FORMAT}); upgrade this process`)
}

/** The instant of a cell never used is 0 there. */
function readCell(raw: Buffer, at: number, head: number, cell: Cell): Cell {
  const kind = kindOf(head)
  const { w } = cell
  if (cell.length === 0) return cell
  w[0] = raw.readUIntLE(at, 6) || -Infinity
  switch (kind) {
    case CellKind.cooldown:
      return cell
    case CellKind.anchor:
      w[1] = raw.readUIntLE(at + 6, 6)
      return cell
    case CellKind.tokenBucket:
      w[1] = readSigned(raw, at + 6, widthBytes(head))
      return cell
    case CellKind.slidingCounter:
      w[1] = readUnsigned(raw, at + 6, widthBytes(head))
      w[2] = readUnsigned(raw, at + 6 + widthBytes(head), widthBytes(head))
      return cell
    case CellKind.quota:
    case CellKind.fixedWindow:
    case CellKind.capacity:
      w[1] = readUnsigned(raw, at + 6, widthBytes(head))
      return cell
    case CellKind.concurrency:
      return cell
    default:
      throw unknownKind(kind as never)
  }
}

/** Node reads at most six bytes at a time. */
export function readUnsigned(raw: Buffer, at: number, bytes: number): number {
  return bytes <= 6 ? raw.readUIntLE(at, bytes) : raw.readUInt32LE(at) + raw.readUIntLE(at + 4, bytes - 4) * 2 ** 32
}

function readSigned(raw: Buffer, at: number, bytes: number): number {
  return bytes <= 6 ? raw.readIntLE(at, bytes) : raw.readUInt32LE(at) + raw.readIntLE(at + 4, bytes - 4) * 2 ** 32
}

function readHolds(raw: Buffer, start: number, end: number): Holds {
  const count = raw.readUInt16LE(start + 5)
  if (count === 0) return NO_HOLDS
  const holds: Holds = []
  for (let at = end - count * HOLD_BYTES; at < end; at += HOLD_BYTES) {
    addHold(holds, raw.readUInt32LE(at), raw.readUIntLE(at + 4, 6), raw.readUInt32LE(at + 10), raw.readUIntLE(at + 26, 6), raw.readUIntLE(at + 14, 6), raw.readUIntLE(at + 20, 6))
  }
  return holds
}
