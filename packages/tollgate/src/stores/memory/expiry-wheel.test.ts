import { equal } from 'node:assert/strict'
import { describe, expect, it } from 'vitest'
import { Random } from '../../testing/random.ts'
import { ExpiryWheel } from './expiry-wheel.ts'
import { IntTable } from './int-table.ts'

const START_AT = 1_800_000_000_000
const BUCKET_MS = 4096
const TURN_MS = 1024 * BUCKET_MS

function make(rows: number): { wheel: ExpiryWheel; due: (now: number) => number[] } {
  const table = new IntTable(1)
  for (let i = 0; i < rows; i++) table.add()
  const wheel = new ExpiryWheel(table, 0)
  return {
    wheel,
    due(now) {
      const found: number[] = []
      for (let row = wheel.next(now); row >= 0; row = wheel.next(now)) found.push(row)
      return found.toSorted((a, b) => a - b)
    },
  }
}

describe('the expiry wheel', () => {
  it('brings a row soon after its time, and never before', () => {
    const { wheel, due } = make(1)
    wheel.add(0, START_AT + 10_000, START_AT)
    expect(due(START_AT + 9999)).toEqual([])
    expect(due(START_AT + 10_000 + BUCKET_MS)).toEqual([0])
    expect(due(START_AT + 10 * TURN_MS)).toEqual([])
  })

  it('brings what is further away than a turn once a turn', () => {
    const { wheel, due } = make(1)
    wheel.add(0, Infinity, START_AT)
    expect(due(START_AT + TURN_MS - 3 * BUCKET_MS)).toEqual([])
    expect(due(START_AT + TURN_MS)).toEqual([0])
  })

  it('brings what is already over next', () => {
    const { wheel, due } = make(2)
    wheel.add(0, -Infinity, START_AT)
    wheel.add(1, START_AT - 1, START_AT)
    expect(due(START_AT)).toEqual([])
    expect(due(START_AT + BUCKET_MS)).toEqual([0, 1])
  })

  it('brings every row once after a leap of years', () => {
    const { wheel, due } = make(500)
    for (let row = 0; row < 500; row++) wheel.add(row, START_AT + row * 10_000, START_AT)
    expect(due(START_AT + 1000 * TURN_MS)).toEqual(Array.from({ length: 500 }, (_, row) => row))
  })

  it('brings every row within a turn after the clock was set back', () => {
    for (const backMs of [1, BUCKET_MS, TURN_MS, 500 * TURN_MS]) {
      const { wheel, due } = make(300)
      for (let row = 0; row < 300; row++) wheel.add(row, START_AT + row * 10_000, START_AT)
      wheel.next(START_AT)
      expect(due(START_AT - backMs).length).toBeLessThanOrEqual(300)
      const brought = due(START_AT - backMs + TURN_MS)
      expect(brought.length, `${backMs} ms back`).toBe(300)
    }
  })

  it('loses and doubles none, whatever the clock does', () => {
    const random = new Random(3)
    const { wheel } = make(200)
    const waiting = new Set<number>()
    let now = START_AT
    for (let row = 0; row < 200; row++) {
      wheel.add(row, now + random.integer(0, TURN_MS), now)
      waiting.add(row)
    }
    const out: number[] = []
    for (let step = 0; step < 20_000; step++) {
      now += random.pick([0, 1, 500, BUCKET_MS, 50_000, -BUCKET_MS, random.chance(0.01) ? -3 * TURN_MS : 100, random.chance(0.01) ? 5 * TURN_MS : 100])
      const row = wheel.next(now)
      if (row >= 0) {
        equal(waiting.delete(row), true)
        out.push(row)
      } else if (out.length > 0) {
        const back = out.pop()!
        wheel.add(back, now + random.integer(-1000, 2 * TURN_MS), now)
        waiting.add(back)
      }
    }
    expect(waiting.size + out.length).toBe(200)
    now += 2 * TURN_MS
    for (let row = wheel.next(now); row >= 0; row = wheel.next(now)) equal(waiting.delete(row), true)
    expect(waiting.size).toBe(0)
  })
})
