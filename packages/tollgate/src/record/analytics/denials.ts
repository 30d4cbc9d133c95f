import { type By, columnsOf, flagsOf, groupOf } from './by.ts'
import { cut, type PageInput, pageOf } from './page.ts'
import type { Range, RangeInput } from './range.ts'
import type { Source } from './source.ts'
import { DENIAL_COLUMNS } from './statements.ts'
import { subjectName } from './subject-name.ts'

export type DenialColumn = keyof typeof DENIAL_COLUMNS

export interface DenialQuestion extends RangeInput {
  /** Default `day`. Without `mode`, what was denied indeed; with it, what `shadow` would have denied is told too. */
  by?: By<DenialColumn> | undefined
}

export type DenialRow = { readonly [C in DenialColumn]?: string } & {
  /** Denied. Not told by `limit`, `kind` or `code`: a request that violates two limits would be in two rows. */
  readonly requests?: number
  /** A request has one for each limit that it violated. */
  readonly violations: number
}

export interface DeniedCount {
  readonly plan: string
  readonly mode: string
  readonly subjects: number
}

export interface DenialReport extends Range {
  readonly rows: readonly DenialRow[]
  /** How many different subjects were denied, under each plan. */
  readonly subjects: readonly DeniedCount[]
}

const COLUMNS = Object.keys(DENIAL_COLUMNS) as DenialColumn[]

/** @throws INVALID_REQUEST */
export async function denials(source: Source, { by = 'day', ...input }: DenialQuestion): Promise<DenialReport> {
  const columns = columnsOf(by, COLUMNS)
  const range = await source.range(input)
  const isByViolation = columns.some((column) => column === 'limit' || column === 'kind' || column === 'code')
  const [found, subjects] = await Promise.all([
    source.ask<Found>('denials', range.from, range.to, ...flagsOf(columns, COLUMNS), isByViolation ? 1 : 0),
    source.ask<DeniedCount>('deniedCounts', range.from, range.to, columns.includes('mode') ? 1 : 0),
  ])
  const rows = found.map(({ requests, violations, ...row }) => ({ ...groupOf(row, columns), ...(!isByViolation && { requests }), violations }))
  return { ...range, rows, subjects }
}

interface Found {
  readonly requests: number
  readonly violations: number
  readonly [column: string]: unknown
}

export interface DeniedSubject {
  /** null where it was erased. */
  readonly subject: string | null
  readonly plan: string
  readonly requests: number
  readonly lastAt: number
}

export interface Page<R> {
  readonly rows: readonly R[]
  /** `after` of the next page; null at the end. */
  readonly next: string | null
}

/** Whose requests were denied under which plan. @throws INVALID_REQUEST */
export async function deniedSubjects(source: Source, { after, limit, ...input }: RangeInput & PageInput): Promise<Page<DeniedSubject>> {
  const page = pageOf({ after, limit }, [0, ''])
  const { from, to } = await source.range(input)
  const found = await source.ask<{ subject_id: number; subject: string | null; plan: string; requests: number; last_at: number }>('deniedSubjects', from, to, ...page.after, page.limit + 1)
  const { rows, next } = cut(found, page.limit, ({ subject_id, plan }) => [subject_id, plan])
  return { rows: rows.map(({ subject, plan, requests, last_at }) => ({ subject: subjectName(subject), plan, requests, lastAt: last_at })), next }
}
