import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ADMIN, type Answer, RunningServer } from './running-server.ts'

let server: RunningServer
beforeAll(async () => {
  server = await RunningServer.start()
})
afterAll(() => server?.stop())

const as = (user: string, plan = 'free', extra: Record<string, string> = {}): Record<string, string> => ({ 'x-demo-user': user, 'x-demo-plan': plan, ...extra })
const say = (user: string, plan: string, content: string, world = 'w1', extra?: Record<string, string>): Promise<Answer> =>
  server.post(`/api/worlds/${world}/message`, { content }, as(user, plan, extra))

const DAY_MS = 86_400_000
const nextMidnight = (now: number): number => Math.floor(now / DAY_MS) * DAY_MS + DAY_MS

describe('virtual worlds', () => {
  it('admits 50 messages a day on free and denies the 51st until midnight UTC', async () => {
    // Five hours fit 50 messages 6 s apart: start right after a midnight.
    await server.advanceTo(nextMidnight(await server.now()))
    for (let i = 1; i <= 50; i++) {
      const answer = await say('daily', 'free', `message number ${i}`)
      expect(answer.status).toBe(200)
      expect(answer.body.success).toBe(true)
      expect(Array.isArray(answer.body.responses)).toBe(true)
      expect(answer.headers.get('x-ratelimit-limit')).toBe('50')
      expect(answer.headers.get('x-ratelimit-remaining')).toBe(String(50 - i))
      await server.advance(6000)
    }
    const now = await server.now()
    const midnight = nextMidnight(now)
    const denied = await say('daily', 'free', 'one too many')
    expect(denied.status).toBe(429)
    expect(denied.body).toMatchObject({ limit: 50, remaining: 0, resetAt: midnight })
    expect(denied.body.error).toContain('Límite diario')
    expect(denied.headers.get('x-ratelimit-remaining')).toBe('0')
    expect(denied.headers.get('x-ratelimit-reset')).toBe(String(midnight))
    const retryAfter = Number(denied.headers.get('retry-after'))
    expect(retryAfter).toBeGreaterThan((midnight - now) / 1000 - 30)
    expect(retryAfter).toBeLessThanOrEqual(Math.ceil((midnight - now) / 1000))

    // A better plan counts on from what was used, and another user is not affected.
    const upgraded = await say('daily', 'plus', 'after the upgrade')
    expect(upgraded.status).toBe(200)
    expect(upgraded.headers.get('x-ratelimit-remaining')).toBe(String(500 - 51))
    expect((await say('somebody-else', 'free', 'hello')).status).toBe(200)

    await server.advanceTo(midnight)
    expect((await say('daily', 'free', 'a new day')).headers.get('x-ratelimit-remaining')).toBe('49')
  })

  it('counts on over a restart: the 51st message is still the 51st', async () => {
    await server.advanceTo(nextMidnight(await server.now()))
    for (let i = 1; i <= 50; i++) {
      if (i === 20) await server.restart()
      const answer = await say('restarted', 'free', `message number ${i}`)
      expect([answer.status, answer.headers.get('x-ratelimit-remaining')]).toEqual([200, String(50 - i)])
      await server.advance(6000)
    }
    await server.restart()
    const { body } = await server.get('/v1/subjects/worlds:restarted/usage', ADMIN)
    expect(body.limits.find(({ limit }: { limit: string }) => limit === 'dailyMessages')).toMatchObject({ used: 50, remaining: 0 })
    expect((await say('restarted', 'free', 'one too many')).body).toMatchObject({ limit: 50, remaining: 0 })
  })

  it('asks for a pause of 5 s on free, per world', async () => {
    const [first, second] = await Promise.all([say('hasty', 'free', 'one'), say('hasty', 'free', 'two')])
    const [passed, denied] = first!.status === 200 ? [first!, second!] : [second!, first!]
    expect(passed.status).toBe(200)
    expect(denied.status).toBe(429)
    expect(denied.headers.get('retry-after')).toBe('5')
    expect(denied.body).toMatchObject({ retryAfter: 5 })
    expect(Object.keys(denied.body).toSorted()).toEqual(['error', 'retryAfter'])
    expect((await say('hasty', 'free', 'three', 'w2')).status).toBe(200)
    await server.advance(5000)
    expect((await say('hasty', 'free', 'two')).status).toBe(200)
  })

  it('takes the 11th identical message within an hour for spam, however it is disguised', async () => {
    const disguises = ['Buy gold now', 'buy  gold now', 'BUY GOLD NOW', 'Buy gold now!!!', 'Вuy gold now', 'B\u200buy gold now', 'Ｂuy gold now', 'buy gold n\u0301ow', 'Buy gold now', 'Buy\tgold now']
    for (const text of disguises) expect((await say('spammer', 'ultra', text)).status).toBe(200)
    const denied = await say('spammer', 'ultra', 'Buy gold now')
    expect(denied.status).toBe(429)
    expect(Object.keys(denied.body)).toEqual(['error'])
    expect((await say('spammer', 'ultra', 'Something else')).status).toBe(200)
    expect((await say('spammer', 'ultra', 'Buy gold now', 'w2')).status).toBe(200)
    await server.advance(3_600_000)
    expect((await say('spammer', 'ultra', 'Buy gold now')).status).toBe(200)
  })

  it('takes the 21st message within a minute for flooding', async () => {
    for (let i = 1; i <= 20; i++) expect((await say('flooder', 'ultra', `unique ${i}`)).status).toBe(200)
    const denied = await say('flooder', 'ultra', 'unique 21')
    expect(denied.status).toBe(429)
    expect(Object.keys(denied.body)).toEqual(['error'])
    await server.advance(60_000)
    expect((await say('flooder', 'ultra', 'unique 22')).status).toBe(200)
  })

  it('sends no numeric daily headers where the day is unlimited', async () => {
    const answer = await say('rich', 'ultra', 'hello')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-ratelimit-limit')).toBeNull()
    const usage = await server.get('/v1/subjects/worlds:rich/usage', ADMIN)
    expect(usage.body.limits.find((state: { limit: string }) => state.limit === 'dailyMessages')).toMatchObject({ max: null, remaining: null, used: 1 })
  })

  it.each([['free', 3], ['plus', 10], ['ultra', 50]])('caps the agents of a world on %s at %i', async (plan, cap) => {
    const add = (name: string, world = 'w1'): Promise<Answer> => server.post(`/api/worlds/${world}/agents`, { name }, as(`owner-${plan}`, plan))
    for (let i = 1; i <= cap; i++) expect((await add(`agent ${i}`)).status).toBeLessThan(300)
    const denied = await add('one too many')
    expect(denied.status).toBe(429)
    expect(denied.body).toMatchObject({ limit: cap, remaining: 0 })
    expect(Object.keys(denied.body).toSorted()).toEqual(['error', 'limit', 'remaining'])
    expect((await add('elsewhere', 'w2')).status).toBeLessThan(300)
  })

  it('tells the first of several reasons: daily before cooldown before spam before flood', async () => {
    await server.advanceTo(nextMidnight(await server.now()))
    for (let i = 1; i <= 50; i++) {
      expect((await say('ordered', 'free', `text ${i}`)).status).toBe(200)
      if (i < 50) await server.advance(6000)
    }
    expect((await say('ordered', 'free', 'text 50')).body.error).toContain('Límite diario')
  })

  it('speaks Spanish by default and follows Accept-Language', async () => {
    await say('polyglot', 'free', 'one')
    const texts = await Promise.all(['', 'en', 'ru', 'es-MX'].map(async (language) => (await say('polyglot', 'free', 'two', 'w1', language ? { 'accept-language': language } : {})).body.error as string))
    expect(texts[0]).toBe(texts[3])
    expect(new Set(texts).size).toBe(3)
    expect(texts[2]).toMatch(/[а-я]/)
    for (const text of texts) expect(text).toMatch(/plus/i)
  })

  it('knows no anonymous visitors', async () => {
    expect((await server.post('/api/worlds/w1/message', { content: 'hi' })).status).toBe(401)
    expect((await server.post('/api/worlds/w1/agents', { name: 'a' })).status).toBe(401)
  })
})
