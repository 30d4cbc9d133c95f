import { CellKind, type Charge, newCharge } from '../../decide/charge.ts'
import type { DecideCommand, NewReservation, ReservationMemo, StoredReservation } from '../store.ts'
import { UNLIMITED } from './head.ts'
import { FOR_EVER_MS, type Layout, type Place } from './layout.ts'
import { cellNumber, type SubjectNames } from './names.ts'
import { readUnsigned } from './record.ts'

/** What `lua/lib/reservation.lua` packs, and the parts of it that are made here. */

/** What only this side reads: the rest of each charge, and what the engine wants to know again. */
interface Body {
  id: string
  subject: string
  memo: ReservationMemo
  cells: [cell: string, partition: string, digest: string][]
}

export function bodyOf({ id, memo }: NewReservation, { subject, charges }: Pick<DecideCommand, 'subject' | 'charges'>): string {
  const body: Body = { id, subject, memo, cells: charges.filter(isTracked).map(({ cell, partition, digest }) => [cell, partition, digest]) }
  return JSON.stringify(body)
}

/**
 * What settling needs: the keys (`l`: which are logs), each charge as a list, the plan, how long the record matters, the
 * subject's index, and the bytes that its partitions' keys begin with.
 */
export function chargesOf(keys: readonly string[], names: SubjectNames, layout: Layout, charges: readonly Charge[]): string {
  const places = layout.places.filter((place): place is Place => place !== undefined)
  const lists = charges.filter(isTracked).map((c, i) => {
    const { key, head } = places[i]!
    const retainMs = c.retainMs === Infinity ? FOR_EVER_MS : c.retainMs
    return [c.kind, key + 1, cellNumber(c.cell), head, Math.min(c.max, UNLIMITED), c.windowMs, c.refill, c.startAt, Math.min(c.endAt, UNLIMITED), c.weight, c.meter, retainMs]
  })
  return JSON.stringify({ k: keys, l: layout.keys.map(({ isLog }) => Number(isLog)), c: lists, p: layout.plan, r: layout.retainMs, i: names.index, b: Buffer.byteLength(names.parts) })
}

const isTracked = ({ kind }: Charge): boolean => kind !== CellKind.stated

const STATUSES = ['open', 'committed', 'released'] as const
const LATE = 1
const KEPT_BYTES = 13

/** @param wasSettled it tells of what was settled before: only quotas, which may not be on record yet. */
export function readReservation(raw: Buffer, wasSettled: boolean): StoredReservation {
  const status = STATUSES[raw[0]!]
  const settledAt = raw.readUIntLE(14, 6)
  const count = raw[26]!
  let at = 27 + count * KEPT_BYTES
  const next = (): string => {
    const length = raw.readUInt32LE(at)
    const text = raw.toString('utf8', at + 4, at + 4 + length)
    at += 4 + length
    return text
  }
  next()
  const { c: lists } = JSON.parse(next()) as { c: [number, number, number, number, number, number, number, number, number, number, string, number][] }
  const amounts = next()
  const { id, subject, memo, cells } = JSON.parse(next()) as Body
  if (status === undefined || lists.length !== count) throw new Error(`reservation ${id} in Redis is damaged: it lacks its charges; erase its subject`)
  const charges = lists.map(([kind, , , , max, windowMs, refill, , endAt, weight, meter, retainMs], i): Charge => {
    const [cell, partition, digest] = cells[i]!
    const c = newCharge({ cell, kind: kind as CellKind, max: max === UNLIMITED ? Infinity : max, endAt: endAt === UNLIMITED ? Infinity : endAt, windowMs, refill, meter, weight, retainMs })
    const kept = 27 + i * KEPT_BYTES
    return Object.assign(c, { startAt: kind === CellKind.quota ? raw.readUIntLE(kept, 6) : 0, amount: readUnsigned(raw, kept + 6, 7), partition, digest })
  })
  return {
    id,
    subject,
    memo: amounts === '' ? memo : { ...memo, amounts: { ...memo.amounts, ...(JSON.parse(amounts) as Record<string, number>) } },
    charges: wasSettled ? charges.filter(({ kind }) => kind === CellKind.quota && status === 'committed') : charges,
    chargedAt: raw.readUIntLE(2, 6),
    expiresAt: raw.readUIntLE(8, 6),
    status,
    settledAt: settledAt === 0 ? null : settledAt,
    late: raw[1]! % 2 === LATE,
  }
}
