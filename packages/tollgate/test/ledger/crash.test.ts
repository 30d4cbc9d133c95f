import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFailed, onTestFinished } from 'vitest'
import { SqlLedger } from '../../src/ledger/sql.ts'
import { openPostgres } from '../../src/stores/postgres/index.ts'
import type { Dialect } from '../../src/stores/sql/index.ts'
import { openSqlite } from '../../src/stores/sqlite/index.ts'
import { DIALECTS, freshPostgres, freshSqlite } from '../../src/testing/databases.ts'
import { Random } from '../../src/testing/random.ts'
import { startPostgres } from '../../../../tools/services/postgres.mjs'
import { audit, sumAt, unsettled } from './audit.ts'
import { Process } from '../processes.ts'
import { stepsOf } from './witness.mjs'

const isLong = Boolean(process.env['TOLLGATE_LONG'])
const KILLS = isLong ? { process: 33, server: 34 } : { process: 3, server: 4 }
const SEED = isLong ? Date.now() : 20261122
const TIMEOUT_MS = isLong ? 900_000 : 60_000
const SUBJECTS = 4
const MAX_ANSWERS = 80
const MAX_DELAY_MS = 10

/** Processes that work on one database and witness what they were answered. */
class Workers {
  readonly random = new Random(SEED)
  readonly path: string
  readonly #where: { dialect: Dialect; url: string }

  constructor(where: { dialect: Dialect; url: string }) {
    const folder = mkdtempSync(path.join(tmpdir(), 'tollgate-witness-'))
    this.path = path.join(folder, 'witness')
    this.#where = where
    onTestFailed(() => console.error(`seed ${SEED}, witness ${this.path}`))
    onTestFinished(({ task }) => {
      if (task.result?.state !== 'fail') rmSync(folder, { recursive: true })
    })
  }

  start({ isLast = false } = {}): Process<'acknowledged' | 'done'> {
    return new Process('ledger/crash-process.mjs', { ...this.#where, path: this.path, subjects: SUBJECTS, seed: this.random.integer(1, 2 ** 31), isLast })
  }

  /** Some answers later, or in the middle of one. */
  async randomMoment(worker: Process<unknown>): Promise<void> {
    for (let answers = this.random.integer(0, MAX_ANSWERS); answers > 0; answers--) await worker.next()
    const until = performance.now() + this.random.next() * MAX_DELAY_MS
    while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve))
  }

  /** The last process repeats what has no answer yet; then everything must be there once. */
  async faults(): Promise<string[]> {
    const last = this.start({ isLast: true })
    while ((await last.next()) !== 'done');
    const { dialect, url } = this.#where
    const database = await (dialect === 'postgres' ? openPostgres(url) : openSqlite(url))
    const ledger = new SqlLedger(database)
    const faults: string[] = []
    for (const [subject, steps] of stepsOf(this.path)) {
      const holds = unsettled(steps)
      // Nobody touches the account: what has expired does not count, from its instant on.
      for (let at = 0; at === 0 || sumAt(holds, at) > 0; ) {
        const now = await ledger.balance(subject)
        at = now.at
        if (now.reserved !== sumAt(holds, at)) faults.push(`${subject}: ${now.reserved} is reserved at ${at}, where open holds are ${sumAt(holds, at)}`)
      }
      faults.push(...(await audit(ledger, subject, steps)))
    }
    await database.close()
    return faults
  }
}

it.each(DIALECTS)('nothing is lost, doubled or invented when the process is killed (%s)', { timeout: TIMEOUT_MS }, async (dialect) => {
  const { url, drop } = dialect === 'postgres' ? await freshPostgres() : freshSqlite()
  const workers = new Workers({ dialect, url })
  for (let i = 0; i < KILLS.process; i++) {
    const worker = workers.start()
    await workers.randomMoment(worker)
    await worker.kill()
  }
  expect(await workers.faults()).toEqual([])
  await drop()
})

it('nothing is lost, doubled or invented when PostgreSQL is killed', { timeout: TIMEOUT_MS }, async () => {
  const server = await startPostgres({ isDurable: true })
  onTestFinished(() => server.stop())
  const workers = new Workers({ dialect: 'postgres', url: server.url })
  const worker = workers.start()
  for (let i = 0; i < KILLS.server; i++) {
    await workers.randomMoment(worker)
    await server.kill()
    await server.start()
    await worker.next()
  }
  await worker.kill()
  expect(await workers.faults()).toEqual([])
})
