import { DEFAULT_TTL_MS } from '../compile/request.ts'
import type { Charge } from '../decide/charge.ts'
import type { DecideCommand, NewReservation, ReservationMemo } from '../stores/store.ts'
import type { Engine } from './engine.ts'
import type { Action, Inquiry, StoreInquiry } from './inquiry.ts'
import { fingerprintOf } from './receipts.ts'
import type { TollgateRequest } from './types.ts'

/** What a store is asked. */
export function commandOf(engine: Engine, inquiry: Inquiry & Partial<Pick<StoreInquiry, 'isKnown'>>, charges: readonly Charge[], now: number): DecideCommand {
  const { store, catalog } = engine.config
  const { request, program, action, asked, part, isKnown } = inquiry
  const command: DecideCommand = { subject: engine.keyOf(request.subject), plan: program.id, charges, now, action }
  if (engine.record && !isKnown) {
    command.unlessUnknown = true
    command.recordedMs = catalog.recordedMs
  }
  // Of several subjects, and of credits, each attempt takes back what it was given itself.
  if (store.keepsReceipts && request.idempotencyKey !== undefined && part === undefined && asked === undefined) command.receipt = receiptOf(engine, request, action)
  if (action === 'reserve') command.reservation = reservationOf(engine, inquiry, command)
  return command
}

/** The same for every attempt at a request with this key, and no other's. */
function receiptOf({ config }: Engine, request: TollgateRequest, action: Action): string {
  return `i_${fingerprintOf({ ...request, signal: undefined, action, namespace: config.keyPrefix }, config.secret)}`
}

function reservationOf({ config, record }: Engine, inquiry: Inquiry, { subject, receipt }: DecideCommand): NewReservation {
  const { request, program, part } = inquiry
  const { reservation = receipt ?? config.newId(), credits = inquiry.credits } = part?.own ?? {}
  return {
    id: config.store.reservationId?.(subject, reservation) ?? reservation,
    ttlMs: request.ttlMs ?? DEFAULT_TTL_MS,
    memo: {
      plan: program.id,
      amounts: { ...(request.amounts as Record<string, number>) },
      ...(part && part.linked.length > 0 && { linked: part.linked }),
      ...(credits && { credits }),
      ...(record && recordedMemo(inquiry)),
    },
  }
}

/** What the record wants to know when the reservation is settled. */
function recordedMemo({ request: { operation, dimensions }, mode, part }: Inquiry): Partial<ReservationMemo> {
  return { ...(operation !== undefined && { operation }), ...(dimensions && { dimensions: { ...dimensions } as Record<string, string> }), ...(mode !== 'enforce' && { mode }), ...(part?.isShared && { isShared: true }) }
}
