import type { Charges } from '../compile/charges.ts'
import type { Program } from '../compile/program.ts'
import type { DecideCommand, MaybePromise, Outcome } from '../stores/store.ts'
import type { Deciding } from './deciding.ts'
import type { Engine } from './engine.ts'
import { failurePolicyOf, isUnavailable } from './guard.ts'
import { type StoreInquiry, withAnchor } from './inquiry.ts'
import { isOfRecord } from './restoring.ts'
import { LOCAL_ID } from './reservation.ts'
import { Shares, unlimited } from './shares.ts'
import type { Decision, TollgateRequest } from './types.ts'
import { passUnlimited } from './uncounted.ts'

/** Why and how a decision is made without the store. */
interface Outage {
  readonly error: unknown
  readonly policy: 'open' | 'local'
  /** It was not answered in time, and the store may count it yet. */
  readonly call: Promise<Outcome> | undefined
}

/** Decisions without the store: the strictest policy of the request's limits says how. */
export class Outages {
  readonly #engine: Engine
  readonly #deciding: Deciding
  readonly #shares: Shares

  constructor(engine: Engine, deciding: Deciding) {
    this.#engine = engine
    this.#deciding = deciding
    this.#shares = new Shares(engine.config.localShare, engine.config.store)
  }

  /**
   * @param call of the store, where it may yet have its effect
   * @throws the error, under the policy `closed`, and where it is no sign that the store is away
   */
  decide(inquiry: StoreInquiry, command: DecideCommand, charges: Charges, error: unknown, call?: Promise<Outcome>): MaybePromise<Decision> {
    if (!isUnavailable(error)) throw error
    const policy = this.#shares.policyFor(charges)
    this.#engine.events.emit('degraded', { error, policy })
    if (policy === 'closed') throw error
    return this.#decideHere(inquiry, command, charges, { error, policy, call })
  }

  /**
   * What is stored of a subject cannot be read: its limits decide whether it is taken for one of whom nothing is stored.
   * Not where its own periods are counted from an instant that only that says: it would begin new ones.
   * @throws the error, under the policy `closed`, and for a subject with periods of its own
   */
  assertOpenWithout(error: unknown, { subject }: TollgateRequest, program: Program, charges: Charges): void {
    const isUnanchored = program.isAnchored && this.#engine.config.store.knownAnchor(this.#engine.keyOf(subject)) === undefined
    const policy = isUnanchored ? 'closed' : failurePolicyOf(charges)
    this.#engine.events.emit('degraded', { error, policy })
    if (policy === 'closed') throw error
  }

  /**
   * This process counts by itself: under `local` by its share of each limit, under `open` what is to be replayed; and from
   * its own first use where it knows no anchor.
   */
  #decideHere(inquiry: StoreInquiry, command: DecideCommand, asked: Charges, outage: Outage): MaybePromise<Decision> {
    const { error, policy, call } = outage
    const charges = policy === 'open' ? unlimited(asked) : this.#shares.within(asked)
    const local = { ...command, unlessUnknown: false, charges: charges.charges, ...(command.reservation && { reservation: { ...command.reservation, id: LOCAL_ID + command.reservation.id } }) }
    let outcome: Outcome
    try {
      outcome = this.#engine.localStore().decide(local)
    } catch (full) {
      if (policy === 'open') return passUnlimited(this.#engine, inquiry, true)
      throw full
    }
    if (outcome.stale) {
      const known = withAnchor(inquiry, outcome.stale.anchorAt)
      return this.#decideHere(known, command, this.#deciding.compile(known, command.now), outage)
    }
    // What the record did not answer for, it has itself: it comes with the subject's totals.
    if (outcome.admitted && command.action === 'consume' && !isOfRecord(error)) this.#engine.replay.consumed(inquiry.request.subject, inquiry.program.id, charges.charges, call)
    return this.#deciding.conclude(inquiry, local, charges, outcome, { policy, shares: policy === 'local' ? this.#shares : undefined })
  }
}
