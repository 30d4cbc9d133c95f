import { describe, expect, test } from 'vitest'
import { TollgateError } from '../errors/index.ts'
import { assertTimezone, createPeriods, periodAt, type PeriodRule } from './calendar.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const MAX_AT = 8.64e15 - 36_525 * DAY
const at = (iso: string): number => Date.parse(iso)
const iso = (instant: number): string => new Date(instant).toISOString().replace(/(:00)?\.000Z$/, 'Z')

function bounds(rule: PeriodRule, now: string): string {
  const { startAt, endAt } = periodAt(rule, at(now))
  return `${iso(startAt)}/${iso(endAt)}`
}

function errorOf(action: () => unknown): TollgateError {
  try {
    action()
  } catch (error) {
    if (TollgateError.isInstance(error)) return error
  }
  throw new Error('expected a TollgateError')
}

describe('a calendar day is a local date', () => {
  test.each([
    ['', 'UTC', '2026-11-22T12:00Z', '2026-11-22T00:00Z/2026-11-23T00:00Z'],
    ['', 'Asia/Kolkata', '2026-01-01T00:00Z', '2025-12-31T18:30Z/2026-01-01T18:30Z'],
    ['', 'Asia/Kathmandu', '2026-01-01T00:00Z', '2025-12-31T18:15Z/2026-01-01T18:15Z'],
    ['23 h', 'Europe/Madrid', '2026-03-29T12:00Z', '2026-03-28T23:00Z/2026-03-29T22:00Z'],
    ['25 h', 'Europe/Madrid', '2026-10-25T12:00Z', '2026-10-24T22:00Z/2026-10-25T23:00Z'],
    ['23 h', 'America/New_York', '2026-03-08T12:00Z', '2026-03-08T05:00Z/2026-03-09T04:00Z'],
    ['25 h', 'America/New_York', '2026-11-01T12:00Z', '2026-11-01T04:00Z/2026-11-02T05:00Z'],
    ['23.5 h', 'Australia/Lord_Howe', '2026-10-04T00:00Z', '2026-10-03T13:30Z/2026-10-04T13:00Z'],
    ['24.5 h', 'Australia/Lord_Howe', '2026-04-05T00:00Z', '2026-04-04T13:00Z/2026-04-05T13:30Z'],
    ['from 01:00', 'America/Sao_Paulo', '2018-11-04T12:00Z', '2018-11-04T03:00Z/2018-11-05T02:00Z'],
    ['to 23:59 twice', 'America/Sao_Paulo', '2018-02-18T02:30Z', '2018-02-17T02:00Z/2018-02-18T03:00Z'],
    ['from 01:00', 'Asia/Beirut', '2022-03-27T12:00Z', '2022-03-26T22:00Z/2022-03-27T21:00Z'],
    ['from 01:00', 'Africa/Cairo', '2023-04-28T12:00Z', '2023-04-27T22:00Z/2023-04-28T21:00Z'],
    ['from 00:15', 'Asia/Kathmandu', '1986-01-01T12:00Z', '1985-12-31T18:30Z/1986-01-01T18:15Z'],
    ['from 00:44:30', 'Africa/Monrovia', '1972-01-07T12:00Z', '1972-01-07T00:44:30Z/1972-01-08T00:00Z'],
    ['the last before', 'Africa/Monrovia', '1972-01-07T00:44Z', '1972-01-06T00:44:30Z/1972-01-07T00:44:30Z'],
    ['midnight twice', 'America/Havana', '2026-11-01T05:00Z', '2026-11-01T04:00Z/2026-11-02T05:00Z'],
    ['clocks go back to yesterday', 'America/St_Johns', '2010-11-07T02:45Z', '2010-11-07T02:30Z/2010-11-08T03:30Z'],
    ['before the skipped date', 'Pacific/Apia', '2011-12-30T09:59Z', '2011-12-29T10:00Z/2011-12-30T10:00Z'],
    ['after the skipped date', 'Pacific/Apia', '2011-12-30T10:00Z', '2011-12-30T10:00Z/2011-12-31T10:00Z'],
    ['starts before 1970', 'America/New_York', '1970-01-01T00:00Z', '1969-12-31T05:00Z/1970-01-01T05:00Z'],
  ])('%s %s %s', (_, timezone, now, expected) => {
    expect(bounds({ every: 'day', timezone }, now)).toBe(expected)
  })
})

describe('other calendar periods', () => {
  test.each([
    ['week', 'UTC', '2026-11-22T23:59Z', '2026-11-16T00:00Z/2026-11-23T00:00Z'],
    ['week', 'UTC', '2026-11-23T00:00Z', '2026-11-23T00:00Z/2026-11-30T00:00Z'],
    ['week', 'Europe/Madrid', '2026-10-25T12:00Z', '2026-10-18T22:00Z/2026-10-25T23:00Z'],
    ['month', 'UTC', '2028-02-29T23:59Z', '2028-02-01T00:00Z/2028-03-01T00:00Z'],
    ['month', 'UTC', '2026-12-31T23:59Z', '2026-12-01T00:00Z/2027-01-01T00:00Z'],
    ['month', 'Europe/Madrid', '2026-03-31T22:00Z', '2026-03-31T22:00Z/2026-04-30T22:00Z'],
    ['month', 'Pacific/Apia', '2011-12-31T09:59Z', '2011-12-01T10:00Z/2011-12-31T10:00Z'],
    ['month', 'Asia/Beirut', '1993-05-01T00:00Z', '1993-04-30T21:00Z/1993-05-31T21:00Z'],
    [6 * HOUR, 'Europe/Madrid', '2026-03-29T07:00Z', '2026-03-29T06:00Z/2026-03-29T12:00Z'],
    [7 * DAY, 'UTC', '2026-11-22T00:00Z', '2026-11-19T00:00Z/2026-11-26T00:00Z'],
  ] as const)('%s %s %s', (every, timezone, now, expected) => {
    expect(bounds({ every, timezone }, now)).toBe(expected)
  })
})

describe('index', () => {
  test.each([
    ['day', 0, 19_723],
    ['week', 0, 2_818],
    ['month', 0, 648],
    [DAY, 0, 19_723],
  ] as const)('%s %d has 1970-01-01 in it', (every, epochIndex, index) => {
    expect(periodAt({ every, timezone: 'UTC' }, 0).index).toBe(epochIndex)
    expect(periodAt({ every, timezone: 'UTC' }, at('2024-01-01T00:00Z')).index).toBe(index)
  })

  test.each([
    ['the day before the one that is skipped', 'Pacific/Apia', '2011-12-30T09:59Z', '2011-12-29'],
    ['the day after the one that is skipped', 'Pacific/Apia', '2011-12-30T10:00Z', '2011-12-31'],
    ['23:15 of Nov 6, after 00:00 of Nov 7', 'America/St_Johns', '2010-11-07T02:45Z', '2010-11-07'],
  ])('counts local dates: %s', (_, timezone, now, date) => {
    expect(new Date(periodAt({ every: 'day', timezone }, at(now)).index * DAY)).toEqual(new Date(date))
  })
})

describe('the memo', () => {
  test('answers with the same object inside a period, and only there', () => {
    const period = createPeriods({ every: 'day', timezone: 'Europe/Madrid' })
    const first = period(at('2026-03-29T12:00Z'))
    expect(period(at('2026-03-28T23:00Z'))).toBe(first)
    expect(period(at('2026-03-29T21:59:59.999Z'))).toBe(first)
    expect(period(at('2026-03-29T22:00Z'))).not.toBe(first)
    expect(period(at('2026-03-29T21:59:59.999Z'))).toEqual(first)
  })

  test('tells anchors apart', () => {
    const period = createPeriods({ every: 'day', timezone: 'UTC' })
    const now = at('2026-01-01T12:00Z')
    expect(iso(period(now).startAt)).toBe('2026-01-01T00:00Z')
    expect(iso(period(now, at('2025-01-01T07:00Z')).startAt)).toBe('2026-01-01T07:00Z')
    expect(iso(period(now, at('2025-01-01T08:00Z')).startAt)).toBe('2026-01-01T08:00Z')
    expect(iso(period(now).startAt)).toBe('2026-01-01T00:00Z')
  })
})

describe('misuse', () => {
  test.each(['', 'Mars/Phobos', '+01:00', 5, null, undefined, {}])('time zone %j is refused', (timezone) => {
    const error = errorOf(() => assertTimezone(timezone, 'limits.daily.timezone'))
    expect(error).toMatchObject({ code: 'INVALID_DEFINITION', field: 'limits.daily.timezone' })
    expect(error.message).toMatch(/is not a time zone; use an IANA name such as 'Europe\/Madrid' or 'UTC'$/)
    expect(errorOf(() => createPeriods({ every: 1, timezone: timezone as string })).field).toBe('timezone')
  })

  test.each(['UTC', 'Europe/Madrid', 'America/Argentina/San_Juan', 'Etc/GMT+5'])('time zone %s is fine', (timezone) => {
    expect(() => assertTimezone(timezone, 'timezone')).not.toThrow()
  })

  test.each([0, -1, 1.5, NaN, Infinity, 36_525 * DAY + 1, 'year', '1000', undefined])('every %s is refused', (every) => {
    const error = errorOf(() => createPeriods({ every: every as number, timezone: 'UTC' }))
    expect(error).toMatchObject({ code: 'INVALID_DEFINITION', field: 'every' })
    expect(error.message).toMatch(/use 'day', 'week', 'month' or whole milliseconds from 1 to 3155760000000$/)
  })

  test.each([-1, 0.5, NaN, Infinity, -Infinity, MAX_AT + 1, '0', null])('instant %s is refused', (instant) => {
    const period = createPeriods({ every: 'month', timezone: 'Europe/Madrid' })
    period(0)
    const error = errorOf(() => period(instant as number))
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', field: 'now' })
    expect(error.message).toMatch(/is not an instant; use whole milliseconds since 1970, from 0 to 8636844240000000$/)
    expect(errorOf(() => period(0, instant as number)).field).toBe('anchorAt')
  })

  test.each(['day', 'week', 'month', 1, 36_525 * DAY] as const)('every %s works at both ends of time', (every) => {
    for (const timezone of ['UTC', 'America/New_York', 'Pacific/Kiritimati']) {
      for (const now of [0, MAX_AT]) {
        for (const anchorAt of [undefined, 0, MAX_AT]) {
          const { startAt, endAt } = periodAt({ every, timezone }, now, anchorAt)
          expect(startAt).toBeLessThanOrEqual(now)
          expect(endAt).toBeGreaterThan(now)
          expect(endAt).toBeLessThanOrEqual(8.64e15)
        }
      }
    }
  })
})
