import { equal } from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import { MAX_LOGGED } from '../../decide/charge.ts'
import { Random } from '../../testing/random.ts'
import { IntTable } from './int-table.ts'
import { WordPool } from './word-pool.ts'

describe('the pool of words', () => {
  it('gives blocks that do not overlap, and gives them again when they are free', () => {
    const random = new Random(9)
    const pool = new WordPool()
    const blocks = new Map<number, { words: number; mark: number }>()
    let allocated = 0
    for (let step = 1; step <= 20_000; step++) {
      if (blocks.size < 1500 && random.chance(0.6)) {
        const words = random.pick([1, 2, 3, 5, 17, 31, 32, 33, 64, 100, 129, random.chance(0.02) ? 4000 : 8])
        const address = pool.allocate(words)
        equal(blocks.has(address), false)
        blocks.set(address, { words, mark: step })
        pool.chunk(address).fill(step, pool.offset(address), pool.offset(address) + words)
        allocated = Math.max(allocated, address + words)
      } else if (blocks.size > 0) {
        const [address, { words, mark }] = blocks.entries().next().value!
        const at = pool.offset(address)
        equal(pool.chunk(address).subarray(at, at + words).every((word) => word === mark), true)
        pool.release(address, words)
        blocks.delete(address)
      }
    }
    // 1,500 blocks of 40 words on average need no more room in the end than in the beginning.
    expect(allocated).toBeLessThan(600_000)
  })

  it.each([[1, 1], [32, 32], [33, 64], [64, 64], [65, 128], [20_000, 32_768]])('a block of %i words takes %i', (words, size) => {
    expect(WordPool.sizeFor(words)).toBe(size)
  })

  it('a block never crosses a chunk', () => {
    const pool = new WordPool()
    pool.allocate(1)
    // The longest there is: a full log of texts.
    const words = 2 * MAX_LOGGED + 2
    for (let i = 0; i < 5; i++) {
      const address = pool.allocate(words)
      expect(pool.offset(address) + words).toBeLessThanOrEqual(pool.chunk(address).length)
    }
  })
})

describe('the table of integers', () => {
  it('keeps rows apart, also across chunks, and uses freed ones again', () => {
    const table = new IntTable(3)
    const rows = Array.from({ length: 40_000 }, () => table.add())
    rows.forEach((row, i) => [0, 1, 2].forEach((column) => table.set(row, column, i * 3 + column)))
    expect(rows.every((row, i) => table.get(row, 0) === i * 3 && table.get(row, 2) === i * 3 + 2)).toBe(true)
    expect(table.size).toBe(40_000)
    for (const row of [17, 39_999, 5]) table.remove(row)
    expect(table.size).toBe(39_997)
    expect([table.add(), table.add(), table.add(), table.add()]).toEqual([5, 39_999, 17, 40_000])
  })
})
