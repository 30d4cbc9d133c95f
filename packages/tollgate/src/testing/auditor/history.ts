import type { PlanDefinition } from '../../define/plans.ts'
import type { Action } from '../../engine/inquiry.ts'
import type { Decision, LimitState, Settlement, TollgateRequest } from '../../engine/types.ts'

/** What happened to one store, as it can be seen from outside, in the order in which the store took it. */
export interface AuditHistory {
  /** By the name that decisions give. What is before a `/` is the plan set: within one, limits of a name share a counter. */
  plans: Readonly<Record<string, PlanDefinition>>
  events: readonly AuditEvent[]
}

/** `at` is the store's own time, epoch ms. It steps back when the clock did, and time that stands still may repeat. */
export type AuditEvent =
  | DecisionEvent
  | SettlementEvent
  | { type: 'usage'; at: number; subject: string; plan: string; limits: readonly LimitState[] }
  | { type: 'reset'; at: number; subject: string; limit?: string }
  /** Anything else that left the engine, such as an event that it emitted: searched for content. */
  | { type: 'emitted'; at: number; name: string; value: unknown }

/** One subject's part of a request: one with `also` is several events, all with the same `decision`. */
export interface DecisionEvent {
  type: 'decision'
  at: number
  /** What the store was asked; `reserve` also where the engine commits or takes back at once. */
  action: Action
  /** With the part's own subject. */
  request: TollgateRequest
  plan: string
  /** Whether the store counted it; `unknown` when nobody can tell, as after a lost reply. */
  admitted: boolean | 'unknown'
  reservation?: { id: string; expiresAt: number }
  /** What the caller was told. Absent when no answer came, or another store gave it. */
  decision?: Decision
}

export interface SettlementEvent {
  type: 'settlement'
  at: number
  /** `undo`: another subject of the same request was refused, so this one's admission is taken back. */
  action: 'commit' | 'release' | 'extend' | 'undo'
  id: string
  amounts?: Readonly<Record<string, number>>
  ttlMs?: number
  /** What the caller was told; absent as above. */
  settlement?: Settlement
}

export interface AuditFinding {
  /** Its number in design.md, section 5. */
  promise: number
  /** Index of the event that breaks it. */
  event: number
  explanation: string
}
