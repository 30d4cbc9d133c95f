import { type Cell, CellKind, type Charge } from '../decide/charge.ts'
import type { Holds } from '../decide/holds.ts'
import { isAhead, repair } from '../decide/kernel.ts'
import { commitCharge, returnCapacity, undoCharge } from '../decide/settle.ts'
import type { SettleCommand, SettleOutcome, StoredReservation } from './store.ts'

/** A commit is accepted this long after its hold expired, and repeats of a settlement are answered this long. */
export const LATE_COMMIT_MS = 86_400_000

export interface KeptReservation extends StoredReservation {
  /** Committed, and can still be released: it holds units of capacity, or held them until a reset. */
  isStanding: boolean
}

/** The cells that a reservation was admitted to, wherever they are kept. */
export interface ReservedCells {
  each(use: (c: Charge, cell: Cell) => void): void
  /** Makes room for one more admission where a cell has none. */
  makeRoom(c: Charge, cell: Cell, now: number): void
  dropHolds(): void
  extendHolds(now: number, expiresAt: number): void
}

/**
 * From when on an id is unknown. An open one can be settled for a day after its expiry; of a settled one, repeats are
 * answered for a day; what stands for capacity is known until that is given back.
 */
export function forgottenAt({ expiresAt, settledAt, isStanding }: KeptReservation): number {
  return isStanding ? Infinity : (settledAt ?? expiresAt) + LATE_COMMIT_MS
}

/** Brings the reservation and its cells to what the command makes of them; the first settlement stays. */
export function settle(reservation: KeptReservation, command: SettleCommand, now: number, cells: ReservedCells): SettleOutcome {
  const { action } = command
  const hasExpired = now >= reservation.expiresAt
  if (action === 'release' && !command.onlyOpen && reservation.isStanding) {
    cells.each((c, cell) => {
      if (c.kind === CellKind.capacity) returnCapacity(cell, now, c.amount)
    })
    reservation.status = 'released'
    reservation.settledAt = now
    reservation.isStanding = false
    return { result: 'settled', reservation }
  }
  if (reservation.status !== 'open') return { result: 'settled-before', reservation }
  if (action === 'extend') {
    if (hasExpired) return { result: 'expired', reservation }
    const expiresAt = now + command.ttlMs!
    reservation.expiresAt = Math.max(reservation.expiresAt, expiresAt)
    cells.extendHolds(now, expiresAt)
    return { result: 'settled', reservation }
  }
  cells.dropHolds()
  if (action === 'commit') commit(reservation, now, cells, command.amounts ?? {})
  if (action === 'undo') cells.each((c, cell) => undoCharge(c, cell, reservation.chargedAt))
  reservation.status = action === 'commit' ? 'committed' : 'released'
  reservation.settledAt = now
  reservation.late = hasExpired
  return { result: 'settled', reservation }
}

function commit(reservation: KeptReservation, now: number, cells: ReservedCells, amounts: Readonly<Record<string, number>>): void {
  cells.each((c, cell) => {
    // A quota's charge speaks of the period it was reserved in, which says nothing about now.
    if (c.kind !== CellKind.quota && isAhead(c, cell, NO_HOLDS, now)) repair(c, cell, NO_HOLDS, now)
    cells.makeRoom(c, cell, now)
    const actual = amounts[c.meter]
    commitCharge(c, cell, now, actual === undefined ? c.amount : actual * c.weight)
  })
  reservation.isStanding = reservation.charges.some(({ kind, amount }) => kind === CellKind.capacity && amount > 0)
  reservation.memo = { ...reservation.memo, amounts: { ...reservation.memo.amounts, ...amounts } }
}

/** After a reset: what stood before has nothing to give back, or it would take from what comes later. */
export function disown({ charges }: StoredReservation, isNamed: (c: Charge) => boolean): void {
  for (const c of charges) if (isNamed(c)) c.amount = 0
}

const NO_HOLDS: Holds = []
