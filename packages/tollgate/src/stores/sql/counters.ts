import { CellKind } from '../../decide/charge.ts'
import type { Clock } from '../../engine/clock.ts'
import type { CounterStore, DecideCommand, Outcome, SettleCommand, SettleOutcome, UsageCommand, UsageEntry } from '../store.ts'
import type { Answer } from '../answer.ts'
import { Batches } from './batches.ts'
import { SeenAnchors } from '../anchors.ts'
import { type CounterCommand, decideCommand, eraseCommand, lastPlanCommand, type Locks, resetCommand, settleCommand, usageCommand, type Wanted } from './counters/commands.ts'
import { type Changes, CounterRows } from './counters/rows.ts'
import { CounterTables } from './counters/tables.ts'
import type { Database } from './database.ts'
import type { TableOptions } from './tables.ts'

export interface SqlCounterStoreOptions extends TableOptions {
  /** In place of the database's own clock: a test's, or the demo's. */
  clock?: Pick<Clock, 'now'>
  /** `close` closes the database too. Default false: it is its owner's. */
  ownsDatabase?: boolean
}

/** Anchors that a process remembers: about 10 MB. */
const MAX_ANCHORS = 100_000
/** Rows that say nothing are deleted twice as fast as rows are written, so many at a time. */
const TIDY_AFTER_ROWS = 50
const TIDY_AT_MOST = 200

/**
 * Counters in a database, shared by all who use it: exact, and as durable as the database is. The kernel runs as it is,
 * over rows that are loaded and saved in a transaction; commands that come meanwhile go together into the next one. A
 * batch takes two round trips, one that only reads takes one. The tables are made by `migrate`.
 */
export class SqlCounterStore implements CounterStore {
  readonly name: string
  /** As long as the database lets a statement wait for a lock. */
  readonly timeoutMs = 3000
  readonly #database: Database
  readonly #ownsDatabase: boolean
  readonly #tables: CounterTables
  readonly #clock: Pick<Clock, 'now'> | undefined
  readonly #batches: Batches<CounterCommand, unknown>
  readonly #anchors = new SeenAnchors(MAX_ANCHORS)
  #written = 0

  /** @throws INVALID_DEFINITION */
  constructor(database: Database, { clock, ownsDatabase = false, ...options }: SqlCounterStoreOptions = {}) {
    this.name = database.dialect
    this.#database = database
    this.#ownsDatabase = ownsDatabase
    this.#tables = new CounterTables(database.dialect, options)
    this.#clock = clock
    this.#batches = new Batches({ run: (commands) => this.#run(commands), keyOf: ({ key }) => key })
  }

  async decide(command: DecideCommand): Promise<Outcome> {
    const { subject, action } = command
    // Whoever asks uses the charges again before the answer comes.
    const charges = command.charges.map((c) => ({ ...c }))
    const anchor = charges.find(({ kind }) => kind === CellKind.anchor)
    const outcome = await this.#submit(decideCommand({ ...command, charges }, anchor && this.#anchors.get(subject)))
    if (outcome.stale?.anchorAt !== undefined) this.#correct(subject, outcome.stale.anchorAt, outcome.at)
    if (anchor && outcome.admitted && action !== 'check') this.#anchors.see(subject, anchor.startAt)
    return outcome
  }

  settle(command: SettleCommand): Promise<SettleOutcome> {
    return this.#submit(settleCommand({ ...command }))
  }

  usage({ subject, limits, now }: UsageCommand): Promise<UsageEntry[]> {
    const kept = limits.map(({ charge, isPartitioned }) => ({ charge: { ...charge }, isPartitioned }))
    return this.#submit(usageCommand({ subject, limits: kept, now }))
  }

  reset(subject: string, cells: readonly string[] | null): Promise<void> {
    return this.#submit(resetCommand(subject, cells && [...cells]))
  }

  async erase(subject: string): Promise<void> {
    await this.#submit(eraseCommand(subject))
    this.#anchors.forget(subject)
  }

  async lastPlan(subject: string): Promise<string | undefined> {
    const { plan, anchorAt } = await this.#submit(lastPlanCommand(subject))
    // Who asks for the plan reads the subject's usage next, in periods of its own.
    if (anchorAt !== undefined) this.#anchors.see(subject, anchorAt)
    return plan
  }

  knownAnchor(subject: string): number | undefined {
    return this.#anchors.get(subject)
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await this.#batches.idle()
    if (this.#ownsDatabase) await this.#database.close()
  }

  /** Now is what a subject is given that has no anchor: not one to remember. */
  #correct(subject: string, anchorAt: number, now: number): void {
    if (anchorAt === now) this.#anchors.forget(subject)
    else this.#anchors.see(subject, anchorAt)
  }

  #submit<A>(command: CounterCommand<A>): Promise<A> {
    return this.#batches.submit(command) as Promise<A>
  }

  async #run(commands: readonly CounterCommand[]): Promise<Answer<unknown>[]> {
    const wanted: Wanted = { locks: new Set(), cells: [], limits: [], reservations: new Set(), standing: new Set() }
    for (const command of commands) command.want(wanted)
    if (commands.every(({ isRead }) => isRead)) return runAll(commands, await this.#load(this.#database, wanted), NO_LOCKS)
    return this.#database.transaction(async (tx) => {
      const [locks = ALL_LOCKED, rows] = await Promise.all([this.#tables.lock(tx, wanted), this.#load(tx, wanted)])
      const answers = runAll(commands, rows, locks)
      this.#save(tx, rows)
      return answers
    })
  }

  async #load(from: Parameters<CounterTables['load']>[0], wanted: Wanted): Promise<CounterRows> {
    const { at, ...rows } = await this.#tables.load(from, wanted)
    return new CounterRows({ at: this.#clock?.now() ?? at, ...rows })
  }

  #save(tx: Parameters<CounterTables['save']>[0], rows: CounterRows): void {
    const changes = rows.changes()
    this.#tables.save(tx, changes)
    this.#written += sizeOf(changes)
    if (this.#written < TIDY_AFTER_ROWS) return
    const limit = Math.min(2 * this.#written, TIDY_AT_MOST)
    this.#written -= limit / 2
    this.#tables.tidy(tx, rows.at, limit)
  }
}

/** In their order, each over what those before it have left. One that fails fails alone. */
function runAll(commands: readonly CounterCommand[], rows: CounterRows, locks: Locks): Answer<unknown>[] {
  return commands.map((command): Answer<unknown> => {
    try {
      return { value: command.run(rows, locks) }
    } catch (error) {
      return { error }
    }
  })
}

const sizeOf = ({ counters, reservations }: Changes): number => counters.length + reservations.length

const ALL_LOCKED: Locks = { has: () => true }
const NO_LOCKS: Locks = { has: () => false }
