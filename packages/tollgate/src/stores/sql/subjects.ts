import { TollgateError } from '../../errors/index.ts'
import type { SubjectRecord, SubjectStore } from '../../engine/subjects.ts'
import type { Database } from './database.ts'
import { clockOf } from './recordset.ts'
import { type TableOptions, tableNames } from './tables.ts'

export interface SqlSubjectsOptions extends TableOptions {
  /** Keeps the subjects of several engines apart. Default `default`. */
  namespace?: string
  /** In place of the database's own clock, for the dates of plan changes. */
  clock?: { now(): number }
  /** How long another process's change may go unnoticed. Default 1000 ms. */
  maxAgeMs?: number
  /** Subjects remembered in this process. Default 10,000. */
  maxCached?: number
}

export interface PlanChangeEntry {
  readonly at: number
  readonly plan: string
}

interface Cached {
  readonly record: SubjectRecord | undefined
  readonly readAt: number
}

/** Subjects in a database. What was read is believed for a second, and in the process that changed it shows at once. */
export class SqlSubjects implements SubjectStore {
  readonly #database: Database
  readonly #prefix: string
  readonly #clock: { now(): number } | undefined
  readonly #maxAgeMs: number
  readonly #maxCached: number
  readonly #cache = new Map<string, Cached>()
  /** Changes made here: a read that began before one must not hide it. */
  #changes = 0
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(database: Database, { namespace = 'default', clock, maxAgeMs = 1000, maxCached = 10_000, ...tables }: SqlSubjectsOptions = {}) {
    this.#database = database
    this.#prefix = `${namespace}/`
    this.#clock = clock
    this.#maxAgeMs = maxAgeMs
    this.#maxCached = maxCached
    this.#sql = statementsFor(database, tables)
  }

  get(subject: string, isFresh = false): SubjectRecord | undefined | Promise<SubjectRecord | undefined> {
    const cached = isFresh ? undefined : this.#cache.get(subject)
    // Of this process's own monotonic clock: it is no instant, only an age.
    if (cached && performance.now() - cached.readAt < this.#maxAgeMs) return cached.record
    return this.#read(subject)
  }

  async set(subject: string, record: SubjectRecord): Promise<void> {
    const { plan } = record
    const key = this.#keyOf(subject)
    await this.#database.transaction(async (tx) => {
      const [before] = await tx.query(this.#sql.lock, [key])
      void tx.query(this.#sql.save, [key, encode(record)])
      if (plan !== undefined && (before === undefined || decode(before['body'] as string).plan !== plan)) void tx.query(this.#sql.remember, [key, this.#clock?.now() ?? null, plan])
    })
    this.#changes++
    this.#keep(subject, record)
  }

  async delete(subject: string): Promise<void> {
    const key = this.#keyOf(subject)
    await this.#database.transaction(async (tx) => {
      void tx.query(this.#sql.remove, [key])
      void tx.query(this.#sql.anonymise, [key])
    })
    this.#changes++
    this.#keep(subject, undefined)
  }

  /** Which plan it had from when on, the oldest first. */
  async history(subject: string): Promise<PlanChangeEntry[]> {
    const rows = await this.#database.query(this.#sql.history, [this.#keyOf(subject)])
    return rows.map(({ at, plan }) => ({ at: at as number, plan: plan as string }))
  }

  async #read(subject: string): Promise<SubjectRecord | undefined> {
    const changes = this.#changes
    const [row] = await this.#database.query(this.#sql.get, [this.#keyOf(subject)])
    const record = row && decode(row['body'] as string)
    if (changes === this.#changes) this.#keep(subject, record)
    return record
  }

  #keep(subject: string, record: SubjectRecord | undefined): void {
    this.#cache.delete(subject)
    if (this.#cache.size >= this.#maxCached) this.#cache.delete(this.#cache.keys().next().value!)
    this.#cache.set(subject, { record, readAt: performance.now() })
  }

  #keyOf(subject: string): string {
    return this.#prefix + subject
  }
}

function statementsFor({ dialect }: Database, tables: TableOptions) {
  const name = tableNames(dialect, tables)
  const now = `coalesce($2${dialect === 'postgres' ? '::bigint' : ''}, ${clockOf(dialect)})`
  return {
    get: `SELECT body FROM ${name('subjects')} WHERE subject = $1`,
    lock: `SELECT body FROM ${name('subjects')} WHERE subject = $1${dialect === 'postgres' ? ' FOR UPDATE' : ''}`,
    save: `INSERT INTO ${name('subjects')} (subject, body) VALUES ($1, $2) ON CONFLICT (subject) DO UPDATE SET body = excluded.body`,
    remember: `INSERT INTO ${name('plan_history')} (subject, at, plan) VALUES ($1, ${now}, $3)`,
    remove: `DELETE FROM ${name('subjects')} WHERE subject = $1`,
    // Of nobody, so that the number of changes stays.
    anonymise: `UPDATE ${name('plan_history')} SET subject = '' WHERE subject = $1`,
    history: `SELECT at, plan FROM ${name('plan_history')} WHERE subject = $1 ORDER BY id`,
  }
}

/** Unlimited is `null` in JSON. */
function encode(record: SubjectRecord): string {
  return JSON.stringify(record)
}

function decode(body: string): SubjectRecord {
  const record = JSON.parse(body) as SubjectRecord & { overrides?: Record<string, number | null> }
  if (typeof record !== 'object' || record === null) throw new TollgateError('STORE_UNAVAILABLE', 'a stored subject cannot be read; restore the table of subjects')
  if (!record.overrides) return record
  return { ...record, overrides: Object.fromEntries(Object.entries(record.overrides).map(([limit, max]) => [limit, max ?? Infinity])) }
}
