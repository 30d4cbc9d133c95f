import { equal } from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import { type Cell, CellKind, type Charge } from '../../decide/charge.ts'
import { chargeOf, digestOf } from '../../testing/charges.ts'
import { Random } from '../../testing/random.ts'
import { Partitions } from './partitions.ts'
import { WordPool } from './word-pool.ts'

const emptyCell = (): Cell => ({ w: new Float64Array(0), at: 0, length: 0, id: 0 })

/** A charge of one of a few limits, worlds and texts. */
function chargeAt(limit: number, world: number, text: number): Charge {
  const hasText = limit % 3 === 2
  return chargeOf({ cell: `partitions/${limit}`, kind: hasText ? CellKind.slidingLog : limit % 3 === 1 ? CellKind.cooldown : CellKind.concurrency, windowMs: 10, partition: `w${world}`, digest: hasText ? digestOf(text) : '' })
}

describe('the table of partitions', () => {
  it('finds what a Map would, over thousands of additions and removals', () => {
    const random = new Random(5)
    const table = new Partitions(new WordPool())
    /** Key to entry; and what was written into it, which no other may change. */
    const model = new Map<string, { entry: number; mark: number }>()
    let marks = 0
    for (let step = 0; step < 40_000; step++) {
      const owner = random.integer(0, 40)
      const [limit, world, text] = [random.integer(0, 5), random.integer(0, 12), random.integer(0, 20)]
      const c = chargeAt(limit, world, text)
      const key = JSON.stringify([owner, c.slot, c.partition, c.digest])
      const found = table.find(owner, c)
      equal(found, model.get(key)?.entry ?? -1)
      // Grows to a few thousand, and is then mostly taken away again.
      if (found < 0 && random.chance(step % 20_000 < 12_000 ? 0.9 : 0.05)) {
        const entry = table.add(owner, c, -1)
        const mark = ++marks
        const cell = table.cell(entry, emptyCell())
        cell.w[cell.at] = mark
        model.set(key, { entry, mark })
      } else if (found >= 0) {
        const cell = table.cell(found, emptyCell())
        equal(cell.w[cell.at], model.get(key)!.mark)
        equal(cell.id, Partitions.cellId(found))
        if (random.chance(0.5)) {
          table.remove(found)
          model.delete(key)
        }
      }
      equal(table.size, model.size)
    }
    expect(model.size).toBeGreaterThan(100)
    for (const [key, { entry, mark }] of model) {
      const cell = table.cell(entry, emptyCell())
      equal(cell.w[cell.at], mark, key)
    }
  })

  it('tells owners, limits, partitions and texts apart', () => {
    const table = new Partitions(new WordPool())
    const entries = new Set<number>()
    for (const owner of [0, 1]) for (const limit of [0, 1, 2, 5]) for (const world of [0, 1]) for (const text of [0, 1]) {
      const c = chargeAt(limit, world, text)
      if (table.find(owner, c) < 0) table.add(owner, c, -1)
      entries.add(table.find(owner, c))
    }
    // Two owners, two limits by two worlds, and two by two worlds and two texts.
    expect(entries.size).toBe(2 * (2 * 2 + 2 * 4))
    expect(table.find(2, chargeAt(0, 0, 0))).toBe(-1)
    expect(table.find(0, chargeAt(0, 2, 0))).toBe(-1)
    expect(table.find(0, chargeAt(3, 0, 0))).toBe(-1)
  })

  it('compares digests in full, also such as look like no number', () => {
    const table = new Partitions(new WordPool())
    const ones = '_'.repeat(22)
    const digests = [ones, `A${ones.slice(1)}`, `${ones.slice(0, 10)}A${ones.slice(11)}`, `${ones.slice(0, 20)}A_`, 'A'.repeat(22), `${'A'.repeat(20)}BA`, `B${'A'.repeat(21)}`]
    const text = (digest: string): Charge => chargeOf({ cell: 'partitions/text', kind: CellKind.slidingLog, windowMs: 10, digest })
    const entries = digests.map((digest) => table.add(0, text(digest), -1))
    expect(digests.map((digest) => table.find(0, text(digest)))).toEqual(entries)
    expect(new Set(entries).size).toBe(digests.length)
  })

  it('starts an entry unused, whatever was at its place before', () => {
    const table = new Partitions(new WordPool())
    const c = chargeAt(1, 1, 1)
    const first = table.cell(table.add(0, c, -1), emptyCell())
    first.w[first.at] = 12_345
    table.remove(table.find(0, c))
    const again = table.cell(table.add(0, c, -1), emptyCell())
    expect(again.w[again.at]).toBe(-Infinity)
  })

  it('doubles a log and keeps its digest and its entries', () => {
    const table = new Partitions(new WordPool())
    const c = chargeAt(2, 1, 7)
    const entry = table.add(0, c, -1)
    const cell = table.cell(entry, emptyCell())
    cell.w.set([100, 3], cell.at)
    for (const length of [4, 8, 16, 32, 64, 128]) {
      table.grow(entry, cell)
      expect(cell.length).toBe(length)
      expect([...cell.w.subarray(cell.at + length - 4, cell.at + length)]).toEqual([-Infinity, 0, 100, 3])
      expect(table.find(0, c)).toBe(entry)
    }
  })

  it('chains the entries of an owner', () => {
    const table = new Partitions(new WordPool())
    const first = table.add(0, chargeAt(0, 1, 0), -1)
    const second = table.add(0, chargeAt(0, 2, 0), first)
    expect([table.next(second), table.next(first)]).toEqual([first, -1])
    table.setNext(second, -1)
    expect(table.next(second)).toBe(-1)
    expect(table.scope(second)).toMatchObject({ partition: 'w2', hasDigest: false, kind: CellKind.concurrency })
  })
})
