import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TollgateError } from '../errors/index.ts'
import type { Database } from '../stores/sql/database.ts'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { Random } from '../testing/random.ts'
import type { LedgerAnswer, LedgerCommand } from './commands.ts'
import { SqlLedger } from './sql.ts'

const NOW = Date.UTC(2026, 10, 22)
const clock = { now: () => NOW }

/** Where a connection is lost: with the work rolled back, or written. */
type Loss = 'before the commit' | 'after the commit'

/** A database whose transactions lose their connection as `next` says. */
function losing(database: Database, next: () => Loss | undefined): Database {
  const lost = () => new TollgateError('STORE_UNAVAILABLE', 'the connection was lost', { retryAfterMs: 1000 })
  return {
    dialect: database.dialect,
    query: (sql, params) => database.query(sql, params),
    close: () => database.close(),
    transaction: async (work, options) => {
      const loss = next()
      const value = await database.transaction(async (tx) => {
        const done = await work(tx)
        if (loss === 'before the commit') throw lost()
        return done
      }, options)
      if (loss === 'after the commit') throw lost()
      return value
    },
  }
}

const rule = { plan: 'test/plus', amount: 50, every: 'month', timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true } as const
const BEFORE: LedgerCommand[] = [
  { kind: 'grant', key: 'first', amount: 100, source: 'pack' },
  { kind: 'hold', id: 'held', amount: 20, ttlMs: 60_000 },
  { kind: 'hold', id: 'held too', amount: 5, ttlMs: 60_000 },
  { kind: 'deduct', id: 'spent', amount: 10 },
]
const COMMANDS: LedgerCommand[] = [
  { kind: 'grant', key: 'second', amount: 7, source: 'pack', reason: 'paid', actor: 'shop' },
  { kind: 'void', key: 'void', lot: 1 },
  { kind: 'hold', id: 'new', amount: 30, ttlMs: 60_000, operation: 'chat' },
  { kind: 'deduct', id: 'new', amount: 30, operation: 'chat' },
  { kind: 'commit', id: 'held', amount: 25, overage: { policy: 'deny' } },
  { kind: 'commit', id: 'held', amount: 200, overage: { policy: 'overdraft', floor: -100 } },
  { kind: 'release', id: 'held' },
  { kind: 'extend', id: 'held', ttlMs: 120_000 },
  { kind: 'refund', key: 'refund', id: 'spent', amount: 4 },
  { kind: 'setAllowance', rule, at: 'now', proration: 'restart', leftover: 'keep' },
  { kind: 'touch' },
]

describe.each(DIALECTS)('%s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let database: Database
  let healthy: SqlLedger
  beforeAll(async () => {
    opened = await openedBy(4, dialect)
    database = opened.databases[0]!
    healthy = new SqlLedger(database, { clock })
  })
  afterAll(() => opened.drop())

  /** In order, and in one transaction. */
  const run = (subject: string, commands: readonly LedgerCommand[]): Promise<LedgerAnswer[]> => Promise.all(commands.map((command) => healthy.run(subject, command)))
  const stateOf = async (subject: string) => ({ ...(await healthy.entries(subject)), ...(await healthy.balance(subject)) })

  it('has one effect of a key, whoever asks at once, for a subject that is new', async () => {
    const ledgers = opened.databases.map((each) => new SqlLedger(each))
    for (let i = 0; i < 20; i++) {
      const answers = await Promise.all(ledgers.map((ledger) => ledger.run(`new:${i}`, { kind: 'grant', key: 'invoice', amount: 10, source: 'pack' })))
      expect(answers.filter(({ isReplay }) => !isReplay)).toHaveLength(1)
      expect(await healthy.entries(`new:${i}`)).toMatchObject({ entries: [{ amount: 10 }], next: null })
    }
    expect(await healthy.verify(null)).toEqual([])
  })

  describe.each(COMMANDS.map((command) => [JSON.stringify(command), command] as const))('%s', (name, command) => {
    let expected: { answer: LedgerAnswer | undefined; state: object }
    beforeAll(async () => {
      const answers = await run(name, [...BEFORE, command])
      expected = { answer: answers.at(-1), state: await stateOf(name) }
    })

    it.each<[string, Loss[]]>([
      ['once', ['after the commit']],
      ['twice', ['after the commit', 'after the commit']],
      ['with nothing written', ['before the commit']],
      ['with nothing written, then with all of it', ['before the commit', 'after the commit']],
    ])('answers, with one effect, when the connection is lost %s', async (how, losses) => {
      const subject = `${name} ${how}`
      await run(subject, BEFORE)
      const left = [...losses]
      const answer = await new SqlLedger(losing(database, () => left.shift()), { clock }).run(subject, command)
      expect(left).toEqual([])
      expect({ answer, state: await stateOf(subject) }).toEqual(expected)
    })

    it('has one effect when it is lost for good, and its caller repeats it', async () => {
      const subject = `${name} for good`
      await run(subject, BEFORE)
      await expect(new SqlLedger(losing(database, () => 'after the commit'), { clock }).run(subject, command)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      const { isReplay: _, ...answer } = await healthy.run(subject, command)
      expect({ answer, state: await stateOf(subject) }).toEqual(expected)
    })
  })

  it('spends exactly what is there, of many at once that lose every third connection', async () => {
    const random = new Random(20261122)
    const next = (): Loss | undefined => (random.chance(1 / 3) ? random.pick(['before the commit', 'after the commit']) : undefined)
    const ledgers = opened.databases.map((each) => new SqlLedger(losing(each, next), { clock }))
    await healthy.run('busy', { kind: 'grant', key: 'all', amount: 100, source: 'pack' })
    const deduct = async (ledger: SqlLedger, id: string): Promise<boolean> => {
      for (;;) {
        try {
          return (await ledger.run('busy', { kind: 'deduct', id, amount: 1 })).ok
        } catch (error) {
          expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' })
        }
      }
    }
    const succeeded = await Promise.all(Array.from({ length: 150 }, (_, i) => deduct(ledgers[i % ledgers.length]!, `${i}`)))
    expect(succeeded.filter(Boolean)).toHaveLength(100)
    expect(await healthy.balance('busy')).toMatchObject({ balance: 0, spent: 100 })
    expect(await healthy.verify(null)).toEqual([])
  })
})
