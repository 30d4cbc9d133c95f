// Clients for this repository's own tests; not part of the package.
import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import type { IoredisClient } from '../stores/redis/client.ts'
import { clusterUrl, redisUrl } from './redis-servers.ts'

const nodesOf = async (): Promise<string[]> => (await clusterUrl()).split(',')

/** The clients that users bring, connected to the run's servers; the first two to one server. */
export const REDIS_CLIENTS = {
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
    const client = new Cluster(await nodesOf())
    return { client, close: () => client.quit() }
  },
  async 'node-redis on a cluster'() {
    const client = createCluster({ rootNodes: (await nodesOf()).map((url) => ({ url })) })
    await client.connect()
    return { client, close: () => client.close() }
  },
}

/** A client of ioredis's shape, of which every command is answered by `answer`. */
export function clientThat(answer: (command: string, ...args: string[]) => Promise<unknown>): IoredisClient {
  return new Proxy({} as IoredisClient, {
    get: (_, name) => (typeof name === 'string' && name.endsWith('Buffer') ? (...args: string[]) => answer(name.slice(0, -'Buffer'.length).toUpperCase(), ...args) : undefined),
  })
}
