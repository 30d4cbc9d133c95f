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
  const found = by.includes('day') ? await source.ask<Active>('active', daysOf(range)) : await source.ask<Active>('activeOver', spansOf(range))
  const counts = new Map(found.map(({ span = '', plan, amount }) => [JSON.stringify([span, plan]), amount]))
  return ({ day = '', plan = '' }) => counts.get(JSON.stringify([day, plan])) ?? 0
}
