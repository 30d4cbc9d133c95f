import { invalidRequest } from '../../errors/index.ts'
import { GRAVE, LEASE } from './cache-scripts.ts'

export interface Entry {
  readonly value: unknown
  readonly tags: readonly string[]
}

/** JSON of the value; behind it, on a line of their own, its tags, if it has any. */
export function entryText(value: unknown, tags: readonly string[]): string {
  const json = jsonOf(value)
  return tags.length === 0 ? json : `${json}\n${JSON.stringify(tags)}`
}

/** What Redis holds may be of somebody else, or rubbish: then there is no entry. */
export function parseEntry(text: unknown): Entry | undefined {
  if (typeof text !== 'string' || text.startsWith(LEASE) || text.startsWith(GRAVE)) return undefined
  const end = text.indexOf('\n')
  try {
    const value: unknown = JSON.parse(end < 0 ? text : text.slice(0, end))
    const tags: unknown = end < 0 ? [] : JSON.parse(text.slice(end + 1))
    return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string') ? { value, tags } : undefined
  } catch {
    return undefined
  }
}

/** @throws INVALID_REQUEST */
function jsonOf(value: unknown): string {
  let json: string | undefined
  let cause: unknown
  try {
    json = JSON.stringify(value)
  } catch (error) {
    cause = error
  }
  if (json !== undefined) return json
  throw invalidRequest('value', `it cannot be written as JSON${cause instanceof Error ? ` (${cause.message})` : ''}; cache plain data`)
}
