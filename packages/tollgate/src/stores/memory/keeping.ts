import type { Charge } from '../../decide/charge.ts'
import { slotOf } from '../../decide/slots.ts'
import type { MemoryReservation } from './reservations.ts'

/** A reservation as another process takes it up: without what only this one understands. */
export type KeptReservation = Omit<MemoryReservation, 'serial'>

/** Another format is another text: what an older or newer version wrote is not taken up. */
const FORMAT = 1
/** Numbers of a charge that may be `Infinity`, which is `null` in JSON. */
const ENDLESS = ['max', 'endAt', 'retainMs'] as const

/** Reservations as JSON. */
export function keptText(reservations: readonly MemoryReservation[]): string {
  const kept = reservations.map((reservation) => ({ ...reservation, serial: undefined, charges: reservation.charges.map((c) => ({ ...c, slot: undefined })) }))
  return JSON.stringify({ format: FORMAT, reservations: kept })
}

/** The inverse of `keptText`. @throws Error for any other text */
export function readKept(text: string): KeptReservation[] {
  const { format, reservations } = JSON.parse(text) as { format: number; reservations: KeptReservation[] }
  if (format !== FORMAT || !Array.isArray(reservations)) throw new Error(`reservations of format ${String(format)} cannot be read; this version reads ${FORMAT}`)
  return reservations.map((reservation) => ({ ...reservation, charges: reservation.charges.map(revived) }))
}

function revived(kept: Charge): Charge {
  const c = { ...kept, slot: slotOf(kept.cell) }
  for (const name of ENDLESS) c[name] ??= Infinity
  return c
}
