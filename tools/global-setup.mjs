import { once } from 'node:events'
import { createServer } from 'node:http'
import { startPostgres } from './services/postgres.mjs'
import { startRedis, startRedisCluster } from './services/redis.mjs'

/** A busy machine must not make the nodes of the cluster that all tests share think each other lost. */
const SHARED_NODE_TIMEOUT_MS = 15_000

const STARTS = {
  '/postgres': startPostgres,
  '/redis': startRedis,
  '/cluster': () => startRedisCluster({ nodeTimeoutMs: SHARED_NODE_TIMEOUT_MS }),
}

/**
 * The servers of a test run: each is started once, by the first test file that asks for it here, so that a run of other
 * tests does not wait for any. The answer is the server's URL, or those of a cluster between commas.
 * @param {import('vitest/node').TestProject} project
 */
export default async function setup(project) {
  const starting = {}
  const launcher = createServer(async ({ url }, response) => {
    try {
      starting[url] ??= STARTS[url]()
      const server = await starting[url]
      response.end(server.urls?.join(',') ?? server.url)
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  launcher.listen(0, '127.0.0.1')
  await once(launcher, 'listening')
  const address = `http://127.0.0.1:${launcher.address().port}`
  project.provide('postgresLauncher', `${address}/postgres`)
  project.provide('redisLauncher', address)
  return async () => {
    launcher.close()
    launcher.closeAllConnections()
    const started = await Promise.allSettled(Object.values(starting))
    await Promise.all(started.map(({ value }) => value?.stop()))
  }
}
