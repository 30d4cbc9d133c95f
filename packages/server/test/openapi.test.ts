import { describe, expect, it } from 'vitest'
import { jsonOf, startServer } from './helpers.ts'

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

  it('knows the demo only where there is one', async () => {
    const { ask } = await startServer({ demo: false })
    const { paths } = await jsonOf(ask('GET', '/openapi.json'))
    expect(Object.keys(paths).filter((path) => path.startsWith('/api/') || path.startsWith('/demo/'))).toEqual([])
    expect((await ask('GET', '/demo/clock')).status).toBe(404)
  })
})
