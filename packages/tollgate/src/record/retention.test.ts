import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database, SqlValue, Transaction } from '../stores/sql/database.ts'
import { DIALECTS, openedBy } from '../testing/databases.ts'
import { archiveEvents } from './archive.ts'
import type { UsageEvent } from './event.ts'
import { forgetRecorded } from './retention.ts'
import { SqlRecord } from './sql.ts'

const DAY_MS = 86_400_000
const LAST_DAY = Date.UTC(2026, 5, 10)
const NOON = DAY_MS / 2

/** `perDay` events on each of the last `days` days. */
function eventsOf(days: number, perDay: number): UsageEvent[] {
  return Array.from({ length: days * perDay }, (_, i) => {
    const at = LAST_DAY - (days - 1 - Math.floor(i / perDay)) * DAY_MS + NOON
    const startAt = at - NOON
    return {
      id: `e${String(i).padStart(6, '0')}`, at, kind: 'consume', subject: `user:${i % 3}`, plan: 'p', planVersion: 'v', operation: 'say, "hello"', amounts: { tokens: 2 }, mode: 'enforce', count: 1,
      uses: [{ cell: 'set/daily', limit: 'daily', partition: '', startAt, endAt: startAt + DAY_MS, max: 10, amount: 1 }],
    }
  })
}

/** The database, with `meanwhile` done once, before the first statement like that. */
function interrupted(database: Database, moment: RegExp, meanwhile: () => Promise<unknown>): Database {
  let isDone = false
  const before = async (sql: string): Promise<void> => {
    if (isDone || !moment.test(sql)) return
    isDone = true
    await meanwhile()
  }
  const query = (tx: Transaction): Transaction['query'] => async (sql, params) => before(sql).then(() => tx.query(sql, params))
  return { dialect: database.dialect, query: query(database), transaction: (work, options) => before('BEGIN').then(() => database.transaction((tx) => work({ query: query(tx) }), options)), close: () => database.close() }
}

const linesOf = (file: string): string[] => gunzipSync(readFileSync(file)).toString().split('\n').filter((line) => line !== '')

describe.each(DIALECTS)('old records in %s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let database: Database
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
    database = opened.databases[0]!
  })
  afterAll(() => opened?.drop())
  const table = (name: string): string => (dialect === 'postgres' ? `tollgate.${name}` : name)
  const count = async (name: string): Promise<unknown> => (await database.query(`SELECT count(*) AS n FROM ${table(name)}`))[0]!['n']

  it('go a batch at a time, and sums over all subjects stay', async () => {
    await new SqlRecord(database).write(eventsOf(100, 6))
    const now = LAST_DAY + DAY_MS - 1
    const summed = await count('usage_summary')
    // Ten days' events are over 90 days old; no sum of a subject is 430 days old.
    expect(await forgetRecorded(database, {}, now, 35)).toBe(35)
    expect(await forgetRecorded(database, {}, now, 35)).toBe(25)
    expect(await forgetRecorded(database, {}, now, 35)).toBe(0)
    expect(await count('usage_events')).toBe(540)
    // In whole months: of what is older than 2026-05-11, that is until the end of April.
    while ((await forgetRecorded(database, { subjectDays: 30 }, now, 100)) > 0);
    const [oldest] = await database.query(`SELECT min(day) AS day FROM ${table('usage_daily')}`)
    expect(oldest).toEqual({ day: '2026-05-01' })
    const [active] = await database.query(`SELECT min(span) AS span FROM ${table('usage_active')}`)
    expect(active).toEqual({ span: '2026-05' })
    expect(await count('usage_summary')).toBe(summed)
  })

  it.each(['jsonl', 'csv'] as const)('are archived as %s: a file a day, whole, then deleted', async (format) => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-archive-'))
    await database.query(`DELETE FROM ${table('usage_events')}`)
    const events = eventsOf(3, 1500)
    const record = new SqlRecord(database)
    for (let i = 0; i < events.length; i += 500) await record.write(events.slice(i, i + 500).map((event) => ({ ...event, id: `${format} ${event.id}` })))
    const archived = await archiveEvents(database, { before: LAST_DAY + NOON, folder, format })
    expect(archived.map(({ file, events: n }) => [file, n])).toEqual(['2026-06-08', '2026-06-09'].map((day) => [join(folder, `events-${day}.${format}.gz`), 1500]))
    expect(readdirSync(folder)).toHaveLength(2)
    expect(await count('usage_events')).toBe(1500)
    const lines = linesOf(archived[0]!.file)
    if (format === 'jsonl') {
      const kept = lines.map((line) => JSON.parse(line) as UsageEvent)
      expect(kept.map(({ id }) => id)).toEqual(events.slice(0, 1500).map(({ id }) => `jsonl ${id}`))
      expect(kept[7]).toMatchObject({ at: events[7]!.at, operation: 'say, "hello"', amounts: { tokens: 2 }, uses: [{ limit: 'daily', amount: 1 }] })
    } else {
      expect(lines).toHaveLength(1501)
      expect(lines[1]).toContain(',"say, ""hello""",')
    }
    expect(lines.join('\n')).not.toContain('user:')
    // Again, a file that is there stays as it is.
    await record.write([{ ...events[0]!, id: `${format} late` }])
    expect((await archiveEvents(database, { before: LAST_DAY, folder, format })).map(({ file, events: n }) => [file, n])).toEqual([[join(folder, `events-2026-06-08-2.${format}.gz`), 1]])
    rmSync(folder, { recursive: true })
  })

  it('stay when they came between reading and deleting: the next archive has them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-archive-'))
    await database.query(`DELETE FROM ${table('usage_events')}`)
    const [first, late] = eventsOf(2, 1).map((event, i) => ({ ...event, id: `between ${i}`, at: LAST_DAY }))
    const record = new SqlRecord(database)
    await record.write([first!])
    const archive = (db: Database) => archiveEvents(db, { before: LAST_DAY + DAY_MS, folder })
    expect(await archive(interrupted(database, /^DELETE/, () => record.write([late!])))).toMatchObject([{ events: 1 }, { events: 1 }])
    expect(readdirSync(folder).toSorted().map((name) => linesOf(join(folder, name)).map((line) => (JSON.parse(line) as UsageEvent).id))).toEqual([['between 1'], ['between 0']])
    expect(await count('usage_events')).toBe(0)
    rmSync(folder, { recursive: true })
  })

  it('are in one file or another, whole, when two archive at once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-archive-'))
    const events = eventsOf(3, 700).map((event) => ({ ...event, id: `twice ${event.id}` }))
    const record = new SqlRecord(database)
    for (let i = 0; i < events.length; i += 500) await record.write(events.slice(i, i + 500))
    writeFileSync(join(folder, 'events-2026-06-08.jsonl.gz'), gzipSync('of another\n'))
    const archived = (await Promise.all([0, 1].map(() => archiveEvents(database, { before: LAST_DAY + DAY_MS, folder })))).flat()
    expect(readdirSync(folder).toSorted()).toEqual([...archived.map(({ file }) => basename(file)), 'events-2026-06-08.jsonl.gz'].toSorted())
    expect(linesOf(join(folder, 'events-2026-06-08.jsonl.gz'))).toEqual(['of another'])
    const ids = archived.flatMap(({ file, events: n }) => {
      const lines = linesOf(file)
      expect(lines).toHaveLength(n)
      return lines.map((line) => (JSON.parse(line) as UsageEvent).id)
    })
    expect([...new Set(ids)].toSorted()).toEqual(events.map(({ id }) => id))
    // PostgreSQL's processes take turns.
    if (dialect === 'postgres') expect(ids).toHaveLength(events.length)
    expect(await count('usage_events')).toBe(0)
    rmSync(folder, { recursive: true })
  })

  it('are no formulas in CSV', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-archive-'))
    await new SqlRecord(database).write([{ ...eventsOf(1, 1)[0]!, id: '=1+1', operation: '=HYPERLINK("x")', plan: '@p' }])
    const [archived] = await archiveEvents(database, { before: LAST_DAY + DAY_MS, folder, format: 'csv' })
    expect(linesOf(archived!.file)[1]).toMatch(/^'=1\+1,default,\d+,\d+,\d+,consume,'@p,"'=HYPERLINK\(""x""\)",,1,"\{""planVersion"":""v"",/)
    rmSync(folder, { recursive: true })
  })

  it('stay where they are when an archive is stopped, and leave no file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tollgate-archive-'))
    await new SqlRecord(database).write([{ ...eventsOf(1, 1)[0]!, id: 'stopped' }])
    const stopping = new AbortController()
    const stopped = interrupted(database, /^SELECT \*/, async () => stopping.abort())
    await expect(archiveEvents(stopped, { before: LAST_DAY + DAY_MS, folder, signal: stopping.signal })).rejects.toMatchObject({ name: 'AbortError' })
    expect([readdirSync(folder), await count('usage_events')]).toEqual([[], 1])
    expect(await archiveEvents(database, { before: LAST_DAY + DAY_MS, folder })).toMatchObject([{ events: 1 }])
    rmSync(folder, { recursive: true })
  })

  it('stay until they are archived, where that is told', async () => {
    const [event] = eventsOf(1, 1)
    await new SqlRecord(database).write([{ ...event!, id: 'for ever' }])
    await forgetRecorded(database, { eventDays: Infinity, subjectDays: 1 }, LAST_DAY + 9 * DAY_MS, 1000)
    expect(await count('usage_events')).toBe(1)
  })

  it('refuses what is no instant and no format', async () => {
    await expect(archiveEvents(database, { before: Number.NaN, folder: '/nowhere' })).rejects.toThrow(/before: NaN is not an instant/)
    await expect(archiveEvents(database, { before: 0, folder: '/nowhere', format: 'xml' as 'csv' })).rejects.toThrow(/format: 'xml' is not a format/)
  })
})

describe.each(DIALECTS)('subjects of whom nothing is left, in %s', (dialect) => {
  let opened: Awaited<ReturnType<typeof openedBy>>
  let database: Database
  beforeAll(async () => {
    opened = await openedBy(1, dialect)
    database = opened.databases[0]!
  })
  afterAll(() => opened?.drop())
  const table = (name: string): string => (dialect === 'postgres' ? `tollgate.${name}` : name)
  const names = async (): Promise<unknown[]> => (await database.query(`SELECT subject FROM ${table('usage_subjects')} ORDER BY subject`)).map(({ subject }) => subject)
  const LATER = LAST_DAY + 500 * DAY_MS
  const [use] = eventsOf(1, 1)
  const denial = (subject: string): UsageEvent => ({ ...use!, id: `denial of ${subject}`, kind: 'denial', subject, uses: [], violations: [] })
  const forgetAll = async (limit: number, db = database): Promise<number> => {
    let all = 0
    for (let n = 1; n > 0; all += n) n = await forgetRecorded(db, {}, LATER, limit)
    return all
  }

  it('are forgotten, a few at a time, however many stay between them', async () => {
    const record = new SqlRecord(database)
    const invented = Array.from({ length: 20 }, (_, i) => `invented:${String(i).padStart(2, '0')}`)
    const kept = { ...use!, at: LATER }
    await record.write([{ ...kept, id: 'a', subject: 'a:active' }, ...invented.slice(0, 10).map(denial), { ...kept, id: 'm', subject: 'm:active' }, ...invented.slice(10).map(denial), { ...denial('z:denied'), at: LATER }])
    await record.write([{ ...kept, id: 'p', kind: 'plan', subject: 'p:changed', uses: [], amounts: {} }, { ...use!, id: 'q', kind: 'plan', subject: 'q:changed long ago', uses: [], amounts: {} }])
    expect(await names()).toHaveLength(25)
    await forgetRecorded(database, {}, LATER, 100)
    // What was left of them went with that call, so the next finds nothing.
    for (let i = 0; i < 20; i++) await forgetRecorded(database, {}, LATER, 3)
    expect(await names()).toEqual(['a:active', 'm:active', 'p:changed', 'z:denied'])
    expect(await database.query(`SELECT at FROM ${table('plan_changes')}`)).toEqual([{ at: LATER }])
  })

  it('are whole again when something of them is written meanwhile', async () => {
    const record = new SqlRecord(database)
    const orphans = `SELECT id FROM ${table('usage_events')} WHERE subject_id NOT IN (SELECT id FROM ${table('usage_subjects')})`
    let serial = 0
    // In SQLite, what is written waits for a transaction that has begun.
    for (const moment of dialect === 'postgres' ? [/^BEGIN/, /^SELECT id/, /^DELETE FROM .*usage_subjects/] : [/^BEGIN/]) {
      let writing: Promise<void> | undefined
      const event = { ...use!, id: `back ${serial++}`, at: LATER, subject: 'back' }
      const busy = interrupted(database, moment, async () => {
        writing = record.write([event])
        // One that waits for the subject cannot be waited for.
        if (!moment.source.includes('DELETE')) await writing
      })
      await record.write([{ ...denial('back'), id: `old ${serial}` }])
      await forgetAll(1000, busy)
      await writing
      expect(writing).toBeDefined()
      expect(await names()).toContain('back')
      expect(await database.query(orphans)).toEqual([])
      await database.query(`DELETE FROM ${table('usage_events')}`)
      for (const name of ['usage_daily', 'usage_active', 'usage_totals']) await database.query(`DELETE FROM ${table(name)}`)
    }
  })

  it('and all that is old are found by indexes', async () => {
    const texts = new Set<string>()
    const watched = { ...interrupted(database, /^/, async () => {}), query: (sql: string, params?: readonly SqlValue[]) => (texts.add(sql), database.query(sql, params)) }
    await forgetRecorded(watched, {}, LATER, 10)
    expect(texts.size).toBe(7)
    if (dialect !== 'sqlite') return
    for (const sql of texts) {
      const plan = await database.query(`EXPLAIN QUERY PLAN ${sql}`, [1, 1])
      expect(plan.map(({ detail }) => detail as string).filter((detail) => /^SCAN (?!s$)/.test(detail)), sql).toEqual([])
    }
  })
})
