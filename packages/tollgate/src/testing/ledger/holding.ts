import { deepEqual, equal } from 'node:assert/strict'
import { DAY_MS, HOUR_MS, type LedgerScenarios, START_AT } from './fixture.ts'

/** Credits set aside for work under way. */
export const holding: LedgerScenarios = {
  'a hold sets credits aside: they are the account\'s, and nobody else can spend them': async (f) => {
    await f.grants(10)
    const { reservation } = await f.holds('h', 7, 1000, 'image')
    deepEqual(reservation, { id: 'h', status: 'open', amount: 7, operation: 'image', expiresAt: START_AT + 1000, settledAt: null, isLate: false, unpaid: 0 })
    await f.has({ balance: 10, available: 3, reserved: 7, spent: 0 })
    deepEqual(await f.moved(), [['grant', 10]])
    await f.denies(1, { kind: 'deduct', id: 'd', amount: 4 })
    await f.denies(1, { kind: 'hold', id: 'h2', amount: 4, ttlMs: 1000 })
    await f.deducts('d', 3)
  },

  'a denial says when the same would pass': async (f) => {
    await f.grants(10)
    await f.grants(5, { effectiveAt: START_AT + 9000 })
    await f.holds('h', 7, 5000)
    const retryAt = async (amount: number) => (await f.denies(amount - 3, { kind: 'deduct', id: 'd', amount })).retryAt
    deepEqual([await retryAt(4), await retryAt(10), await retryAt(15), await retryAt(16)], [START_AT + 5000, START_AT + 5000, START_AT + 9000, null])
    deepEqual([(await f.ledger.balance(f.user, 10)).forecast, (await f.ledger.balance(f.user, 16)).forecast, (await f.ledger.balance(f.user, 3)).forecast], [START_AT + 5000, null, START_AT])
  },

  'whoever has nothing is denied, and leaves nothing behind': async (f) => {
    await f.denies(3, { kind: 'hold', id: 'h', amount: 3, ttlMs: 1000 })
    await f.denies(3, { kind: 'deduct', id: 'd', amount: 3 })
    deepEqual(await f.ask({ kind: 'touch' }), { ok: true, at: START_AT, balance: { balance: 0, available: 0, reserved: 0, spent: 0, granted: 0, expired: 0 }, deficit: 0 })
    // What was denied may be asked again.
    await f.grants(6)
    await f.holds('h', 3)
    await f.deducts('d', 3)
  },

  'nothing costs nothing': async (f) => {
    await f.holds('h', 0)
    await f.deducts('d', 0)
    await f.commits('h')
    equal(await f.refunds('d'), 0)
    await f.has({ balance: 0, spent: 0 })
    deepEqual(await f.allEntries(), [])
  },

  'a hold ends at its instant, with nobody doing anything': async (f) => {
    await f.grants(10)
    await f.holds('h', 7, 1000)
    f.clock.advance(999)
    await f.has({ available: 3, reserved: 7 })
    f.clock.advance(1)
    await f.has({ available: 10, reserved: 0 })
    await f.deducts('d', 10)
    deepEqual(await f.moved(), [['grant', 10], ['spend', -10]])
  },

  'an extension moves the end further away, never nearer': async (f) => {
    await f.grants(10)
    await f.holds('h', 7, 5000)
    f.clock.advance(1000)
    equal((await f.ask({ kind: 'extend', id: 'h', ttlMs: 1000 })).reservation!.expiresAt, START_AT + 5000)
    equal((await f.ask({ kind: 'extend', id: 'h', ttlMs: DAY_MS })).reservation!.expiresAt, START_AT + 1000 + DAY_MS)
    f.clock.advance(DAY_MS - 1)
    await f.has({ reserved: 7 })
    f.clock.advance(1)
    await f.has({ reserved: 0 })
  },

  'what has ended is not extended': async (f) => {
    await f.grants(10)
    for (const id of ['expired', 'committed', 'released']) await f.holds(id, 1, 1000)
    await f.commits('committed')
    await f.releases('released')
    f.clock.advance(1000)
    await f.refuses('RESERVATION_EXPIRED', { kind: 'extend', id: 'expired', ttlMs: 1000 }, 'id')
    for (const id of ['committed', 'released']) await f.refuses('ALREADY_SETTLED', { kind: 'extend', id, ttlMs: 1000 }, 'id')
    await f.refuses('UNKNOWN_RESERVATION', { kind: 'extend', id: 'never', ttlMs: 1000 }, 'id')
  },

  'what is held of a grant outlives it; what comes back does not': async (f) => {
    await f.grants(10, { expiresAt: START_AT + HOUR_MS })
    await f.holds('spent', 4, DAY_MS)
    await f.holds('released', 2, DAY_MS)
    await f.holds('abandoned', 1, 2 * HOUR_MS)
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 7, available: 0, reserved: 7, expired: 3 })
    await f.releases('released')
    await f.has({ balance: 5, reserved: 5, expired: 5 })
    await f.commits('spent', 3)
    await f.has({ balance: 1, reserved: 1, spent: 3, expired: 6 })
    f.clock.advance(HOUR_MS)
    await f.has({ balance: 0, reserved: 0, spent: 3, expired: 7 })
  },
}
