import type { DecideCommand, MaybePromise } from '../stores/store.ts'
import { commandOf } from './command.ts'
import type { Engine } from './engine.ts'
import { isUnavailable } from './guard.ts'
import type { Inquiry } from './inquiry.ts'
import { LOCAL_ID, OpenReservation } from './reservation.ts'
import type { Decision, TollgateRequest } from './types.ts'

/**
 * A decision that nothing was asked for: limits are off, or the store is away, the policy is `open`, and there is no room
 * to count here.
 */
export function passUnlimited(engine: Engine, inquiry: Inquiry, isDegraded = false): MaybePromise<Decision> {
  const { request, program, mode, action, part } = inquiry
  const now = engine.config.clock.now()
  const decision: Decision = { allowed: true, subject: request.subject, plan: program.id, mode, degraded: isDegraded, violations: [], limits: [], decidedAt: now, retryAfterMs: 0 }
  const command = commandOf(engine, inquiry, [], now)
  if (command.reservation) return reserveNothing(engine, inquiry, command, decision)
  if (action === 'consume') engine.record?.consumed(request, program, decision, undefined, part?.isShared === true)
  engine.announceOne(inquiry, decision)
  return decision
}

/** Nothing is held, and nobody pays, so this process's own counters can keep the reservation when the store cannot. */
export async function reserveNothing(engine: Engine, inquiry: Inquiry, command: DecideCommand, decision: Decision): Promise<Decision> {
  const { credits: _, ...memo } = command.reservation!.memo
  const reservation = { ...command.reservation!, memo }
  const nothing = { ...command, charges: [], reservation, unlessUnknown: false }
  let isRepeat = false
  try {
    if (!decision.degraded) isRepeat = (await engine.askStore((store) => store.decide(nothing), inquiry.request.signal)).isRepeat === true
  } catch (error) {
    if (!isUnavailable(error)) throw error
    decision.degraded = true
  }
  if (decision.degraded) {
    if (!reservation.id.startsWith(LOCAL_ID)) reservation.id = LOCAL_ID + reservation.id
    engine.localStore().decide(nothing)
  }
  const expiresAt = command.now + reservation.ttlMs
  if (!isRepeat) engine.record?.reserved(inquiry.request, inquiry.program, decision, undefined, inquiry.part?.isShared === true, reservation.id, expiresAt)
  engine.announceOne(inquiry, decision)
  const reserved = { ...decision, reservation: new OpenReservation(engine.settling, reservation.id, expiresAt) }
  if (isRepeat) engine.deciding.noteRepeat(reserved)
  return reserved
}

/** A reservation that holds nothing, for a request that passes although it would have been denied. */
export async function emptyReservation(engine: Engine, request: TollgateRequest, plan: string): Promise<OpenReservation> {
  const inquiry = { request, program: engine.config.catalog.find(plan), mode: 'shadow', action: 'reserve', asked: undefined, part: { linked: [] }, credits: undefined, unread: undefined } as const
  const decision = await passUnlimited(engine, inquiry)
  return decision.reservation as OpenReservation
}

/** A request that went ahead although it would have been denied: nothing was counted of it. */
export function recordUncounted(engine: Engine, request: TollgateRequest, decision: Decision): void {
  engine.record?.consumed(request, engine.config.catalog.find(decision.plan), decision, undefined, false)
}
