import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, RunningServer } from './running-server.ts'

let server: RunningServer
beforeAll(async () => {
  server = await RunningServer.start()
  // The 1st of a month, so that a month's work fits.
  const now = new Date(await server.now())
  await server.advanceTo(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1))
})
afterAll(() => server?.stop())

const chat = (model: string, headers: Record<string, string>): Promise<Answer> => server.post('/api/chat', { model, messages: [{ role: 'user', content: 'hello' }] }, headers)
/** The different answers to so many questions at once. */
const statuses = async (count: number, model: string, headers: Record<string, string>): Promise<number[]> => [
  ...new Set((await Promise.all(Array.from({ length: count }, () => chat(model, headers)))).map(({ status }) => status)),
]
const usage = (user: string): Promise<Answer> => server.get('/api/usage', { 'x-demo-user': user })
const SIMPLE = 'gemini-2.0-flash'
const PREMIUM = 'claude-opus-4'

describe('multi-model chat', () => {
  it('streams an answer and counts it after success', async () => {
    const answer = await chat(SIMPLE, { 'x-demo-user': 'reader' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toContain('text/event-stream')
    expect(answer.body.length).toBeGreaterThan(0)
    const { body } = await usage('reader')
    const now = new Date(await server.now())
    expect(body).toEqual({
      userId: 'reader',
      totalMessages: 1,
      premiumMessages: 0,
      lastReset: Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1),
      canSendMessage: true,
      canSendPremiumMessage: true,
    })
  })

  it('admits 100 messages a month, of them 20 premium, and starts again on the 1st', async () => {
    const user = { 'x-demo-user': 'writer' }
    expect(await statuses(20, PREMIUM, user)).toEqual([200])
    expect((await chat(PREMIUM, user)).status).toBe(429)
    expect((await usage('writer')).body).toMatchObject({ totalMessages: 20, premiumMessages: 20, canSendMessage: true, canSendPremiumMessage: false })
    expect(await statuses(80, SIMPLE, user)).toEqual([200])
    const denied = await chat(SIMPLE, user)
    expect(denied.status).toBe(429)
    expect(denied.headers.get('content-type')).toContain('application/problem+json')
    expect(Number(denied.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await usage('writer')).body).toMatchObject({ totalMessages: 100, premiumMessages: 20, canSendMessage: false, canSendPremiumMessage: false })
    expect((await usage('other')).body).toMatchObject({ totalMessages: 0, canSendMessage: true })

    const now = new Date(await server.now())
    const first = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)
    await server.advanceTo(first)
    expect((await usage('writer')).body).toMatchObject({ totalMessages: 0, premiumMessages: 0, lastReset: first, canSendPremiumMessage: true })
    expect((await chat(PREMIUM, user)).status).toBe(200)
  })

  it('lets anonymous visitors use one model only', async () => {
    expect((await chat(SIMPLE, {})).status).toBe(200)
    for (const model of [PREMIUM, 'gpt-4o-mini', 'a-model-of-tomorrow']) expect((await chat(model, {})).status).toBe(403)
    expect((await server.get('/api/usage')).status).toBe(401)
  })

  it('lets only admins reset, their own counters or another user’s', async () => {
    await chat(PREMIUM, { 'x-demo-user': 'forgetful' })
    expect((await server.send('DELETE', '/api/usage', { headers: { 'x-demo-user': 'forgetful' } })).status).toBe(403)
    expect((await usage('forgetful')).body.totalMessages).toBe(1)
    const admin = { 'x-demo-user': 'boss', 'x-demo-role': 'admin' }
    expect((await server.send('DELETE', '/api/usage?userId=forgetful', { headers: admin })).status).toBeLessThan(300)
    const after = await server.get('/api/usage?userId=forgetful', admin)
    expect(after.body).toMatchObject({ userId: 'forgetful', totalMessages: 0, premiumMessages: 0 })
    // Later than the 1st of the month, whose first instant it may be.
    expect(new Date(after.body.lastReset).getTime()).toBeGreaterThanOrEqual(Date.UTC(new Date(after.body.lastReset).getUTCFullYear(), new Date(after.body.lastReset).getUTCMonth(), 1))
  })

  it('gives back what an answer that nobody waited for had reserved', async () => {
    const controller = new AbortController()
    const response = await fetch(`${server.url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-demo-user': 'impatient' },
      body: JSON.stringify({ model: SIMPLE, messages: [{ role: 'user', content: 'a long question '.repeat(200) }] }),
      signal: controller.signal,
    })
    const reader = response.body!.getReader()
    await reader.read()
    controller.abort()
    await expect.poll(async () => (await usage('impatient')).body.totalMessages).toBe(0)
  })

  it('passes no limit when 150 arrive at once', async () => {
    const answers = await Promise.all(Array.from({ length: 150 }, () => chat(SIMPLE, { 'x-demo-user': 'crowd' })))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(100)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(50)
  })
})
