import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { clusterUrl, redisUrl, uniquePrefix } from '../../packages/tollgate/src/testing/redis-servers.ts'
import { isFree } from './ports.mjs'
import { startProxy } from './proxy.mjs'
import { command, startRedis, startRedisCluster } from './redis.mjs'

const PATIENCE = { timeout: 20_000, interval: 20 }
const toStop = []
const own = async (starting) => {
  const server = await starting
  toStop.push(server)
  return server
}

afterEach(async () => {
  await Promise.all(toStop.splice(0).map((server) => server.stop()))
})

describe('a server', () => {
  it('is killed and starts again on the same port, empty', async () => {
    const redis = await own(startRedis())
    expect(redis.url).toBe(`redis://127.0.0.1:${redis.port}`)
    await command(redis.port, 'SET', 'kéy', 'välue')
    expect(await command(redis.port, 'GET', 'kéy')).toBe('välue')
    await redis.kill()
    expect(redis.isRunning).toBe(false)
    await expect(command(redis.port, 'PING')).rejects.toThrow('ECONNREFUSED')
    await redis.start()
    expect(await command(redis.port, 'GET', 'kéy')).toBe(null)
  })

  it('keeps what it answered over kill and restart when it is durable, and removes its folder in the end', async () => {
    const redis = await own(startRedis({ isDurable: true }))
    const [, folder] = await command(redis.port, 'CONFIG', 'GET', 'dir')
    await command(redis.port, 'SET', 'key', 'value')
    await redis.kill()
    await redis.start()
    expect(await command(redis.port, 'GET', 'key')).toBe('value')
    await redis.restart()
    expect(await command(redis.port, 'GET', 'key')).toBe('value')
    await redis.stop()
    expect(await isFree(redis.port)).toBe(true)
    expect(fs.existsSync(folder)).toBe(false)
  })

  it('takes arguments, and says why it does not start', async () => {
    const redis = await own(startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] }))
    expect(await command(redis.port, 'CONFIG', 'GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'allkeys-lru'])
    await expect(startRedis({ args: ['--maxmemory-policy', 'nonsense'] })).rejects.toThrow('nonsense')
    await expect(startRedis({ port: redis.port })).rejects.toThrow('ended')
  })

  it('answers with nested replies and errors', async () => {
    const { port } = await own(startRedis())
    expect(await command(port, 'EVAL', `return {1, 'two', {3, false}, redis.status_reply('four')}`, 0)).toEqual([1, 'two', [3, null], 'four'])
    await expect(command(port, 'NONSENSE')).rejects.toThrow('ERR unknown command')
    const long = 'x'.repeat(1_000_000)
    await command(port, 'SET', 'long', long)
    expect(await command(port, 'GET', 'long')).toBe(long)
  })
})

describe('a proxy', () => {
  const openProxy = async () => {
    const redis = await own(startRedis())
    return { redis, proxy: await own(startProxy({ port: redis.port })) }
  }

  it('loses replies of commands that ran', async () => {
    const { redis, proxy } = await openProxy()
    expect(await command(proxy.port, 'INCR', 'n')).toBe(1)
    const draws = [0.4, 0.6]
    proxy.dropReplies(0.5, () => draws.shift())
    await expect(command(proxy.port, 'INCR', 'n')).rejects.toThrow('closed before the reply')
    expect(await command(proxy.port, 'INCR', 'n')).toBe(3)
    expect(proxy.droppedCount).toBe(1)
    proxy.dropReplies(0)
    expect(await command(proxy.port, 'INCR', 'n')).toBe(4)
    expect(await command(redis.port, 'GET', 'n')).toBe('4')
  })

  it('holds what is under way while it is paused', async () => {
    const { redis, proxy } = await openProxy()
    proxy.pause()
    const replied = command(proxy.port, 'SET', 'key', 'value')
    // On the same way as the held command, so were it not held it would have come first.
    const leaving = net.connect(proxy.port, '127.0.0.1')
    await once(leaving, 'connect')
    await new Promise((resolve) => leaving.write('SET left behind\r\n', resolve))
    leaving.destroy()
    await once(leaving, 'close')
    expect(await command(redis.port, 'EXISTS', 'key', 'left')).toBe(0)
    proxy.resume()
    expect(await replied).toBe('OK')
    await expect.poll(() => command(redis.port, 'GET', 'left'), PATIENCE).toBe('behind')
  })

  it('cuts all connections and refuses new ones until it is mended', async () => {
    const { proxy } = await openProxy()
    const idle = net.connect(proxy.port, '127.0.0.1')
    await once(idle, 'connect')
    const ended = once(idle, 'close')
    await proxy.cut()
    await ended
    await expect(command(proxy.port, 'PING')).rejects.toThrow('ECONNREFUSED')
    await proxy.mend()
    expect(await command(proxy.port, 'PING')).toBe('PONG')
  })

  it('delays what passes, in its order', async () => {
    const { redis, proxy } = await openProxy()
    proxy.delay(100)
    const order = []
    const asking = [proxy, redis].map(({ port }) => command(port, 'PING').then(() => order.push(port)))
    await Promise.all(asking)
    expect(order).toEqual([redis.port, proxy.port])
    // A reply longer than one chunk.
    proxy.delay(5)
    const long = 'long'.repeat(100_000)
    await command(proxy.port, 'SET', 'long', long)
    expect(await command(proxy.port, 'GET', 'long')).toBe(long)
  })

  it('ends the connection of a caller whose server is not there', async () => {
    const { redis, proxy } = await openProxy()
    await redis.kill()
    await expect(command(proxy.port, 'PING')).rejects.toThrow(/closed before the reply|ECONNRESET/)
  })
})

describe('a cluster', () => {
  it('moves a slot with its keys', async () => {
    const cluster = await own(startRedisCluster())
    const ports = cluster.nodes.map(({ port }) => port)
    const slot = await command(ports[0], 'CLUSTER', 'KEYSLOT', '{tag}')
    const from = await cluster.ownerOf(slot)
    const to = (from + 1) % 3
    // More than are moved at once, and one that is not text.
    for (let i = 0; i < 150; i++) await command(ports[from], 'SET', `{tag}${i}`, i)
    await command(ports[from], 'SET', Buffer.from([...Buffer.from('{tag}'), 0xff, 0xc0]), 'bytes')
    await cluster.moveSlot(slot, from, to, () => expect(command(ports[from], 'GET', '{tag}7')).rejects.toThrow(`ASK ${slot} 127.0.0.1:${ports[to]}`))
    expect(await cluster.ownerOf(slot)).toBe(to)
    expect(await command(ports[to], 'GET', '{tag}7')).toBe('7')
    expect(await command(ports[to], 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(151)
    await expect(command(ports[from], 'GET', '{tag}7')).rejects.toThrow('MOVED')
  })

  it('lets a replica take over', async () => {
    const cluster = await own(startRedisCluster({ replicas: 1 }))
    expect(cluster.urls).toHaveLength(6)
    const slot = 0
    expect(await cluster.ownerOf(slot)).toBe(0)
    await cluster.kill(0)
    await expect.poll(() => cluster.ownerOf(slot), PATIENCE).toBe(3)
    await cluster.nodes[0].start()
    await expect.poll(() => command(cluster.nodes[0].port, 'INFO', 'replication'), PATIENCE).toContain('master_link_status:up')
    expect(await cluster.ownerOf(slot)).toBe(3)
  })
})

it('gives the servers of the run', async () => {
  const prefix = uniquePrefix()
  const { port } = new URL(await redisUrl())
  expect(await command(Number(port), 'SET', `${prefix}key`, 1)).toBe('OK')
  const nodes = (await clusterUrl()).split(',').map((url) => new URL(url))
  expect(nodes.map(({ protocol }) => protocol)).toEqual(['redis:', 'redis:', 'redis:'])
  expect(await command(Number(nodes[2].port), 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
})
