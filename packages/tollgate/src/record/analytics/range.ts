import { zoneNamed } from '../../compile/zones.ts'
import { invalidRequest, show } from '../../errors/index.ts'

/** Days, `YYYY-MM-DD` of the record's zone, both included. */
export interface Range {
  readonly from: string
  readonly to: string
}

/** Default: until today, and from the day 30 days before `to`; of economics, from the first day of its month. */
export type RangeInput = { [K in keyof Range]?: Range[K] | undefined }

const DAY_MS = 86_400_000
const MAX_DAYS = 400
const DEFAULT_DAYS = 30
const MONTH = 'YYYY-MM'.length

/** @throws INVALID_REQUEST */
export function rangeOf({ from, to }: RangeInput, today: string, defaultFrom = (end: string): string => addDays(end, -DEFAULT_DAYS)): Range {
  const end = dayOf('to', to ?? today)
  const start = dayOf('from', from ?? defaultFrom(end))
  if (start > end) throw invalidRequest('from', `${show(start)} is after 'to', ${show(end)}; let it be that day or an earlier one`)
  const days = daysBetween(start, end) + 1
  if (days > MAX_DAYS) throw invalidRequest('from', `${show(start)} to ${show(end)} are ${days} days; ask for at most ${MAX_DAYS} at once`)
  return { from: start, to: end }
}

/** @throws INVALID_REQUEST for what is not a day of the calendar */
function dayOf(field: string, value: string): string {
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value)) {
    const at = Date.parse(value)
    if (!Number.isNaN(at) && nameOf(at) === value) return value
  }
  throw invalidRequest(field, `${show(value)} is not a day; write one as YYYY-MM-DD, such as '2026-02-28'`)
}

export function addDays(day: string, days: number): string {
  return nameOf(Date.parse(day) + days * DAY_MS)
}

export function daysOf({ from, to }: Range): string[] {
  return Array.from({ length: daysBetween(from, to) + 1 }, (_, i) => addDays(from, i))
}

/** Every month, `YYYY-MM`, of which a day is in the range. */
export function monthsOf(range: Range): string[] {
  return [...new Set(daysOf(range).map((day) => day.slice(0, MONTH)))]
}

/** The first day of a day's month. */
export function firstOfMonth(day: string): string {
  return `${day.slice(0, MONTH)}-01`
}

/** The range as few spans: its whole months, and the days of the others. */
export function spansOf({ from, to }: Range): string[] {
  return monthsOf({ from, to }).flatMap((month) => {
    const first = `${month}-01`
    const last = addDays(`${addDays(first, 31).slice(0, MONTH)}-01`, -1)
    return from <= first && last <= to ? [month] : daysOf({ from: from > first ? from : first, to: to < last ? to : last })
  })
}

/** When a day begins in a zone that there is. */
export function startOf(day: string, timezone: string): number {
  return zoneNamed(timezone)!.firstInstantOf(Date.parse(day))
}

const daysBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / DAY_MS

const nameOf = (at: number): string => new Date(at).toISOString().slice(0, 'YYYY-MM-DD'.length)
