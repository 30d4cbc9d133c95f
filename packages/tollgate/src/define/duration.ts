import { invalidDefinition, show } from '../errors/index.ts'

/** A length of time: milliseconds as a number, or a number with a unit, such as `'5s'`, `'1m'`, `'1h'`, `'30d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** Ten years. A longer window is a mistake more often than a wish. */
export const MAX_DURATION_MS = 3650 * 86_400_000

/**
 * Milliseconds of `value`, a whole number from `min` to ten years.
 * @throws INVALID_DEFINITION that names `field`, the value and the fix.
 */
export function durationMs(value: unknown, field: string, min = 1): number {
  const ms = typeof value === 'number' ? value : parse(value)
  if (!Number.isInteger(ms) || ms < min || ms > MAX_DURATION_MS) {
    throw invalidDefinition(field, `${show(value)} is not a length of time from ${min} ms to 10 years; write milliseconds or a value such as '5s', '1m', '1h', '30d'`)
  }
  return ms
}

function parse(value: unknown): number {
  if (typeof value !== 'string' || value.length > 32) return Number.NaN
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/.exec(value)
  if (match === null) return Number.NaN
  const ms = Number(match[1]) * UNIT_MS[match[2]!]!
  // '1.1h' is 3960000.0000000005 in floating point: an error of arithmetic, not a part of a millisecond.
  return Math.abs(ms - Math.round(ms)) < 1e-3 ? Math.round(ms) : ms
}
