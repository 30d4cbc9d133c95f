import { describe, expect, it } from 'vitest'
import { jsonOf, message, startServer } from './helpers.ts'

describe('subjects', () => {
  it('are stored, seen, and forgotten', async () => {
    const { ask } = await startServer()
    const facts = { plan: 'virtual-worlds/plus', anchorAt: 1_790_000_000_000, team: 'team:9', attributes: { vip: true, note: null }, overrides: { dailyMessages: 900 } }
    const put = await ask('PUT', '/v1/subjects/user:1', { body: { ...facts, plan: 'plus' } })
    expect(put.status).toBe(200)
    expect(await jsonOf(put)).toEqual({ subject: 'user:1', ...facts })
    expect(await jsonOf(ask('GET', '/v1/subjects/user:1'))).toEqual({ subject: 'user:1', ...facts })
    expect((await jsonOf(ask('GET', '/v1/subjects/user:1/usage'))).limits[0]).toMatchObject({ limit: 'dailyMessages', max: 900 })
    expect((await ask('DELETE', '/v1/subjects/user:1')).status).toBe(204)
    expect((await ask('GET', '/v1/subjects/user:1')).status).toBe(404)
  })

  it('lose the facts that are put as null', async () => {
    const { ask } = await startServer()
    const put = (facts: object) => jsonOf(ask('PUT', '/v1/subjects/a', { body: { plan: 'plus', ...facts } }))
    await put({ anchorAt: 1_790_000_000_000, team: 'team:9', attributes: { vip: true }, overrides: { dailyMessages: 900 } })
    expect(await put({ team: null, overrides: null })).toEqual({ subject: 'a', plan: 'virtual-worlds/plus', anchorAt: 1_790_000_000_000, attributes: { vip: true } })
    expect(await put({ anchorAt: null, attributes: null })).toEqual({ subject: 'a', plan: 'virtual-worlds/plus' })
    expect(await jsonOf(ask('GET', '/v1/subjects/a'))).toEqual({ subject: 'a', plan: 'virtual-worlds/plus' })
    expect((await jsonOf(ask('GET', '/v1/subjects/a/usage'))).limits[0].max).toBe(500)
  })

  it('are forgotten also when they were only seen, not stored', async () => {
    const { ask } = await startServer()
    await ask('POST', '/v1/consume', { body: message })
    expect((await ask('GET', '/v1/subjects/business:1')).status).toBe(200)
    expect((await ask('DELETE', '/v1/subjects/business:1')).status).toBe(204)
    expect((await ask('GET', '/v1/subjects/business:1')).status).toBe(404)
    expect((await ask('GET', '/v1/subjects/business:1/usage')).status).toBe(404)
  })

  it('of which nothing is known are not found', async () => {
    const { ask } = await startServer()
    for (const [method, path] of [['GET', ''], ['GET', '/usage'], ['POST', '/reset']] as const) {
      const response = await ask(method, `/v1/subjects/nobody${path}`)
      expect([response.status, (await jsonOf(response)).code]).toEqual([404, 'NOT_FOUND'])
    }
    expect((await jsonOf(ask('GET', '/v1/subjects/nobody/usage?plan=plus'))).limits[0].used).toBe(0)
  })

  it('may be sent back as they were given', async () => {
    const { ask } = await startServer()
    await ask('PUT', '/v1/subjects/a', { body: { plan: 'plus', overrides: { dailyMessages: null } } })
    const given = await jsonOf(ask('GET', '/v1/subjects/a'))
    expect((await ask('PUT', '/v1/subjects/a', { body: given })).status).toBe(200)
    expect((await ask('PUT', '/v1/subjects/b', { body: given })).status).toBe(422)
  })

  it('have the plan they were last admitted under, when none is stored', async () => {
    const { ask } = await startServer()
    await ask('POST', '/v1/consume', { body: message })
    expect(await jsonOf(ask('GET', '/v1/subjects/business:1'))).toEqual({ subject: 'business:1', plan: 'business-chat/TRIAL' })
  })

  it.each(['a/b', 'ünï', '100%', 'a b', '%2F', 'user:1?x#y', '日本'])('may be called %j', async (subject) => {
    const { ask } = await startServer()
    const path = `/v1/subjects/${encodeURIComponent(subject)}`
    expect(await jsonOf(ask('PUT', path, { body: { plan: 'plus' } }))).toEqual({ subject, plan: 'virtual-worlds/plus' })
    expect((await jsonOf(ask('GET', `${path}/usage`))).subject).toBe(subject)
    expect((await ask('GET', '/v1/subjects/other')).status).toBe(404)
  })

  it.each([['%', 400], ['%zz', 400], ['%E0%A4%A', 400], ['%FF', 400], ['%00', 422], ['a'.repeat(257), 422]])('may not be called %s', async (encoded, status) => {
    const { ask } = await startServer()
    const response = await ask('GET', `/v1/subjects/${encoded}/usage`)
    expect(response.status).toBe(status)
    expect(response.headers.get('Content-Type')).toBe('application/problem+json')
  })

  it('show their usage under another plan', async () => {
    const { ask } = await startServer()
    await ask('POST', '/v1/consume', { body: message })
    const usage = await jsonOf(ask('GET', '/v1/subjects/business:1/usage?plan=PRO'))
    expect(usage).toMatchObject({ plan: 'business-chat/PRO', credits: null, limits: [{ max: 5000, used: 1 }, { max: 5_000_000, used: 100 }] })
    expect((await ask('GET', '/v1/subjects/business:1/usage?plan=GOLD')).status).toBe(422)
    expect((await ask('GET', '/v1/subjects/business:1/usage?plam=PRO')).status).toBe(422)
  })

  it('are reset, of one limit or of all', async () => {
    const { ask } = await startServer()
    await ask('PUT', '/v1/subjects/business:1', { body: { plan: 'TRIAL' } })
    await ask('POST', '/v1/consume', { body: message })
    const used = ({ limits }: { limits: { used: number }[] }) => limits.map((limit) => limit.used)
    expect(used(await jsonOf(ask('POST', '/v1/subjects/business:1/reset', { body: { limit: 'monthlyTokens' } })))).toEqual([1, 0])
    expect(used(await jsonOf(ask('POST', '/v1/subjects/business:1/reset')))).toEqual([0, 0])
    expect((await jsonOf(ask('POST', '/v1/subjects/business:1/reset', { body: { limit: 'x' } }))).code).toBe('UNKNOWN_LIMIT')
  })
})

describe('events', () => {
  /** Reads events of a stream by name, until there are so many. */
  async function read(response: Response, count: number): Promise<[string, { [name: string]: unknown }][]> {
    const reader = response.body!.getReader()
    let text = ''
    const events = () => [...text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)].map(([, name, data]) => [name!, JSON.parse(data!)] as [string, { [name: string]: unknown }])
    while (events().length < count) {
      const { done, value } = await reader.read()
      if (done) break
      text += new TextDecoder().decode(value)
    }
    await reader.cancel()
    return events()
  }

  it('tell usage at once, and what happens', async () => {
    const { ask } = await startServer()
    await ask('PUT', '/v1/subjects/business:1', { body: { plan: 'TRIAL' } })
    const stream = await ask('GET', '/v1/subjects/business:1/events')
    expect(stream.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8')
    const reading = read(stream, 3)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await ask('POST', '/v1/consume', { body: { ...message, subject: 'business:2' } })
    await ask('POST', '/v1/check', { body: message })
    await ask('POST', '/v1/consume', { body: message })
    expect((await reading).map(([name, data]) => [name, data.subject, (data.limits as { used: number }[])[1]!.used])).toEqual([
      ['usage', 'business:1', 0],
      ['decision', 'business:1', 100],
      ['usage', 'business:1', 100],
    ])
  })

  it('keep the newest for a client that reads slowly, and say how many were dropped', async () => {
    const { ask } = await startServer()
    const stream = await ask('GET', '/v1/subjects/business:1/events')
    const reader = stream.body!.getReader()
    const first = reader.read()
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (let i = 0; i < 100; i++) await ask('POST', '/v1/consume', { body: message })
    let text = new TextDecoder().decode((await first).value)
    while (!text.includes('event: usage')) text += new TextDecoder().decode((await reader.read()).value)
    await reader.cancel()
    // One was being sent when the others came.
    expect(text).toMatch(/: 3[56] events were dropped/)
    expect(text.match(/event: decision/g)!.length).toBeLessThanOrEqual(65)
    expect(text).toMatch(/event: usage\ndata: .*"used":100,/)
  })

  it('keep a silent connection open, and are counted', async () => {
    const { ask } = await startServer({ heartbeatMs: 5 })
    const reader = (await ask('GET', '/v1/subjects/nobody/events')).body!.getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(': still here\n\n')
    expect(await (await ask('GET', '/metrics')).text()).toContain('\ntollgate_event_streams 1\n')
    await reader.cancel()
    expect(await (await ask('GET', '/metrics')).text()).toContain('\ntollgate_event_streams 0\n')
  })

  it('tell with the heartbeat what nobody did here', async () => {
    const { ask, advance } = await startServer({ heartbeatMs: 5 })
    await ask('PUT', '/v1/subjects/telegram:1', { body: { plan: 'Professional' } })
    await ask('POST', '/v1/consume', { body: { subject: 'telegram:1', operation: 'sora_image' } })
    const reader = (await ask('GET', '/v1/subjects/telegram:1/events')).body!.getReader()
    let text = ''
    const told = async (part: string) => {
      while (!text.includes(part)) text += new TextDecoder().decode((await reader.read()).value)
    }
    await told('"balance":1990')
    await told(': still here')
    await advance(31 * 86_400_000)
    await told('"balance":2000')
    expect(text.match(/event: usage/g)!.length).toBeLessThanOrEqual(4)
    await reader.cancel()
  })

  it('end when the subject is forgotten', async () => {
    const { ask } = await startServer()
    await ask('POST', '/v1/consume', { body: message })
    const other = (await ask('GET', '/v1/subjects/business:2/events')).body!.getReader()
    const reading = other.read()
    const stream = (await ask('GET', '/v1/subjects/business:1/events')).body!.getReader()
    expect(new TextDecoder().decode((await stream.read()).value)).toContain('event: usage')
    const next = stream.read()
    await ask('DELETE', '/v1/subjects/business:1')
    expect((await next).done).toBe(true)
    expect(await Promise.race([reading, 'open'])).toBe('open')
    await other.cancel()
  })

  it.each([['DELETE', ''], ['POST', '/rotate']])('end when the key that opened them stops: %s%s', async (method, path) => {
    const { ask } = await startServer({ heartbeatMs: 5 })
    const make = () => jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['read'], namespace: 'acme' } }))
    const [stopped, kept] = [await make(), await make()]
    const open = async ({ key }: { key: string }) => (await ask('GET', '/v1/subjects/nobody/events', { key })).body!.getReader()
    const [ends, stays] = [await open(stopped), await open(kept)]
    for (const reader of [ends, stays]) expect((await reader.read()).done).toBe(false)
    await ask(method, `/v1/keys/${stopped.id}${path}`)
    expect((await ends.read()).done).toBe(true)
    expect((await stays.read()).done).toBe(false)
    await stays.cancel()
  })

  it('opens nothing for HEAD', async () => {
    const { ask } = await startServer()
    expect((await ask('HEAD', '/v1/subjects/business:1/events')).status).toBe(200)
    expect(await (await ask('GET', '/metrics')).text()).toContain('\ntollgate_event_streams 0\n')
  })

  it('are at most a thousand at a time', async () => {
    const { ask } = await startServer()
    const readers = []
    for (let i = 0; i < 1000; i++) {
      const reader = (await ask('GET', `/v1/subjects/s${i}/events`)).body!.getReader()
      void reader.read()
      readers.push(reader)
    }
    expect((await ask('GET', '/v1/subjects/one-more/events')).status).toBe(503)
    await readers[0]!.cancel()
    const reader = (await ask('GET', '/v1/subjects/one-more/events')).body!.getReader()
    await Promise.all([...readers, reader].map((each) => each.cancel()))
  })
})

describe('plans and rollout', () => {
  it('lists every plan as it was defined', async () => {
    const { ask } = await startServer()
    const { plans } = await jsonOf(ask('GET', '/v1/plans'))
    expect(plans.map(({ id }: { id: string }) => id)).toEqual([
      ...['free', 'plus', 'ultra'].map((name) => `virtual-worlds/${name}`),
      ...['anonymous', 'user'].map((name) => `chat-models/${name}`),
      ...['FREE', 'TRIAL', 'PAYG', 'STARTER', 'PRO', 'ENTERPRISE'].map((name) => `business-chat/${name}`),
      ...['Gift', 'Professional', 'Business'].map((name) => `telegram-bot/${name}`),
    ])
    expect(plans[1]).toMatchObject({ rank: 1, price: { amount: 5, currency: 'USD', every: 'month' }, headline: 'dailyMessages', credits: null, limits: { dailyMessages: { kind: 'quota', limit: 500, every: 'day' } } })
    expect(plans[2].limits.dailyMessages.limit).toBe(null)
  })

  it('switches limits off and on', async () => {
    const { ask } = await startServer()
    const body = { ...message, plan: 'business-chat/FREE' }
    const rollout = (mode: string) => ask('PUT', '/v1/rollout', { body: { mode, percent: 100 } })
    expect((await jsonOf(ask('POST', '/v1/consume', { body }))).allowed).toBe(false)
    await rollout('shadow')
    expect(await jsonOf(ask('POST', '/v1/consume', { body }))).toMatchObject({ allowed: true, mode: 'shadow', violations: [{ limit: 'monthlyTokens' }] })
    await rollout('off')
    const off = await ask('POST', '/v1/consume', { body })
    expect(off.headers.get('RateLimit')).toBe(null)
    expect(await jsonOf(off)).toMatchObject({ allowed: true, mode: 'off', violations: [] })
    expect((await ask('PUT', '/v1/rollout', { body: { mode: 'maybe', percent: 101 } })).status).toBe(422)
  })
})
