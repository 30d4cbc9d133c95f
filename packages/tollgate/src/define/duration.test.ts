import { describe, expect, it } from 'vitest'
import { durationMs } from './duration.ts'

describe('durationMs', () => {
  it.each([
    [1500, 1500],
    ['250ms', 250],
    ['5s', 5000],
    ['1m', 60_000],
    ['1h', 3_600_000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
    ['3650d', 315_360_000_000],
    // In floating point 1.1 × 3,600,000 and 2.03 × 1,000 are no integers.
    ['1.1h', 3_960_000],
    ['2.03s', 2030],
  ])('reads %s as %i ms', (duration, ms) => {
    expect(durationMs(duration, 'window')).toBe(ms)
  })

  it.each([
    '', '5', 's', '-5s', '1e3s', '5 s', '5S', '5sx', ['5s'], '0.5ms', '0.00001s', '3651d', `${'9'.repeat(40)}s`, '0s',
    0, 1.5, -1, Number.NaN, Infinity, null, undefined,
  ])('refuses %s', (duration) => {
    expect(() => durationMs(duration, 'window')).toThrow(expect.objectContaining({ code: 'INVALID_DEFINITION', field: 'window' }))
  })

  it('takes 0 where 0 makes sense', () => {
    expect(durationMs('0s', 'wait', 0)).toBe(0)
  })
})
