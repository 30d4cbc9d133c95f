import { assertInteger } from '../../compile/request.ts'
import { invalidRequest, show } from '../../errors/index.ts'
import type { Page } from './denials.ts'
import { cut, type PageInput, pageOf } from './page.ts'
import { addDays } from './range.ts'
import type { Source } from './source.ts'
import { subjectName } from './subject-name.ts'

export interface NearLimitsQuestion {
  /** From which part of its limit a total counts as near: above 0, up to 1. Default 0.8. */
  share?: number | undefined
  /** Of this limit alone. */
  limit?: string | undefined
  page?: PageInput | undefined
}

export interface FullDaysQuestion {
  /** Today and the days before it: 1 … 400. Default 7. */
  days?: number | undefined
  /** Of this limit alone. */
  limit?: string | undefined
  page?: PageInput | undefined
}

/** What a subject has used of a quota in one of its periods. */
export interface TotalRow {
  /** null where it was erased. */
  readonly subject: string | null
  readonly plan: string
  readonly limit: string
  /** Of a limit that is counted per something: of what. */
  readonly partition: string
  readonly used: number
  readonly max: number
  readonly isOver: boolean
  readonly startAt: number
  readonly endAt: number
}

export interface LimitCount {
  readonly plan: string
  readonly limit: string
  readonly subjects: number
  /** Of these, above the limit: by a commit that took more than it had reserved, or since the limit was lowered. */
  readonly over: number
}

export interface NearLimits extends Page<TotalRow> {
  readonly counts: readonly LimitCount[]
}

export interface FullDays extends Page<TotalRow> {
  readonly counts: readonly (LimitCount & { readonly day: string })[]
}

interface Total {
  readonly subject_id: number
  readonly subject: string | null
  readonly cell: string
  readonly partition: string
  readonly plan: string
  readonly lim: string
  readonly max: number
  readonly used: number
  readonly start_at: number
  readonly end_at: number
}

interface Count {
  readonly plan: string
  readonly lim: string
  readonly subjects: number
  readonly over: number
}

/** Totals of periods that are not over, at or above a share of their limit. @throws INVALID_REQUEST */
export async function nearLimits(source: Source, { share = 0.8, limit = '', page = {} }: NearLimitsQuestion): Promise<NearLimits> {
  if (!(typeof share === 'number' && share > 0 && share <= 1)) throw invalidRequest('share', `${show(share)} is not a share of a limit; use a number above 0 and up to 1, such as 0.8`)
  assertName(limit)
  const { after, limit: size } = pageOf(page, FIRST)
  // In millionths: 0.07 × 100 is 7.000000000000001.
  const which = [await source.now(), Math.round(share * 1_000_000), limit]
  const [found, counts] = await Promise.all([source.ask<Total>('near', ...which, ...after, size + 1), source.ask<Count>('nearCounts', ...which)])
  return { ...pageOfTotals(found, size), counts: counts.map(countOf) }
}

/** Quotas of a day or less that were used up in the last days. @throws INVALID_REQUEST */
export async function fullDays(source: Source, { days = 7, limit = '', page = {} }: FullDaysQuestion): Promise<FullDays> {
  assertInteger(days, 'days', 1, 400)
  assertName(limit)
  const { after, limit: size } = pageOf(page, FIRST)
  const now = await source.now()
  const which = [source.startOf(addDays(source.dayOf(now), 1 - days)), now, limit]
  const [found, counts] = await Promise.all([source.ask<Total>('full', ...which, ...after, size + 1), source.ask<Count & { start_at: number }>('fullCounts', ...which)])
  const byDay = new Map<string, FullDays['counts'][number]>()
  for (const { start_at: startAt, ...count } of counts) {
    const row = { day: source.dayOf(startAt), ...countOf(count) }
    const key = JSON.stringify([row.day, row.plan, row.limit])
    const sum = byDay.get(key)
    // Where periods are the subjects' own, each begins at another time of the day.
    byDay.set(key, sum ? { ...sum, subjects: sum.subjects + row.subjects, over: sum.over + row.over } : row)
  }
  return { ...pageOfTotals(found, size), counts: [...byDay.values()] }
}

/** Before every total. */
const FIRST = [0, '', '', 0] as const

function pageOfTotals(found: readonly Total[], size: number): Page<TotalRow> {
  const { rows, next } = cut(found, size, ({ subject_id, cell, partition, start_at }) => [subject_id, cell, partition, start_at])
  return {
    rows: rows.map(({ subject, plan, lim, partition, used, max, start_at, end_at }) => ({ subject: subjectName(subject), plan, limit: lim, partition: JSON.parse(partition) as string, used, max, isOver: used > max, startAt: start_at, endAt: end_at })),
    next,
  }
}

function countOf({ plan, lim, subjects, over }: Count): LimitCount {
  return { plan, limit: lim, subjects, over }
}

function assertName(limit: unknown): asserts limit is string {
  if (typeof limit !== 'string' || limit.length > 256 || limit.includes('\0')) throw invalidRequest('limit', `${show(limit)} is not the name of a limit; use one of a plan, or leave it out for all`)
}
