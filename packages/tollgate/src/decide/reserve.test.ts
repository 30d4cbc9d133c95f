import { describe, expect, it } from 'vitest'
import { chargeOf, type ChargeFacts } from '../testing/charges.ts'
import { CellKind, type Charge } from './charge.ts'
import type { Holds } from './holds.ts'
import { reserveCharge } from './reserve.ts'
import { commitCharge } from './settle.ts'

const NOW = 1500
const EXPIRES_AT = 1900
const make = (kind: CellKind, facts: Omit<ChargeFacts, 'kind' | 'cell'>): Charge => chargeOf({ cell: 'reserve', ...facts, kind })
const quota = (amount: number): Charge => make(CellKind.quota, { amount, max: 10, startAt: 1000, endAt: 2000 })
const cellOf = (words: readonly number[]) => ({ w: Float64Array.from(words), at: 0, length: words.length, id: 7 })
const verdict = () => ({ passes: true, used: 0, resetAt: 0, retryAt: 0 })

describe('a reserved charge', () => {
  // Holds: cell, serial, amount, expiry, start of the period, when it was taken.
  it.each([
    ['quota: a hold in its period', quota(3), [1000, 4], [1000, 4], [7, 5, 3, EXPIRES_AT, 1000, NOW], 1000],
    ['quota: it begins its period', quota(3), [-Infinity, 0], [1000, 0], [7, 5, 3, EXPIRES_AT, 1000, NOW], 1000],
    ['quota: in the later period of a cell that is ahead', quota(3), [2000, 4], [2000, 4], [7, 5, 3, EXPIRES_AT, 2000, NOW], 2000],
    ['quota: nothing is no hold', quota(0), [1000, 4], [1000, 4], [], 1000],
    ['concurrency: a hold in no period', make(CellKind.concurrency, { amount: 1, max: 3 }), [], [], [7, 5, 1, EXPIRES_AT, 0, NOW], 0],
    ['capacity: a hold, and nothing stands yet', make(CellKind.capacity, { amount: 1, max: 3 }), [1000, 2], [1000, 2], [7, 5, 1, EXPIRES_AT, 0, NOW], 0],
    ['fixed window: counted at once', make(CellKind.fixedWindow, { amount: 3, max: 10, windowMs: 100 }), [1500, 4], [1500, 7], [], 0],
    ['anchor: what it is assumed to be', make(CellKind.anchor, { amount: 0, startAt: 1234 }), [-Infinity, 0], [1234, NOW], [], 1234],
  ] as const)('%s', (_, c, words, left, held, startAt) => {
    const cell = cellOf(words)
    const holds: Holds = []
    const before = { ...c }
    const copy = reserveCharge(c, cell, holds, 5, NOW, EXPIRES_AT, verdict())
    expect([...cell.w]).toEqual(left)
    expect(holds).toEqual(held)
    expect(copy).toEqual({ ...before, startAt })
    expect(copy).not.toBe(c)
    expect(c).toEqual(before)
  })

  it('of a cell that is ahead is committed into the period that it was held in', () => {
    const cell = cellOf([2000, 4])
    commitCharge(reserveCharge(quota(3), cell, [], 5, NOW, EXPIRES_AT, verdict()), cell, NOW, 2)
    expect([...cell.w]).toEqual([2000, 6])
  })
})
