import type { Clock } from '../engine/clock.ts'

/**
 * A clock that stands still until it is told to move. Timers count elapsed time, as `setTimeout` does: a step of the
 * wall clock (`set`) fires none early and delays none.
 */
export interface ControlledClock extends Clock {
  /** Lets time pass; timers that fall due fire in order, each at its own instant. */
  advance(ms: number): void
  /** Lets time pass until an instant that is not in the past. */
  advanceTo(at: number): void
  /** Steps the wall clock, forwards or backwards. No time passes. */
  set(at: number): void
  /** How long until the next timer fires; `undefined` when none waits. */
  nextTimerMs(): number | undefined
}

interface Timer {
  dueAt: number
  run: () => void
}

/** @param startAt epoch ms that the clock shows at first. */
export function controlledClock(startAt: number = Date.UTC(2026, 0, 1)): ControlledClock {
  let elapsed = 0
  let offset = startAt
  /** Soonest first; of the same instant, in order of creation. */
  const timers: Timer[] = []
  const now = (): number => offset + elapsed

  const advance = (ms: number): void => {
    if (!(ms >= 0)) throw new RangeError(`advance(${ms}): time only passes forwards; use set() to step the clock back`)
    const until = elapsed + ms
    while (timers.length > 0 && timers[0]!.dueAt <= until) {
      const timer = timers.shift()!
      // A timer that was set to the past by its own making fires now, never back then.
      elapsed = Math.max(elapsed, timer.dueAt)
      timer.run()
    }
    elapsed = Math.max(elapsed, until)
  }

  return {
    now,
    after(ms, run) {
      const timer = { dueAt: elapsed + Math.max(0, ms), run }
      let i = timers.length
      while (i > 0 && timers[i - 1]!.dueAt > timer.dueAt) i--
      timers.splice(i, 0, timer)
      return () => {
        const index = timers.indexOf(timer)
        if (index >= 0) timers.splice(index, 1)
      }
    },
    advance,
    advanceTo: (at) => advance(at - now()),
    set(at) {
      offset = at - elapsed
    },
    nextTimerMs: () => (timers.length === 0 ? undefined : Math.max(0, timers[0]!.dueAt - elapsed)),
  }
}
