import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished, describe, expect, it } from 'vitest'
import { type Clock, systemClock, type UsageEvent } from 'tollgate'
import { migrate, openSqlite, SqlRecord } from 'tollgate/sqlite'
import { sqlStores } from '../src/data/sql-stores.ts'
import { forgetAll, keepUp } from '../src/data/upkeep.ts'
import type { RecordOptions } from '../src/data/record-options.ts'
import { settingsOf } from '../src/environment.ts'
import { StartupError } from '../src/index.ts'
import { startServer, temporaryFolder } from './helpers.ts'

const DAY_MS = 86_400_000
const NOW = Date.UTC(2026, 5, 10, 12)
const clock: Clock = { ...systemClock, now: () => NOW }
const noSignal = new AbortController().signal

/** Stores of a file of their own, with so many events of each age in days. */
async function recorded(options: RecordOptions, counts: Readonly<Record<number, number>>) {
  const database = await openSqlite(join(temporaryFolder(), 'tollgate.db'))
  onTestFinished(() => database.close())
  await migrate(database)
  const record = new SqlRecord(database)
  for (const [days, count] of Object.entries(counts)) {
    const events = Array.from({ length: count }, (_, i): UsageEvent => ({ id: `${days}-${i}`, at: NOW - Number(days) * DAY_MS, kind: 'consume', subject: 'user:1', plan: 'p', planVersion: '', amounts: {}, uses: [], mode: 'enforce', count: 1 }))
    for (let i = 0; i < count; i += 500) await record.write(events.slice(i, i + 500))
  }
  const left = async () => (await database.query('SELECT count(*) AS n FROM usage_events'))[0]!['n']
  return { stores: sqlStores(database, clock, { hasCounters: false, ...options }), left }
}

describe('old events', () => {
  it('are forgotten until none is left, not a thousand a minute', async () => {
    const { stores, left } = await recorded({}, { 91: 2500, 89: 1 })
    await forgetAll(stores.forget, noSignal)
    expect(await left()).toBe(1)
  })

  it('are forgotten no longer than a server stays, and than there is time', async () => {
    let turns = 0
    const stopping = new AbortController()
    await forgetAll(async (limit) => (++turns === 3 && stopping.abort(), limit), stopping.signal)
    expect(turns).toBe(3)
  })

  it('are kept as long as is told', async () => {
    const { stores, left } = await recorded({ keepEventsDays: 2 }, { 3: 10, 1: 5 })
    await forgetAll(stores.forget, noSignal)
    expect(await left()).toBe(5)
    expect(stores.archive).toBeUndefined()
  })

  it('are archived instead, whole days of them, where a folder is told', async () => {
    const archiveDir = temporaryFolder()
    const { stores, left } = await recorded({ keepEventsDays: 2, archiveDir }, { 4: 10, 3: 10, 2: 10, 1: 5 })
    await forgetAll(stores.forget, noSignal)
    expect(await left()).toBe(35)
    await stores.archive!(noSignal)
    expect(readdirSync(archiveDir).toSorted()).toEqual(['events-2026-06-06.jsonl.gz', 'events-2026-06-07.jsonl.gz'])
    expect(await left()).toBe(15)
    const lines: string[] = []
    await keepUp(stores, ({ event }) => lines.push(event)).stop()
    expect(lines).toEqual([])
  })
})

describe('what an operator says of the record', () => {
  it('is told by the environment', () => {
    expect(settingsOf({ TOLLGATE_TIMEZONE: 'Europe/Madrid', TOLLGATE_KEEP_EVENTS_DAYS: '30', TOLLGATE_ARCHIVE_DIR: './old' }).options).toMatchObject({ timezone: 'Europe/Madrid', keepEventsDays: 30, archiveDir: './old' })
    expect(Object.keys(settingsOf({ TOLLGATE_TIMEZONE: '', TOLLGATE_KEEP_EVENTS_DAYS: '', TOLLGATE_ARCHIVE_DIR: '' }).options)).toEqual(['dataDir'])
    expect(() => settingsOf({ TOLLGATE_KEEP_EVENTS_DAYS: '1e3' })).toThrow(new StartupError('TOLLGATE_KEEP_EVENTS_DAYS is not a number of days: use an integer from 1 to 3650, such as TOLLGATE_KEEP_EVENTS_DAYS=90'))
  })

  it.each<[RecordOptions, RegExp]>([
    [{ timezone: 'Mars/Base' }, /^'Mars\/Base' is not a time zone: set TOLLGATE_TIMEZONE to an IANA name such as Europe\/Madrid or UTC/],
    [{ timezone: '+02:00' }, /is not a time zone: set TOLLGATE_TIMEZONE/],
    [{ keepEventsDays: 0 }, /^0 is not a number of days: set TOLLGATE_KEEP_EVENTS_DAYS to an integer from 1 to 3650/],
    [{ keepEventsDays: 1.5 }, /set TOLLGATE_KEEP_EVENTS_DAYS/],
    [{ archiveDir: '/dev/null/archive' }, /^The archive folder \/dev\/null\/archive cannot be written to .* Set TOLLGATE_ARCHIVE_DIR to a folder that this user may write to/],
  ])('%j is refused at the start, with the fix', async (options, message) => {
    const starting = startServer({ dataDir: temporaryFolder(), ...(options as object) })
    await expect(starting).rejects.toThrow(StartupError)
    await expect(starting).rejects.toThrow(message)
  })

  it('is refused an archive where nothing is recorded', async () => {
    await expect(startServer({ archiveDir: temporaryFolder() })).rejects.toThrow(/^TOLLGATE_ARCHIVE_DIR is for usage that is recorded/)
  })
})
