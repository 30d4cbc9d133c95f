import { deepEqual, equal, fail } from 'node:assert/strict'
import { TollgateError, type TollgateErrorCode } from '../../errors/index.ts'
import type { AllowanceRule, Balance } from '../../ledger/account.ts'
import type { Grant, LedgerAnswer, LedgerCommand, Overage, SetAllowance } from '../../ledger/commands.ts'
import type { Entry, EntryKind } from '../../ledger/entries.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { booksOf } from './books.ts'

export type MakeLedger = (clock: ControlledClock) => Ledger | Promise<Ledger>

/** One thing a ledger must do, by name. */
export type LedgerScenarios = Readonly<Record<string, (f: LedgerFixture) => Promise<void>>>

/** 2027-01-15T08:00Z. */
export const START_AT = 1_800_000_000_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
export const DENY: Overage = { policy: 'deny' }
export const CLAMP: Overage = { policy: 'clamp' }
export const overdraft = (floor: number): Overage => ({ policy: 'overdraft', floor })

let runs = 0

/** What a scenario works with: a ledger under a controlled clock, and subjects that no other scenario has. */
export class LedgerFixture {
  readonly clock: ControlledClock
  readonly ledger: Ledger
  readonly user: string
  readonly other: string
  #keys = 0

  private constructor(ledger: Ledger, clock: ControlledClock, run: string) {
    this.clock = clock
    this.ledger = ledger
    this.user = `user:${run}`
    this.other = `other:${run}`
  }

  static async make(makeLedger: MakeLedger): Promise<LedgerFixture> {
    const clock = controlledClock(START_AT)
    // Also different in each process: databases keep what earlier runs left.
    return new LedgerFixture(await makeLedger(clock), clock, `${process.pid.toString(36)}${Date.now().toString(36)}.${++runs}`)
  }

  /** What must be true after every scenario: the account follows from its entries, and they from each other. */
  async check(): Promise<void> {
    for (const subject of [this.user, this.other]) {
      deepEqual(await this.ledger.verify(subject), [])
      deepEqual(booksOf(await this.ledger.balance(subject), await this.allEntries(subject)), [])
    }
  }

  /** Nothing of this scenario falls due in a later one. */
  async end(): Promise<void> {
    for (const subject of [this.user, this.other]) await this.ledger.erase(subject)
    await this.ledger.close()
  }

  ask(command: LedgerCommand, subject = this.user): Promise<LedgerAnswer> {
    return this.ledger.run(subject, command)
  }

  newKey(): string {
    return `k${++this.#keys}`
  }

  /** Grants, and returns the number of the grant. */
  async grants(amount: number, facts: Partial<Grant> = {}, subject = this.user): Promise<number> {
    const { lot } = await this.#done({ kind: 'grant', amount, source: 'pack', key: this.newKey(), ...facts }, subject)
    equal(typeof lot, 'number')
    return lot!
  }

  deducts(id: string, amount: number, operation?: string): Promise<LedgerAnswer> {
    return this.#done({ kind: 'deduct', id, amount, ...(operation !== undefined && { operation }) })
  }

  holds(id: string, amount: number, ttlMs = 60_000, operation?: string): Promise<LedgerAnswer> {
    return this.#done({ kind: 'hold', id, amount, ttlMs, ...(operation !== undefined && { operation }) })
  }

  commits(id: string, amount?: number, overage: Overage = DENY): Promise<LedgerAnswer> {
    return this.#done({ kind: 'commit', id, overage, ...(amount !== undefined && { amount }) })
  }

  releases(id: string): Promise<LedgerAnswer> {
    return this.#done({ kind: 'release', id })
  }

  async refunds(id: string, amount?: number): Promise<number> {
    const { refunded } = await this.#done({ kind: 'refund', id, key: this.newKey(), ...(amount !== undefined && { amount }) })
    return refunded!
  }

  voids(lot: number): Promise<LedgerAnswer> {
    return this.#done({ kind: 'void', lot, key: this.newKey() })
  }

  /** Makes `rule` the subject's allowance; by itself at once, in a new period, keeping what is left. */
  plan(rule: AllowanceRule | null, change: Partial<SetAllowance> = {}): Promise<LedgerAnswer> {
    return this.#done({ kind: 'setAllowance', rule, at: 'now', proration: 'restart', leftover: 'keep', ...change })
  }

  /** Denied for want of `deficit` credits, and nothing was changed. */
  async denies(deficit: number, command: LedgerCommand, subject = this.user): Promise<LedgerAnswer> {
    return this.changesNothing(async () => {
      const answer = await this.ask(command, subject)
      deepEqual([answer.ok, answer.deficit], [false, deficit])
      return answer
    }, subject)
  }

  /** An error of this code, about this field if one is named, and nothing was changed. */
  async refuses(code: TollgateErrorCode, command: unknown, field?: string, subject = this.user): Promise<TollgateError> {
    return this.changesNothing(async () => {
      const error = await this.ask(command as LedgerCommand, subject).then(
        () => fail(`not refused: ${JSON.stringify(command)}`),
        (refusal: unknown) => refusal,
      )
      if (!TollgateError.isInstance(error)) throw error
      equal(error.code, code, error.message)
      if (field !== undefined) equal(error.field, field, error.message)
      return error
    }, subject)
  }

  async changesNothing<T>(act: () => Promise<T>, subject = this.user): Promise<T> {
    const before = [await this.ledger.balance(subject), await this.allEntries(subject)]
    const result = await act()
    deepEqual([await this.ledger.balance(subject), await this.allEntries(subject)], before)
    return result
  }

  /** The balance, as far as the scenario names it. */
  async has(expected: Partial<Balance>, subject = this.user): Promise<void> {
    const balance = await this.ledger.balance(subject)
    deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, balance[name as keyof Balance]])), expected)
  }

  /** What is left of a grant, held included, by its entries. */
  async left(lot: number | null, subject = this.user): Promise<number> {
    return (await this.allEntries(subject)).reduce((sum, entry) => sum + (entry.lot === lot ? entry.amount : 0), 0)
  }

  /** The oldest first. */
  async allEntries(subject = this.user): Promise<Entry[]> {
    const all: Entry[] = []
    for (let before: number | null | undefined; before !== null; ) {
      const { entries, next } = await this.ledger.entries(subject, { limit: 1000, ...(before !== undefined && { before }) })
      all.push(...entries)
      before = next
    }
    return all.toReversed()
  }

  /** Entries of some kinds, the oldest first, as `[kind, amount]`. */
  async moved(...kinds: EntryKind[]): Promise<[EntryKind, number][]> {
    return (await this.allEntries()).filter(({ kind }) => kinds.length === 0 || kinds.includes(kind)).map(({ kind, amount }) => [kind, amount])
  }

  /** Grants, as `[amount, lot, at]`, the oldest first. */
  async granted(): Promise<[number, number][]> {
    return (await this.allEntries()).filter(({ kind }) => kind === 'grant').map(({ amount, at }) => [amount, at])
  }

  /** Does what is due of everybody. */
  async runsDue(): Promise<void> {
    while ((await this.ledger.runDue(100)) > 0);
  }

  async #done(command: LedgerCommand, subject = this.user): Promise<LedgerAnswer> {
    const answer = await this.ask(command, subject)
    equal(answer.ok, true, `denied: ${JSON.stringify(command)}`)
    equal(answer.at, this.clock.now())
    const { at: _, forecast: __, ...balance } = await this.ledger.balance(subject)
    deepEqual(answer.balance, balance)
    return answer
  }
}

/** A plan's allowance: 100 a month from when it began, nothing carried over. */
export function ruleOf(facts: Partial<AllowanceRule> = {}): AllowanceRule {
  return { plan: 'set/plan', amount: 100, every: 'month', timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true, ...facts }
}
