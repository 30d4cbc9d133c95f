/** No instant is later; an integer that every database holds. */
const NEVER = Number.MAX_SAFE_INTEGER
const ROUND_TO_MS = 600_000

/**
 * The instant at which a row may be deleted that says nothing from `until` on: up to ten minutes later. It is indexed,
 * and PostgreSQL updates a row in place only while what is indexed of it stays as it is.
 */
export function rounded(until: number): number {
  return until === Infinity ? NEVER : Math.ceil(until / ROUND_TO_MS) * ROUND_TO_MS
}
