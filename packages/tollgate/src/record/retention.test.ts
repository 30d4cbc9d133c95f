import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../stores/sql/database.ts'
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
    const lines = gunzipSync(readFileSync(archived[0]!.file)).toString().split('\n').filter((line) => line !== '')
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

  it('refuses what is no instant and no format', async () => {
    await expect(archiveEvents(database, { before: Number.NaN, folder: '/nowhere' })).rejects.toThrow(/before: NaN is not an instant/)
    await expect(archiveEvents(database, { before: 0, folder: '/nowhere', format: 'xml' as 'csv' })).rejects.toThrow(/format: 'xml' is not a format/)
  })
})
