import { deepEqual, equal } from 'node:assert/strict'
import { capacity, concurrency, cooldown, HOUR_MS, nameOf, quota, quotaOfHour, reservationOf, type Scenarios, slidingLog, START_AT } from './fixture.ts'

const held = () => [quota({ max: 2 }), concurrency({ max: 2 }), capacity({ max: 2 })]

/** What is reserved counts at once, and no longer than until its expiry. */
export const holds: Scenarios = {
  'a hold counts from its reservation to the millisecond of its expiry': async (f) => {
    for (const charge of held()) {
      const startAt = f.clock.now()
      await f.reserves(1000, charge)
      await f.uses(1, charge)
      f.clock.advance(500)
      await f.reserves(1000, charge)
      equal((await f.denies(charge))[0]!.retryAt, startAt + 1000, nameOf(charge))
      f.clock.advance(499)
      await f.uses(2, charge)
      f.clock.advance(1)
      await f.uses(1, charge)
      f.clock.advance(499)
      await f.uses(1, charge)
      f.clock.advance(1)
      await f.uses(0, charge)
    }
  },

  'holds expire although nobody looks': async (f) => {
    for (const charge of held()) for (let i = 0; i < 2; i++) await f.reserves(10 + i, charge)
    f.clock.advance(11)
    for (const charge of held()) for (let i = 0; i < 2; i++) await f.reserves(10, charge)
  },

  'a wait ends when enough holds have expired': async (f) => {
    for (const charge of [quota({ max: 10 }), concurrency({ max: 10 }), capacity({ max: 10 })]) {
      const now = f.clock.now()
      await f.reserves(3000, { ...charge, amount: 2 })
      await f.reserves(1000, { ...charge, amount: 3 })
      await f.reserves(2000, { ...charge, amount: 5 })
      for (const [amount, waitMs] of [[1, 1000], [3, 1000], [4, 2000], [8, 2000], [9, 3000], [10, 3000]] as const) {
        equal((await f.denies({ ...charge, amount }))[0]!.retryAt, now + waitMs, `${nameOf(charge)}: ${amount}`)
      }
      f.clock.advance(3000)
    }
  },

  'a hold belongs to the period it was taken in': async (f) => {
    await f.reserves(2 * HOUR_MS, quota({ amount: 10 }))
    f.clock.advance(HOUR_MS)
    await f.uses(0, quotaOfHour(1))
    await f.admits(quotaOfHour(1, { amount: 10 }))
  },

  'what is used and what is held count together': async (f) => {
    await f.admits(quota({ amount: 4 }), capacity())
    await f.reserves(1000, quota({ amount: 5 }), capacity())
    await f.uses(9, quota())
    await f.uses(2, capacity())
    await f.denies(quota({ amount: 2 }))
    f.clock.advance(1000)
    await f.uses(4, quota())
    await f.uses(1, capacity())
  },

  'concurrency counts open reservations and nothing else': async (f) => {
    await f.admits(concurrency())
    await f.uses(0, concurrency())
    const first = await f.reserves(1000, concurrency())
    const second = await f.reserves(2000, concurrency())
    deepEqual(await f.denies(concurrency()), [{ passes: false, used: 2, resetAt: START_AT + 2000, retryAt: START_AT + 1000 }])
    await f.settles('commit', first)
    await f.uses(1, concurrency())
    await f.settles('release', second)
    await f.uses(0, concurrency())
  },

  'guards do not hold: what was reserved stays counted after its expiry': async (f) => {
    await f.reserves(10, slidingLog(), cooldown())
    f.clock.advance(10)
    await f.uses(1, slidingLog())
    await f.uses(1, cooldown())
  },

  'an extended hold lasts until the later of its two ends': async (f) => {
    const id = await f.reserves(1000, quota(), concurrency())
    f.clock.advance(999)
    equal((await f.settles('extend', id, { ttlMs: 5000 })).expiresAt, START_AT + 5999)
    equal((await f.settles('extend', id, { ttlMs: 1 })).expiresAt, START_AT + 5999)
    f.clock.advanceTo(START_AT + 5998)
    await f.uses(1, quota())
    await f.uses(1, concurrency())
    f.clock.advance(1)
    await f.uses(0, quota())
    await f.uses(0, concurrency())
  },

  'an expired hold cannot be extended': async (f) => {
    const id = await f.reserves(1000, quota())
    f.clock.advance(1000)
    const reservation = reservationOf(await f.driver.settle('extend', id, { ttlMs: 1000 }), 'expired')
    deepEqual([reservation.status, reservation.expiresAt], ['open', START_AT + 1000])
    await f.uses(0, quota())
  },
}
