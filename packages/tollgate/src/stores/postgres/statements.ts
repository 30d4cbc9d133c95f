import { createHash } from 'node:crypto'
import { isOutdated } from './errors.ts'

/** How often a text is seen before it gets a name: what runs once is not worth keeping on every connection. */
const USES_BEFORE_NAME = 2
const MAX_NAMES = 100
const MAX_SEEN = 1000

/**
 * Names of statements that the server keeps prepared on each connection: parsing and planning are about half of what a
 * short query costs. Only the first hundred texts get one, since servers never forget them.
 */
export class Statements {
  readonly #names = new Map<string, string>()
  readonly #seen = new Map<string, number>()
  #isOn: boolean

  constructor(isOn: boolean) {
    this.#isOn = isOn
  }

  /** Without values a query goes as it is: in one message instead of five, and may be several statements. */
  nameOf(sql: string, values: readonly unknown[]): string | undefined {
    if (!this.#isOn || values.length === 0) return undefined
    const name = this.#names.get(sql)
    if (name !== undefined || this.#names.size >= MAX_NAMES) return name
    const uses = (this.#seen.get(sql) ?? 0) + 1
    if (uses <= USES_BEFORE_NAME) {
      if (this.#seen.size < MAX_SEEN || this.#seen.has(sql)) this.#seen.set(sql, uses)
      return undefined
    }
    this.#seen.delete(sql)
    // By the text: two databases over one pool agree on what a name means.
    const made = `tollgate_${createHash('sha1').update(sql).digest('hex').slice(0, 20)}`
    this.#names.set(sql, made)
    return made
  }

  /** Missing, or taken: something between us and the server (PgBouncer before 1.21) does not keep them apart. */
  found(stale: unknown): void {
    if (!isOutdated(stale)) this.#isOn = false
  }
}
