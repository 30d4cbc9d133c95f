import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UTC, zoneNamed, type Zone } from './zones.ts'

const MINUTE = 60_000
const at = (iso: string): number => Date.parse(iso)

function zone(name: string): Zone {
  const found = zoneNamed(name)
  if (found === undefined) throw new Error(`no zone ${name}`)
  return found
}

describe('zoneNamed', () => {
  test.each(['UTC', 'Etc/UTC', 'utc'])('%s needs no lookups', (name) => {
    expect(zoneNamed(name)).toBe(UTC)
  })

  test('returns the same zone for the same name', () => {
    const madrid = zoneNamed('Europe/Madrid')
    zoneNamed('Asia/Tokyo')
    expect(zoneNamed('Europe/Madrid')).toBe(madrid)
  })

  test.each(['', 'Mars/Phobos', '+01:00', '-03', 'UTC+1', 'Europe/Madrid '])('knows no %j', (name) => {
    expect(zoneNamed(name)).toBeUndefined()
  })

  test('still answers after more zones than it keeps', () => {
    const before = zone('Asia/Tokyo')
    for (const name of Intl.supportedValuesOf('timeZone').slice(0, 150)) zoneNamed(name)
    expect(zoneNamed('Asia/Tokyo')).not.toBe(before)
    expect(zone('Asia/Tokyo').offsetMsAt(at('2026-01-01T00:00Z'))).toBe(540 * MINUTE)
  })
})

describe('offsetMsAt', () => {
  test.each([
    ['Asia/Kolkata', '2026-01-01T00:00Z', 330],
    ['Asia/Kathmandu', '1985-12-31T18:29:59.999Z', 330],
    ['Asia/Kathmandu', '1985-12-31T18:30Z', 345],
    ['America/New_York', '2026-03-08T06:59:59.999Z', -300],
    ['America/New_York', '2026-03-08T07:00Z', -240],
    ['Australia/Lord_Howe', '2026-04-04T14:59:59.999Z', 660],
    ['Australia/Lord_Howe', '2026-04-04T15:00Z', 630],
    ['Africa/Monrovia', '1972-01-07T00:44:29.999Z', -44.5],
    ['Africa/Monrovia', '1972-01-07T00:44:30Z', 0],
    ['Europe/London', '1970-01-01T00:00Z', 60],
  ])('%s at %s is %d minutes', (name, iso, minutes) => {
    expect(zone(name).offsetMsAt(at(iso))).toBe(minutes * MINUTE)
  })

  test('agrees with what clocks show, in every zone', () => {
    const instants = fc.integer({ min: at('1969-11-01T00:00Z'), max: at('2100-01-01T00:00Z') })
    fc.assert(
      fc.property(fc.constantFrom(...Intl.supportedValuesOf('timeZone')), instants, (name, instant) => {
        expect(zone(name).offsetMsAt(instant)).toBe(clock(name, instant) - instant)
      }),
      { numRuns: 1_000 },
    )
  })

  test('keeps answering when it has learnt more than it keeps', () => {
    const madrid = zone('Europe/Madrid')
    for (let year = 1970; year < 2030; year += 1) {
      for (let day = 0; day < 365; day += 4) madrid.offsetMsAt(Date.UTC(year, 0, day))
    }
    expect(madrid.offsetMsAt(at('2026-01-01T00:00Z'))).toBe(60 * MINUTE)
    expect(madrid.offsetMsAt(at('2026-07-01T00:00Z'))).toBe(120 * MINUTE)
  })
})

describe('firstInstantOf', () => {
  test.each([
    ['an ordinary time', 'Europe/Madrid', '2026-03-29T01:59', '2026-03-29T00:59Z'],
    ['the start of a gap', 'Europe/Madrid', '2026-03-29T02:00', '2026-03-29T01:00Z'],
    ['inside a gap', 'Europe/Madrid', '2026-03-29T02:30', '2026-03-29T01:00Z'],
    ['the end of a gap', 'Europe/Madrid', '2026-03-29T03:00', '2026-03-29T01:00Z'],
    ['after a gap', 'Europe/Madrid', '2026-03-29T03:01', '2026-03-29T01:01Z'],
    ['the start of a repeated hour', 'Europe/Madrid', '2026-10-25T02:00', '2026-10-25T00:00Z'],
    ['inside a repeated hour', 'Europe/Madrid', '2026-10-25T02:30', '2026-10-25T00:30Z'],
    ['after a repeated hour', 'Europe/Madrid', '2026-10-25T03:00', '2026-10-25T02:00Z'],
    ['a midnight that is skipped', 'America/Sao_Paulo', '2018-11-04T00:00', '2018-11-04T03:00Z'],
    ['a midnight that is repeated', 'America/Havana', '2026-11-01T00:00', '2026-11-01T04:00Z'],
    ['a date that is skipped', 'Pacific/Apia', '2011-12-30T12:00', '2011-12-30T10:00Z'],
    ['a gap of half an hour', 'Australia/Lord_Howe', '2026-10-04T02:15', '2026-10-03T15:30Z'],
    ['a gap of 44 min 30 s', 'Africa/Monrovia', '1972-01-07T00:00', '1972-01-07T00:44:30Z'],
  ])('%s: %s %s is %s', (_, name, local, instant) => {
    expect(zone(name).firstInstantOf(at(`${local}Z`))).toBe(at(instant))
  })
})

/** What a clock in the zone shows, written as if it were UTC. By another way than the one under test: from its fields. */
function clock(name: string, instant: number): number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: name, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
  })
  const fields = new Map(format.formatToParts(instant).map(({ type, value }) => [type, Number(value)]))
  const field = (type: Intl.DateTimeFormatPartTypes): number => fields.get(type) ?? NaN
  const wholeSeconds = Date.UTC(field('year'), field('month') - 1, field('day'), field('hour'), field('minute'), field('second'))
  return wholeSeconds + (((instant % 1_000) + 1_000) % 1_000)
}
