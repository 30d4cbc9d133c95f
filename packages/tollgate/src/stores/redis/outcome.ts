import { CellKind, type Charge, isHeld, type Verdict } from '../../decide/charge.ts'
import type { Holds } from '../../decide/holds.ts'
import { apply, applyHold, examine, isAhead, repair } from '../../decide/kernel.ts'
import { stalenessOf } from '../../decide/stale.ts'
import type { DecideCommand, Outcome } from '../store.ts'
import type { Layout } from './layout.ts'
import { readShaped, readUnsigned } from './record.ts'

/** What `lua/decide.lua` says of a request. */
const STATUS = { denied: 0, admitted: 1, stale: 2, unknown: 3, repeated: 4, failed: 9 } as const

/** What a log holds at an instant. */
export interface LogState {
  used: number
  newestAt: number
  /** When what has to leave the window was admitted; 0 when nothing has to. */
  freesAt: number
}

/** Of a key: what is held of its cells, or a log. */
type Content = Holds | LogState

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
  const { cells, places } = layout
  if (status === STATUS.stale) return { at, admitted: false, verdicts: [], stale: stalenessOf(charges, cells, at) ?? forgotten(hintedAnchor, at) }
  const holdsOf = (i: number): Holds => contents[places[i]!.key] as Holds
  for (let i = 0; i < charges.length; i++) {
    const c = charges[i]!
    if (hasCell(c) && isAhead(c, cells[i]!, holdsOf(i), at)) repair(c, cells[i]!, holdsOf(i), at)
  }
  const verdicts: Verdict[] = []
  for (let i = 0; i < charges.length; i++) {
    const c = charges[i]!
    const v: Verdict = { passes: false, used: 0, resetAt: 0, retryAt: 0 }
    if (c.kind === CellKind.slidingLog) examineLog(c, contents[places[i]!.key] as LogState, at, v)
    else examine(c, cells[i]!, hasCell(c) ? holdsOf(i) : NO_HOLDS, at, v)
    verdicts.push(v)
  }
  if (status === STATUS.denied) return { at, admitted: false, verdicts }
  // It was counted before: what is used has it already.
  if (status === STATUS.repeated) return { at, admitted: true, isRepeat: true, verdicts: verdicts.map((v) => ({ ...v, passes: true, retryAt: 0 })) }
  if (action !== 'check') {
    const expiresAt = at + (command.reservation?.ttlMs ?? 0)
    for (let i = 0; i < charges.length; i++) {
      const c = charges[i]!
      const v = verdicts[i]!
      if (c.kind === CellKind.slidingLog) applyLog(c, at, v)
      else if (action === 'reserve' && isHeld(c.kind)) applyHold(c, cells[i]!, expiresAt, v)
      else apply(c, cells[i]!, at, v)
    }
  }
  return { at, admitted: true, verdicts }
}

const NO_HOLDS: Holds = []

const hasCell = ({ kind }: Charge): boolean => kind !== CellKind.stated && kind !== CellKind.slidingLog

function contentsOf(reply: Buffer, { keys }: Layout): Content[] {
  const contents: Content[] = []
  let at = 7
  for (const shape of keys) {
    const length = reply.readUInt32LE(at)
    at += 4
    contents.push(shape.isLog ? { used: readUnsigned(reply, at, 7), newestAt: reply.readUIntLE(at + 14, 6), freesAt: reply.readUIntLE(at + 20, 6) } : readShaped(reply, at, length, shape))
    at += length
  }
  return contents
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
