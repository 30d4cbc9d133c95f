import { deepEqual, equal, notEqual } from 'node:assert/strict'
import type { LedgerCommand } from '../../ledger/commands.ts'
import { DAY_MS, DENY, type LedgerFixture, type LedgerScenarios, overdraft, START_AT } from './fixture.ts'

/** Asks for the first time, and for the second; returns both answers. */
async function twice(f: LedgerFixture, command: LedgerCommand): Promise<void> {
  const first = await f.ask(command)
  equal(first.isReplay, undefined)
  f.clock.advance(10)
  await f.changesNothing(async () => deepEqual(await f.ask(command), { ...first, isReplay: true }))
}

/** The same asked again has one effect and one answer; something else under the same key has none. */
export const repeating: LedgerScenarios = {
  'a command that is repeated gets the first answer': async (f) => {
    await twice(f, { kind: 'grant', amount: 10, source: 'pack', key: 'g', expiresAt: START_AT + DAY_MS })
    await twice(f, { kind: 'deduct', id: 'd', amount: 4, operation: 'image' })
    await twice(f, { kind: 'refund', id: 'd', amount: 1, key: 'r' })
    const { reservation } = await f.holds('h', 2, 1000)
    await f.changesNothing(async () => {
      const again = await f.ask({ kind: 'hold', id: 'h', amount: 2, ttlMs: 1000 })
      deepEqual([again.reservation, again.isReplay], [reservation, true])
    })
    await twice(f, { kind: 'commit', id: 'h', amount: 1, overage: DENY })
    await f.holds('h2', 2)
    await twice(f, { kind: 'release', id: 'h2' })
    await twice(f, { kind: 'void', lot: 1, key: 'v' })
    await f.has({ balance: 0, granted: 10, spent: 4, expired: 6 })
  },

  'the order in which a command is written down is nothing to it': async (f) => {
    await f.ask({ kind: 'grant', key: 'g', amount: 10, source: 'pack', priority: 2 })
    equal((await f.ask({ priority: 2, source: 'pack', amount: 10, kind: 'grant', key: 'g' })).isReplay, true)
    equal((await f.ask({ kind: 'grant', key: 'g', amount: 10, source: 'pack', priority: 2, reason: 'asked again', actor: 'another worker' })).isReplay, true)
    await f.has({ granted: 10 })
  },

  'another command under the same key is refused': async (f) => {
    await f.ask({ kind: 'grant', amount: 10, source: 'pack', key: 'k' })
    await f.deducts('d', 4)
    for (const command of [
      { kind: 'grant', amount: 11, source: 'pack', key: 'k' },
      { kind: 'grant', amount: 10, source: 'admin', key: 'k' },
      { kind: 'grant', amount: 10, source: 'pack', key: 'k', priority: 1 },
      { kind: 'grant', amount: 10, source: 'pack', key: 'k', expiresAt: START_AT + 1 },
      { kind: 'void', lot: 1, key: 'k' },
      { kind: 'refund', id: 'd', key: 'k' },
    ]) await f.refuses('IDEMPOTENCY_CONFLICT', command, 'key')
  },

  'a reservation\'s id is used once': async (f) => {
    await f.grants(100)
    await f.holds('h', 2, 1000, 'image')
    await f.deducts('d', 2, 'image')
    for (const command of [
      { kind: 'hold', id: 'h', amount: 3, ttlMs: 1000, operation: 'image' },
      { kind: 'hold', id: 'h', amount: 2, ttlMs: 1000, operation: 'video' },
      { kind: 'deduct', id: 'h', amount: 2, operation: 'image' },
      { kind: 'hold', id: 'd', amount: 2, ttlMs: 1000, operation: 'image' },
      { kind: 'deduct', id: 'd', amount: 3, operation: 'image' },
      { kind: 'deduct', id: 'd', amount: 2, operation: 'video' },
    ]) await f.refuses('IDEMPOTENCY_CONFLICT', command, 'id')
    await f.refuses('ALREADY_SETTLED', { kind: 'commit', id: 'd', overage: DENY }, 'id')
    await f.commits('h')
    for (const command of [{ kind: 'hold', id: 'h', amount: 2, ttlMs: 1000, operation: 'image' }, { kind: 'deduct', id: 'h', amount: 2, operation: 'image' }]) await f.refuses('IDEMPOTENCY_CONFLICT', command, 'id')
    await f.has({ balance: 96 })
  },

  'keys of subjects, and keys and ids, are apart': async (f) => {
    const lot = await f.grants(10, { key: 'same' })
    equal((await f.ask({ kind: 'grant', amount: 99, source: 'pack', key: 'same' }, f.other)).isReplay, undefined)
    await f.deducts('same', 3)
    equal((await f.ask({ kind: 'deduct', id: 'same', amount: 50 }, f.other)).isReplay, undefined)
    await f.has({ balance: 7 })
    await f.has({ balance: 49 }, f.other)
    notEqual(lot, undefined)
  },

  'what was refused or denied is not remembered': async (f) => {
    await f.refuses('NOT_FOUND', { kind: 'void', lot: 1, key: 'k' })
    await f.denies(5, { kind: 'deduct', id: 'd', amount: 5 })
    await f.ask({ kind: 'grant', amount: 10, source: 'pack', key: 'k' })
    await f.deducts('d', 6)
    await f.has({ balance: 4 })
  },

  'a repeat after the grant has expired is still a repeat': async (f) => {
    const command = { kind: 'grant', amount: 10, source: 'pack', key: 'k', expiresAt: START_AT + 1000 } as const
    const first = await f.ask(command)
    f.clock.advance(60 * DAY_MS)
    deepEqual(await f.ask(command), { ...first, isReplay: true })
    await f.has({ balance: 0, granted: 10 })
  },

  'a key is forgotten after ninety days': async (f) => {
    await f.ask({ kind: 'grant', amount: 10, source: 'pack', key: 'k' })
    f.clock.advance(90 * DAY_MS - 1)
    equal((await f.ask({ kind: 'grant', amount: 10, source: 'pack', key: 'k' })).isReplay, true)
    f.clock.advance(1)
    equal((await f.ask({ kind: 'grant', amount: 10, source: 'pack', key: 'k' })).isReplay, undefined)
    await f.has({ granted: 20 })
  },

  'repeats of a commit that left a debt owe once': async (f) => {
    await f.holds('h', 0)
    for (let i = 0; i < 3; i++) await f.ask({ kind: 'commit', id: 'h', amount: 7, overage: overdraft(-50) })
    await f.has({ balance: -7, spent: 7 })
  },
}
