import { equal } from 'node:assert/strict'
import { capacity, concurrency, cooldown, DAY_MS, fixedWindow, oneOfEach, quota, type Scenarios, slidingCounter, slidingLog, START_AT, tokenBucket } from './fixture.ts'

const guards = () => [fixedWindow(), slidingCounter(), slidingLog(), tokenBucket()]

/** What goes back: an admission that was taken back as a whole, and capacity that stood. */
export const givingBack: Scenarios = {
  'an undo is as if the request had never been, guards included': async (f) => {
    await f.admits(...guards(), quota())
    f.clock.advance(10)
    const id = await f.reserves(60_000, ...oneOfEach())
    await f.settles('undo', id)
    for (const charge of [...guards(), quota()]) await f.uses(1, charge)
    for (const charge of [cooldown(), concurrency(), capacity()]) await f.uses(0, charge)
    equal((await f.driver.settle('commit', id)).result, 'unknown')
  },

  'an undo takes nothing from a window that began after its request': async (f) => {
    f.clock.advance(59_999)
    const id = await f.reserves(DAY_MS, ...guards(), cooldown({ windowMs: 1 }))
    f.clock.advance(120_000)
    await f.admits(...guards(), cooldown({ windowMs: 1 }))
    await f.settles('undo', id)
    for (const charge of guards()) await f.uses(1, charge)
    await f.uses(1, cooldown({ windowMs: 1 }))
  },

  'an undo takes its own from among others in a log and in the window before': async (f) => {
    await f.admits(slidingLog({ amount: 2 }), slidingCounter({ amount: 2 }))
    f.clock.advance(10)
    const id = await f.reserves(DAY_MS, slidingLog({ amount: 3 }), slidingCounter({ amount: 3 }))
    await f.admits(slidingLog({ amount: 4 }), slidingCounter({ amount: 4 }))
    f.clock.advanceTo(START_AT + 60_000)
    await f.settles('undo', id)
    await f.uses(4, slidingLog())
    await f.uses(6, slidingCounter())
    f.clock.advance(10)
    await f.uses(0, slidingLog())
  },

  'an undo takes from the window that its request was counted in, which is now the one before': async (f) => {
    f.clock.advance(59_999)
    const id = await f.reserves(DAY_MS, slidingCounter({ amount: 6 }))
    f.clock.advance(1)
    await f.admits(slidingCounter({ amount: 2 }))
    await f.uses(8, slidingCounter())
    await f.settles('undo', id)
    await f.uses(2, slidingCounter())
  },

  'an undo gives a bucket no more than it would have had': async (f) => {
    const bucket = tokenBucket({ max: 10, refill: 1, windowMs: 1 })
    const id = await f.reserves(60_000, { ...bucket, amount: 10 })
    f.clock.advance(10)
    await f.admits({ ...bucket, amount: 10 })
    await f.settles('undo', id)
    await f.denies(bucket)
  },

  'a unit of capacity stands until it is given back, once': async (f) => {
    const ids = [await f.reserves(1000, capacity()), await f.reserves(1000, capacity()), await f.reserves(1000, capacity())]
    for (const id of ids) await f.settles('commit', id)
    f.clock.advance(400 * DAY_MS)
    equal((await f.denies(capacity()))[0]!.retryAt, Infinity)
    equal((await f.settles('release', ids[0]!)).status, 'released')
    equal((await f.driver.settle('release', ids[0]!)).result, 'settled-before')
    equal((await f.driver.settle('commit', ids[1]!)).result, 'settled-before')
    await f.uses(2, capacity())
    await f.admits(capacity())
    await f.denies(capacity())
  },

  'a release of what is still open leaves alone what was committed': async (f) => {
    const [open, standing] = [await f.reserves(1000, capacity()), await f.reserves(1000, capacity())]
    await f.settles('commit', standing)
    const release = async (id: string) => (await f.driver.store.settle({ id, action: 'release', now: f.clock.now(), onlyOpen: true })).result
    equal(await release(standing), 'settled-before')
    await f.uses(2, capacity())
    equal(await release(open), 'settled')
    await f.uses(1, capacity())
  },

  'capacity gives back what stands, not what was asked for': async (f) => {
    await f.admits(capacity())
    const none = await f.reserves(1000, capacity())
    await f.settles('commit', none, { amounts: { requests: 0 } })
    equal((await f.driver.settle('release', none)).result, 'settled-before')
    await f.uses(1, capacity())
    const more = await f.reserves(1000, capacity())
    await f.settles('commit', more, { amounts: { requests: 2 } })
    await f.uses(3, capacity())
    await f.settles('release', more)
    await f.uses(1, capacity())
  },
}
