import { describe, expect, it } from 'vitest'
import { reading } from './active.ts'
import { addDays, daysOf, firstOfMonth, monthsOf, rangeOf, spansOf, startOf } from './range.ts'

describe('a range of days', () => {
  it('is the last 30 days and today, where it is not told', () => {
    expect(rangeOf({}, '2026-03-15')).toEqual({ from: '2026-02-13', to: '2026-03-15' })
    expect(rangeOf({ to: '2024-03-01' }, '2026-03-15')).toEqual({ from: '2024-01-31', to: '2024-03-01' })
  })

  it('is the month of its end up to there, where that is asked for', () => {
    expect(rangeOf({}, '2026-03-15', firstOfMonth)).toEqual({ from: '2026-03-01', to: '2026-03-15' })
    expect(rangeOf({ to: '2024-02-29' }, '2026-03-15', firstOfMonth)).toEqual({ from: '2024-02-01', to: '2024-02-29' })
    expect(rangeOf({ from: '2026-01-31' }, '2026-03-01', firstOfMonth)).toEqual({ from: '2026-01-31', to: '2026-03-01' })
  })

  it('has its days and months, of any length', () => {
    const range = { from: '2024-02-28', to: '2024-03-01' }
    expect(daysOf(range)).toEqual(['2024-02-28', '2024-02-29', '2024-03-01'])
    expect(monthsOf(range)).toEqual(['2024-02', '2024-03'])
    expect(monthsOf({ from: '2025-12-31', to: '2026-01-01' })).toEqual(['2025-12', '2026-01'])
    expect(addDays('2026-01-01', -1)).toBe('2025-12-31')
  })

  it.each([
    ['2026-02-01', '2026-02-28', ['2026-02']],
    ['2026-01-31', '2026-03-01', ['2026-01-31', '2026-02', '2026-03-01']],
    ['2025-12-30', '2026-01-31', ['2025-12-30', '2025-12-31', '2026-01']],
    ['2026-02-02', '2026-02-03', ['2026-02-02', '2026-02-03']],
    ['2024-02-01', '2024-02-28', daysOf({ from: '2024-02-01', to: '2024-02-28' })],
  ])('%s to %s is its whole months and the days beside them', (from, to, spans) => {
    expect(spansOf({ from, to })).toEqual(spans)
  })

  it('is read by all its days where they are few, else by its months, their busiest days, and a look for the others', () => {
    const days = daysOf({ from: '2026-02-27', to: '2026-04-10' })
    const range = { from: '2026-02-27', to: '2026-04-10' }
    const few = new Map([...days, '2026-02', '2026-03', '2026-04'].map((span) => [span, 10]))
    expect(reading(range, new Map([...few, ['2026-04', 100]]))).toEqual({ read: spansOf(range), known: spansOf(range) })
    const many = reading(range, new Map([...few, ['2026-02-28', 11], ['2026-04-07', 12]]))
    expect(many).toEqual({ known: ['2026-03', '2026-04-07', '2026-02-28'], read: ['2026-03', '2026-04-07', '2026-02-28', '2026-02', '2026-04'] })
    expect(reading({ from: '2026-03-01', to: '2026-03-31' }, few)).toEqual({ read: ['2026-03'], known: ['2026-03'] })
  })

  it.each([
    ['UTC', '2026-03-08', '2026-03-08T00:00:00Z'],
    ['America/New_York', '2026-03-08', '2026-03-08T05:00:00Z'],
    ['America/New_York', '2026-03-09', '2026-03-09T04:00:00Z'],
    // Midnight was skipped there.
    ['America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00:00Z'],
  ])('in %s, %s begins at %s', (timezone, day, at) => {
    expect(startOf(day, timezone)).toBe(Date.parse(at))
  })
})
