import { createWriteStream } from 'node:fs'
import { access, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { invalidRequest, show } from '../errors/index.ts'
import type { Database, Row } from '../stores/sql/database.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'

export interface ArchiveOptions extends TableOptions {
  /** Events of earlier days (of UTC) go: epoch ms. */
  readonly before: number
  /** Where files are put: `events-2026-11-22.jsonl.gz`. Made where there is none. */
  readonly folder: string
  readonly format?: 'jsonl' | 'csv'
}

export interface Archived {
  readonly file: string
  readonly events: number
}

const DAY_MS = 86_400_000
const AT_ONCE = 1000
const COLUMNS = ['id', 'namespace', 'at', 'subject_id', 'seq', 'kind', 'plan', 'operation', 'model', 'count', 'body'] as const

/**
 * Moves single events into compressed files, one a day, and deletes them: only when the file is whole and on the disk. A
 * file that is there is never written over, so after a crash an event can be in two; its id tells. Files name nobody:
 * subjects are numbers, of which `usage_subjects` knows the names until they are erased.
 */
export async function archiveEvents(database: Database, { before, folder, format = 'jsonl', ...tables }: ArchiveOptions): Promise<Archived[]> {
  if (!Number.isInteger(before)) throw invalidRequest('before', `${show(before)} is not an instant; use epoch ms`)
  if (format !== 'jsonl' && format !== 'csv') throw invalidRequest('format', `${show(format)} is not a format; use 'jsonl' or 'csv'`)
  const events = tableNames(database.dialect, tables)('usage_events')
  await mkdir(folder, { recursive: true })
  const done: Archived[] = []
  for (;;) {
    const [oldest] = await database.query(`SELECT at FROM ${events} ORDER BY at LIMIT 1`)
    const startAt = oldest && Math.floor((oldest['at'] as number) / DAY_MS) * DAY_MS
    if (startAt === undefined || startAt + DAY_MS > before) return done
    const file = await freeName(folder, new Date(startAt).toISOString().slice(0, 10), format)
    let count = 0
    const lines = async function* (): AsyncGenerator<string> {
      if (format === 'csv') yield `${COLUMNS.join(',')}\r\n`
      for await (const row of rowsOf(database, events, startAt)) {
        count++
        yield format === 'csv' ? `${COLUMNS.map((column) => quoted(row[column])).join(',')}\r\n` : `${JSON.stringify(facts(row))}\n`
      }
    }
    await write(file, lines())
    await remove(database, events, startAt)
    done.push({ file, events: count })
  }
}

async function* rowsOf(database: Database, events: string, startAt: number): AsyncGenerator<Row> {
  for (let at = startAt, id = ''; ; ) {
    const rows = await database.query(`SELECT * FROM ${events} WHERE at >= $1 AND at < $2 AND (at > $1 OR id > $3) ORDER BY at, id LIMIT ${AT_ONCE}`, [at, startAt + DAY_MS, id])
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

/** RFC 4180. */
const quoted = (value: unknown): string => `"${String(value).replaceAll('"', '""')}"`

async function freeName(folder: string, day: string, format: string): Promise<string> {
  for (let i = 1; ; i++) {
    const file = join(folder, `events-${day}${i === 1 ? '' : `-${i}`}.${format}.gz`)
    const isTaken = await access(file).then(() => true, () => false)
    if (!isTaken) return file
  }
}

async function write(file: string, lines: AsyncIterable<string>): Promise<void> {
  const draft = `${file}.part`
  try {
    await pipeline(Readable.from(lines), createGzip(), createWriteStream(draft, { mode: 0o600 }))
    const handle = await open(draft, 'r+')
    await handle.sync().finally(() => handle.close())
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

async function remove(database: Database, events: string, startAt: number): Promise<void> {
  for (;;) {
    const rows = await database.query(`DELETE FROM ${events} WHERE id IN (SELECT id FROM ${events} WHERE at >= $1 AND at < $2 LIMIT ${AT_ONCE}) RETURNING id`, [startAt, startAt + DAY_MS])
    if (rows.length < AT_ONCE) return
  }
}
