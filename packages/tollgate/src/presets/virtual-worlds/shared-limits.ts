import { invalidDefinition, show } from '../../errors/index.ts'
import { openRedis } from '../../stores/redis/open.ts'
import { createWorldLimits } from './create-world-limits.ts'
import type { WorldLimits } from './world-limits.ts'

/** Beyond it the first call goes by what the limits' failure policy says. */
const CONNECT_MS = 1000
const LONG_MS = 2 ** 31 - 1

/** What is used of the client to let a process end. */
interface Connection {
  readonly stream?: { unref(): unknown }
  readonly reconnectTimeout?: { unref(): unknown } | null
  on(event: 'connect' | 'reconnecting', run: () => void): unknown
}

/** The application's own. */
let chosen: WorldLimits | undefined
let inRedis: Promise<WorldLimits> | undefined
let inMemory: WorldLimits | undefined

/**
 * Lets the functions of this module be those of `limits`: with a store, a database or a language of your own. Call it when
 * the application starts. `limits` is yours to flush, and its store yours to close.
 * @throws INVALID_DEFINITION after the first call of one of those functions, which may have counted elsewhere
 */
export function useWorldLimits(limits: WorldLimits): void {
  if (typeof limits?.checkAllWorldLimits !== 'function') throw invalidDefinition('limits', `${show(limits)} is not what createWorldLimits makes; use useWorldLimits(createWorldLimits({ store }))`)
  if (chosen ?? inRedis ?? inMemory) throw invalidDefinition('useWorldLimits', 'comes too late: world limits are in use already; call it once, when the application starts')
  chosen = limits
}

/** For what counts nothing. */
export function worldLimitsHere(): WorldLimits {
  return chosen ?? (inMemory ??= createWorldLimits())
}

/** Asks the process's limits, which the first call makes: they count in Redis where REDIS_URL says so, else in memory. */
export async function withWorldLimits<T>(ask: (limits: WorldLimits) => Promise<T>): Promise<T> {
  const { REDIS_URL: url } = process.env
  if (chosen || !url) return ask(worldLimitsHere())
  // The connection keeps no process alive, so a call has to.
  const held = setInterval(() => {}, LONG_MS)
  try {
    return await ask(await (inRedis ??= openInRedis(url)))
  } finally {
    clearInterval(held)
  }
}

/** Without a client of Redis, or a URL that can be read, limits hold in this process at least. */
async function openInRedis(url: string): Promise<WorldLimits> {
  try {
    const { client, store } = await openRedis(url, { connectTimeoutMs: CONNECT_MS })
    letProcessEnd(client as unknown as Connection)
    return createWorldLimits({ store })
  } catch (error) {
    process.emitWarning(`REDIS_URL is set, and yet world limits count in the memory of this process only: ${(error as Error).message}`, 'TollgateWorldLimits')
    return worldLimitsHere()
  }
}

/** A script that is done ends, be it connected or waiting to connect again. Of a cluster the connections are its nodes'. */
function letProcessEnd(connection: Connection): void {
  const spare = (): void => {
    connection.stream?.unref()
    connection.reconnectTimeout?.unref()
  }
  connection.on('connect', spare)
  connection.on('reconnecting', spare)
  spare()
}
