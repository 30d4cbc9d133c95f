import { createHash } from 'node:crypto'
import type { Charge } from '../../../decide/charge.ts'

/**
 * Names as the database keeps them: escaped as in JSON, since PostgreSQL's text holds no NUL and no half of a surrogate
 * pair, and readable where they are short. An index row of PostgreSQL ends at 2,704 bytes, so long ones are a digest.
 */
const MAX_SUBJECT_BYTES = 1000
const MAX_LIMIT_BYTES = 400
const MAX_PARTITION_BYTES = 1000

/** In place of a cell: the subject's own record. */
export const RECORD = ''

/** Of subjects, and of reservations' ids. */
export function textKey(text: string): string {
  const json = JSON.stringify(text)
  // An escaped text never begins with a quotation mark.
  return fits(json, MAX_SUBJECT_BYTES) ? json.slice(1, -1) : `"${digestOf(json)}`
}

/** Of a cell that has a row of its own. Two cells never share one: its parts are JSON, each ends where it says. */
export function cellKey({ cell, kind, partition, digest }: Pick<Charge, 'cell' | 'kind' | 'partition' | 'digest'>): string {
  const parts = JSON.stringify(digest === '' ? [partition] : [partition, digest])
  return `${limitKey(cell)}${kind} ${fits(parts, MAX_PARTITION_BYTES) ? parts : `#${digestOf(parts)}`}`
}

/** What the keys of all cells of a limit begin with, and no others. */
export function limitKey(cell: string): string {
  const json = JSON.stringify(cell)
  return `${fits(json, MAX_LIMIT_BYTES) ? json : `#${digestOf(json)}`} `
}

function fits(text: string, maxBytes: number): boolean {
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url')
