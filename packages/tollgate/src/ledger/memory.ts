import type { Clock } from '../engine/clock.ts'
import { TollgateError } from '../errors/index.ts'
import { type Account, dueAt, newAccount } from './account.ts'
import type { LedgerAnswer, LedgerCommand, Remembered } from './commands.ts'
import type { Entry } from './entries.ts'
import type { BalanceNow, EntryList, EntryPage, Ledger } from './ledger.ts'
import { assertCommand, assertInstant, assertSubject } from './input.ts'
import { forgetAt, runCommand } from './machine.ts'
import { balanceNow, listOf, opensAccount, validLimit, validPage } from './reading.ts'
import { verifyAccount } from './verify.ts'

interface Kept {
  readonly account: Account
  readonly entries: Entry[]
  readonly remembered: Map<string, Remembered>
}

export interface MemoryLedgerOptions {
  /** Those of erased subjects included: their entries stay. Default 1,000,000. */
  maxAccounts?: number
}

/** Credits of this process, gone when it ends: for tests, and where they are worth no more than that. */
export class MemoryLedger implements Ledger {
  readonly name = 'memory'
  readonly #clock: Pick<Clock, 'now'>
  readonly #accounts = new Map<string, Kept>()
  /** Of erased subjects. */
  readonly #nameless: Kept[] = []
  readonly #maxAccounts: number
  /** Whose answers are looked at next: those of accounts that nobody asks about are forgotten too. */
  #turns = this.#accounts.values()

  constructor(clock: Pick<Clock, 'now'> = { now: Date.now }, { maxAccounts = 1_000_000 }: MemoryLedgerOptions = {}) {
    this.#clock = clock
    this.#maxAccounts = maxAccounts
  }

  async run(subject: string, command: LedgerCommand): Promise<LedgerAnswer> {
    assertSubject(subject)
    assertCommand(command)
    const now = this.#clock.now()
    const kept = this.#accounts.get(subject) ?? { account: newAccount(), entries: [], remembered: new Map<string, Remembered>() }
    const { answer, entries, remember } = runCommand(kept.account, command, (key) => kept.remembered.get(key), now)
    for (const entry of entries) kept.entries.push(entry)
    for (const [key, value] of remember) kept.remembered.set(key, structuredClone(value))
    forgetSome(kept.remembered, now)
    this.#forgetInTurn(now)
    if ('error' in answer) throw answer.error
    if (!this.#accounts.has(subject) && opensAccount(command, now)) this.#open(subject, kept)
    return structuredClone(answer.value)
  }

  async balance(subject: string, amount?: number): Promise<BalanceNow> {
    assertSubject(subject)
    return balanceNow(structuredClone(this.#accounts.get(subject)?.account ?? newAccount()), this.#clock.now(), amount)
  }

  async entries(subject: string, page: EntryPage = {}): Promise<EntryList> {
    assertSubject(subject)
    const { before, limit } = validPage(page)
    await this.#touch(subject)
    const entries = this.#accounts.get(subject)?.entries ?? []
    return listOf(structuredClone(entries.filter(({ seq }) => seq < before).slice(-limit - 1).toReversed()), limit)
  }

  async balanceAt(subject: string, at: number): Promise<number> {
    assertSubject(subject)
    assertInstant(at, 'at')
    await this.#touch(subject)
    return this.#accounts.get(subject)?.entries.findLast((entry) => entry.at <= at)?.balanceAfter ?? 0
  }

  async runDue(limit: number): Promise<number> {
    const most = validLimit(limit)
    const now = this.#clock.now()
    const due = [...this.#accounts].filter(([, { account }]) => (dueAt(account) ?? Infinity) <= now).slice(0, most)
    for (const [subject] of due) await this.#touch(subject)
    return due.length
  }

  async verify(subject: string | null): Promise<string[]> {
    if (subject !== null) assertSubject(subject)
    const named = [...this.#accounts].filter(([name]) => subject === null || name === subject)
    const nameless = subject === null ? this.#nameless.map((kept, i) => [`erased ${i + 1}`, kept] as const) : []
    return [...named, ...nameless].flatMap(([name, { account, entries }]) => verifyAccount(name, account, entries))
  }

  async erase(subject: string): Promise<void> {
    assertSubject(subject)
    const kept = this.#accounts.get(subject)
    if (!kept) return
    for (const entry of kept.entries) Object.assign(entry, { key: null, reason: null, actor: null })
    kept.remembered.clear()
    this.#accounts.delete(subject)
    this.#nameless.push(kept)
  }

  async close(): Promise<void> {}

  /** @throws OVERLOADED */
  #open(subject: string, kept: Kept): void {
    if (this.#accounts.size + this.#nameless.length >= this.#maxAccounts && !this.#accounts.has(subject)) {
      throw new TollgateError('OVERLOADED', `${this.#maxAccounts} accounts are in memory, those of erased subjects included; raise MemoryLedger's maxAccounts, or keep credits in a database`, { retryAfterMs: 1000 })
    }
    this.#accounts.set(subject, kept)
  }

  #forgetInTurn(now: number): void {
    const { value } = this.#turns.next()
    if (value) forgetSome(value.remembered, now)
    else this.#turns = this.#accounts.values()
  }

  /** Does what is due. Where nothing is, looking changes nothing. */
  async #touch(subject: string): Promise<void> {
    const kept = this.#accounts.get(subject)
    if (kept && (dueAt(kept.account) ?? Infinity) <= this.#clock.now()) await this.run(subject, { kind: 'touch' })
  }
}

/** So that they do not pile up: each call looks at two, in turn. */
function forgetSome(remembered: Map<string, Remembered>, now: number): void {
  const all = remembered.entries()
  for (const { value } of [all.next(), all.next()]) {
    if (!value) return
    const [key, answered] = value
    remembered.delete(key)
    if (now < forgetAt(key, answered)) remembered.set(key, answered)
  }
}
