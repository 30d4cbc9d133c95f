import { describe, expect, it } from 'vitest'
import { digestOf } from './charges.ts'
import { controlledClock } from './clock.ts'
import { Random } from './random.ts'

describe('the controlled clock', () => {
  it('stands still until it is told to move', () => {
    const clock = controlledClock(1000)
    expect([clock.now(), clock.now()]).toEqual([1000, 1000])
    clock.advance(5)
    clock.advanceTo(1010)
    expect(clock.now()).toBe(1010)
    clock.set(7)
    expect(clock.now()).toBe(7)
    expect(() => clock.advance(-1)).toThrow(/use set\(\) to step the clock back/)
    expect(() => clock.advanceTo(6)).toThrow(RangeError)
  })

  it('fires timers in order, each at its own instant, also those that others set', () => {
    const clock = controlledClock(0)
    const fired: string[] = []
    const note = (name: string) => (): void => void fired.push(`${name} at ${clock.now()}`)
    clock.after(30, note('c'))
    clock.after(10, note('a'))
    clock.after(10, note('b'))
    clock.after(20, () => {
      note('d')()
      clock.after(5, note('e'))
      clock.after(0, note('f'))
      clock.after(100, note('g'))
    })
    expect(clock.nextTimerMs()).toBe(10)
    clock.advance(9)
    expect(fired).toEqual([])
    clock.advance(91)
    expect(fired).toEqual(['a at 10', 'b at 10', 'd at 20', 'f at 20', 'e at 25', 'c at 30'])
    expect(clock.nextTimerMs()).toBe(20)
    clock.advance(20)
    expect(clock.nextTimerMs()).toBeUndefined()
  })

  it('forgets a timer that is cancelled, before or after it fired', () => {
    const clock = controlledClock(0)
    const fired: number[] = []
    const cancel = [1, 2, 3].map((n) => clock.after(n * 10, () => fired.push(n)))
    cancel[1]!()
    clock.advance(15)
    cancel[0]!()
    cancel[1]!()
    clock.advance(100)
    expect(fired).toEqual([1, 3])
  })

  it('counts elapsed time for timers: a step of the clock fires none early and delays none', () => {
    const clock = controlledClock(1_000_000)
    const fired: number[] = []
    clock.after(50, () => fired.push(clock.now()))
    clock.set(9_000_000)
    expect(fired).toEqual([])
    clock.advance(20)
    clock.set(500)
    clock.advance(29)
    expect(fired).toEqual([])
    clock.advance(1)
    expect(fired).toEqual([530])
  })
})

describe('random numbers', () => {
  it('follow from the seed', () => {
    const draw = (seed: number): number[] => Array.from({ length: 50 }, ((random) => () => random.integer(0, 1000))(new Random(seed)))
    expect(draw(1)).toEqual(draw(1))
    expect(draw(1)).not.toEqual(draw(2))
    expect(draw(3).every((n) => n >= 0 && n <= 1000)).toBe(true)
  })

  it('are spread evenly', () => {
    const random = new Random(42)
    const counts = new Map<number, number>()
    for (let i = 0; i < 60_000; i++) {
      const n = random.integer(1, 6)
      counts.set(n, (counts.get(n) ?? 0) + 1)
    }
    expect([...counts.keys()].toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6])
    for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })
})

it('digests of different numbers differ, and look like those of texts', () => {
  const digests = Array.from({ length: 5000 }, (_, n) => digestOf(n))
  expect(new Set(digests).size).toBe(5000)
  expect(digests.every((digest) => /^[\w-]{22}$/.test(digest))).toBe(true)
})
