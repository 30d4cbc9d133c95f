import { TollgateError } from 'tollgate'
import { openRedis, type OpenedRedis, preflight, RedisStore } from 'tollgate/redis'
import type { Log } from '../log/log.ts'
import { StartupError } from '../startup-error.ts'
import type { Storage } from './storage.ts'

interface RedisCountersOptions {
  readonly prefix: string | undefined
  readonly hasDatabase: boolean
  readonly log: Log
}

/**
 * The same storage with counters in Redis, shared by all processes. A Redis that does not answer keeps nobody from
 * starting: until it does, limits do what their failure policy says.
 * @throws StartupError for a URL that cannot be read
 */
export async function withRedis(storage: Storage, url: string, { prefix, hasDatabase, log }: RedisCountersOptions): Promise<Storage> {
  const own = prefix === undefined ? {} : { prefix }
  const redis = await open(url, own, log)
  const { databaseNow } = storage
  const problems = forAWhile(() => preflight(redis.client, databaseNow ? { databaseNow } : {}))
  if (!hasDatabase) log({ level: 'warn', event: 'redis_alone', message: 'REDIS_URL is set without DATABASE_URL: all processes share rates and quotas, but each keeps credits, plans, keys and recorded usage for itself. Set DATABASE_URL too for more than one process.' })
  for (const { check, level, message } of await problems()) log({ level: level === 'error' ? 'error' : 'warn', event: 'preflight', check, message })
  return {
    ...storage,
    stores(clock) {
      const stores = storage.stores(clock)
      const store = clock ? new RedisStore(redis.client, { ...own, clock }) : redis.store
      return { ...stores, of: (namespace) => ({ ...stores.of(namespace), store }) }
    },
    problems,
    async close() {
      await storage.close()
      await redis.close()
    },
  }
}

/** Anybody may ask whether the server is ready: Redis is asked once a second at most. */
const ASK_EVERY_MS = 1000

function forAWhile<T>(ask: () => Promise<T>): () => Promise<T> {
  let [askedAt, answer] = [-Infinity, undefined as Promise<T> | undefined]
  return () => {
    if (!answer || performance.now() - askedAt > ASK_EVERY_MS) [askedAt, answer] = [performance.now(), ask()]
    return answer
  }
}

async function open(url: string, own: { prefix?: string }, log: Log): Promise<OpenedRedis> {
  try {
    return await openRedis(url, { ...own, onError: (error) => log({ level: 'error', event: 'redis', message: 'Redis cannot be reached; Tollgate goes on trying, and limits do what their failure policy says', error: String(error) }) })
  } catch (error) {
    if (TollgateError.isInstance(error)) throw new StartupError(`${error.message}.`)
    throw error
  }
}
