import type { Clock } from '../engine/clock.ts'
import { type Account, dueAt, newAccount } from './account.ts'
import type { LedgerAnswer, LedgerCommand, Remembered } from './commands.ts'
import type { Entry } from './entries.ts'
import type { BalanceNow, EntryList, EntryPage, Ledger } from './ledger.ts'
import { runCommand } from './machine.ts'
import { balanceNow, listOf, opensAccount, validPage } from './reading.ts'
import { verifyAccount } from './verify.ts'

interface Kept {
  readonly account: Account
  readonly entries: Entry[]
  readonly remembered: Map<string, Remembered>
}

/** Credits of this process, gone when it ends: for tests, and where they are worth no more than that. */
export class MemoryLedger implements Ledger {
  readonly name = 'memory'
  readonly #clock: Pick<Clock, 'now'>
  readonly #accounts = new Map<string, Kept>()
  #erased = 0

  constructor(clock: Pick<Clock, 'now'> = { now: Date.now }) {
    this.#clock = clock
  }

  async run(subject: string, command: LedgerCommand): Promise<LedgerAnswer> {
    const kept = this.#accounts.get(subject) ?? { account: newAccount(), entries: [], remembered: new Map<string, Remembered>() }
    const { answer, entries, remember } = runCommand(kept.account, command, (key) => kept.remembered.get(key), this.#clock.now())
    kept.entries.push(...entries)
    for (const [key, value] of remember) kept.remembered.set(key, structuredClone(value))
    if ('error' in answer) throw answer.error
    if (opensAccount(command)) this.#accounts.set(subject, kept)
    return structuredClone(answer.value)
  }

  async balance(subject: string, amount?: number): Promise<BalanceNow> {
    return balanceNow(structuredClone(this.#accounts.get(subject)?.account ?? newAccount()), this.#clock.now(), amount)
  }

  async entries(subject: string, page: EntryPage = {}): Promise<EntryList> {
    const { before, limit } = validPage(page)
    await this.#touch(subject)
    const entries = this.#accounts.get(subject)?.entries ?? []
    return listOf(entries.filter(({ seq }) => seq < before).toReversed().slice(0, limit + 1), limit)
  }

  async balanceAt(subject: string, at: number): Promise<number> {
    await this.#touch(subject)
    return this.#accounts.get(subject)?.entries.findLast((entry) => entry.at <= at)?.balanceAfter ?? 0
  }

  async runDue(limit: number): Promise<number> {
    const now = this.#clock.now()
    const due = [...this.#accounts].filter(([, { account }]) => (dueAt(account) ?? Infinity) <= now).slice(0, limit)
    for (const [subject] of due) await this.#touch(subject)
    return due.length
  }

  async verify(subject: string | null): Promise<string[]> {
    const all = [...this.#accounts].filter(([name]) => subject === null || name === subject)
    return all.flatMap(([name, { account, entries }]) => verifyAccount(name, account, entries))
  }

  async erase(subject: string): Promise<void> {
    const kept = this.#accounts.get(subject)
    if (!kept) return
    for (const entry of kept.entries) Object.assign(entry, { key: null, reason: null, actor: null })
    kept.remembered.clear()
    this.#accounts.delete(subject)
    this.#accounts.set(`\0${++this.#erased}`, kept)
  }

  async close(): Promise<void> {}

  async #touch(subject: string): Promise<void> {
    if (this.#accounts.has(subject)) await this.run(subject, { kind: 'touch' })
  }
}
