import { deepEqual, equal, ok } from 'node:assert/strict'
import type { CalendarUnit } from '../../compile/calendar.ts'
import { DAY_MS, HOUR_MS, type LedgerFixture, type LedgerScenarios, ruleOf, START_AT } from './fixture.ts'

const at = (text: string): number => Date.parse(text)

/** Begins a plan at an instant, and passes through others without looking before or between. */
async function grantedAt(f: LedgerFixture, instants: readonly string[], rule: { every: CalendarUnit | number; timezone?: string; anchor?: 'calendar' | 'subject' }): Promise<void> {
  f.clock.set(at(instants[0]!))
  await f.plan(ruleOf(rule))
  const expected = instants.map((instant): [number, number] => [100, at(instant)])
  for (const [i, instant] of instants.entries()) {
    if (i === 0) continue
    f.clock.set(at(instant) - 1)
    deepEqual(await f.granted(), expected.slice(0, i), `a millisecond before ${instant}`)
    await f.has({ available: 100 })
    f.clock.set(at(instant))
    await f.has({ available: 100, granted: (i + 1) * 100, expired: i * 100 })
    deepEqual(await f.granted(), expected.slice(0, i + 1), instant)
  }
}

/** What a plan grants each period: once, to the millisecond, whoever looks and however late. */
export const renewing: LedgerScenarios = {
  'a month after Jan 31 is the last of February, and then Mar 31': (f) =>
    grantedAt(f, ['2027-01-31T10:00Z', '2027-02-28T10:00Z', '2027-03-31T10:00Z', '2027-04-30T10:00Z', '2027-05-31T10:00Z'], { every: 'month' }),

  'in a leap year it is Feb 29': (f) => grantedAt(f, ['2028-01-31T00:00Z', '2028-02-29T00:00Z', '2028-03-31T00:00Z'], { every: 'month' }),

  'a year of months from Feb 29 has no drift': (f) =>
    grantedAt(f, ['2028-02-29T12:00Z', '2028-03-29T12:00Z', '2028-04-29T12:00Z'], { every: 'month' }),

  'a plan of the calendar begins in the middle of a period, and goes by the calendar': (f) => grantedAt(f, ['2027-01-15T10:00Z', '2027-02-01T00:00Z', '2027-03-01T00:00Z'], { every: 'month', anchor: 'calendar' }),

  'days of 23 and 25 hours in Madrid are days': async (f) => {
    await grantedAt(f, ['2027-03-26T23:00Z', '2027-03-27T23:00Z', '2027-03-28T22:00Z', '2027-03-29T22:00Z'], { every: 'day', timezone: 'Europe/Madrid', anchor: 'calendar' })
    await f.plan(null, { leftover: 'void' })
  },

  'and so in autumn': (f) => grantedAt(f, ['2027-10-29T22:00Z', '2027-10-30T22:00Z', '2027-10-31T23:00Z', '2027-11-01T23:00Z'], { every: 'day', timezone: 'Europe/Madrid', anchor: 'calendar' }),

  'days of 23 hours in New York are days': (f) => grantedAt(f, ['2027-03-13T05:00Z', '2027-03-14T05:00Z', '2027-03-15T04:00Z', '2027-03-16T04:00Z'], { every: 'day', timezone: 'America/New_York', anchor: 'calendar' }),

  'and those of 25 hours': (f) => grantedAt(f, ['2027-11-06T04:00Z', '2027-11-07T04:00Z', '2027-11-08T05:00Z', '2027-11-09T05:00Z'], { every: 'day', timezone: 'America/New_York', anchor: 'calendar' }),

  'a day that begins at an hour which is skipped begins after the gap': (f) =>
    grantedAt(f, ['2027-03-27T01:30Z', '2027-03-28T01:00Z', '2027-03-29T00:30Z'], { every: 'day', timezone: 'Europe/Madrid' }),

  'periods can be durations, equally long in all zones': (f) => grantedAt(f, ['2027-03-27T12:00Z', '2027-03-28T12:00Z', '2027-03-29T12:00Z'], { every: DAY_MS, timezone: 'Europe/Madrid' }),

  'three months late, each month is granted at its own instant, and lapses at its own': async (f) => {
    f.clock.set(at('2027-01-31T10:00Z'))
    await f.plan(ruleOf())
    await f.deducts('d', 30)
    f.clock.set(at('2027-04-30T09:59:59.999Z'))
    await f.runsDue()
    await f.has({ available: 100, granted: 300, expired: 170, spent: 30 })
    f.clock.set(at('2027-04-30T10:00Z'))
    const movements = (await f.allEntries()).map(({ kind, amount, at: when }) => [kind, amount, new Date(when).toISOString().slice(0, 13)])
    deepEqual(movements, [
      ['grant', 100, '2027-01-31T10'],
      ['spend', -30, '2027-01-31T10'],
      ['expire', -70, '2027-02-28T10'],
      ['grant', 100, '2027-02-28T10'],
      ['expire', -100, '2027-03-31T10'],
      ['grant', 100, '2027-03-31T10'],
      ['expire', -100, '2027-04-30T10'],
      ['grant', 100, '2027-04-30T10'],
    ])
  },

  'nobody need look: a job does what is due, once': async (f) => {
    await f.plan(ruleOf({ every: 'day' }))
    f.clock.advance(DAY_MS - 1)
    await f.runsDue()
    deepEqual(await f.moved(), [['grant', 100]])
    f.clock.advance(1)
    for (let i = 0; i < 3; i++) await f.runsDue()
    deepEqual(await f.moved(), [['grant', 100], ['expire', -100], ['grant', 100]])
  },

  'after years of nobody looking, only the last periods are made up for': async (f) => {
    await f.plan(ruleOf({ every: HOUR_MS }))
    f.clock.set(START_AT + 3 * 366 * DAY_MS + 1)
    await f.has({ available: 100 })
    ok((await f.allEntries()).length < 2000)
    const [, grantedAt] = (await f.granted()).at(-1)!
    equal(grantedAt, START_AT + 3 * 366 * DAY_MS)
    f.clock.advance(HOUR_MS - 1)
    await f.has({ available: 100 })
    equal((await f.granted()).at(-1)![1], f.clock.now())
  },

  'what is carried over survives years of nobody looking': async (f) => {
    await f.plan(ruleOf({ every: HOUR_MS, rolloverMax: 250 }))
    f.clock.set(START_AT + 3 * 366 * DAY_MS)
    await f.has({ available: 350 })
    ok((await f.allEntries()).length < 3000)
  },

  'years of short periods may follow a long one': async (f) => {
    await f.plan(ruleOf())
    await f.plan(ruleOf({ plan: 'set/hourly', amount: 7, every: HOUR_MS }), { at: 'periodEnd' })
    f.clock.set(START_AT + 3 * 366 * DAY_MS)
    await f.has({ available: 7 })
    ok((await f.allEntries()).length < 2000)
  },

  'a clock that is set back grants nothing, and nothing again when it comes back': async (f) => {
    f.clock.set(at('2027-01-31T10:00Z'))
    await f.plan(ruleOf())
    f.clock.set(at('2027-02-28T10:00Z'))
    await f.deducts('d', 40)
    for (const instant of ['2027-02-28T09:59:59.999Z', '2027-01-31T09:00Z', '2027-02-28T10:00Z', '2027-03-31T09:59:59.999Z']) {
      f.clock.set(at(instant))
      await f.runsDue()
      await f.has({ available: 60, granted: 200 })
    }
    f.clock.set(at('2027-03-31T10:00Z'))
    await f.has({ available: 100, granted: 300 })
  },

  'a clock that is set back gives no period again to whoever changes plans meanwhile': async (f) => {
    f.clock.set(at('2027-01-31T23:00Z'))
    const plan = ruleOf({ anchor: 'calendar' })
    await f.plan(plan)
    await f.plan(null)
    f.clock.set(at('2027-02-01T00:00Z'))
    await f.has({ granted: 100, expired: 100 })
    await f.runsDue()
    f.clock.set(at('2027-01-31T23:59Z'))
    await f.plan(plan)
    f.clock.set(at('2027-02-01T00:00Z'))
    await f.has({ available: 100, granted: 200 })
  },

  'nor where nothing was left of the period': async (f) => {
    f.clock.set(at('2027-01-31T23:00Z'))
    const plan = ruleOf({ anchor: 'calendar' })
    await f.plan(plan)
    await f.deducts('d', 100)
    await f.plan(null)
    f.clock.set(at('2027-02-01T00:00Z'))
    await f.ask({ kind: 'touch' })
    f.clock.set(at('2027-01-31T23:59Z'))
    await f.plan(plan)
    f.clock.set(at('2027-02-01T00:00Z'))
    await f.has({ available: 100, granted: 200 })
    f.clock.set(at('2027-02-28T23:59:59.999Z'))
    await f.has({ available: 100, granted: 200 })
  },

  'what is left of a period lapses': async (f) => {
    await f.plan(ruleOf({ every: 'day' }))
    await f.grants(5)
    await f.deducts('d', 30)
    f.clock.advance(DAY_MS)
    await f.has({ available: 105, granted: 205, expired: 70 })
  },

  'or is carried over, up to a cap, to be spent first and for one period more': async (f) => {
    await f.plan(ruleOf({ every: 'day', rolloverMax: 50 }))
    await f.deducts('d', 70)
    f.clock.advance(DAY_MS)
    await f.has({ available: 130 })
    f.clock.advance(DAY_MS)
    await f.has({ available: 150 })
    await f.deducts('d2', 20)
    f.clock.advance(DAY_MS)
    await f.has({ available: 150 })
    await f.deducts('d3', 149)
    f.clock.advance(DAY_MS)
    await f.has({ available: 101 })
    const entries = await f.allEntries()
    equal(entries.filter(({ kind, amount, at: when }) => kind === 'grant' && amount === 50 && when === START_AT + 2 * DAY_MS).length, 1)
  },

  'only what the plan gave is carried over, and not what is held': async (f) => {
    await f.plan(ruleOf({ every: 'day', rolloverMax: 1000 }))
    await f.grants(7, { expiresAt: START_AT + DAY_MS })
    await f.grants(5)
    await f.holds('held', 20, DAY_MS)
    await f.holds('back in time', 10, DAY_MS - 1)
    f.clock.advance(HOUR_MS)
    await f.ask({ kind: 'extend', id: 'held', ttlMs: DAY_MS })
    f.clock.advance(DAY_MS - HOUR_MS)
    await f.has({ available: 100 + 5 + 80, reserved: 20 })
    await f.releases('held')
    await f.has({ available: 100 + 5 + 80, reserved: 0 })
  },

  'a conditional allowance is granted from when its condition is met': async (f) => {
    await f.plan(ruleOf({ isEligible: false }))
    f.clock.set(at('2027-01-31T10:00Z'))
    await f.has({ granted: 0 })
    await f.plan(ruleOf())
    await f.has({ available: 100 })
    f.clock.set(at('2027-02-28T10:00Z'))
    await f.has({ available: 100, granted: 200 })
  },

  'and stays to the end of its period when it is no longer met, and no longer': async (f) => {
    await f.plan(ruleOf({ every: 'day', rolloverMax: 50 }))
    f.clock.advance(HOUR_MS)
    await f.plan(ruleOf({ every: 'day', rolloverMax: 50, isEligible: false }))
    f.clock.advance(DAY_MS - HOUR_MS - 1)
    await f.has({ available: 100 })
    f.clock.advance(1)
    await f.has({ available: 0, granted: 100 })
    f.clock.advance(10 * DAY_MS)
    await f.has({ available: 0, granted: 100 })
    await f.plan(ruleOf({ every: 'day' }))
    await f.has({ available: 100, granted: 200 })
  },

  'a condition that comes and goes grants a period once': async (f) => {
    for (const anchor of ['calendar', 'subject'] as const) {
      await f.plan(ruleOf({ plan: anchor, anchor, every: 'day' }))
      for (const isEligible of [false, true, false, true]) {
        f.clock.advance(HOUR_MS)
        await f.plan(ruleOf({ plan: anchor, anchor, every: 'day', isEligible }))
      }
    }
    await f.has({ granted: 200 })
  },

  'a job that comes while a hold is open gives nobody what it holds': async (f) => {
    await f.plan(ruleOf({ every: 'day' }))
    await f.holds('h', 60, DAY_MS)
    f.clock.advance(HOUR_MS)
    await f.ask({ kind: 'extend', id: 'h', ttlMs: DAY_MS })
    f.clock.advance(DAY_MS - HOUR_MS)
    await f.has({ available: 100, reserved: 60 })
    await f.commits('h', 50)
    await f.has({ available: 100, reserved: 0, spent: 50, expired: 50 })
  },
}
