import { z } from '@hono/zod-openapi'
import { KEY_SCHEME } from '../auth/access.ts'
import { json } from '../http/json.ts'
import { METRICS_CONTENT_TYPE } from '../metrics/registry.ts'
import type { RouteContext } from './context.ts'

const state = z.object({ status: z.string() })
const readinessSchema = z.object({
  status: z.enum(['ready', 'degraded', 'misconfigured', 'unavailable', 'stopping']).describe('`degraded`: Redis does not answer, and limits do what their failure policy says. `misconfigured`: Redis would lose limits that are in force. `unavailable`: the database does not answer.'),
  problems: z.array(z.object({ check: z.string(), level: z.enum(['error', 'warning']), message: z.string() })).describe('What an operator should know of Redis; empty without it.'),
})

/** What machines ask: `/healthz`, `/readyz`, `/metrics`, `/openapi.json`; and `/`, for people who try the address. */
export function addSystem({ router, anybody, metrics, readiness, isDemo }: RouteContext): void {
  const tag = 'System'
  const access = anybody
  const get = { method: 'get', tag, access } as const
  router.add({ ...get, path: '/healthz', summary: 'Whether the process runs', answers: { 200: { description: 'It does.', schema: state } } }, () => json({ status: 'ok' }))
  router.add(
    { ...get, path: '/readyz', summary: 'Whether to send it requests', answers: { 200: { description: '`ready`, or `degraded`.', schema: readinessSchema }, 503: { description: '`misconfigured`, `unavailable` or `stopping`.', schema: readinessSchema } } },
    async () => {
      const { status, problems } = await readiness()
      return json({ status, problems }, status === 'ready' || status === 'degraded' ? 200 : 503)
    },
  )
  router.add(
    { ...get, path: '/metrics', summary: "Metrics in Prometheus' text format", description: 'Open, as scrapers expect; it names plans, limits and routes, never subjects or namespaces.', answers: { 200: { description: 'Text format 0.0.4.', schema: z.string(), contentType: 'text/plain' } } },
    () => new Response(metrics.text(), { headers: { 'Content-Type': METRICS_CONTENT_TYPE } }),
  )
  router.add({ ...get, path: '/openapi.json', summary: 'This description', answers: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({ openapi: z.string() }) } } }, () => json(description()))
  router.add({ ...get, path: '/', summary: 'Where to go from here', answers: { 200: { description: 'The routes.', schema: z.looseObject({ routes: z.array(z.string()) }) } } }, () =>
    json({ name: 'Tollgate', demo: isDemo, description: '/openapi.json', routes: router.routes() }),
  )

  // Every route is known by the time somebody asks.
  let made: unknown
  function description(): unknown {
    return (made ??= router.app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'Tollgate', version: VERSION, description: 'Rate limits, quotas and credits for AI products, decided in one atomic step. Instants are epoch milliseconds, unlimited is null, a denial is an answer.' },
    }))
  }
  router.app.openAPIRegistry.registerComponent('securitySchemes', KEY_SCHEME, {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key of POST /v1/keys, or the one of TOLLGATE_ADMIN_KEY. Scopes: `read`; `consume`, which includes it; `admin`, which includes both.',
  })
}

/** Of the API. */
const VERSION = '1'
