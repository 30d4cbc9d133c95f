import { assertInteger, assertText, MAX_TTL_MS, validateAmounts } from '../compile/request.ts'
import { show, TollgateError } from '../errors/index.ts'
import type { MaybePromise, SettleCommand, SettleOutcome, StoredReservation } from '../stores/store.ts'
import { LATE_COMMIT_MS } from '../stores/settlement.ts'
import { settleCredits } from './credits.ts'
import type { Engine } from './engine.ts'
import { aborted, isPromise, isUnavailable, type StoreGuard } from './guard.ts'
import { LOCAL_ID, settlementOf } from './reservation.ts'
import type { CommitOptions, Settlement } from './types.ts'

const SETTLE_ATTEMPTS = 3
/** What a settlement leaves behind. */
const STATUS_AFTER = { commit: 'committed', release: 'released', undo: 'released', extend: 'open' } as const

export interface SettleOptions {
  amounts?: Readonly<Record<string, number>>
  ttlMs?: number
  onlyOpen?: boolean
  signal?: AbortSignal
}

/** From a reservation to its settlement. */
export class Settling {
  readonly #engine: Engine
  readonly #guard: StoreGuard

  constructor(engine: Engine, guard: StoreGuard) {
    this.#engine = engine
    this.#guard = guard
  }

  commit(id: string, { amounts, signal }: CommitOptions = {}): Promise<Settlement> {
    return this.settle(id, 'commit', { ...(amounts && { amounts: amounts as Record<string, number> }), ...(signal && { signal }) })
  }

  release(id: string, options: { onlyOpen?: boolean } = {}): Promise<Settlement> {
    return this.settle(id, 'release', options)
  }

  async settle(id: string, action: SettleCommand['action'], asked: SettleOptions = {}): Promise<Settlement> {
    this.#engine.assertOpen()
    if (asked.signal?.aborted) throw aborted()
    assertText(id, 'id')
    if (asked.amounts !== undefined) validateAmounts(asked.amounts, this.#engine.config.catalog.meters)
    const options: SettleOptions = asked.amounts === undefined ? asked : { ...asked, amounts: named(asked.amounts) }
    if (action === 'extend') assertInteger(options.ttlMs, 'ttlMs', 1, MAX_TTL_MS)
    const outcome = await this.#settleInStore(id, action, options)
    if (outcome.result === 'unknown') throw new TollgateError('UNKNOWN_RESERVATION', `id: ${show(id)} is not a reservation, or it ended more than a day ago`, { field: 'id' })
    const settlement = settlementOf(outcome.reservation, this.#engine.config.keyPrefix)
    if (outcome.result === 'settled-before') {
      await this.#finish(outcome.reservation)
      const standing = action === 'release' && !options.onlyOpen ? await this.#giveBack(outcome.reservation) : undefined
      if (standing) return this.#settled({ ...settlement, status: 'released', settledAt: standing.settledAt }, action)
      throw new TollgateError('ALREADY_SETTLED', `id: the reservation was ${settlement.status} before; a reservation is settled once`, { field: 'id', details: { reservation: settlement } })
    }
    if (outcome.result === 'expired') {
      throw new TollgateError('RESERVATION_EXPIRED', 'id: the hold has expired and cannot be extended; commit what was used, or reserve again', { field: 'id', details: { reservation: settlement } })
    }
    for (const linked of outcome.reservation.memo.linked ?? []) await this.#settleInStore(linked, action, options)
    const { credits } = outcome.reservation.memo
    if (credits) await settleCredits(this.#engine, credits, settlement.plan, action, options)
    return this.#settled(settlement, action)
  }

  #settled(settlement: Settlement, action: SettleCommand['action']): Settlement {
    if (action !== 'extend') this.#engine.events.emit('settled', { settlement })
    return settlement
  }

  /** The settlement of several subjects may have broken off after the first: whoever tries again completes it. */
  async #finish({ status, memo, settledAt }: StoredReservation): Promise<void> {
    const action = status === 'committed' ? 'commit' : 'release'
    for (const linked of memo.linked ?? []) await this.#settleInStore(linked, action, { amounts: memo.amounts, onlyOpen: true })
    // What was free would be spent anew, once the ledger has forgotten that it was spent.
    const isForgotten = memo.credits?.isFree === true && this.#engine.config.clock.now() - settledAt! > LATE_COMMIT_MS
    if (memo.credits && !isForgotten) await settleCredits(this.#engine, memo.credits, memo.plan, action, { amounts: memo.amounts })
  }

  /** Of several subjects, capacity may stand in another's reservation than the one that the caller knows. */
  async #giveBack({ status, memo }: StoredReservation): Promise<StoredReservation | undefined> {
    let standing: StoredReservation | undefined
    if (status !== 'committed') return undefined
    for (const linked of memo.linked ?? []) {
      const outcome = await this.#settleInStore(linked, 'release', {})
      if (outcome.result === 'settled') standing = outcome.reservation
    }
    return standing
  }

  #settleInStore(id: string, action: SettleCommand['action'], { amounts, ttlMs, onlyOpen, signal }: SettleOptions): MaybePromise<SettleOutcome> {
    const isLocal = id.startsWith(LOCAL_ID)
    const store = isLocal ? this.#engine.localStore() : this.#engine.config.store
    if (!isLocal) this.#guard.assertRoom()
    const command: SettleCommand = { id, action, now: this.#engine.config.clock.now(), keyPrefix: this.#engine.config.keyPrefix, ...(this.#engine.record && !isLocal && { isRecorded: true }), ...(amounts && { amounts }), ...(ttlMs !== undefined && { ttlMs }), ...(onlyOpen && { onlyOpen }) }
    const answer = store.settle(command)
    if (isPromise(answer)) return this.#settleStubbornly(action, answer, () => store.settle(command), signal).then((outcome) => this.#recordSettled(outcome, action))
    if (isLocal && action === 'commit' && answer.result === 'settled') this.#engine.replay.committed(answer.reservation)
    return this.#recordSettled(answer, action)
  }

  #recordSettled(outcome: SettleOutcome, action: SettleCommand['action']): SettleOutcome {
    if (outcome.result === 'settled') this.#engine.record?.settled(outcome.reservation, action)
    // Whoever settled it may not have heard of that, and told nobody.
    else if (outcome.result === 'settled-before' && outcome.reservation.status === 'committed' && outcome.reservation.charges.length > 0) this.#engine.record?.settled(outcome.reservation, 'commit')
    return outcome
  }

  /** Settling twice has the effect of once, so a reply that was lost is asked for again. */
  async #settleStubbornly(action: SettleCommand['action'], first: Promise<SettleOutcome>, again: () => MaybePromise<SettleOutcome>, signal: AbortSignal | undefined): Promise<SettleOutcome> {
    let answer = first
    for (let attempt = 1; ; attempt++) {
      try {
        const outcome = await this.#guard.within(answer, signal)
        // Somebody else may have settled it meanwhile, the other way.
        const isOurs = attempt > 1 && outcome.result === 'settled-before' && outcome.reservation.status === STATUS_AFTER[action]
        return isOurs ? { ...outcome, result: 'settled' } : outcome
      } catch (error) {
        if (attempt === SETTLE_ATTEMPTS || !isUnavailable(error) || this.#guard.breaker?.isOpen) throw error
        answer = Promise.resolve(again())
      }
    }
  }

  undo(id: string): MaybePromise<SettleOutcome> {
    return this.#settleInStore(id, 'undo', {})
  }

  /** Takes a reservation back with those of the request's other subjects. What cannot be reached expires by itself. */
  async undoAll(id: string): Promise<void> {
    try {
      const outcome = await this.undo(id)
      const linked = outcome.result === 'settled' ? (outcome.reservation.memo.linked ?? []) : []
      await Promise.allSettled(linked.map((each) => this.undo(each)))
    } catch (error) {
      if (!isUnavailable(error)) throw error
    }
  }
}

/** A meter that is there without an amount is not named. */
function named(amounts: Readonly<Record<string, number | undefined>>): Record<string, number> {
  return Object.fromEntries(Object.entries(amounts).filter((entry): entry is [string, number] => entry[1] !== undefined))
}
