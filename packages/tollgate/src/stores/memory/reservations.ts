import { TollgateError } from '../../errors/index.ts'
import { disown, forgottenAt, type KeptReservation } from '../settlement.ts'

export interface MemoryReservation extends KeptReservation {
  /** Names the reservation's holds. */
  serial: number
}

/**
 * Reservations by id. Open ones are kept until nobody may settle them any more; committed ones that stand for
 * capacity until it is given back; settled ones as long as there is room, so that settling twice can be told the
 * first outcome. An id that was forgotten is unknown, so nothing is ever settled twice.
 */
export class Reservations {
  readonly #max: number
  readonly #open = new Map<string, MemoryReservation>()
  readonly #standing = new Map<string, MemoryReservation>()
  /** The standing ones by subject. */
  readonly #standingOf = new Map<string, Set<MemoryReservation>>()
  readonly #settled = new Map<string, MemoryReservation>()
  /** Grows with every change of what is open, or stands. */
  changes = 0

  constructor(max: number) {
    this.#max = max
  }

  /** `undefined` also for one whose day has passed, whether or not it was looked at since. */
  get(id: string, now: number): MemoryReservation | undefined {
    const standing = this.#standing.get(id)
    if (standing) return standing
    const reservation = this.#open.get(id) ?? this.#settled.get(id)
    return reservation && forgottenAt(reservation) > now ? reservation : undefined
  }

  /** @throws OVERLOADED when there are `max` that cannot be forgotten. */
  assertRoom(now: number): void {
    forgetOldest(this.#open, now)
    if (this.#open.size + this.#standing.size < this.#max) return
    throw new TollgateError('OVERLOADED', `${this.#max} reservations are open; settle them, give them a shorter ttlMs, or raise maxReservations`, { retryAfterMs: 1000 })
  }

  /** What is not over: open ones, and those that stand for capacity. */
  live(now: number): MemoryReservation[] {
    return [...this.#open.values(), ...this.#standing.values()].filter((reservation) => forgottenAt(reservation) > now)
  }

  add(reservation: MemoryReservation): void {
    this.changes++
    this.#open.set(reservation.id, reservation)
  }

  remove(id: string): void {
    this.changes++
    this.#open.delete(id)
  }

  /** Files a reservation that is not open any more. */
  settle(reservation: MemoryReservation, now: number): void {
    const { id } = reservation
    this.changes++
    this.#open.delete(id)
    if (reservation.isStanding) {
      this.#standing.set(id, reservation)
      const others = this.#standingOf.get(reservation.subject)
      if (others) others.add(reservation)
      else this.#standingOf.set(reservation.subject, new Set([reservation]))
      return
    }
    if (this.#standing.delete(id)) {
      const others = this.#standingOf.get(reservation.subject)!
      others.delete(reservation)
      if (others.size === 0) this.#standingOf.delete(reservation.subject)
    }
    reservation.charges = []
    forgetOldest(this.#settled, now)
    if (this.#settled.size >= this.#max) this.#settled.delete(this.#settled.keys().next().value!)
    this.#settled.set(id, reservation)
  }

  /** After a reset: what stood before has nothing to give back, or it would take from what comes later. */
  disown(subject: string, isNamed: (slot: number) => boolean): void {
    this.changes++
    for (const reservation of this.#standingOf.get(subject) ?? []) disown(reservation, ({ slot }) => isNamed(slot))
  }

  /** Looks at all of them: an erasure is rare. */
  erase(subject: string): void {
    this.changes++
    this.#standingOf.delete(subject)
    for (const map of [this.#open, this.#standing, this.#settled]) for (const [id, reservation] of map) if (reservation.subject === subject) map.delete(id)
  }
}

/** At most two with each call: more than are made. Those of a longer ttl wait for their turn behind shorter ones. */
function forgetOldest(map: Map<string, MemoryReservation>, now: number): void {
  let looks = 2
  for (const [id, reservation] of map) {
    if (forgottenAt(reservation) > now || looks-- === 0) return
    map.delete(id)
  }
}
