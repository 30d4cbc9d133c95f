import { deepEqual, equal } from 'node:assert/strict'
import { DAY_MS, DENY, type LedgerScenarios, ruleOf } from './fixture.ts'

/** A subject that wants to be forgotten. */
export const erasing: LedgerScenarios = {
  'whoever is erased has no credits, no entries and no plan': async (f) => {
    await f.plan(ruleOf())
    await f.grants(10, { reason: 'a gift', actor: 'anna@example.org' })
    await f.ledger.erase(f.user)
    await f.has({ balance: 0, granted: 0 })
    deepEqual(await f.ledger.entries(f.user), { entries: [], next: null })
    f.clock.advance(100 * DAY_MS)
    await f.runsDue()
    await f.has({ balance: 0, granted: 0 })
    deepEqual(await f.ledger.verify(null), [])
  },

  'nothing that was answered before is known any more': async (f) => {
    await f.ask({ kind: 'grant', amount: 10, source: 'pack', key: 'k' })
    await f.holds('h', 3)
    await f.deducts('d', 3)
    await f.ledger.erase(f.user)
    await f.refuses('UNKNOWN_RESERVATION', { kind: 'commit', id: 'h', overage: DENY })
    await f.refuses('UNKNOWN_RESERVATION', { kind: 'refund', id: 'd', key: 'r' })
    equal((await f.ask({ kind: 'grant', amount: 4, source: 'pack', key: 'k' })).isReplay, undefined)
    await f.holds('h', 3)
    await f.has({ balance: 4, available: 1, reserved: 3, granted: 4, spent: 0 })
    deepEqual((await f.allEntries()).map(({ seq, amount }) => [seq, amount]), [[1, 4]])
  },

  'others keep what is theirs, and so does whoever comes back and is erased again': async (f) => {
    await f.grants(10, {}, f.other)
    for (let i = 0; i < 3; i++) {
      await f.grants(10)
      await f.ledger.erase(f.user)
    }
    await f.ledger.erase(f.user)
    await f.has({ balance: 10 }, f.other)
    deepEqual(await f.ledger.verify(null), [])
  },
}
