import { invalidDefinition } from '../../errors/index.ts'
import { RedisStore, type RedisStoreOptions } from './redis-store.ts'
import type { IoredisClient } from './client.ts'

/** A client that Tollgate made, with options under which nothing is asked twice and nothing waits for a server that is gone. */
export interface OpenedRedis {
  readonly client: IoredisClient
  readonly store: RedisStore
  close(): Promise<void>
}

/** What a URL says of where Redis is. */
export type RedisPlace =
  | { readonly kind: 'server'; readonly server: Login & { host: string; port: number } }
  | { readonly kind: 'cluster'; readonly nodes: readonly { host: string; port: number }[]; readonly login: Login }
  | { readonly kind: 'sentinel'; readonly sentinels: readonly { host: string; port: number }[]; readonly name: string; readonly login: Login }

interface Login {
  readonly username?: string
  readonly password?: string
  readonly db?: number
  readonly tls?: boolean
}

const FORMS = "write redis://user:password@host:6379/0, rediss:// for TLS, several hosts between commas (or ?cluster=1) for a cluster, or redis+sentinel://host:26379,host:26379/name"
const DEFAULT_PORT = 6379
const DEFAULT_SENTINEL_PORT = 26379

/**
 * Where Redis is, as a URL says it: `redis://user:password@host:6379/0`; `rediss://` with TLS; a cluster as several hosts
 * between commas, or with `?cluster=1`; Sentinel as `redis+sentinel://user:password@host:26379,host:26379/name?db=0`.
 * @throws INVALID_DEFINITION, which never holds the password
 */
export function parseRedisUrl(text: string): RedisPlace {
  // Every host may be written as a URL of its own, as others print a cluster's nodes.
  const match = /^(redis|rediss|redis\+sentinel|rediss\+sentinel):\/\/(?:([^@/]*)@)?([^@/?]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(text.trim().replaceAll(/,\s*rediss?:\/\//g, ','))
  if (!match) throw refused('it is not a URL of Redis')
  // Nothing of it is quoted: what looks like a host may be a password.
  if (match.slice(3).some((part) => part?.includes('@'))) throw refused('a / or @ in user or password is written %2F or %40')
  const [, scheme, user = '', hosts, path = '', query = ''] = match
  const options = new URLSearchParams(query)
  const isSentinel = scheme!.endsWith('+sentinel')
  const nodes = hosts!.split(',').map((host) => nodeOf(host, isSentinel ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT))
  const login = { ...loginOf(user), ...(scheme!.startsWith('rediss') && { tls: true }) }
  if (isSentinel) {
    if (path === '') throw refused('it does not name the master that the sentinels watch')
    return { kind: 'sentinel', sentinels: nodes, name: decoded(path), login: { ...login, ...dbOf(options.get('db') ?? '') } }
  }
  const isCluster = nodes.length > 1 || options.get('cluster') === '1'
  if (!isCluster) return { kind: 'server', server: { ...nodes[0]!, ...login, ...dbOf(path) } }
  if (dbOf(path).db) throw refused('a cluster has no databases but 0')
  return { kind: 'cluster', nodes, login }
}

function loginOf(user: string): Login {
  const colon = user.indexOf(':')
  const username = decoded(colon < 0 ? user : user.slice(0, colon))
  const password = colon < 0 ? '' : decoded(user.slice(colon + 1))
  return { ...(username !== '' && { username }), ...(password !== '' && { password }) }
}

function nodeOf(text: string, defaultPort: number): { host: string; port: number } {
  const match = /^(\[[0-9a-f:.]+\]|[^:\s[\]]+)(?::(\d{1,5}))?$/i.exec(text.trim())
  const port = Number(match?.[2] ?? defaultPort)
  if (!match || port < 1 || port > 65_535) throw refused('one of its hosts is no host with a port')
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port }
}

function dbOf(text: string): { db?: number } {
  if (text === '') return {}
  if (!/^\d{1,4}$/.test(text)) throw refused('what follows the host is no number of a database')
  return { db: Number(text) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refused('user or password hold a % that is no escape; write %25 for it')
  }
}

function refused(why: string) {
  return invalidDefinition('REDIS_URL', `${why}; ${FORMS}`)
}

export interface OpenRedisOptions extends Omit<RedisStoreOptions, 'onClose'> {
  /** Told of lost connections, at most once a second while one lasts. Default: nobody, as every decision says so too. */
  onError?: (error: Error) => void
  /** How long to wait for the first connection: 0 … 60,000 ms. Default 2000. Without one, limits do what their policy says. */
  connectTimeoutMs?: number
}

const RECONNECT_AFTER_MS = 50
const RECONNECT_AT_MOST_MS = 2000

/**
 * A store with a client of its own, made with the package `ioredis`, which must be installed. What fails, fails at once:
 * nothing is sent a second time by itself, so nothing counts twice, and nothing waits in a queue for a server that is gone.
 * The client goes on connecting, with jitter.
 * @throws INVALID_DEFINITION for a URL that cannot be read; never because Redis does not answer
 */
export async function openRedis(url: string, { onError = () => {}, connectTimeoutMs = 2000, ...options }: OpenRedisOptions = {}): Promise<OpenedRedis> {
  const place = parseRedisUrl(url)
  const { Cluster, Redis } = await import('ioredis')
  const wait = (attempt: number): number => Math.min(RECONNECT_AT_MOST_MS, RECONNECT_AFTER_MS * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random())
  const safe = {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    connectTimeout: 5000,
    retryStrategy: wait,
    // What was the master is a replica after a failover: its address leads to another server now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  }
  const login = ({ tls, ...rest }: Login) => ({ ...rest, ...(tls && { tls: {} }) })
  const client =
    place.kind === 'cluster'
      ? new Cluster([...place.nodes], { redisOptions: { ...safe, ...login(place.login) }, enableOfflineQueue: false, clusterRetryStrategy: wait, slotsRefreshTimeout: 2000, slotsRefreshInterval: 10_000, retryDelayOnFailover: 100, retryDelayOnClusterDown: 100, retryDelayOnTryAgain: 10 })
      : place.kind === 'sentinel'
        ? new Redis({ ...safe, sentinels: [...place.sentinels], name: place.name, ...login(place.login), ...(place.login.tls && { enableTLSForSentinelMode: true }) })
        : new Redis({ ...safe, ...login(place.server) })
  let toldAt = -Infinity
  client.on('error', (error: Error) => {
    if (performance.now() - toldAt < 1000) return
    toldAt = performance.now()
    onError(error)
  })
  await connected(client, connectTimeoutMs)
  const store = new RedisStore(client, options)
  return {
    client,
    store,
    async close() {
      await store.close()
      client.disconnect()
    },
  }
}

function connected(client: { readonly status: string; once(event: 'ready', run: () => void): unknown }, withinMs: number): Promise<void> {
  if (client.status === 'ready') return Promise.resolve()
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, withinMs)
    client.once('ready', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
