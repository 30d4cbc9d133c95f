import { type Cell, CELL_WORDS, CellKind } from '../../decide/charge.ts'
import { addHold, type Holds } from '../../decide/holds.ts'
import { unknownKind } from '../../decide/kernel.ts'
import { bytesOf, type KeyShape, kindOf, widthBytes } from './layout.ts'
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

/** The cells of a shape, in its order, and what is held of any. */
export interface ShapedCells {
  readonly plan: string
  readonly cells: readonly Cell[]
  readonly holds: Holds
}

/** @param raw empty where there is no record. */
export function readShaped(raw: Buffer, shape: KeyShape): ShapedCells {
  if (raw.length === 0) return { plan: '', cells: shape.heads.map((head, i) => newCell(kindOf(head), shape.directory.readUInt32LE(i * ENTRY_BYTES))), holds: NO_HOLDS }
  assertFormat(raw)
  const { directory, heads } = shape
  const directoryAt = NAME_AT + raw[NAME_AT - 1]!
  if (!raw.subarray(directoryAt, directoryAt + directory.length).equals(directory)) {
    const kept = readRecord(raw)
    return { plan: kept.plan, cells: heads.map((head, i) => kept.cell(directory.readUInt32LE(i * ENTRY_BYTES), kindOf(head))), holds: kept.holds }
  }
  let at = directoryAt + raw[4]! * ENTRY_BYTES
  const cells: Cell[] = []
  for (let i = 0; i < heads.length; i++) {
    const head = heads[i]!
    cells.push(readCell(raw, at, head, directory.readUInt32LE(i * ENTRY_BYTES)))
    at += bytesOf(head)
  }
  return { plan: raw.toString('utf8', NAME_AT, directoryAt), cells, holds: readHolds(raw) }
}

export function readRecord(raw: Buffer): Kept {
  if (raw.length === 0) return { plan: '', holds: NO_HOLDS, cell: (number, kind) => newCell(kind, number) }
  assertFormat(raw)
  const directoryAt = NAME_AT + raw[NAME_AT - 1]!
  const count = raw[4]!
  const cells = new Map<number, Cell>()
  let at = directoryAt + count * ENTRY_BYTES
  for (let i = 0; i < count; i++) {
    const entry = directoryAt + i * ENTRY_BYTES
    const number = raw.readUInt32LE(entry)
    const head = raw[entry + 4]!
    cells.set(number * 16 + kindOf(head), readCell(raw, at, head, number))
    at += bytesOf(head)
  }
  return { plan: raw.toString('utf8', NAME_AT, directoryAt), holds: readHolds(raw), cell: (number, kind) => cells.get(number * 16 + kind) ?? newCell(kind, number) }
}

function assertFormat(raw: Buffer): void {
  if (raw[0] !== FORMAT) throw new Error(`a record in Redis was written by a newer version of Tollgate (format ${raw[0]}, this one reads ${FORMAT}); upgrade this process`)
}

function newCell(kind: CellKind, id: number): Cell {
  const length = CELL_WORDS[kind]
  const w = new Float64Array(length)
  if (length > 0) w[0] = -Infinity
  return { w, at: 0, length, id }
}

/** The instant of a cell never used is 0 there. */
function readCell(raw: Buffer, at: number, head: number, id: number): Cell {
  const kind = kindOf(head)
  const cell = newCell(kind, id)
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

function readHolds(raw: Buffer): Holds {
  const count = raw.readUInt16LE(5)
  if (count === 0) return NO_HOLDS
  const holds: Holds = []
  for (let at = raw.length - count * HOLD_BYTES; at < raw.length; at += HOLD_BYTES) {
    addHold(holds, raw.readUInt32LE(at), raw.readUIntLE(at + 4, 6), raw.readUInt32LE(at + 10), raw.readUIntLE(at + 26, 6), raw.readUIntLE(at + 14, 6), raw.readUIntLE(at + 20, 6))
  }
  return holds
}
