import { describe, expect, it } from 'vitest'
import { chargeOf, type ChargeFacts } from '../testing/charges.ts'
import { OneCell } from '../testing/one-cell.ts'
import { CellKind, type Charge, clearCell } from './charge.ts'
import { apply, bucketLevel, examine, firstLive, forgottenAt, hasRoom, isAhead, newestAt, repair, unknownKind, windowStart } from './kernel.ts'

const make = (kind: CellKind, defaults: Omit<ChargeFacts, 'kind' | 'cell'>) => (facts: Partial<ChargeFacts> = {}): Charge => chargeOf({ cell: 'kernel', ...defaults, ...facts, kind })

const quota = make(CellKind.quota, { max: 10, startAt: 1000, endAt: 2000 })
const fixedWindow = make(CellKind.fixedWindow, { max: 10, windowMs: 100 })
const slidingCounter = make(CellKind.slidingCounter, { max: 10, windowMs: 100 })
const slidingLog = make(CellKind.slidingLog, { max: 10, windowMs: 100 })
const tokenBucket = make(CellKind.tokenBucket, { max: 10, windowMs: 100, refill: 3 })
const cooldown = make(CellKind.cooldown, { max: 1, windowMs: 100 })
const concurrency = make(CellKind.concurrency, { max: 3 })
const capacity = make(CellKind.capacity, { max: 3 })
const stated = make(CellKind.stated, { max: 3 })
const anchor = make(CellKind.anchor, { amount: 0, startAt: 1234 })

type Row = readonly [event: string, amount: number, now: number, passes: boolean, used: number, resetAt: number, retryAt: number]

/** Plays rows of `event → expected` on one cell. */
function play(charge: (facts: Partial<ChargeFacts>) => Charge, rows: readonly Row[]): void {
  const cell = new OneCell(charge({}))
  for (const [event, amount, now, passes, used, resetAt, retryAt] of rows) {
    const c = charge({ amount })
    const verdict = event === 'look' ? cell.look(c, now) : cell.consume(c, now)
    expect({ ...verdict }, `${event} ${amount} at ${now}`).toEqual({ passes, used, resetAt, retryAt })
  }
}

describe('an unused cell', () => {
  it.each([
    ['quota', quota(), { used: 0, resetAt: 2000 }],
    ['fixed window', fixedWindow(), { used: 0, resetAt: 1600 }],
    ['sliding counter', slidingCounter(), { used: 0, resetAt: 1550 }],
    ['sliding log', slidingLog(), { used: 0, resetAt: 1550 }],
    ['token bucket', tokenBucket(), { used: 0, resetAt: 1550 }],
    ['cooldown', cooldown(), { used: 0, resetAt: 1550 }],
    ['concurrency', concurrency(), { used: 0, resetAt: 1550 }],
    ['capacity', capacity(), { used: 0, resetAt: Infinity }],
    ['stated', stated({ stated: 1 }), { used: 1, resetAt: Infinity }],
    ['anchor', anchor(), { used: 0, resetAt: Infinity }],
  ] as const)('%s lets pass', (_, c, expected) => {
    expect(new OneCell(c).look(c, 1550)).toEqual({ passes: true, retryAt: 0, ...expected })
  })
})

describe('quota', () => {
  it('fills up, denies, and frees at its end', () => {
    play((facts) => quota(facts), [
      ['take', 4, 1000, true, 4, 2000, 0],
      ['look', 6, 1999, true, 4, 2000, 0],
      ['look', 7, 1999, false, 4, 2000, 2000],
      ['take', 6, 1999, true, 10, 2000, 0],
      ['take', 1, 1999, false, 10, 2000, 2000],
      // Of unknown size: there must be something left.
      ['take', 0, 1999, false, 10, 2000, 2000],
      ['take', 11, 1999, false, 10, 2000, Infinity],
    ])
  })

  it('counts anew in the next period', () => {
    const cell = new OneCell(quota())
    cell.consume(quota({ amount: 10 }), 1999)
    const next = quota({ startAt: 2000, endAt: 3000 })
    expect(cell.look(next, 2000)).toEqual({ passes: true, used: 0, resetAt: 3000, retryAt: 0 })
    expect(cell.consume(next, 2000).used).toBe(1)
    expect(cell.words).toEqual([2000, 1])
  })

  it('waits for the end of a later period that it counts in', () => {
    const cell = new OneCell(quota())
    cell.consume(quota({ startAt: 2000, endAt: 3000, amount: 10 }), 2000)
    expect(cell.consume(quota(), 1999)).toEqual({ passes: false, used: 10, resetAt: 3000, retryAt: 3000 })
    cell.consume(quota({ max: 11 }), 1999)
    expect(cell.words).toEqual([2000, 11])
  })

  it('a period that its cell is ahead of ends with the calendar, once its time has come', () => {
    const cell = new OneCell(quota())
    // Counted from an anchor that was changed since.
    cell.consume(quota({ startAt: 1200, endAt: 2200, amount: 4 }), 1500)
    for (const now of [1200, 1500]) expect(cell.look(quota(), now)).toEqual({ passes: true, used: 4, resetAt: 2000, retryAt: 0 })
    expect(cell.look(quota(), 1199).resetAt).toBe(2200)
  })

  it('a limit of 0 or less than the amount promises no wait', () => {
    const cell = new OneCell(quota())
    expect(cell.look(quota({ max: 0, amount: 0 }), 1500).retryAt).toBe(Infinity)
    expect(cell.look(quota({ amount: 11 }), 1500).retryAt).toBe(Infinity)
  })

  it('a wait ends with the first holds that make room, at the latest with the period', () => {
    const cell = new OneCell(quota())
    cell.consume(quota({ amount: 4 }), 1000)
    cell.reserve(quota({ amount: 3 }), 1000, 1500)
    cell.reserve(quota({ amount: 3 }), 1000, 2500)
    expect(cell.look(quota({ amount: 1 }), 1499)).toEqual({ passes: false, used: 10, resetAt: 2000, retryAt: 1500 })
    expect(cell.look(quota({ amount: 0 }), 1499).retryAt).toBe(1500)
    expect(cell.look(quota({ amount: 3 }), 1499).retryAt).toBe(1500)
    expect(cell.look(quota({ amount: 4 }), 1499).retryAt).toBe(2000)
    expect(cell.look(quota({ amount: 3 }), 1500).passes).toBe(true)
    expect(cell.look(quota({ amount: 1, startAt: 2000, endAt: 3000 }), 2000).used).toBe(0)
  })

  it('a hold moves the cell to its period, and counts nothing as settled', () => {
    const cell = new OneCell(quota())
    cell.consume(quota({ amount: 5 }), 1000)
    const held = cell.reserve(quota({ startAt: 2000, endAt: 3000, amount: 2 }), 2000, 2100)
    expect(held).toMatchObject({ passes: true, used: 2, resetAt: 3000, retryAt: 0 })
    expect(cell.words).toEqual([2000, 0])
    expect(cell.reserve(quota({ startAt: 2000, endAt: 3000 }), 2000, 9000).resetAt).toBe(3000)
  })
})

describe('fixed window', () => {
  it('fills up, denies, and frees at its end', () => {
    play(fixedWindow, [
      ['take', 4, 130, true, 4, 200, 0],
      ['take', 7, 199, false, 4, 200, 200],
      ['take', 6, 199, true, 10, 200, 0],
      ['take', 0, 199, true, 10, 200, 0],
      ['take', 11, 199, false, 10, 200, Infinity],
      ['look', 10, 200, true, 0, 300, 0],
      ['take', 1, 250, true, 1, 300, 0],
      ['take', 1, 555, true, 1, 600, 0],
    ])
  })
})

describe('windows', () => {
  it.each([
    ['a first one is the grid\'s', -Infinity, 1234, 1200],
    ['it lasts its full length', 1200, 1299, 1200],
    ['also off the grid', 1234, 1333, 1234],
    ['the next follows without a gap', 1200, 1300, 1300],
    ['also off the grid', 1234, 1334, 1334],
    ['to its end', 1234, 1433, 1334],
    ['after a pause it is the grid\'s again', 1234, 1434, 1400],
    ['however long', 1234, 98_765, 98_700],
  ])('%s', (_, startAt, now, expected) => {
    expect(windowStart(100, startAt, now)).toBe(expected)
  })
})

describe('sliding counter', () => {
  it('weighs the window before by what is left of it, rounded up', () => {
    play(slidingCounter, [
      ['take', 7, 150, true, 7, 300, 0],
      ['look', 4, 200, false, 7, 300, 215],
      // 7 × 86 % = 6.02, which is 7; at 85 % it is 5.95, which is 6.
      ['look', 4, 214, false, 7, 300, 215],
      ['look', 4, 215, true, 6, 300, 0],
      ['take', 3, 215, true, 9, 400, 0],
      // 3 now and 7 × 57 % = 4.
      ['look', 4, 242, false, 8, 400, 258],
      ['look', 4, 257, false, 7, 400, 258],
      ['look', 4, 258, true, 6, 400, 0],
      // What is counted now has to lose weight in the next window: 3 × 66 % = 1.98, which is 2.
      ['look', 8, 250, false, 7, 400, 334],
      ['look', 8, 333, false, 3, 400, 334],
      ['look', 8, 334, true, 2, 400, 0],
      ['look', 10, 399, false, 1, 400, 400],
      ['look', 10, 400, true, 0, 400, 0],
      ['look', 11, 400, false, 0, 400, Infinity],
    ])
  })

  it('starts anew after a pause of two windows', () => {
    const cell = new OneCell(slidingCounter())
    cell.consume(slidingCounter({ amount: 10 }), 150)
    expect(cell.look(slidingCounter(), 299).used).toBe(1)
    cell.consume(slidingCounter(), 312)
    expect(cell.words).toEqual([300, 1, 0])
    cell.consume(slidingCounter({ amount: 2 }), 400)
    expect(cell.words).toEqual([400, 2, 1])
  })

  it('a request of nothing changes no reset', () => {
    const cell = new OneCell(slidingCounter())
    expect(cell.consume(slidingCounter({ amount: 0 }), 150).resetAt).toBe(150)
    cell.consume(slidingCounter({ amount: 2 }), 150)
    expect(cell.consume(slidingCounter({ amount: 0 }), 250).resetAt).toBe(300)
  })
})

describe('sliding log', () => {
  it('forgets each admission one window after it came', () => {
    play(slidingLog, [
      ['take', 4, 100, true, 4, 200, 0],
      ['take', 4, 150, true, 8, 250, 0],
      ['look', 3, 199, false, 8, 250, 200],
      ['look', 6, 199, false, 8, 250, 200],
      ['look', 7, 199, false, 8, 250, 250],
      ['look', 11, 199, false, 8, 250, Infinity],
      ['take', 0, 199, true, 8, 250, 0],
      ['look', 6, 200, true, 4, 250, 0],
      ['take', 6, 200, true, 10, 300, 0],
      ['look', 1, 249, false, 10, 300, 250],
      ['take', 1, 250, true, 7, 350, 0],
      ['look', 10, 349, false, 1, 350, 350],
      ['look', 10, 350, true, 0, 350, 0],
    ])
  })

  it('keeps as many words as there were admissions at a time, and no more', () => {
    const cell = new OneCell(slidingLog())
    for (let now = 0; now < 4000; now += 10) cell.consume(slidingLog(), now)
    expect(cell.cell.length).toBe(32)
    expect(cell.look(slidingLog(), 3999)).toMatchObject({ used: 10, passes: false, retryAt: 4000 })
    // Its totals start again whenever nothing older is kept, so they do not grow with the years.
    expect(Math.max(...cell.words)).toBeLessThan(4000)
  })

  it('what comes in the same millisecond is one entry, also where there is room for two', () => {
    const long = new OneCell(slidingLog())
    for (const now of [0, 10, 20, 300, 300, 300]) long.consume(slidingLog(), now)
    expect(long.words.filter((word) => word === 300).length).toBe(1)
    expect(long.look(slidingLog(), 300).used).toBe(3)
    const cell = new OneCell(slidingLog())
    for (let i = 0; i < 5; i++) cell.consume(slidingLog(), 100)
    expect(cell.words).toEqual([100, 5])
  })

  it('totals of a full log count from its oldest entry', () => {
    const cell = new OneCell(slidingLog())
    cell.consume(slidingLog({ amount: 2 }), 0)
    cell.consume(slidingLog({ amount: 3 }), 50)
    expect(cell.words).toEqual([0, 2, 50, 5])
    cell.consume(slidingLog({ amount: 1 }), 100)
    expect(cell.words).toEqual([50, 3, 100, 4])
    cell.consume(slidingLog({ amount: 4 }), 300)
    expect(cell.words).toEqual([50, 4, 300, 8])
    expect(cell.look(slidingLog(), 300).used).toBe(4)
    cell.consume(slidingLog({ amount: 1 }), 350)
    expect(cell.words).toEqual([300, 4, 350, 5])
  })

  it('that may not grow takes what comes into its newest entry, and loses none', () => {
    const cell = { w: Float64Array.from([900, 2, 950, 5]), at: 0, length: 4, id: 0 }
    const verdict = { passes: true, used: 5, resetAt: 0, retryAt: 0 }
    apply(slidingLog({ amount: 4 }), cell, 960, verdict)
    expect([...cell.w]).toEqual([900, 2, 960, 9])
    expect(verdict).toMatchObject({ used: 9, resetAt: 1060 })
  })

  it('finds room where the oldest has left, or the newest is of now', () => {
    const cell = new OneCell(slidingLog())
    cell.consume(slidingLog(), 100)
    expect(hasRoom(slidingLog(), cell.cell, 100)).toBe(true)
    expect(hasRoom(slidingLog(), cell.cell, 101)).toBe(false)
    expect(hasRoom(slidingLog(), cell.cell, 199)).toBe(false)
    expect(hasRoom(slidingLog(), cell.cell, 200)).toBe(true)
    expect(hasRoom(quota(), new OneCell(quota()).cell, 101)).toBe(true)
  })

  it('finds the first live entry by bisection', () => {
    const w = Float64Array.from([-Infinity, 0, 10, 1, 20, 2, 30, 3])
    const cell = { w, at: 0, length: 8, id: 0 }
    expect([5, 10, 19, 20, 29, 30].map((cutoffAt) => firstLive(cell, cutoffAt))).toEqual([2, 4, 4, 6, 6, 8])
    expect(firstLive({ ...cell, at: 2, length: 4 }, 10)).toBe(4)
  })
})

describe('token bucket', () => {
  it('refills evenly and never by halves of a millisecond', () => {
    play(tokenBucket, [
      ['take', 10, 1000, true, 10, 1334, 0],
      ['look', 1, 1000, false, 10, 1334, 1034],
      ['look', 1, 1033, false, 10, 1334, 1034],
      ['look', 1, 1034, true, 9, 1334, 0],
      ['look', 2, 1034, false, 9, 1334, 1067],
      ['take', 1, 1034, true, 10, 1367, 0],
      ['look', 10, 1366, false, 1, 1367, 1367],
      ['look', 10, 1367, true, 0, 1367, 0],
      ['look', 11, 1367, false, 0, 1367, Infinity],
      ['take', 0, 1367, true, 0, 1367, 0],
    ])
  })

  it('a debt flows back in first', () => {
    const cell = new OneCell(tokenBucket())
    cell.consume(tokenBucket({ amount: 10 }), 1000)
    cell.commit(tokenBucket({ amount: 10 }), 1000, 16)
    expect(cell.look(tokenBucket(), 1000)).toEqual({ passes: false, used: 16, resetAt: 1534, retryAt: 1234 })
    expect(cell.look(tokenBucket(), 1234).passes).toBe(true)
    expect(cell.look(tokenBucket(), 1233).passes).toBe(false)
  })

  it.each([
    ['never used: full', -Infinity, 0, 5000, 1000],
    ['as it was', 100, 400, 100, 400],
    ['3 a millisecond', 100, 400, 110, 430],
    ['up to full', 100, 400, 300, 1000],
    ['at full', 100, 400, 299, 997],
    ['more than a smaller limit holds', 100, 1500, 100, 1000],
    ['after ages', 100, 0, 1e15, 1000],
  ])('%s', (_, updatedAt, level, now, expected) => {
    expect(bucketLevel(tokenBucket(), updatedAt, level, now)).toBe(expected)
  })
})

describe('cooldown', () => {
  it('starts with an admission and ends after its wait', () => {
    play(cooldown, [
      ['take', 1, 1000, true, 1, 1100, 0],
      ['look', 1, 1000, false, 1, 1100, 1100],
      ['look', 1, 1099, false, 1, 1100, 1100],
      ['take', 0, 1099, true, 1, 1100, 0],
      ['look', 1, 1100, true, 0, 1100, 0],
      ['take', 1, 1100, true, 1, 1200, 0],
    ])
  })
})

describe('concurrency', () => {
  it('counts holds until they expire', () => {
    const cell = new OneCell(concurrency())
    expect(cell.reserve(concurrency(), 1000, 1500)).toMatchObject({ used: 1, resetAt: 1500 })
    expect(cell.reserve(concurrency(), 1000, 1200)).toMatchObject({ used: 2, resetAt: 1500 })
    expect(cell.look(concurrency({ amount: 2 }), 1199)).toEqual({ passes: false, used: 2, resetAt: 1500, retryAt: 1200 })
    expect(cell.look(concurrency({ amount: 4 }), 1199).retryAt).toBe(Infinity)
    expect(cell.look(concurrency({ amount: 2 }), 1200)).toEqual({ passes: true, used: 1, resetAt: 1500, retryAt: 0 })
    expect(cell.look(concurrency(), 1500)).toEqual({ passes: true, used: 0, resetAt: 1500, retryAt: 0 })
    expect(cell.consume(concurrency(), 1500)).toMatchObject({ passes: true, used: 0 })
    expect(cell.look(concurrency(), 1500).used).toBe(0)
  })
})

describe('capacity', () => {
  it('counts what stands and what is held', () => {
    const cell = new OneCell(capacity())
    cell.consume(capacity(), 1000)
    expect(cell.reserve(capacity(), 1000, 1500)).toMatchObject({ used: 2, resetAt: Infinity })
    expect(cell.look(capacity({ amount: 2 }), 1499)).toEqual({ passes: false, used: 2, resetAt: Infinity, retryAt: 1500 })
    expect(cell.look(capacity({ amount: 3 }), 1499).retryAt).toBe(Infinity)
    expect(cell.look(capacity({ amount: 2 }), 1500).passes).toBe(true)
    expect(cell.words).toEqual([1000, 1])
    const unused = new OneCell(capacity())
    unused.reserve(capacity(), 1000, 1500)
    expect(unused.words).toEqual([-Infinity, 0])
  })
})

describe('stated and anchor', () => {
  it('take the caller\'s word', () => {
    play((facts) => stated({ stated: 2, ...facts }), [
      ['take', 1, 0, true, 3, Infinity, 0],
      ['take', 2, 0, false, 2, Infinity, Infinity],
    ])
    const cell = new OneCell(anchor())
    cell.consume(anchor(), 5)
    cell.consume(anchor({ startAt: 99 }), 6)
    expect(cell.words).toEqual([1234, 6])
  })
})

describe('a kind of cell that is not known', () => {
  it('raises, and names the fix', () => {
    const c = chargeOf({ cell: 'x', kind: 42 as CellKind })
    expect(() => examine(c, { w: new Float64Array(2), at: 0, length: 2, id: 0 }, [], 0, { passes: true, used: 0, resetAt: 0, retryAt: 0 })).toThrow('Cell kind 42 is not one this version of Tollgate knows; upgrade this process before you use the kind')
    expect(unknownKind(42 as never)).toBeInstanceOf(Error)
    expect(() => new OneCell(fixedWindow()).commit(c, 0, 1)).toThrow(/Cell kind 42/)
    expect(() => apply(c, new OneCell(fixedWindow()).cell, 0, { passes: true, used: 0, resetAt: 0, retryAt: 0 })).toThrow(/Cell kind 42/)
    expect(() => new OneCell(fixedWindow()).undo(c, 0)).toThrow(/Cell kind 42/)
  })
})

describe('a cell in the future', () => {
  it.each([
    ['fixed window', fixedWindow(), [1000, 4], 950, [950, 4]],
    ['sliding counter', slidingCounter(), [1000, 4, 3], 950, [950, 4, 3]],
    ['token bucket', tokenBucket(), [1000, 250], 950, [950, 250]],
    ['cooldown', cooldown(), [1000], 950, [950]],
    ['capacity', capacity(), [1000, 2], 950, [950, 2]],
    ['anchor: its last use', anchor(), [900, 1000], 950, [900, 950]],
    ['log', slidingLog(), [900, 1, 960, 2, 980, 3, 999, 4], 950, [900, 1, 950, 2, 950, 3, 950, 4]],
    ['log, all of it', slidingLog(), [960, 2, 999, 4], 950, [950, 2, 950, 4]],
    ['log, of which some had left', slidingLog(), [890, 1, 899, 2, 900, 3, 999, 4], 895, [-Infinity, 1, -Infinity, 2, 895, 3, 895, 4]],
    ['log, of which the oldest was just leaving', slidingLog(), [899, 2, 999, 4], 898, [-Infinity, 2, 898, 4]],
    ['quota of the next period', quota(), [2000, 4], 1500, [2000, 4]],
    ['quota of a period after that', quota(), [2501, 4], 1500, [1000, 4]],
    ['quota exactly a period ahead', quota(), [2500, 4], 1500, [2500, 4]],
  ] as const)('%s', (_, c, words, now, expected) => {
    // The cells beside it are repaired when they are asked for.
    const beside = [9999, 5]
    const cell = { w: Float64Array.from([...beside, ...words, ...beside]), at: 2, length: words.length, id: 1 }
    expect(isAhead(c, cell, [], now)).toBe(true)
    repair(c, cell, [], now)
    expect([...cell.w]).toEqual([...beside, ...expected, ...beside])
  })

  it('is none when its newest instant is now', () => {
    for (const [c, words] of [[fixedWindow(), [950, 4]], [slidingLog(), [900, 1, 950, 2]], [quota(), [950, 1]], [concurrency(), []]] as const) {
      const cell = { w: Float64Array.from(words), at: 0, length: words.length, id: 1 }
      expect(isAhead(c, cell, [], 950)).toBe(false)
      repair(c, cell, [], 950)
      expect([...cell.w]).toEqual([...words])
    }
  })

  it('takes its holds along, of its own period, and they last as long as they were to', () => {
    const cell = new OneCell(quota())
    const ahead = quota({ startAt: 9000, endAt: 10_000 })
    cell.reserve(ahead, 9100, 9300)
    cell.holds.push(99, 5, 1, 9300, 9000, 9100)
    cell.consume(quota({ max: 100 }), 1500)
    expect(cell.words).toEqual([1000, 1])
    expect([...cell.holds]).toEqual([7, 1, 1, 1700, 1000, 1500, 99, 5, 1, 9300, 9000, 9100])
    expect(cell.look(quota(), 1699).used).toBe(2)
    expect(cell.look(quota(), 1700).used).toBe(1)
  })

  it('is left as it is when only a hold is ahead', () => {
    const cell = new OneCell(capacity())
    cell.consume(capacity(), 900)
    cell.reserve(capacity(), 9100, 9300)
    repair(capacity(), cell.cell, cell.holds, 950)
    expect(cell.words).toEqual([900, 1])
    expect(cell.look(capacity(), 1149).used).toBe(2)
    expect(cell.look(capacity(), 1150).used).toBe(1)
  })

  it('is noticed by a hold alone', () => {
    const cell = new OneCell(concurrency())
    cell.reserve(concurrency(), 9100, 9300)
    expect(isAhead(concurrency(), cell.cell, cell.holds, 9099)).toBe(true)
    expect(isAhead(concurrency(), cell.cell, cell.holds, 9100)).toBe(false)
    expect(isAhead(concurrency(), { ...cell.cell, id: 8 }, cell.holds, 9099)).toBe(false)
  })
})

describe('the newest instant of a cell', () => {
  it.each([
    ['of a log is its last entry\'s', slidingLog(), [900, 1, 950, 2], 950],
    ['of others their first word', fixedWindow(), [950, 4], 950],
    ['of an anchor its last use', anchor(), [900, 950], 950],
    ['of an unused anchor is none', anchor(), [-Infinity, 950], -Infinity],
    ['of one without words is none', concurrency(), [], -Infinity],
  ] as const)('%s', (_, c, words, expected) => {
    expect(newestAt(c, { w: Float64Array.from([0, ...words]), at: 1, length: words.length, id: 1 })).toBe(expected)
  })
})

describe('a cell is forgotten', () => {
  it.each([
    ['an anchor after its last use', CellKind.anchor, [100, 1000], 1500],
    ['an unused anchor at once', CellKind.anchor, [-Infinity, 1000], -Infinity],
    ['capacity that stands never', CellKind.capacity, [1000, 1], Infinity],
    ['capacity that is free at once', CellKind.capacity, [1000, 0], -Infinity],
    ['a log after its newest entry', CellKind.slidingLog, [100, 1, 1000, 2], 1500],
    ['a window after its start', CellKind.fixedWindow, [1000, 5], 1500],
    ['a bucket when it is full', CellKind.tokenBucket, [1000, 0], 1500],
    ['a bucket that is half full, no sooner', CellKind.tokenBucket, [1000, 300], 1500],
    ['a bucket in debt when the debt has flowed back too', CellKind.tokenBucket, [1000, -100], 1534],
    ['concurrency at once: its holds say the rest', CellKind.concurrency, [], -Infinity],
    ['a cooldown after its wait', CellKind.cooldown, [1000], 1500],
  ] as const)('%s', (_, kind, words, expected) => {
    expect(forgottenAt(kind, { w: Float64Array.from(words), at: 0, length: words.length, id: 0 }, 500, 3)).toBe(expected)
  })

  it('an unused cell of any kind that counts', () => {
    for (const c of [quota(), fixedWindow(), slidingCounter(), slidingLog(), tokenBucket(), cooldown()]) {
      expect(forgottenAt(c.kind, new OneCell(c).cell, 500, 3)).toBe(-Infinity)
    }
  })

  it('clears to unused words', () => {
    const w = new Float64Array(8).fill(7)
    clearCell(w, 2, 4, CellKind.slidingLog)
    expect([...w]).toEqual([7, 7, -Infinity, 0, -Infinity, 0, 7, 7])
    clearCell(w, 2, 3, CellKind.slidingCounter)
    expect([...w]).toEqual([7, 7, -Infinity, 0, 0, 0, 7, 7])
  })
})
