import { deepEqual, equal } from 'node:assert/strict'
import { CellKind, type Charge, type Verdict } from '../../decide/charge.ts'
import type { CounterStore, SettleOutcome, StoredReservation } from '../../stores/store.ts'
import { chargeOf, type ChargeFacts } from '../charges.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { type KeptOutcome, StoreDriver } from '../driver.ts'

export type MakeStore = (clock: ControlledClock) => CounterStore | Promise<CounterStore>

/** One thing a store must do, by name. */
export type Scenarios = Readonly<Record<string, (f: Fixture) => Promise<void>>>

/** A minute, an hour and an epoch-aligned window all begin here. */
export const START_AT = 1_800_000_000_000

let runs = 0

/** What a scenario works with: a store under a controlled clock, and subjects that no other scenario has. */
export class Fixture {
  readonly clock: ControlledClock = controlledClock(START_AT)
  readonly driver: StoreDriver
  readonly user: string
  readonly other: string

  private constructor(store: CounterStore, clock: ControlledClock, run: string) {
    this.clock = clock
    this.driver = new StoreDriver(store, clock, run)
    this.user = `user:${run}`
    this.other = `other:${run}`
  }

  static async make(makeStore: MakeStore): Promise<Fixture> {
    const clock = controlledClock(START_AT)
    // Also different in each process: stores may keep what earlier runs left.
    return new Fixture(await makeStore(clock), clock, `${process.pid.toString(36)}${Date.now().toString(36)}.${++runs}`)
  }

  async admits(...charges: Charge[]): Promise<readonly Verdict[]> {
    return (await this.#decided(true, await this.driver.consume(this.user, ...charges))).verdicts
  }

  async denies(...charges: Charge[]): Promise<readonly Verdict[]> {
    return (await this.#decided(false, await this.driver.consume(this.user, ...charges))).verdicts
  }

  /** The id of a reservation that was admitted. */
  async reserves(ttlMs: number, ...charges: Charge[]): Promise<string> {
    return (await this.#decided(true, await this.driver.reserve(this.user, ttlMs, ...charges))).id
  }

  async settles(action: 'commit' | 'release' | 'undo' | 'extend', id: string, options: { amounts?: Readonly<Record<string, number>>; ttlMs?: number } = {}): Promise<StoredReservation> {
    return reservationOf(await this.driver.settle(action, id, options), 'settled')
  }

  /** Looks at one charge without writing. */
  async look(charge: Charge, subject = this.user): Promise<Verdict> {
    return (await this.driver.check(subject, charge)).verdicts[0]!
  }

  async uses(used: number, charge: Charge, subject = this.user): Promise<void> {
    equal((await this.look(charge, subject)).used, used)
  }

  /** Denied now and until a millisecond before `at`, and no longer: then the same charge passes. */
  async freesAt(at: number, charge: Charge): Promise<void> {
    const now = this.clock.now()
    equal((await this.denies(charge))[0]!.retryAt, at)
    this.clock.set(at - 1)
    equal((await this.look(charge)).passes, false, 'a millisecond before')
    this.clock.set(at)
    equal((await this.look(charge)).passes, true, 'at the instant')
    this.clock.set(now)
  }

  async #decided(admitted: boolean, outcome: KeptOutcome): Promise<KeptOutcome> {
    equal(outcome.admitted, admitted, JSON.stringify(outcome))
    deepEqual(outcome.at, this.clock.now())
    return outcome
  }
}

export function reservationOf(outcome: SettleOutcome, result: SettleOutcome['result']): StoredReservation {
  equal(outcome.result, result)
  return (outcome as { reservation: StoredReservation }).reservation
}

type Facts = Partial<Omit<ChargeFacts, 'kind'>>

const made =
  (kind: CellKind, defaults: Facts) =>
  (facts: Facts = {}): Charge =>
    chargeOf({ cell: `conformance/${kind}`, kind, ...defaults, ...facts })

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** The quota of the hour that begins when a scenario does. */
export const quota = made(CellKind.quota, { max: 10, startAt: START_AT, endAt: START_AT + HOUR_MS })
/** The hours after it, or before it. */
export const quotaOfHour = (n: number, facts: Facts = {}): Charge => quota({ startAt: START_AT + n * HOUR_MS, endAt: START_AT + (n + 1) * HOUR_MS, ...facts })
export const fixedWindow = made(CellKind.fixedWindow, { max: 10, windowMs: 60_000 })
export const slidingCounter = made(CellKind.slidingCounter, { max: 10, windowMs: 60_000 })
export const slidingLog = made(CellKind.slidingLog, { max: 10, windowMs: 60_000 })
export const tokenBucket = made(CellKind.tokenBucket, { max: 10, windowMs: 60_000, refill: 10 })
export const cooldown = made(CellKind.cooldown, { max: 1, windowMs: 5000 })
export const concurrency = made(CellKind.concurrency, { max: 2 })
export const capacity = made(CellKind.capacity, { max: 3 })
export const stated = made(CellKind.stated, { max: 3 })
export const anchor = made(CellKind.anchor, { cell: '@anchor', amount: 0, startAt: START_AT, retainMs: Infinity })

/** One of every kind that counts, each with room for more. */
export const oneOfEach = (facts: Facts = {}): Charge[] => [quota, fixedWindow, slidingCounter, slidingLog, tokenBucket, cooldown, concurrency, capacity].map((make) => make(facts))

export const nameOf = ({ kind }: Charge): string => Object.keys(CellKind).find((name) => CellKind[name as keyof typeof CellKind] === kind)!
