import { afterAll, beforeAll, describe, it } from 'vitest'
import { storeConformance } from '../../testing/conformance/index.ts'
import { differential } from '../../testing/differential/index.ts'
import { REDIS_CLIENTS } from '../../testing/redis-clients.ts'
import { uniquePrefix } from '../../testing/redis-servers.ts'
import type { ControlledClock } from '../../testing/clock.ts'
import { connectionOf, type RedisClient } from './client.ts'
import { RedisStore } from './index.ts'

interface Connected {
  client: RedisClient
  close(): Promise<unknown>
}

const CLIENTS: Readonly<Record<string, () => Promise<Connected>>> = REDIS_CLIENTS

const RUNS = process.env['TOLLGATE_LONG'] ? 1000 : 100

for (const [name, connect] of Object.entries(CLIENTS)) {
  describe(`${name}:`, () => {
    let connected: Connected
    beforeAll(async () => {
      connected = await connect()
    })
    afterAll(() => connected.close())

    storeConformance(name, (clock) => new RedisStore(connected.client, { clock, prefix: uniquePrefix() }), { describe, it })
  })
}

describe.each(['ioredis', 'ioredis on a cluster'])('%s', (name) => {
  let connected: Connected
  beforeAll(async () => {
    connected = await CLIENTS[name]!()
  })
  afterAll(() => connected.close())

  it(`agrees with the reference on ${RUNS} random histories`, { timeout: 1_200_000 }, async () => {
    const connection = connectionOf(connected.client)
    let histories = 0
    const make = async (clock: ControlledClock) => {
      // Each history has plans of its own, and so scripts that nobody else needs: Redis would keep them all.
      if (++histories % 25 === 0) await connection.everywhere(['SCRIPT', 'FLUSH'])
      return new RedisStore(connected.client, { clock, prefix: uniquePrefix() })
    }
    await differential(make, { runs: RUNS })
  })
})
