import { createHash } from 'node:crypto'
import type { Clock } from '../engine/clock.ts'
import { TollgateError } from '../errors/index.ts'
import type { Answer } from '../stores/answer.ts'
import { Batches } from '../stores/sql/batches.ts'
import type { Database, Transaction } from '../stores/sql/database.ts'
import type { TableOptions } from '../stores/sql/tables.ts'
import { isLocked } from '../stores/sql/unavailable.ts'
import { type Account, dueAt, newAccount } from './account.ts'
import type { LedgerAnswer, LedgerCommand, Remembered } from './commands.ts'
import type { Entry } from './entries.ts'
import type { BalanceNow, EntryList, EntryPage, Ledger } from './ledger.ts'
import { assertCommand, assertInstant, assertSubject } from './input.ts'
import { forgetAt, keyOf, otherKeyOf, runCommand } from './machine.ts'
import { balanceNow, listOf, opensAccount, validLimit, validPage } from './reading.ts'
import { type Changes, LedgerTables } from './tables.ts'
import { verifyAccount } from './verify.ts'

export interface SqlLedgerOptions extends TableOptions {
  /** In place of the database's own clock: a test's, or the demo's. */
  clock?: Pick<Clock, 'now'>
  /** Commands in one transaction. Default 100. */
  maxBatch?: number
  /** Transactions at a time. Default 2. */
  maxInFlight?: number
}

interface Asked {
  readonly subject: string
  readonly command: LedgerCommand
  /** What was answered by the command's keys is found by. */
  readonly ids: ReadonlyMap<string, string>
  /** The answer to an earlier attempt may have been lost, so an answer that was given before is this one's. */
  readonly isRetry: boolean
}

const ATTEMPTS = 3
const DUE_AT_ONCE = 100
/** Answers that count no more are forgotten twice as fast as answers are written down, and at least so many at a time. */
const TIDY_AT_LEAST = 20

/** Credits in a database: commands that come while a transaction is under way go together into the next one. */
export class SqlLedger implements Ledger {
  readonly name: string
  readonly #database: Database
  readonly #tables: LedgerTables
  readonly #clock: Pick<Clock, 'now'> | undefined
  readonly #batches: Batches<Asked, LedgerAnswer>

  constructor(database: Database, options: SqlLedgerOptions = {}) {
    this.name = database.dialect
    this.#database = database
    this.#clock = options.clock
    this.#tables = new LedgerTables(database.dialect, options)
    this.#batches = new Batches({ run: (asked) => this.#transact(asked), keyOf: ({ subject }) => subject, maxBatch: options.maxBatch ?? 100, maxInFlight: options.maxInFlight ?? 2 })
  }

  async run(subject: string, command: LedgerCommand): Promise<LedgerAnswer> {
    assertSubject(subject)
    assertCommand(command)
    const ids = idsOf(subject, command)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#batches.submit({ subject, command, ids, isRetry: attempt > 1 })
      } catch (error) {
        // Every command has its effect once, so what may have been lost is simply asked again.
        if (attempt === ATTEMPTS || !isLostReply(error)) throw error
      }
    }
  }

  /**
   * The same as part of a transaction of your own: it has its effect when you commit, and none when you roll back. The
   * account stays locked until then, so ask late in your transaction and end it soon. After an error, roll it back.
   */
  async runIn(tx: Transaction, subject: string, command: LedgerCommand): Promise<LedgerAnswer> {
    assertSubject(subject)
    assertCommand(command)
    const { answers, changes } = await this.#decide(tx, [{ subject, command, ids: idsOf(subject, command), isRetry: false }])
    await Promise.all(this.#tables.save(tx, changes))
    const answer = answers[0]!
    if ('error' in answer) throw answer.error
    return answer.value
  }

  async balance(subject: string, amount?: number): Promise<BalanceNow> {
    assertSubject(subject)
    const { account, now } = await this.#read(subject)
    return balanceNow(account, now, amount)
  }

  async entries(subject: string, page: EntryPage = {}): Promise<EntryList> {
    assertSubject(subject)
    const { before, limit } = validPage(page)
    await this.#touch(subject)
    return listOf(await this.#tables.entries(this.#database, subject, before, limit + 1), limit)
  }

  async balanceAt(subject: string, at: number): Promise<number> {
    assertSubject(subject)
    assertInstant(at, 'at')
    await this.#touch(subject)
    return this.#tables.balanceAt(this.#database, subject, at)
  }

  async runDue(limit: number): Promise<number> {
    const subjects = await this.#tables.due(this.#database, this.#clock?.now(), Math.min(validLimit(limit), DUE_AT_ONCE))
    const done = await Promise.allSettled(subjects.map((subject) => this.run(subject, { kind: 'touch' })))
    const failed = done.find((each) => each.status === 'rejected')
    if (failed) throw failed.reason
    return subjects.length
  }

  async verify(subject: string | null): Promise<string[]> {
    if (subject !== null) assertSubject(subject)
    const faults: string[] = []
    for await (const { name, row, entries } of this.#tables.histories(this.#database, subject)) faults.push(...faultsOf(name, row, entries))
    return faults
  }

  async erase(subject: string): Promise<void> {
    assertSubject(subject)
    await this.#database.transaction((tx) => this.#tables.erase(tx, subject, digestOf(subject)))
  }

  /** Forgets answers that nobody can ask for again: up to `limit`. Returns how many there were. */
  forget(limit: number): Promise<number> {
    return this.#tables.forget(this.#database, this.#clock?.now(), limit)
  }

  /** Waits for what is under way; the database stays open, as it is its owner's. */
  close(): Promise<void> {
    return this.#batches.idle()
  }

  /** Does what is due. Where nothing is, it locks nothing. */
  async #touch(subject: string): Promise<void> {
    const { account, now } = await this.#read(subject)
    if ((dueAt(account) ?? Infinity) <= now) await this.run(subject, { kind: 'touch' })
  }

  async #read(subject: string): Promise<{ account: Account; now: number }> {
    const { row, now } = await this.#tables.read(this.#database, subject)
    return { account: accountOf(row), now: this.#clock?.now() ?? now }
  }

  #transact(asked: readonly Asked[]): Promise<readonly Answer<LedgerAnswer>[]> {
    return this.#database.transaction(async (tx) => {
      const { answers, changes } = await this.#decide(tx, asked)
      // Not awaited: it travels with the commit.
      this.#tables.save(tx, changes)
      // Last, or what it locks could be waited for. In somebody's own transaction there is more to come.
      if (changes.remembered.length > 0) this.#tables.tidy(tx, this.#clock?.now(), Math.max(TIDY_AT_LEAST, 2 * changes.remembered.length))
      return answers
    })
  }

  /** Locks the accounts, and leaves to the caller to save what becomes of them. */
  async #decide(tx: Transaction, asked: readonly Asked[]): Promise<Decided> {
    const subjects = [...new Set(asked.map(({ subject }) => subject))].toSorted()
    const ids = [...new Set(asked.flatMap((each) => [...each.ids.values()]))].toSorted()
    let found = await this.#tables.lock(tx, subjects, ids)
    let now = this.#clock?.now() ?? found.now
    const { states } = found
    const missing = [...new Set(asked.flatMap(({ subject, command }) => (!states.has(subject) && opensAccount(command, now) ? [subject] : [])))].toSorted()
    if (missing.length > 0) {
      // Somebody else may have opened one meanwhile, and answered the same command: all is read again, under its lock.
      const opened = this.#tables.open(tx, missing, JSON.stringify(newAccount()))
      ;[found] = await Promise.all([this.#tables.lock(tx, subjects, ids), opened])
      // Not earlier: what opened no account must not succeed now.
      now = Math.max(now, this.#clock?.now() ?? found.now)
    }
    return runAll(asked, found.states, found.remembered, now)
  }
}

interface Kept {
  readonly value: Remembered
  readonly forgetAt: number
}

interface Decided {
  readonly answers: readonly Answer<LedgerAnswer>[]
  readonly changes: Changes
}

export interface AccountRow {
  readonly id: number
  readonly state: string
}

/** The pure middle of a transaction: commands in their order, over what was loaded. */
function runAll(asked: readonly Asked[], states: ReadonlyMap<string, AccountRow>, rows: ReadonlyMap<string, string>, now: number): Decided {
  const accounts = new Map<string, Account>()
  const remembered = new Map<string, Kept>()
  const entries: { subject: string; entry: Entry }[] = []
  const answers = asked.map(({ subject, command, ids, isRetry }): Answer<LedgerAnswer> => {
    let account = accounts.get(subject)
    // One that cannot be read fails alone.
    try {
      if (!account) accounts.set(subject, (account = accountOf(states.get(subject))))
    } catch (error) {
      return { error }
    }
    const known = (key: string): Remembered | undefined => {
      const id = ids.get(key) ?? idOf(subject, key)
      const row = rows.get(id)
      return remembered.get(id)?.value ?? (row === undefined ? undefined : (JSON.parse(row) as Remembered))
    }
    const step = runCommand(account, command, known, now)
    if (!states.has(subject)) return step.answer
    for (const entry of step.entries) entries.push({ subject, entry })
    for (const [key, value] of step.remember) {
      remembered.set(ids.get(key) ?? idOf(subject, key), { value, forgetAt: forgetAt(key, value) })
    }
    return isRetry ? firstAnswer(step.answer) : step.answer
  })
  return { answers, changes: changesOf(accounts, states, entries, remembered) }
}

function changesOf(accounts: ReadonlyMap<string, Account>, states: ReadonlyMap<string, AccountRow>, entries: readonly { subject: string; entry: Entry }[], remembered: ReadonlyMap<string, Kept>): Changes {
  const changed: Changes['accounts'] = []
  for (const [subject, account] of accounts) {
    const row = states.get(subject)
    const state = JSON.stringify(account)
    if (row && state !== row.state) changed.push({ id: row.id, state, due_at: dueAt(account) })
  }
  const idIn = (subject: string): number => states.get(subject)!.id
  return {
    accounts: changed,
    entries: entries.map(({ subject, entry: { at, seq, kind, amount, balanceAfter, lot, reservation, operation } }) => ({ account_id: idIn(subject), seq, at, kind, amount, balance_after: balanceAfter, lot, reservation, operation })),
    notes: entries.filter(({ entry: { key, reason, actor } }) => key ?? reason ?? actor).map(({ subject, entry: { seq, key, reason, actor } }) => ({ account_id: idIn(subject), seq, key, reason, actor })),
    remembered: [...remembered].map(([id, { value, forgetAt }]) => ({ id, body: JSON.stringify(value), forget_at: forgetAt })),
  }
}

function faultsOf(name: string, row: AccountRow, entries: readonly Entry[]): string[] {
  try {
    return verifyAccount(name, accountOf(row), entries)
  } catch (error) {
    return [`${name}: ${(error as Error).message}`]
  }
}

function accountOf(row: AccountRow | undefined): Account {
  if (!row) return newAccount()
  const unreadable = (cause?: unknown) => new Error(`account ${row.id}: what is stored of it cannot be read; restore its row from a backup`, { cause })
  let account: Account | null
  try {
    account = JSON.parse(row.state) as Account | null
  } catch (error) {
    throw unreadable(error)
  }
  if (!Array.isArray(account?.lots)) throw unreadable()
  return account
}

function firstAnswer(answer: Answer<LedgerAnswer>): Answer<LedgerAnswer> {
  if ('error' in answer) return answer
  const { isReplay: _, ...value } = answer.value
  return { value }
}

/** Of the keys that a command looks at. */
function idsOf(subject: string, command: LedgerCommand): Map<string, string> {
  const keys = [keyOf(command), otherKeyOf(command)].filter((key) => key !== undefined)
  return new Map(keys.map((key) => [key, idOf(subject, key)]))
}

/** Of everybody's keys, this subject's: digests, so that an erased subject's name is in none. */
function idOf(subject: string, key: string): string {
  return digestOf(subject) + digestOf(key)
}

/** 128 bits of a SHA-256. */
function digestOf(text: string): string {
  return createHash('sha256').update(text).digest().toString('base64url', 0, 16)
}

function isLostReply(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.code === 'STORE_UNAVAILABLE' && !isLocked(error)
}
