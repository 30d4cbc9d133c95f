import { describe, expect, it } from 'vitest'
import { controlledClock } from '../testing/clock.ts'
import { Deadlines } from './deadlines.ts'

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** A clock that counts the timers it was asked for. */
function countingClock() {
  const clock = controlledClock()
  const counted = { timers: 0 }
  return { ...clock, counted, after: (ms: number, run: () => void) => (counted.timers++, clock.after(ms, run)) }
}

describe('Deadlines', () => {
  it('takes one timer for all calls of a turn, and tells each whose time is over', async () => {
    const clock = countingClock()
    const deadlines = new Deadlines(clock, 50)
    const over: number[] = []
    const spare = [1, 2, 3].map((n) => deadlines.begin(() => over.push(n)))
    spare[1]!()
    expect(clock.counted.timers).toBe(1)
    await nextTurn()
    deadlines.begin(() => over.push(4))
    expect(clock.counted.timers).toBe(2)
    clock.advance(49)
    expect(over).toEqual([])
    clock.advance(1)
    expect(over).toEqual([1, 3, 4])
  })

  it('counts the time of a call from its own beginning, however long the turn is', () => {
    const clock = controlledClock()
    const deadlines = new Deadlines(clock, 50)
    const over: string[] = []
    deadlines.begin(() => over.push('first'))
    clock.advance(30)
    deadlines.begin(() => over.push('second'))
    clock.advance(20)
    expect(over).toEqual(['first'])
    clock.advance(30)
    expect(over).toEqual(['first', 'second'])
  })

  it('leaves no timer when nobody waits any more', async () => {
    const clock = controlledClock()
    const deadlines = new Deadlines(clock, 50)
    const spare = [deadlines.begin(() => {}), deadlines.begin(() => {})]
    spare[0]!()
    expect(clock.nextTimerMs()).toBe(50)
    spare[1]!()
    spare[1]!()
    expect(clock.nextTimerMs()).toBeUndefined()
    // The next one of the same turn has a timer again.
    deadlines.begin(() => {})
    await nextTurn()
    expect(clock.nextTimerMs()).toBe(50)
  })

  it('spares others that were told meanwhile', () => {
    const clock = controlledClock()
    const deadlines = new Deadlines(clock, 50)
    const over: string[] = []
    const spareLast = { now: () => {} }
    deadlines.begin(() => {
      over.push('first')
      spareLast.now()
    })
    spareLast.now = deadlines.begin(() => over.push('last'))
    clock.advance(50)
    expect(over).toEqual(['first'])
  })
})
