import { connectionOf, type RedisClient, type RedisConnection } from './client.ts'

export interface Problem {
  readonly check: 'reachable' | 'version' | 'eviction' | 'persistence' | 'slots' | 'clock'
  /** `error`: limits would be lost or passed. `warning`: they hold, and an operator should know. */
  readonly level: 'error' | 'warning'
  /** What is wrong, and the fix. */
  readonly message: string
}

export interface PreflightOptions {
  /** How long Redis may take to answer: 1 … 60,000 ms. Default 2000. */
  timeoutMs?: number
  /** What the database's clock says, epoch ms: periods of credits go by that one, limits by Redis's. */
  databaseNow?: () => Promise<number>
}

const OLDEST = [6, 2] as const
/** A second of difference moves the end of a day by a second. */
const MAX_SKEW_MS = 1000

/**
 * What an operator should know of a Redis before limits are kept in it: every key has an expiry, so that any policy but
 * `noeviction` may evict limits that are in force. Changes nothing.
 */
export async function preflight(client: RedisClient, { databaseNow, timeoutMs = 2000 }: PreflightOptions = {}): Promise<Problem[]> {
  const connection = connectionOf(client)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Problem[]>((resolve) => (timer = setTimeout(resolve, timeoutMs, AWAY)))
  try {
    return await Promise.race([problemsOn(connection, databaseNow), late])
  } catch {
    return AWAY
  } finally {
    clearTimeout(timer)
  }
}

/** Not in the client's words, which may name addresses: operators find them in the log, and whoever asks is told this. */
const AWAY: Problem[] = [{ check: 'reachable', level: 'error', message: 'Redis does not answer; start it, or correct REDIS_URL' }]

async function problemsOn(connection: RedisConnection, databaseNow: PreflightOptions['databaseNow']): Promise<Problem[]> {
  const infos = (await connection.everywhere(['INFO'])).map((reply) => infoOf(String(reply)))
  const skewMs = databaseNow && (await skewOf(() => connection.command(['TIME']), databaseNow))
  const problems = infos.flatMap((info) => problemsOf(info))
  if (connection.isCluster || infos.some((info) => info['cluster_enabled'] === '1')) problems.push(...(await slotProblems(() => connection.command(['CLUSTER', 'INFO']), connection.isCluster)))
  if (skewMs !== undefined && Math.abs(skewMs) > MAX_SKEW_MS) problems.push({ check: 'clock', level: 'warning', message: `Redis's clock is ${Math.round(Math.abs(skewMs))} ms ${skewMs > 0 ? 'ahead of' : 'behind'} the database's; synchronise both, or days of limits and of credits end apart` })
  // Every master says the same.
  return problems.filter(({ message }, i) => problems.findIndex((other) => other.message === message) === i)
}

type Info = Readonly<Record<string, string | undefined>>

function infoOf(text: string): Info {
  return Object.fromEntries([...text.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name, value]) => [name, value]))
}

function problemsOf(info: Info): Problem[] {
  const problems: Problem[] = []
  // Valkey and others say beside it which Redis they are compatible with.
  const version = info['redis_version'] ?? ''
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) problems.push({ check: 'version', level: 'error', message: `Redis ${version || 'of an unknown version'} is too old; use 6.2 or newer, or Valkey` })
  const policy = info['maxmemory_policy']
  if (policy === undefined) problems.push({ check: 'eviction', level: 'warning', message: 'Redis does not tell its maxmemory-policy; make sure that it is noeviction' })
  else if (policy !== 'noeviction') problems.push({ check: 'eviction', level: 'error', message: `Redis's maxmemory-policy is ${policy}, which may evict limits that are in force; set it to noeviction, and give maxmemory room` })
  if (info['aof_enabled'] !== '1') {
    problems.push({ check: 'persistence', level: 'warning', message: 'Redis has no append-only file: a crash takes it back to its last snapshot, or to nothing (then quotas come back from the record, rates and open reservations do not); set appendonly yes' })
  }
  return problems
}

async function slotProblems(ask: () => Promise<unknown>, isClusterClient: boolean): Promise<Problem[]> {
  const info = infoOf(String(await ask()))
  const problems: Problem[] = []
  if (!isClusterClient) problems.push({ check: 'slots', level: 'error', message: 'Redis is a node of a cluster, and the client talks to one node only; name several nodes between commas, or add ?cluster=1 to REDIS_URL' })
  const assigned = Number(info['cluster_slots_ok'] ?? info['cluster_slots_assigned'] ?? 0)
  if (info['cluster_state'] !== 'ok' || assigned < 16_384) problems.push({ check: 'slots', level: 'error', message: `${16_384 - assigned} of the cluster's 16,384 slots are served by no node; give them to one, or limits of their subjects are decided by their failure policy` })
  return problems
}

/** How far Redis's clock is ahead, by the middle of a round trip to each. */
async function skewOf(time: () => Promise<unknown>, databaseNow: () => Promise<number>): Promise<number> {
  const redis = await aheadOf(async () => {
    const [seconds, micros] = (await time()) as [unknown, unknown]
    return Number(String(seconds)) * 1000 + Number(String(micros)) / 1000
  })
  return redis - (await aheadOf(databaseNow))
}

async function aheadOf(now: () => Promise<number>): Promise<number> {
  const before = Date.now()
  const there = await now()
  return there - (before + Date.now()) / 2
}
