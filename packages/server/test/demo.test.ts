import { describe, expect, it, vi } from 'vitest'
import { createServer } from '../src/index.ts'
import { jsonOf, startServer } from './helpers.ts'

const MESSAGE = '/api/worlds/w1/message'

describe('demo mode', () => {
  it.each(['localhost', 'localhost:4400', '127.0.0.1:80', '[::1]:4400', 'LOCALHOST'])('answers to %s', async (Host) => {
    const { ask } = await startServer()
    expect((await ask('GET', '/healthz', { headers: { Host } })).status).toBe(200)
  })

  it.each(['evil.example', 'localhost.evil.example', 'evil.example:4400', '127.0.0.1.nip.io', '10.0.0.1', 'localhost:4400@evil.example', ''])('does not answer to %j', async (Host) => {
    const { ask } = await startServer()
    const response = await ask('GET', '/healthz', { headers: { Host } })
    expect(response.status).toBe(403)
    expect(response.headers.get('Content-Type')).toBe('application/problem+json')
  })

  it.each([['http://localhost:4400', 200], ['http://127.0.0.1:9', 200], ['https://evil.example', 403], ['null', 403]])('lets pages of %s ask: %i', async (Origin, status) => {
    const { ask } = await startServer()
    expect((await ask('GET', '/demo/clock', { headers: { Origin } })).status).toBe(status)
  })

  it('is refused in production', async () => {
    vi.stubEnv('NODE_ENV', 'production')
    await expect(createServer({ demo: true })).rejects.toThrow(/NODE_ENV=production/)
    vi.unstubAllEnvs()
  })

  it('needs its plan sets', async () => {
    const planSets = [{ name: 'own', plans: { free: { rank: 0, limits: {} } } }]
    await expect(createServer({ demo: true, planSets })).rejects.toThrow(/virtual-worlds/)
  })

  it('listens on this machine only', async () => {
    const { server } = await startServer()
    await expect(server.listen({ port: 0, hostname: '0.0.0.0' })).rejects.toThrow(/this machine only/)
  })
})

describe('demo identity', () => {
  it('asks who you are', async () => {
    const { as } = await startServer()
    for (const [method, path, body] of [['POST', MESSAGE, { content: 'x' }], ['POST', '/api/worlds/w1/agents', { name: 'x' }], ['GET', '/api/usage', undefined], ['DELETE', '/api/usage', undefined], ['POST', '/api/business/b/chat', { messages: [{ role: 'user', content: 'x' }] }]] as const) {
      const response = await as(null)(method, path, body)
      expect(response.status).toBe(401)
      expect(response.headers.get('WWW-Authenticate')).toBe('Demo realm="tollgate"')
    }
  })

  it('stores the plan it is told, so that /v1 sees it', async () => {
    const { ask, as } = await startServer()
    await as('ana')('POST', MESSAGE, { content: 'hola' })
    expect((await jsonOf(ask('GET', '/v1/subjects/worlds:ana'))).plan).toBe('virtual-worlds/free')
    await as('ana', 'ultra')('POST', MESSAGE, { content: 'hola' })
    expect((await jsonOf(ask('GET', '/v1/subjects/worlds:ana'))).plan).toBe('virtual-worlds/ultra')
  })

  it('leaves the plan that an operator stored, unless it is told another', async () => {
    const { ask, as } = await startServer()
    const plan = async () => (await jsonOf(ask('GET', '/v1/subjects/worlds:ana'))).plan
    const limit = async (said?: string) => (await as('ana', said)('POST', MESSAGE, { content: 'hola' })).headers.get('X-RateLimit-Limit')
    expect(await limit()).toBe('50')
    // Not stored, only seen: a default must not become somebody's choice.
    expect(await limit()).toBe('50')
    await ask('PUT', '/v1/subjects/worlds:ana', { body: { plan: 'virtual-worlds/plus' } })
    expect([await limit(), await plan()]).toEqual(['500', 'virtual-worlds/plus'])
    expect([await limit('free'), await plan()]).toEqual(['50', 'virtual-worlds/free'])
    expect([await limit(), await plan()]).toEqual(['50', 'virtual-worlds/free'])
    // Of another set: it says nothing about worlds.
    await ask('PUT', '/v1/subjects/worlds:ana', { body: { plan: 'PRO' } })
    expect([await limit(), await plan()]).toEqual(['50', 'business-chat/PRO'])
  })

  it('writes nothing where usage is looked at', async () => {
    const { ask, as } = await startServer()
    expect(await jsonOf(as('ana', 'anonymous')('GET', '/api/usage'))).toMatchObject({ totalMessages: 0, canSendPremiumMessage: false })
    expect(await jsonOf(as('eva', undefined, { 'X-Demo-Role': 'admin' })('GET', '/api/usage?userId=ana'))).toMatchObject({ canSendPremiumMessage: true })
    expect((await as('eva', undefined, { 'X-Demo-Role': 'admin' })('DELETE', '/api/usage?userId=ana')).status).toBe(200)
    expect((await ask('GET', '/v1/subjects/chat:ana')).status).toBe(404)
    await ask('PUT', '/v1/subjects/chat:ana', { body: { plan: 'anonymous' } })
    expect(await jsonOf(as('ana')('GET', '/api/usage'))).toMatchObject({ canSendPremiumMessage: false })
    expect(await jsonOf(as('ana', 'user')('GET', '/api/usage'))).toMatchObject({ canSendPremiumMessage: true })
    expect((await jsonOf(ask('GET', '/v1/subjects/chat:ana'))).plan).toBe('chat-models/anonymous')
  })

  it.each([['UTF-8', Buffer.from('josé').toString('latin1')], ['Latin-1', 'josé']])('knows a user whose name comes as %s', async (_, user) => {
    const { ask, as } = await startServer()
    expect((await as(user)('POST', MESSAGE, { content: 'hola' })).status).toBe(200)
    expect((await jsonOf(ask('GET', '/v1/subjects/worlds:jos%C3%A9/usage'))).limits[0].used).toBe(1)
  })

  it.each([['gold', 422], ['virtual-worlds/plus', 422], ['TRIAL', 422], ['plus', 200]])('takes short names of the route, not %s: %i', async (plan, status) => {
    const { as } = await startServer()
    const response = await as('ana', plan)('POST', MESSAGE, { content: 'hola' })
    expect(response.status).toBe(status)
    expect((await jsonOf(response)).field).toBe(status === 422 ? 'X-Demo-Plan' : undefined)
  })

  it.each(['anonymous:127.0.0.1', 'x'.repeat(201), ''])('takes no user called %s', async (user) => {
    const { as } = await startServer()
    expect((await as(user)('GET', '/api/usage')).status).toBe(422)
  })

  it('counts anonymous visitors by address, however it is written', async () => {
    const { server, ask } = await startServer()
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': '198.51.100.1' }, body: JSON.stringify({ model: 'gemini-2.0-flash', messages: [{ role: 'user', content: 'hi' }] }) }
    const from = async (remoteAddress: string) => (await server.app.request('/api/chat', init, { incoming: { socket: { remoteAddress } } })).text()
    for (const address of ['::ffff:203.0.113.7', '203.0.113.7', '2001:db8:0:ff42::1']) expect(await from(address)).toContain('[DONE]')
    for (const group of ['203.0.113.7', '2001:db8:0:ff00::/56']) expect((await jsonOf(ask('GET', `/v1/subjects/${encodeURIComponent(`chat:anonymous:${group}`)}`))).plan).toBe('chat-models/anonymous')
    expect((await ask('GET', '/v1/subjects/chat:anonymous:198.51.100.1')).status).toBe(404)
  })
})

describe('demo clock', () => {
  it('goes forward only, within bounds', async () => {
    const { ask, advance } = await startServer()
    const before = (await jsonOf(ask('GET', '/demo/clock'))).now as number
    expect(Math.abs(before - Date.now())).toBeLessThan(1000)
    expect((await advance(86_400_000)) - before).toBeGreaterThanOrEqual(86_400_000)
    expect((await advance(0)) - before).toBeLessThan(86_401_000)
    for (const advanceMs of [-1, 1.5, '5', null, 4e12, 1e300]) {
      const response = await ask('POST', '/demo/clock', { body: { advanceMs } })
      expect(response.status).toBe(422)
      expect((await jsonOf(response)).field).toBe('advanceMs')
    }
  })

  it('stands still while it is held, and then catches up', async () => {
    const { ask } = await startServer()
    const set = async (body: object) => (await jsonOf(ask('POST', '/demo/clock', { body }))).now as number
    const heldAt = await set({ advanceMs: 0, held: true })
    const before = Date.now()
    while (Date.now() < before + 20) await ask('GET', '/demo/clock')
    expect(await set({ advanceMs: 0 })).toBe(heldAt)
    expect(await set({ advanceMs: 5000 })).toBe(heldAt + 5000)
    expect(await set({ advanceMs: 0, held: false })).toBeGreaterThanOrEqual(heldAt + 5020)
    expect((await ask('POST', '/demo/clock', { body: { advanceMs: 0, held: 'yes' } })).status).toBe(422)
  })
})

describe('worlds', () => {
  it('gives a message back when the world does not answer', async () => {
    let isBroken = true
    const worldReplies = () => {
      if (isBroken) throw new Error('the world is silent')
      return [{ agent: 'a', content: 'b' }]
    }
    const { as, ask, advance } = await startServer({ demo: { worldReplies } })
    const broken = await as('ana')('POST', MESSAGE, { content: 'hola' })
    expect(broken.status).toBe(500)
    const used = async () => (await jsonOf(ask('GET', '/v1/subjects/worlds:ana/usage'))).limits[0].used
    expect(await used()).toBe(0)
    // The pause stays: failing calls must not be a way around it.
    expect((await as('ana')('POST', MESSAGE, { content: 'hola' })).status).toBe(429)
    isBroken = false
    await advance(5000)
    expect(await jsonOf(as('ana')('POST', MESSAGE, { content: 'hola' }))).toEqual({ success: true, responses: [{ agent: 'a', content: 'b' }] })
    expect(await used()).toBe(1)
  })

  it('lets agents answer, and makes room again when one is released', async () => {
    const { as, ask } = await startServer()
    const add = (name: unknown) => as('ana')('POST', '/api/worlds/w1/agents', { name })
    const { agent } = await jsonOf(add('Merlín'))
    expect(agent).toMatchObject({ name: 'Merlín', world: 'w1' })
    await add('Morgana')
    await add('Arturo')
    expect((await add('Lancelot')).status).toBe(429)
    expect((await ask('POST', `/v1/reservations/${agent.id}/release`)).status).toBe(200)
    expect((await add('Lancelot')).status).toBe(200)
    expect((await jsonOf(as('ana')('POST', MESSAGE, { content: 'hola' }))).responses.map((reply: { agent: string }) => reply.agent)).toEqual(['Morgana', 'Arturo', 'Lancelot'])
    for (const name of ['', '   ', 'a\u0007', 'x'.repeat(81), 5, undefined]) expect((await add(name)).status).toBe(422)
  })

  it.each([
    ['erased', 'DELETE', '', undefined, false],
    ['reset', 'POST', '/reset', {}, false],
    ['reset in the limit of agents', 'POST', '/reset', { limit: 'agents' }, false],
    ['reset in another limit', 'POST', '/reset', { limit: 'dailyMessages' }, true],
  ] as const)('knows who lives in the worlds of a user that is %s', async (_, method, path, body, isKnown) => {
    const { as, ask } = await startServer()
    const speakers = async (user: string) => (await jsonOf(as(user, 'ultra')('POST', MESSAGE, { content: 'hola' }))).responses.map(({ agent }: { agent: string }) => agent)
    for (const user of ['ana', 'eva']) for (const world of ['w1', 'w2']) await as(user, 'ultra')('POST', `/api/worlds/${world}/agents`, { name: 'Merlín' })
    expect((await ask(method, `/v1/subjects/worlds:ana${path}`, { body })).ok).toBe(true)
    expect([await speakers('ana'), await speakers('eva')]).toEqual([[isKnown ? 'Merlín' : 'Anfitrión'], ['Merlín']])
    const { limits } = await jsonOf(ask('GET', '/v1/subjects/worlds:ana/usage'))
    expect(limits.filter(({ limit, used }: { limit: string; used: number }) => limit === 'agents' && used > 0)).toHaveLength(isKnown ? 2 : 0)
  })

  it('counts down the pause, also where spam takes longer', async () => {
    const { as, advance } = await startServer()
    for (let i = 0; i < 10; i++) {
      await as('ana', 'free')('POST', MESSAGE, { content: 'hola' })
      if (i < 9) await advance(5000)
    }
    const denied = await as('ana')('POST', MESSAGE, { content: 'hola' })
    expect([denied.status, denied.headers.get('Retry-After'), (await jsonOf(denied)).retryAfter]).toEqual([429, '5', 5])
    await advance(5000)
    // The pause is over, and it is spam alone.
    const spam = await as('ana')('POST', MESSAGE, { content: 'hola' })
    expect(spam.status).toBe(429)
    expect(Number(spam.headers.get('Retry-After'))).toBeGreaterThan(3000)
  })

  it('tells the day’s messages with the answers about agents too', async () => {
    const { as } = await startServer()
    const said = await as('ana')('POST', MESSAGE, { content: 'hola' })
    const statuses = []
    for (let i = 0; i < 4; i++) {
      const { status, headers } = await as('ana')('POST', '/api/worlds/w1/agents', { name: `agent ${i}` })
      statuses.push(status)
      for (const [name, value] of [['Limit', '50'], ['Remaining', '49'], ['Reset', said.headers.get('X-RateLimit-Reset')]]) expect(headers.get(`X-RateLimit-${name}`)).toBe(value)
      expect(headers.get('RateLimit')).toMatch(/^"agents";r=\d+$/)
    }
    expect(statuses).toEqual([200, 200, 200, 429])
    const unlimited = await as('eva', 'ultra')('POST', '/api/worlds/w1/agents', { name: 'a' })
    expect([unlimited.status, unlimited.headers.get('X-RateLimit-Limit')]).toEqual([200, null])
  })

  it('adds agents without a reservation while limits are off', async () => {
    const { as, ask } = await startServer()
    await ask('PUT', '/v1/rollout', { body: { mode: 'off', percent: 100 } })
    const response = await as('ana')('POST', '/api/worlds/w1/agents', { name: 'Merlín' })
    expect(await jsonOf(response)).toEqual({ success: true, agent: { id: null, name: 'Merlín', world: 'w1' } })
    expect(response.headers.get('X-RateLimit-Limit')).toBe(null)
    const { components } = await jsonOf(ask('GET', '/openapi.json'))
    expect(components.schemas.AddedAgent.properties.agent.properties.id.type).toEqual(['string', 'null'])
  })

  it.each([[65_536, 200], [65_537, 413]])('takes content of %i characters: %i', async (length, status) => {
    const { as } = await startServer()
    const content = 'x'.repeat(length)
    const chat = { messages: [{ role: 'user', content }] }
    // Its tokens are more than a day's trial has, so for businesses the plan is one that has enough.
    const answers = [await as('ana')('POST', MESSAGE, { content }), await as('ana')('POST', '/api/chat', { model: 'gemini-2.0-flash', ...chat }), await as('ana', 'PRO')('POST', '/api/business/b/chat', chat)]
    expect(answers.map((answer) => answer.status)).toEqual([status, status, status])
    const codes = await Promise.all(answers.map(async (answer) => /"code":"(\w+)".*"field":"[\w.]*content"/.exec(await answer.text())?.[1]))
    expect(codes).toEqual(Array(3).fill(status === 413 ? 'TOO_LARGE' : undefined))
  })

  it('logs as its queries look for', async () => {
    const { as, ask, lines } = await startServer()
    await ask('PUT', '/v1/subjects/worlds:max', { body: { plan: 'free', overrides: { dailyMessages: 0 } } })
    await as('max')('POST', MESSAGE, { content: 'hola' })
    const say = (content: string) => as('ana', 'ultra')('POST', MESSAGE, { content })
    for (let i = 0; i < 11; i++) await say('hola')
    for (let i = 0; i < 11; i++) await say(`hola ${i} ${'x'.repeat(i)}`)
    for (let i = 0; i < 2; i++) await as('eva')('POST', MESSAGE, { content: 'hola' })
    expect(lines.map(({ message }) => message)).toEqual([
      '[World Message] Límite diario excedido para usuario max',
      '[World Message] Spam detectado para usuario ana en mundo w1',
      '[World Message] Flooding detectado para usuario ana en mundo w1',
      '[World Message] Cooldown activo para usuario eva en mundo w1',
    ])
  })
})

describe('business chat', () => {
  const body = { messages: [{ role: 'user', content: 'hello there' }] }

  it('counts the tokens that were used, not the estimate', async () => {
    const { as, ask } = await startServer()
    const response = await as('ana')('POST', '/api/business/b1/chat', body)
    const { reply, usage } = await jsonOf(response)
    expect(reply).toMatchObject({ role: 'assistant', content: expect.stringContaining('hello there') })
    expect(usage.totalTokens).toBe(usage.promptTokens + usage.completionTokens)
    expect((await jsonOf(ask('GET', '/v1/subjects/business:b1/usage'))).limits[1].used).toBe(usage.totalTokens)
    expect(response.headers.get('X-RateLimit-Remaining')).toBe('199')
  })

  it('counts nothing when the model fails', async () => {
    const model = { name: 'broken', reply: () => { throw new Error('no model') } }
    const { as, ask } = await startServer({ demo: { model } })
    expect((await as('ana')('POST', '/api/business/b1/chat', body)).status).toBe(500)
    expect((await jsonOf(ask('GET', '/v1/subjects/business:b1/usage'))).limits.map(({ used }: { used: number }) => used)).toEqual([0, 0])
  })

  it('does not ask anybody when the flag is off', async () => {
    const { as, ask } = await startServer({ demo: { isBusinessLimited: false } })
    const response = await as('ana', 'FREE')('POST', '/api/business/b1/chat', body)
    expect([response.status, response.headers.get('RateLimit')]).toEqual([200, null])
    expect((await ask('GET', '/v1/subjects/business:b1')).status).toBe(404)
  })
})
