import { describe, expect, it } from 'vitest'
import { jsonOf, message, startServer } from './helpers.ts'

describe('errors', () => {
  it.each([
    ['no such route', 'GET', '/nope', {}, 404, 'NOT_FOUND'],
    ['another method', 'PATCH', '/v1/keys', {}, 405, 'METHOD_NOT_ALLOWED'],
    ['no body', 'POST', '/v1/consume', {}, 400, 'MALFORMED_BODY'],
    ['half a body', 'POST', '/v1/consume', { body: '{"subject":' }, 400, 'MALFORMED_BODY'],
    ['a list', 'POST', '/v1/consume', { body: '[1]' }, 400, 'MALFORMED_BODY'],
    ['null', 'POST', '/v1/consume', { body: 'null' }, 400, 'MALFORMED_BODY'],
    ['a form', 'POST', '/v1/consume', { body: 'subject=1', headers: { 'Content-Type': 'application/x-www-form-urlencoded' } }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['text that is JSON', 'POST', '/v1/consume', { body: message, headers: { 'Content-Type': 'text/plain' } }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['too much', 'POST', '/v1/consume', { body: { ...message, content: 'x'.repeat(262_144) } }, 413, 'TOO_LARGE'],
    ['too long a content', 'POST', '/v1/consume', { body: { ...message, content: 'x'.repeat(65_537) } }, 413, 'TOO_LARGE'],
    ['a plan that is none', 'POST', '/v1/consume', { body: { ...message, plan: 'GOLD' } }, 422, 'UNKNOWN_PLAN'],
    ['a plan of several sets', 'POST', '/v1/check', { body: { ...message, plan: undefined } }, 422, 'UNKNOWN_PLAN'],
    ['a meter that is none', 'POST', '/v1/consume', { body: { ...message, amounts: { tokans: 1 } } }, 422, 'UNKNOWN_METER'],
    ['a dimension that is missing', 'POST', '/v1/consume', { body: { subject: 'u', plan: 'free', operation: 'message' } }, 422, 'MISSING_DIMENSION'],
  ])('answers %s with a problem', async (_, method, path, asking, status, code) => {
    const { ask } = await startServer()
    const response = await ask(method, path, asking)
    expect(response.status).toBe(status)
    expect(response.headers.get('Content-Type')).toBe('application/problem+json')
    expect(response.headers.get('Cache-Control')).toBe('no-store')
    expect(await jsonOf(response)).toMatchObject({ type: expect.any(String), title: expect.any(String), status, detail: expect.any(String), code })
  })

  it.each([
    [{}, [['subject', 'expected string, received undefined']]],
    [{ subject: '' }, [['subject', 'Too small']]],
    [{ subject: 5, plan: {}, foo: 1, 'a.b': 2 }, [['subject', ''], ['plan', ''], ['foo', 'not a known field'], ['a.b', 'not a known field']]],
    [{ subject: 's', amounts: { tokens: 1.5, images: -1 } }, [['amounts.tokens', 'expected int'], ['amounts.images', 'Too small']]],
    [{ subject: 's', amounts: { tokens: 2 ** 31 } }, [['amounts.tokens', 'Too big']]],
    [{ subject: 's', dimensions: { world: '' } }, [['dimensions.world', 'Too small']]],
    [{ subject: 's', also: ['ip:1', 7, { subject: 's', plum: 1 }] }, [['also.1', 'use a subject'], ['also.2.plum', 'not a known field']]],
    [{ subject: 's', ttlMs: 86_400_001 }, [['ttlMs', 'Too big']]],
    [{ subject: 'a\0b' }, [['subject', 'NUL']]],
    [{ subject: 'a\ud83d' }, [['subject', 'half of a surrogate pair']]],
    [{ subject: '.' }, [['subject', "'.' is a step in a path, so no route would reach it; put something before it, such as 'user:.'"]]],
    [{ subject: '..', also: ['..', { subject: '.' }, 'ip:1'] }, [['subject', "'user:..'"], ['also.0', "'user:..'"], ['also.1.subject', "'user:.'"]]],
    ['{"subject":"s","__proto__":{"plan":"free"}}', [['__proto__', 'not a known field']]],
    ['{"subject":"s","\\u005f_proto__":{"plan":"free"}}', [['__proto__', 'not a known field']]],
    ['{"subject":"s","dimensions":{"_\\u005Fproto_\\u005f":"x"}}', [['__proto__', 'not a known field']]],
    ['{"subject":"s","dimensions":{"__proto__":"x"}}', [['__proto__', 'not a known field']]],
  ])('names every wrong field of %j', async (body, expected) => {
    const { ask } = await startServer()
    const response = await ask('POST', '/v1/consume', { body })
    expect(response.status).toBe(422)
    const { field, errors } = await jsonOf(response)
    expect(field).toBe(expected[0]![0])
    expect(errors).toHaveLength(expected.length)
    for (const [i, [name, text]] of expected.entries()) {
      expect(errors[i].field).toBe(name)
      expect(errors[i].message).toContain(text)
    }
  })

  it('says which methods there are', async () => {
    const { ask } = await startServer()
    expect((await ask('PATCH', '/v1/keys')).headers.get('Allow')).toBe('GET, POST, HEAD, OPTIONS')
    const options = await ask('OPTIONS', '/v1/consume', { key: null })
    expect([options.status, options.headers.get('Allow')]).toEqual([204, 'POST, OPTIONS'])
  })

  it('tells nothing of what broke inside, but where to find it in the log', async () => {
    const { server, lines } = await startServer()
    server.app.get('/broken', () => {
      throw new Error('the password is hunter2')
    })
    // Registered after the rest, so it needs an app whose router is not built yet.
    const response = await server.app.request('/broken')
    const body = await jsonOf(response)
    expect(response.status).toBe(500)
    expect(JSON.stringify(body)).not.toContain('hunter2')
    expect(body).toMatchObject({ code: 'INTERNAL_ERROR', instance: expect.stringMatching(/^urn:uuid:/) })
    expect(lines).toContainEqual(expect.objectContaining({ level: 'error', event: 'error', instance: body.instance, stack: expect.stringContaining('hunter2') }))
  })

  it('answers 503 when the engine is closed, and warns without a stack', async () => {
    const { server, ask, lines } = await startServer()
    await server.close()
    const response = await ask('POST', '/v1/consume', { body: message })
    expect(response.status).toBe(503)
    expect(response.headers.get('Retry-After')).toBe('1')
    expect(lines).toEqual([{ level: 'warn', event: 'unavailable', message: expect.any(String), method: 'POST', route: '/v1/consume', status: 503, code: 'CLOSED' }])
    expect((await ask('GET', '/readyz')).status).toBe(503)
    expect((await ask('GET', '/healthz')).status).toBe(200)
  })
})

describe('the log', () => {
  it('has a line for each denial and each error, without content and secrets', async () => {
    const { ask, as, lines } = await startServer()
    const body = { subject: 'worlds:ana', plan: 'free', operation: 'message', dimensions: { world: 'w1' }, content: 'my dear diary' }
    await ask('POST', '/v1/consume', { body })
    await ask('POST', '/v1/consume', { body })
    await ask('POST', '/v1/check', { body })
    await ask('POST', '/v1/consume', { body: { ...body, content: 7, foo: 'my dear diary' } })
    await ask('GET', '/v1/plans', { key: 'tg_secret' })
    await as('ana')('POST', '/api/chat', { model: 'my dear diary', messages: [] })
    expect(lines.map(({ event, message }) => [event, message])).toEqual([
      ['denial', '[World Message] Cooldown activo para usuario ana en mundo w1'],
      ['rejected', '422 INVALID_REQUEST'],
      ['rejected', '401 UNAUTHENTICATED'],
      ['rejected', '422 INVALID_REQUEST'],
    ])
    expect(lines[0]).toMatchObject({ subject: 'worlds:ana', userId: 'ana', worldId: 'w1', plan: 'virtual-worlds/free', limits: ['cooldown'], codes: ['COOLDOWN'], namespace: 'default' })
    expect(JSON.stringify(lines)).not.toMatch(/diary|tg_secret/)
  })

  it('says how long one would wait, also where nobody is denied yet', async () => {
    const { ask, lines } = await startServer()
    await ask('POST', '/demo/clock', { body: { advanceMs: 0, held: true } })
    await ask('PUT', '/v1/rollout', { body: { mode: 'shadow', percent: 100 } })
    const body = { subject: 'worlds:ana', plan: 'free', operation: 'message', dimensions: { world: 'w1' } }
    await ask('POST', '/v1/consume', { body })
    await ask('POST', '/v1/consume', { body })
    await ask('POST', '/v1/consume', { body: { ...message, plan: 'FREE' } })
    expect(lines.map(({ event, codes, retryAfterMs }) => [event, codes, retryAfterMs])).toEqual([
      ['would-deny', ['COOLDOWN'], 5000],
      ['would-deny', ['MONTHLY_TOKEN_LIMIT_EXCEEDED'], null],
    ])
  })

  it('has the code of a business that is over its limit', async () => {
    const { ask, lines } = await startServer()
    await ask('POST', '/v1/consume', { body: { ...message, plan: 'FREE' } })
    expect(lines[0]).toMatchObject({ event: 'denial', message: 'denied: monthlyTokens (MONTHLY_TOKEN_LIMIT_EXCEEDED)', codes: ['MONTHLY_TOKEN_LIMIT_EXCEEDED'] })
  })
})
