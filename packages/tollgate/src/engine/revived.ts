import type { Settling } from './settling.ts'
import { OpenReservation } from './reservation.ts'
import type { Decision, LimitState } from './types.ts'

/**
 * A decision as it was given first, for whoever asks again: a copy, because what one caller does to it is not for the next.
 * Where it was kept as JSON, unlimited is `null` there, and a reservation has no methods.
 */
export function revived(decision: Decision, settling: Settling): Decision {
  const { reservation, limits, violations } = decision
  const copy: Decision = { ...decision, limits: limits.map(unlimited), violations: violations.map(unlimited) }
  if (reservation && !(reservation instanceof OpenReservation)) copy.reservation = new OpenReservation(settling, reservation.id, reservation.expiresAt)
  return copy
}

function unlimited<T extends LimitState>(state: T): T {
  return state.max === null ? { ...state, max: Infinity, remaining: Infinity } : state
}
