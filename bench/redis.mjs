/** Counters in Redis, beside others': what one process decides, what Redis itself can, and what it keeps. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate, openSqlite, SqlRecord } from 'tollgate/sqlite'
import { command, startRedis } from '../tools/services/redis.mjs'
import { interleave, median, medianRatio, nanosecondsPer, shuffled } from './measure.mjs'
import { BATCHED, CALLERS, clients, contenders, EMPTY, INCR, NOBODY, nobody, ONE, recordingTo, SIX_AT_ONCE, SIX_IN_SEQUENCE, SQLITE, UNBATCHED, UPSTASH_ONE, UPSTASH_SIX } from './redis-contenders.mjs'
import { answersIn, replay, startRecorder } from './replay.mjs'

const USERS = 10_000
const users = shuffled(Array.from({ length: USERS }, (_, i) => `user:${i}`))

const ROUNDS = 7
/** Each user at most once a round, so that nobody comes near a limit. */
const DECISIONS = 10_000
/** Where each is six, or a database writes it after the round. */
const FEWER = 2500
const ONE_CALLER_ROUNDS = 11
const ONE_CALLER_DECISIONS = 1500
const REPLAYED = 20_000
const KEPT_USERS = 20_000

export async function redis() {
  const server = await startRedis()
  try {
    const kept = await bytesPerUser(server)
    const replayed = await byItself(server)
    const { latency, cost, perSecond: ioredis } = await inOneProcess(server, 'ioredis')
    const { perSecond: nodeRedis } = await inOneProcess(server, 'node-redis')
    return report({ kept, replayed, latency, cost, ioredis, nodeRedis })
  } finally {
    await server.stop()
  }
}

function report({ kept, replayed, latency, cost, ioredis, nodeRedis }) {
  const thousands = (samples) => samples && (median(samples) / 1000).toFixed(1)
  const micros = (value) => value?.toFixed(1)
  const middle = (name, what) => latency[name] && Math.round(median(latency[name].map((each) => each[what])))
  const ratio = (samples, a, b) => medianRatio(samples[a], samples[b])
  const sixOf = (samples) => samples[SIX_AT_ONCE].map((each, round) => Math.max(each, samples[SIX_IN_SEQUENCE][round]))
  const recording = (record, what) => [
    { what: `${what}, without batches: against one limit of rate-limiter-flexible`, goal: 0.9, atLeast: true, is: ratio(ioredis, recordingTo(UNBATCHED, record), ONE) },
    { what: 'the same, in batches', goal: 1.5, atLeast: true, is: ratio(ioredis, recordingTo(BATCHED, record), ONE) },
  ]
  return {
    columns: ['Redis, six limits unless said', `${CALLERS} callers, ioredis: k/s`, 'node-redis: k/s', 'Redis by itself: k/s', 'µs of Redis a request, 1 caller', `${CALLERS} callers`, 'and a call', '1 caller: p50 µs', 'p99 µs', 'bytes per user', 'keys'],
    rows: Object.keys(ioredis).map((name) => [name, thousands(ioredis[name]), thousands(nodeRedis[name]), thousands(replayed[name]), micros(cost[name].one.perRequest), micros(cost[name].many.perRequest), micros(cost[name].many.perCall), middle(name, 'p50'), middle(name, 'p99'), kept[name] && Math.round(kept[name].bytes), kept[name]?.keys.toFixed(2)]),
    goals: [
      { what: 'round trips per decision', goal: 1, is: cost[BATCHED].one.calls },
      { what: `${CALLERS} callers in one process, ioredis, without batches: against one limit of rate-limiter-flexible`, goal: 0.9, atLeast: true, is: ratio(ioredis, UNBATCHED, ONE) },
      { what: 'the same, against its six, at once or in sequence, whichever is faster', goal: 4.5, atLeast: true, is: medianRatio(ioredis[UNBATCHED], sixOf(ioredis)) },
      { what: 'the same, against one limit of @upstash/ratelimit', goal: 1, atLeast: true, is: ratio(ioredis, UNBATCHED, UPSTASH_ONE) },
      { what: 'in batches, as it is: against one limit of rate-limiter-flexible', goal: 1.5, atLeast: true, is: ratio(ioredis, BATCHED, ONE) },
      ...recording(NOBODY, 'recording to nobody'),
      ...recording(SQLITE, 'recording to SQLite, whose thread is beside it on the same machine'),
      { what: 'Redis by itself, without batches: against one limit of rate-limiter-flexible', goal: 0.65, atLeast: true, is: ratio(replayed, UNBATCHED, ONE) },
      { what: 'bytes of Redis per user', goal: 220, is: kept[BATCHED].bytes },
      { what: 'keys per user', goal: 1, is: kept[BATCHED].keys },
      { what: 'one caller: p50 against one limit of rate-limiter-flexible', goal: 1.2, is: medianRatio(latency[BATCHED].map(({ p50 }) => p50), latency[ONE].map(({ p50 }) => p50)) },
    ],
    facts: [
      { what: 'Redis by itself, in batches: against one limit of rate-limiter-flexible', is: ratio(replayed, BATCHED, ONE) },
      { what: 'ioredis, in batches: against six limits of rate-limiter-flexible', is: medianRatio(ioredis[BATCHED], sixOf(ioredis)) },
      { what: 'the same, against six limits of @upstash/ratelimit', is: ratio(ioredis, BATCHED, UPSTASH_SIX) },
      { what: 'the same, against INCR', is: ratio(ioredis, BATCHED, INCR) },
      { what: 'node-redis, without batches: against one limit of rate-limiter-flexible', is: ratio(nodeRedis, UNBATCHED, ONE) },
      { what: 'the same, against its six', is: medianRatio(nodeRedis[UNBATCHED], sixOf(nodeRedis)) },
      { what: 'the same, against one limit of @upstash/ratelimit', is: ratio(nodeRedis, UNBATCHED, UPSTASH_ONE) },
      { what: 'node-redis, in batches: against one limit of rate-limiter-flexible', is: ratio(nodeRedis, BATCHED, ONE) },
    ],
  }
}

/** How many decisions a second, with so many callers at a time; of ioredis also how long a caller waits that is the only one, and what each costs Redis. */
async function inOneProcess(server, library) {
  await command(server.port, 'FLUSHALL', 'SYNC')
  const isMain = library === 'ioredis'
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  const databases = isMain ? [await openSqlite(join(folder, 'unbatched.db')), await openSqlite(join(folder, 'batched.db'))] : []
  await Promise.all(databases.map((database) => migrate(database)))
  const unused = [...databases]
  const client = await clients[library](server.url)
  const cases = Object.entries(contenders(client, { [NOBODY]: () => nobody, ...(isMain && { [SQLITE]: () => new SqlRecord(unused.shift()) }) })).map(([name, create]) => ({ name, decide: create() }))
  try {
    for (const { decide } of cases) await warmUp(decide)
    return {
      perSecond: await interleave(cases, { rounds: ROUNDS, warmUps: 1, measure: perSecond }),
      ...(isMain && { cost: await costs(server, cases), latency: await latencies(cases.filter(({ name }) => [INCR, EMPTY, ONE, BATCHED].includes(name))) }),
    }
  } finally {
    await Promise.all(cases.map(({ decide }) => decide.close?.()))
    await client.close()
    await Promise.all(databases.map((database) => database.close()))
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Everybody was there before. */
async function warmUp(decide) {
  await load(decide, CALLERS, USERS)
  await decide.flush?.()
}

let turn = 0

/** As many callers as said, each on a user of its own. */
async function load(decide, callers, count) {
  let left = count
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (left-- > 0) await decide(users[turn++ % USERS])
    }),
  )
}

async function perSecond({ name, decide }) {
  const isSlow = name.includes(': six') || name.endsWith(SQLITE)
  const nanoseconds = await nanosecondsPer(isSlow ? FEWER : DECISIONS, (count) => load(decide, CALLERS, count))
  await decide.flush?.()
  return 1e9 / nanoseconds
}

function latencies(cases) {
  return interleave(cases, {
    rounds: ONE_CALLER_ROUNDS,
    warmUps: 1,
    async measure({ decide }) {
      const times = []
      for (let i = 0; i < ONE_CALLER_DECISIONS; i++) {
        const startedAt = performance.now()
        await decide(users[turn++ % USERS])
        times.push((performance.now() - startedAt) * 1000)
      }
      times.sort((a, b) => a - b)
      return { p50: times[times.length >> 1], p99: times[Math.floor(times.length * 0.99)] }
    },
  })
}

/** What Redis counts of its work. */
async function costs(server, cases) {
  const results = {}
  for (const { name, decide } of cases) {
    const measure = (callers, requests) => costOf(server, name === INCR ? ['incr'] : ['eval', 'evalsha'], requests, () => load(decide, callers, requests))
    results[name] = { one: await measure(1, FEWER), many: await measure(CALLERS, FEWER) }
    await decide.flush?.()
  }
  return results
}

/** Of the commands that a client sends: what a script calls is in its time. */
async function costOf({ port }, commands, requests, run) {
  await command(port, 'CONFIG', 'RESETSTAT')
  await run()
  const stats = [...(await command(port, 'INFO', 'commandstats')).matchAll(/^cmdstat_(\w+):calls=(\d+),usec=(\d+)/gm)].filter(([, name]) => commands.includes(name))
  const sum = (i) => stats.reduce((total, found) => total + Number(found[i]), 0)
  const [calls, micros] = [sum(2), sum(3)]
  // Besides, each process says from time to time that it is there, which is no decision's.
  return { calls: Math.round((calls / requests) * 100) / 100, perCall: micros / calls, perRequest: micros / requests }
}

/** What Redis does when no client slows it down: what one said is said again, all at once. */
async function byItself(server) {
  const recorder = await startRecorder(server.port)
  const client = await clients.ioredis(`redis://127.0.0.1:${recorder.port}`)
  const all = contenders(client)
  const cases = []
  try {
    for (const name of [INCR, EMPTY, ONE, UNBATCHED, BATCHED]) {
      const decide = all[name]()
      await warmUp(decide)
      cases.push({ name, bytes: await recorder.during(() => load(decide, CALLERS, REPLAYED)) })
      await decide.close?.()
    }
  } finally {
    await client.close()
    recorder.stop()
  }
  return interleave(cases, {
    rounds: ROUNDS,
    warmUps: 1,
    async measure({ name, bytes }) {
      const { seconds, answers } = await replay(server.port, bytes)
      assertAdmitted(name, answers)
      return REPLAYED / seconds
    },
  })
}

/** The first byte of what Redis says of a decision. */
const ADMITTED = 1

function assertAdmitted(name, answers) {
  let decisions = 0
  for (const answer of answersIn(answers)) {
    if (![UNBATCHED, BATCHED].includes(name) || !Buffer.isBuffer(answer)) continue
    if (answer[0] !== ADMITTED) throw new Error(`${name}: what was admitted is not when it is said again, but ${answer[0]}`)
    decisions++
  }
  if (decisions > 0 && decisions !== REPLAYED) throw new Error(`${name}: ${REPLAYED} requests got ${decisions} answers`)
}

/** Of users who asked about ten times; others were there before, so that what is there once is not theirs. */
async function bytesPerUser(server) {
  const results = {}
  const client = await clients.ioredis(server.url)
  const all = contenders(client)
  for (const name of [ONE, SIX_AT_ONCE, UPSTASH_ONE, BATCHED]) {
    await command(server.port, 'FLUSHALL', 'SYNC')
    const decide = all[name]()
    await atATime(decide, Array.from({ length: KEPT_USERS / 10 }, (_, i) => `earlier:${i}`))
    const before = await keptIn(server)
    // A count takes as much room after two.
    const times = name === SIX_AT_ONCE ? 2 : 10
    await atATime(decide, shuffled(Array.from({ length: KEPT_USERS * times }, (_, i) => `user:${i % KEPT_USERS}`)))
    const after = await keptIn(server)
    await decide.close?.()
    results[name] = { bytes: (after.bytes - before.bytes) / KEPT_USERS, keys: (after.keys - before.keys) / KEPT_USERS }
  }
  await client.close()
  return results
}

async function atATime(decide, subjects) {
  let next = 0
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (next < subjects.length) await decide(subjects[next++])
    }),
  )
}

/** Without what its clients take. */
async function keptIn({ port }) {
  const memory = await command(port, 'INFO', 'memory')
  const number = (name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(memory)[1])
  return { bytes: number('used_memory') - number('mem_clients_normal'), keys: await command(port, 'DBSIZE') }
}
