import type { Charge, Verdict } from '../decide/charge.ts'

/**
 * What the engine asks of a counter store. A store in this process answers at once, a remote one with a promise.
 * `tollgate/testing` has the suite that every store passes.
 */
export type MaybePromise<T> = T | Promise<T>

export interface DecideCommand {
  subject: string
  /** Full name of the plan the charges come from; kept for `lastPlan`. */
  plan: string
  charges: readonly Charge[]
  /** The engine's reading of the clock. A store with a clock of its own goes by that, and says so in `Outcome.at`. */
  now: number
  /** `check` writes nothing; `consume` counts as used; `reserve` holds until the reservation is settled or expires. */
  action: 'check' | 'consume' | 'reserve'
  reservation?: NewReservation
  /** A subject that the store knows nothing of is not decided but told as `stale.isUnknown`: its totals may be on record. */
  unlessUnknown?: boolean
  /** How long what is on record of a subject can matter, in ms; for stores that know since when they know everybody. */
  recordedMs?: number
  /** Charges that no request has: the store need not prepare for more of them. */
  isRare?: boolean
  /** The same for every attempt at one request: a store that `keepsReceipts` counts it once, and answers as the first time. */
  receipt?: string
}

export interface NewReservation {
  id: string
  ttlMs: number
  /** What the engine wants to know again when the reservation is settled. */
  memo: ReservationMemo
}

export interface ReservationMemo {
  plan: string
  amounts: Readonly<Record<string, number>>
  /** Reservations of the request's other subjects, settled with this one. */
  linked?: readonly string[]
  /** Credits that are held for it: in whose account, and as what. */
  credits?: { readonly account: string; readonly id: string; readonly isFree?: boolean }
  /** For the record. */
  operation?: string
  dimensions?: Readonly<Record<string, string>>
  mode?: 'enforce' | 'shadow' | 'off'
  /** A part of a request that is about another subject. */
  isShared?: boolean
}

export interface Outcome {
  /** The store's clock. */
  at: number
  admitted: boolean
  /** One per charge; to be read before the next call. Empty when `stale`. */
  verdicts: readonly Verdict[]
  /**
   * Charges were compiled for another period, or another anchor, than the store's: compile again and ask again.
   * `isUnknown`: bring the subject's totals back first.
   */
  stale?: { anchorAt?: number; isUnknown?: boolean }
  /** The store had no room and let the request pass uncounted. */
  uncounted?: boolean
  /** A request with this receipt, or a reservation of this id, was admitted before: nothing was counted now. */
  isRepeat?: boolean
}

export interface StoredReservation {
  id: string
  subject: string
  memo: ReservationMemo
  /** Copies of the admitted charges. */
  charges: readonly Charge[]
  chargedAt: number
  expiresAt: number
  status: 'open' | 'committed' | 'released'
  settledAt: number | null
  late: boolean
}

export interface SettleCommand {
  id: string
  /** `undo` takes the admission back, guards included: another part of the same request refused. */
  action: 'commit' | 'release' | 'undo' | 'extend'
  now: number
  /** What the subject's key begins with: a reservation of another namespace is unknown. */
  keyPrefix?: string
  /** `release`: leave capacity alone that was committed before. */
  onlyOpen?: boolean
  /** `commit`: what was used by meter; what is not named keeps its reserved amount. */
  amounts?: Readonly<Record<string, number>>
  /** Of a subject that the store knows nothing of, quotas are left alone: they are on record. */
  isRecorded?: boolean
  /** `extend`: counted from now. */
  ttlMs?: number
}

export type SettleOutcome =
  /** With the charges that it was admitted with. */
  | { result: 'settled'; reservation: StoredReservation }
  /** It was settled before: this is the first outcome. */
  | { result: 'settled-before'; reservation: StoredReservation }
  /** An expired reservation cannot be extended. */
  | { result: 'expired'; reservation: StoredReservation }
  | { result: 'unknown' }

export interface UsageCommand {
  subject: string
  /** `isPartitioned`: the limit is counted per something, and every live partition is wanted. */
  limits: readonly { charge: Charge; isPartitioned: boolean }[]
  now: number
}

/** A live cell of a limit, of which `limit` is the index in the command. Of texts, the one that came most often. */
export interface UsageEntry {
  limit: number
  partition: string
  verdict: Verdict
}

export interface CounterStore {
  readonly name: string
  /** How long a call of it may take, unless the engine's options say: what waits for a disk needs longer. Default 50. */
  readonly timeoutMs?: number
  /** It answers later, and keeps the charges of a decision until then: they are its own, and nobody uses them again. */
  readonly isRemote?: boolean
  /** It counts attempts with one receipt, or at one reservation, once: their answers may be lost on the way. */
  readonly keepsReceipts?: boolean
  decide(command: DecideCommand): MaybePromise<Outcome>
  settle(command: SettleCommand): MaybePromise<SettleOutcome>
  /** Every cell of the charges: one entry for an unpartitioned charge, one per live partition for the others. */
  usage(command: UsageCommand): MaybePromise<UsageEntry[]>
  /**
   * Forgets what a subject used: in the cells named by their stable identity, or in all. Reservations of before give
   * nothing back to them any more. The anchor stays.
   */
  reset(subject: string, cells: readonly string[] | null): MaybePromise<void>
  /** Forgets all that a subject used, its anchor, and its reservations: their ids are unknown from then on. */
  erase(subject: string): MaybePromise<void>
  /** A plan under which the subject was admitted, for readers who name none. */
  lastPlan(subject: string): MaybePromise<string | undefined>
  /**
   * What a reservation of the subject is called, made of an id that is like no other: a store may have to find a
   * reservation by its id alone.
   */
  reservationId?(subject: string, id: string): string
  /** A hint: the anchor of the subject's own periods, as far as this process knows. `decide` verifies it. */
  knownAnchor(subject: string): number | undefined
  /** Resolves when the store can be written to: asked while it is left alone, after it failed. Default: it is read. */
  probe?(): Promise<unknown>
  /** How many processes use the store, as far as this one knows; at least 1. While the store is away each has its share of a limit. */
  processes?(): number
  close(): MaybePromise<void>
}
