import { deepEqual, equal } from 'node:assert/strict'
import { CLAMP, DAY_MS, DENY, type LedgerScenarios, overdraft, START_AT } from './fixture.ts'

/** What becomes of a hold: what was used is spent, under the policy that the commit names. */
export const settling: LedgerScenarios = {
  'a commit spends what was held when it says nothing else': async (f) => {
    const lot = await f.grants(10)
    await f.holds('h', 7, 1000, 'image')
    f.clock.advance(10)
    const { reservation } = await f.commits('h')
    deepEqual(reservation, { id: 'h', status: 'committed', amount: 7, operation: 'image', expiresAt: START_AT + 1000, settledAt: START_AT + 10, isLate: false, unpaid: 0 })
    await f.has({ balance: 3, available: 3, reserved: 0, spent: 7 })
    const { kind, amount, reservation: id, operation, lot: from } = (await f.allEntries()).at(-1)!
    deepEqual([kind, amount, id, operation, from], ['spend', -7, 'h', 'image', lot])
  },

  'a cancelled hold or deduction leaves nothing, and what comes later under its id is refused': async (f) => {
    await f.grants(10)
    await f.holds('h', 4)
    await f.deducts('d', 3)
    const answers = []
    for (const id of ['h', 'd', 'later', 'h', 'd']) answers.push(await f.ask({ kind: 'cancel', id }))
    deepEqual(answers.map(({ isReplay, reservation }) => [isReplay, reservation!.status]), [[undefined, 'released'], [undefined, 'released'], [undefined, 'released'], [true, 'released'], [true, 'released']])
    await f.has({ balance: 10, available: 10, reserved: 0, spent: 0 })
    await f.refuses('IDEMPOTENCY_CONFLICT', { kind: 'deduct', id: 'later', amount: 3 }, 'id')
    await f.refuses('IDEMPOTENCY_CONFLICT', { kind: 'hold', id: 'later', amount: 3, ttlMs: 1000 }, 'id')
    await f.refuses('ALREADY_SETTLED', { kind: 'commit', id: 'h', overage: DENY }, 'id')
    await f.has({ balance: 10, available: 10, reserved: 0, spent: 0 })
  },

  'what was cancelled before it came is refused, also to whoever had no account yet': async (f) => {
    await f.ask({ kind: 'cancel', id: 'late' })
    await f.grants(10)
    await f.refuses('IDEMPOTENCY_CONFLICT', { kind: 'deduct', id: 'late', amount: 3 }, 'id')
    await f.refuses('INVALID_REQUEST', { kind: 'cancel', id: '' }, 'id')
  },

  'a cancelled deduction that was refunded in part comes back once': async (f) => {
    await f.grants(10)
    await f.deducts('d', 6)
    await f.refunds('d', 2)
    await f.ask({ kind: 'cancel', id: 'd' })
    await f.has({ balance: 10, spent: 0 })
  },

  'a commit of less gives the rest back, one of nothing all': async (f) => {
    await f.grants(10)
    await f.holds('part', 5)
    await f.holds('none', 5)
    equal((await f.commits('part', 2)).reservation!.amount, 2)
    await f.commits('none', 0)
    await f.has({ balance: 8, available: 8, reserved: 0, spent: 2 })
  },

  'a commit of more takes what is available, under any policy': async (f) => {
    await f.grants(30)
    for (const [i, overage] of [DENY, CLAMP, overdraft(-5)].entries()) {
      await f.holds(`h${i}`, 5)
      const { reservation } = await f.commits(`h${i}`, 10, overage)
      deepEqual([reservation!.amount, reservation!.unpaid], [10, 0])
    }
    await f.has({ balance: 0, spent: 30 })
  },

  'a commit of more than there is, is refused under `deny`, and the hold stays': async (f) => {
    await f.grants(10)
    await f.holds('h', 5)
    await f.holds('other', 3)
    await f.denies(3, { kind: 'commit', id: 'h', amount: 10, overage: DENY })
    await f.has({ reserved: 8 })
    await f.commits('h', 7)
    await f.has({ balance: 3, available: 0, reserved: 3, spent: 7 })
  },

  'a commit of more than there is takes what there is under `clamp`': async (f) => {
    await f.grants(10)
    await f.holds('h', 5)
    await f.holds('other', 3)
    const { reservation } = await f.commits('h', 10, CLAMP)
    deepEqual([reservation!.amount, reservation!.unpaid], [7, 3])
    await f.has({ balance: 3, available: 0, reserved: 3, spent: 7 })
  },

  'a commit of more than there is, is owed under `overdraft`, down to the floor': async (f) => {
    await f.grants(10)
    await f.holds('h', 5)
    await f.holds('h2', 5)
    deepEqual((await f.commits('h', 12, overdraft(-20))).reservation!.unpaid, 0)
    await f.has({ balance: -2, available: -7, reserved: 5, spent: 12 })
    const { reservation } = await f.commits('h2', 100, overdraft(-20))
    deepEqual([reservation!.amount, reservation!.unpaid], [18, 82])
    await f.has({ balance: -20, available: -20, reserved: 0, spent: 30 })
    await f.denies(1, { kind: 'deduct', id: 'd', amount: 1 })
    equal(await f.left(null), -20)
  },

  'a balance below the floor already goes no lower': async (f) => {
    await f.grants(10)
    for (const id of ['a', 'b', 'c']) await f.holds(id, 3)
    await f.commits('a', 20, overdraft(-16))
    await f.has({ available: -16 })
    for (const [id, overage] of [['b', overdraft(-5)], ['c', CLAMP]] as const) {
      const { reservation } = await f.commits(id, 9, overage)
      deepEqual([reservation!.amount, reservation!.unpaid], [3, 6])
    }
    await f.has({ balance: -16 })
  },

  'what was held can be committed whatever is owed elsewhere': async (f) => {
    await f.grants(10)
    await f.holds('a', 5)
    await f.holds('b', 5)
    await f.commits('a', 12, overdraft(-20))
    equal((await f.commits('b', 5, DENY)).reservation!.amount, 5)
    await f.has({ balance: -7, available: -7, spent: 17 })
  },

  'a release gives everything back, and leaves no entry': async (f) => {
    await f.grants(10)
    await f.holds('h', 7)
    f.clock.advance(10)
    const { reservation } = await f.releases('h')
    deepEqual([reservation!.status, reservation!.settledAt, reservation!.isLate], ['released', START_AT + 10, false])
    await f.has({ balance: 10, available: 10, reserved: 0, spent: 0 })
    deepEqual(await f.moved(), [['grant', 10]])
  },

  'a reservation is settled once: a repeat gets the first answer, the opposite is told of it': async (f) => {
    await f.grants(10)
    await f.holds('c', 3)
    await f.holds('r', 3)
    const [committed, released] = [await f.commits('c', 2), await f.releases('r')]
    f.clock.advance(10)
    await f.changesNothing(async () => {
      deepEqual(await f.ask({ kind: 'commit', id: 'c', amount: 2, overage: CLAMP }), { ...committed, isReplay: true })
      deepEqual(await f.ask({ kind: 'release', id: 'r' }), { ...released, isReplay: true })
    })
    for (const command of [{ kind: 'commit', id: 'c', amount: 3, overage: DENY }, { kind: 'release', id: 'c' }] as const) {
      deepEqual((await f.refuses('ALREADY_SETTLED', command, 'id')).details, { reservation: committed.reservation })
    }
    deepEqual((await f.refuses('ALREADY_SETTLED', { kind: 'commit', id: 'r', overage: DENY }, 'id')).details, { reservation: released.reservation })
  },

  'a commit at the instant of expiry is late, and still spends, as the operation it was': async (f) => {
    await f.grants(20)
    await f.holds('just', 5, 1000)
    await f.holds('late', 5, 1000, 'image')
    f.clock.advance(999)
    equal((await f.commits('just')).reservation!.isLate, false)
    f.clock.advance(1)
    const { reservation } = await f.commits('late', 8)
    deepEqual([reservation!.isLate, reservation!.amount, reservation!.status], [true, 8, 'committed'])
    await f.has({ balance: 7, spent: 13 })
    deepEqual((await f.allEntries()).at(-1)!.operation, 'image')
    equal(await f.refunds('late'), 8)
    deepEqual((await f.allEntries()).at(-1)!.operation, 'image')
  },

  'a late commit finds what others left, and goes by its policy': async (f) => {
    await f.grants(10)
    for (const id of ['denied', 'clamped', 'owed']) await f.holds(id, 3, 1000)
    f.clock.advance(1000)
    await f.deducts('d', 8)
    await f.denies(1, { kind: 'commit', id: 'denied', overage: DENY })
    deepEqual((await f.commits('clamped', undefined, CLAMP)).reservation!.unpaid, 1)
    deepEqual((await f.commits('owed', undefined, overdraft(-100))).reservation!.unpaid, 0)
    await f.has({ balance: -3, spent: 13 })
    // What was refused may be tried again.
    await f.grants(10)
    await f.commits('denied')
    await f.has({ balance: 4, spent: 16 })
  },

  'a late release changes nothing but what a commit would be told': async (f) => {
    await f.grants(10)
    await f.holds('h', 3, 1000)
    f.clock.advance(5000)
    await f.has({ available: 10 })
    const { reservation } = await f.releases('h')
    deepEqual([reservation!.status, reservation!.isLate], ['released', true])
    await f.has({ available: 10 })
    await f.refuses('ALREADY_SETTLED', { kind: 'commit', id: 'h', overage: DENY }, 'id')
  },

  'a day after its expiry a reservation is unknown, also when nobody looked since': async (f) => {
    await f.grants(10)
    for (const id of ['in time', 'too late', 'too']) await f.holds(id, 3, 1000)
    f.clock.advance(999 + DAY_MS)
    equal((await f.commits('in time')).reservation!.isLate, true)
    f.clock.advance(1)
    for (const command of [{ kind: 'commit', id: 'too late', overage: DENY }, { kind: 'release', id: 'too late' }, { kind: 'extend', id: 'too', ttlMs: 1 }] as const) await f.refuses('UNKNOWN_RESERVATION', command, 'id')
    await f.has({ balance: 7 })
  },

  'another subject\'s reservation is unknown': async (f) => {
    await f.grants(10)
    await f.grants(10, {}, f.other)
    await f.holds('h', 3)
    await f.deducts('d', 3)
    for (const command of [{ kind: 'commit', id: 'h', overage: DENY }, { kind: 'release', id: 'h' }, { kind: 'extend', id: 'h', ttlMs: 1 }, { kind: 'refund', id: 'd', key: 'k' }] as const) {
      await f.refuses('UNKNOWN_RESERVATION', command, 'id', f.other)
    }
    equal((await f.ask({ kind: 'hold', id: 'h', amount: 9, ttlMs: 1000 }, f.other)).reservation!.amount, 9)
    await f.has({ balance: 7, reserved: 3 })
  },
}
