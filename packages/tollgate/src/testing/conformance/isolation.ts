import { deepEqual, equal } from 'node:assert/strict'
import { digestOf } from '../charges.ts'
import { anchor, capacity, concurrency, cooldown, fixedWindow, HOUR_MS, oneOfEach, quota, type Scenarios, slidingLog, START_AT, tokenBucket } from './fixture.ts'

/** Values that careless keys would mix up: by separators, escapes, case, length, wildcards or what a database folds. */
const LOOK_ALIKES = [
  'a', 'A', 'a ', ' a', 'b', 'a:b', 'a/b', 'a|b', 'a,b', 'a.b', 'a\\', 'a\\:b', '["a","b"]', '["a,b"]', '["a"]', '{a}', '{a}b',
  '%61', 'a%3Ab', '*', '?', '[a]', 'a*', "'", '"', '`', '--', '$1', '\n', '\t', 'null', 'undefined', '0', '00', '-1', '__proto__',
  'constructor', 'é', 'e\u0301', 'а', '\ud83d\ude00', 'x'.repeat(255), 'x'.repeat(256),
]

/** Nobody reads or spends what is another's. */
export const isolation: Scenarios = {
  'partitions that look alike are apart': async (f) => {
    for (const partition of LOOK_ALIKES) {
      await f.admits(cooldown({ partition }), fixedWindow({ partition, max: 1 }), slidingLog({ partition, max: 1 }), concurrency({ partition, max: 1 }))
    }
    for (const partition of LOOK_ALIKES) {
      for (const charge of [cooldown({ partition }), fixedWindow({ partition }), slidingLog({ partition })]) await f.uses(1, charge)
    }
    await f.uses(0, cooldown())
  },

  'subjects that look alike are apart': async (f) => {
    const subjects = LOOK_ALIKES.map((value) => f.user + value)
    for (const subject of subjects) equal((await f.driver.consume(subject, ...oneOfEach({ max: 1 }))).admitted, true, subject)
    for (const subject of subjects) await f.uses(1, quota(), subject)
    await f.uses(0, quota())
  },

  'a subject and its partition cannot be split in another way': async (f) => {
    for (const [subject, partition] of [['a', 'b:c'], ['a:b', 'c'], ['a:b:c', ''], ['a', 'b'], ['a:', 'b']] as const) {
      equal((await f.driver.consume(`${f.user}:${subject}`, cooldown({ partition }))).admitted, true)
    }
  },

  'texts are apart by the whole of their digests': async (f) => {
    const text = (n: number) => slidingLog({ digest: digestOf(n), max: 1 })
    const base = digestOf(7)
    for (let i = 0; i < 21; i++) {
      const digest = base.slice(0, i) + (base[i] === 'A' ? 'B' : 'A') + base.slice(i + 1)
      await f.admits(slidingLog({ digest, max: 1 }))
    }
    for (let n = 0; n < 200; n++) await f.admits(text(n))
    for (let n = 0; n < 200; n++) await f.denies(text(n))
    equal((await f.driver.consume(f.other, text(7))).admitted, true)
    await f.admits(slidingLog({ digest: base, max: 1, partition: 'w1' }))
  },

  'limits are apart by their identity, and plans that share it share the cell': async (f) => {
    await f.admits(quota({ cell: 'a/limit', amount: 10 }))
    await f.admits(quota({ cell: 'b/limit', amount: 10 }))
    const outcome = await f.driver.decide('consume', f.user, [quota({ cell: 'a/limit', max: 100 })], { plan: 'plus' })
    equal(outcome.verdicts[0]!.used, 11)
    await f.denies(quota({ cell: 'a/limit' }))
  },

  'what one subject reserved, another\'s settlement does not touch': async (f) => {
    await f.reserves(1000, quota(), concurrency())
    const { id } = await f.driver.reserve(f.other, 1000, quota(), concurrency())
    await f.settles('commit', id, { amounts: { requests: 5 } })
    await f.uses(1, quota())
    await f.uses(1, concurrency())
    await f.uses(5, quota(), f.other)
  },

  'usage lists every cell, and every live partition': async (f) => {
    await f.admits(quota({ amount: 3 }), slidingLog({ cell: 'conformance/exact' }))
    for (const partition of ['w1', 'w2', 'w1']) await f.admits(tokenBucket({ partition }), slidingLog({ partition, digest: digestOf(1) }))
    await f.admits(slidingLog({ partition: 'w1', digest: digestOf(2) }))
    const whole = await f.driver.usage(f.user, [quota({ amount: 0 }), slidingLog({ cell: 'conformance/exact', amount: 0 }), concurrency({ amount: 0 })])
    deepEqual(whole.map(({ limit, partition, verdict }) => [limit, partition, verdict.used]), [[0, '', 3], [1, '', 1], [2, '', 0]])
    const parts = await f.driver.usage(f.user, [tokenBucket({ amount: 0 }), slidingLog({ amount: 0 })], true)
    const sorted = parts.map(({ limit, partition, verdict }) => `${limit} ${partition} ${verdict.used}`).toSorted()
    // Of texts, the one that came most often.
    deepEqual(sorted, ['0 w1 2', '0 w2 1', '1 w1 2', '1 w2 1'])
    f.clock.advance(24 * HOUR_MS)
    deepEqual(await f.driver.usage(f.user, [tokenBucket({ amount: 0 }), slidingLog({ amount: 0 })], true), [])
    deepEqual((await f.driver.usage(f.other, [concurrency({ amount: 0 })])).map(({ verdict }) => verdict.used), [0])
  },

  'a reset forgets the cells it names, in every partition, or all': async (f) => {
    const worlds = ['w1', 'w2'].map((partition) => fixedWindow({ partition }))
    await f.admits(quota(), capacity(), cooldown(), ...worlds)
    await f.reserves(1000, quota(), concurrency())
    await f.driver.reset(f.other)
    await f.driver.reset(f.user, [quota().cell, fixedWindow().cell])
    for (const charge of [quota(), ...worlds]) await f.uses(0, charge)
    for (const charge of [capacity(), cooldown(), concurrency()]) await f.uses(1, charge)
    await f.driver.reset(f.user)
    for (const charge of [...oneOfEach(), ...worlds]) await f.uses(0, charge)
  },

  'after a reset an open reservation holds nothing, and its commit is recorded': async (f) => {
    const id = await f.reserves(1000, quota({ amount: 5 }), concurrency())
    await f.driver.reset(f.user)
    await f.admits(quota())
    await f.settles('commit', id, { amounts: { requests: 2 } })
    await f.uses(3, quota())
    await f.uses(0, concurrency())
  },

  'after a reset nothing of before is given back': async (f) => {
    const before: string[] = []
    for (let i = 0; i < 3; i++) before.push(await f.reserves(1000, capacity(), capacity({ cell: 'conformance/other' })))
    for (const id of before) await f.settles('commit', id)
    await f.driver.reset(f.user, [capacity().cell])
    for (let i = 0; i < 3; i++) await f.settles('commit', await f.reserves(1000, capacity()))
    for (const id of before) equal((await f.settles('release', id)).status, 'released')
    await f.uses(3, capacity())
    await f.uses(0, capacity({ cell: 'conformance/other' }))
    const open = await f.reserves(1000, capacity({ max: 4 }))
    await f.driver.reset(f.user)
    // Committed after the reset, so it stands, and is given back.
    await f.settles('commit', open)
    await f.uses(1, capacity())
    await f.settles('release', open)
    await f.uses(0, capacity())
  },

  'a reset keeps the anchor, and an erasure forgets it with the rest': async (f) => {
    await f.admits(anchor(), quota(), fixedWindow({ partition: 'w1' }))
    await f.driver.reset(f.user)
    deepEqual((await f.driver.check(f.user, anchor({ startAt: START_AT + 1 }))).stale, { anchorAt: START_AT })
    await f.admits(anchor(), quota())
    await f.driver.erase(f.other)
    await f.uses(1, quota())
    await f.driver.erase(f.user)
    for (const charge of [quota(), fixedWindow({ partition: 'w1' })]) await f.uses(0, charge)
    await f.admits(anchor({ startAt: START_AT + 1 }))
  },

  'nothing of an erased subject can be settled, or is given back': async (f) => {
    const open = await f.reserves(1000, quota(), concurrency())
    const [standing, released] = [await f.reserves(1000, capacity()), await f.reserves(1000, quota())]
    await f.settles('commit', standing)
    await f.settles('release', released)
    await f.driver.erase(f.user)
    await f.settles('commit', await f.reserves(1000, capacity(), quota()))
    for (const id of [open, standing, released]) for (const action of ['commit', 'release', 'extend'] as const) equal((await f.driver.settle(action, id, { ttlMs: 1 })).result, 'unknown')
    await f.uses(1, capacity())
    await f.uses(1, quota())
    await f.uses(0, concurrency())
  },

  'a subject that the store knows nothing of is not decided, where that is asked for': async (f) => {
    for (const action of ['check', 'consume', 'reserve'] as const) {
      const { admitted, stale } = await f.driver.decide(action, f.user, [quota()], { unlessUnknown: true })
      deepEqual({ admitted, stale }, { admitted: false, stale: { isUnknown: true } })
    }
    await f.uses(0, quota())
    // What was used is brought back as one request, which passes once: it carries a mark.
    const mark = quota({ cell: 'conformance/mark', max: 1 })
    const totals = [mark, quota({ amount: 7, max: Infinity }), anchor()]
    equal((await f.driver.decide('consume', f.user, totals)).admitted, true)
    equal((await f.driver.decide('consume', f.user, totals)).admitted, false)
    equal((await f.driver.decide('consume', f.user, [quota({ max: 8 })], { unlessUnknown: true })).admitted, true)
    equal((await f.driver.decide('consume', f.user, [quota({ max: 8 })], { unlessUnknown: true })).admitted, false)
    await f.driver.reset(f.user)
    equal((await f.driver.decide('consume', f.user, [quota()], { unlessUnknown: true })).admitted, true)
    await f.driver.erase(f.user)
  },

  'a commit tells the quotas that it was counted in': async (f) => {
    const id = await f.reserves(1000, quota({ amount: 3 }), fixedWindow())
    const outcome = await f.driver.settle('commit', id)
    equal(outcome.result, 'settled')
    const told = (outcome as Extract<typeof outcome, { result: 'settled' }>).reservation.charges
    deepEqual(told.filter(({ kind }) => kind === quota().kind).map(({ cell, amount, startAt }) => ({ cell, amount, startAt })), [{ cell: quota().cell, amount: 3, startAt: quota().startAt }])
  },

  'the store knows a plan under which a subject was admitted': async (f) => {
    equal(await f.driver.store.lastPlan(f.user), undefined)
    await f.driver.decide('consume', f.user, [quota({ max: 0 })], { plan: 'denied' })
    equal(await f.driver.store.lastPlan(f.user), undefined)
    await f.driver.decide('consume', f.user, [quota()], { plan: 'set/first' })
    equal(await f.driver.store.lastPlan(f.user), 'set/first')
    await f.driver.decide('consume', f.user, [quota()], { plan: 'set/second' })
    equal(await f.driver.store.lastPlan(f.user), 'set/second')
    equal(await f.driver.store.lastPlan(f.other), undefined)
  },
}
