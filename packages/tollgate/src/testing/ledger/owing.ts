import { deepEqual, equal } from 'node:assert/strict'
import { HOUR_MS, type LedgerFixture, type LedgerScenarios, overdraft, ruleOf, START_AT } from './fixture.ts'

/** Spends `amount` more than there is. */
async function owes(f: LedgerFixture, id: string, amount: number): Promise<void> {
  await f.holds(id, 0)
  await f.commits(id, amount, overdraft(-1000))
}

/** Debts, and who pays them. */
export const owing: LedgerScenarios = {
  'the next grants pay a debt, before anybody can spend them': async (f) => {
    await owes(f, 'h', 10)
    const [small, large] = [await f.grants(4), await f.grants(20)]
    await f.has({ balance: 14, available: 14, spent: 10 })
    deepEqual([await f.left(small), await f.left(large), await f.left(null)], [0, 14, 0])
    deepEqual(await f.moved('repay'), [['repay', -4], ['repay', 4], ['repay', -6], ['repay', 6]])
  },

  'a grant of the future pays when it begins': async (f) => {
    await owes(f, 'h', 10)
    await f.grants(15, { effectiveAt: START_AT + 1000 })
    await f.has({ balance: -10 })
    f.clock.advance(1000)
    await f.has({ balance: 5, available: 5 })
  },

  'a new period pays': async (f) => {
    await f.plan(ruleOf())
    await f.deducts('all', 100)
    await owes(f, 'h', 30)
    f.clock.set(Date.UTC(2027, 1, 15, 8))
    await f.has({ balance: 70, available: 70 })
  },

  'the oldest debt is paid first': async (f) => {
    for (const id of ['first', 'second']) await owes(f, id, 5)
    await f.grants(7)
    deepEqual((await f.allEntries()).filter(({ kind, lot }) => kind === 'repay' && lot === null).map(({ reservation, amount }) => [reservation, amount]), [['first', 5], ['second', 2]])
  },

  'what a reservation gives back pays too, or it could expire and leave the debt': async (f) => {
    await f.grants(10, { expiresAt: START_AT + HOUR_MS })
    await f.holds('released', 4)
    await f.holds('part', 3)
    await f.holds('expiring', 3, 1000)
    await owes(f, 'h', 8)
    await f.has({ balance: 2, available: -8, reserved: 10 })
    await f.releases('released')
    await f.has({ balance: 2, available: -4 })
    await f.commits('part', 1)
    await f.has({ balance: 1, available: -2 })
    f.clock.advance(1000)
    await f.has({ balance: 1, available: 1 })
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 0, available: 0, expired: 1 })
  },

  'a refund pays what is owed elsewhere': async (f) => {
    await f.grants(10, { expiresAt: START_AT + HOUR_MS })
    await f.deducts('d', 10)
    await owes(f, 'h', 4)
    equal(await f.refunds('d'), 10)
    await f.has({ balance: 6, available: 6 })
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 0, expired: 6, spent: 4 })
  },

  'whoever owes can spend nothing, but for what costs nothing': async (f) => {
    await owes(f, 'h', 4)
    await f.denies(1, { kind: 'deduct', id: 'd', amount: 1 })
    await f.denies(1, { kind: 'hold', id: 'h2', amount: 1, ttlMs: 1000 })
    await f.deducts('d', 0)
  },
}
