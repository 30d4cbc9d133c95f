import { describe, expect, it } from 'vitest'
import { chargeOf, type ChargeFacts } from '../testing/charges.ts'
import type { OneCell } from '../testing/one-cell.ts'
import { CellKind, type Charge } from './charge.ts'
import { commitCharge, returnCapacity, undoCharge } from './settle.ts'

const make = (kind: CellKind, defaults: Omit<ChargeFacts, 'kind' | 'cell'>) => (facts: Partial<ChargeFacts> = {}): Charge => chargeOf({ cell: 'settle', ...defaults, ...facts, kind })

const quota = make(CellKind.quota, { max: 10, startAt: 1000, endAt: 2000 })
const fixedWindow = make(CellKind.fixedWindow, { max: 10, windowMs: 100 })
const slidingCounter = make(CellKind.slidingCounter, { max: 10, windowMs: 100 })
const slidingLog = make(CellKind.slidingLog, { max: 10, windowMs: 100 })
const tokenBucket = make(CellKind.tokenBucket, { max: 10, windowMs: 100, refill: 5 })
const cooldown = make(CellKind.cooldown, { max: 1, windowMs: 100 })
const concurrency = make(CellKind.concurrency, { max: 3 })
const capacity = make(CellKind.capacity, { max: 3 })
const stated = make(CellKind.stated, { max: 3 })
const anchor = make(CellKind.anchor, { amount: 0 })

/** The words that something leaves of these; and of the cells beside them, which have changed at `besideAt`, all. */
function left(words: readonly number[], change: (cell: OneCell['cell']) => void, besideAt = 77): number[] {
  const beside = [besideAt, 88]
  const cell = { w: Float64Array.from([...beside, ...words, ...beside]), at: 2, length: words.length, id: 0 }
  change(cell)
  expect([...cell.w.subarray(0, 2), ...cell.w.subarray(-2)]).toEqual([...beside, ...beside])
  return [...cell.w.subarray(2, -2)]
}

describe('a commit', () => {
  it.each([
    ['quota: what was used', quota({ amount: 3 }), [1000, 2], 5, [1000, 7]],
    ['quota: a cell that was reset', quota({ amount: 3 }), [-Infinity, 0], 5, [1000, 5]],
    ['quota: of a period that has gone', quota({ amount: 3 }), [2000, 2], 5, [2000, 2]],
    ['quota: a cell that was moved to an earlier period', quota({ amount: 3 }), [500, 2], 5, [500, 7]],
    ['capacity', capacity(), [1000, 2], 4, [1500, 6]],
    ['fixed window: what came on top', fixedWindow({ amount: 3 }), [1500, 4], 8, [1500, 9]],
    ['fixed window: into the current one', fixedWindow({ amount: 3 }), [1400, 4], 8, [1500, 5]],
    ['fixed window: not less', fixedWindow({ amount: 3 }), [1500, 4], 2, [1500, 4]],
    ['fixed window: not the same', fixedWindow({ amount: 3 }), [1400, 4], 3, [1400, 4]],
    ['sliding counter', slidingCounter({ amount: 3 }), [1400, 4, 2], 8, [1500, 5, 4]],
    ['log', slidingLog({ amount: 3 }), [1400, 4, 1450, 7], 8, [1450, 3, 1500, 8]],
    ['bucket', tokenBucket({ amount: 3 }), [1500, 200], 8, [1500, -300]],
    ['bucket: not less', tokenBucket({ amount: 3 }), [1400, 200], 0, [1400, 200]],
    ['cooldown: nothing', cooldown(), [1400], 8, [1400]],
    ['concurrency: nothing', concurrency(), [], 8, []],
    ['stated: nothing', stated(), [], 8, []],
    ['anchor: nothing', anchor(), [1400], 8, [1400]],
  ] as const)('%s', (_, c, words, actual, expected) => {
    expect(left(words, (cell) => commitCharge(c, cell, 1500, actual))).toEqual(expected)
  })

  it('of capacity leaves with the charge what a release gives back', () => {
    const c = capacity()
    left([1000, 2], (cell) => commitCharge(c, cell, 1500, 4))
    expect(c.amount).toBe(4)
    const q = quota({ amount: 3 })
    left([1000, 2], (cell) => commitCharge(q, cell, 1500, 4))
    expect(q.amount).toBe(3)
  })
})

describe('capacity given back', () => {
  it('is free again, and never less than none', () => {
    expect(left([1000, 3], (cell) => returnCapacity(cell, 1500, 2))).toEqual([1500, 1])
    expect(left([1000, 1], (cell) => returnCapacity(cell, 1500, 2))).toEqual([1500, 0])
  })
})

describe('an undo', () => {
  it.each([
    ['fixed window: its own', fixedWindow({ amount: 3 }), [1500, 5], 1550, [1500, 2]],
    ['fixed window: charged as it began', fixedWindow({ amount: 3 }), [1500, 5], 1500, [1500, 2]],
    ['fixed window: not of a later one', fixedWindow({ amount: 3 }), [1500, 5], 1499, [1500, 5]],
    ['fixed window: no less than nothing', fixedWindow({ amount: 3 }), [1500, 2], 1550, [1500, 0]],
    ['counter: of this window', slidingCounter({ amount: 3 }), [1500, 5, 4], 1500, [1500, 2, 4]],
    ['counter: no less than nothing', slidingCounter({ amount: 3 }), [1500, 2, 4], 1500, [1500, 0, 4]],
    ['counter: of the one before', slidingCounter({ amount: 3 }), [1500, 5, 4], 1499, [1500, 5, 1]],
    ['counter: of the one before, as it began', slidingCounter({ amount: 3 }), [1500, 5, 4], 1400, [1500, 5, 1]],
    ['counter: of none that is kept', slidingCounter({ amount: 3 }), [1500, 5, 4], 1399, [1500, 5, 4]],
    ['log: an entry of its own', slidingLog({ amount: 3 }), [1400, 2, 1450, 5, 1500, 6], 1450, [-Infinity, 0, 1400, 2, 1500, 3]],
    ['log: a share of an entry', slidingLog({ amount: 2 }), [1400, 2, 1450, 5, 1500, 6], 1450, [1400, 2, 1450, 3, 1500, 4]],
    ['log: the first entry', slidingLog({ amount: 2 }), [1400, 2, 1450, 5], 1400, [-Infinity, 0, 1450, 3]],
    ['log: the last entry', slidingLog({ amount: 3 }), [1400, 2, 1450, 5], 1450, [-Infinity, 0, 1400, 2]],
    ['log: one that is gone', slidingLog({ amount: 3 }), [1400, 2, 1450, 5], 1300, [1400, 2, 1450, 5]],
    ['log: one between others', slidingLog({ amount: 3 }), [1400, 2, 1450, 5], 1425, [1400, 2, 1450, 5]],
    ['bucket: all, when nothing flowed since', tokenBucket({ amount: 3 }), [1500, 200], 1500, [1500, 500]],
    ['bucket: less what flowed since', tokenBucket({ amount: 3 }), [1510, 200], 1500, [1510, 450]],
    ['bucket: nothing when all has flowed back', tokenBucket({ amount: 3 }), [1561, 200], 1500, [1561, 200]],
    ['bucket: no more than full', tokenBucket({ amount: 3 }), [1500, 900], 1500, [1500, 1000]],
    ['bucket: one never used stays so', tokenBucket({ amount: 3 }), [-Infinity, 0], 1500, [-Infinity, 300]],
    ['bucket: after a step back, all', tokenBucket({ amount: 3 }), [1400, 200], 1500, [1400, 500]],
    ['cooldown: as if it had not been', cooldown(), [1500], 1500, [-Infinity]],
    ['cooldown: not a later one', cooldown(), [1500], 1499, [1500]],
    ['quota: nothing, its hold is gone', quota({ amount: 3 }), [1000, 5], 1500, [1000, 5]],
    ['capacity: nothing', capacity(), [1000, 2], 1500, [1000, 2]],
    ['concurrency: nothing', concurrency(), [], 1500, []],
    ['stated: nothing', stated(), [], 1500, []],
    ['anchor: nothing, a first use it was', anchor(), [1500], 1500, [1500]],
  ] as const)('%s', (_, c, words, chargedAt, expected) => {
    expect(left(words, (cell) => undoCharge(c, cell, chargedAt), chargedAt)).toEqual(expected)
  })
})
