import { randomBytes } from 'node:crypto'
import { CellKind, type Charge } from '../../decide/charge.ts'
import type { DecideCommand } from '../store.ts'
import type { Asked } from './batches.ts'
import { type Layout, UNLIMITED } from './layout.ts'
import { memberOf, reservationMember, type SubjectNames } from './names.ts'
import { bodyOf, chargesOf } from './reservation.ts'

const ACTIONS = { check: 'c', consume: 'u', reserve: 'r' } as const

/**
 * A request as `lua/decide.lua` reads it.
 * @param isBelieved the anchor is one that this process remembers, not one that was given
 */
export function decisionRequest(command: DecideCommand, layout: Layout, names: SubjectNames, isBelieved: boolean): Asked {
  const { charges, action, reservation, receipt, unlessUnknown, recordedMs = Infinity } = command
  const keys = [names.record]
  const members: string[] = []
  if (layout.hasIndex) keysOf(charges, layout, names, keys, members)
  const own = keys.slice()
  keys.push(names.sentinel)
  const hasIndex = layout.hasIndex || reservation !== undefined
  if (hasIndex) keys.push(names.index)
  if (reservation) keys.push(names.reservation(reservation.id))
  const hasReceipt = receipt !== undefined && action === 'consume'
  if (hasReceipt) keys.push(names.receipt(receipt))
  let what = `${ACTIONS[action]}${isDeniedAnyway(charges) ? 'x' : '-'}${unlessUnknown ? 'u' : '-'}${isBelieved ? 'a' : '-'}${hasIndex ? 'i' : '-'}${hasReceipt ? 'k' : '-'}`
  for (let i = 0; i < charges.length; i++) {
    const place = layout.places[i]
    if (!place) continue
    const c = charges[i]!
    if (place.hasOwnAmount) what += ` ${c.amount}`
    if (place.hasOwnMax) what += ` ${Math.min(c.max, UNLIMITED)}`
    if (c.kind === CellKind.quota) what += ` ${c.startAt} ${Math.min(c.endAt, UNLIMITED)}`
    else if (c.kind === CellKind.anchor) what += ` ${c.startAt}`
    else if (c.kind === CellKind.capacity) what += ` ${newSerial()}`
  }
  const args = [what, ...members]
  if (reservation) args.push(reservationMember(reservation.id), String(reservation.ttlMs), String(newSerial()), command.subject, chargesOf(own, names, layout, charges), bodyOf(reservation, command))
  return { keys, args, recordedMs: recordedMs === Infinity ? UNLIMITED : recordedMs, partition: names.partition }
}

/** One key for each cell of its own, in the order in which the layout found them. */
function keysOf(charges: readonly Charge[], layout: Layout, names: SubjectNames, keys: string[], members: string[]): void {
  for (let i = 0; i < charges.length; i++) {
    const place = layout.places[i]
    if (!place || place.key < keys.length) continue
    const member = memberOf(charges[i]!)
    keys.push(names.parts + member)
    members.push(member)
  }
}

/** What the caller counted needs no state. */
function isDeniedAnyway(charges: readonly Charge[]): boolean {
  for (const { kind, stated, amount, max } of charges) if (kind === CellKind.stated && stated + amount > max) return true
  return false
}

/** 48 random bits: names a reservation among the holds of its subject. */
function newSerial(): number {
  return randomBytes(6).readUIntLE(0, 6)
}
