import { describe, expect, it } from 'vitest'
import { addHold, dropCells, dropExpired, dropHolds, extendHolds, heldOf, heldUntil, type Holds, isHeldAhead, isHeldNow, moveHolds, repairHolds } from './holds.ts'

/** Cell 1 holds 2, 3 and 5 in period 0, and 7 in period 100; cell 2 holds 11. */
function holdsOf(): Holds {
  const holds: Holds = []
  addHold(holds, 1, 51, 2, 1000, 1300, 0)
  addHold(holds, 1, 52, 3, 1010, 1100, 0)
  addHold(holds, 2, 52, 11, 1010, 1100, 0)
  addHold(holds, 1, 53, 5, 1020, 1200, 0)
  addHold(holds, 1, 54, 7, 1030, 1400, 100)
  return holds
}

describe('holds', () => {
  it('count by cell and period while they have not expired', () => {
    const holds = holdsOf()
    expect([1099, 1100, 1199, 1200, 1299, 1300].map((now) => heldOf(holds, 1, 0, now))).toEqual([10, 7, 7, 2, 2, 0])
    expect([heldOf(holds, 1, 100, 1399), heldOf(holds, 1, 100, 1400), heldOf(holds, 2, 0, 1099), heldOf(holds, 3, 0, 1099)]).toEqual([7, 0, 11, 0])
  })

  it('free an amount when the holds that expire first make up for it', () => {
    const holds = holdsOf()
    expect([1, 3, 4, 8, 9, 10, 11].map((needed) => heldUntil(holds, 1, 0, 1050, needed))).toEqual([1100, 1100, 1200, 1200, 1300, 1300, Infinity])
    expect(heldUntil(holds, 1, 0, 1100, 1)).toBe(1200)
    expect(heldUntil(holds, 1, 100, 1050, 7)).toBe(1400)
    expect(heldUntil(holds, 2, 0, 1050, 1)).toBe(1100)
    expect(heldUntil(holds, 3, 0, 1050, 1)).toBe(Infinity)
  })

  it('are open until they expire, in any period', () => {
    const holds = holdsOf()
    expect([isHeldNow(holds, 1, 1399), isHeldNow(holds, 1, 1400), isHeldNow(holds, 2, 1100), isHeldNow(holds, 3, 1000)]).toEqual([true, false, false, false])
  })

  it('are dropped by reservation, wherever they are', () => {
    const holds = holdsOf()
    expect(dropHolds(holds, 52)).toBe(true)
    expect(dropHolds(holds, 52)).toBe(false)
    expect(holds).toEqual([1, 51, 2, 1300, 0, 1000, 1, 53, 5, 1200, 0, 1020, 1, 54, 7, 1400, 100, 1030])
  })

  it('are dropped by cell', () => {
    const holds = holdsOf()
    dropCells(holds, (cell) => cell === 1)
    expect(holds).toEqual([2, 52, 11, 1100, 0, 1010])
  })

  it('are dropped when they have expired', () => {
    const holds = holdsOf()
    dropExpired(holds, 1200)
    expect(holds).toEqual([1, 51, 2, 1300, 0, 1000, 1, 54, 7, 1400, 100, 1030])
  })

  it('last longer when they are extended, and never shorter', () => {
    const holds = holdsOf()
    extendHolds(holds, 52, 1050, 1100)
    expect(holds).toEqual(holdsOf())
    extendHolds(holds, 52, 1050, 1101)
    expect([heldOf(holds, 1, 0, 1100), heldOf(holds, 2, 0, 1100), heldOf(holds, 1, 0, 1101)]).toEqual([10, 11, 7])
    extendHolds(holds, 52, 1050, 9000)
    expect([heldOf(holds, 1, 0, 1300), heldOf(holds, 1, 100, 1400), heldOf(holds, 2, 0, 1300)]).toEqual([3, 0, 11])
    expect([isHeldAhead(holds, 2, 1049), isHeldAhead(holds, 2, 1050)]).toEqual([true, false])
  })

  it('that are extended after the clock was set back last from then on', () => {
    const holds = holdsOf()
    extendHolds(holds, 52, 910, 990)
    expect(holds.slice(6, 12)).toEqual([1, 52, 3, 1000, 0, 910])
    extendHolds(holds, 52, 910, 1040)
    expect(holds.slice(6, 18)).toEqual([1, 52, 3, 1040, 0, 910, 2, 52, 11, 1040, 0, 910])
  })

  it('move with their cell to another start of its period', () => {
    const holds = holdsOf()
    moveHolds(holds, 1, 0, 50)
    expect([heldOf(holds, 1, 0, 1050), heldOf(holds, 1, 50, 1050), heldOf(holds, 1, 100, 1050), heldOf(holds, 2, 0, 1050)]).toEqual([0, 10, 7, 11])
  })

  it('that were taken later than now were taken now, and last as long', () => {
    const holds = holdsOf()
    expect([isHeldAhead(holds, 1, 1030), isHeldAhead(holds, 1, 1029), isHeldAhead(holds, 2, 1010), isHeldAhead(holds, 2, 1009)]).toEqual([false, true, false, true])
    repairHolds(holds, 1, 1010)
    expect(holds).toEqual([1, 51, 2, 1300, 0, 1000, 1, 52, 3, 1100, 0, 1010, 2, 52, 11, 1100, 0, 1010, 1, 53, 5, 1190, 0, 1010, 1, 54, 7, 1380, 100, 1010])
    repairHolds(holds, 2, 0)
    expect(heldUntil(holds, 2, 0, 0, 11)).toBe(90)
  })
})
