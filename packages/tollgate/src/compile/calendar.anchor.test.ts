import { describe, expect, test } from 'vitest'
import { createPeriods, periodAt, type PeriodRule } from './calendar.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const at = (iso: string): number => Date.parse(iso)
const iso = (instant: number): string => new Date(instant).toISOString().replace(/(:00)?\.000Z$/, 'Z')

function bounds(rule: PeriodRule, anchor: string, now: string): string {
  const { startAt, endAt } = periodAt(rule, at(now), at(anchor))
  return `${iso(startAt)}/${iso(endAt)}`
}

describe('days and weeks from an anchor start at its local time of day', () => {
  const newYork: PeriodRule = { every: 'day', timezone: 'America/New_York' }

  test.each([
    ['before it', '2026-11-22T13:59Z', '2026-11-21T14:00Z/2026-11-22T14:00Z'],
    ['at it', '2026-11-22T14:00Z', '2026-11-22T14:00Z/2026-11-23T14:00Z'],
    ['in summer', '2026-07-01T12:59Z', '2026-06-30T13:00Z/2026-07-01T13:00Z'],
    ['long before the anchor', '2001-07-01T12:59Z', '2001-06-30T13:00Z/2001-07-01T13:00Z'],
  ])('09:00: %s', (_, now, expected) => {
    expect(bounds(newYork, '2026-01-10T14:00Z', now)).toBe(expected)
  })

  test.each([
    ['the day before', '2026-03-08T06:59Z', '2026-03-07T07:30Z/2026-03-08T07:00Z'],
    ['the day itself', '2026-03-08T07:00Z', '2026-03-08T07:00Z/2026-03-09T06:30Z'],
    ['the day after', '2026-03-09T06:30Z', '2026-03-09T06:30Z/2026-03-10T06:30Z'],
  ])('02:30, which a day skips, is 03:00: %s', (_, now, expected) => {
    expect(bounds(newYork, '2026-03-01T07:30Z', now)).toBe(expected)
  })

  test.each([
    ['the day before', '2026-11-01T05:29Z', '2026-10-31T05:30Z/2026-11-01T05:30Z'],
    ['01:30 for the first time', '2026-11-01T05:30Z', '2026-11-01T05:30Z/2026-11-02T06:30Z'],
    ['01:10 for the second time', '2026-11-01T06:10Z', '2026-11-01T05:30Z/2026-11-02T06:30Z'],
    ['01:30 for the second time', '2026-11-01T06:30Z', '2026-11-01T05:30Z/2026-11-02T06:30Z'],
  ])('01:30, which a day repeats, is the earlier: %s', (_, now, expected) => {
    expect(bounds(newYork, '2026-10-01T05:30Z', now)).toBe(expected)
  })

  test.each([
    ['01:30 for the first time', '2026-11-01T05:30Z', '2026-10-31T05:30Z/2026-11-01T06:30Z'],
    ['01:29 for the second time', '2026-11-01T06:29Z', '2026-10-31T05:30Z/2026-11-01T06:30Z'],
    ['the anchor', '2026-11-01T06:30Z', '2026-11-01T06:30Z/2026-11-02T06:30Z'],
    ['a year later', '2027-11-07T05:30Z', '2027-11-07T05:30Z/2027-11-08T06:30Z'],
  ])('period 0 starts at an anchor in the later of two hours: %s', (_, now, expected) => {
    expect(bounds(newYork, '2026-11-01T06:30Z', now)).toBe(expected)
  })

  test('a period can be cut short by a date that is skipped', () => {
    const rule: PeriodRule = { every: 'day', timezone: 'Pacific/Apia' }
    expect(bounds(rule, '2011-12-01T22:00Z', '2011-12-30T09:59Z')).toBe('2011-12-29T22:00Z/2011-12-30T10:00Z')
    expect(bounds(rule, '2011-12-01T22:00Z', '2011-12-30T10:00Z')).toBe('2011-12-30T10:00Z/2011-12-30T22:00Z')
  })

  test('weeks keep the weekday and the time', () => {
    const rule: PeriodRule = { every: 'week', timezone: 'Europe/Madrid' }
    expect(bounds(rule, '2026-10-14T10:00Z', '2026-10-20T12:00Z')).toBe('2026-10-14T10:00Z/2026-10-21T10:00Z')
    expect(bounds(rule, '2026-10-14T10:00Z', '2026-10-28T10:59Z')).toBe('2026-10-21T10:00Z/2026-10-28T11:00Z')
  })
})

describe('months from an anchor', () => {
  test.each([
    ['2023-01-31T10:00Z', '31 28 31 30 31 30 31 31 30 31 30 31 31 29 31 30'],
    ['2024-02-29T10:00Z', '29 29 29 29 29 29 29 29 29 29 29 29 28 29 29 29'],
    ['2000-02-29T10:00Z', '29 29 29 29 29 29 29 29 29 29 29 29 28 29 29 29'],
    ['2026-12-30T10:00Z', '30 30 28 30 30 30 30 30 30 30 30 30 30 30 29 30'],
    ['1999-11-30T10:00Z', '30 30 30 29 30 30 30 30 30 30 30 30 30 30 30 28'],
  ])('from %s they start on the %s', (anchor, days) => {
    const periods = createPeriods({ every: 'month', timezone: 'UTC' })
    const starts: number[] = []
    let period = periods(at(anchor), at(anchor))
    for (let n = 0; n < 16; n += 1) {
      expect(period.index).toBe(n)
      starts.push(new Date(period.startAt).getUTCDate())
      period = periods(period.endAt, at(anchor))
    }
    expect(starts.join(' ')).toBe(days)
  })

  test.each([
    ['2026-02-28T10:00Z', '2026-02-28T10:00Z/2026-03-31T10:00Z'],
    ['2026-02-28T09:59Z', '2026-01-31T10:00Z/2026-02-28T10:00Z'],
    ['2028-02-29T10:00Z', '2028-02-29T10:00Z/2028-03-31T10:00Z'],
    ['2100-02-28T10:00Z', '2100-02-28T10:00Z/2100-03-31T10:00Z'],
    ['2000-02-29T10:00Z', '2000-02-29T10:00Z/2000-03-31T10:00Z'],
    ['2019-12-31T09:00Z', '2019-11-30T10:00Z/2019-12-31T10:00Z'],
  ])('from 2020-01-31T10:00Z, at %s: %s', (now, expected) => {
    expect(bounds({ every: 'month', timezone: 'UTC' }, '2020-01-31T10:00Z', now)).toBe(expected)
  })

  test.each([
    ['the clocks change', 'Europe/Madrid', '2026-01-31T09:00Z', '2026-03-15T00:00Z', '2026-02-28T09:00Z/2026-03-31T08:00Z'],
    ['the 31st is the 30th in UTC', 'Asia/Tokyo', '2026-01-30T16:00Z', '2026-03-15T00:00Z', '2026-02-27T16:00Z/2026-03-30T16:00Z'],
    [
      'Nov 1 00:00 comes before the anchor, Oct 31 23:30 for the second time',
      'America/St_Johns', '2009-11-01T03:00Z', '2009-11-01T02:30Z', '2009-10-01T02:00Z/2009-11-01T03:00Z',
    ],
    ['the 30th is skipped', 'Pacific/Apia', '2011-10-30T22:00Z', '2011-12-30T10:00Z', '2011-12-30T10:00Z/2012-01-29T22:00Z'],
  ])('%s: %s', (_, timezone, anchor, now, expected) => {
    expect(bounds({ every: 'month', timezone }, anchor, now)).toBe(expected)
  })
})

test('a duration counts from the anchor, in both directions', () => {
  const rule: PeriodRule = { every: 30 * DAY, timezone: 'Europe/Madrid' }
  expect(bounds(rule, '2026-01-31T00:00Z', '2026-03-31T00:00Z')).toBe('2026-03-02T00:00Z/2026-04-01T00:00Z')
  expect(bounds(rule, '2026-01-31T00:00Z', '2026-01-30T00:00Z')).toBe('2026-01-01T00:00Z/2026-01-31T00:00Z')
})

test.each([
  ['day', '2026-03-12T00:00Z', -2],
  ['week', '2026-03-19T00:00Z', -2],
  ['month', '2026-05-10T00:00Z', -2],
  [HOUR, '2026-03-10T14:00Z', -2],
  ['day', '2026-03-08T12:00Z', 2],
  ['month', '2026-01-10T12:00Z', 2],
] as const)('%s from %s: 2026-03-10T12:00Z is in period %d', (every, anchor, index) => {
  expect(periodAt({ every, timezone: 'UTC' }, at('2026-03-10T12:00Z'), at(anchor)).index).toBe(index)
})
