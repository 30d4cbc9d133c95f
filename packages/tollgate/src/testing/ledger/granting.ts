import { deepEqual, equal } from 'node:assert/strict'
import { DAY_MS, HOUR_MS, type LedgerScenarios, START_AT } from './fixture.ts'

/** How credits come, and how they go by themselves or by an operator's hand. */
export const granting: LedgerScenarios = {
  'a grant is there at once, and its entry tells by whom and why': async (f) => {
    const answer = await f.ask({ kind: 'grant', amount: 100, source: 'promo', key: 'k', reason: 'a good bug report', actor: 'support:7' })
    deepEqual([answer.ok, answer.at, answer.deficit, answer.balance], [true, START_AT, 0, { balance: 100, available: 100, reserved: 0, spent: 0, granted: 100, expired: 0 }])
    deepEqual(await f.allEntries(), [
      { seq: 1, at: START_AT, kind: 'grant', amount: 100, balanceAfter: 100, lot: answer.lot, reservation: null, operation: null, key: 'k', reason: 'a good bug report', actor: 'support:7' },
    ])
  },

  'grants of all sources add up': async (f) => {
    for (const source of ['pack', 'admin', 'promo'] as const) await f.grants(5, { source })
    await f.has({ balance: 15, granted: 15 })
    await f.has({ balance: 0, granted: 0 }, f.other)
  },

  'a grant of the future counts from its instant': async (f) => {
    await f.grants(10, { effectiveAt: START_AT + HOUR_MS })
    await f.has({ balance: 0, granted: 0 })
    deepEqual(await f.allEntries(), [])
    f.clock.advance(HOUR_MS - 1)
    await f.denies(1, { kind: 'deduct', id: 'early', amount: 1 })
    f.clock.advance(1)
    await f.deducts('r', 10)
    deepEqual((await f.allEntries()).map(({ kind, at }) => [kind, at]), [['grant', START_AT + HOUR_MS], ['spend', START_AT + HOUR_MS]])
  },

  'a grant that should have begun already begins now': async (f) => {
    await f.grants(10, { effectiveAt: START_AT - DAY_MS })
    deepEqual(await f.granted(), [[10, START_AT]])
  },

  'a grant expires at its instant, with nobody looking': async (f) => {
    await f.grants(10, { expiresAt: START_AT + HOUR_MS })
    f.clock.advance(HOUR_MS - 1)
    await f.has({ available: 10, expired: 0 })
    f.clock.advance(1)
    await f.has({ available: 0, expired: 10 })
    f.clock.advance(DAY_MS)
    deepEqual((await f.allEntries()).at(-1)!.at, START_AT + HOUR_MS)
    deepEqual(await f.moved(), [['grant', 10], ['expire', -10]])
  },

  'of a grant only what is left expires': async (f) => {
    const [lot, lasting] = [await f.grants(10, { expiresAt: START_AT + HOUR_MS }), await f.grants(3)]
    await f.deducts('r', 7)
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 3, spent: 7, expired: 3 })
    deepEqual([await f.left(lot), await f.left(lasting)], [0, 3])
  },

  'a grant that nobody saw begin and end leaves two entries of those instants': async (f) => {
    await f.grants(10, { effectiveAt: START_AT + HOUR_MS, expiresAt: START_AT + 2 * HOUR_MS })
    f.clock.advance(DAY_MS)
    await f.has({ balance: 0, granted: 10, expired: 10 })
    deepEqual((await f.allEntries()).map(({ kind, at }) => [kind, at - START_AT]), [['grant', HOUR_MS], ['expire', 2 * HOUR_MS]])
  },

  'a void takes what is left, and not what was spent': async (f) => {
    const [lot, other] = [await f.grants(10), await f.grants(5)]
    await f.deducts('r', 4)
    await f.ask({ kind: 'void', lot, key: 'v', reason: 'charged back', actor: 'shop' })
    await f.has({ balance: 5, spent: 4, expired: 6 })
    equal(await f.left(other), 5)
    const { seq: _, at: __, ...entry } = (await f.allEntries()).at(-1)!
    deepEqual(entry, { kind: 'void', amount: -6, balanceAfter: 5, lot, reservation: null, operation: null, key: 'v', reason: 'charged back', actor: 'shop' })
  },

  'a grant of the future that is voided never comes': async (f) => {
    const lot = await f.grants(10, { effectiveAt: START_AT + HOUR_MS })
    await f.voids(lot)
    f.clock.advance(DAY_MS)
    await f.has({ balance: 0, granted: 0 })
    deepEqual(await f.allEntries(), [])
  },

  'what is held of a grant outlives its void; what comes back does not': async (f) => {
    const lot = await f.grants(10)
    await f.holds('spent', 4)
    await f.holds('released', 3)
    await f.voids(lot)
    await f.has({ balance: 7, available: 0, reserved: 7 })
    await f.commits('spent', 3)
    await f.releases('released')
    await f.has({ balance: 0, spent: 3, expired: 7 })
    deepEqual(await f.moved('void', 'expire'), [['void', -3], ['void', -1], ['void', -3]])
  },

  'a refund does not bring a voided grant back': async (f) => {
    const lot = await f.grants(10, { expiresAt: START_AT + 30 * DAY_MS })
    await f.deducts('all', 4)
    await f.voids(lot)
    f.clock.advance(2 * DAY_MS)
    equal(await f.refunds('all'), 4)
    await f.has({ balance: 0, spent: 0, expired: 10 })
  },

  'nor when the clock was set back before the void': async (f) => {
    const lot = await f.grants(10)
    f.clock.advance(HOUR_MS)
    await f.deducts('d', 4)
    f.clock.set(START_AT)
    await f.voids(lot)
    f.clock.set(START_AT + 3 * DAY_MS + HOUR_MS - 1)
    equal(await f.refunds('d'), 4)
    await f.has({ balance: 0, expired: 10 })
  },

  'a grant is voided once, and only of its own account': async (f) => {
    const [lot, used] = [await f.grants(10, { priority: 1 }), await f.grants(1)]
    await f.grants(10, {}, f.other)
    await f.deducts('r', 1)
    await f.voids(lot)
    for (const id of [lot, used, 99]) await f.refuses('NOT_FOUND', { kind: 'void', lot: id, key: f.newKey() }, 'lot')
    await f.refuses('NOT_FOUND', { kind: 'void', lot: 99, key: f.newKey() }, 'lot', f.other)
    await f.has({ balance: 10 }, f.other)
  },
}
