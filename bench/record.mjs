/** What recording costs: a decision, a request, and how much a database takes in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTollgate } from 'tollgate'
import { openPostgres } from 'tollgate/postgres'
import { migrate, openSqlite, SqlRecord } from 'tollgate/sqlite'
import { startPostgres } from '../tools/services/postgres.mjs'
import { interleave, median, medianRatio, nanosecondsPer } from './measure.mjs'
import { messageOf, plans } from './plans.mjs'

const SECRET = 'the secret of a benchmark'
const USERS = 1000
const ROUNDS = 9
/** Decisions come faster than any database takes them in: what waits is bounded, so a round stays below that. */
const DECISIONS = 10_000
const BATCH = 256
const WRITE_MS = 2000

export async function record() {
  const decisions = await decisionCosts()
  const writes = { PostgreSQL: await onPostgres(), SQLite: await onSqlite() }
  const added = (name) => medianRatio(decisions[name], decisions.alone) - 1
  return {
    columns: ['recording', 'ns per decision', 'events per second'],
    rows: [
      ...Object.entries({ alone: '`consume`, six limits, nothing recorded', told: 'the same, events made, and handed on in batches that nobody writes', written: 'the same, written to SQLite in a thread (the bench waits for it between rounds)' }).map(([name, what]) => [what, Math.round(median(decisions[name])), null]),
      ...Object.entries(writes).map(([name, perSecond]) => [`${name}: events with all their sums, batches of ${BATCH}`, null, Math.round(perSecond)]),
    ],
    goals: [{ what: 'what recording adds to an embedded decision (share of its time)', goal: 0.1, is: added('told') }],
    facts: [{ what: 'what recording to SQLite adds, its thread beside it on the same machine', is: added('written') }],
  }
}

async function decisionCosts() {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  const database = await openSqlite(join(folder, 'record.db'))
  await migrate(database)
  const nobody = { write: async () => {}, totals: async () => undefined, erase: async () => {} }
  const users = Array.from({ length: USERS }, (_, i) => `user:${i}`)
  const cases = await Promise.all(Object.entries({ alone: undefined, told: nobody, written: new SqlRecord(database) }).map(async ([name, store]) => {
    const tollgate = createTollgate({ plans, secret: SECRET, ...(store && { record: store }) })
    for (const user of users) await tollgate.consume(messageOf(user))
    await tollgate.flush()
    return { name, tollgate }
  }))
  const results = await interleave(cases, {
    rounds: ROUNDS,
    warmUps: 2,
    async measure({ tollgate }) {
      const time = await nanosecondsPer(DECISIONS, async (count) => {
        for (let i = 0; i < count; i++) await tollgate.consume(messageOf(users[i % USERS]))
      })
      await tollgate.flush()
      return time
    },
  })
  await database.close()
  rmSync(folder, { recursive: true })
  return results
}

async function onPostgres() {
  const server = await startPostgres({ isDurable: true })
  const database = await openPostgres(server.url)
  try {
    return await perSecond(database)
  } finally {
    await database.close()
    await server.stop()
  }
}

async function onSqlite() {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  const database = await openSqlite(join(folder, 'record.db'))
  try {
    return await perSecond(database)
  } finally {
    await database.close()
    rmSync(folder, { recursive: true })
  }
}

async function perSecond(database) {
  await migrate(database)
  const record = new SqlRecord(database)
  let serial = 0
  const batch = () => Array.from({ length: BATCH }, () => eventOf(serial++))
  for (let i = 0; i < 10; i++) await record.write(batch())
  const startedAt = performance.now()
  const before = serial
  while (performance.now() < startedAt + WRITE_MS) await record.write(batch())
  return ((serial - before) / (performance.now() - startedAt)) * 1000
}

function eventOf(i) {
  const use = (limit, amount) => ({ cell: `default/${limit}`, limit, partition: '', startAt: 0, endAt: 4e12, max: 1000, amount })
  return { id: `bench-${i}`, at: Date.now(), kind: 'consume', subject: `user:${i % 10_000}`, plan: 'six', planVersion: 'v', operation: 'chat', amounts: { tokens: 100, credits: 1 }, mode: 'enforce', uses: [use('daily', 1), use('tokens', 100), use('credits', 1)], count: 1 }
}
