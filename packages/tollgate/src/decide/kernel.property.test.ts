import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chargeOf } from '../testing/charges.ts'
import { OneCell } from '../testing/one-cell.ts'
import { Random } from '../testing/random.ts'
import { CellKind, type Charge, isHeld } from './charge.ts'

const RUNS = process.env.TOLLGATE_LONG ? 20_000 : 2000
const START_AT = 1_800_000_000_000

const facts = fc.record({
  kind: fc.constantFrom<CellKind>(CellKind.quota, CellKind.fixedWindow, CellKind.slidingCounter, CellKind.slidingLog, CellKind.tokenBucket, CellKind.cooldown, CellKind.concurrency, CellKind.capacity),
  max: fc.integer({ min: 1, max: 12 }),
  windowMs: fc.constantFrom(1, 3, 10, 97, 1000),
  refill: fc.integer({ min: 1, max: 7 }),
})

function chargeWith({ kind, max, windowMs, refill }: { kind: CellKind; max: number; windowMs: number; refill: number }, amount: number, now: number): Charge {
  const startAt = now - (now % (windowMs * 10))
  const period = kind === CellKind.quota ? { startAt, endAt: startAt + windowMs * 10 } : {}
  return chargeOf({ cell: 'property', kind, max, windowMs, refill, amount, ...period })
}

const moves = fc.array(fc.record({ waitMs: fc.nat(60), amount: fc.integer({ min: 0, max: 5 }), holdMs: fc.option(fc.integer({ min: 1, max: 200 }), { nil: null }) }), { minLength: 1, maxLength: 25 })

describe('a denied request', () => {
  it('passes after exactly the wait that it was told, and not a millisecond before', () => {
    fc.assert(
      fc.property(facts, moves, fc.integer({ min: 1, max: 12 }), (shape, steps, wanted) => {
        const cell = new OneCell(chargeWith(shape, 1, START_AT))
        let now = START_AT
        for (const { waitMs, amount, holdMs } of steps) {
          now += waitMs
          const c = chargeWith(shape, shape.kind === CellKind.cooldown ? 1 : amount, now)
          if (holdMs !== null && amount > 0 && isHeld(c.kind)) cell.reserve(c, now, now + holdMs)
          else cell.consume(c, now)
        }
        const { passes, retryAt } = cell.look(chargeWith(shape, wanted, now), now)
        const at = (instant: number): boolean => cell.look(chargeWith(shape, wanted, instant), instant).passes
        if (passes) expect(retryAt).toBe(0)
        else if (retryAt === Infinity) for (const waitMs of [1, 1000, 100_000, 1e9]) expect(at(now + waitMs)).toBe(false)
        else {
          expect(retryAt).toBeGreaterThan(now)
          expect(at(retryAt)).toBe(true)
          expect(at(retryAt - 1)).toBe(false)
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('leaves the words as they were', () => {
    fc.assert(
      fc.property(facts, moves, (shape, steps) => {
        const cell = new OneCell(chargeWith(shape, 1, START_AT))
        let now = START_AT
        for (const { waitMs, amount } of steps) {
          now += waitMs
          const before = [...cell.words, ...cell.holds]
          const { passes } = cell.consume(chargeWith(shape, amount, now), now)
          if (!passes) expect([...cell.words, ...cell.holds]).toEqual(before)
        }
      }),
      { numRuns: RUNS / 4 },
    )
  })
})

/** Instants in order, from bursts, even streams and aims at the edges of windows. */
function trafficOf(random: Random, windowMs: number): number[] {
  const instants: number[] = []
  let now = START_AT + random.integer(0, windowMs)
  while (instants.length < 400) {
    const style = random.integer(0, 3)
    const count = random.integer(1, 30)
    for (let i = 0; i < count; i++) {
      if (style === 0) now += random.integer(0, 2)
      else if (style === 1) now += Math.ceil(windowMs / 10)
      else if (style === 2) now += windowMs - (now % windowMs) - random.integer(0, 1)
      else now += random.integer(0, windowMs * 2)
      instants.push(now)
    }
  }
  return instants
}

function mostWithin(admittedAt: readonly number[], windowMs: number): number {
  let most = 0
  let first = 0
  admittedAt.forEach((at, i) => {
    while (admittedAt[first]! <= at - windowMs) first++
    most = Math.max(most, i - first + 1)
  })
  return most
}

describe('in any stretch of one window', () => {
  const admitted = (kind: CellKind, max: number, windowMs: number, instants: readonly number[]): number[] => {
    const c = chargeOf({ cell: 'bound', kind, max, windowMs })
    const cell = new OneCell(c)
    return instants.filter((now) => cell.consume(c, now).passes)
  }

  it.each([
    ['a sliding counter admits at most 2 × limit − 1', CellKind.slidingCounter, (max: number) => Math.max(1, 2 * max - 1)],
    ['a fixed window admits at most 2 × limit', CellKind.fixedWindow, (max: number) => 2 * max],
    ['a log admits at most its limit', CellKind.slidingLog, (max: number) => max],
  ] as const)('%s', (_, kind, bound) => {
    const random = new Random(7)
    for (let run = 0; run < RUNS / 10; run++) {
      const max = random.integer(1, 12)
      const windowMs = random.pick([2, 10, 100, 1000])
      expect(mostWithin(admitted(kind, max, windowMs, trafficOf(random, windowMs)), windowMs)).toBeLessThanOrEqual(bound(max))
    }
  })

  it('the bound of a sliding counter is reached: all at the end of a window, and what the next one leaves', () => {
    const instants = [...Array.from({ length: 10 }, () => START_AT + 999), ...Array.from({ length: 10 }, () => START_AT + 1998 - 1)]
    expect(mostWithin(admitted(CellKind.slidingCounter, 10, 1000, instants), 1000)).toBe(19)
  })

  it('of evenly spread traffic at the rate of its limit a sliding counter admits its limit, or one less', () => {
    for (const [max, windowMs] of [[1, 100], [2, 100], [10, 1000], [7, 1000], [60, 60_000], [100, 1000]] as const) {
      const everyMs = Math.ceil(windowMs / max)
      for (const offsetMs of [0, 1, 13, windowMs - 1]) {
        const even = Array.from({ length: 20 * max }, (_, i) => START_AT + offsetMs + i * everyMs)
        const passed = admitted(CellKind.slidingCounter, max, windowMs, even)
        const what = `${max} per ${windowMs} ms, from +${offsetMs} ms`
        expect(mostWithin(passed, windowMs), what).toBeLessThanOrEqual(max)
        // Parts of a request are rounded up to a whole one: it may take one too many for used, each window.
        expect(passed.length, what).toBeGreaterThanOrEqual(Math.max(10, 20 * (max - 1)))
      }
    }
  })
})

describe('a token bucket', () => {
  it('is as exact as fractions, over long random sequences', () => {
    const random = new Random(11)
    for (let run = 0; run < RUNS / 100; run++) {
      const windowMs = random.pick([1, 7, 1000, 86_400_000])
      const refill = random.integer(1, 1000)
      const max = random.integer(1, 50)
      const cell = new OneCell(chargeOf({ cell: 'exact', kind: CellKind.tokenBucket }))
      let now = START_AT
      // Tokens × windowMs, as an integer of any size.
      let exact = BigInt(max) * BigInt(windowMs)
      for (let i = 0; i < 500; i++) {
        const waitMs = random.pick([0, 1, random.integer(0, 100), random.integer(0, windowMs), Math.ceil(windowMs / refill)])
        const amount = random.integer(0, 4)
        now += waitMs
        const full = BigInt(max) * BigInt(windowMs)
        exact += BigInt(waitMs) * BigInt(refill)
        if (exact > full) exact = full
        const cost = BigInt(amount) * BigInt(windowMs)
        const { passes, used } = cell.consume(chargeOf({ cell: 'exact', kind: CellKind.tokenBucket, max, windowMs, refill, amount }), now)
        expect(passes).toBe(exact >= cost)
        if (passes) {
          exact -= cost
          expect(used).toBe(Number(BigInt(max) - exact / BigInt(windowMs)))
        }
      }
    }
  })

  it('is exact up to the largest bucket that can be defined', () => {
    // 2^31 − 1 tokens in 48 days: 2^53 parts and a little less.
    const windowMs = 4_194_304
    const c = chargeOf({ cell: 'large', kind: CellKind.tokenBucket, max: 2 ** 31 - 1, windowMs, refill: 1 })
    const cell = new OneCell(c)
    expect(cell.consume({ ...c, amount: 2 ** 31 - 1 }, START_AT).passes).toBe(true)
    expect(cell.look(c, START_AT + windowMs - 1).passes).toBe(false)
    expect(cell.look(c, START_AT + windowMs).passes).toBe(true)
    expect(cell.look({ ...c, amount: 2 ** 31 - 1 }, START_AT).retryAt).toBe(START_AT + (2 ** 31 - 1) * windowMs)
  })
})
