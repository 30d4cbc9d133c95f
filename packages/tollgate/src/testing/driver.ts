import type { Charge } from '../decide/charge.ts'
import type { Clock } from '../engine/clock.ts'
import type { CounterStore, DecideCommand, Outcome, SettleCommand, SettleOutcome, UsageEntry } from '../stores/store.ts'

export interface Asked {
  plan?: string
  /** Of a reservation. Default 60,000. */
  ttlMs?: number
  id?: string
  amounts?: Readonly<Record<string, number>>
  unlessUnknown?: boolean
}

/** An outcome that stays as it is, and the id of what was reserved. */
export interface KeptOutcome extends Outcome {
  id: string
}

let drivers = 0

/** Asks a store as the engine does, waits for every answer, and keeps a copy of it: stores use theirs again. */
export class StoreDriver {
  readonly store: CounterStore
  readonly clock: Clock
  readonly #prefix: string
  #reservations = 0

  /** @param prefix goes before reservations' ids, so that runs that share a database do not meet. */
  constructor(store: CounterStore, clock: Clock, prefix = `d${++drivers}`) {
    this.store = store
    this.clock = clock
    this.#prefix = prefix
  }

  reservationId(subject: string, id: string): string {
    return this.store.reservationId?.(subject, id) ?? id
  }

  check(subject: string, ...charges: Charge[]): Promise<KeptOutcome> {
    return this.decide('check', subject, charges)
  }

  consume(subject: string, ...charges: Charge[]): Promise<KeptOutcome> {
    return this.decide('consume', subject, charges)
  }

  reserve(subject: string, ttlMs: number, ...charges: Charge[]): Promise<KeptOutcome> {
    return this.decide('reserve', subject, charges, { ttlMs })
  }

  async decide(action: DecideCommand['action'], subject: string, charges: readonly Charge[], asked: Asked = {}): Promise<KeptOutcome> {
    const { plan = 'plan', ttlMs = 60_000, id = this.reservationId(subject, `${this.#prefix}-${++this.#reservations}`), amounts = {}, unlessUnknown = false } = asked
    const reservation = action === 'reserve' ? { reservation: { id, ttlMs, memo: { plan, amounts } } } : {}
    const answer = this.store.decide({ subject, plan, charges: charges.map((c) => ({ ...c })), now: this.clock.now(), action, unlessUnknown, ...reservation })
    // An answer given at once is read at once.
    const outcome = answer instanceof Promise ? answer.then(keptOutcome) : keptOutcome(answer)
    return { ...(await outcome), id }
  }

  async settle(action: SettleCommand['action'], id: string, options: { amounts?: Readonly<Record<string, number>>; ttlMs?: number } = {}): Promise<SettleOutcome> {
    const answer = this.store.settle({ id, action, now: this.clock.now(), ...options })
    return answer instanceof Promise ? answer.then(keptSettlement) : keptSettlement(answer)
  }

  /** How cells stand: of charges that name a partition, every live one. */
  async usage(subject: string, charges: readonly Charge[], isPartitioned = false): Promise<UsageEntry[]> {
    const limits = charges.map((charge) => ({ charge: { ...charge, partition: '', digest: '' }, isPartitioned }))
    const entries = await this.store.usage({ subject, limits, now: this.clock.now() })
    return entries.map((entry) => ({ ...entry, verdict: { ...entry.verdict } }))
  }

  async reset(subject: string, cells: readonly string[] | null = null): Promise<void> {
    await this.store.reset(subject, cells)
  }

  async erase(subject: string): Promise<void> {
    await this.store.erase(subject)
  }
}

export function keptOutcome({ at, admitted, verdicts, stale, uncounted }: Outcome): Outcome {
  return { at, admitted, verdicts: verdicts.map((v) => ({ ...v })), ...(stale && { stale: { ...stale } }), ...(uncounted && { uncounted }) }
}

export function keptSettlement(outcome: SettleOutcome): SettleOutcome {
  return outcome.result === 'unknown' ? outcome : { ...outcome, reservation: { ...outcome.reservation } }
}
