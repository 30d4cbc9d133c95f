import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { settingsOf } from '../../src/environment.ts'
import { createServer } from '../../src/index.ts'
import { ADMIN, type Answer, RunningServer } from './running-server.ts'

let server: RunningServer
beforeAll(async () => {
  server = await RunningServer.start()
})
afterAll(() => server?.stop())

const DAY_MS = 86_400_000
const nextMidnight = (now: number): number => Math.floor(now / DAY_MS) * DAY_MS + DAY_MS
const chat = (business: string, plan: string, content = 'hello'): Promise<Answer> =>
  server.post(`/api/business/${business}/chat`, { messages: [{ role: 'user', content }] }, { 'x-demo-user': 'clerk', 'x-demo-plan': plan })
const limitOf = async (subject: string, limit: string): Promise<Record<string, number>> => {
  const { body } = await server.get(`/v1/subjects/${subject}/usage`, ADMIN)
  return body.limits.find((state: { limit: string }) => state.limit === limit)
}

describe('business chat', () => {
  it('admits 200 messages a day on TRIAL, until midnight UTC', async () => {
    await server.advanceTo(nextMidnight(await server.now()))
    for (let i = 0; i < 200; i++) expect((await chat('trial', 'TRIAL')).status).toBe(200)
    const denied = await chat('trial', 'TRIAL')
    expect(denied.status).toBe(429)
    expect(JSON.stringify(denied.body)).toContain('DAILY_MESSAGE_LIMIT_EXCEEDED')
    expect((await chat('another', 'TRIAL')).status).toBe(200)
    await server.advanceTo(nextMidnight(await server.now()))
    expect((await chat('trial', 'TRIAL')).status).toBe(200)
  })

  it('denies a business that has used its tokens, and lets the last answer settle above the limit', async () => {
    const subject = 'business:talker'
    await chat('talker', 'TRIAL')
    const { used, max } = await limitOf(subject, 'monthlyTokens')
    expect(max).toBe(100_000)
    expect(used).toBeGreaterThan(0)
    // An answer that turns out longer than was reserved: recorded in full.
    const reserve = await server.post('/v1/reserve', { subject, amounts: { tokens: 10 } }, ADMIN)
    expect(reserve.body.allowed).toBe(true)
    const commit = await server.post(`/v1/reservations/${reserve.body.reservation.id}/commit`, { amounts: { tokens: 150_000 } }, ADMIN)
    expect(commit.status).toBe(200)
    expect(await limitOf(subject, 'monthlyTokens')).toMatchObject({ used: used! + 150_000, max: 100_000, remaining: 0 })
    const denied = await chat('talker', 'TRIAL')
    expect(denied.status).toBe(429)
    expect(JSON.stringify(denied.body)).toContain('MONTHLY_TOKEN_LIMIT_EXCEEDED')
    // A better plan lifts it at once.
    expect((await chat('talker', 'PRO')).status).toBe(200)
  })

  it('denies FREE by its tokens', async () => {
    const denied = await chat('stingy', 'FREE')
    expect(denied.status).toBe(429)
    expect(JSON.stringify(denied.body)).toContain('MONTHLY_TOKEN_LIMIT_EXCEEDED')
    expect(JSON.stringify(denied.body)).not.toContain('DAILY_MESSAGE_LIMIT_EXCEEDED')
  })

  it('counts a subscription’s months from its own day: Jan 31, Feb 28 or 29, Mar 31', async () => {
    const year = new Date(await server.now()).getUTCFullYear() + 1
    const anchorAt = Date.UTC(year, 0, 31, 10)
    const subject = 'business:anchored'
    await server.advanceTo(anchorAt + 1000)
    expect((await server.send('PUT', `/v1/subjects/${subject}`, { headers: ADMIN, body: { plan: 'business-chat/STARTER', anchorAt } })).status).toBe(200)
    const lastOfFebruary = Date.UTC(year, 2, 0, 10)
    const use = async (): Promise<Record<string, number>> => {
      await server.post('/v1/consume', { subject, amounts: { tokens: 100 } }, ADMIN)
      return limitOf(subject, 'monthlyTokens')
    }
    expect(await use()).toMatchObject({ used: 100, resetAt: lastOfFebruary })
    await server.advanceTo(lastOfFebruary - 5000)
    expect(await use()).toMatchObject({ used: 200, resetAt: lastOfFebruary })
    await server.advanceTo(lastOfFebruary)
    expect(await use()).toMatchObject({ used: 100, resetAt: Date.UTC(year, 2, 31, 10) })
    await server.advanceTo(Date.UTC(year, 2, 31, 10))
    expect(await use()).toMatchObject({ used: 100, resetAt: Date.UTC(year, 3, 30, 10) })
  })
})

describe('the switch', () => {
  const asked = { messages: [{ role: 'user', content: 'hi' }] }
  const FREE = { 'x-demo-user': 'clerk', 'x-demo-plan': 'FREE' }

  it('reaches the server from its environment', async () => {
    const own = await RunningServer.start({ CHAT_RATE_LIMITING_ENABLED: 'false' })
    try {
      expect((await own.post('/api/business/b1/chat', asked, FREE)).status).toBe(200)
    } finally {
      await own.stop()
    }
  })

  it.each([['false', 200], ['TRUE', 200], ['1', 200], ['true', 429]])('CHAT_RATE_LIMITING_ENABLED=%s answers FREE with %i', async (value, status) => {
    const { options } = settingsOf({ TOLLGATE_DEMO: '1', CHAT_RATE_LIMITING_ENABLED: value })
    const own = await createServer({ demo: options.demo!, log: () => {} })
    try {
      const answer = await own.app.request('/api/business/b1/chat', { method: 'POST', headers: { 'content-type': 'application/json', ...FREE }, body: JSON.stringify(asked) })
      expect(answer.status).toBe(status)
    } finally {
      await own.close()
    }
  })
})
