/**
 * Periods: the windows of quotas and of credit allowances. The only file that knows what a day or a month is.
 *
 * All of it is one function: f(anchor, n, zone), the instant at which period n starts. It is computed from the
 * anchor each time, never from the period before, so that nothing drifts: Jan 31, Feb 28, Mar 31. It never
 * decreases with n, and period n ends where n + 1 starts, so that periods tile time without gap or overlap.
 */
import { invalidDefinition, invalidRequest, show } from '../errors/index.ts'
import { UTC, zoneNamed, type Zone } from './zones.ts'

export type CalendarUnit = 'day' | 'week' | 'month'

export interface PeriodRule {
  /** A calendar unit, or a duration in milliseconds. */
  readonly every: CalendarUnit | number
  /** An IANA name. A duration is equally long in all zones, so there it changes nothing. */
  readonly timezone: string
}

/** Half-open: `endAt` is in the next period. */
export interface Period {
  readonly startAt: number
  readonly endAt: number
  /**
   * The n of f(anchor, n, zone), for keys such as "granted once a period". With an anchor, period 0 starts at it.
   * Without one, period 0 has 1970-01-01 in it: that day, its week (from Monday, 1969-12-29), its month.
   */
  readonly index: number
}

/** The period that contains `now`: of the calendar, or of the subject that started at `anchorAt`. */
export type Periods = (now: number, anchorAt?: number) => Period

const DAY_MS = 86_400_000
const MAX_DURATION_MS = 36_525 * DAY_MS
/** Dates end at 8.64e15. A century less, which is the longest period, keeps every bound a date. */
const MAX_AT = 8.64e15 - MAX_DURATION_MS

const EPOCH_MONDAY = -3 * DAY_MS // 1969-12-29

/** Contains no instant, so that the first call finds nothing in the memo. */
const EMPTY: Period = { startAt: 0, endAt: 0, index: 0 }

/**
 * - Without an anchor, a day is a local date, a week starts on Monday, a month on the 1st, a duration at its
 *   multiples since 1970.
 * - With one, days, weeks and months start at the anchor's local time of day, weeks on its weekday, months on its
 *   day of the month or, in a shorter month, on the last; durations are counted from it.
 * - A local time that a zone skips becomes the first instant after the gap, one that it repeats the earlier. So days
 *   can have 23 or 25 hours, and a date that is skipped (Apia, 2011-12-30) is an empty period, without any `now`.
 *
 * Keep what this returns: it remembers the last period, and answers from it in a few ns.
 */
export function createPeriods(rule: PeriodRule): Periods {
  const { calendarAnchor, stepsFrom, zone } = compile(rule)
  const calendarSteps = stepsFrom(calendarAnchor)
  let last = EMPTY
  let lastAnchorAt: number | undefined

  return (now, anchorAt) => {
    assertInstant(now, 'now')
    if (anchorAt === lastAnchorAt && last.startAt <= now && now < last.endAt) return last
    if (anchorAt !== undefined) assertInstant(anchorAt, 'anchorAt')
    const steps = anchorAt === undefined ? calendarSteps : stepsFrom(anchorAt + zone.offsetMsAt(anchorAt))
    last = find(steps, zone, now, anchorAt)
    lastAnchorAt = anchorAt
    return last
  }
}

/** `createPeriods` for a single use. */
export function periodAt(rule: PeriodRule, now: number, anchorAt?: number): Period {
  return createPeriods(rule)(now, anchorAt)
}

export function assertTimezone(zone: unknown, field: string): asserts zone is string {
  zoneOf(zone, field)
}

function zoneOf(name: unknown, field: string): Zone {
  const zone = typeof name === 'string' ? zoneNamed(name) : undefined
  if (zone === undefined) {
    throw invalidDefinition(field, `${show(name)} is not a time zone; use an IANA name such as 'Europe/Madrid' or 'UTC'`)
  }
  return zone
}

function assertInstant(at: number, field: string): void {
  if (Number.isInteger(at) && at >= 0 && at <= MAX_AT) return
  throw invalidRequest(field, `${show(at)} is not an instant; use whole milliseconds since 1970, from 0 to ${MAX_AT}`)
}

function find(steps: Steps, zone: Zone, now: number, anchorAt: number | undefined): Period {
  // An anchor in the second of two repeated hours starts period 0 itself, not the hour before.
  const startOf = (n: number): number => (n === 0 && anchorAt !== undefined ? anchorAt : zone.firstInstantOf(steps.startOf(n)))

  let index = steps.guessIndex(now + zone.offsetMsAt(now))
  let startAt = startOf(index)
  let endAt = startOf(index + 1)
  // The guess is a month ahead until the anchor's day and time have come. And where clocks were set back they
  // show the local time of `now` twice, which may belong to the period before or after.
  while (now < startAt) {
    index -= 1
    endAt = startAt
    startAt = startOf(index)
  }
  while (now >= endAt) {
    index += 1
    startAt = endAt
    endAt = startOf(index + 1)
  }
  return { startAt, endAt, index }
}

/** Where the periods from one anchor start in local time, in which every day has 24 hours. */
interface Steps {
  startOf(n: number): number
  /** The period that contains `local`, or one next to it. */
  guessIndex(local: number): number
}

interface CompiledRule {
  readonly zone: Zone
  readonly stepsFrom: (anchor: number) => Steps
  /** Where a subject without an anchor counts from, in local time. */
  readonly calendarAnchor: number
}

function compile({ every, timezone }: PeriodRule): CompiledRule {
  const zone = zoneOf(timezone, 'timezone')
  if (every === 'day') return { zone, stepsFrom: (anchor) => equalSteps(anchor, DAY_MS), calendarAnchor: 0 }
  if (every === 'week') return { zone, stepsFrom: (anchor) => equalSteps(anchor, 7 * DAY_MS), calendarAnchor: EPOCH_MONDAY }
  if (every === 'month') return { zone, stepsFrom: monthSteps, calendarAnchor: 0 }
  if (Number.isInteger(every) && every >= 1 && every <= MAX_DURATION_MS) {
    return { zone: UTC, stepsFrom: (anchor) => equalSteps(anchor, every), calendarAnchor: 0 }
  }
  throw invalidDefinition(
    'every',
    `${show(every)} is not the length of a period; use 'day', 'week', 'month' or whole milliseconds from 1 to ${MAX_DURATION_MS}`,
  )
}

function equalSteps(anchor: number, everyMs: number): Steps {
  return {
    startOf: (n) => anchor + n * everyMs,
    guessIndex: (local) => Math.floor((local - anchor) / everyMs),
  }
}

function monthSteps(anchor: number): Steps {
  const anchorDay = Math.floor(anchor / DAY_MS)
  const anchorMonth = monthOf(anchorDay)
  const daysIntoMonth = anchorDay - firstDayOf(anchorMonth)
  const timeOfDayMs = anchor - anchorDay * DAY_MS

  return {
    startOf(n) {
      const month = anchorMonth + n
      const lastDay = firstDayOf(month + 1) - 1
      return Math.min(firstDayOf(month) + daysIntoMonth, lastDay) * DAY_MS + timeOfDayMs
    },
    guessIndex: (local) => monthOf(Math.floor(local / DAY_MS)) - anchorMonth,
  }
}

/*
 * Days are counted from 1970-01-01, months from January 1970. The arithmetic is that of Howard Hinnant's civil_from_days
 * and days_from_civil (https://howardhinnant.github.io/date_algorithms.html): years start in March, which puts the leap
 * day at their end, and 153 days are five months. 719,468 days lie between 0000-03-01 and 1970-01-01.
 */

/** The month that `day` is in. */
function monthOf(day: number): number {
  const daysSinceYear0 = day + 719_468
  const era = quotient(daysSinceYear0, 146_097)
  const dayOfEra = daysSinceYear0 - era * 146_097
  const yearOfEra = quotient(
    dayOfEra - quotient(dayOfEra, 1_460) + quotient(dayOfEra, 36_524) - quotient(dayOfEra, 146_096),
    365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + quotient(yearOfEra, 4) - quotient(yearOfEra, 100))
  const monthsSinceMarch = quotient(5 * dayOfYear + 2, 153)
  return (era * 400 + yearOfEra - 1970) * 12 + monthsSinceMarch + 2
}

/** The first day of `month`. */
function firstDayOf(month: number): number {
  const monthsSinceYear0 = month - 2 + 1970 * 12
  const year = quotient(monthsSinceYear0, 12)
  const monthsSinceMarch = monthsSinceYear0 - year * 12
  const leapDays = quotient(year, 4) - quotient(year, 100) + quotient(year, 400)
  return 365 * year + leapDays + quotient(153 * monthsSinceMarch + 2, 5) - 719_468
}

/** Of 32-bit numbers from 0 up. Not Math.floor: `| 0` divides integers, which makes the two functions above twice as fast. */
function quotient(dividend: number, divisor: number): number {
  return (dividend / divisor) | 0
}
