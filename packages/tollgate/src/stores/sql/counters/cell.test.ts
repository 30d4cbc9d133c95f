import { describe, expect, it } from 'vitest'
import { CellKind, type Charge, MAX_LOGGED } from '../../../decide/charge.ts'
import { addHold } from '../../../decide/holds.ts'
import { apply } from '../../../decide/kernel.ts'
import { chargeOf } from '../../../testing/charges.ts'
import { decodeCell, encodeCell, type KeptCell, type StoredCell, unusedCell, untilOf } from './cell.ts'
import { OpenCell } from './open-cell.ts'

const NOW = 1_800_000_000_123
const MINUTE_MS = 60_000

const cellOf = (c: Charge, words: readonly number[], rest: Partial<KeptCell> = {}): KeptCell => ({ ...unusedCell(c), words: Float64Array.from(words), ...rest })
const throughJson = (cell: KeptCell): StoredCell => JSON.parse(JSON.stringify(encodeCell(cell))) as StoredCell

const quota = chargeOf({ cell: 'set/quota', kind: CellKind.quota, startAt: NOW, endAt: NOW + MINUTE_MS })
const log = chargeOf({ cell: 'set/log', kind: CellKind.slidingLog, windowMs: MINUTE_MS, partition: 'w1\0\ud800', digest: 'x' })
const bucket = chargeOf({ cell: 'set/bucket', kind: CellKind.tokenBucket, max: 3, windowMs: 1000, refill: 2 })
const cooldown = chargeOf({ cell: 'set/cooldown', kind: CellKind.cooldown, max: 1, windowMs: 5000, partition: 'w1' })
const parallel = chargeOf({ cell: 'set/parallel', kind: CellKind.concurrency, max: 2 })
const capacity = chargeOf({ cell: 'set/capacity', kind: CellKind.capacity, max: 2 })
const anchor = chargeOf({ cell: '@anchor', kind: CellKind.anchor, startAt: NOW })

const held = (): Pick<KeptCell, 'holds' | 'ids'> => {
  const holds: number[] = []
  addHold(holds, 0, 0, 2, NOW, NOW + 1000, 0)
  addHold(holds, 0, 1, 3, NOW + 1, NOW + 500, NOW)
  return { holds, ids: ['r_1', 'r_2'] }
}

describe('a cell survives being stored', () => {
  it.each([
    ['never used', unusedCell(quota)],
    ['a quota with holds', cellOf(quota, [NOW, 2 ** 31 - 1], held())],
    ['a log', cellOf(log, [-Infinity, 0, NOW - 5, 3, NOW - 5 + 1, 4, NOW, 2 ** 31])],
    ['a log whose first entry was overwritten', cellOf(log, [-Infinity, 7, NOW, 9])],
    ['a bucket in debt', cellOf(bucket, [NOW, -1e15])],
    ['a cooldown of a world', cellOf(cooldown, [NOW])],
    ['only holds', cellOf(parallel, [], held())],
    ['capacity, which is kept for ever', cellOf(capacity, [NOW, 2])],
    ['an anchor', cellOf(anchor, [NOW - 1e12, NOW])],
  ])('%s', (_, cell) => expect(decodeCell(throughJson(cell), 'it')).toEqual(cell))
})

describe('a cell is forgotten', () => {
  it.each([
    ['a quota, when its period is over', cellOf(quota, [NOW, 5]), NOW + MINUTE_MS],
    ['with a hold, when that has expired', cellOf(quota, [NOW - MINUTE_MS, 5], held()), NOW + 1000],
    ['a log, a window after its last entry', cellOf(log, [NOW - 5, 1, NOW, 2]), NOW + MINUTE_MS],
    ['a bucket, when it is full', cellOf(bucket, [NOW, 0]), NOW + 1500],
    ['a bucket in debt, when that has flowed in too', cellOf(bucket, [NOW, -3000]), NOW + 1500 + 1500],
    ['capacity, never', cellOf(capacity, [NOW, 2]), Infinity],
    ['capacity that was given back, at once', cellOf(capacity, [NOW, 0]), -Infinity],
    ['one that was never used, at once', unusedCell(cooldown), -Infinity],
  ])('%s', (_, cell, until) => {
    expect(untilOf(cell)).toBe(until)
    expect(throughJson(cell).u).toBe(until === Infinity ? undefined : until === -Infinity ? null : until)
  })
})

describe('a damaged cell is refused', () => {
  const whole = throughJson(cellOf(quota, [NOW, 1], held()))
  it.each([
    ['without words', { ...whole, w: undefined }],
    ['with words that are none', { ...whole, w: [NOW, 'x'] }],
    ['of another width', { ...whole, w: [NOW] }],
    ['with half a hold', { ...whole, h: ['r_1', 2, NOW] }],
    ['with a hold of nobody', { ...whole, h: [1, 2, 3, 4, 5] }],
    ['a log of no entries', { ...throughJson(cellOf(log, [NOW, 1])), w: [] }],
  ])('%s', (_, stored) => expect(() => decodeCell(stored as StoredCell, 'a cell of subject u')).toThrow(/a cell of subject u is damaged: .+; restore it, or erase the subject/))
})

describe('an opened cell', () => {
  it('that says the same is closed as it was', () => {
    const kept = cellOf(quota, [NOW, 1], held())
    expect(new OpenCell(kept).close(quota, NOW)).toBe(kept)
  })

  it('leaves the kept one alone', () => {
    const kept = cellOf(quota, [NOW, 1], held())
    const open = new OpenCell(kept)
    open.cell.w[1] = 7
    open.drop('r_1')
    addHold(open.holds, 0, open.serialOf('r_3'), 1, NOW, NOW + 5000, NOW)
    expect(throughJson(open.close(quota, NOW))).toMatchObject({ w: [NOW, 7], h: ['r_2', 3, NOW + 500, NOW, NOW + 1, 'r_3', 1, NOW + 5000, NOW, NOW] })
    expect(kept).toEqual(cellOf(quota, [NOW, 1], held()))
  })

  it('drops what is held no longer, once anything changes', () => {
    const open = new OpenCell(cellOf(quota, [NOW, 1], held()))
    open.cell.w[1] = 2
    expect(throughJson(open.close(quota, NOW + 500)).h).toEqual(['r_1', 2, NOW + 1000, 0, NOW])
  })

  it('remembers the longest time and the slowest refill of the plans that share it', () => {
    const open = new OpenCell(cellOf(bucket, [NOW, 0]))
    open.cell.w[0] = NOW + 1
    const { retainMs, refill } = open.close({ ...bucket, retainMs: 10, refill: 1 }, NOW + 1)
    expect([retainMs, refill]).toEqual([1500, 1])
  })

  it('grows a log as it fills, and drops what has left the window but for one at most', () => {
    let kept = unusedCell(log)
    for (let i = 0; i < 100; i++) {
      const open = new OpenCell(kept)
      const at = NOW + i * 10_000
      open.makeRoom(log, at)
      apply(log, open.cell, at, { passes: true, used: 0, resetAt: 0, retryAt: 0 })
      kept = open.close(log, at)
      expect(kept.words.length / 2).toBeLessThanOrEqual(7)
    }
    expect([...kept.words]).toEqual([94, 95, 96, 97, 98, 99].flatMap((i, total) => [NOW + i * 10_000, total + 1]))
  })

  it('takes an admission into its newest entry when the log is as long as logs get', () => {
    const full = Array.from({ length: MAX_LOGGED }, (_, i) => [NOW + i, i + 1]).flat()
    const open = new OpenCell(cellOf(log, full))
    open.makeRoom(log, NOW + MAX_LOGGED)
    apply(log, open.cell, NOW + MAX_LOGGED, { passes: true, used: 0, resetAt: 0, retryAt: 0 })
    const { words } = open.close(log, NOW + MAX_LOGGED)
    expect([words.length, ...words.slice(-2)]).toEqual([2 * MAX_LOGGED, NOW + MAX_LOGGED, MAX_LOGGED + 1])
  })
})
