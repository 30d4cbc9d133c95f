import { forgottenAt, type KeptReservation } from '../../settlement.ts'
import { textKey } from './keys.ts'
import { cellsOf, readReservation, writeReservation } from './reservation.ts'
import { SubjectRows } from './subject-rows.ts'
import { rounded } from './until.ts'

/** Rows as they travel. A body of `''` says nothing: the row is deleted when its turn comes. */
export interface CounterRow {
  subject: string
  cell: string
  body: string
  expires_at: number
}

export interface ReservationRow {
  id: string
  subject: string
  cells: string
  body: string
  is_standing: number
  forget_at: number
}

/** Rows of a subject that are deleted whether they were loaded or not: those of a limit, or with `''` all. */
export interface Cleared {
  subject: string
  prefix: string
}

export interface Loaded {
  at: number
  counters: Pick<CounterRow, 'subject' | 'cell' | 'body'>[]
  reservations: Pick<ReservationRow, 'id' | 'subject' | 'body'>[]
}

export interface Changes {
  counters: CounterRow[]
  reservations: ReservationRow[]
  cleared: Cleared[]
  /** Subjects whose reservations are deleted, whether they were loaded or not. */
  erased: string[]
}

/**
 * The rows that a batch has loaded, which are read when a command needs them, and what commands have made of them. What
 * it hands out is a copy or is never changed, and commands put what is new here at their end: one that fails leaves no
 * trace.
 */
export class CounterRows {
  /** When they were loaded: the time at which the batch happens. */
  readonly at: number
  readonly #subjects = new Map<string, SubjectRows>()
  readonly #reservations = new Map<string, Pick<ReservationRow, 'id' | 'subject' | 'body'>>()
  readonly #changed = new Map<string, ReservationRow>()
  readonly #erased = new Set<string>()

  constructor({ at, counters, reservations }: Loaded) {
    this.at = at
    for (const { subject, cell, body } of counters) if (body !== '') this.#subject(subject).add(cell, body)
    for (const row of reservations) if (row.body !== '') this.#reservations.set(row.id, row)
  }

  of(subject: string): SubjectRows {
    return this.#subject(textKey(subject))
  }

  reservation(id: string): KeptReservation | undefined {
    const row = this.#reservations.get(textKey(id))
    return row && readReservation(row.body, `reservation ${row.id}`)
  }

  /** Those of a subject that stand for capacity, as far as they were asked for. */
  standing(subject: string): KeptReservation[] {
    const key = textKey(subject)
    const own = [...this.#reservations.values()].filter((row) => row.subject === key)
    return own.map(({ id, body }) => readReservation(body, `reservation ${id}`)).filter(({ isStanding }) => isStanding)
  }

  putReservation(reservation: KeptReservation): void {
    const { id, subject, isStanding } = reservation
    const row = { id: textKey(id), subject: textKey(subject), cells: JSON.stringify(cellsOf(reservation)), body: writeReservation(reservation), is_standing: isStanding ? 1 : 0, forget_at: rounded(forgottenAt(reservation)) }
    this.#reservations.set(row.id, row)
    this.#changed.set(row.id, row)
  }

  removeReservation({ id, subject }: KeptReservation): void {
    const key = textKey(id)
    this.#reservations.delete(key)
    this.#changed.set(key, { id: key, subject: textKey(subject), cells: '[]', body: '', is_standing: 0, forget_at: 0 })
  }

  removeReservationsOf(subject: string): void {
    const key = textKey(subject)
    for (const rows of [this.#reservations, this.#changed]) for (const [id, row] of rows) if (row.subject === key) rows.delete(id)
    this.#erased.add(key)
  }

  changes(): Changes {
    const subjects = [...this.#subjects.values()]
    return {
      counters: subjects.flatMap((rows) => rows.changed(this.at)),
      reservations: [...this.#changed.values()],
      cleared: subjects.flatMap((rows) => rows.cleared),
      erased: [...this.#erased],
    }
  }

  #subject(key: string): SubjectRows {
    let rows = this.#subjects.get(key)
    if (!rows) this.#subjects.set(key, (rows = new SubjectRows(key)))
    return rows
  }
}
