import { deepEqual, equal } from 'node:assert/strict'
import { CellKind } from '../../decide/charge.ts'
import { Random } from '../random.ts'
import { anchor, capacity, concurrency, fixedWindow, HOUR_MS, nameOf, oneOfEach, quota, quotaOfHour, type Scenarios, slidingLog, START_AT, stated, tokenBucket } from './fixture.ts'

const MAX_AMOUNT = 2 ** 31 - 1

/** Periods, amounts of all sizes, and that a request is decided as a whole. */
export const quotas: Scenarios = {
  'a quota admits exactly its limit in a period': async (f) => {
    for (let used = 1; used <= 10; used++) deepEqual(await f.admits(quota()), [{ passes: true, used, resetAt: START_AT + HOUR_MS, retryAt: 0 }])
    deepEqual(await f.denies(quota()), [{ passes: false, used: 10, resetAt: START_AT + HOUR_MS, retryAt: START_AT + HOUR_MS }])
  },

  'a request at the end of a period is in the next one': async (f) => {
    await f.admits(quota({ amount: 10 }))
    f.clock.advanceTo(START_AT + HOUR_MS - 1)
    await f.denies(quota())
    f.clock.advance(1)
    deepEqual(await f.admits(quotaOfHour(1)), [{ passes: true, used: 1, resetAt: START_AT + 2 * HOUR_MS, retryAt: 0 }])
  },

  'charges of another period than the store is in are stale, and nothing is counted': async (f) => {
    for (const hour of [-1, 1]) {
      const outcome = await f.driver.consume(f.user, fixedWindow(), quotaOfHour(hour))
      deepEqual([outcome.admitted, outcome.stale, outcome.at], [false, {}, START_AT])
    }
    await f.uses(0, fixedWindow())
    await f.uses(0, quota())
    f.clock.advance(HOUR_MS)
    deepEqual((await f.driver.check(f.user, quota())).stale, {})
  },

  'a request of unknown size is denied once a quota is used up': async (f) => {
    await f.admits(quota({ amount: 9 }))
    await f.admits(quota({ amount: 0 }))
    await f.admits(quota({ amount: 1 }))
    const [verdict] = await f.denies(quota({ amount: 0 }))
    deepEqual([verdict!.used, verdict!.retryAt], [10, START_AT + HOUR_MS])
  },

  'weighted requests fit or do not, whole': async (f) => {
    for (const charge of [quota(), fixedWindow(), slidingLog(), tokenBucket()]) {
      await f.admits({ ...charge, amount: 8 })
      await f.denies({ ...charge, amount: 3 })
      await f.uses(8, charge)
      await f.admits({ ...charge, amount: 2 })
      await f.denies(charge)
    }
  },

  'more than a limit at once never passes, and no wait is promised': async (f) => {
    for (const charge of oneOfEach({ amount: 11, max: 10 })) {
      if (charge.kind === CellKind.cooldown) continue
      const [verdict] = await f.denies(charge)
      deepEqual([verdict!.used, verdict!.retryAt], [0, Infinity], nameOf(charge))
    }
  },

  'a limit of 0 admits nothing': async (f) => {
    for (const charge of [...oneOfEach({ max: 0 }), stated({ max: 0 })]) {
      if (charge.kind === CellKind.cooldown) continue
      deepEqual((await f.denies(charge))[0]!.retryAt, Infinity, nameOf(charge))
    }
    await f.denies(quota({ max: 0, amount: 0 }))
  },

  'an unlimited quota counts on': async (f) => {
    for (const charge of [quota({ max: Infinity }), capacity({ max: Infinity })]) {
      for (let used = 1; used <= 3; used++) equal((await f.admits({ ...charge, amount: MAX_AMOUNT }))[0]!.used, used * MAX_AMOUNT)
      await f.uses(3 * MAX_AMOUNT, charge)
    }
  },

  'the largest amounts are counted exactly': async (f) => {
    for (const charge of [quota(), fixedWindow(), slidingLog(), capacity(), tokenBucket({ windowMs: 1000, refill: 1 })]) {
      const largest = { ...charge, max: MAX_AMOUNT, amount: MAX_AMOUNT - 1 }
      equal((await f.admits(largest))[0]!.used, MAX_AMOUNT - 1, nameOf(charge))
      await f.denies({ ...largest, amount: 2 })
      equal((await f.admits({ ...largest, amount: 1 }))[0]!.used, MAX_AMOUNT)
      await f.denies({ ...largest, amount: 1 })
    }
  },

  'what the caller counted is taken as it is': async (f) => {
    deepEqual(await f.admits(stated({ stated: 2 })), [{ passes: true, used: 3, resetAt: Infinity, retryAt: 0 }])
    deepEqual(await f.denies(stated({ stated: 3 })), [{ passes: false, used: 3, resetAt: Infinity, retryAt: Infinity }])
    await f.admits(stated({ stated: 0 }))
  },

  'one charge that does not pass keeps all others from being counted': async (f) => {
    for (const full of oneOfEach({ cell: 'conformance/full', max: 1, retainMs: HOUR_MS })) {
      const subject = `${f.user}/${nameOf(full)}`
      const { admitted } = full.kind === CellKind.concurrency ? await f.driver.reserve(subject, HOUR_MS, full) : await f.driver.consume(subject, full)
      equal(admitted, true)
      for (const charges of [[...oneOfEach(), { ...full }], [{ ...full }, ...oneOfEach()]]) {
        const outcome = await f.driver.reserve(subject, 60_000, ...charges)
        equal(outcome.admitted, false)
        deepEqual(outcome.verdicts.map(({ passes }) => passes), charges.map(({ cell }) => cell !== full.cell))
      }
      for (const charge of oneOfEach()) await f.uses(0, charge, subject)
      await f.uses(1, full, subject)
    }
  },

  'a denial names every limit that it violates, each with its own wait': async (f) => {
    await f.admits(quota({ max: 1 }), fixedWindow({ max: 1 }), slidingLog({ max: 1 }))
    f.clock.advance(1000)
    const verdicts = await f.denies(quota({ max: 1 }), concurrency(), fixedWindow({ max: 1 }), slidingLog({ max: 1 }))
    deepEqual(verdicts.map(({ passes }) => passes), [false, true, false, false])
    deepEqual(verdicts.map(({ retryAt }) => retryAt), [START_AT + HOUR_MS, 0, START_AT + 60_000, START_AT + 60_000])
  },

  'a check writes nothing': async (f) => {
    for (let i = 0; i < 20; i++) equal((await f.driver.check(f.user, ...oneOfEach({ max: 1 }), anchor())).admitted, true)
    equal(f.driver.store.knownAnchor(f.user), undefined)
    await f.admits(...oneOfEach({ max: 1 }))
  },

  'a check says what the same request is told right after it': async (f) => {
    const random = new Random(17)
    for (let i = 0; i < 300; i++) {
      f.clock.advance(random.pick([0, 1, 500, 4000, 30_000]))
      const hour = Math.floor((f.clock.now() - START_AT) / HOUR_MS)
      const kinds = oneOfEach({ max: random.integer(1, 6) }).filter(() => random.chance(0.4))
      const charges = kinds.map((c) => (c.kind === CellKind.quota ? quotaOfHour(hour, { max: c.max }) : c)).map((c) => ({ ...c, amount: c.kind === CellKind.cooldown ? 1 : random.integer(0, 3) }))
      const foretold = await f.driver.check(f.user, ...charges)
      const told = await f.driver.decide(random.chance(0.5) ? 'consume' : 'reserve', f.user, charges, { ttlMs: 5000 })
      equal(told.admitted, foretold.admitted)
      deepEqual(told.verdicts.map(({ passes, retryAt }) => [passes, retryAt]), foretold.verdicts.map(({ passes, retryAt }) => [passes, retryAt]))
    }
  },

  'a changed limit applies at once to what was counted': async (f) => {
    for (const charge of [quota(), fixedWindow(), slidingLog(), capacity({ max: 10 })]) {
      await f.admits({ ...charge, amount: 5 })
      await f.denies({ ...charge, max: 5 })
      equal((await f.denies({ ...charge, max: 3 }))[0]!.used, 5)
      await f.admits({ ...charge, max: 6 })
    }
  },
}
