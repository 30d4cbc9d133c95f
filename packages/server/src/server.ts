import type { OpenAPIHono } from '@hono/zod-openapi'
import { type CommonOptions, type PlanSet, systemClock, TollgateError } from 'tollgate'
import { planSet as businessChat } from 'tollgate/presets/business-chat'
import { planSet as chatModels } from 'tollgate/presets/chat-models'
import { planSet as telegramBot } from 'tollgate/presets/telegram-bot'
import { messages, planSet as virtualWorlds } from 'tollgate/presets/virtual-worlds'
import type { Costs } from 'tollgate/sqlite'
import { createApp } from './app.ts'
import { keyAccess, openAccess } from './auth/access.ts'
import { KeyRing } from './auth/keys.ts'
import { openStorage } from './data/storage.ts'
import { readinessOf } from './data/readiness.ts'
import { keepUp, watched } from './data/upkeep.ts'
import { DemoClock } from './demo/clock.ts'
import { isLoopback } from './demo/guard.ts'
import { demoAccess } from './demo/identity.ts'
import { offlineReplies, type WorldReplies } from './demo/replies.ts'
import { addDemo } from './demo/routes.ts'
import { errorResponse } from './http/problems.ts'
import { type Listener, listen } from './http/listener.ts'
import { type Env, Router } from './http/router.ts'
import { jsonLog, type Log } from './log/log.ts'
import { Metrics } from './metrics/metrics.ts'
import type { ChatModel } from './models/model.ts'
import { offlineModel } from './models/offline.ts'
import type { RouteContext } from './routes/context.ts'
import { addAnalytics } from './routes/analytics.ts'
import { addCredits } from './routes/credits.ts'
import { addDecisions } from './routes/decisions.ts'
import { addKeys } from './routes/keys.ts'
import { addPlans } from './routes/plans.ts'
import { addReservations } from './routes/reservations.ts'
import { addSubjects } from './routes/subjects.ts'
import { addSystem } from './routes/system.ts'
import { StartupError } from './startup-error.ts'
import { Tenants } from './tenants.ts'

export interface ServerOptions {
  /** Default: the four presets, which the demo needs. */
  planSets?: readonly PlanSet[]
  /** Options of each namespace's engine: its store, its limits of size, the texts of its messages. */
  engine?: (namespace: string) => CommonOptions
  /**
   * PostgreSQL, for any number of processes: `postgres://user:password@host:5432/database`. Everything is kept there:
   * credits, recorded usage, subjects, idempotency keys, API keys, rollout, secret and the demo clock.
   */
  databaseUrl?: string
  /**
   * Redis for the counters, shared by any number of processes: `redis://user:password@host:6379/0`, `rediss://` with TLS,
   * a cluster as several hosts between commas, `redis+sentinel://host:26379,host:26379/name`. Default: the database, else memory.
   */
  redisUrl?: string
  /** What the names of its keys begin with, for a Redis that others use too: up to 64 characters. Default `tg`. */
  redisPrefix?: string
  /** Without a database: the folder where all of that is kept, by one process. Without it, it goes with the process. */
  dataDir?: string
  /** A read replica of that database: analytics are read there, so that nobody else waits for them. */
  analyticsDatabaseUrl?: string
  /** Where days of analytics begin: an IANA name. Default `UTC`. What was recorded before keeps the days that it had. */
  timezone?: string
  /** Days that single usage events are kept: 1 … 3650. Default 90. */
  keepEventsDays?: number
  /** A folder for events that are older, in files of a day each; without one they are deleted. */
  archiveDir?: string
  /** What a request costs you, for `/v1/analytics/economics`. */
  costs?: Costs
  /** The first admin key. Without one, and without a stored one, nobody can use `/v1`. */
  adminKey?: string
  /** Keys the digests of contents: at least 16 bytes. Default: one that is made and kept with the rest. */
  secret?: string
  /** Preset routes for whoever says who they are, and a clock that can be put forward. For this machine only. */
  demo?: boolean | DemoOptions
  log?: Log
  /** Of a request. Default 256 KiB. */
  maxBodyBytes?: number
  /** Remembered answers per namespace, in memory only: a database has no bound. Default 100,000. */
  maxReceipts?: number
  /** Between two comments on a silent event stream. Default 15,000 ms. */
  heartbeatMs?: number
  /** How long requests under way may take when the server stops. Default 10,000 ms. */
  shutdownTimeoutMs?: number
}

export interface DemoOptions {
  /** Default: the offline model. */
  model?: ChatModel
  businessModel?: string
  worldReplies?: WorldReplies
  /** The flag CHAT_RATE_LIMITING_ENABLED. Default true. */
  isBusinessLimited?: boolean
}

export interface TollgateServer {
  /** A Hono app, to be mounted, or asked with `app.request`. */
  readonly app: OpenAPIHono<Env>
  /** Whether anybody has a key that may administer it. */
  readonly hasAdmin: boolean
  /** `port` 0 takes a free one. Default host: 127.0.0.1. */
  listen(at: { port: number; hostname?: string }): Promise<{ port: number; url: string }>
  /** Ends event streams, lets requests under way finish, then closes engines and what they are kept in. */
  close(): Promise<void>
}

const PRESETS: readonly PlanSet[] = [virtualWorlds, chatModels, businessChat, telegramBot]
const DEFAULT_BODY_BYTES = 262_144
/** Visible ASCII: a header cannot be relied on for more. */
const SENDABLE = /^[!-~]+$/

/** @throws StartupError in words for whoever starts it. */
export async function createServer(options: ServerOptions = {}): Promise<TollgateServer> {
  const { demo = false, planSets = PRESETS, log = jsonLog(), shutdownTimeoutMs = 10_000 } = options
  const isDemo = demo !== false
  if (isDemo && process.env.NODE_ENV === 'production') throw new StartupError('Demo mode believes whoever says who they are, and does not start under NODE_ENV=production. Unset TOLLGATE_DEMO, or NODE_ENV.')
  const missing = isDemo ? PRESETS.find((preset) => !planSets.some(({ name }) => name === preset.name)) : undefined
  if (missing) throw new StartupError(`The demo needs the plan set '${missing.name}'. Add it to planSets, or leave the demo out.`)
  const { adminKey } = options
  if (adminKey !== undefined && !SENDABLE.test(adminKey)) throw new StartupError('The admin key holds what `Authorization: Bearer` cannot carry: white space, or characters beyond ASCII. Set TOLLGATE_ADMIN_KEY to another, for example the output of: openssl rand -base64 32')
  const maxReceipts = options.maxReceipts ?? 100_000
  const storage = await openStorage({ databaseUrl: options.databaseUrl, analyticsDatabaseUrl: options.analyticsDatabaseUrl, redisUrl: options.redisUrl, redisPrefix: options.redisPrefix, dataDir: options.dataDir, record: { timezone: options.timezone, keepEventsDays: options.keepEventsDays, archiveDir: options.archiveDir }, maxReceipts, log })
  try {
    const { state } = storage
    const secret = options.secret ?? (await storage.secret())
    const demoClock = isDemo ? new DemoClock(state) : undefined
    const clock = demoClock ?? systemClock
    const stores = storage.stores(demoClock)
    const metrics = new Metrics()
    const keys = new KeyRing(state, adminKey)
    const engine = (namespace: string): CommonOptions => ({ messages, ...options.engine?.(namespace) })
    const tenants = new Tenants({ planSets, engine, clock, secret, state, stores, metrics, log })
    // Made now: what is wrong with plans or secret should stop the start, not the first request.
    const home = tenants.of('default')
    const app = createApp({ log, metrics, isDemo })
    const router = new Router(app, { maxBodyBytes: options.maxBodyBytes ?? DEFAULT_BODY_BYTES, secret })
    const background = new Set<Promise<unknown>>()
    const isAlive = watched(storage)
    let isStopping = false
    const context: RouteContext = {
      router, tenants, keys, planSets, metrics, log, isDemo,
      costs: options.costs ?? {},
      needs: keyAccess(keys, tenants),
      anybody: openAccess(() => home),
      heartbeatMs: options.heartbeatMs ?? 15_000,
      readiness: async () => (isStopping ? { status: 'stopping', problems: [] } : readinessOf(await isAlive(), (await storage.problems?.()) ?? [])),
    }
    for (const add of [addSystem, addDecisions, addReservations, addSubjects, addCredits, addPlans, addAnalytics, addKeys]) add(context)
    if (demoClock) {
      const given = demo === true ? {} : (demo as DemoOptions)
      addDemo({
        ...context, clock: demoClock, state,
        tenant: () => home,
        visitors: (audience) => demoAccess(() => home, audience),
        model: given.model ?? offlineModel(),
        businessModel: given.businessModel ?? 'gemini-2.0-flash',
        worldReplies: given.worldReplies ?? offlineReplies,
        isBusinessLimited: given.isBusinessLimited ?? true,
        inBackground(work) {
          background.add(work)
          void work.finally(() => background.delete(work))
        },
      })
    }
    router.finish()

    const upkeep = keepUp(stores, log)
    let listener: Listener | undefined
    let closing: Promise<void> | undefined
    return {
      app,
      get hasAdmin() {
        return keys.hasAdmin
      },
      async listen({ port, hostname = '127.0.0.1' }) {
        if (listener) throw new StartupError('This server listens already.')
        if (isDemo && !isLoopback(hostname)) throw new StartupError(`Demo mode listens on this machine only, not on ${hostname}. Leave the host out.`)
        const onUnreadable = () => errorResponse(new TollgateError('MALFORMED_BODY', 'the request line or the Host header cannot be read'), log, { method: 'unknown', route: 'unknown' })
        listener = await listen({ fetch: app.fetch as Parameters<typeof listen>[0]['fetch'], onUnreadable, begin: () => metrics.begin() }, port, hostname)
        return { port: listener.port, url: `http://${hostname === '127.0.0.1' ? 'localhost' : hostname.includes(':') ? `[${hostname}]` : hostname}:${listener.port}` }
      },
      close() {
        return (closing ??= (async () => {
          isStopping = true
          tenants.endStreams()
          await listener?.stop(shutdownTimeoutMs)
          await Promise.allSettled(background)
          await upkeep.stop()
          await tenants.close()
          await storage.close()
        })())
      },
    }
  } catch (error) {
    await storage.close()
    throw error
  }
}
