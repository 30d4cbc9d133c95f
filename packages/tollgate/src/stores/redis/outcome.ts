import { type Cell, CellKind, type Charge, isHeld, type Verdict } from '../../decide/charge.ts'
import type { Holds } from '../../decide/holds.ts'
import { apply, applyHold, examine, isAhead, repair } from '../../decide/kernel.ts'
import { stalenessOf } from '../../decide/stale.ts'
import type { DecideCommand, Outcome } from '../store.ts'
import type { Layout } from './layout.ts'
import { readShaped, readUnsigned, type ShapedCells } from './record.ts'

/** What `lua/decide.lua` says of a request. */
const STATUS = { denied: 0, admitted: 1, stale: 2, unknown: 3, repeated: 4, failed: 9 } as const

/** What a log holds at an instant. */
export interface LogState {
  used: number
  newestAt: number
  /** When what has to leave the window was admitted; 0 when nothing has to. */
  freesAt: number
}

type Content = ShapedCells | LogState

/**
 * What Redis decided, told as every store tells it. Redis says whether the request was admitted, and how its cells stood
 * before; what follows from that, the kernel says here.
 * @param hintedAnchor what this process told whoever compiled the charges
 */
export function outcomeOf(reply: Buffer, layout: Layout, command: DecideCommand, hintedAnchor: number | undefined): Outcome {
  const status = reply[0]!
  if (status === STATUS.failed) throw new Error(reply.toString('utf8', 1))
  const at = reply.readUIntLE(1, 6)
  if (status === STATUS.unknown) return { at, admitted: false, verdicts: [], stale: { isUnknown: true } }
  const { charges, action } = command
  const contents = contentsOf(reply, layout)
  const cells = layout.places.map((place): Cell => (place ? ((contents[place.key] as ShapedCells).cells?.[place.cell] ?? NO_CELL) : NO_CELL))
  if (status === STATUS.stale) return { at, admitted: false, verdicts: [], stale: stalenessOf(charges, cells, at) ?? forgotten(hintedAnchor, at) }
  const holdsOf = (i: number): Holds => (contents[layout.places[i]!.key] as ShapedCells).holds
  for (let i = 0; i < charges.length; i++) {
    const c = charges[i]!
    if (hasCell(c) && isAhead(c, cells[i]!, holdsOf(i), at)) repair(c, cells[i]!, holdsOf(i), at)
  }
  const verdicts = charges.map((c, i): Verdict => {
    const v: Verdict = { passes: false, used: 0, resetAt: 0, retryAt: 0 }
    if (c.kind === CellKind.slidingLog) examineLog(c, contents[layout.places[i]!.key] as LogState, at, v)
    else examine(c, cells[i]!, hasCell(c) ? holdsOf(i) : NO_HOLDS, at, v)
    return v
  })
  if (status === STATUS.denied) return { at, admitted: false, verdicts }
  // It was counted before: what is used has it already.
  if (status === STATUS.repeated) return { at, admitted: true, verdicts: verdicts.map((v) => ({ ...v, passes: true, retryAt: 0 })) }
  if (action !== 'check') {
    const expiresAt = at + (command.reservation?.ttlMs ?? 0)
    charges.forEach((c, i) => {
      const v = verdicts[i]!
      if (c.kind === CellKind.slidingLog) applyLog(c, at, v)
      else if (action === 'reserve' && isHeld(c.kind)) applyHold(c, cells[i]!, expiresAt, v)
      else apply(c, cells[i]!, at, v)
    })
  }
  return { at, admitted: true, verdicts }
}

const NO_HOLDS: Holds = []
const NO_CELL: Cell = { w: new Float64Array(0), at: 0, length: 0, id: 0 }

const hasCell = ({ kind }: Charge): boolean => kind !== CellKind.stated && kind !== CellKind.slidingLog

function contentsOf(reply: Buffer, { keys }: Layout): Content[] {
  let at = 7
  return keys.map((shape): Content => {
    const length = reply.readUInt32LE(at)
    const raw = reply.subarray(at + 4, at + 4 + length)
    at += 4 + length
    return shape.isLog ? { used: readUnsigned(raw, 0, 7), newestAt: raw.readUIntLE(14, 6), freesAt: raw.readUIntLE(20, 6) } : readShaped(raw, shape)
  })
}

/** The subject was erased since this process saw its anchor: a hint must not bring that back. */
function forgotten(hintedAnchor: number | undefined, at: number): NonNullable<Outcome['stale']> {
  return hintedAnchor === undefined ? {} : { anchorAt: at }
}

/** As the kernel does over a log's entries. */
export function examineLog(c: Charge, { used, newestAt, freesAt }: LogState, now: number, v: Verdict): void {
  v.used = used
  v.resetAt = used > 0 ? Math.min(newestAt, now) + c.windowMs : now
  v.passes = used + c.amount <= c.max
  v.retryAt = v.passes ? 0 : c.amount > c.max ? Infinity : Math.min(freesAt, now) + c.windowMs
}

function applyLog(c: Charge, now: number, v: Verdict): void {
  if (c.amount > 0) v.resetAt = now + c.windowMs
  v.used += c.amount
}
