import { deepEqual, equal } from 'node:assert/strict'
import { DAY_MS, HOUR_MS, type LedgerFixture, type LedgerScenarios, ruleOf, START_AT } from './fixture.ts'

/** A day in the life of an account. */
async function live(f: LedgerFixture): Promise<void> {
  await f.grants(100, { expiresAt: START_AT + 10 * HOUR_MS })
  f.clock.advance(HOUR_MS)
  await f.deducts('d', 30)
  f.clock.advance(HOUR_MS)
  await f.holds('h', 20)
  await f.commits('h', 25)
  f.clock.advance(HOUR_MS)
  await f.refunds('d', 10)
}

/** What can be seen of an account. */
export const reading: LedgerScenarios = {
  'entries come page by page, the newest first': async (f) => {
    for (let i = 1; i <= 7; i++) await f.grants(i)
    const pages: number[][] = []
    for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null; ) {
      const { entries, next } = await f.ledger.entries(f.user, { before, limit: 3 })
      pages.push(entries.map(({ amount }) => amount))
      before = next
    }
    deepEqual(pages, [[7, 6, 5], [4, 3, 2], [1]])
    const { entries, next } = await f.ledger.entries(f.user, { before: 4, limit: 3 })
    deepEqual([entries.length, next], [3, null])
    deepEqual((await f.ledger.entries(f.user)).entries.length, 7)
  },

  'a page is a hundred entries, unless it says otherwise': async (f) => {
    for (let i = 0; i < 101; i++) await f.grants(1)
    const first = await f.ledger.entries(f.user)
    deepEqual([first.entries.length, first.entries[0]!.seq, first.next], [100, 101, 2])
    deepEqual((await f.ledger.entries(f.user, { before: first.next! })).entries.map(({ seq }) => seq), [1])
    equal((await f.ledger.entries(f.user, { limit: 1000 })).next, null)
  },

  'entries show what has happened by itself meanwhile': async (f) => {
    await f.grants(10, { expiresAt: START_AT + 1000 })
    f.clock.advance(DAY_MS)
    deepEqual((await f.ledger.entries(f.user)).entries.map(({ kind }) => kind), ['expire', 'grant'])
  },

  'of a stranger there is nothing to see': async (f) => {
    deepEqual(await f.ledger.entries('nobody at all'), { entries: [], next: null })
    deepEqual(await f.ledger.balance('nobody at all'), { balance: 0, available: 0, reserved: 0, spent: 0, granted: 0, expired: 0, at: START_AT, forecast: START_AT })
    equal(await f.ledger.balanceAt('nobody at all', START_AT), 0)
    deepEqual(await f.ledger.verify('nobody at all'), [])
    await f.ledger.erase('nobody at all')
  },

  'the balance of any instant is known': async (f) => {
    await live(f)
    f.clock.set(START_AT + DAY_MS)
    const expected: [hours: number, balance: number][] = [[-1, 0], [0, 100], [1, 70], [1.5, 70], [2, 45], [3, 55], [9.99, 55], [10, 0], [24, 0], [99, 0]]
    for (const [hours, balance] of expected) equal(await f.ledger.balanceAt(f.user, START_AT + hours * HOUR_MS), balance, `after ${hours} hours`)
    equal(await f.ledger.balanceAt(f.user, START_AT - 1), 0)
    equal(await f.ledger.balanceAt(f.user, START_AT + HOUR_MS - 1), 100)
  },

  'instants of entries never go back, whatever the clock does': async (f) => {
    f.clock.set(START_AT + HOUR_MS)
    await f.grants(10)
    f.clock.set(START_AT)
    await f.deducts('d', 4)
    deepEqual((await f.allEntries()).map(({ at }) => at), [START_AT + HOUR_MS, START_AT + HOUR_MS])
    equal(await f.ledger.balanceAt(f.user, START_AT), 0)
    equal(await f.ledger.balanceAt(f.user, START_AT + HOUR_MS), 6)
  },

  'looking changes nothing': async (f) => {
    await live(f)
    await f.changesNothing(async () => {
      await f.ledger.balanceAt(f.user, START_AT)
      await f.ledger.verify(f.user)
      await f.ledger.balance(f.user, 10)
      await f.ask({ kind: 'touch' })
      await f.runsDue()
    })
  },

  'what was seen is a copy': async (f) => {
    await f.grants(10)
    const { entries } = await f.ledger.entries(f.user)
    Object.assign(entries[0]!, { amount: 1e6, balanceAfter: 1e6 })
    const answer = await f.ask({ kind: 'hold', id: 'h', amount: 1, ttlMs: 1000 })
    Object.assign(answer.balance, { balance: 1e6 })
    Object.assign(answer.reservation!, { amount: 1e6 })
    await f.commits('h')
    await f.has({ balance: 9, spent: 1 })
  },

  'accounts follow from their entries, all of them': async (f) => {
    await live(f)
    await f.plan(ruleOf(), {})
    await f.grants(5, {}, f.other)
    deepEqual(await f.ledger.verify(f.user), [])
    deepEqual(await f.ledger.verify(null), [])
  },

  'subjects that look alike have accounts of their own': async (f) => {
    const names = ['a', 'A', 'a ', ' a', 'a:b', 'a/b', 'a%', 'a_', 'a*', "a'", 'a"', 'a\\', 'é', 'e\u0301', '\ud83d\ude00', '__proto__', 'constructor', 'null', 'x'.repeat(200), 'x'.repeat(201)].map((name) => `${f.user}${name}`)
    for (const [i, name] of names.entries()) await f.grants(i + 1, {}, name)
    for (const [i, name] of names.entries()) {
      await f.has({ balance: i + 1 }, name)
      equal((await f.ledger.entries(name)).entries.length, 1)
      await f.ledger.erase(name)
    }
  },
}
