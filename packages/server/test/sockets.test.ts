import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { definePlans, quota } from 'tollgate'
import { ADMIN_KEY, eventually, jsonOf, message, startListening, startServer } from './helpers.ts'

const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${ADMIN_KEY}` }
const post = (url: string, body: unknown, more: Record<string, string> = {}) => fetch(url, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify(body) })

/** Sends bytes as they are, and gives back what comes. */
function raw(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (data) => (answer += data)).on('close', () => resolve(answer)).on('error', reject)
  })
}

describe('over HTTP', () => {
  it('admits exactly 166 of 400 at once', async () => {
    const planSets = [{ name: 'own', plans: definePlans({ one: { rank: 0, limits: { all: quota({ limit: 166, every: 'day' }) } } }) }]
    const { url } = await startListening({ planSets, demo: false })
    const decisions = await Promise.all(Array.from({ length: 400 }, async () => jsonOf(post(`${url}/v1/consume`, { subject: 'user:1', plan: 'one' }))))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(166)
    const usage = await jsonOf(fetch(`${url}/v1/subjects/user:1/usage`, { headers }))
    expect(usage.limits[0]).toMatchObject({ used: 166, remaining: 0 })
  })

  it('gives 50 requests with one idempotency key one answer, and counts once', async () => {
    const { url } = await startListening()
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(`${url}/v1/consume`, message, { 'Idempotency-Key': 'k' })))
    const statuses = new Set(answers.map(({ status }) => status))
    expect([...statuses].every((status) => status === 200 || status === 409)).toBe(true)
    expect((await jsonOf(fetch(`${url}/v1/subjects/business:1/usage`, { headers }))).limits[0].used).toBe(1)
  })

  it('refuses a large body without its length, before its end', async () => {
    const { url } = await startListening()
    let sent = 0
    const status = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${url}/v1/consume`, { method: 'POST', headers }, (response) => resolve(response.statusCode!))
      request.on('error', reject)
      const write = () => {
        if (request.destroyed || sent > 10_000_000) return
        sent += 65_536
        request.write('x'.repeat(65_536), () => setTimeout(write, 1))
      }
      write()
    })
    expect(status).toBe(413)
    expect(sent).toBeLessThan(5_000_000)
  })

  it('refuses a large body by its length', async () => {
    const { url } = await startListening({ maxBodyBytes: 1000 })
    const response = await post(`${url}/v1/consume`, { ...message, content: 'x'.repeat(1000) })
    expect(response.status).toBe(413)
    expect((await jsonOf(response)).code).toBe('TOO_LARGE')
  })

  it.each([
    ['no HTTP', 'HELLO\r\n\r\n', 400],
    ['no Host', 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['two Hosts in one', 'GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400],
    ['large headers', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 405],
    ['a foreign Host', 'GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n', 403],
    ['a backslash', 'GET /\\evil HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400],
  ])('answers %s with a problem', async (_, text, status) => {
    const { url } = await startListening()
    const answer = await raw(url, text)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4))).toMatchObject({ status })
  })

  it('forgets a watcher that hangs up', async () => {
    const { url, ask } = await startListening()
    const controller = new AbortController()
    const streams = async () => /\ntollgate_event_streams (\d+)/.exec(await (await ask('GET', '/metrics')).text())![1]
    const response = await fetch(`${url}/v1/subjects/business:1/events`, { headers, signal: controller.signal })
    const reading = response.text().catch(() => 'left')
    await eventually(async () => (await streams()) === '1')
    controller.abort()
    await eventually(async () => (await streams()) === '0')
    expect(await reading).toBe('left')
  })

  it('counts what is in flight until its last byte', async () => {
    const { url, ask } = await startListening()
    const inFlight = async () => /\ntollgate_http_requests_in_flight (\d+)/.exec(await (await ask('GET', '/metrics')).text())![1]
    const controller = new AbortController()
    await fetch(`${url}/v1/subjects/business:1/events`, { headers, signal: controller.signal })
    expect(await inFlight()).toBe('1')
    controller.abort()
    await eventually(async () => (await inFlight()) === '0')
  })

  it('cannot listen on a port that is taken, and says what to do', async () => {
    const { url } = await startListening()
    const { server } = await startServer()
    const port = Number(new URL(url).port)
    await expect(server.listen({ port })).rejects.toThrow(new RegExp(`Port ${port} is taken.*PORT=`))
  })
})

describe('closing', () => {
  it('lets an answer finish, ends event streams, and takes no new connections', async () => {
    let finish = () => {}
    const model = {
      name: 'slow',
      async *reply() {
        yield { text: 'one ' }
        await new Promise<void>((resolve) => (finish = resolve))
        yield { text: 'two' }
      },
    }
    const { url, server } = await startListening({ demo: { model }, shutdownTimeoutMs: 5000 })
    const chat = await post(`${url}/api/chat`, { model: 'gemini-2.0-flash', messages: [{ role: 'user', content: 'x' }] }, { 'X-Demo-User': 'ana' })
    const events = await fetch(`${url}/v1/subjects/chat:ana/events`, { headers })
    const closing = server.close()
    expect(await events.text()).toMatch(/^(event: usage\n.*\n\n)?$/)
    await expect(fetch(`${url}/healthz`, { headers: { Connection: 'close' } })).rejects.toThrow('fetch failed')
    finish()
    expect(await chat.text()).toMatch(/two.*\[DONE\]/s)
    await closing
  })

  it('cuts what takes longer than the timeout, and gives its usage back', async () => {
    const model = {
      name: 'endless',
      async *reply() {
        for (;;) {
          yield { text: 'word ' }
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      },
    }
    const { url, server, lines, ask } = await startListening({ demo: { model }, shutdownTimeoutMs: 100 })
    const chat = await post(`${url}/api/chat`, { model: 'gemini-2.0-flash', messages: [{ role: 'user', content: 'x' }] }, { 'X-Demo-User': 'ana' })
    const reading = chat.text().catch(() => 'cut')
    await server.close()
    expect(await reading).toBe('cut')
    expect(await (await ask('GET', '/metrics')).text()).toContain('tollgate_settlements_total{status="released",late="false"} 1')
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})
