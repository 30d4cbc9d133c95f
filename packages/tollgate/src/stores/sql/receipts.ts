import { createHash, randomUUID } from 'node:crypto'
import { inProgress, RECEIPT_MS, usedOtherwise } from '../../engine/receipts.ts'
import type { Database } from './database.ts'
import { clockOf, deleteFirst } from './recordset.ts'
import { type TableOptions, tableNames } from './tables.ts'

export interface SqlReceiptsOptions extends TableOptions {
  namespace?: string
  /** In place of the database's own clock, for how long answers are kept. */
  clock?: { now(): number }
  /** After how long without a sign of life whoever answers is taken for dead, and the key is free. Default 5000 ms. */
  leaseMs?: number
}

/** Signs of life in the time of a lease: one may be late, and one lost. */
const SIGNS_OF_LIFE = 3
/** Expired receipts removed with each new one. */
const TIDY = 10

/** Idempotency keys in a database: an answer is remembered over restarts, and by every process. */
export class SqlReceipts<T> {
  readonly #database: Database
  readonly #namespace: string
  readonly #clock: { now(): number } | undefined
  readonly #leaseMs: number
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(database: Database, { namespace = 'default', clock, leaseMs = 5000, ...tables }: SqlReceiptsOptions = {}) {
    this.#database = database
    this.#namespace = namespace
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#sql = statementsFor(database, tables)
  }

  /**
   * @param fingerprint tells requests apart; never the request itself.
   * @param run is given an id of what the request does: every attempt after an error, or a crash, has the same.
   * @param subject whose answer it is: it is forgotten with the subject.
   * @throws IDEMPOTENCY_CONFLICT, IDEMPOTENCY_IN_PROGRESS, STORE_UNAVAILABLE, and what `run` throws.
   */
  async once(key: string, fingerprint: string, run: (effect: string) => T | Promise<T>, _isOutdated?: (answer: T) => boolean, subject?: string): Promise<{ answer: T; isReplay: boolean }> {
    // A digest: keys may name people, and are theirs alone.
    const id = this.#digest(key)
    const [taken] = await this.#database.query(this.#sql.take, [id, fingerprint, randomUUID(), this.#leaseMs, this.#now(), RECEIPT_MS, subject === undefined ? null : this.#subjectDigest(subject)])
    if (!taken) return { answer: await this.#answerOf(id, fingerprint), isReplay: true }
    const effect = taken['effect'] as string
    const letGo = this.#holdLease(id, effect)
    let answer: T
    try {
      answer = await run(effect)
    } catch (error) {
      // Should that fail, the key is free when the lease ends.
      await this.#database.query(this.#sql.free, [id, effect]).catch(() => {})
      throw error
    } finally {
      letGo()
    }
    await this.#database.query(this.#sql.keep, [id, effect, JSON.stringify(answer), this.#now(), RECEIPT_MS])
    await this.#database.query(this.#sql.tidy, [this.#now(), TIDY])
    return { answer, isReplay: false }
  }

  /** Frees the keys of processes that died, at once. Only for who knows that no other process uses the database. */
  async reclaim(): Promise<void> {
    await this.#database.query(this.#sql.reclaim)
  }

  /** Forgets the answers that were given with this subject. What is under way keeps its key until it has an answer. */
  async erase(subject: string): Promise<void> {
    await this.#database.query(this.#sql.erase, [this.#subjectDigest(subject)])
  }

  #digest(key: string): string {
    return createHash('sha256').update(`${this.#namespace}\0${key}`).digest('base64url')
  }

  #subjectDigest(subject: string): string {
    return this.#digest(`subject\0${subject}`)
  }

  #now(): number | null {
    return this.#clock?.now() ?? null
  }

  /** A request may take long, a streamed one minutes. */
  #holdLease(id: string, effect: string): () => void {
    const timer = setInterval(() => void this.#database.query(this.#sql.renew, [id, effect, this.#leaseMs]).catch(() => {}), this.#leaseMs / SIGNS_OF_LIFE)
    timer.unref()
    return () => clearInterval(timer)
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
  const own = clockOf(dialect)
  const now = (parameter: string): string => `coalesce(${parameter}${int}, ${own})`
  const isOver = `(r.answer IS NULL AND r.leased_until <= ${own} OR r.answer IS NOT NULL AND r.expires_at <= ${now('$5')})`
  const isSame = `(r.fingerprint = excluded.fingerprint AND r.expires_at > ${now('$5')})`
  return {
    take: `INSERT INTO ${receipts} AS r (id, fingerprint, effect, answer, leased_until, expires_at, subject_digest) VALUES ($1, $2, $3, NULL, ${own} + $4${int}, ${now('$5')} + $6${int}, $7) ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, effect = CASE WHEN ${isSame} THEN r.effect ELSE excluded.effect END, answer = NULL, leased_until = excluded.leased_until, expires_at = excluded.expires_at, subject_digest = excluded.subject_digest WHERE ${isOver} RETURNING effect`,
    get: `SELECT fingerprint, answer FROM ${receipts} WHERE id = $1`,
    renew: `UPDATE ${receipts} SET leased_until = ${own} + $3${int} WHERE id = $1 AND effect = $2 AND answer IS NULL`,
    keep: `UPDATE ${receipts} SET answer = $3, expires_at = ${now('$4')} + $5${int} WHERE id = $1 AND effect = $2`,
    free: `UPDATE ${receipts} SET leased_until = 0 WHERE id = $1 AND effect = $2`,
    tidy: deleteFirst(dialect, receipts, `expires_at <= ${now('$1')} AND leased_until <= ${own}`, 'expires_at', '$2'),
    erase: `DELETE FROM ${receipts} WHERE subject_digest = $1 AND answer IS NOT NULL`,
    reclaim: `UPDATE ${receipts} SET leased_until = 0 WHERE answer IS NULL`,
  }
}
