import { deepEqual } from 'node:assert/strict'
import { HOUR_MS, type LedgerFixture, type LedgerScenarios, START_AT } from './fixture.ts'

/** Spends one credit at a time, and returns from which grants they came, by their names. */
async function order(f: LedgerFixture, lots: Readonly<Record<string, number>>): Promise<string[]> {
  for (let i = 0; i < Object.keys(lots).length; i++) await f.deducts(`one${i}`, 1)
  const nameOf = new Map(Object.entries(lots).map(([name, lot]) => [lot, name]))
  return (await f.allEntries()).filter(({ kind }) => kind === 'spend').map(({ lot }) => nameOf.get(lot!)!)
}

/** Which credits are spent first. */
export const burnDown: LedgerScenarios = {
  'a lower priority is spent first, however soon the others expire': async (f) => {
    const lots = {
      late: await f.grants(1, { priority: 5, expiresAt: START_AT + 1000 }),
      middle: await f.grants(1, { expiresAt: START_AT + 9000 }),
      first: await f.grants(1, { priority: -3 }),
    }
    deepEqual(await order(f, lots), ['first', 'middle', 'late'])
  },

  'of one priority what expires soonest is spent first, and what never does last': async (f) => {
    const lots = {
      never: await f.grants(1),
      later: await f.grants(1, { expiresAt: START_AT + 2000 }),
      soon: await f.grants(1, { expiresAt: START_AT + 1000 }),
    }
    deepEqual(await order(f, lots), ['soon', 'later', 'never'])
  },

  'of one priority and expiry the oldest is spent first: that which began first': async (f) => {
    const expiresAt = START_AT + HOUR_MS
    const begun = await f.grants(1, { expiresAt, effectiveAt: START_AT + 2000 })
    f.clock.advance(1000)
    const [older, younger] = [await f.grants(1, { expiresAt }), await f.grants(1, { expiresAt })]
    f.clock.advance(1000)
    deepEqual(await order(f, { older, younger, begun }), ['older', 'younger', 'begun'])
  },

  'what has not begun is not spent': async (f) => {
    await f.grants(5, { priority: -1, effectiveAt: START_AT + 1000 })
    await f.grants(5)
    await f.deducts('r', 5)
    await f.denies(1, { kind: 'deduct', id: 'more', amount: 1 })
    await f.has({ available: 0 })
    f.clock.advance(1000)
    await f.has({ available: 5 })
  },

  'a cost is taken from as many grants as it needs, an entry for each': async (f) => {
    const lots = [await f.grants(3, { expiresAt: START_AT + 1000 }), await f.grants(4, { expiresAt: START_AT + 2000 }), await f.grants(5)]
    await f.deducts('r', 9, 'image')
    deepEqual((await f.allEntries()).slice(3).map(({ kind, lot, amount, balanceAfter, reservation, operation }) => [kind, lot, amount, balanceAfter, reservation, operation]), [
      ['spend', lots[0], -3, 9, 'r', 'image'],
      ['spend', lots[1], -4, 5, 'r', 'image'],
      ['spend', lots[2], -2, 3, 'r', 'image'],
    ])
  },

  'a hold takes in the same order, and its commit spends what it took, soonest first': async (f) => {
    const [soon, later] = [await f.grants(5, { expiresAt: START_AT + 1000 }), await f.grants(5, { expiresAt: START_AT + 2000 })]
    await f.holds('h', 7)
    await f.grants(5, { priority: -9 })
    await f.commits('h', 6)
    deepEqual([await f.left(soon), await f.left(later)], [0, 4])
  },
}
