import { describe, expect, it } from 'vitest'
import { jsonOf, message, startServer } from './helpers.ts'

describe('check, consume, reserve', () => {
  it('answers 200 with the decision, and tells it in headers', async () => {
    const { ask } = await startServer()
    const response = await ask('POST', '/v1/consume', { body: message })
    expect(response.status).toBe(200)
    expect(response.headers.get('RateLimit-Policy')).toBe('"dailyMessages";q=200;w=86400, "monthlyTokens";q=100000;w=2592000;qu="tokens"')
    expect(response.headers.get('RateLimit')).toMatch(/^"dailyMessages";r=199;t=\d+, "monthlyTokens";r=99900;t=\d+$/)
    expect(response.headers.get('X-RateLimit-Limit')).toBe('200')
    expect(response.headers.get('X-RateLimit-Remaining')).toBe('199')
    const decision = await jsonOf(response)
    expect(decision).toMatchObject({ allowed: true, subject: 'business:1', plan: 'business-chat/TRIAL', mode: 'enforce', degraded: false, violations: [] })
    expect(Number(response.headers.get('X-RateLimit-Reset'))).toBe(decision.limits[0].resetAt / 1000)
  })

  it('has no policy for what the subject has without limit', async () => {
    const { ask } = await startServer()
    await ask('PUT', '/v1/subjects/business:1', { body: { plan: 'TRIAL', overrides: { dailyMessages: null } } })
    const { headers } = await ask('POST', '/v1/consume', { body: { ...message, plan: undefined } })
    expect([headers.get('RateLimit-Policy'), headers.get('RateLimit')]).toEqual(['"monthlyTokens";q=100000;w=2592000;qu="tokens"', expect.stringMatching(/^"monthlyTokens";r=99900;t=\d+$/)])
  })

  it('answers a denial with 200 as well, or with its status where that was asked for', async () => {
    const { ask } = await startServer()
    const body = { ...message, amounts: { tokens: 100_001 } }
    const plain = await ask('POST', '/v1/consume', { body })
    expect(plain.status).toBe(200)
    expect(await jsonOf(plain)).toMatchObject({ allowed: false, violations: [{ limit: 'monthlyTokens', code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', liftedBy: expect.arrayContaining(['business-chat/PAYG']) }] })

    const status = await ask('POST', '/v1/consume?respond=status', { body })
    expect(status.status).toBe(429)
    expect(status.headers.get('Content-Type')).toBe('application/problem+json')
    expect(status.headers.get('X-RateLimit-Limit')).toBe('200')
    expect(await jsonOf(status)).toMatchObject({ type: 'https://iana.org/assignments/http-problem-types#quota-exceeded', status: 429, code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', 'violated-policies': ['monthlyTokens'] })
  })

  it('says Retry-After in whole seconds, rounded up', async () => {
    const { ask } = await startServer()
    const body = { subject: 'user:1', plan: 'free', operation: 'message', dimensions: { world: 'w' }, content: 'hi' }
    await ask('POST', '/v1/consume', { body })
    const denied = await ask('POST', '/v1/consume?respond=status', { body: { ...body, content: 'ho' } })
    expect(denied.status).toBe(429)
    expect(denied.headers.get('Retry-After')).toBe('5')
  })

  it('denies what is not in the plan with 403', async () => {
    const { ask } = await startServer()
    const body = { subject: 'chat:1', plan: 'chat-models/anonymous', operation: 'message', dimensions: { model: 'claude-opus-4' } }
    const response = await ask('POST', '/v1/consume?respond=status', { body })
    expect(response.status).toBe(403)
    expect(response.headers.get('Retry-After')).toBe(null)
    // A plan without the limit is no matter of pauses.
    expect((await jsonOf(response)).detail).not.toMatch(/pause/)
  })

  it('checks without counting', async () => {
    const { ask } = await startServer()
    for (let i = 0; i < 3; i++) await ask('POST', '/v1/check', { body: message })
    expect((await jsonOf(ask('POST', '/v1/check', { body: message }))).limits[0].used).toBe(0)
  })

  it.each([
    ['the request', { locale: 'es' }, undefined, 'Límite diario'],
    ['the browser', {}, 'ru,en;q=0.5', 'Дневной лимит'],
    ['nobody', {}, undefined, 'Daily limit'],
    ['the request before the browser', { locale: 'es' }, 'ru', 'Límite diario'],
  ])('speaks the language of %s', async (_, more, accepted, text) => {
    const { ask } = await startServer()
    await ask('PUT', '/v1/subjects/business:1', { body: { plan: 'TRIAL', overrides: { dailyMessages: 0 } } })
    const { violations } = await jsonOf(ask('POST', '/v1/consume', { body: { ...message, ...more }, headers: accepted === undefined ? {} : { 'Accept-Language': accepted } }))
    expect(violations[0].message).toContain(text)
  })

  it('tells unlimited as null', async () => {
    const { ask } = await startServer()
    const decision = await jsonOf(ask('POST', '/v1/check', { body: { subject: 'u', plan: 'virtual-worlds/ultra', operation: 'message', dimensions: { world: 'w' } } }))
    expect(decision.limits[0]).toMatchObject({ limit: 'dailyMessages', max: null, remaining: null })
  })

  it('explains, rule by rule', async () => {
    const { ask } = await startServer()
    const explanation = await jsonOf(ask('POST', '/v1/explain', { body: message }))
    expect(explanation).toMatchObject({ planSource: 'request', decision: { allowed: true }, rules: [{ limit: 'dailyMessages', applies: true, passes: true }, { limit: 'monthlyTokens' }] })
  })
})

describe('reservations', () => {
  const reserve = async (ask: Awaited<ReturnType<typeof startServer>>['ask']) => (await jsonOf(ask('POST', '/v1/reserve', { body: message }))).reservation.id as string

  it('commits what was used', async () => {
    const { ask } = await startServer()
    const id = await reserve(ask)
    const response = await ask('POST', `/v1/reservations/${id}/commit`, { body: { amounts: { tokens: 834 } } })
    expect(response.status).toBe(200)
    expect(await jsonOf(response)).toMatchObject({ id, subject: 'business:1', plan: 'business-chat/TRIAL', status: 'committed', amounts: { tokens: 834 }, late: false })
    const { limits } = await jsonOf(ask('GET', '/v1/subjects/business:1/usage'))
    expect(limits.map(({ used }: { used: number }) => used)).toEqual([1, 834])
  })

  it('answers a second settlement with 409 and the first outcome', async () => {
    const { ask } = await startServer()
    const id = await reserve(ask)
    const first = await jsonOf(ask('POST', `/v1/reservations/${id}/release`))
    for (const action of ['commit', 'release']) {
      const again = await ask('POST', `/v1/reservations/${id}/${action}`)
      expect(again.status).toBe(409)
      expect(await jsonOf(again)).toMatchObject({ code: 'ALREADY_SETTLED', reservation: first })
    }
  })

  it('extends', async () => {
    const { ask } = await startServer()
    const id = await reserve(ask)
    const { expiresAt, status } = await jsonOf(ask('POST', `/v1/reservations/${id}/extend`, { body: { ttlMs: 3_600_000 } }))
    expect(status).toBe('open')
    expect(expiresAt).toBeGreaterThan(Date.now() + 3_500_000)
  })

  it('knows no others', async () => {
    const { ask } = await startServer()
    expect((await ask('POST', '/v1/reservations/r_nope/commit')).status).toBe(404)
  })
})
