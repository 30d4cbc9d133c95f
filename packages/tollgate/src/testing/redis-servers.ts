// Redis servers for this repository's own tests; not part of the package.
import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** Under `/redis` and `/cluster` it answers with the URLs of the run's servers, which it starts first; see tools/global-setup.mjs. */
    redisLauncher: string
  }
}

/**
 * The run's Redis server, or the one that TEST_REDIS_URL names: never that of REDIS_URL, which may be in use. All tests
 * share it, each keeps to keys under a `uniquePrefix`, and all forget its scripts now and then.
 */
export async function redisUrl(): Promise<string> {
  return process.env['TEST_REDIS_URL'] || launch('/redis')
}

/** URLs of the nodes of the run's Redis Cluster of three masters, between commas, or what TEST_REDIS_CLUSTER_URL names. */
export async function clusterUrl(): Promise<string> {
  return process.env['TEST_REDIS_CLUSTER_URL'] || launch('/cluster')
}

/** What the keys of one test begin with. */
export function uniquePrefix(): string {
  return `t${randomBytes(6).toString('hex')}:`
}

async function launch(path: string): Promise<string> {
  const response = await fetch(inject('redisLauncher') + path)
  const text = await response.text()
  if (!response.ok) throw new Error(`Redis for tests did not start: ${text}`)
  return text
}
