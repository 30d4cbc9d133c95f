/** `node http-server.mjs FRAMEWORK bare|peer|ours`: a server that answers `ok`; says its port. */
import { serve } from '@hono/node-server'
import rateLimit from '@fastify/rate-limit'
import express from 'express'
import { rateLimit as expressRateLimit } from 'express-rate-limit'
import fastify from 'fastify'
import { Hono } from 'hono'
import { rateLimiter } from 'hono-rate-limiter'
import { createTollgate } from 'tollgate'
import { tollgate as forExpress } from 'tollgate/express'
import { tollgate as forFastify } from 'tollgate/fastify'
import { tollgate as forHono } from 'tollgate/hono'
import { messageOf, PLENTY, plans } from './plans.mjs'

const [framework, what] = process.argv.slice(2)
const engine = createTollgate({ plans, secret: 'the secret of a benchmark' })
const MINUTE_MS = 60_000
const USER = 'user:1'

const servers = {
  async hono() {
    const app = new Hono()
    if (what === 'peer') app.use(rateLimiter({ windowMs: MINUTE_MS, limit: PLENTY, standardHeaders: 'draft-7', keyGenerator: () => USER }))
    if (what === 'ours') app.use(forHono(engine, { request: () => messageOf(USER) }))
    app.get('/', (c) => c.text('ok'))
    return new Promise((resolve) => serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => resolve(port)))
  },
  async fastify() {
    const app = fastify()
    if (what === 'peer') await app.register(rateLimit, { max: PLENTY, timeWindow: MINUTE_MS, keyGenerator: () => USER })
    if (what === 'ours') app.register(forFastify(engine, { request: () => messageOf(USER) }))
    app.get('/', async () => 'ok')
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server.address().port
  },
  async express() {
    const app = express()
    if (what === 'peer') app.use(expressRateLimit({ windowMs: MINUTE_MS, limit: PLENTY, standardHeaders: 'draft-7', legacyHeaders: true, keyGenerator: () => USER }))
    if (what === 'ours') app.use(forExpress(engine, { request: () => messageOf(USER) }))
    app.get('/', (_request, response) => response.send('ok'))
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
    })
  },
}

const port = await servers[framework]()
process.stdout.write(`${port}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
