import { describe, expect, it } from 'vitest'
import type { ChatModel } from '../src/index.ts'
import { ADMIN_KEY, jsonOf, message, startServer } from './helpers.ts'

const DAY_MS = 86_400_000

describe('Idempotency-Key', () => {
  it('gives the same answer to the same request, also to one spelt differently', async () => {
    const { ask } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    const first = await ask('POST', '/v1/reserve', { body: message, headers })
    expect(first.headers.get('Idempotency-Replayed')).toBe(null)
    const text = await first.text()
    const again = await ask('POST', '/v1/reserve', { body: `{ "amounts": {"tokens": 100},\n"operation":"message","plan":"business-chat/TRIAL","subject":"business:1"}`, headers })
    expect(again.status).toBe(200)
    expect(again.headers.get('Idempotency-Replayed')).toBe('true')
    expect(again.headers.get('RateLimit')).toBe(first.headers.get('RateLimit'))
    expect(await again.text()).toBe(text)
    expect((await jsonOf(ask('GET', '/v1/subjects/business:1/usage'))).limits[0].used).toBe(1)
  })

  it('takes the key of the body, and the one of the header before it', async () => {
    const { ask } = await startServer()
    const body = { ...message, idempotencyKey: 'in-body' }
    await ask('POST', '/v1/consume', { body })
    expect((await ask('POST', '/v1/consume', { body })).headers.get('Idempotency-Replayed')).toBe('true')
    expect((await ask('POST', '/v1/consume', { body, headers: { 'Idempotency-Key': 'other' } })).headers.get('Idempotency-Replayed')).toBe(null)
  })

  it('refuses the same key with another body, query or path', async () => {
    const { ask } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    await ask('POST', '/v1/consume', { body: message, headers })
    for (const [path, body] of [['/v1/consume', { ...message, subject: 'business:2' }], ['/v1/consume?respond=status', message]] as const) {
      const response = await ask('POST', path, { body, headers })
      expect(response.status).toBe(409)
      expect((await jsonOf(response)).code).toBe('IDEMPOTENCY_CONFLICT')
    }
    await ask('POST', '/v1/subjects/business:1/reset', { headers })
    expect((await ask('POST', '/v1/subjects/business:2/reset', { headers })).status).toBe(409)
  })

  it('belongs to route and namespace', async () => {
    const { ask } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    const { key } = await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['consume'], namespace: 'other' } }))
    await ask('POST', '/v1/consume', { body: message, headers })
    expect((await ask('POST', '/v1/reserve', { body: message, headers })).headers.get('Idempotency-Replayed')).toBe(null)
    const elsewhere = await ask('POST', '/v1/consume', { body: message, headers, key })
    expect(elsewhere.headers.get('Idempotency-Replayed')).toBe(null)
    expect((await jsonOf(elsewhere)).limits[0].used).toBe(1)
  })

  it('remembers a denial, but no error', async () => {
    const { ask } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    const denied = { ...message, amounts: { tokens: 100_001 } }
    expect((await ask('POST', '/v1/consume?respond=status', { body: denied, headers })).status).toBe(429)
    const replay = await ask('POST', '/v1/consume?respond=status', { body: denied, headers })
    expect([replay.status, replay.headers.get('Idempotency-Replayed')]).toEqual([429, 'true'])

    const wrong = { ...message, operation: 'dance' }
    expect((await ask('POST', '/v1/reserve', { body: wrong, headers })).status).toBe(422)
    expect((await ask('POST', '/v1/reserve', { body: message, headers })).status).toBe(200)
  })

  it('keeps no answer of a subject that is erased', async () => {
    const { ask } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    await ask('POST', '/v1/consume', { body: message, headers })
    await ask('DELETE', '/v1/subjects/business:1')
    expect((await ask('POST', '/v1/consume', { body: message, headers })).headers.get('Idempotency-Replayed')).toBe(null)
  })

  it('is kept for 24 hours', async () => {
    const { ask, advance } = await startServer()
    const asking = { body: message, headers: { 'Idempotency-Key': 'k' } }
    await ask('POST', '/v1/consume', asking)
    await advance(DAY_MS - 60_000)
    expect((await ask('POST', '/v1/consume', asking)).headers.get('Idempotency-Replayed')).toBe('true')
    await advance(60_001)
    expect((await ask('POST', '/v1/consume', asking)).headers.get('Idempotency-Replayed')).toBe(null)
  })

  it('says so when there is no room for more', async () => {
    const { ask } = await startServer({ maxReceipts: 1 })
    await ask('POST', '/v1/consume', { body: message, headers: { 'Idempotency-Key': 'a' } })
    const response = await ask('POST', '/v1/consume', { body: message, headers: { 'Idempotency-Key': 'b' } })
    expect(response.status).toBe(503)
    // A day is how long the oldest is kept.
    expect(response.headers.get('Retry-After')).toBe('86400')
  })

  it.each([['', 422], ['x'.repeat(257), 422], ['x'.repeat(256), 200]])('takes 1 to 256 characters', async (key, status) => {
    const { ask } = await startServer()
    expect((await ask('POST', '/v1/consume', { body: message, headers: { 'Idempotency-Key': key } })).status).toBe(status)
  })

  it('works on every other write', async () => {
    const { ask, as } = await startServer()
    const asked = async (method: string, path: string, body: unknown, isDemo = false) => {
      const headers = { 'Idempotency-Key': 'w' }
      const send = () => (isDemo ? as('ana')(method, path, body, headers) : ask(method, path, { body, headers }))
      const first = await send()
      const again = await send()
      return [first.status, first.headers.get('Idempotency-Replayed'), again.status, again.headers.get('Idempotency-Replayed'), (await first.text()) === (await again.text())]
    }
    const once = (status: number) => [status, null, status, 'true', true]
    expect(await asked('PUT', '/v1/subjects/s', { plan: 'plus' })).toEqual(once(200))
    expect(await asked('PUT', '/v1/rollout', { mode: 'enforce', percent: 100 })).toEqual(once(200))
    expect(await asked('DELETE', '/v1/subjects/s', undefined)).toEqual(once(204))
    expect(await asked('POST', '/demo/clock', { advanceMs: 1000 })).toEqual(once(200))
    expect(await asked('POST', '/api/worlds/w/message', { content: 'hola' }, true)).toEqual(once(200))
    expect(await asked('POST', '/api/business/b/chat', { messages: [{ role: 'user', content: 'hi' }] }, true)).toEqual(once(200))
  })

  it('makes one key, whose secret is neither kept nor replayed', async () => {
    const { ask } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    const make = () => ask('POST', '/v1/keys', { body: { scopes: ['read'] }, headers })
    const { key, ...view } = await jsonOf(make())
    expect((await ask('GET', '/v1/plans', { key })).status).toBe(200)
    const again = await make()
    expect([again.status, again.headers.get('Idempotency-Replayed'), await again.json()]).toEqual([201, 'true', view])
    expect((await jsonOf(ask('GET', '/v1/keys'))).keys).toEqual([view])

    const rotate = () => ask('POST', `/v1/keys/${view.id}/rotate`, { headers })
    const rotated = await jsonOf(rotate())
    expect(await jsonOf(rotate())).toEqual(view)
    expect((await ask('GET', '/v1/plans', { key: rotated.key })).status).toBe(200)
  })

  it('gives no admin the answer that another got about keys', async () => {
    const { ask } = await startServer()
    const admin = async (namespace: string) => (await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['admin'], namespace } }))).key as string
    const [peer, stranger] = [await admin('default'), await admin('acme')]
    const headers = { 'Idempotency-Key': 'k' }
    const make = (key: string, namespace: string) => ask('POST', '/v1/keys', { body: { scopes: ['admin'], namespace }, headers, key })
    const first = await jsonOf(make(ADMIN_KEY, 'acme'))
    // The operator makes keys of every namespace: of those that are not its own, a peer is not told.
    expect((await make(peer, 'acme')).status).toBe(403)
    const own = await make(stranger, 'acme')
    expect([own.status, own.headers.get('Idempotency-Replayed')]).toEqual([201, null])
    expect((await jsonOf(own)).id).not.toBe(first.id)

    const rotate = (key: string) => ask('POST', `/v1/keys/${first.id}/rotate`, { headers, key })
    expect((await rotate(ADMIN_KEY)).status).toBe(200)
    expect((await rotate(peer)).status).toBe(404)
    expect((await rotate(stranger)).headers.get('Idempotency-Replayed')).toBe(null)
  })

  it('gives no user the answer of another', async () => {
    const { as } = await startServer()
    const headers = { 'Idempotency-Key': 'k' }
    await as('ana')('POST', '/api/worlds/w/message', { content: 'hola' }, headers)
    const other = await as('eva')('POST', '/api/worlds/w/message', { content: 'hola' }, headers)
    expect([other.status, other.headers.get('Idempotency-Replayed')]).toEqual([200, null])
  })
})

describe('Idempotency-Key on a stream', () => {
  const body = { model: 'gemini-2.0-flash', messages: [{ role: 'user', content: 'hello' }] }
  const headers = { 'Idempotency-Key': 'k' }

  it('replays the whole stream, and counts once', async () => {
    const { as } = await startServer()
    const first = await (await as('ana')('POST', '/api/chat', body, headers)).text()
    const again = await as('ana')('POST', '/api/chat', body, headers)
    expect(again.headers.get('Idempotency-Replayed')).toBe('true')
    expect(again.headers.get('Content-Type')).toMatch(/^text\/event-stream/)
    expect(await again.text()).toBe(first)
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(1)
  })

  it('is in progress while the first is being read, and free again when its reader left', async () => {
    const { as } = await startServer()
    const first = await as('ana')('POST', '/api/chat', body, headers)
    const reader = first.body!.getReader()
    await reader.read()
    const meanwhile = await as('ana')('POST', '/api/chat', body, headers)
    expect(meanwhile.status).toBe(409)
    expect((await jsonOf(meanwhile)).code).toBe('IDEMPOTENCY_IN_PROGRESS')
    await reader.cancel()
    const again = await as('ana')('POST', '/api/chat', body, headers)
    expect([again.status, again.headers.get('Idempotency-Replayed')]).toEqual([200, null])
  })

  it('does not remember a stream that broke', async () => {
    let isBroken = true
    const model: ChatModel = {
      name: 'moody',
      async *reply() {
        yield { text: 'well ' }
        if (isBroken) throw new Error('lost the thread')
      },
    }
    const { as } = await startServer({ demo: { model } })
    expect(await (await as('ana')('POST', '/api/chat', body, headers)).text()).toContain('event: error')
    isBroken = false
    const again = await as('ana')('POST', '/api/chat', body, headers)
    expect(again.headers.get('Idempotency-Replayed')).toBe(null)
    expect(await again.text()).toContain('[DONE]')
  })
})
