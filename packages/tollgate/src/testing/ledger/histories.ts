import { deepStrictEqual } from 'node:assert/strict'
import { TollgateError } from '../../errors/index.ts'
import type { LedgerCommand } from '../../ledger/commands.ts'
import type { Entry } from '../../ledger/entries.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { type HistoryOptions, playHistories } from '../histories.ts'
import { booksOf } from './books.ts'
import { type MakeLedger, START_AT } from './fixture.ts'
import type { LedgerHistory } from './history.ts'
import { type Heard, LedgerPlay, type Player } from './play.ts'
import { ReferenceAccount } from './reference.ts'

/** The lowest floor of the histories' overdrafts. */
const FLOOR = -10

/**
 * Plays random histories of commands and steps of the clock on a ledger and on the plainest possible reference. After
 * every step the answer, the balance, and what is left of every grant are the same, the books balance, no refund is more
 * than was taken, and nobody owes more than they may. Needs the package `fast-check`.
 * @throws with the shortest history that fails, line by line
 */
export async function ledgerModel(makeLedger: MakeLedger, options: HistoryOptions): Promise<void> {
  await play('ledgerModel(makeLedger, ', options, async (clock) => {
    const ledger = await makeLedger(clock)
    return { ledgers: [ledger], player: (references) => modelPlayer(new Shown(ledger), references, clock) }
  })
}

/**
 * Plays the same random histories on two ledgers: every answer, every entry, and what balances are and were, is the same.
 * Needs the package `fast-check`.
 * @throws with the shortest history that fails, line by line
 */
export async function compareLedgers(makeOne: MakeLedger, makeOther: MakeLedger, options: HistoryOptions): Promise<void> {
  await play('compareLedgers(makeOne, makeOther, ', options, async (clock) => {
    const [one, other] = [await makeOne(clock), await makeOther(clock)]
    return { ledgers: [one, other], player: (references) => pairPlayer(new Shown(one), new Shown(other), references, clock) }
  })
}

type References = (subject: string) => ReferenceAccount

interface Made {
  ledgers: readonly Ledger[]
  player(references: References): Player
}

let plays = 0

async function play(call: string, options: HistoryOptions, make: (clock: ControlledClock) => Promise<Made>): Promise<void> {
  await playHistories<LedgerHistory>(async () => (await import('./history.ts')).ledgerHistories, call, options, async (history) => {
    const clock = controlledClock(START_AT)
    const { ledgers, player } = await make(clock)
    const references = new Map<string, ReferenceAccount>()
    const referenceOf: References = (subject) => references.get(subject) ?? references.set(subject, new ReferenceAccount()).get(subject)!
    // Also different in each process: databases keep what earlier runs left.
    const judge = player(referenceOf)
    const game = new LedgerPlay(history, clock, judge, `${process.pid.toString(36)}${Date.now().toString(36)}.${++plays}`)
    try {
      await game.run(history)
      await judge.due()
      for (const ledger of ledgers) for (const subject of game.subjects) deepStrictEqual(await ledger.verify(subject), [])
    } catch (error) {
      throw new Error(`${game.lines.join('\n')}\n\n${(error as Error).message}`, { cause: error })
    } finally {
      // Nothing of this history falls due in a later one.
      for (const ledger of ledgers) {
        for (const subject of game.subjects) await ledger.erase(subject)
        await ledger.close()
      }
    }
  })
}

/** What a ledger shows of its accounts. Of entries only the new ones are asked for. */
class Shown {
  readonly ledger: Ledger
  readonly #entries = new Map<string, Entry[]>()

  constructor(ledger: Ledger) {
    this.ledger = ledger
  }

  /** What was answered, or refused. */
  async outcome(subject: string, command: LedgerCommand): Promise<object> {
    return outcomeOf(() => this.ledger.run(subject, command))
  }

  async entries(subject: string): Promise<Entry[]> {
    const known = this.#entries.get(subject) ?? []
    const fresh: Entry[] = []
    for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null && before > known.length + 1; ) {
      const page = await this.ledger.entries(subject, { before, limit: 50 })
      fresh.push(...page.entries.filter(({ seq }) => seq > known.length))
      before = page.next
    }
    const all = [...known, ...fresh.toReversed()]
    this.#entries.set(subject, all)
    return all
  }
}

async function outcomeOf(act: () => Promise<object> | object): Promise<object> {
  try {
    return await act()
  } catch (error) {
    if (!TollgateError.isInstance(error)) throw error
    return { refused: error.code, field: error.field }
  }
}

function heard(outcome: object): Heard {
  if ('refused' in outcome) return { ok: false, words: `${outcome.refused as string}` }
  const { ok, deficit, isReplay, isNear, refunded, lot, balance } = outcome as Awaited<ReturnType<Ledger['run']>>
  const facts = { ...(lot !== undefined && { lot }), ...(refunded !== undefined && { refunded }), ...(isReplay && { isReplay }), ...(isNear && { isNear }), available: balance.available, reserved: balance.reserved }
  return { ok, words: `${ok ? 'ok' : `${deficit} missing`} ${JSON.stringify(facts)}` }
}

function modelPlayer(shown: Shown, referenceOf: References, clock: ControlledClock): Player {
  const subjects = new Set<string>()
  const { ledger } = shown

  async function check(subject: string): Promise<void> {
    const reference = referenceOf(subject)
    reference.advance(clock.now())
    const { at: _, forecast: __, ...balance } = await ledger.balance(subject)
    same(balance, reference.balance(), `the balance of ${subject}`)
    const entries = await shown.entries(subject)
    deepStrictEqual(booksOf(balance, entries), [])
    deepStrictEqual(await ledger.verify(subject), [])
    if (balance.available < FLOOR) throw new Error(`${balance.available} are available, which is below every floor`)
    const left = new Map<number, number>()
    for (const { lot, amount } of entries) if (lot !== null) left.set(lot, (left.get(lot) ?? 0) + amount)
    same(nonZero(left), nonZero(reference.left()), `what is left of the grants of ${subject}`)
  }

  return {
    async ask(subject, command) {
      subjects.add(subject)
      const expected = await outcomeOf(() => referenceOf(subject).run(command, clock.now()))
      const { retryAt: _, ...actual } = (await shown.outcome(subject, command)) as { retryAt?: unknown }
      same(actual, expected, 'the answer')
      await check(subject)
      return heard(actual)
    },
    async due() {
      await ledger.runDue(1000)
      for (const subject of subjects) await check(subject)
    },
    async look(subject, at) {
      await check(subject)
      same(await ledger.balanceAt(subject, at), referenceOf(subject).balanceAt(at), `the balance of ${subject} at ${new Date(at).toISOString()}`)
    },
    ...instantsOf(referenceOf, subjects),
  }
}

function pairPlayer(one: Shown, other: Shown, referenceOf: References, clock: ControlledClock): Player {
  const subjects = new Set<string>()

  async function check(subject: string): Promise<void> {
    same(await one.ledger.balance(subject), await other.ledger.balance(subject), `the balance of ${subject}`)
    same(await one.entries(subject), await other.entries(subject), `the entries of ${subject}`)
  }

  return {
    async ask(subject, command) {
      subjects.add(subject)
      await outcomeOf(() => referenceOf(subject).run(command, clock.now()))
      const [ours, theirs] = [await one.outcome(subject, command), await other.outcome(subject, command)]
      // It tells the balance. Entries are only ever added, so that it is early enough to compare them now and then.
      same(ours, theirs, 'the answer')
      return heard(ours)
    },
    async due() {
      await Promise.all([one.ledger.runDue(1000), other.ledger.runDue(1000)])
      for (const subject of subjects) await check(subject)
    },
    async look(subject, at) {
      same(await one.ledger.balanceAt(subject, at), await other.ledger.balanceAt(subject, at), `the balance of ${subject} at ${new Date(at).toISOString()}`)
      await check(subject)
    },
    ...instantsOf(referenceOf, subjects),
  }
}

function instantsOf(referenceOf: References, subjects: ReadonlySet<string>): Pick<Player, 'edges' | 'revivalAt'> {
  return {
    edges: (subject) => referenceOf(subject).edges(),
    revivalAt: (latestAt) => Math.max(0, ...[...subjects].map((subject) => referenceOf(subject).revivalAt(latestAt))),
  }
}

function nonZero(left: ReadonlyMap<number, number>): Record<number, number> {
  return Object.fromEntries([...left].filter(([, amount]) => amount !== 0))
}

function same(actual: unknown, expected: unknown, what: string): void {
  try {
    deepStrictEqual(actual, expected)
  } catch (error) {
    throw new Error(`${what} (+ actual) differs from what is expected (-):\n${(error as Error).message.split('\n').slice(1).join('\n')}`, { cause: error })
  }
}
