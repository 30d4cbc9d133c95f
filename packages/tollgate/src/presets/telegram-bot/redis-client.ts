import { invalidDefinition, show } from '../../errors/index.ts'

/** What is used of a client or cluster of ioredis. */
export interface IoredisClient {
  // Method syntax, so that the library's many overloads fit.
  call(command: string, args: string[]): Promise<unknown>
  readonly status?: string
  readonly options?: { readonly keyPrefix?: unknown }
  /** A cluster's. */
  nodes?(role: 'master'): IoredisClient[]
}

/** What is used of a client or pool of node-redis. */
export interface NodeRedisClient {
  sendCommand(args: string[]): Promise<unknown>
  readonly isReady?: boolean
}

/** What is used of a cluster of node-redis. */
export interface NodeRedisCluster {
  sendCommand(firstKey: string | undefined, isReadonly: boolean | undefined, args: string[]): Promise<unknown>
  readonly isReady?: boolean
  readonly masters: readonly unknown[]
  nodeClient(node: never): Promise<NodeRedisClient>
}

/** What is used of node-redis for sentinels. */
export interface NodeRedisSentinel {
  sendCommand(isReadonly: boolean | undefined, args: string[]): Promise<unknown>
  readonly isReady?: boolean
  getSentinelNode(): unknown
}

/** A double of ioredis for tests, such as `ioredis-mock`, which has commands as methods only. */
export interface RedisDouble {
  get(key: string): Promise<unknown>
  eval(...args: never[]): Promise<unknown>
}

export type RedisClient = IoredisClient | NodeRedisClient | NodeRedisCluster | NodeRedisSentinel | RedisDouble

/** Sends one command; in a cluster to whoever has `key`, which is its only one. */
export type Send = (args: readonly [command: string, ...args: string[]], key?: string) => Promise<unknown>

/** The same of every client. */
export interface RedisConnection {
  readonly send: Send
  /** Every server that has keys of its own. */
  masters(): Promise<readonly Send[]>
  readonly isCluster: boolean
  /** `false`: it would only queue what it is given. A client that is still to connect counts as ready. */
  isReady(): boolean
  /** What the client puts before keys by itself, and not before patterns. */
  readonly keyPrefix: string
}

/** @throws INVALID_DEFINITION */
export function redisConnection(client: RedisClient): RedisConnection {
  if (has(client, 'call')) return ofIoredis(client as IoredisClient)
  if (has(client, 'sendCommand')) return ofNodeRedis(client)
  if (has(client, 'get') && has(client, 'eval')) return ofDouble(client as RedisDouble)
  throw invalidDefinition('redis', `${show(client)} is not a Redis client; use one of ioredis or node-redis`)
}

const has = (client: unknown, method: string): boolean => typeof (client as Record<string, unknown> | null | undefined)?.[method] === 'function'

/** ioredis and its cluster put a command aside while they are in one of these. */
const NOT_CONNECTED: readonly unknown[] = ['reconnecting', 'disconnecting', 'close', 'end']

function ofIoredis(client: IoredisClient): RedisConnection {
  const sender = (node: IoredisClient): Send => async ([command, ...args]) => node.call(command, args)
  const send = sender(client)
  const isCluster = has(client, 'nodes')
  const { keyPrefix } = client.options ?? {}
  return {
    send,
    masters: async () => (isCluster ? client.nodes!('master').map(sender) : [send]),
    isCluster,
    isReady: () => !NOT_CONNECTED.includes(client.status),
    keyPrefix: typeof keyPrefix === 'string' || keyPrefix instanceof Uint8Array ? keyPrefix.toString() : '',
  }
}

function ofNodeRedis(client: RedisClient): RedisConnection {
  if (has(client, 'nodeClient')) return ofNodeRedisCluster(client as NodeRedisCluster)
  const send: Send = has(client, 'getSentinelNode')
    ? async (args) => (client as NodeRedisSentinel).sendCommand(false, [...args])
    : async (args) => (client as NodeRedisClient).sendCommand([...args])
  return { send, masters: async () => [send], isCluster: false, isReady: () => (client as NodeRedisClient).isReady !== false, keyPrefix: '' }
}

function ofNodeRedisCluster(client: NodeRedisCluster): RedisConnection {
  return {
    // Never to a replica, which may not have heard of an invalidation yet.
    send: async (args, key) => client.sendCommand(key, false, [...args]),
    masters: async () => {
      const nodes = await Promise.all(client.masters.map((node) => client.nodeClient(node as never)))
      return nodes.map((node): Send => async (args) => node.sendCommand([...args]))
    },
    isCluster: true,
    isReady: () => client.isReady !== false,
    keyPrefix: '',
  }
}

function ofDouble(client: RedisDouble): RedisConnection {
  const methods = client as unknown as Record<string, (...args: string[]) => Promise<unknown>>
  const send: Send = async ([command, ...args]) => methods[command.toLowerCase()]!(...args)
  return { send, masters: async () => [send], isCluster: false, isReady: () => true, keyPrefix: '' }
}
