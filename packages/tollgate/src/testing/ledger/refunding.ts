import { deepEqual, equal } from 'node:assert/strict'
import { DAY_MS, DENY, HOUR_MS, type LedgerScenarios, overdraft, START_AT } from './fixture.ts'

/** Spent credits that come back: each to the grant it came from, or to nobody. */
export const refunding: LedgerScenarios = {
  'a refund gives back what was spent, to the grants it came from': async (f) => {
    const [soon, later] = [await f.grants(4, { expiresAt: START_AT + HOUR_MS }), await f.grants(6)]
    await f.deducts('d', 7, 'image')
    const answer = await f.ask({ kind: 'refund', id: 'd', key: 'k', reason: 'the model failed', actor: 'worker' })
    deepEqual([answer.refunded, answer.reservation!.id], [7, 'd'])
    await f.has({ balance: 10, available: 10, spent: 0 })
    deepEqual([await f.left(soon), await f.left(later)], [4, 6])
    const back = (await f.allEntries()).filter(({ kind }) => kind === 'refund')
    deepEqual(back.map(({ lot, amount, reservation, operation, key, reason, actor }) => [lot, amount, reservation, operation, key, reason, actor]), [
      [later, 3, 'd', 'image', 'k', 'the model failed', 'worker'],
      [soon, 4, 'd', 'image', 'k', 'the model failed', 'worker'],
    ])
  },

  'a refund in part gives the last that was taken back first, and never more than was taken': async (f) => {
    const [soon, later] = [await f.grants(4, { expiresAt: START_AT + HOUR_MS }), await f.grants(6)]
    await f.deducts('d', 7)
    equal(await f.refunds('d', 2), 2)
    deepEqual([await f.left(soon), await f.left(later)], [0, 5])
    equal(await f.refunds('d', 3), 3)
    deepEqual([await f.left(soon), await f.left(later)], [2, 6])
    await f.refuses('INVALID_REQUEST', { kind: 'refund', id: 'd', amount: 3, key: 'more' }, 'amount')
    equal(await f.refunds('d'), 2)
    equal(await f.refunds('d'), 0)
    await f.refuses('INVALID_REQUEST', { kind: 'refund', id: 'd', amount: 1, key: 'more' }, 'amount')
    await f.has({ balance: 10, spent: 0 })
  },

  'a commit is refunded as a deduction is': async (f) => {
    await f.grants(10)
    await f.holds('h', 5)
    await f.commits('h', 8)
    equal(await f.refunds('h', 1), 1)
    equal(await f.refunds('h'), 7)
    await f.has({ balance: 10, spent: 0 })
  },

  'what comes back to a grant that has expired meanwhile lapses': async (f) => {
    await f.grants(4, { expiresAt: START_AT + HOUR_MS })
    const lasting = await f.grants(6)
    await f.deducts('d', 7)
    f.clock.advance(HOUR_MS)
    equal(await f.refunds('d'), 7)
    await f.has({ balance: 6, spent: 0, expired: 4 })
    equal(await f.left(lasting), 6)
    deepEqual((await f.moved()).slice(-3), [['refund', 3], ['refund', 4], ['expire', -4]])
  },

  'a grant that was used up lives again, as long as it would have': async (f) => {
    const lot = await f.grants(4, { priority: 3, expiresAt: START_AT + HOUR_MS })
    await f.deducts('d', 4)
    await f.grants(1)
    await f.deducts('d2', 1)
    await f.refunds('d')
    equal(await f.left(lot), 4)
    await f.grants(5, { priority: 4 })
    await f.deducts('d3', 1)
    equal(await f.left(lot), 3)
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 5, expired: 3 })
  },

  'what was not spent cannot be refunded': async (f) => {
    await f.grants(10)
    for (const id of ['open', 'released', 'expired']) await f.holds(id, 2, id === 'open' ? 9000 : 1000)
    await f.releases('released')
    f.clock.advance(1000)
    for (const id of ['open', 'released', 'expired']) await f.refuses('INVALID_REQUEST', { kind: 'refund', id, key: f.newKey() }, 'id')
    await f.refuses('UNKNOWN_RESERVATION', { kind: 'refund', id: 'never', key: f.newKey() }, 'id')
  },

  'a refund may come for three days': async (f) => {
    await f.grants(10)
    for (const id of ['in time', 'too late']) await f.deducts(id, 5)
    f.clock.advance(3 * DAY_MS - 1)
    equal(await f.refunds('in time'), 5)
    f.clock.advance(1)
    await f.refuses('UNKNOWN_RESERVATION', { kind: 'refund', id: 'too late', key: f.newKey() }, 'id')
  },

  'a refund of what is still owed makes the debt smaller': async (f) => {
    await f.grants(10)
    await f.holds('h', 10)
    await f.commits('h', 15, overdraft(-20))
    equal(await f.refunds('h', 3), 3)
    await f.has({ balance: -2, available: -2, spent: 12 })
    equal(await f.refunds('h'), 12)
    await f.has({ balance: 10, available: 10, spent: 0 })
  },

  'a refund of a debt that was paid goes to the grant that paid it, and ends with it': async (f) => {
    await f.grants(1)
    await f.holds('h', 1)
    await f.commits('h', 6, overdraft(-20))
    const brief = await f.grants(3, { expiresAt: START_AT + HOUR_MS })
    const lasting = await f.grants(9)
    await f.has({ balance: 7, available: 7 })
    equal(await f.refunds('h', 4), 4)
    deepEqual([await f.left(brief), await f.left(lasting)], [2, 9])
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 9, expired: 2 })
    equal(await f.refunds('h'), 2)
    await f.has({ balance: 10, spent: 0, expired: 3 })
  },

  'each debt is refunded to the grant that paid it, whoever owed first': async (f) => {
    await f.grants(2)
    for (const id of ['a', 'b']) await f.holds(id, 1)
    for (const id of ['a', 'b']) await f.commits(id, 4, overdraft(-20))
    const [first, second] = [await f.grants(3, { priority: 1 }), await f.grants(3, { priority: 1 })]
    await f.has({ balance: 0 })
    equal(await f.refunds('a', 3), 3)
    deepEqual([await f.left(first), await f.left(second)], [3, 0])
    equal(await f.refunds('b', 3), 3)
    deepEqual([await f.left(first), await f.left(second)], [3, 3])
  },

  'a refund keeps what was committed at its word': async (f) => {
    await f.grants(10)
    await f.holds('h', 5)
    const committed = await f.commits('h')
    await f.refunds('h', 2)
    deepEqual(await f.ask({ kind: 'commit', id: 'h', overage: DENY }), { ...committed, isReplay: true })
    await f.has({ balance: 7, spent: 3 })
  },
}
