import { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { localOnly } from './demo/guard.ts'
import { errorResponse, HttpError } from './http/problems.ts'
import type { Env } from './http/router.ts'
import type { Log } from './log/log.ts'
import type { Metrics } from './metrics/metrics.ts'

/** The application without its routes: what every request meets first, and what every error becomes. */
export function createApp({ log, metrics, isDemo }: { log: Log; metrics: Metrics; isDemo: boolean }): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>()
  app.onError((error, c) => errorResponse(error, log, { method: c.req.method, route: routeOf(c.get('route')) }))
  app.use(measured(metrics))
  if (isDemo) app.use(localOnly)
  app.use(readablePath)
  return app
}

function measured(metrics: Metrics): MiddlewareHandler<Env> {
  return async (c, next) => {
    const startedAt = performance.now()
    await next()
    metrics.answered(methodOf(c.req.method), routeOf(c.get('route')), c.res.status, (performance.now() - startedAt) / 1000)
  }
}

/** Clients may invent methods and paths; labels must not grow by them. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])
const methodOf = (method: string) => (METHODS.has(method) ? method : 'other')
const routeOf = (route: string | undefined) => route ?? 'unknown'

/** Half-decoded names would make two subjects of one. */
const readablePath: MiddlewareHandler<Env> = (c, next) => {
  const { url } = c.req
  if (url.includes('%')) {
    try {
      decodeURIComponent(url)
    } catch {
      throw new HttpError(400, 'Bad Request', 'MALFORMED_URL', 'url', 'it holds a percent sign that begins no valid encoding; write % as %25')
    }
  }
  return next()
}
