/** What a Redis that is away costs: 500 requests a second through an outage, under each failure policy. */
import { createTollgate, quota, slidingWindow, TollgateError } from 'tollgate'
import { openRedis } from 'tollgate/redis'
import { startProxy } from '../tools/services/proxy.mjs'
import { startRedis } from '../tools/services/redis.mjs'

const PER_SECOND = 500
const SUBJECTS = 1000
const DEADLINE_MS = 50
const OUTAGE_MS = 30_000
const AROUND_MS = 2000
const TICK_MS = 10
const PLENTY = 1_000_000

/** A server that is gone refuses connections; one that hangs takes them, and never answers. */
const OUTAGES = { gone: { begin: (proxy) => proxy.cut(), end: (proxy) => proxy.mend() }, silent: { begin: (proxy) => proxy.pause(), end: (proxy) => proxy.resume() } }

export async function outage() {
  const results = []
  for (const policy of ['local', 'open', 'closed']) for (const kind of Object.keys(OUTAGES)) results.push({ policy, kind, ...(await measure(policy, kind)) })
  return {
    columns: [`outage of ${OUTAGE_MS / 1000} s, ${PER_SECOND} requests/s`, 'p50 ms', 'p99 ms', 'slowest ms', 'the same less what the machine was late', 'memory, MB', 'degraded', 'refused', 'admitted', 'counted when it is back'],
    rows: results.map(({ policy, kind, p50, p99, slowest, own, megabytes, degraded, refused, admitted, counted }) => [`\`${policy}\`, Redis ${kind}`, p50.toFixed(1), p99.toFixed(1), Math.round(slowest), Math.round(own), Math.round(megabytes), degraded, refused, admitted, counted]),
    goals: [
      ...results.map(({ policy, kind, own }) => ({ what: `\`${policy}\`, ${kind}: slowest call beyond its deadline of ${DEADLINE_MS} ms, less the event loop's own delay`, goal: 20, is: Math.max(0, own - DEADLINE_MS) })),
      ...results.filter(({ policy }) => policy !== 'closed').map(({ policy, kind, admitted, counted }) => ({ what: `\`${policy}\`, ${kind}: share of what was admitted that is counted when Redis is back`, goal: 1, is: Math.min(1, counted / admitted), atLeast: true })),
    ],
    facts: [],
  }
}

async function measure(onFailure, kind) {
  const server = await startRedis()
  const proxy = await startProxy({ port: server.port })
  const redis = await openRedis(`redis://127.0.0.1:${proxy.port}`)
  const plans = { free: { rank: 0, limits: { daily: quota({ limit: PLENTY, every: 'day', onFailure }), minute: slidingWindow({ limit: PLENTY, window: '1m', onFailure }) } } }
  const tollgate = createTollgate({ plans, defaultPlan: 'free', store: redis.store, secret: 'the secret of a benchmark', storeTimeoutMs: DEADLINE_MS })
  const seen = { times: [], own: [], degraded: 0, refused: 0, admitted: 0 }
  let asked = 0
  const load = { isOutage: false }
  let lateMs = 0
  let expectedAt = performance.now() + TICK_MS
  const pending = new Set()
  const tick = setInterval(() => {
    const now = performance.now()
    lateMs = Math.max(0, now - expectedAt)
    for (const call of pending) call.lateMs += lateMs
    expectedAt = now + TICK_MS
    for (let i = 0; i < (PER_SECOND * TICK_MS) / 1000; i++) void ask()
  }, TICK_MS)
  async function ask() {
    const call = { lateMs: 0, isOutage: load.isOutage }
    const startedAt = performance.now()
    pending.add(call)
    try {
      const decision = await tollgate.consume({ subject: `user:${asked++ % SUBJECTS}` })
      if (decision.allowed) seen.admitted++
      if (decision.degraded) seen.degraded++
    } catch (error) {
      if (!TollgateError.isInstance(error)) throw error
      seen.refused++
    }
    pending.delete(call)
    const ms = performance.now() - startedAt
    if (!call.isOutage) return
    seen.times.push(ms)
    seen.own.push(ms - call.lateMs - Math.max(0, performance.now() - expectedAt))
  }
  await passes(AROUND_MS)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  load.isOutage = true
  await OUTAGES[kind].begin(proxy)
  await passes(OUTAGE_MS)
  const megabytes = (process.memoryUsage().heapUsed - before) / 1e6
  load.isOutage = false
  await OUTAGES[kind].end(proxy)
  await passes(AROUND_MS)
  clearInterval(tick)
  while (pending.size > 0 || (await tollgate.check({ subject: 'probe' }).then(({ degraded }) => degraded, () => true))) await passes(50)
  await passes(AROUND_MS)
  let counted = 0
  for (let i = 0; i < SUBJECTS; i++) counted += (await tollgate.usage(`user:${i}`)).limits.find(({ limit }) => limit === 'daily').used
  await tollgate.close()
  await redis.close()
  await proxy.stop()
  await server.stop()
  const sorted = seen.times.toSorted((a, b) => a - b)
  return { p50: sorted[sorted.length >> 1], p99: sorted[Math.floor(sorted.length * 0.99)], slowest: sorted.at(-1), own: Math.max(...seen.own), megabytes, degraded: seen.degraded, refused: seen.refused, admitted: seen.admitted, counted }
}

const passes = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
