import { activeBy, activeByMonth, type MonthRow } from './active.ts'
import { type By, columnsOf, flagsOf, groupOf } from './by.ts'
import type { Range, RangeInput } from './range.ts'
import { ratio, type Share, shares } from './shares.ts'
import type { Source } from './source.ts'
import { USAGE_COLUMNS } from './statements.ts'

export type UsageColumn = keyof typeof USAGE_COLUMNS

export interface UsageQuestion extends RangeInput {
  /** Default `day`. */
  by?: By<UsageColumn> | undefined
}

export type UsageRow = { readonly [C in UsageColumn]?: string } & {
  readonly requests?: number
  /** By meter. */
  readonly amounts?: Readonly<Record<string, number>>
  /** Grouped by `limit`, in place of the two above: what it counted. */
  readonly used?: number
  /** Grouped by `day` and `plan` alone: who was admitted, each once in each row. */
  readonly activeSubjects?: number
}

export interface UsageReport extends Range {
  readonly rows: readonly UsageRow[]
  readonly months: readonly MonthRow[]
  readonly models: readonly Share[]
  readonly limits: readonly Share[]
}

const COLUMNS = Object.keys(USAGE_COLUMNS) as UsageColumn[]

/** What was used: a day without use has no row. @throws INVALID_REQUEST */
export async function usage(source: Source, { by = 'day', ...input }: UsageQuestion): Promise<UsageReport> {
  const columns = columnsOf(by, COLUMNS)
  const range = await source.range(input)
  const [rows, months, { models, limits }] = await Promise.all([usageRows(source, range, columns), activeByMonth(source, range), shares(source, range)])
  return { ...range, rows, months, models, limits }
}

interface Found {
  readonly meter: string
  readonly amount: number
  readonly [column: string]: unknown
}

export async function usageRows(source: Source, range: Range, by: readonly UsageColumn[]): Promise<UsageRow[]> {
  const [found, active] = await Promise.all([source.ask<Found>('usage', range.from, range.to, ...flagsOf(by, COLUMNS)), activeBy(source, range, by)])
  if (by.includes('limit')) return found.map((row) => ({ ...groupOf(row, by), used: row.amount }))
  const rows = new Map<string, UsageRow & { requests: number; amounts: Record<string, number> }>()
  for (const { meter, amount, ...row } of found) {
    const group = groupOf(row, by)
    const key = JSON.stringify(group)
    const sums = rows.get(key) ?? { ...group, requests: 0, amounts: {}, ...(active && { activeSubjects: active(group) }) }
    rows.set(key, sums)
    if (meter === 'requests') sums.requests = amount
    else sums.amounts[meter] = amount
  }
  return [...rows.values()]
}

export interface AverageRow {
  readonly plan: string
  readonly requests: number
  readonly activeSubjects: number
  /** Requests of an active subject. */
  readonly average: number
}

/** @throws INVALID_REQUEST */
export async function averageUse(source: Source, input: RangeInput): Promise<AverageRow[]> {
  const rows = await usageRows(source, await source.range(input), ['plan'])
  return rows.map(({ plan = '', requests = 0, activeSubjects = 0 }) => ({ plan, requests, activeSubjects, average: ratio(requests, activeSubjects) }))
}
