import { type Cell, CellKind, type Charge, type Verdict } from '../../../decide/charge.ts'
import { apply, examine } from '../../../decide/kernel.ts'
import { reserveCharge } from '../../../decide/reserve.ts'
import { stalenessOf } from '../../../decide/stale.ts'
import type { DecideCommand, NewReservation, Outcome } from '../../store.ts'
import { Draft } from './draft.ts'
import type { OpenCell } from './open-cell.ts'
import type { CounterRows } from './rows.ts'

/**
 * One decision, over rows that were loaded. Time is theirs: when they were.
 * @param hintedAnchor what this process told whoever compiled the charges.
 */
export function decide(rows: CounterRows, command: DecideCommand, hintedAnchor?: number): Outcome {
  const { subject, charges, action } = command
  const { at } = rows
  if (command.unlessUnknown && rows.of(subject).record.plan === undefined) return { at, admitted: false, verdicts: [], stale: { isUnknown: true } }
  const draft = new Draft(rows, subject)
  const open = charges.map((c) => draft.open(c))
  const cells = open.map(({ cell }) => cell)
  const stale = stalenessOf(charges, cells, at) ?? forgottenAnchor(charges, cells, hintedAnchor, at)
  if (stale) return { at, admitted: false, verdicts: [], stale }
  charges.forEach((c, i) => open[i]!.repair(c, at))
  const verdicts = charges.map((c, i): Verdict => {
    const verdict = { passes: false, used: 0, resetAt: 0, retryAt: 0 }
    examine(c, cells[i]!, open[i]!.holds, at, verdict)
    return verdict
  })
  const admitted = verdicts.every(({ passes }) => passes)
  if (action === 'check') return { at, admitted, verdicts }
  const kept = admitted ? charges.map((c, i) => count(c, open[i]!, at, command.reservation, verdicts[i]!)) : []
  // A denied request notices a step of the clock too, or its wait would begin anew with each attempt.
  // Where nothing is counted the subject stays as unknown as it was.
  draft.save(admitted && charges.length > 0 ? command.plan : undefined)
  if (admitted && command.reservation) keep(rows, subject, command.reservation, kept)
  return { at, admitted, verdicts }
}

/** Returns the copy of the charge that a reservation is settled with. */
function count(c: Charge, open: OpenCell, at: number, reservation: NewReservation | undefined, verdict: Verdict): Charge {
  open.makeRoom(c, at)
  if (reservation) return reserveCharge(c, open.cell, open.holds, open.serialOf(reservation.id), at, at + reservation.ttlMs, verdict)
  apply(c, open.cell, at, verdict)
  return c
}

function keep(rows: CounterRows, subject: string, { id, memo, ttlMs }: NewReservation, charges: readonly Charge[]): void {
  rows.putReservation({ id, subject, memo, charges, chargedAt: rows.at, expiresAt: rows.at + ttlMs, status: 'open', settledAt: null, late: false, isStanding: false })
}

/** The subject was erased since this process saw its anchor: a hint must not bring that back. */
function forgottenAnchor(charges: readonly Charge[], cells: readonly Cell[], hintedAnchor: number | undefined, at: number): Outcome['stale'] {
  const anchor = charges.findIndex(({ kind, startAt }) => kind === CellKind.anchor && startAt === hintedAnchor)
  return anchor >= 0 && cells[anchor]!.w[0] === -Infinity ? { anchorAt: at } : undefined
}
