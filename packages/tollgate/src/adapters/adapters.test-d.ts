/** What compiles, and what does not: middlewares know the engine's names and the framework's own types. */
import { fastify } from 'fastify'
import { type Context, Hono } from 'hono'
import { createTollgate } from '../engine/create.ts'
import { allowOnly, quota } from '../define/limits.ts'
import { definePlans } from '../define/plans.ts'
import { tollgate as express } from './express.ts'
import { tollgate as fastifyPlugin } from './fastify.ts'
import { tollgate as hono } from './hono.ts'
import type { Admission } from './http/index.ts'
import { tollgate as next } from './next.ts'

const plans = definePlans({
  free: { rank: 0, limits: { daily: quota({ limit: 50, every: 'day' }), tokens: quota({ limit: 1000, every: 'month', meter: 'tokens' }), models: allowOnly({ model: ['small'] }) } },
})
const engine = createTollgate({ plans })

interface Env {
  Variables: { userId: string; tollgate: Admission }
}
const app = new Hono<Env>()
app.use('*', hono(engine, { mode: 'reserve', request: (c: Context<Env>) => ({ subject: `user:${c.get('userId')}`, plan: 'free', dimensions: { model: 'small' } }) }))
app.get('/', hono(engine, { request: async (c: Context) => (c.req.query('free') ? null : { subject: 'user:1' }), onDenied: (decision, c) => c.json({ plan: decision.plan satisfies 'free' }, 429) }), (c) => c.json(c.get('tollgate').decision))
// @ts-expect-error: no such plan
app.use('*', hono(engine, { request: () => ({ subject: 'user:1', plan: 'fre' }) }))
// @ts-expect-error: no such dimension
app.use('*', hono(engine, { request: () => ({ subject: 'user:1', dimensions: { modle: 'small' } }) }))

const server = fastify()
await server.register(fastifyPlugin(engine, { request: (request) => ({ subject: `ip:${request.socket.remoteAddress}`, plan: 'free' }) }))
// @ts-expect-error: no such meter
await server.register(fastifyPlugin(engine, { request: () => ({ subject: 'user:1', amounts: { token: 1 } }) }))

interface MyRequest {
  headers: Record<string, string | undefined>
  socket: { remoteAddress?: string }
  user: { id: string }
}
express(engine, { request: (req: MyRequest) => ({ subject: `user:${req.user.id}`, plan: 'free' }) })
// @ts-expect-error: no such plan
express(engine, { request: () => ({ subject: 'user:1', plan: 'fre' }) })

export const POST = next(engine, { request: (request) => ({ subject: request.headers.get('x-user') ?? 'anonymous', plan: 'free' }) })(
  (_request, _context, admission) => {
    admission?.set({ tokens: 834 })
    // @ts-expect-error: no such meter
    admission?.set({ token: 834 })
    return new Response()
  },
)
