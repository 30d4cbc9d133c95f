import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { storeConformance } from '../../testing/conformance/index.ts'
import { differential } from '../../testing/differential/index.ts'
import { clusterUrl, redisUrl, uniquePrefix } from '../../testing/redis-servers.ts'
import type { ControlledClock } from '../../testing/clock.ts'
import { connectionOf, type RedisClient } from './client.ts'
import { RedisStore } from './index.ts'

interface Connected {
  client: RedisClient
  close(): Promise<unknown>
}

const nodesOf = (urls: string) => urls.split(',').map((url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) }))

const CLIENTS: Readonly<Record<string, () => Promise<Connected>>> = {
  async ioredis() {
    const client = new Redis(await redisUrl())
    return { client, close: () => client.quit() }
  },
  async 'node-redis'() {
    const client = createClient({ url: await redisUrl() })
    await client.connect()
    return { client, close: () => client.close() }
  },
  async 'ioredis on a cluster'() {
    const client = new Cluster(nodesOf(await clusterUrl()))
    return { client, close: () => client.quit() }
  },
  async 'node-redis on a cluster'() {
    const client = createCluster({ rootNodes: (await clusterUrl()).split(',').map((url) => ({ url })) })
    await client.connect()
    return { client, close: () => client.close() }
  },
}

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
