import { deepEqual, equal } from 'node:assert/strict'
import { cooldown, fixedWindow, type Scenarios, slidingCounter, slidingLog, START_AT, tokenBucket } from './fixture.ts'

const MINUTE_MS = 60_000

/** Guards: what they count is never given back, and time alone frees it. */
export const windows: Scenarios = {
  'a fixed window admits exactly its limit, and is empty at its end': async (f) => {
    f.clock.advance(12_345)
    for (let used = 1; used <= 10; used++) deepEqual(await f.admits(fixedWindow()), [{ passes: true, used, resetAt: START_AT + MINUTE_MS, retryAt: 0 }])
    deepEqual(await f.denies(fixedWindow()), [{ passes: false, used: 10, resetAt: START_AT + MINUTE_MS, retryAt: START_AT + MINUTE_MS }])
    await f.freesAt(START_AT + MINUTE_MS, fixedWindow())
  },

  'a fixed window is aligned to the epoch, also after a pause': async (f) => {
    await f.admits(fixedWindow())
    f.clock.advance(7 * MINUTE_MS + 59_999)
    deepEqual(await f.admits(fixedWindow({ amount: 10 })), [{ passes: true, used: 10, resetAt: START_AT + 8 * MINUTE_MS, retryAt: 0 }])
    f.clock.advance(1)
    await f.uses(0, fixedWindow())
  },

  'a sliding counter weighs the window before by what is left of it': async (f) => {
    f.clock.advance(30_000)
    await f.admits(slidingCounter({ amount: 10 }))
    f.clock.advanceTo(START_AT + MINUTE_MS)
    await f.uses(10, slidingCounter())
    f.clock.advance(6000)
    // 10 × 54 s of 60 s, rounded up: never less than there might have been.
    await f.uses(9, slidingCounter())
    f.clock.advance(1)
    await f.uses(9, slidingCounter())
    f.clock.advanceTo(START_AT + 2 * MINUTE_MS - 1)
    await f.uses(1, slidingCounter())
    f.clock.advance(1)
    await f.uses(0, slidingCounter())
  },

  'a sliding counter says to the millisecond when a request passes': async (f) => {
    await f.admits(slidingCounter({ amount: 7 }))
    await f.freesAt(START_AT + 2 * MINUTE_MS - Math.floor((6 * MINUTE_MS) / 7), slidingCounter({ amount: 4 }))
    await f.freesAt(START_AT + 2 * MINUTE_MS, slidingCounter({ amount: 10 }))
    f.clock.advance(MINUTE_MS + 20_000)
    await f.freesAt(START_AT + 2 * MINUTE_MS - Math.floor((3 * MINUTE_MS) / 7), slidingCounter({ amount: 7 }))
  },

  'a log lets each admission leave exactly one window after it came': async (f) => {
    for (let i = 0; i < 10; i++) {
      await f.admits(slidingLog())
      f.clock.advance(1000)
    }
    equal((await f.denies(slidingLog()))[0]!.resetAt, START_AT + 9000 + MINUTE_MS)
    await f.freesAt(START_AT + MINUTE_MS, slidingLog())
    await f.freesAt(START_AT + 3000 + MINUTE_MS, slidingLog({ amount: 4 }))
    f.clock.advanceTo(START_AT + MINUTE_MS)
    await f.admits(slidingLog())
    await f.denies(slidingLog())
    await f.freesAt(START_AT + MINUTE_MS + 1000, slidingLog())
  },

  'a log stays exact over many admissions': async (f) => {
    const charge = slidingLog({ max: 100 })
    for (let i = 0; i < 1000; i++) {
      const { admitted } = await f.driver.consume(f.user, charge)
      equal(admitted, i % 300 < 100, `request ${i}`)
      f.clock.advance(200)
    }
  },

  'a log counts what came in one millisecond together': async (f) => {
    for (let i = 0; i < 5; i++) await f.admits(slidingLog({ amount: 2 }))
    await f.uses(10, slidingLog())
    await f.freesAt(START_AT + MINUTE_MS, slidingLog())
  },

  'a token bucket fills up evenly, to the millisecond': async (f) => {
    const charge = tokenBucket({ max: 3, refill: 3, windowMs: 1000 })
    for (let used = 1; used <= 3; used++) equal((await f.admits(charge))[0]!.used, used)
    equal((await f.denies(charge))[0]!.resetAt, START_AT + 1000)
    await f.freesAt(START_AT + 334, charge)
    await f.freesAt(START_AT + 667, { ...charge, amount: 2 })
    await f.freesAt(START_AT + 1000, { ...charge, amount: 3 })
    f.clock.advance(3_600_000)
    await f.uses(0, charge)
    await f.denies({ ...charge, amount: 4 })
  },

  'a token bucket loses nothing to rounding': async (f) => {
    // 7 tokens in 1,000 ms: asked every 100 ms, 0.7 of a token flows in each time.
    const charge = tokenBucket({ max: 7, refill: 7, windowMs: 1000 })
    await f.admits({ ...charge, amount: 7 })
    let admitted = 0
    for (let i = 1; i <= 1000; i++) {
      f.clock.advance(100)
      if ((await f.driver.consume(f.user, charge)).admitted) admitted++
    }
    equal(admitted, 700)
  },

  'a cooldown starts with each admission and ends on time': async (f) => {
    deepEqual(await f.admits(cooldown()), [{ passes: true, used: 1, resetAt: START_AT + 5000, retryAt: 0 }])
    deepEqual(await f.denies(cooldown()), [{ passes: false, used: 1, resetAt: START_AT + 5000, retryAt: START_AT + 5000 }])
    await f.freesAt(START_AT + 5000, cooldown())
    f.clock.advance(5000)
    await f.admits(cooldown())
    await f.freesAt(START_AT + 10_000, cooldown())
    // Another plan with a shorter wait counts from the same admission.
    await f.freesAt(START_AT + 5001, cooldown({ windowMs: 1 }))
  },
}
