import { durationMs } from '../../define/duration.ts'
import type { QuotaOptions } from '../../define/limits.ts'

export interface AuditPeriod {
  startAt: number
  endAt: number
}

const DAY_MS = 86_400_000
/** No period of the calendar is longer. */
const LONGEST_MS = 32 * DAY_MS

/**
 * The period of a calendar quota, found the slow way: the first and the last instant at which a clock on a wall of that
 * zone shows the same day, week or month. Shares nothing with compile/calendar.ts. `undefined` for a subject's own periods.
 */
export function calendarPeriod({ every, timezone = 'UTC', anchor }: QuotaOptions, at: number): AuditPeriod | undefined {
  if (anchor === 'subject') return undefined
  if (every !== 'day' && every !== 'week' && every !== 'month') {
    const everyMs = durationMs(every, 'every')
    const startAt = Math.floor(at / everyMs) * everyMs
    return { startAt, endAt: startAt + everyMs }
  }
  const known = memo.get(`${every} ${timezone}`)
  if (known && known.startAt <= at && at < known.endAt) return known
  const shown = (instant: number): string => label(every, timezone, instant)
  const now = shown(at)
  const period = {
    startAt: firstInstant(at - LONGEST_MS, at, (instant) => shown(instant) === now),
    endAt: firstInstant(at, at + LONGEST_MS, (instant) => shown(instant) !== now),
  }
  memo.set(`${every} ${timezone}`, period)
  return period
}

/** The shortest and the longest that a subject's own period can be, clock changes included. */
export function lengthBounds({ every }: QuotaOptions): [min: number, max: number] {
  if (every === 'month') return [28 * DAY_MS - 7_200_000, 31 * DAY_MS + 7_200_000]
  if (every === 'day' || every === 'week') return [(every === 'day' ? 1 : 7) * DAY_MS - 7_200_000, (every === 'day' ? 1 : 7) * DAY_MS + 7_200_000]
  const everyMs = durationMs(every, 'every')
  return [everyMs, everyMs]
}

const memo = new Map<string, AuditPeriod>()
const formats = new Map<string, Intl.DateTimeFormat>()

function label(every: 'day' | 'week' | 'month', zone: string, at: number): string {
  const format = formats.get(zone) ?? new Intl.DateTimeFormat('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' })
  formats.set(zone, format)
  const date = format.format(at)
  if (every === 'day') return date
  if (every === 'month') return date.slice(0, 7)
  // 1970-01-01 was a Thursday: weeks begin on the Monday before.
  return String(Math.floor((Date.parse(date) / DAY_MS + 3) / 7))
}

function firstInstant(low: number, high: number, holds: (at: number) => boolean): number {
  let [from, to] = [low, high]
  while (from < to) {
    const middle = Math.floor((from + to) / 2)
    if (holds(middle)) to = middle
    else from = middle + 1
  }
  return from
}
