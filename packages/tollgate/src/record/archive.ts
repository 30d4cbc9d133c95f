import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { link, mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { invalidRequest, show } from '../errors/index.ts'
import type { Database, Row, Transaction } from '../stores/sql/database.ts'
import { isOneOf } from '../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'
import { csvField } from './analytics/csv.ts'

export interface ArchiveOptions extends TableOptions {
  /** Events of earlier days (of UTC) go: epoch ms. */
  readonly before: number
  /** Where files are put: `events-2026-11-22.jsonl.gz`. Made where there is none. */
  readonly folder: string
  /** Texts of `csv` that a table program would run as a formula get an apostrophe in front. */
  readonly format?: 'jsonl' | 'csv'
  /** Stops it: files that are whole stay, and their events are gone. */
  readonly signal?: AbortSignal
}

export interface Archived {
  readonly file: string
  readonly events: number
}

const DAY_MS = 86_400_000
const AT_ONCE = 1000
/** Of a file: the ids of its events are kept in memory, about 25 MB. A day that has more gets more files. */
const MAX_EVENTS = 250_000
/** Of one file; then whoever archives is taken for dead. */
const FILE_TIMEOUT_MS = 600_000
const COLUMNS = ['id', 'namespace', 'at', 'subject_id', 'seq', 'kind', 'plan', 'operation', 'model', 'count', 'body'] as const

/**
 * Moves single events into compressed files, one a day, and deletes them: those that were written, and only when the file
 * is whole and on the disk. A file that is there is never written over (a second of the day gets `-2`), so after a crash an
 * event can be in two; its id tells. What ends in `.part` was left by a crash, and can go. In PostgreSQL one process
 * archives at a time; another finds nothing to do meanwhile. Files name nobody: subjects are numbers, of which
 * `usage_subjects` knows the names until they are erased or forgotten.
 * @throws what `signal` was aborted with
 */
export async function archiveEvents(database: Database, { before, folder, format = 'jsonl', signal, ...tables }: ArchiveOptions): Promise<Archived[]> {
  if (!Number.isInteger(before)) throw invalidRequest('before', `${show(before)} is not an instant; use epoch ms`)
  if (format !== 'jsonl' && format !== 'csv') throw invalidRequest('format', `${show(format)} is not a format; use 'jsonl' or 'csv'`)
  const events = tableNames(database.dialect, tables)('usage_events')
  await mkdir(folder, { recursive: true })
  const done: Archived[] = []
  for (;;) {
    signal?.throwIfAborted()
    const archived = await alone(database, events, (tx) => archiveNext(tx, database, events, { before, folder, format, signal }))
    if (archived === undefined) return done
    done.push(archived)
  }
}

/** SQLite's file is of one process, and a transaction would keep the others' writes waiting. */
async function alone<R>(database: Database, events: string, work: (tx: Transaction) => Promise<R | undefined>): Promise<R | undefined> {
  if (database.dialect === 'sqlite') return work(database)
  return database.transaction(
    async (tx) => {
      const [lock] = await tx.query('SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS "isOurs"', [`tollgate archive ${events}`])
      return lock!['isOurs'] === true ? work(tx) : undefined
    },
    { timeoutMs: FILE_TIMEOUT_MS },
  )
}

/** One file of the oldest day. */
async function archiveNext(tx: Transaction, { dialect }: Database, events: string, { before, folder, format, signal }: { before: number; folder: string; format: 'jsonl' | 'csv'; signal: AbortSignal | undefined }): Promise<Archived | undefined> {
  const [oldest] = await tx.query(`SELECT at FROM ${events} ORDER BY at LIMIT 1`)
  const startAt = oldest && Math.floor((oldest['at'] as number) / DAY_MS) * DAY_MS
  if (startAt === undefined || startAt + DAY_MS > before) return undefined
  const ids: string[] = []
  const lines = async function* (): AsyncGenerator<string> {
    if (format === 'csv') yield `${COLUMNS.join(',')}\r\n`
    for await (const row of rowsOf(tx, events, startAt)) {
      ids.push(row['id'] as string)
      yield format === 'csv' ? `${COLUMNS.map((column) => csvField(row[column])).join(',')}\r\n` : `${JSON.stringify(facts(row))}\n`
    }
  }
  const file = await write(folder, `events-${new Date(startAt).toISOString().slice(0, 10)}`, `.${format}.gz`, lines(), signal)
  for (let i = 0; i < ids.length; i += AT_ONCE) await tx.query(`DELETE FROM ${events} WHERE ${isOneOf(dialect, 'id', '$1', 'text')}`, [ids.slice(i, i + AT_ONCE)])
  return { file, events: ids.length }
}

async function* rowsOf(tx: Transaction, events: string, startAt: number): AsyncGenerator<Row> {
  let [at, id] = [startAt, '']
  for (let count = 0; count < MAX_EVENTS; count += AT_ONCE) {
    const rows = await tx.query(`SELECT * FROM ${events} WHERE at >= $1 AND at < $2 AND (at > $1 OR id > $3) ORDER BY at, id LIMIT ${AT_ONCE}`, [at, startAt + DAY_MS, id])
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < AT_ONCE) return
    at = last['at'] as number
    id = last['id'] as string
  }
}

function facts({ body, ...row }: Row): object {
  return { ...row, ...(JSON.parse(body as string) as object) }
}

/** Under the first name that is free: a draft is linked to it when it is whole. */
async function write(folder: string, name: string, ending: string, lines: AsyncIterable<string>, signal: AbortSignal | undefined): Promise<string> {
  const draft = join(folder, `${name}${ending}.${randomUUID()}.part`)
  try {
    await pipeline(Readable.from(lines), createGzip(), createWriteStream(draft, { flags: 'wx', mode: 0o600 }), { ...(signal && { signal }) })
    await sync(draft, 'r+')
    const file = await linkAs(draft, (i) => join(folder, `${name}${i === 1 ? '' : `-${i}`}${ending}`))
    // Else the name could be lost with the power, while the events are gone. Windows opens no folders.
    if (process.platform !== 'win32') await sync(folder, 'r')
    return file
  } finally {
    await rm(draft, { force: true })
  }
}

async function linkAs(draft: string, nameOf: (i: number) => string): Promise<string> {
  for (let i = 1; ; i++) {
    try {
      await link(draft, nameOf(i))
      return nameOf(i)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

async function sync(path: string, flags: 'r' | 'r+'): Promise<void> {
  const handle = await open(path, flags)
  await handle.sync().finally(() => handle.close())
}
