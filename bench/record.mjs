/** What recording costs: a decision, a request, and how much a database takes in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { createTollgate } from 'tollgate'
import { openPostgres } from 'tollgate/postgres'
import { Analytics, migrate, openSqlite, SqlRecord } from 'tollgate/sqlite'
import { startPostgres } from '../tools/services/postgres.mjs'
import { measure } from './http.mjs'
import { interleave, median, medianRatio, nanosecondsPer } from './measure.mjs'
import { messageOf, plans } from './plans.mjs'

const SECRET = 'the secret of a benchmark'
const USERS = 1000
const ROUNDS = 9
/** Decisions come faster than any database takes them in: what waits is bounded, so a round stays below that. */
const DECISIONS = 10_000
const BATCH = 256
const WRITE_MS = 2000
/** 10 million events a month: of each subject and day 6 or 7, and on one day in twenty a denial. */
const SUBJECTS = 50_000
const DAYS = 40
const FIRST_DAY = '2026-06-01'
const TODAY = '2026-07-10'
/** A whole month is read from its sums; the last 31 days, which are asked for by default, are no month's. */
const RANGES = [{ from: '2026-06-01', to: '2026-06-30' }, { from: '2026-06-10', to: TODAY }]
const ASKED = 5

export async function record() {
  const decisions = await decisionCosts()
  const writes = { PostgreSQL: await onPostgres(), SQLite: await onSqlite() }
  const answers = await analytics()
  const { cpu } = await measure('hono', ['ours', 'recorded'])
  const added = (name) => medianRatio(decisions[name], decisions.alone) - 1
  return {
    columns: ['recording', 'ns per decision', 'events per second', 'ms'],
    rows: [
      ...Object.entries({ alone: '`consume`, six limits, nothing recorded', told: 'the same, events made, and handed on in batches that nobody writes', written: 'the same, written to SQLite in a thread (the bench waits for it between rounds)' }).map(([name, what]) => [what, Math.round(median(decisions[name])), null, null]),
      ...Object.entries(writes).map(([name, perSecond]) => [`${name}: events with all their sums, batches of ${BATCH}`, null, Math.round(perSecond), null]),
      ...Object.entries(answers).map(([name, ms]) => [`PostgreSQL, the sums of 10 million events: ${name}`, null, null, Math.round(ms)]),
    ],
    goals: [
      { what: 'what recording adds to an embedded decision (share of its time)', goal: 0.1, is: added('told') },
      { what: 'the same of a request over HTTP, in CPU time of the server', goal: 0.05, is: medianRatio(cpu.recorded, cpu.ours) - 1 },
      ...Object.entries(answers).map(([name, ms]) => ({ what: `${name} over 10 million events, ms`, goal: 300, is: ms })),
    ],
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

async function analytics() {
  const server = await startPostgres({ isDurable: false })
  const database = await openPostgres(server.url)
  try {
    await migrate(database)
    // The sums as they are after so many events: to write the events one by one would take an hour.
    const filler = new Client(server.url)
    await filler.connect()
    for (const sql of sums()) await filler.query(sql)
    await filler.end()
    return await answersOf(new Analytics(database, { clock: { now: () => Date.parse(`${TODAY}T12:00:00Z`) } }))
  } finally {
    await database.close()
    await server.stop()
  }
}

/** Milliseconds of each question, of the range of which it takes longer. */
async function answersOf(asked) {
  const ranks = { 'set/free': 0, 'set/plus': 1 }
  const price = (amount) => ({ amount, currency: 'USD', every: 'month' })
  const questions = {
    usage: (range) => asked.usage({ ...range, by: ['day', 'plan'] }),
    denials: (range) => asked.denials({ ...range, by: ['day', 'limit'] }),
    economics: (range) => asked.economics({ ...range, plans: { 'set/free': { price: price(0) }, 'set/plus': { price: price(5) } } }),
    conversion: (range) => asked.conversion({ ...range, ranks }),
  }
  const answers = {}
  for (const [name, ask] of Object.entries(questions)) {
    const medians = []
    for (const range of RANGES) medians.push(await medianMs(() => ask(range)))
    answers[name] = Math.max(...medians)
  }
  return answers
}

async function medianMs(ask) {
  await ask()
  const times = []
  for (let i = 0; i < ASKED; i++) {
    const startedAt = performance.now()
    await ask()
    times.push(performance.now() - startedAt)
  }
  return median(times)
}

function sums() {
  const day = `to_char(date '${FIRST_DAY}' + d, 'YYYY-MM-DD')`
  const all = `generate_series(1, ${SUBJECTS}) s, generate_series(0, ${DAYS - 1}) d`
  const plan = `CASE WHEN s % 10 = 0 THEN 'set/plus' ELSE 'set/free' END`
  const at = `extract(epoch FROM date '${FIRST_DAY}' + d)::bigint * 1000 + 43200000`
  const isDenied = '(s * 31 + d * 17) % 20 = 0'
  return [
    `INSERT INTO tollgate.usage_subjects (namespace, subject, seq) SELECT 'default', 'user:' || s, 200 FROM generate_series(1, ${SUBJECTS}) s`,
    `INSERT INTO tollgate.usage_daily SELECT s, ${day}, ${plan}, 'chat', 'model-' || s % 3, 'requests', 6 + (s + d) % 2 FROM ${all}`,
    `INSERT INTO tollgate.usage_summary SELECT 'default', day, plan, lim, operation, model, CASE lim WHEN '' THEN meter ELSE '' END, sum(amount) FROM tollgate.usage_daily, unnest(ARRAY['', 'daily']) lim GROUP BY 2, 3, 4, 5, 6, 7`,
    `INSERT INTO tollgate.usage_active SELECT 'default', ${day}, p, s FROM ${all}, LATERAL unnest(ARRAY['', ${plan}]) p WHERE s % 7 <> d % 7`,
    `INSERT INTO tollgate.usage_active SELECT DISTINCT 'default', left(${day}, 7), p, s FROM ${all}, LATERAL unnest(ARRAY['', ${plan}]) p`,
    `INSERT INTO tollgate.active_summary SELECT namespace, span, plan, count(*) FROM tollgate.usage_active GROUP BY 1, 2, 3`,
    `INSERT INTO tollgate.denial_daily SELECT 'default', s, ${day}, ${plan}, lim, CASE lim WHEN '' THEN '' ELSE 'quota' END, CASE lim WHEN '' THEN '' ELSE 'QUOTA_EXCEEDED' END, 'chat', 'enforce', 2, ${at}, ${at} FROM ${all}, unnest(ARRAY['', 'daily']) lim WHERE ${isDenied}`,
    `INSERT INTO tollgate.denial_summary SELECT 'default', day, plan, lim, kind, code, operation, mode, sum(amount) FROM tollgate.denial_daily GROUP BY 2, 3, 4, 5, 6, 7, 8`,
    `INSERT INTO tollgate.plan_changes SELECT 'c' || s, 'default', ${at.replaceAll(' d)', ' 20)').replaceAll('+ d', '+ 20')} + 3600000, s, 'set/free', 'set/plus' FROM generate_series(1, ${SUBJECTS}, 25) s`,
    // As autovacuum leaves them.
    'VACUUM ANALYZE',
  ]
}
