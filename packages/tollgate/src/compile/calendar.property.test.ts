/** Random rules, anchors and instants against what must hold for all, and against a slow calendar written apart from the real one. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPeriods, periodAt, type CalendarUnit, type Period, type PeriodRule } from './calendar.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Changes worth standing next to: gaps and repeats, by day and at midnight, of half an hour and of a whole date. */
const CHANGES = [
  ['UTC', '2026-01-01T00:00Z'],
  ['Europe/Madrid', '2026-03-29T01:00Z'],
  ['Europe/Madrid', '2026-10-25T01:00Z'],
  ['America/New_York', '2024-03-10T07:00Z'],
  ['America/New_York', '2024-11-03T06:00Z'],
  ['America/Sao_Paulo', '2018-11-04T03:00Z'],
  ['America/Sao_Paulo', '2018-02-18T02:00Z'],
  ['Asia/Beirut', '2022-03-26T22:00Z'],
  ['Africa/Cairo', '2023-04-27T22:00Z'],
  ['America/Havana', '2026-11-01T05:00Z'],
  ['America/St_Johns', '2010-11-07T02:31Z'],
  ['Pacific/Apia', '2011-12-30T10:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  ['Asia/Kathmandu', '1985-12-31T18:30Z'],
  ['Asia/Kolkata', '2026-01-01T00:00Z'],
  ['Antarctica/Troll', '2026-03-29T01:00Z'],
] as const

interface Case {
  readonly rule: PeriodRule
  readonly now: number
  readonly anchorAt: number | undefined
}

/** In whole minutes, which the slow calendar needs. */
const cases: fc.Arbitrary<Case> = fc.constantFrom(...CHANGES).chain(([timezone, changeAt]) => {
  const nearMinutes = fc.oneof(fc.integer({ min: -120, max: 120 }), fc.integer({ min: -3 * 1_440, max: 3 * 1_440 }))
  const awayMonths = fc.constantFrom(0, 0, 1, 2, 12, 13, 48).map((months) => months * 30.4375 * 1_440)
  const changeMinute = Date.parse(changeAt) / MINUTE
  const now = nearMinutes.map((offset) => (changeMinute + offset) * MINUTE)
  const anchorAt = fc
    .tuple(nearMinutes, awayMonths, fc.constantFrom(-1, 1))
    .map(([offset, away, sign]) => (changeMinute + offset + sign * Math.round(away)) * MINUTE)
  const every = fc.constantFrom<(CalendarUnit | number)[]>('day', 'week', 'month', 90 * MINUTE, 30 * DAY)
  return fc.record({ rule: fc.record({ every, timezone: fc.constant(timezone) }), now, anchorAt: fc.option(anchorAt, { nil: undefined }) })
})

const forAll = (check: (input: Case) => void, numRuns: number): void => fc.assert(fc.property(cases, check), { numRuns })

describe('always', () => {
  test('a period contains its now', () => {
    forAll(({ rule, now, anchorAt }) => {
      const { startAt, endAt, index } = periodAt(rule, now, anchorAt)
      expect([startAt, endAt, index].every(Number.isInteger)).toBe(true)
      expect(startAt <= now && now < endAt).toBe(true)
    }, 3_000)
  })

  test('periods tile time, and their indexes grow', () => {
    forAll(({ rule, now, anchorAt }) => {
      const period = periodAt(rule, now, anchorAt)
      const next = periodAt(rule, period.endAt, anchorAt)
      const previous = periodAt(rule, period.startAt - 1, anchorAt)
      expect([next.startAt, previous.endAt]).toEqual([period.endAt, period.startAt])
      // Two where a whole date is skipped: the period in between is empty.
      const widest = rule.timezone === 'Pacific/Apia' ? 2 : 1
      for (const growth of [next.index - period.index, period.index - previous.index]) {
        expect(growth >= 1 && growth <= widest).toBe(true)
      }
    }, 3_000)
  })

  test('with an anchor, period 0 starts at it', () => {
    forAll(({ rule, now }) => {
      expect(periodAt(rule, now, now)).toMatchObject({ startAt: now, index: 0 })
    }, 3_000)
  })

  test('what was asked before makes no difference', () => {
    const sameRule = cases.chain(({ rule }) => fc.record({ rule: fc.constant(rule), others: fc.array(cases, { maxLength: 20 }) }))
    fc.assert(fc.property(sameRule, ({ rule, others }) => {
      const periods = createPeriods(rule)
      for (const { now, anchorAt } of others) expect(periods(now, anchorAt)).toEqual(periodAt(rule, now, anchorAt))
    }))
  })

  test('a month from an anchor starts at min(its day, the last day of the month), at its time', () => {
    const instants = fc.date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true }).map(Number)
    fc.assert(fc.property(instants, instants, (now, anchorAt) => {
      const start = new Date(periodAt({ every: 'month', timezone: 'UTC' }, now, anchorAt).startAt)
      const lastDay = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 0)).getUTCDate()
      expect(start.getUTCDate()).toBe(Math.min(new Date(anchorAt).getUTCDate(), lastDay))
      expect(start.toISOString().slice(-14)).toBe(new Date(anchorAt).toISOString().slice(-14))
    }), { numRuns: 3_000 })
  })
})

test('agrees with the slow calendar', () => {
  forAll(({ rule, now, anchorAt }) => {
    expect(periodAt(rule, now, anchorAt)).toEqual(slowPeriodAt(rule, now, anchorAt))
  }, 400)
})

/** Walks from a period that is surely too early to the one that contains `now`. */
function slowPeriodAt({ every, timezone }: PeriodRule, now: number, anchorAt: number | undefined): Period {
  const startOf = (n: number): number => {
    if (typeof every === 'number') return (anchorAt ?? 0) + n * every
    if (anchorAt !== undefined && n === 0) return anchorAt
    const anchor = new Date(anchorAt === undefined ? Date.UTC(1970, 0, every === 'week' ? -2 : 1) : clock(timezone, anchorAt))
    return slowInstantOf(timezone, slowStep(anchor, every, n).getTime())
  }
  const longestMs = typeof every === 'number' ? every : { day: DAY, week: 7 * DAY, month: 31 * DAY }[every]
  const shortestMs = every === 'month' ? 28 * DAY : longestMs
  const sinceAnchorMs = now - (anchorAt ?? 0)
  let index = Math.floor(sinceAnchorMs / (sinceAnchorMs < 0 ? shortestMs : longestMs)) - 3
  while (startOf(index + 1) <= now) index += 1
  return { startAt: startOf(index), endAt: startOf(index + 1), index }
}

function slowStep(anchor: Date, every: CalendarUnit, n: number): Date {
  const result = new Date(anchor)
  if (every === 'day') result.setUTCDate(result.getUTCDate() + n)
  if (every === 'week') result.setUTCDate(result.getUTCDate() + 7 * n)
  if (every === 'month') {
    result.setUTCMonth(result.getUTCMonth() + n)
    // Date turns Feb 31 into Mar 3: back to the last day of the month before.
    if (result.getUTCDate() !== anchor.getUTCDate()) result.setUTCDate(0)
  }
  return result
}

/** Tries every quarter of an hour from the earliest that can be right; what no clock shows lies in a gap. */
function slowInstantOf(timezone: string, local: number): number {
  for (let instant = local - 15 * HOUR; instant <= local + 13 * HOUR; instant += 15 * MINUTE) {
    if (clock(timezone, instant) === local) return instant
  }
  let instant = local - 15 * HOUR
  while (clock(timezone, instant) < local) instant += MINUTE
  return instant
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** What a clock in the zone shows, written as if it were UTC. */
function clock(timezone: string, instant: number): number {
  const format = formats.get(timezone) ?? new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'medium' })
  formats.set(timezone, format)
  return Date.parse(`${format.format(instant).replace(' ', 'T')}Z`)
}
