import { createServer, connect, type Server } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPostgres } from '../stores/postgres/index.ts'
import type { Database } from '../stores/sql/database.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { type Fresh, freshPostgres } from '../testing/databases.ts'
import { SqlLedger } from './sql.ts'

/** Passes everything on, and counts how often the client spoke after the server had. */
class CountingProxy {
  turns = 0
  readonly #server: Server
  #isServersTurn = true

  constructor(target: { host: string; port: number }) {
    this.#server = createServer((client) => {
      const upstream = connect(target.port, target.host)
      client.on('data', (chunk) => {
        if (this.#isServersTurn) this.turns++
        this.#isServersTurn = false
        upstream.write(chunk)
      })
      upstream.on('data', (chunk) => {
        this.#isServersTurn = true
        client.write(chunk)
      })
      for (const [one, other] of [[client, upstream], [upstream, client]] as const) one.on('error', () => other.destroy()).on('close', () => other.destroy())
    })
  }

  listen(): Promise<number> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve((this.#server.address() as { port: number }).port)))
  }

  close(): void {
    this.#server.close()
  }
}

let fresh: Fresh
let proxy: CountingProxy
let database: Database
beforeAll(async () => {
  fresh = await freshPostgres()
  const url = new URL(fresh.url)
  proxy = new CountingProxy({ host: url.hostname, port: Number(url.port) })
  url.port = String(await proxy.listen())
  url.hostname = '127.0.0.1'
  database = await openPostgres(url.href)
  await migrate(database)
})
afterAll(async () => {
  await database.close()
  proxy.close()
  await fresh.drop()
})

it('a deduction alone takes two round trips', async () => {
  const ledger = new SqlLedger(database)
  await ledger.run('u', { kind: 'grant', key: 'g', amount: 100, source: 'pack' })
  // Statements are prepared by their first use.
  await ledger.run('u', { kind: 'deduct', id: 'd0', amount: 1 })
  for (let i = 1; i <= 3; i++) {
    proxy.turns = 0
    expect((await ledger.run('u', { kind: 'deduct', id: `d${i}`, amount: 1 })).ok).toBe(true)
    expect(proxy.turns).toBe(2)
  }
  proxy.turns = 0
  await ledger.balance('u')
  expect(proxy.turns).toBe(1)
})
