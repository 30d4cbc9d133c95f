import { TollgateError } from '../../errors/index.ts'
import { recordAt, type SubjectRecord, type SubjectStore } from '../../engine/subjects.ts'
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

  lastKnown(subject: string): { readonly record: SubjectRecord | undefined } | undefined {
    return this.#cache.get(subject)
  }

  async set(subject: string, record: SubjectRecord): Promise<void> {
    const key = this.#keyOf(subject)
    await this.#database.transaction(async (tx) => {
      const [row] = await tx.query(this.#sql.lock, [key, this.#now()])
      void tx.query(this.#sql.save, [key, encode(record)])
      const changes = row ? changesBetween(decode(row['body'] as string), record, row['now'] as number) : changesBetween({}, record, 0)
      for (const { at, plan } of changes) void tx.query(this.#sql.remember, [key, at ?? this.#now(), plan])
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
    const rows = await this.#database.query(this.#sql.history, [this.#keyOf(subject), this.#now()])
    return rows.flatMap(({ at, plan, body }) => (body === null ? { at: at as number, plan: plan as string } : (changeThatCame(decode(body as string), at as number) ?? [])))
  }

  #now(): number | null {
    return this.#clock?.now() ?? null
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
    lock: `SELECT body, ${now} AS now FROM ${name('subjects')} WHERE subject = $1${dialect === 'postgres' ? ' FOR UPDATE' : ''}`,
    save: `INSERT INTO ${name('subjects')} (subject, body) VALUES ($1, $2) ON CONFLICT (subject) DO UPDATE SET body = excluded.body`,
    remember: `INSERT INTO ${name('plan_history')} (subject, at, plan) VALUES ($1, ${now}, $3)`,
    remove: `DELETE FROM ${name('subjects')} WHERE subject = $1`,
    // Of nobody, so that the number of changes stays.
    anonymise: `UPDATE ${name('plan_history')} SET subject = '' WHERE subject = $1`,
    // One statement, so that it sees one instant. The record comes last: what it says is not written down yet.
    history: `SELECT id, at, plan, NULL AS body FROM ${name('plan_history')} WHERE subject = $1 UNION ALL SELECT NULL, ${now}, NULL, body FROM ${name('subjects')} WHERE subject = $1 ORDER BY id NULLS LAST`,
  }
}

/** A change that waited for the end of a period, once that has come. */
function changeThatCame({ plan, nextPlan }: SubjectRecord, now: number): PlanChangeEntry | undefined {
  return nextPlan && nextPlan.at <= now && nextPlan.plan !== plan ? { at: nextPlan.at, plan: nextPlan.plan } : undefined
}

/** What is to be written down when one record takes another's place; without an instant, it happens now. */
function changesBetween(before: SubjectRecord, record: SubjectRecord, now: number): { at?: number; plan: string }[] {
  const { plan, nextPlan } = record
  // While it is in the record it is told from there.
  const isStillThere = nextPlan !== undefined && nextPlan.at === before.nextPlan?.at && nextPlan.plan === before.nextPlan.plan && plan === before.plan
  if (isStillThere) return []
  const came = changeThatCame(before, now)
  const isChanged = plan !== undefined && plan !== recordAt(before, now)?.plan
  return [...(came ? [came] : []), ...(isChanged ? [{ plan }] : [])]
}

/** Unlimited is `null` in JSON. */
function encode(record: SubjectRecord): string {
  return JSON.stringify(record)
}

function decode(body: string): SubjectRecord {
  const record = JSON.parse(body) as SubjectRecord
  if (typeof record !== 'object' || record === null) throw new TollgateError('STORE_UNAVAILABLE', 'a stored subject cannot be read; restore the table of subjects')
  const { overrides, nextPlan } = record
  return { ...record, ...(overrides && { overrides: unlimited(overrides) }), ...(nextPlan?.overrides && { nextPlan: { ...nextPlan, overrides: unlimited(nextPlan.overrides) } }) }
}

function unlimited(overrides: Readonly<Record<string, number | null>>): Record<string, number> {
  return Object.fromEntries(Object.entries(overrides).map(([limit, max]) => [limit, max ?? Infinity]))
}
