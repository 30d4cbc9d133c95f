import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import { jsonOf, message, startServer, temporaryFolder } from './helpers.ts'

describe('/openapi.json', () => {
  it('describes every route that is registered, and no other', async () => {
    const { server, ask } = await startServer()
    const document = await jsonOf(ask('GET', '/openapi.json', { key: null }))
    expect(document.openapi).toBe('3.1.0')
    const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    const registered = server.app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
    expect(described.toSorted()).toEqual([...new Set(registered)].toSorted())
    expect((await jsonOf(ask('GET', '/', { key: null }))).routes.toSorted()).toEqual(described.toSorted())
    for (const route of ['POST /v1/consume', 'GET /v1/subjects/{subject}/events', 'POST /api/worlds/{id}/message', 'DELETE /api/usage', 'POST /api/chat', 'POST /demo/clock', 'GET /metrics']) expect(described).toContain(route)
  })

  it('names every operation once', async () => {
    const { ask } = await startServer()
    const { paths } = await jsonOf(ask('GET', '/openapi.json'))
    const ids = Object.values(paths as Record<string, Record<string, { operationId: string }>>).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId))
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toEqual(expect.arrayContaining(['postConsume', 'postSubjectsGrants', 'getSubjectsLedger', 'deleteKeys', 'postWorldsMessage', 'getIndex', 'getOpenapiJson']))
  })

  it('resolves every reference, names every path parameter, and has an error for each route', async () => {
    const { ask } = await startServer()
    const document = await jsonOf(ask('GET', '/openapi.json'))
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) expect(document.components.schemas).toHaveProperty(name!)
    for (const [path, methods] of Object.entries(document.paths as Record<string, Record<string, { parameters?: { name: string; in: string }[]; responses: Record<string, unknown>; security: unknown[] }>>)) {
      for (const [method, { parameters = [], responses, security }] of Object.entries(methods)) {
        const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)
        expect(inPath, `${method} ${path}`).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
        expect(responses.default).toEqual({ description: expect.any(String), content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } })
        expect(security).toEqual(path.startsWith('/v1/') ? [{ apiKey: [] }] : [])
      }
    }
    expect(document.components.securitySchemes.apiKey).toMatchObject({ type: 'http', scheme: 'bearer' })
  })

  it('takes its bodies from the schemas that validate', async () => {
    const { ask } = await startServer()
    const { components, paths } = await jsonOf(ask('GET', '/openapi.json'))
    expect(components.schemas.Request).toMatchObject({ type: 'object', additionalProperties: false, required: ['subject'], properties: { subject: { type: 'string', minLength: 1, maxLength: 256 }, ttlMs: { type: 'integer', maximum: 86_400_000 } } })
    const subjects = [components.schemas.Request.properties.subject, paths['/v1/subjects/{subject}'].get.parameters[0].schema]
    for (const subject of subjects) expect(subject).toMatchObject({ not: { enum: ['.', '..'] }, description: expect.stringContaining("Not '.' or '..'") })
    expect(paths['/v1/consume'].post.requestBody).toMatchObject({ required: true, content: { 'application/json': { schema: { $ref: '#/components/schemas/Request' } } } })
    expect(paths['/v1/reservations/{id}/commit'].post.requestBody.required).toBe(false)
    const named = (parameters: { name: string }[]) => parameters.map(({ name }) => name)
    expect(named(paths['/v1/consume'].post.parameters)).toEqual(['respond', 'Idempotency-Key'])
    expect(named(paths['/v1/check'].post.parameters)).toEqual(['respond'])
    expect(named(paths['/api/chat'].post.parameters)).toEqual(['Idempotency-Key', 'X-Demo-User', 'X-Demo-Plan', 'X-Demo-Role'])
  })

  it('describes the answers as they are', async () => {
    const { ask, as } = await startServer({ dataDir: temporaryFolder() })
    const document = await jsonOf(ask('GET', '/openapi.json'))
    // Not strict: OpenAPI has words that JSON Schema does not know.
    const ajv = new Ajv2020({ strict: false, validateFormats: false }).addSchema(document, 'openapi')
    const pointer = (names: readonly string[]) => names.map((name) => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
    const asked = new Set<string>()
    /** Compares the answer with what is said of it, and returns it. */
    const answer = async (status: number, route: string, response: Response) => {
      expect(response.status, route).toBe(status)
      asked.add(route)
      const [method, path] = route.split(' ') as [string, string]
      if (status === 204) return undefined
      const { responses } = document.paths[path][method.toLowerCase()]
      const body = await jsonOf(response)
      const content = response.headers.get('Content-Type')!.split(';')[0]!
      const validate = ajv.compile({ $ref: `openapi#/${pointer(['paths', path, method.toLowerCase(), 'responses', status in responses ? `${status}` : 'default', 'content', content, 'schema'])}` })
      expect(validate(body), `${status} ${route}: ${ajv.errorsText(validate.errors)}`).toBe(true)
      return body
    }
    const v1 = async (status: number, route: string, body?: object, values: Record<string, string> = {}, query = '') =>
      answer(status, route, await ask(route.split(' ')[0]!, route.split(' ')[1]!.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name]!)) + query, body && { body }))
    const demo = async (status: number, route: string, body?: object, user: string | null = 'ana') =>
      answer(status, route, await as(user, undefined, user === null ? {} : { 'X-Demo-Role': 'admin' })(route.split(' ')[0]!, route.split(' ')[1]!.replace('{id}', 'w1'), body))

    for (const path of ['/healthz', '/readyz', '/openapi.json', '/', '/v1/plans', '/v1/rollout', '/v1/keys', '/demo/clock']) await v1(200, `GET ${path}`)
    await v1(200, 'PUT /v1/rollout', { mode: 'enforce', percent: 100 })
    await v1(200, 'POST /demo/clock', { advanceMs: 1 })

    for (const action of ['check', 'consume', 'explain']) await v1(200, `POST /v1/${action}`, message)
    const held = async () => (await v1(200, 'POST /v1/reserve', message)).reservation
    const { id } = await held()
    await v1(200, 'POST /v1/reservations/{id}/extend', { ttlMs: 90_000 }, { id })
    await v1(200, 'POST /v1/reservations/{id}/commit', { amounts: { tokens: 7 } }, { id })
    await v1(409, 'POST /v1/reservations/{id}/release', undefined, { id })
    await v1(200, 'POST /v1/reservations/{id}/release', undefined, await held())
    const unlimited = { subject: 'worlds:eva', plan: 'ultra', operation: 'message', dimensions: { world: 'w1' } }
    await v1(200, 'POST /v1/consume', unlimited)
    await v1(429, 'POST /v1/consume', { ...message, plan: 'FREE' }, {}, '?respond=status')
    await v1(403, 'POST /v1/consume', { subject: 'chat:1', plan: 'anonymous', operation: 'message', dimensions: { model: 'gpt-4o-mini' } }, {}, '?respond=status')
    const image = { subject: 'telegram:1', plan: 'Professional', operation: 'image_generation' }
    await v1(402, 'POST /v1/consume', image, {}, '?respond=status')
    await v1(422, 'POST /v1/consume', {})

    const business = { subject: message.subject }
    await v1(200, 'GET /v1/subjects/{subject}/usage', undefined, business)
    await v1(200, 'GET /v1/subjects/{subject}/usage', undefined, { subject: 'worlds:eva' })
    await v1(200, 'POST /v1/subjects/{subject}/reset', undefined, business)
    await v1(200, 'GET /v1/subjects/{subject}', undefined, business)
    const paid = { subject: image.subject }
    await v1(200, 'PUT /v1/subjects/{subject}', { plan: 'Professional', anchorAt: 1_790_000_000_000, team: 'team:9', attributes: { vip: true, note: null }, overrides: { perMinute: null } }, paid)
    await v1(201, 'POST /v1/subjects/{subject}/grants', { amount: 5 }, paid)
    const { reservation } = await v1(200, 'POST /v1/consume', image)
    await v1(200, 'POST /v1/subjects/{subject}/refunds', { reservation: reservation.id }, paid)
    for (const part of ['/usage', '/ledger', '']) await v1(200, `GET /v1/subjects/{subject}${part}`, undefined, paid)

    const said = await demo(200, 'POST /api/worlds/{id}/message', { content: 'hola' })
    expect(said.success).toBe(true)
    await demo(429, 'POST /api/worlds/{id}/message', { content: 'hola' })
    await demo(401, 'POST /api/worlds/{id}/message', { content: 'hola' }, null)
    for (let i = 0; i < 4; i++) await demo(i < 3 ? 200 : 429, 'POST /api/worlds/{id}/agents', { name: 'a' })
    const chat = { messages: [{ role: 'user', content: 'hi' }] }
    await demo(200, 'POST /api/business/{id}/chat', chat)
    await demo(403, 'POST /api/chat', { model: 'gpt-4o-mini', ...chat }, null)
    await demo(200, 'GET /api/usage')
    await demo(200, 'DELETE /api/usage')

    for (const report of ['usage', 'denials', 'economics', 'conversion']) await v1(200, `GET /v1/analytics/${report}`)
    const key = await v1(201, 'POST /v1/keys', { scopes: ['read'] })
    await v1(200, 'POST /v1/keys/{id}/rotate', undefined, key)
    await v1(200, 'GET /v1/keys')
    await v1(204, 'DELETE /v1/keys/{id}', undefined, key)
    await v1(204, 'DELETE /v1/subjects/{subject}', undefined, paid)
    await v1(404, 'GET /v1/subjects/{subject}', undefined, paid)

    // What is no JSON, or has no end.
    const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    expect(described.filter((route) => !asked.has(route))).toEqual(['GET /metrics', 'GET /v1/subjects/{subject}/events'])
  })

  it('knows the demo only where there is one', async () => {
    const { ask } = await startServer({ demo: false })
    const { paths } = await jsonOf(ask('GET', '/openapi.json'))
    expect(Object.keys(paths).filter((path) => path.startsWith('/api/') || path.startsWith('/demo/'))).toEqual([])
    expect((await ask('GET', '/demo/clock')).status).toBe(404)
  })
})
