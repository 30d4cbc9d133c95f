import { createHash } from 'node:crypto'
import { inProgress, RECEIPT_MS, usedOtherwise } from '../../engine/receipts.ts'
import type { Database } from './database.ts'
import { clockOf } from './recordset.ts'
import { type TableOptions, tableNames } from './tables.ts'

export interface SqlReceiptsOptions extends TableOptions {
  namespace?: string
  /** In place of the database's own clock. */
  clock?: { now(): number }
}

/** Whoever asked first has this long to answer: after that, the process is taken for dead, and the key is free. */
const LEASE_MS = 60_000
/** Expired receipts removed with each new one. */
const TIDY = 10

/** Idempotency keys in a database: an answer is remembered over restarts, and by every process. */
export class SqlReceipts<T> {
  readonly #database: Database
  readonly #namespace: string
  readonly #clock: { now(): number } | undefined
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(database: Database, { namespace = 'default', clock, ...tables }: SqlReceiptsOptions = {}) {
    this.#database = database
    this.#namespace = namespace
    this.#clock = clock
    this.#sql = statementsFor(database, tables)
  }

  /**
   * @param fingerprint tells requests apart; never the request itself.
   * @throws IDEMPOTENCY_CONFLICT, IDEMPOTENCY_IN_PROGRESS, STORE_UNAVAILABLE, and what `run` throws.
   */
  async once(key: string, fingerprint: string, run: () => T | Promise<T>): Promise<{ answer: T; isReplay: boolean }> {
    // A digest: keys may name people, and are theirs alone.
    const id = createHash('sha256').update(`${this.#namespace}\0${key}`).digest('base64url')
    const now = this.#clock?.now() ?? null
    const [taken] = await this.#database.query(this.#sql.take, [id, fingerprint, now, LEASE_MS])
    if (!taken) return { answer: await this.#answerOf(id, fingerprint), isReplay: true }
    let answer: T
    try {
      answer = await run()
    } catch (error) {
      // Should that fail, the key is free when the lease ends.
      await this.#database.query(this.#sql.free, [id]).catch(() => {})
      throw error
    }
    await this.#database.query(this.#sql.keep, [id, JSON.stringify(answer), now, RECEIPT_MS])
    await this.#database.query(this.#sql.tidy, [now, TIDY])
    return { answer, isReplay: false }
  }

  async #answerOf(id: string, fingerprint: string): Promise<T> {
    const [row] = await this.#database.query(this.#sql.get, [id])
    if (row && row['fingerprint'] !== fingerprint) throw usedOtherwise()
    if (!row || row['answer'] === null) throw inProgress()
    return JSON.parse(row['answer'] as string) as T
  }
}

function statementsFor({ dialect }: Database, tables: TableOptions) {
  const receipts = tableNames(dialect, tables)('receipts')
  const int = dialect === 'postgres' ? '::bigint' : ''
  const now = (parameter: string): string => `coalesce(${parameter}${int}, ${clockOf(dialect)})`
  return {
    take: `INSERT INTO ${receipts} AS r (id, fingerprint, answer, expires_at) VALUES ($1, $2, NULL, ${now('$3')} + $4${int}) ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, answer = NULL, expires_at = excluded.expires_at WHERE r.expires_at <= ${now('$3')} RETURNING id`,
    get: `SELECT fingerprint, answer FROM ${receipts} WHERE id = $1`,
    keep: `UPDATE ${receipts} SET answer = $2, expires_at = ${now('$3')} + $4${int} WHERE id = $1`,
    free: `DELETE FROM ${receipts} WHERE id = $1`,
    tidy: `DELETE FROM ${receipts} WHERE id IN (SELECT id FROM ${receipts} WHERE expires_at <= ${now('$1')} LIMIT $2)`,
  }
}
