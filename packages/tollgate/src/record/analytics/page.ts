import { assertInteger } from '../../compile/request.ts'
import { invalidRequest, show } from '../../errors/index.ts'

export interface PageInput {
  /** The `next` of the page before. */
  after?: string | undefined
  /** Rows of a page: 1 … 1000. Default 100. */
  limit?: number | undefined
}

type Key = readonly (string | number)[]

/**
 * Where a page begins, and how many rows it has.
 * @param first what every key comes after, and so of which types its parts are
 * @throws INVALID_REQUEST
 */
export function pageOf({ after, limit = 100 }: PageInput, first: Key): { after: Key; limit: number } {
  assertInteger(limit, 'limit', 1, 1000)
  return { after: after === undefined ? first : keyOf(after, first), limit }
}

/** `next` is null at the end. One row more than the page was asked for. */
export function cut<R>(rows: readonly R[], limit: number, keyOf: (row: R) => Key): { rows: R[]; next: string | null } {
  const page = rows.slice(0, limit)
  return { rows: page, next: rows.length > limit ? Buffer.from(JSON.stringify(keyOf(page.at(-1)!))).toString('base64url') : null }
}

function keyOf(after: string, first: Key): Key {
  try {
    const key: unknown = JSON.parse(Buffer.from(after, 'base64url').toString())
    const isKey = Array.isArray(key) && key.length === first.length && first.every((part, i) => (typeof part === 'number' ? Number.isSafeInteger(key[i]) : isText(key[i])))
    if (isKey) return key as unknown as Key
  } catch {
    // Said below.
  }
  throw invalidRequest('after', `${show(after)} is not the 'next' of a page; give that of the page before, or leave it out`)
}

/** PostgreSQL's text holds no NUL. */
const isText = (value: unknown): boolean => typeof value === 'string' && !value.includes('\0')
