import { deepEqual, equal } from 'node:assert/strict'
import { CellKind } from '../../decide/charge.ts'
import { concurrency, cooldown, DAY_MS, fixedWindow, HOUR_MS, nameOf, oneOfEach, quota, quotaOfHour, reservationOf, type Scenarios, slidingCounter, slidingLog, START_AT, tokenBucket } from './fixture.ts'

const guards = () => [fixedWindow(), slidingCounter(), slidingLog(), tokenBucket()]
/** A quota of LLM tokens, 3 units each. */
const tokens = (facts = {}) => quota({ cell: 'conformance/tokens', meter: 'tokens', weight: 3, max: 30, ...facts })

/** What a reservation leaves behind: what was used, or nothing. */
export const settling: Scenarios = {
  'a commit counts what was reserved when it says nothing else': async (f) => {
    const id = await f.reserves(1000, quota({ amount: 3 }), ...guards())
    const reservation = await f.settles('commit', id)
    deepEqual([reservation.status, reservation.settledAt, reservation.late], ['committed', START_AT, false])
    f.clock.advance(1000)
    await f.uses(3, quota())
    for (const charge of [fixedWindow(), slidingLog()]) await f.uses(1, charge)
  },

  'a commit below its estimate frees the rest, of the meter it names': async (f) => {
    const id = await f.reserves(1000, tokens({ amount: 12 }), quota())
    await f.settles('commit', id, { amounts: { tokens: 2 } })
    await f.uses(6, tokens())
    await f.uses(1, quota())
  },

  'a commit above its estimate is recorded in full, above the limit if need be': async (f) => {
    const id = await f.reserves(1000, tokens({ amount: 30 }), ...guards())
    f.clock.advance(10)
    const { memo } = await f.settles('commit', id, { amounts: { tokens: 2 ** 31 - 1, requests: 25 } })
    deepEqual(memo.amounts, { tokens: 2 ** 31 - 1, requests: 25 })
    await f.uses(3 * (2 ** 31 - 1), tokens())
    for (const charge of guards()) {
      const { used, passes } = await f.look(charge)
      deepEqual([used, passes], [25, false], nameOf(charge))
    }
    f.clock.advanceTo(START_AT + 10 + 60_000)
    await f.uses(0, slidingLog())
    // 15 above the estimate of a bucket of 10: what is missing flows in first.
    await f.uses(15, tokenBucket())
  },

  'a commit of 0 leaves guards as they were': async (f) => {
    const id = await f.reserves(1000, quota({ amount: 5 }), cooldown(), ...guards())
    await f.settles('commit', id, { amounts: { requests: 0 } })
    await f.uses(0, quota())
    await f.uses(1, cooldown())
    for (const charge of [fixedWindow(), slidingCounter(), slidingLog(), tokenBucket()]) await f.uses(1, charge)
  },

  'a commit is recorded in the period it was reserved in, or nowhere': async (f) => {
    const id = await f.reserves(DAY_MS, quota({ amount: 4 }))
    const other = await f.reserves(DAY_MS, quota({ amount: 4 }))
    f.clock.advance(HOUR_MS - 1)
    await f.settles('commit', id)
    f.clock.advance(1)
    await f.admits(quotaOfHour(1))
    await f.settles('commit', other, { amounts: { requests: 10 } })
    await f.uses(1, quotaOfHour(1))
  },

  'a late commit is recorded in full for a day, and is unknown after it': async (f) => {
    const day = { startAt: START_AT, endAt: START_AT + 3 * DAY_MS }
    const ids = [await f.reserves(1000, quota(day)), await f.reserves(1000, quota(day))]
    f.clock.advance(999 + DAY_MS)
    await f.uses(0, quota(day))
    const reservation = await f.settles('commit', ids[0]!, { amounts: { requests: 7 } })
    deepEqual([reservation.late, reservation.status], [true, 'committed'])
    await f.uses(7, quota(day))
    f.clock.advance(1)
    for (const action of ['commit', 'release', 'extend'] as const) equal((await f.driver.settle(action, ids[1]!, { ttlMs: 1 })).result, 'unknown')
  },

  'a commit at the instant of expiry is late': async (f) => {
    const ids = [await f.reserves(1000, quota()), await f.reserves(1000, quota())]
    f.clock.advance(999)
    equal((await f.settles('commit', ids[0]!)).late, false)
    f.clock.advance(1)
    equal((await f.settles('commit', ids[1]!)).late, true)
  },

  'a release gives back quotas, concurrency and capacity, and guards keep what they counted': async (f) => {
    const id = await f.reserves(60_000, ...oneOfEach())
    f.clock.advance(1)
    const reservation = await f.settles('release', id)
    deepEqual([reservation.status, reservation.settledAt], ['released', START_AT + 1])
    for (const charge of oneOfEach()) {
      const isGuard = ![CellKind.quota, CellKind.concurrency, CellKind.capacity].includes(charge.kind as never)
      await f.uses(isGuard ? 1 : 0, charge)
    }
  },

  'a release after its period or its expiry gives nothing to the next': async (f) => {
    const id = await f.reserves(2 * HOUR_MS, quota({ amount: 5 }))
    const brief = await f.reserves(10, quota({ amount: 5 }))
    f.clock.advance(HOUR_MS)
    await f.admits(quotaOfHour(1, { amount: 9 }))
    await f.settles('release', id)
    equal((await f.settles('release', brief)).late, true)
    await f.uses(9, quotaOfHour(1))
  },

  'a reservation is settled once: others are told the first outcome': async (f) => {
    for (const first of ['commit', 'release'] as const) {
      const id = await f.reserves(1000, quota())
      await f.settles(first, id, { amounts: { requests: 2 } })
      const used = (await f.look(quota())).used
      f.clock.advance(10)
      for (const action of ['commit', 'release', 'undo', 'extend'] as const) {
        const reservation = reservationOf(await f.driver.settle(action, id, { amounts: { requests: 5 }, ttlMs: 1000 }), 'settled-before')
        deepEqual([reservation.status, reservation.settledAt], [first === 'commit' ? 'committed' : 'released', f.clock.now() - 10])
        deepEqual(reservation.memo.amounts, first === 'commit' ? { requests: 2 } : {})
      }
      await f.uses(used, quota())
    }
  },

  'an id that was never given is unknown': async (f) => {
    for (const action of ['commit', 'release', 'undo', 'extend'] as const) equal((await f.driver.settle(action, `${f.user}-never`, { ttlMs: 1 })).result, 'unknown')
    const { id, admitted } = await f.driver.reserve(f.user, 1000, quota({ max: 0 }))
    equal(admitted, false)
    equal((await f.driver.settle('commit', id)).result, 'unknown')
  },

  'a reservation gives back what it was made with': async (f) => {
    const { id } = await f.driver.decide('reserve', f.user, [quota({ amount: 2 }), concurrency({ max: 100 })], { plan: 'set/plan', amounts: { tokens: 7 }, ttlMs: 1234 })
    const reservation = await f.settles('extend', id, { ttlMs: 1 })
    deepEqual([reservation.id, reservation.subject, reservation.memo, reservation.chargedAt, reservation.expiresAt], [id, f.user, { plan: 'set/plan', amounts: { tokens: 7 } }, START_AT, START_AT + 1234])
    deepEqual([reservation.status, reservation.settledAt, reservation.late], ['open', null, false])
  },

  'a reservation of another namespace is unknown': async (f) => {
    const id = await f.reserves(1000, quota())
    const settle = async (keyPrefix: string) => (await f.driver.store.settle({ id, action: 'commit', now: f.clock.now(), keyPrefix })).result
    equal(await settle('elsewhere\0'), 'unknown')
    equal(await settle(f.user.slice(0, 5)), 'settled')
  },
}
