import { CELL_WORDS, CellKind, type Charge, clearCell, isPartitioned } from '../../../decide/charge.ts'
import { addHold, type Holds } from '../../../decide/holds.ts'
import { forgottenAt } from '../../../decide/kernel.ts'
import { type Body, damaged } from './body.ts'
import { decodeLog, encodeLog } from './log.ts'

/** One cell as it was loaded. It is never changed: commands work on copies (see `open-cell.ts`). */
export interface KeptCell {
  readonly name: string
  readonly kind: CellKind
  /** Of a cell in the subject's record, both are `''`. */
  readonly partition: string
  readonly digest: string
  readonly words: Float64Array
  /** What is held of it: serials are indices of `ids`. */
  readonly holds: Holds
  /** Ids of the reservations that hold something. */
  readonly ids: readonly string[]
  /** Of the plans that share the cell, the longest time that it matters and the slowest refill. */
  readonly retainMs: number
  readonly refill: number
}

/** A cell in JSON, with `u`: from when on it says nothing. Without `u`, `r` or `f` they are for ever, for ever and 0. */
export interface StoredCell extends Body {
  n: string
  k: number
  p?: string
  d?: string
  u?: number
  r?: number
  f?: number
  w: (number | null)[]
  h?: (number | string)[]
}

export function unusedCell(c: Charge): KeptCell {
  const words = new Float64Array(CELL_WORDS[c.kind] ?? 0)
  clearCell(words, 0, words.length, c.kind)
  const [partition, digest] = isPartitioned(c) ? [c.partition, c.digest] : ['', '']
  return { name: c.cell, kind: c.kind, partition, digest, words, holds: [], ids: [], retainMs: c.retainMs, refill: c.refill }
}

/** From when on the cell says no more than one that was never used, and nothing is held of it. */
export function untilOf({ kind, words, holds, retainMs, refill }: KeptCell): number {
  let until = forgottenAt(kind, { w: words, at: 0, length: words.length, id: 0 }, retainMs, refill)
  for (let i = 0; i < holds.length; i += HOLD_SIZE) until = Math.max(until, holds[i + 3]!)
  return until
}

export function encodeCell(cell: KeptCell): StoredCell {
  const until = untilOf(cell)
  return {
    n: cell.name,
    k: cell.kind,
    ...(cell.partition !== '' && { p: cell.partition }),
    ...(cell.digest !== '' && { d: cell.digest }),
    ...(until !== Infinity && { u: until }),
    ...(cell.retainMs !== Infinity && { r: cell.retainMs }),
    ...(cell.refill !== 0 && { f: cell.refill }),
    // What JSON has no number for becomes null: the instant of a cell never used.
    w: cell.kind === CellKind.slidingLog ? encodeLog(cell.words) : [...cell.words],
    ...(cell.holds.length > 0 && { h: encodeHolds(cell) }),
  }
}

export function decodeCell(stored: StoredCell, what: string): KeptCell {
  const { n: name, k, p: partition = '', d: digest = '', r: retainMs = Infinity, f: refill = 0, w, h = [] } = stored
  const kind = k as CellKind
  if (typeof name !== 'string' || !isNumbers(w) || !Array.isArray(h)) throw damaged(what, `cell ${name} lacks its words`)
  const words = kind === CellKind.slidingLog ? decodeLog(w) : Float64Array.from(w, (word) => word ?? -Infinity)
  const width = CELL_WORDS[kind]
  if (kind === CellKind.slidingLog ? words.length === 0 || words.length % 2 !== 0 : words.length !== width) throw damaged(what, `cell ${name} has ${words.length} words`)
  return { name, kind, partition, digest, words, ...decodeHolds(h, what), retainMs, refill }
}

/** Six numbers each in memory (see `decide/holds.ts`), of which the cell goes without saying. */
const HOLD_SIZE = 6
const STORED_HOLD_SIZE = 5

function encodeHolds({ holds, ids }: KeptCell): (number | string)[] {
  const stored: (number | string)[] = []
  for (let i = 0; i < holds.length; i += HOLD_SIZE) stored.push(ids[holds[i + 1]!]!, ...holds.slice(i + 2, i + HOLD_SIZE))
  return stored
}

function decodeHolds(stored: readonly (number | string)[], what: string): { holds: Holds; ids: string[] } {
  const holds: Holds = []
  const ids: string[] = []
  for (let i = 0; i < stored.length; i += STORED_HOLD_SIZE) {
    const [id, amount, expiresAt, startAt, takenAt] = stored.slice(i, i + STORED_HOLD_SIZE)
    if (typeof id !== 'string' || !isNumbers([amount, expiresAt, startAt, takenAt])) throw damaged(what, 'a hold is not whole')
    addHold(holds, 0, ids.push(id) - 1, amount as number, takenAt as number, expiresAt as number, startAt as number)
  }
  return { holds, ids }
}

function isNumbers(list: unknown): list is (number | null)[] {
  return Array.isArray(list) && list.every((word) => typeof word === 'number' || word === null)
}
