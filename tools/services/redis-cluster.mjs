import { freePorts } from './ports.mjs'
import { startRedis } from './redis-server.mjs'
import { binaryCommand, command } from './resp.mjs'
import { until } from './until.mjs'

const SLOTS = 16_384
const MIGRATE_BATCH = 100
const MIGRATE_TIMEOUT_MS = 5_000

/**
 * A Redis Cluster of our own: first its masters, which share the slots evenly, then their replicas, master by master in turn.
 * @param {{ masters?: number, replicas?: number, isDurable?: boolean, nodeTimeoutMs?: number, args?: readonly (string | number)[] }} [options]
 *   `replicas`: of each master; `nodeTimeoutMs`: how long a silent node is waited for before it counts as lost
 * @returns {Promise<import('./redis.d.mts').RedisCluster>}
 */
export async function startRedisCluster({ masters = 3, replicas = 0, isDurable = false, nodeTimeoutMs = 1_500, args = [] } = {}) {
  const count = masters * (1 + replicas)
  const ports = await freePorts(count * 2)
  const busPorts = ports.splice(count)
  // A replica may always take over, and stays with its master otherwise.
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', nodeTimeoutMs, '--cluster-replica-validity-factor', 0, '--cluster-allow-replica-migration', 'no']
  const starts = await Promise.allSettled(ports.map((port, i) => startRedis({ port, isDurable, args: [...settings, '--cluster-port', busPorts[i], ...args] })))
  const nodes = starts.flatMap(({ value }) => value ?? [])
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    for (const { reason } of starts) if (reason !== undefined) throw reason
    await join(ports, busPorts, masters)
    const cluster = { nodes, ids: await Promise.all(ports.map((port) => command(port, 'CLUSTER', 'MYID'))) }
    return {
      urls: nodes.map(({ url }) => url),
      nodes,
      kill: (index) => nodes[index].kill(),
      ownerOf: (slot) => ownerOf(cluster, slot),
      moveSlot: (slot, from, to, whileMoving) => moveSlot(cluster, slot, from, to, whileMoving),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function join(ports, busPorts, masters) {
  for (const [i, port] of ports.entries()) {
    if (i < masters) await command(port, 'CLUSTER', 'ADDSLOTSRANGE', Math.floor((SLOTS * i) / masters), Math.floor((SLOTS * (i + 1)) / masters) - 1)
    // Different from the start: nodes with the same would have to agree first.
    await command(port, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    if (i > 0) await command(ports[0], 'CLUSTER', 'MEET', '127.0.0.1', port, busPorts[i])
  }
  for (const [i, port] of ports.entries()) {
    if (i < masters) continue
    const master = await command(ports[i % masters], 'CLUSTER', 'MYID')
    await until(`node ${i} follows its master`, () => command(port, 'CLUSTER', 'REPLICATE', master))
  }
  await Promise.all(ports.map((port, i) => until(`node ${i} is part of the cluster`, () => isReady(port, ports.length, masters, i >= masters))))
}

/** Whether the cluster serves, this node knows all others and what they are, and has its master's data if it is a replica. */
async function isReady(port, count, masters, isReplica) {
  if (!(await command(port, 'CLUSTER', 'INFO')).includes('cluster_state:ok')) return false
  const known = await nodesOf(port)
  if (known.length !== count || known.some(({ flags, link }) => link !== 'connected' || flags.includes('handshake'))) return false
  if (known.filter(({ flags }) => flags.includes('master')).length !== masters) return false
  return !isReplica || (await command(port, 'INFO', 'replication')).includes('master_link_status:up')
}

/** Every node as one node sees it. A line is `id address flags master ping pong epoch link slot…`. */
async function nodesOf(port) {
  return (await command(port, 'CLUSTER', 'NODES')).trim().split('\n').map((line) => {
    const [id, , flags, , , , , link, ...slots] = line.split(' ')
    return { id, flags: flags.split(','), link, slots }
  })
}

async function ownerOf({ nodes, ids }, slot) {
  const running = nodes.filter((node) => node.isRunning)
  const owners = await Promise.all(
    running.map(async ({ port }) => {
      const owner = (await nodesOf(port)).find(({ slots }) => slots.some((range) => isWithin(slot, range)))
      return ids.indexOf(owner?.id)
    }),
  )
  return new Set(owners).size === 1 && owners[0] >= 0 ? owners[0] : undefined
}

/** A range is `7` or `7-9`; one in brackets is on its way and still belongs where it was. */
function isWithin(slot, range) {
  const [first, last = first] = range.split('-').map(Number)
  return slot >= first && slot <= last
}

async function moveSlot(cluster, slot, from, to, whileMoving) {
  const { nodes, ids } = cluster
  const [source, target] = [nodes[from].port, nodes[to].port]
  await command(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[from])
  await command(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to])
  for (;;) {
    const keys = await binaryCommand(source, 'CLUSTER', 'GETKEYSINSLOT', slot, MIGRATE_BATCH)
    if (keys.length === 0) break
    await command(source, 'MIGRATE', '127.0.0.1', target, '', 0, MIGRATE_TIMEOUT_MS, 'KEYS', ...keys.map((key) => Buffer.from(key, 'latin1')))
  }
  await whileMoving?.()
  // The new owner first, so that no node points to one that does not know yet. The others would hear of it later.
  await command(target, 'CLUSTER', 'SETSLOT', slot, 'NODE', ids[to])
  await command(source, 'CLUSTER', 'SETSLOT', slot, 'NODE', ids[to])
  await until(`all nodes know that slot ${slot} is on node ${to}`, async () => (await ownerOf(cluster, slot)) === to)
}
