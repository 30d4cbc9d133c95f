import { suggest } from '../../define/suggest.ts'
import { invalidRequest, show } from '../../errors/index.ts'

/** One column to group by, or several. */
export type By<C extends string> = C | readonly C[]

/** @throws INVALID_REQUEST */
export function columnsOf<C extends string>(by: By<C>, known: readonly C[]): readonly C[] {
  const columns: readonly C[] = typeof by === 'string' ? [by] : by
  if (!Array.isArray(columns) || columns.length === 0) throw invalidRequest('by', `${show(by)} says nothing to group by; use one or several of ${known.join(', ')}`)
  const unknown = columns.find((column) => !known.includes(column))
  if (unknown !== undefined) throw invalidRequest('by', `${show(unknown)} is nothing to group by; ${suggest(unknown, known)}`)
  const twice = columns.find((column, i) => columns.indexOf(column) < i)
  if (twice !== undefined) throw invalidRequest('by', `${show(twice)} is there twice; name each once`)
  return columns
}

/** For a statement that can group by all of `known`: 1 for those to group by. */
export function flagsOf<C extends string>(by: readonly C[], known: readonly C[]): number[] {
  return known.map((column) => (by.includes(column) ? 1 : 0))
}

/** What a row is of. */
export function groupOf<C extends string>(row: Readonly<Record<string, unknown>>, by: readonly C[]): { [K in C]?: string } {
  return Object.fromEntries(by.map((column) => [column, row[column] as string])) as { [K in C]?: string }
}
