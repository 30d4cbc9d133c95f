/** `node http-server.mjs FRAMEWORK bare|peer|ours|recorded`: answers `GET /`; says its port, and on request what CPU it has used. */
import { serve } from '@hono/node-server'
import fastifyRateLimit from '@fastify/rate-limit'
import express from 'express'
import { rateLimit as expressRateLimit } from 'express-rate-limit'
import { fastify } from 'fastify'
import { Hono } from 'hono'
import { rateLimiter as honoRateLimiter } from 'hono-rate-limiter'
import { createTollgate } from 'tollgate'
import { tollgate as tollgateExpress } from 'tollgate/express'
import { tollgate as tollgateFastify } from 'tollgate/fastify'
import { tollgate as tollgateHono } from 'tollgate/hono'
import { messageOf, PLENTY, plans } from './plans.mjs'

const [framework, limited] = process.argv.slice(2)

const ANSWER = { answer: 'ok' }
const DAY_MS = 86_400_000
/** Takes all events: what is left is what recording costs the process that answers. */
const nobody = { write: async () => {}, totals: async () => undefined, erase: async () => {} }
const engine = createTollgate({ plans, secret: 'the secret of a benchmark', ...(limited === 'recorded' && { record: nobody }) })
const isOurs = limited === 'ours' || limited === 'recorded'

/** Everybody is who the header says, the same in all; apart from that and the limit, each is as it comes. */
const servers = {
  hono() {
    const app = new Hono()
    const userOf = (c) => c.req.header('x-user')
    if (limited === 'peer') app.use(honoRateLimiter({ windowMs: DAY_MS, limit: PLENTY, keyGenerator: userOf }))
    if (isOurs) app.use(tollgateHono(engine, { request: (c) => messageOf(userOf(c)) }))
    app.get('/', (c) => c.json(ANSWER))
    return new Promise((resolve) => serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => resolve(port)))
  },

  async fastify() {
    const app = fastify()
    const userOf = (request) => request.headers['x-user']
    // By default it keeps 5,000 users and evicts the rest, which would spare it work.
    if (limited === 'peer') await app.register(fastifyRateLimit, { max: PLENTY, timeWindow: DAY_MS, keyGenerator: userOf, cache: 1_000_000 })
    if (isOurs) await app.register(tollgateFastify(engine, { request: (request) => messageOf(userOf(request)) }))
    app.get('/', async () => ANSWER)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app.server.address().port
  },

  express() {
    const app = express()
    const userOf = (request) => request.headers['x-user']
    if (limited === 'peer') app.use(expressRateLimit({ windowMs: DAY_MS, limit: PLENTY, keyGenerator: userOf }))
    if (isOurs) app.use(tollgateExpress(engine, { request: (request) => messageOf(userOf(request)) }))
    app.get('/', (_request, response) => response.json(ANSWER))
    return new Promise((resolve) => {
      const server = app.listen(0, '127.0.0.1', () => resolve(server.address().port))
    })
  },
}

process.send({ port: await servers[framework]() })
process.on('message', () => process.send({ cpu: process.cpuUsage() }))
// Ends with its parent, whatever becomes of that.
process.on('disconnect', () => process.exit(0))
