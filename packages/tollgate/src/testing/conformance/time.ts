import { deepEqual, equal } from 'node:assert/strict'
import { CellKind } from '../../decide/charge.ts'
import { anchor, concurrency, cooldown, DAY_MS, fixedWindow, HOUR_MS, nameOf, quota, quotaOfHour, type Scenarios, slidingCounter, slidingLog, START_AT, tokenBucket } from './fixture.ts'

const YEAR_MS = 366 * DAY_MS

/** Guards that are full, and how long each then takes to let the next request pass. */
const guards = () => [fixedWindow(), slidingCounter(), slidingLog(), tokenBucket(), cooldown()].map((c) => ({ full: { ...c, amount: c.max }, one: { ...c, amount: 1 } }))

/** Anchors, and clocks that leap or are set back. */
export const time: Scenarios = {
  'the first admission keeps the anchor, and another one is stale': async (f) => {
    await f.denies(anchor(), quota({ max: 0 }))
    equal((await f.driver.check(f.user, anchor({ startAt: START_AT - 5 }))).admitted, true)
    await f.admits(anchor())
    const outcome = await f.driver.consume(f.user, anchor({ startAt: START_AT + 1 }), fixedWindow())
    deepEqual([outcome.admitted, outcome.stale], [false, { anchorAt: START_AT }])
    await f.uses(0, fixedWindow())
    await f.admits(anchor())
    f.clock.advance(10 * YEAR_MS)
    deepEqual((await f.driver.check(f.user, anchor({ startAt: f.clock.now() }))).stale, { anchorAt: START_AT })
    const known = f.driver.store.knownAnchor(f.user)
    equal(known === undefined || known === START_AT, true)
  },

  'a leap forwards ends every window': async (f) => {
    for (const { full } of guards()) await f.admits(full)
    await f.admits(quota({ amount: 10 }))
    f.clock.advance(YEAR_MS)
    for (const { full } of guards()) await f.admits(full)
  },

  'after a step back nothing refills, and nothing is locked for longer than its window': async (f) => {
    for (const backMs of [1, 1000, 59_999, 60_000, HOUR_MS, DAY_MS, YEAR_MS, 10 * YEAR_MS]) {
      await f.driver.reset(f.user)
      f.clock.set(START_AT)
      for (const { full } of guards()) await f.admits(full)
      f.clock.set(START_AT - backMs)
      for (const { full, one } of guards()) {
        const [verdict] = await f.denies(one)
        // A sliding counter's window is followed by one in which it still weighs.
        const longestMs = one.windowMs * (one.kind === CellKind.slidingCounter ? 2 : 1)
        const waitMs = verdict!.retryAt - f.clock.now()
        equal(waitMs > 0 && waitMs <= longestMs, true, `${nameOf(one)} waits ${waitMs} ms after a step of ${backMs} ms`)
        f.clock.advance(longestMs - 1)
        equal((await f.look(full)).passes, false, `${nameOf(one)} is not wholly free before its window has passed`)
        f.clock.advance(1)
        equal((await f.look(full)).passes, true, `${nameOf(one)} is free after its window`)
        f.clock.set(START_AT - backMs)
      }
    }
  },

  'a wait that a step back began does not begin again with each attempt': async (f) => {
    for (const { full } of guards()) await f.admits(full)
    f.clock.set(START_AT - YEAR_MS)
    const retryAt = new Map<CellKind, number>()
    for (const { one } of guards()) retryAt.set(one.kind, (await f.denies(one))[0]!.retryAt)
    f.clock.advance(1000)
    for (const { one } of guards()) equal((await f.denies(one))[0]!.retryAt, retryAt.get(one.kind), nameOf(one))
  },

  'small steps to and fro let no more time pass than the forward ones': async (f) => {
    const full = guards().map(({ full: charge }) => charge)
    for (const charge of full) await f.admits(charge)
    // Half a second forwards each second time: 2.5 s in all, of the 5 that a cooldown takes and the 60 of the others.
    for (let i = 0; i < 10; i++) {
      f.clock.set(START_AT + (i % 2 === 0 ? -500 : 0))
      for (const charge of full) equal((await f.driver.consume(f.user, charge)).admitted, false, nameOf(charge))
    }
  },

  'a window that a step back moved off the grid is followed by the next without overlap': async (f) => {
    const full = fixedWindow({ amount: 10 })
    await f.admits(full)
    f.clock.set(START_AT - 55_000)
    await f.denies(fixedWindow())
    // Its window lasts until 5 s past the minute, and so does the one after it.
    f.clock.set(START_AT + 5000)
    await f.admits(full)
    for (const at of [START_AT + 60_000, START_AT + 64_999]) {
      f.clock.set(at)
      await f.denies(fixedWindow())
    }
    f.clock.advance(1)
    await f.admits(full)
    f.clock.advance(5 * 60_000)
    equal((await f.admits(full))[0]!.resetAt, START_AT + 7 * 60_000)
  },

  'what had left a log before the clock was set back does not come back': async (f) => {
    await f.admits(slidingLog({ amount: 3 }))
    await f.admits(slidingLog({ amount: 3, partition: 'once' }))
    for (const seconds of [1, 2, 70, 71]) {
      f.clock.set(START_AT + seconds * 1000)
      await f.admits(slidingLog())
    }
    f.clock.set(START_AT + 2000)
    await f.uses(2, slidingLog())
    // Here nothing came after: it counts again, as the clock says it should.
    await f.uses(3, slidingLog({ partition: 'once' }))
  },

  'a quota that was counted in a later period stays in it': async (f) => {
    f.clock.advance(HOUR_MS)
    await f.admits(quotaOfHour(1, { amount: 10 }))
    f.clock.set(START_AT + HOUR_MS - 1)
    const [verdict] = await f.denies(quota())
    deepEqual([verdict!.used, verdict!.retryAt], [10, START_AT + 2 * HOUR_MS])
    f.clock.advance(1)
    await f.denies(quotaOfHour(1))
    f.clock.advance(HOUR_MS)
    await f.admits(quotaOfHour(2, { amount: 10 }))
  },

  'a quota from more than a period ahead is counted in the current one': async (f) => {
    f.clock.set(START_AT + YEAR_MS)
    const year = { startAt: START_AT + YEAR_MS, endAt: START_AT + YEAR_MS + HOUR_MS }
    await f.admits(quota({ ...year, amount: 7 }))
    const held = await f.reserves(DAY_MS, quota({ ...year, amount: 3 }))
    f.clock.set(START_AT)
    equal((await f.look(quota())).used, 10)
    // Looking has changed nothing.
    f.clock.set(START_AT + YEAR_MS)
    await f.denies(quota(year))
    f.clock.set(START_AT)
    equal((await f.denies(quota()))[0]!.retryAt, START_AT + HOUR_MS)
    await f.settles('commit', held, { amounts: { requests: 1 } })
    await f.uses(8, quota())
    f.clock.advance(HOUR_MS)
    await f.uses(0, quotaOfHour(1))
  },

  'a hold lasts no longer than it was to, however far the clock is set back': async (f) => {
    for (const backMs of [10_000, YEAR_MS]) {
      await f.driver.reset(f.user)
      const setAt = START_AT + HOUR_MS / 2 - backMs
      const current = quotaOfHour(Math.floor((HOUR_MS / 2 - backMs) / HOUR_MS))
      f.clock.set(START_AT + HOUR_MS / 2)
      for (let i = 0; i < 2; i++) await f.reserves(30_000, concurrency(), quota({ amount: 5 }))
      f.clock.advance(10_000)
      f.clock.set(setAt)
      equal((await f.look(concurrency())).retryAt, setAt + 30_000)
      await f.denies(concurrency(), current)
      f.clock.advance(29_999)
      await f.denies(concurrency())
      await f.uses(10, current)
      f.clock.advance(1)
      await f.uses(0, concurrency())
      await f.uses(0, current)
    }
  },
}
