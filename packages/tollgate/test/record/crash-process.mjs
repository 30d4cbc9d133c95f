// Consumes on a few subjects, and records it, until somebody kills this process. With `isLast` it ends when all that it
// consumed is written. It says what it is about to use, what it was admitted to, and what is written for sure.
import fs from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createTollgate, definePlans, quota, TollgateError } from '../../dist/index.js'
import { openPostgres } from '../../dist/stores/postgres/index.js'
import { migrate, SqlRecord } from '../../dist/stores/sql/index.js'
import { openSqlite } from '../../dist/stores/sqlite/index.js'

// No test leaves a process behind.
process.on('disconnect', () => process.exit())

const { dialect, url, path, subjects, isLast, steps } = JSON.parse(process.argv[2])
const file = fs.openSync(path, 'a')
const say = (line) => fs.writeSync(file, `${JSON.stringify(line)}\n`)

const plans = definePlans({ p: { rank: 0, limits: { monthly: quota({ limit: 1_000_000, every: 'month', meter: 'tokens' }) } } })
const database = await untilAnswered(() => (dialect === 'postgres' ? openPostgres(url) : openSqlite(url)))
await untilAnswered(() => migrate(database))
const sql = new SqlRecord(database)
const record = {
  totals: (subject, now) => untilAnswered(() => sql.totals(subject, now)),
  erase: (subject) => sql.erase(subject),
  async write(events) {
    await sql.write(events)
    for (const { id, kind, subject, uses } of events) if (kind === 'commit' || kind === 'consume') say({ written: subject, id, tokens: uses[0].amount })
    process.send('written')
    // Sometimes the answer is lost, and the batch comes again.
    if (Math.random() < 0.2) throw new TollgateError('STORE_UNAVAILABLE', 'the answer was lost')
  },
}
const tollgate = createTollgate({ plans, defaultPlan: 'p', record })
for (let i = 0; i < subjects; i++) {
  const { limits } = await tollgate.usage(`subject:${i}`)
  say({ restored: `subject:${i}`, tokens: limits[0].used })
}
process.send('started')
await Promise.all(Array.from({ length: subjects }, (_, i) => work(`subject:${i}`)))
for (;;) {
  try {
    await tollgate.flush()
    break
  } catch {
    await delay(20)
  }
}
process.send('done')
process.disconnect()

async function work(subject) {
  for (let left = isLast ? steps : Infinity; left > 0; left--) {
    const tokens = 1 + Math.floor(Math.random() * 9)
    say({ asked: subject, tokens })
    if (Math.random() < 0.5) await tollgate.consume({ subject, amounts: { tokens } })
    else {
      const { reservation } = await tollgate.reserve({ subject, amounts: { tokens: 1 } })
      await tollgate.commit(reservation.id, { amounts: { tokens } })
    }
    say({ admitted: subject, tokens, at: Date.now() })
    process.send('admitted')
    await delay(Math.random() * 10)
  }
}

/** A database that is down comes back. */
async function untilAnswered(ask) {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (error.code !== 'STORE_UNAVAILABLE') throw error
      await delay(10)
    }
  }
}
