// Many clients in one process: each asks for the same limits a few times.
import { CellKind } from '../../dist/decide/charge.js'
import { SqlCounterStore } from '../../dist/stores/sql/counters.js'
import { openPostgres } from '../../dist/stores/postgres/index.js'
import { openRedis } from '../../dist/stores/redis/index.js'
import { openSqlite } from '../../dist/stores/sqlite/index.js'
import { chargeOf } from '../../dist/testing/charges.js'

// No test leaves a process behind.
process.on('disconnect', () => process.exit())

const { dialect, url, name, prefix } = JSON.parse(process.argv[2])
const store = dialect === 'redis' ? (await openRedis(url, { prefix, connectTimeoutMs: 30_000 })).store : new SqlCounterStore(await (dialect === 'postgres' ? openPostgres(url) : openSqlite(url)))
process.on('message', async ({ subject, limit, clients, asks }) => {
  const charges = [
    chargeOf({ cell: 'set/quota', kind: CellKind.quota, max: limit, startAt: 0, endAt: 4e12 }),
    chargeOf({ cell: 'set/log', kind: CellKind.slidingLog, max: limit, windowMs: 3_600_000 }),
  ]
  const command = { subject, plan: 'plan', charges, now: 0 }
  process.send(await Promise.all(Array.from({ length: clients }, (_, client) => admissions(client, command, asks))))
})
process.send('ready')

/** By itself, or by a reservation that is committed. */
async function admissions(client, command, asks) {
  let admitted = 0
  for (let i = 0; i < asks; i++) {
    const made = `${name} ${client} ${i} of ${command.subject}`
    const id = store.reservationId?.(command.subject, made) ?? made
    const reservation = { id, ttlMs: 60_000, memo: { plan: 'plan', amounts: {} } }
    const outcome = await store.decide(client % 2 === 0 ? { ...command, action: 'consume' } : { ...command, action: 'reserve', reservation })
    if (!outcome.admitted) continue
    if (client % 2 === 0 || (await store.settle({ id, action: 'commit', now: 0 })).result === 'settled') admitted++
  }
  return admitted
}
