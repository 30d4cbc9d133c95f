import { show } from '../../errors/index.ts'
import type { Script } from './script.ts'

/** What is used of an ioredis client or cluster (5 and later). */
export interface IoredisClient {
  readonly isCluster?: boolean
  readonly options?: { readonly keyPrefix?: unknown; readonly redisOptions?: { readonly keyPrefix?: unknown } | undefined }
  /** Of a cluster. */
  nodes?(role: 'master'): IoredisClient[]
  callBuffer(command: string, ...args: string[]): Promise<unknown>
}

/** What is used of a node-redis client (4 and later). */
export interface NodeRedisClient {
  sendCommand(args: string[], options?: object): Promise<unknown>
}

/** What is used of a node-redis cluster. */
export interface NodeRedisCluster {
  readonly masters: readonly unknown[]
  nodeClient(node: unknown): Promise<NodeRedisClient> | NodeRedisClient
  sendCommand(firstKey: string | undefined, isReadonly: boolean | undefined, args: string[], options?: object): Promise<unknown>
}

/** A client of yours, connected or connecting: told by what it can do. */
export type RedisClient = IoredisClient | NodeRedisClient | NodeRedisCluster

/** The same for every client: replies in bytes. */
export interface RedisConnection {
  readonly isCluster: boolean
  /** @param key that the command is about: in a cluster it says which node is asked. */
  command(args: readonly string[], key?: string): Promise<unknown>
  /** The same command to every master. */
  everywhere(args: readonly string[]): Promise<unknown[]>
  /** One round trip; a second one where Redis has not seen the script yet, or has forgotten it in a restart or failover. */
  run<Keys extends readonly string[], Args extends readonly string[]>(script: Script<Keys, Args>, keys: NoInfer<Keys>, args: NoInfer<Args>): Promise<unknown>
}

/** @throws TypeError for what is no client of Redis */
export function connectionOf(client: RedisClient): RedisConnection {
  const send = senderOf(client)
  return {
    isCluster: isCluster(client),
    command: send,
    everywhere: async (args) => Promise.all((await mastersOf(client)).map((node) => senderOf(node)(args))),
    async run({ sha, text }, keys, args) {
      try {
        return await send(['EVALSHA', sha, String(keys.length), ...keys, ...args], keys[0])
      } catch (error) {
        if (!(error as Error).message?.startsWith('NOSCRIPT')) throw error
        return send(['EVAL', text, String(keys.length), ...keys, ...args], keys[0])
      }
    },
  }
}

type Send = RedisConnection['command']

function senderOf(client: RedisClient): Send {
  if (isIoredis(client)) return senderOfIoredis(client)
  if (typeof (client as { getSentinelNode?: unknown } | null)?.getSentinelNode === 'function') throw new TypeError('client: a Sentinel client of node-redis is not supported; use ioredis, or openRedis with redis+sentinel://')
  if (typeof (client as NodeRedisClient | null)?.sendCommand !== 'function') {
    throw new TypeError('client: it is no client of Redis; give one of ioredis or node-redis (the package redis), or a cluster of one of them')
  }
  if (isNodeCluster(client)) return (args, key) => client.sendCommand(key, false, args as string[], IN_BYTES)
  return (args) => client.sendCommand(args as string[], IN_BYTES)
}

function senderOfIoredis(client: IoredisClient): Send {
  const prefix = client.options?.keyPrefix ?? client.options?.redisOptions?.keyPrefix
  // It would be put before the names that scripts are given, and not before those that they make.
  if (prefix) throw new TypeError(`client: its keyPrefix ${show(String(prefix))} is not for scripts; leave it out, and give the store a prefix`)
  const methods = client as unknown as Record<string, ((...args: string[]) => Promise<unknown>) | undefined>
  return async ([command, ...args]) => {
    const name = `${command!.toLowerCase()}Buffer`
    // By name: ioredis loses the name of a command that is called by `callBuffer` when it pipelines by itself.
    return methods[name] ? methods[name](...args) : client.callBuffer(command!, ...args)
  }
}

/** How node-redis 5 and later, and 4, are told to leave replies as bytes; `$` is RESP's type of them. */
const IN_BYTES = { typeMapping: { ['$'.charCodeAt(0)]: Buffer }, returnBuffers: true }

function isIoredis(client: RedisClient): client is IoredisClient {
  return typeof (client as IoredisClient | null)?.callBuffer === 'function'
}

function isNodeCluster(client: RedisClient): client is NodeRedisCluster {
  return 'masters' in client
}

async function mastersOf(client: RedisClient): Promise<RedisClient[]> {
  if (isIoredis(client)) return client.nodes ? client.nodes('master') : [client]
  return isNodeCluster(client) ? Promise.all(client.masters.map(async (node) => client.nodeClient(node))) : [client]
}

function isCluster(client: RedisClient): boolean {
  return isIoredis(client) ? client.isCluster === true : isNodeCluster(client)
}
