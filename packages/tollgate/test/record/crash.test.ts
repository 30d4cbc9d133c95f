import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openPostgres } from '../../src/stores/postgres/index.ts'
import type { Dialect } from '../../src/stores/sql/index.ts'
import { openSqlite } from '../../src/stores/sqlite/index.ts'
import { DIALECTS, freshPostgres, freshSqlite } from '../../src/testing/databases.ts'
import { Random } from '../../src/testing/random.ts'
import { startPostgres } from '../../../../tools/services/postgres.mjs'
import { Process } from '../processes.ts'

const isLong = Boolean(process.env['TOLLGATE_LONG'])
const KILLS = isLong ? 17 : 3
const SEED = isLong ? Date.now() : 20261122
const TIMEOUT_MS = isLong ? 600_000 : 90_000
const SUBJECTS = 4
const MAX_ANSWERS = 60
const MAX_DELAY_MS = 150
/** Tokens that a process can use in the 100 ms, and the time of a write, before it is killed. */
const MOST_LOST = 1500
/** An event waits 100 ms, and a batch takes a while on a slow machine: what was admitted earlier is written. */
const BOUND_MS = 2000

type Said = 'started' | 'admitted' | 'written' | 'done'

interface Where {
  readonly dialect: Dialect
  readonly url: string
}

class Witnessed {
  readonly random = new Random(SEED)
  readonly #path: string
  readonly #where: Where

  constructor(where: Where) {
    const folder = mkdtempSync(path.join(tmpdir(), 'tollgate-record-'))
    this.#path = path.join(folder, 'witness')
    this.#where = where
    onTestFinished(() => rmSync(folder, { recursive: true }))
  }

  start(more: { isLast: boolean; steps: number } = { isLast: false, steps: 0 }): Process<Said> {
    return new Process('record/crash-process.mjs', { ...this.#where, path: this.#path, subjects: SUBJECTS, ...more })
  }

  /** Some answers later, and a while: batches are written then. */
  async randomMoment(worker: Process<Said>): Promise<void> {
    for (let answers = this.random.integer(1, MAX_ANSWERS); answers > 0; answers--) await worker.next()
    const until = performance.now() + this.random.next() * MAX_DELAY_MS
    while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve))
  }

  /** By subject: what was asked for, what was answered (before an instant), what is written for sure, and what a process found. */
  said(before = Infinity): Record<'asked' | 'admitted' | 'written' | 'restored', Map<string, number>> {
    const sums = { asked: new Map<string, number>(), admitted: new Map<string, number>(), written: new Map<string, number>(), restored: new Map<string, number>() }
    const seen = new Set<unknown>()
    for (const line of readFileSync(this.#path, 'utf8').split('\n')) {
      const facts = parsed(line)
      // A batch whose answer was lost is written again.
      if (facts['id'] !== undefined && seen.has(facts['id'])) continue
      seen.add(facts['id'])
      for (const kind of ['asked', 'admitted', 'written', 'restored'] as const) {
        const subject = facts[kind]
        if (typeof subject !== 'string' || Number(facts['at'] ?? 0) > before) continue
        sums[kind].set(subject, (kind === 'restored' ? 0 : (sums[kind].get(subject) ?? 0)) + Number(facts['tokens']))
      }
    }
    return sums
  }

  /** By subject, as each of the tables has it. */
  async recorded(): Promise<Record<'totals' | 'events' | 'daily', Map<string, number>> & { summary: number }> {
    const { dialect, url } = this.#where
    const database = await (dialect === 'postgres' ? openPostgres(url) : openSqlite(url))
    const table = (name: string) => (dialect === 'postgres' ? `tollgate.${name}` : name)
    const sum = async (sql: string) => new Map((await database.query(sql)).map(({ subject, n }) => [subject as string, Number(n)]))
    const of = (name: string) => `FROM ${table(name)} t JOIN ${table('usage_subjects')} s ON s.id = t.subject_id`
    const events = new Map<string, number>()
    for (const { subject, kind, body } of await database.query(`SELECT s.subject, t.kind, t.body ${of('usage_events')}`)) {
      if (kind !== 'commit' && kind !== 'consume') continue
      const { uses } = JSON.parse(body as string) as { uses: { amount: number }[] }
      events.set(subject as string, (events.get(subject as string) ?? 0) + uses[0]!.amount)
    }
    const totals = await sum(`SELECT s.subject, sum(t.used) AS n ${of('usage_totals')} GROUP BY s.subject`)
    const daily = await sum(`SELECT s.subject, sum(t.amount) AS n ${of('usage_daily')} WHERE t.meter = 'tokens' GROUP BY s.subject`)
    const [row] = await database.query(`SELECT sum(amount) AS n FROM ${table('usage_summary')} WHERE lim = 'monthly'`)
    await database.close()
    return { totals, events, daily, summary: Number(row!['n']) }
  }
}

it.each(DIALECTS)('a killed process loses nothing that was written, and counts nothing twice (%s)', { timeout: TIMEOUT_MS }, async (dialect) => {
  const { url, drop } = dialect === 'postgres' ? await freshPostgres() : freshSqlite()
  const witnessed = new Witnessed({ dialect, url })
  let killedAt = 0
  for (let i = 0; i < KILLS; i++) {
    const worker = witnessed.start()
    await witnessed.randomMoment(worker)
    if (i === 0) while ((await worker.next()) !== 'written');
    // The last lives long enough for some of its use to be old.
    const until = performance.now() + (i === KILLS - 1 ? BOUND_MS + 500 : 0)
    while (performance.now() < until) await worker.next()
    killedAt = Date.now()
    await worker.kill()
  }
  const { asked, written } = witnessed.said()
  const { totals, events, daily, summary } = await witnessed.recorded()
  expect(totals).toEqual(events)
  expect(daily).toEqual(events)
  expect(summary).toBe([...events.values()].reduce((sum, n) => sum + n, 0))
  expect(written.size).toBeGreaterThan(0)
  for (const [subject, n] of written) expect(events.get(subject)).toBeGreaterThanOrEqual(n)
  for (const [subject, n] of events) expect(n).toBeLessThanOrEqual(asked.get(subject)!)
  // Of those killed before, the last moments are lost; of the last nothing that is older than the bound.
  const last = witnessed.start({ isLast: true, steps: 0 })
  while ((await last.next()) !== 'done');
  expect(witnessed.said().restored).toEqual(totals)
  const lostBefore = (before: Map<string, number>) => [...before].reduce((sum, [subject, n]) => sum + Math.max(0, n - (events.get(subject) ?? 0)), 0)
  expect(lostBefore(witnessed.said(killedAt - BOUND_MS).admitted)).toBeLessThanOrEqual(MOST_LOST * (KILLS - 1))
  await drop()
})

it('a killed PostgreSQL loses nothing that was answered, and counts nothing twice', { timeout: TIMEOUT_MS }, async () => {
  const server = await startPostgres({ isDurable: true })
  onTestFinished(() => server.stop())
  const witnessed = new Witnessed({ dialect: 'postgres', url: server.url })
  const worker = witnessed.start({ isLast: true, steps: KILLS * MAX_ANSWERS })
  for (let i = 0; i < KILLS; i++) {
    await witnessed.randomMoment(worker)
    await server.kill()
    await server.start()
  }
  while ((await worker.next()) !== 'done');
  const { admitted } = witnessed.said()
  const { totals, events, daily } = await witnessed.recorded()
  expect(events).toEqual(admitted)
  expect(totals).toEqual(admitted)
  expect(daily).toEqual(admitted)
})

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    // Of a killed process the last line may be torn.
    return {}
  }
}
