import { type Charges, compileCharges } from '../compile/charges.ts'
import { CellKind } from '../decide/charge.ts'
import { TollgateError } from '../errors/index.ts'
import type { DecideCommand, MaybePromise, Outcome } from '../stores/store.ts'
import type { Breaker } from './breaker.ts'
import { commandOf } from './command.ts'
import { decisionOf, isNear } from './decision.ts'
import type { Engine } from './engine.ts'
import type { EngineEvents } from './events.ts'
import { isLate, isPromise, type StoreGuard } from './guard.ts'
import { type Inquiry, type StoreInquiry, withAnchor } from './inquiry.ts'
import { Outages } from './outages.ts'
import { digestOf } from './recording.ts'
import { OpenReservation } from './reservation.ts'
import type { Shares } from './shares.ts'
import type { SubjectRecord } from './subjects.ts'
import type { Decision } from './types.ts'
import { reserveNothing } from './uncounted.ts'
import { Warnings } from './warnings.ts'

/** A plan changes, or a period ends, at most this often while one request is decided. */
const MAX_COMPILATIONS = 4

type Crossing = EngineEvents['warning']

const NO_CROSSINGS: readonly Crossing[] = []

/** Without the store: how the answer differs from the store's. */
export interface Degraded {
  readonly policy: 'open' | 'local'
  /** Set where only a share of each limit is in force. */
  readonly shares: Shares | undefined
}

/** From one subject's request, by way of the store, to its decision. */
export class Deciding {
  readonly #engine: Engine
  readonly #guard: StoreGuard
  readonly #breaker: Breaker
  readonly #outages: Outages
  readonly #warned = new Warnings()
  /** Limits that parts of requests took to their `softLimit`, until it is known whether the whole request passes. */
  readonly #crossed = new WeakMap<Decision, readonly Crossing[]>()
  /** Decisions of what was admitted before. */
  readonly #repeats = new WeakSet<Decision>()
  /** Filled anew for each request. */
  readonly #scratch: Charges = { limits: [], charges: [] }

  constructor(engine: Engine, guard: StoreGuard, breaker: Breaker) {
    this.#engine = engine
    this.#guard = guard
    this.#breaker = breaker
    this.#outages = new Outages(engine, this)
  }

  /** @param record what is stored of the subject */
  decide({ request, program, mode, action, asked, part, credits, unread }: Inquiry, record: SubjectRecord | undefined): MaybePromise<Decision> {
    const now = this.#engine.config.clock.now()
    const facts = this.#engine.factsOf(request.subject, record, program, now)
    const inquiry: StoreInquiry = { request, program, mode, action, asked, part, credits, unread, facts, isKnown: false, isReplayed: false }
    const charges = this.compile(inquiry, now)
    if (unread !== undefined) this.#outages.assertOpenWithout(unread, request, program, charges)
    // A unit of capacity is given back by its reservation's id, so it needs one even when it is consumed at once.
    const isStanding = action === 'consume' && program.hasCapacity && charges.charges.some(({ kind }) => kind === CellKind.capacity)
    if (isStanding) return this.#consumeStanding({ ...inquiry, action: 'reserve', asked: 'consume' }, charges, now)
    return this.#ask(inquiry, charges, now)
  }

  compile({ program, request, facts }: StoreInquiry, now: number): Charges {
    return compileCharges(program, request, now, facts, this.#engine.config.digest, this.#scratch)
  }

  async #consumeStanding(inquiry: StoreInquiry, charges: Charges, now: number): Promise<Decision> {
    const decision = await this.#ask(inquiry, charges, now)
    if (decision.reservation) await this.#engine.settling.settle(decision.reservation.id, 'commit')
    return decision
  }

  #ask(inquiry: StoreInquiry, compiled: Charges, now: number, compilation = 1): MaybePromise<Decision> {
    const { store } = this.#engine.config
    const { replay } = this.#engine
    const charges = store.isRemote ? copied(compiled) : compiled
    const command = commandOf(this.#engine, inquiry, charges.charges, now)
    if (this.#breaker.isOpen) return this.#outages.decide(inquiry, command, charges, this.#breaker.refusal())
    if (replay.size > 0 && !inquiry.isReplayed && replay.has(inquiry.request.subject)) return this.#replayFirst(inquiry, command, charges)
    this.#guard.assertRoom()
    const answer = store.decide(command)
    if (isPromise(answer)) return this.#hearLater(answer, inquiry, command, charges, compilation)
    return this.#hear(answer, inquiry, command, charges, compilation)
  }

  async #hearLater(answer: Promise<Outcome>, inquiry: StoreInquiry, command: DecideCommand, charges: Charges, compilation: number): Promise<Decision> {
    // The scratch is used again before the answer comes.
    const kept = this.#engine.config.store.isRemote ? charges : copied(charges)
    let outcome: Outcome
    try {
      outcome = await this.#guard.within(answer, inquiry.request.signal)
    } catch (error) {
      // What the store was given it may still be reading.
      const own = copied(kept)
      return this.#outages.decide(inquiry, { ...command, charges: own.charges }, own, error, isLate(error) ? answer : undefined)
    }
    return this.#hear(outcome, inquiry, command, kept, compilation)
  }

  #hear(outcome: Outcome, inquiry: StoreInquiry, command: DecideCommand, charges: Charges, compilation: number): MaybePromise<Decision> {
    if (!outcome.stale) return this.conclude(inquiry, command, charges, outcome)
    if (outcome.stale.isUnknown) return this.#restoreFirst(inquiry, command, charges)
    if (compilation === MAX_COMPILATIONS) throw new TollgateError('OVERLOADED', 'the clocks of this process and its store are too far apart to agree on a period', { retryAfterMs: 1000 })
    const known = withAnchor(inquiry, outcome.stale.anchorAt)
    return this.#ask(known, this.compile(known, outcome.at), outcome.at, compilation + 1)
  }

  /** The store knows nothing of the subject: new, or lost. Its totals come from the record, once. */
  #restoreFirst(inquiry: StoreInquiry, command: DecideCommand, charges: Charges): Promise<Decision> {
    const { subject, signal } = inquiry.request
    return this.#askAfter(this.#engine.restoring!.restore(subject, signal), inquiry, command, charges, { isKnown: true })
  }

  /** The store's counters lack what the subject used while it was away. */
  #replayFirst(inquiry: StoreInquiry, command: DecideCommand, charges: Charges): Promise<Decision> {
    const { subject, signal } = inquiry.request
    return this.#askAfter(this.#engine.replay.before(subject, signal), inquiry, command, charges, { isReplayed: true })
  }

  async #askAfter(done: Promise<void>, inquiry: StoreInquiry, command: DecideCommand, charges: Charges, then: Partial<Pick<StoreInquiry, 'isKnown' | 'isReplayed'>>): Promise<Decision> {
    // The scratch is used again meanwhile.
    const kept = copied(charges)
    try {
      await done
    } catch (error) {
      return this.#outages.decide(inquiry, { ...command, charges: kept.charges }, kept, error)
    }
    const now = this.#engine.config.clock.now()
    return this.#ask({ ...inquiry, ...then }, this.compile(inquiry, now), now)
  }

  /** From what a store said to what the caller hears. */
  conclude(inquiry: StoreInquiry, command: DecideCommand, charges: Charges, outcome: Outcome, degraded?: Degraded): MaybePromise<Decision> {
    const { request, program, mode, facts } = inquiry
    const { config, record } = this.#engine
    // Whoever listens may ask the engine again, which uses charges and outcome again: all is read before.
    const { admitted, at } = outcome
    const decision = decisionOf(program, request, mode, charges, outcome, facts.overrides, config, degraded?.shares)
    decision.degraded = degraded !== undefined || outcome.uncounted === true || inquiry.unread !== undefined
    if (outcome.isRepeat) this.noteRepeat(decision)
    // Nobody knows how they stand.
    if (degraded?.policy === 'open') decision.limits = []
    if (inquiry.isKnown && admitted && command.action !== 'check') record?.nowKnown(request.subject)
    const crossed = admitted && command.action !== 'check' ? this.#crossings(decision, charges) : NO_CROSSINGS
    if (crossed.length > 0) this.#crossed.set(decision, crossed)
    const isShared = inquiry.part?.isShared === true
    if (command.reservation && admitted) {
      const { id, ttlMs } = command.reservation
      decision.reservation = new OpenReservation(this.#engine.settling, id, at + ttlMs)
      if (!outcome.isRepeat) record?.reserved(request, program, decision, charges, isShared, id, at + ttlMs)
    } else if (command.reservation && decision.allowed) {
      // Shadow mode would have denied: the caller still gets a reservation to settle, of nothing.
      return reserveNothing(this.#engine, inquiry, command, decision)
    } else if (decision.allowed && command.action === 'consume') {
      record?.consumed(request, program, decision, admitted ? charges : undefined, isShared, command.receipt)
    }
    // Of a part, nobody knows yet whether it stands.
    if (!inquiry.part) this.warn(decision)
    this.#engine.announceOne(inquiry, decision, decision.violations.length > 0 ? digestOf(charges) : undefined)
    return decision
  }

  /** The store, or the ledger, had admitted it before. */
  noteRepeat(decision: Decision): void {
    this.#repeats.add(decision)
  }

  isRepeat(decision: Decision): boolean {
    return this.#repeats.has(decision)
  }

  /** Warns of limits that a request, which stands, took to their `softLimit`. */
  warn(decision: Decision): void {
    for (const crossing of this.#crossed.get(decision) ?? NO_CROSSINGS) {
      if (this.#warned.isFirst(crossing.subject, crossing.limit)) this.#engine.events.emit('warning', crossing)
    }
  }

  /** What is known of the parts holds of the whole. */
  join(parts: readonly Decision[], whole: Decision): void {
    this.#crossed.set(whole, parts.flatMap((part) => this.#crossed.get(part) ?? []))
  }

  /** Limits that this admission took to their `softLimit`. */
  #crossings({ subject, plan, limits }: Decision, { limits: programs, charges }: Charges): readonly Crossing[] {
    if (!this.#engine.events.hasListeners('warning')) return NO_CROSSINGS
    return limits.filter((limit, i) => limit.warning && !isNear(limit.used - charges[i]!.amount, programs[i]!.softLimit!, limit.max)).map((limit) => ({ subject, plan, limit }))
  }
}

function copied({ limits, charges }: Charges): Charges {
  return { limits: [...limits], charges: charges.map((c) => ({ ...c })) }
}
