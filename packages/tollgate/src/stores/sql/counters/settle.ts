import { CellKind } from '../../../decide/charge.ts'
import { disown, forgottenAt, settle as settleReservation } from '../../settlement.ts'
import type { SettleCommand, SettleOutcome } from '../../store.ts'
import { Draft, ReservedInRows } from './draft.ts'
import { NO_RECORD } from './record.ts'
import type { CounterRows } from './rows.ts'

/** @param isLocked whether the subject's rows are this transaction's to write. */
export function settle(rows: CounterRows, command: SettleCommand, isLocked: (subject: string) => boolean): SettleOutcome {
  const { at } = rows
  const reservation = rows.reservation(command.id)
  if (!reservation?.subject.startsWith(command.keyPrefix ?? '') || forgottenAt(reservation) <= at) return { result: 'unknown' }
  // Made after the locks were taken, while nobody had been told its id.
  if (!isLocked(reservation.subject)) return { result: 'unknown' }
  const draft = new Draft(rows, reservation.subject)
  const { plan } = rows.of(reservation.subject).record
  // Of a subject that is lost, what is on record comes back later, with what this settles.
  const isOnRecord = plan === undefined && command.isRecorded === true
  const charges = isOnRecord ? reservation.charges.filter(({ kind }) => kind !== CellKind.quota) : reservation.charges
  const outcome = settleReservation(reservation, command, at, new ReservedInRows(draft, reservation.id, charges))
  if (outcome.result !== 'settled') return outcome
  // One of nothing brings no record with it.
  if (charges.length > 0) draft.save(plan ?? (isOnRecord ? undefined : reservation.memo.plan))
  if (command.action === 'undo') rows.removeReservation(reservation)
  else if (reservation.status === 'open' || reservation.isStanding) rows.putReservation(reservation)
  // Whoever did not hear the answer asks again, and has to record what was used.
  else rows.putReservation({ ...reservation, charges: reservation.status === 'committed' ? reservation.charges.filter(({ kind }) => kind === CellKind.quota) : [] })
  return outcome
}

const ANCHOR = '@anchor'

/** Forgets what was used of the named limits, or of all; the anchor stays. */
export function reset(rows: CounterRows, subject: string, limits: readonly string[] | null): void {
  const own = rows.of(subject)
  const { record } = own
  const isNamed = (name: string): boolean => name !== ANCHOR && (limits === null || limits.includes(name))
  if (limits === null) own.clear()
  else for (const limit of limits) own.clear(limit)
  if (record !== NO_RECORD) own.record = record.without(isNamed)
  for (const reservation of rows.standing(subject)) {
    disown(reservation, ({ cell }) => isNamed(cell))
    rows.putReservation(reservation)
  }
}

/** Forgets the subject, and its reservations, which name it: nobody can settle them any more. */
export function erase(rows: CounterRows, subject: string): void {
  rows.of(subject).clear()
  rows.removeReservationsOf(subject)
}
