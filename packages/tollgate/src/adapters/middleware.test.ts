/** One suite for all middlewares: each framework only says how it is started and how its handlers are written. */
import { serve } from '@hono/node-server'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { quota } from '../define/limits.ts'
import { definePlans } from '../define/plans.ts'
import { createTollgate } from '../engine/create.ts'
import type { Decision, LimitState, Names, Settlement, TollgateRequest } from '../engine/types.ts'
import { TollgateError } from '../errors/index.ts'
import * as forExpress from './express.ts'
import * as forFastify from './fastify.ts'
import * as forHono from './hono.ts'
import type { Admission, HttpEngine } from './http/gate.ts'
import type { NodeResponse } from './http/node.ts'
import * as forNext from './next.ts'

const DECIDED_AT = Date.UTC(2026, 10, 21, 23, 0, 0)
const DAILY: LimitState = { limit: 'daily', kind: 'quota', code: 'QUOTA_EXCEEDED', max: 50, used: 1, remaining: 49, resetAt: DECIDED_AT + 3_600_000, retryAfterMs: 0 }
const ALLOWED: Decision = { allowed: true, subject: 'user:1', plan: 'free', mode: 'enforce', degraded: false, violations: [], limits: [DAILY], decidedAt: DECIDED_AT, retryAfterMs: 0 }
const DENIED: Decision = {
  ...ALLOWED, allowed: false, retryAfterMs: 4001,
  violations: [{ limit: 'cooldown', kind: 'cooldown', code: 'COOLDOWN', max: 1, used: 1, remaining: 0, resetAt: DECIDED_AT + 4001, retryAfterMs: 4001, message: 'One moment.', liftedBy: ['ultra'] }],
}
const RESERVATION = { id: 'r1', expiresAt: DECIDED_AT + 60_000 } as NonNullable<Decision['reservation']>

/** Answers what it is told to, and writes down what it was asked. */
function fakeEngine(answer: Decision | Error = ALLOWED) {
  const calls: unknown[] = []
  const decide = async (kind: string, request: TollgateRequest): Promise<Decision> => {
    calls.push([kind, request])
    if (answer instanceof Error) throw answer
    return answer
  }
  const settlement = { id: 'r1', status: 'committed' } as Settlement
  const engine: HttpEngine = {
    consume: (request) => decide('consume', request),
    reserve: async (request) => {
      const decision = await decide('reserve', request)
      return decision.allowed ? { ...decision, reservation: RESERVATION } : decision
    },
    commit: async (id, options) => (calls.push(['commit', id, options]), settlement),
    release: async (id) => (calls.push(['release', id]), settlement),
    plan: () => ({ id: 'free', limits: [{ name: 'daily', kind: 'quota', max: 50, windowMs: 86_400_000 }] }),
  }
  return { engine, calls, settlements: () => calls.slice(1) }
}

interface Options {
  request: () => TollgateRequest<Names> | null
  mode?: 'consume' | 'reserve'
  onSettleError?: (error: unknown) => void
  /** The text that a custom answer to a denial consists of. */
  deniedText?: string
}

interface App {
  fetch(path: string, init?: RequestInit): Promise<Response>
  close(): Promise<unknown>
}

/** A stream of two chunks; the second waits until the test calls `goOn`. */
function twoChunks() {
  let goOn = () => {}
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve))
  async function* chunks() {
    yield new TextEncoder().encode('first ')
    await mayGoOn
    yield new TextEncoder().encode('second')
  }
  return { body: () => streamOf(chunks()), goOn: () => goOn() }
}

async function* brokenChunks() {
  yield new Uint8Array(1)
  throw new Error('broken')
}

function streamOf(chunks: AsyncIterator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
}

let stream = twoChunks()
const request = () => ({ subject: 'user:1' })
const spend = (admission: Admission<Names> | null | undefined) => admission?.set({ tokens: 834 })
const handlers = {
  '/json': () => Response.json({ ok: true }),
  '/empty': () => new Response(null, { status: 204 }),
  '/bad': () => Response.json({ ok: false }, { status: 400 }),
  '/throw': (): Response => {
    throw new Error('secret of the handler')
  },
  '/throw-text': (): Response => {
    throw 'not even an Error'
  },
  '/stream': () => new Response(stream.body()),
  '/broken': () => new Response(streamOf(brokenChunks())),
}
type Path = keyof typeof handlers

function over(server: { address(): AddressInfo | string | null; close(done: () => void): unknown; closeAllConnections?(): void }): App {
  const { port } = server.address() as AddressInfo
  return {
    fetch: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    close: () => new Promise<void>((resolve) => (server.close(resolve), server.closeAllConnections?.())),
  }
}

function honoApp(engine: HttpEngine, { deniedText, ...options }: Options) {
  const app = new Hono<{ Variables: { tollgate: Admission<Names> } }>()
  app.use('*', forHono.tollgate(engine, { ...options, ...(deniedText && { onDenied: () => new Response(deniedText, { status: 418 }) }) }))
  app.onError((_, c) => c.text('oops', 500))
  for (const [path, handler] of Object.entries(handlers)) app.all(path, (c) => (spend(c.get('tollgate')), handler()))
  return app
}

const frameworks: Record<string, (engine: HttpEngine, options: Options) => Promise<App>> = {
  async 'hono where there is only fetch'(engine, options) {
    const app = honoApp(engine, options)
    return { fetch: async (path, init) => app.request(path, init), close: async () => {} }
  },

  async 'hono on node-server'(engine, options) {
    const app = honoApp(engine, options)
    return new Promise((resolve) => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, () => resolve(over(server as ReturnType<typeof createServer>)))
    })
  },

  async express(engine, { deniedText, ...options }) {
    interface Res extends NodeResponse { write(chunk: Uint8Array): void; destroy(): void }
    type Handler = (req: forExpress.ExpressRequest, res: Res, next: (error?: unknown) => void) => unknown
    const { default: express } = (await import('express' as string)) as { default: () => RequestListener & { use(handler: Handler | unknown): void; all(path: string, handler: Handler): void } }
    const app = express()
    app.use(forExpress.tollgate<Names, forExpress.ExpressRequest, Res>(engine, { ...options, ...(deniedText && { onDenied: (_, __, res) => void res.end(deniedText) }) }))
    for (const [path, handler] of Object.entries(handlers)) {
      app.all(path, async (req, res) => {
        spend(req.tollgate)
        const response = handler()
        res.statusCode = response.status
        if (response.body) for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) res.write(chunk)
        res.end('')
      })
    }
    // Four parameters, by which Express knows an error handler.
    app.use((_error: unknown, _req: unknown, res: Res & { headersSent: boolean }, _next: unknown) => {
      if (res.headersSent) return res.destroy()
      res.statusCode = 500
      res.end('oops')
    })
    const server = createServer(app)
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(over(server))))
  },

  async fastify(engine, { deniedText, ...options }) {
    const app = fastify({ forceCloseConnections: true })
    await app.register(forFastify.tollgate(engine, { ...options, ...(deniedText && { onDenied: () => deniedText }) }))
    app.setErrorHandler((_error, _request, reply) => reply.code(500).send('oops'))
    for (const [path, handler] of Object.entries(handlers)) {
      app.all(path, async (request, reply) => {
        spend((request as forFastify.FastifyRequest).tollgate)
        const response = handler()
        reply.code(response.status)
        return response.body ? reply.send(Readable.from(response.body as unknown as AsyncIterable<Uint8Array>, { objectMode: false })) : reply.send()
      })
    }
    await app.listen({ port: 0, host: '127.0.0.1' })
    return { ...over(app.server), close: () => app.close() }
  },

  async next(engine, { deniedText, ...options }) {
    const limited = forNext.tollgate(engine, { ...options, ...(deniedText && { onDenied: () => new Response(deniedText, { status: 418 }) }) })
    const route = limited((request, _context, admission) => (spend(admission), handlers[new URL(request.url).pathname as Path]()))
    // What Next itself does with a handler that throws.
    const call = (request: Request) => route(request, {}).catch(() => new Response('oops', { status: 500 }))
    return { fetch: (path, init) => call(new Request(`http://localhost${path}`, init)), close: async () => {} }
  },
}

describe.each(Object.keys(frameworks))('%s', (name) => {
  const apps: App[] = []
  const start = async (engine: HttpEngine, options: Partial<Options> = {}) => {
    const app = await frameworks[name]!(engine, { request, ...options })
    apps.push(app)
    return app
  }
  afterEach(async () => {
    vi.restoreAllMocks()
    stream.goOn()
    stream = twoChunks()
    await Promise.all(apps.splice(0).map((app) => app.close()))
  })

  it('lets an admitted request pass, with headers', async () => {
    const { engine, calls } = fakeEngine()
    const response = await (await start(engine)).fetch('/json', { headers: { 'Accept-Language': 'es-MX' } })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('{"ok":true}')
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'ratelimit-policy': '"daily";q=50;w=86400',
      ratelimit: '"daily";r=49;t=3600',
      'x-ratelimit-limit': '50',
      'x-ratelimit-remaining': '49',
      'x-ratelimit-reset': `${DAILY.resetAt! / 1000}`,
    })
    expect(response.headers.has('retry-after')).toBe(false)
    expect(calls).toEqual([['consume', { subject: 'user:1', locale: 'es' }]])
  })

  it('speaks the language that the request names', async () => {
    const { engine, calls } = fakeEngine()
    await (await start(engine, { request: () => ({ subject: 'user:1', locale: 'ru' }) })).fetch('/json', { headers: { 'Accept-Language': 'es' } })
    expect(calls).toEqual([['consume', { subject: 'user:1', locale: 'ru' }]])
  })

  it('speaks the language of the client where the request names an undefined one', async () => {
    const { engine, calls } = fakeEngine()
    const unnamed = { subject: 'user:1', locale: undefined } as unknown as TollgateRequest
    await (await start(engine, { request: () => unnamed })).fetch('/json', { headers: { 'Accept-Language': 'es' } })
    expect(calls).toEqual([['consume', { subject: 'user:1', locale: 'es' }]])
  })

  it('answers a denial with a problem', async () => {
    const response = await (await start(fakeEngine(DENIED).engine)).fetch('/throw')
    expect(response.status).toBe(429)
    expect(Object.fromEntries(response.headers)).toMatchObject({ 'content-type': expect.stringMatching(/^application\/problem\+json/), 'cache-control': 'no-store', 'retry-after': '5', ratelimit: '"daily";r=49;t=3600' })
    expect(await response.json()).toMatchObject({ type: 'https://iana.org/assignments/http-problem-types#quota-exceeded', status: 429, code: 'COOLDOWN', detail: 'One moment.', 'violated-policies': ['cooldown'] })
  })

  it('answers a denial as it is told to, with the same headers', async () => {
    const response = await (await start(fakeEngine(DENIED).engine, { deniedText: 'slowly!' })).fetch('/json')
    expect(await response.text()).toBe('slowly!')
    expect(response.headers.get('retry-after')).toBe('5')
    expect(response.status).toBeGreaterThanOrEqual(400)
  })

  it('does not ask about a request that is not limited', async () => {
    const { engine, calls } = fakeEngine(DENIED)
    const response = await (await start(engine, { request: () => null })).fetch('/json')
    expect(response.status).toBe(200)
    expect(response.headers.has('ratelimit')).toBe(false)
    expect(calls).toEqual([])
  })

  it('tells bad requests and stores that are down as problems', async () => {
    const invalid = await (await start(fakeEngine(new TollgateError('UNKNOWN_OPERATION', 'no such operation')).engine)).fetch('/json')
    expect([invalid.status, (await invalid.json()).detail]).toEqual([422, 'no such operation'])
    const down = await (await start(fakeEngine(new TollgateError('STORE_UNAVAILABLE', 'redis at 10.0.0.5', { retryAfterMs: 2500 })).engine)).fetch('/json')
    expect([down.status, down.headers.get('retry-after')]).toEqual([503, '3'])
    expect(await down.text()).not.toContain('10.0.0.5')
    const thrown = () => { throw new TollgateError('UNAUTHENTICATED', 'log in first') }
    expect((await (await start(fakeEngine().engine, { request: thrown })).fetch('/json')).status).toBe(401)
  })

  it('leaves other errors to the framework', async () => {
    const response = await (await start(fakeEngine(new Error('a bug')).engine)).fetch('/json')
    expect([response.status, await response.text()]).toEqual([500, 'oops'])
  })

  it('settles nothing that was consumed, not even the reservation of a capacity', async () => {
    const { engine, calls } = fakeEngine({ ...ALLOWED, reservation: RESERVATION })
    await (await (await start(engine)).fetch('/bad')).text()
    expect(calls).toMatchObject([['consume', {}]])
  })

  describe('mode reserve', () => {
    const outcomes: [Path, unknown][] = [
      ['/json', ['commit', 'r1', { amounts: { tokens: 834 } }]],
      ['/empty', ['commit', 'r1', { amounts: { tokens: 834 } }]],
      ['/bad', ['release', 'r1']],
      ['/throw', ['release', 'r1']],
      ['/throw-text', ['release', 'r1']],
      ['/broken', ['release', 'r1']],
    ]
    it.each(outcomes)('settles %s once', async (path, expected) => {
      vi.spyOn(console, 'error').mockReturnValue()
      const { engine, settlements } = fakeEngine()
      const response = await (await start(engine, { mode: 'reserve' })).fetch(path).catch(() => undefined)
      await response?.text().catch(() => undefined)
      await vi.waitFor(() => expect(settlements()).toEqual([expected]))
    })

    it('commits a stream when it has ended', async () => {
      const { engine, settlements } = fakeEngine()
      const response = await (await start(engine, { mode: 'reserve' })).fetch('/stream')
      const reader = response.body!.getReader()
      expect(new TextDecoder().decode((await reader.read()).value)).toBe('first ')
      expect(settlements()).toEqual([])
      stream.goOn()
      expect(new TextDecoder().decode((await reader.read()).value)).toBe('second')
      expect((await reader.read()).done).toBe(true)
      await vi.waitFor(() => expect(settlements()).toEqual([['commit', 'r1', { amounts: { tokens: 834 } }]]))
    })

    it('releases when the client leaves in the middle of a stream', async () => {
      const { engine, settlements } = fakeEngine()
      const response = await (await start(engine, { mode: 'reserve' })).fetch('/stream')
      const reader = response.body!.getReader()
      await reader.read()
      await reader.cancel()
      await vi.waitFor(() => expect(settlements()).toEqual([['release', 'r1']]))
    })

    it('commits after HEAD, whose body nobody reads', async () => {
      const { engine, settlements } = fakeEngine()
      expect((await (await start(engine, { mode: 'reserve' })).fetch('/json', { method: 'HEAD' })).status).toBe(200)
      await vi.waitFor(() => expect(settlements()).toEqual([['commit', 'r1', { amounts: { tokens: 834 } }]]))
    })

    it('reserves nothing, and settles nothing, when denied', async () => {
      const { engine, calls } = fakeEngine(DENIED)
      expect((await (await start(engine, { mode: 'reserve' })).fetch('/json')).status).toBe(429)
      expect(calls).toMatchObject([['reserve', {}]])
    })

    it('answers although the commit fails, and reports it', async () => {
      const { engine } = fakeEngine()
      const lost = new Error('connection lost')
      const failing = { ...engine, commit: () => Promise.reject(lost) }
      const onSettleError = vi.fn<(error: unknown) => void>()
      const response = await (await start(failing, { mode: 'reserve', onSettleError })).fetch('/json')
      expect(await response.text()).toBe('{"ok":true}')
      await vi.waitFor(() => expect(onSettleError.mock.calls).toEqual([[lost]]))
    })

    it('does not mind a handler that settled by itself', async () => {
      const { engine } = fakeEngine()
      const commit = vi.fn<HttpEngine['commit']>(() => Promise.reject(new TollgateError('ALREADY_SETTLED', 'settled before')))
      const onSettleError = vi.fn<(error: unknown) => void>()
      await (await (await start({ ...engine, commit }, { mode: 'reserve', onSettleError })).fetch('/json')).text()
      await vi.waitFor(() => expect(commit).toHaveBeenCalled())
      expect(onSettleError).not.toHaveBeenCalled()
    })
  })

  it('refuses a mode that does not exist, at start-up', async () => {
    await expect(start(fakeEngine().engine, { mode: 'reserved' as 'reserve' })).rejects.toThrow("mode: 'reserved' is not a mode; use 'consume' or 'reserve'")
  })
})

describe('with the engine itself', () => {
  it('counts what succeeds, gives back what fails, and says in the client’s language when it frees', async () => {
    const limits = (daily: number) => ({ daily: quota({ limit: daily, every: 'day' }), tokens: quota({ limit: 1_000_000, every: 'month', meter: 'tokens' }) })
    const plans = definePlans({ free: { rank: 0, limits: limits(2) }, plus: { rank: 1, limits: limits(500) } })
    const engine = createTollgate({ plans, clock: () => DECIDED_AT })
    const app = honoApp(engine, { request: () => ({ subject: 'user:1', plan: 'free' }), mode: 'reserve' })
    const statuses: number[] = []
    for (const path of ['/json', '/bad', '/throw', '/json']) {
      const response = await app.request(path)
      await response.text()
      statuses.push(response.status)
    }
    expect(statuses).toEqual([200, 400, 500, 200])
    const denied = await app.request('/json', { headers: { 'Accept-Language': 'es-MX, en;q=0.5' } })
    expect([denied.status, denied.headers.get('retry-after'), denied.headers.get('ratelimit')]).toMatchObject([429, '3600', expect.stringMatching(/^"daily";r=0;t=3600, "tokens";r=998332;t=\d+$/)])
    expect((await denied.json()).detail).toMatch(/^Límite diario alcanzado: «daily» permite 2 solicitudes al día\. Inténtalo de nuevo en 1 hora .* El plan plus da 500\.$/)
  })
})
