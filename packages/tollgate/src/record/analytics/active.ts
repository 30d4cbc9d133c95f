import { daysOf, monthsOf, type Range, spansOf } from './range.ts'
import type { Source } from './source.ts'

export interface MonthRow {
  /** `YYYY-MM`: the whole of it, also where the range has only a part. */
  readonly month: string
  /** null: any plan. */
  readonly plan: string | null
  readonly activeSubjects: number
}

interface Active {
  readonly span: string
  readonly plan: string
  readonly amount: number
}

/** Those who were admitted once or more in each month of the range. */
export async function activeByMonth(source: Source, range: Range): Promise<MonthRow[]> {
  const found = await source.ask<Active>('active', monthsOf(range))
  return found.map(({ span, plan, amount }) => ({ month: span, plan: plan === '' ? null : plan, activeSubjects: amount }))
}

/** The same by day, by plan, or by both; a subject that was active twice is one. Of other groups nothing is known. */
export async function activeBy(source: Source, range: Range, by: readonly string[]): Promise<((group: { day?: string; plan?: string }) => number) | undefined> {
  if (!by.every((column) => column === 'day' || column === 'plan')) return undefined
  const found = by.includes('day') ? await source.ask<Active>('active', daysOf(range)) : await activeOver(source, range)
  const counts = new Map(found.map(({ span = '', plan, amount }) => [JSON.stringify([span, plan]), amount]))
  return ({ day = '', plan = '' }) => counts.get(JSON.stringify([day, plan])) ?? 0
}

/** Each once in the whole range, by plan. */
async function activeOver(source: Source, range: Range): Promise<Active[]> {
  const counts = await source.ask<Active>('active', [...new Set([...spansOf(range), ...monthsOf(range)])])
  const { read, known } = reading(range, new Map(counts.flatMap(({ span, plan, amount }) => (plan === '' ? [[span, amount]] : []))))
  return source.ask<Active>('activeOver', read, known, range.from, range.to)
}

/** Days that are read to find out who need not be looked for: where each has 86 % of a month's subjects, all but 2 %. */
const BUSIEST = 2
/** Looking for one subject takes as long as reading about 13 rows in their order, and most are found on the busiest days. */
const ROWS_PER_SUBJECT = 4

/**
 * Which spans are read, and of which it is enough to be in one. Few days: all. Many: the months in which they are and
 * their busiest days; the months' other subjects are looked for one by one.
 */
export function reading(range: Range, amounts: ReadonlyMap<string, number>): { read: string[]; known: string[] } {
  const spans = spansOf(range)
  const amountOf = (span: string): number => amounts.get(span) ?? 0
  const sumOf = (of: readonly string[]): number => of.reduce((sum, span) => sum + amountOf(span), 0)
  const months = spans.filter(isMonth)
  const days = spans.filter((span) => !isMonth(span))
  const cut = monthsOf(range).filter((month) => !months.includes(month))
  if (sumOf(days) <= ROWS_PER_SUBJECT * sumOf(cut)) return { read: spans, known: spans }
  const sorted = days.toSorted((a, b) => amountOf(b) - amountOf(a))
  // Of different weekdays: those who are away on one may be there on another.
  const busiest = sorted.filter((day, i) => sorted.findIndex((other) => weekdayOf(other) === weekdayOf(day)) === i).slice(0, BUSIEST)
  const known = [...months, ...busiest]
  return { read: [...known, ...cut], known }
}

const weekdayOf = (day: string): number => new Date(day).getUTCDay()

const isMonth = (span: string): boolean => span.length === 'YYYY-MM'.length
