import { deepEqual, equal } from 'node:assert/strict'
import type { Charge } from '../../decide/charge.ts'
import { capacity, concurrency, cooldown, type Fixture, fixedWindow, quota, type Scenarios, slidingCounter, slidingLog, tokenBucket } from './fixture.ts'

const CALLERS = 200

async function admitted(f: Fixture, action: 'consume' | 'reserve', charges: readonly Charge[], callers = CALLERS): Promise<string[]> {
  const outcomes = await Promise.all(Array.from({ length: callers }, () => f.driver.decide(action, f.user, charges)))
  return outcomes.filter((outcome) => outcome.admitted).map(({ id }) => id)
}

/** Calls that are under way at the same time. */
export const parallel: Scenarios = {
  'of many parallel requests exactly the limit is admitted': async (f) => {
    for (const charge of [quota(), fixedWindow(), slidingCounter(), slidingLog(), tokenBucket(), capacity()]) {
      equal((await admitted(f, 'consume', [{ ...charge, max: 83 }])).length, 83)
    }
    equal((await admitted(f, 'consume', [cooldown()])).length, 1)
  },

  'of many parallel reservations exactly the limit is admitted': async (f) => {
    for (const charge of [quota(), capacity(), concurrency()]) equal((await admitted(f, 'reserve', [{ ...charge, max: 83 }])).length, 83)
  },

  'parallel weighted requests fill a limit without passing it': async (f) => {
    equal((await admitted(f, 'consume', [quota({ amount: 7, max: 100 })])).length, 14)
    await f.uses(98, quota({ max: 100 }))
  },

  'parallel requests are whole: what one limit refuses no other counts': async (f) => {
    equal((await admitted(f, 'reserve', [quota({ max: 50 }), fixedWindow({ max: 40 }), concurrency({ max: 30 }), slidingLog({ max: 60 })])).length, 30)
    for (const charge of [quota(), fixedWindow(), concurrency(), slidingLog()]) await f.uses(30, { ...charge, max: 100 })
  },

  'parallel settlements settle once': async (f) => {
    const id = await f.reserves(1000, quota({ amount: 4 }))
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, i) => f.driver.settle(i % 2 === 0 ? 'commit' : 'release', id)))
    deepEqual(outcomes.filter(({ result }) => result === 'settled').length, 1)
    equal(outcomes.every(({ result }) => result === 'settled' || result === 'settled-before'), true)
    const status = outcomes.map((outcome) => 'reservation' in outcome && outcome.reservation.status)
    equal(new Set(status).size, 1)
    await f.uses(status[0] === 'committed' ? 4 : 0, quota())
  },

  'parallel reservations and settlements add up': async (f) => {
    const ids = await admitted(f, 'reserve', [quota({ max: 1000 }), concurrency({ max: 1000 })], 100)
    const actions = ids.map((id, i) => f.driver.settle(i % 3 === 0 ? 'release' : 'commit', id, { amounts: { requests: 2 } }))
    await Promise.all([...actions, ...Array.from({ length: 50 }, () => f.driver.consume(f.user, quota({ max: 1000 })))])
    await f.uses(66 * 2 + 50, quota({ max: 1000 }))
    await f.uses(0, concurrency())
  },

  'parallel requests of many subjects and worlds do not disturb each other': async (f) => {
    const outcomes = await Promise.all(Array.from({ length: CALLERS }, (_, i) => f.driver.consume(`${f.user}/${i % 20}`, cooldown({ partition: `w${i % 40}` }), quota())))
    equal(outcomes.filter((outcome) => outcome.admitted).length, 40)
  },
}
