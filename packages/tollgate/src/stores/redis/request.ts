import { randomBytes } from 'node:crypto'
import { CellKind, type Charge } from '../../decide/charge.ts'
import type { DecideCommand } from '../store.ts'
import type { Asked } from './batches.ts'
import { UNLIMITED } from './head.ts'
import type { Layout } from './layout.ts'
import { memberOf, reservationMember, type SubjectNames } from './names.ts'
import { bodyOf, chargesOf } from './reservation.ts'

const ACTIONS = { check: 'c', consume: 'u', reserve: 'r' } as const

/**
 * A request as `lua/decide.lua` reads it.
 * @param now in place of Redis's own clock
 * @param isBelieved the anchor is one that this process remembers, not one that was given
 */
export function decisionRequest(command: DecideCommand, layout: Layout, names: SubjectNames, isBelieved: boolean, now: number | undefined): Asked {
  const { charges, action, reservation, receipt, unlessUnknown, recordedMs = Infinity } = command
  const keys = [names.record]
  const members: string[] = []
  if (layout.hasIndex) keysOf(charges, layout, names, keys, members)
  const own = keys.slice()
  const hasIndex = layout.hasIndex || reservation !== undefined
  if (hasIndex) keys.push(names.index)
  if (reservation) keys.push(names.reservation(reservation.id))
  const hasReceipt = receipt !== undefined && action === 'consume'
  if (hasReceipt) keys.push(names.receipt(receipt))
  let numbers = ''
  let ends = ''
  let until = UNLIMITED
  for (let i = 0; i < charges.length; i++) {
    const place = layout.places[i]
    if (!place) continue
    const c = charges[i]!
    if (place.hasOwnAmount) numbers += ` ${c.amount}`
    if (place.hasOwnMax) numbers += ` ${Math.min(c.max, UNLIMITED)}`
    if (place.bringsOwn) numbers += ` ${c.kind === CellKind.capacity ? newSerial() : c.startAt}`
    if (c.kind !== CellKind.quota) continue
    ends += ` ${Math.min(c.endAt, UNLIMITED)}`
    until = Math.min(until, c.endAt)
  }
  const flags = `${ACTIONS[action]}${isDeniedAnyway(charges) ? 'x' : '-'}${unlessUnknown ? 'u' : '-'}${isBelieved ? 'a' : '-'}${hasIndex ? 'i' : '-'}${hasReceipt ? 'k' : '-'}${now === undefined ? '-' : 't'}`
  const what = `${flags} ${until}${numbers}${ends} ${Math.min(recordedMs, UNLIMITED)}${now === undefined ? '' : ` ${now}`}`
  const args = [what, ...members]
  if (reservation) args.push(reservationMember(reservation.id), String(reservation.ttlMs), String(newSerial()), command.subject, chargesOf(own, names, layout, charges), bodyOf(reservation, command))
  return { keys, args, partition: names.partition }
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
