import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { controlledClock } from 'tollgate/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryState } from '../src/data/state.ts'
import { ChatResets } from '../src/demo/chat-resets.ts'
import { type ChatModel, openAiModel } from '../src/index.ts'
import { eventually, jsonOf, startListening, startServer, type TestServer } from './helpers.ts'

const body = { model: 'claude-opus-4', messages: [{ role: 'user', content: 'hello' }] }

/** The text that a stream of chunks adds up to. */
const textOf = (stream: string) =>
  [...stream.matchAll(/^data: (\{.*\})$/gm)].map(([, data]) => (JSON.parse(data!) as { choices?: { delta: { content?: string } }[] }).choices?.[0]?.delta.content ?? '').join('')

/** How many reservations were settled, by how. */
const settlements = async (ask: TestServer['ask']) =>
  [...(await (await ask('GET', '/metrics')).text()).matchAll(/^tollgate_settlements_total\{status="(\w+)",late="false"\} (\d+)$/gm)].map(([, status, n]) => [status, n])

describe('POST /api/chat', () => {
  it('streams chunks as OpenAI does, and ends with what was used', async () => {
    const { as } = await startServer()
    const response = await as('ana')('POST', '/api/chat', body)
    expect(response.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('X-RateLimit-Remaining')).toBe('99')
    const stream = await response.text()
    expect(textOf(stream)).toContain('You wrote: “hello”')
    expect(stream).toMatch(/"finish_reason":"stop"\}\],"usage":\{"prompt_tokens":2,"completion_tokens":\d+,"total_tokens":\d+\}\}\n\ndata: \[DONE\]\n\n$/)
  })

  it('holds the message while the stream runs, and counts it at its end', async () => {
    const { as, ask } = await startServer()
    const reader = (await as('ana')('POST', '/api/chat', body)).body!.getReader()
    await reader.read()
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(1)
    expect(await settlements(ask)).toEqual([])
    while (!(await reader.read()).done);
    expect(await settlements(ask)).toEqual([['committed', '1']])
  })

  it.each([
    ['counts for who leaves with the last word', 3, 'an end', 'committed'],
    ['is given back to who leaves one word before', 2, 'an end', 'released'],
    ['is given back where the model broke after the last word', 3, 'an error', 'released'],
  ] as const)('%s', async (_, words, end, status) => {
    const model: ChatModel = {
      name: 'short',
      async *reply() {
        for (const text of ['that ', 'is ', 'all']) yield { text }
        if (end === 'an error') throw new Error('lost the thread')
        yield { usage: { promptTokens: 1, completionTokens: 3 } }
      },
    }
    const { as, ask } = await startServer({ demo: { model } })
    const reader = (await as('ana')('POST', '/api/chat', body)).body!.getReader()
    for (let i = 0; i < words; i++) expect((await reader.read()).done).toBe(false)
    await reader.cancel()
    expect(await settlements(ask)).toEqual([[status, '1']])
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).premiumMessages).toBe(status === 'committed' ? 1 : 0)
  })

  it('is an error, and counts nothing, when the model cannot begin', async () => {
    const model: ChatModel = {
      name: 'broken',
      reply() {
        throw new Error('no model today')
      },
    }
    const { as, lines } = await startServer({ demo: { model } })
    const response = await as('ana')('POST', '/api/chat', body)
    expect(response.status).toBe(500)
    expect(await jsonOf(response)).toMatchObject({ code: 'INTERNAL_ERROR' })
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(0)
    expect(lines).toContainEqual(expect.objectContaining({ level: 'error', message: 'no model today' }))
  })

  it('ends with an error event, and counts nothing, when the model breaks off', async () => {
    const model: ChatModel = {
      name: 'broken',
      async *reply() {
        yield { text: 'once upon ' }
        throw new Error('lost the thread')
      },
    }
    const { as } = await startServer({ demo: { model } })
    const stream = await (await as('ana')('POST', '/api/chat', body)).text()
    expect(textOf(stream)).toBe('once upon ')
    expect(stream).toMatch(/event: error\ndata: \{"code":"MODEL_FAILED".*\}\n\n$/)
    expect(stream).not.toContain('[DONE]')
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(0)
  })

  it.each(['before the first word', 'in the middle'])('stops the model and gives the message back when the client leaves %s', async (when) => {
    let isStopped = false
    const model: ChatModel = {
      name: 'slow',
      async *reply({ signal }) {
        signal.addEventListener('abort', () => (isStopped = true))
        const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
        if (when === 'in the middle') yield { text: 'well ' }
        await aborted
      },
    }
    const { url, as, lines } = await startListening({ demo: { model } })
    const controller = new AbortController()
    const asked = fetch(`${url}/api/chat`, { method: 'POST', signal: controller.signal, headers: { 'Content-Type': 'application/json', 'X-Demo-User': 'ana' }, body: JSON.stringify(body) })
    asked.catch(() => {})
    const used = async () => (await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages as number
    if (when === 'in the middle') await (await asked).body!.getReader().read()
    await eventually(async () => (await used()) === 1)
    controller.abort()
    await eventually(async () => (await used()) === 0)
    expect(isStopped).toBe(true)
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  it('validates model and messages', async () => {
    const { as } = await startServer()
    for (const [wrong, field] of [
      [{ ...body, model: 'gpt-9' }, 'model'],
      [{ ...body, messages: [] }, 'messages'],
      [{ ...body, messages: [{ role: 'root', content: 'x' }] }, 'messages.0.role'],
      [{ ...body, messages: [{ role: 'user', content: 'x', id: 1 }] }, 'messages.0.id'],
      [{ ...body, stream: true }, 'stream'],
    ] as const) {
      const response = await as('ana')('POST', '/api/chat', wrong)
      expect(response.status).toBe(422)
      expect((await jsonOf(response)).field).toBe(field)
    }
  })
})

describe('a model that is not offered', () => {
  it('is none that an anonymous visitor may use, and none at all for others', async () => {
    const { ask, as } = await startServer()
    const answer = async (user: string | null) => {
      const response = await as(user)('POST', '/api/chat', { ...body, model: 'gpt-9' })
      const { code, field } = await jsonOf(response)
      return [response.status, code, field]
    }
    expect(await answer(null)).toEqual([403, 'NOT_IN_PLAN', undefined])
    expect(await answer('ana')).toEqual([422, 'INVALID_REQUEST', 'model'])
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(0)
    // Without limits nobody is turned away, and still nobody is there to answer.
    await ask('PUT', '/v1/rollout', { body: { mode: 'off', percent: 100 } })
    expect(await answer(null)).toEqual([422, 'INVALID_REQUEST', 'model'])
  })
})

describe('usage', () => {
  it('is one’s own, or anybody’s for admins', async () => {
    const { as } = await startServer()
    await (await as('ana')('POST', '/api/chat', body)).text()
    expect((await as('eva')('GET', '/api/usage?userId=ana')).status).toBe(403)
    expect((await as('eva')('DELETE', '/api/usage')).status).toBe(403)
    const admin = as('eva', undefined, { 'X-Demo-Role': 'admin' })
    expect(await jsonOf(admin('GET', '/api/usage?userId=ana'))).toMatchObject({ userId: 'ana', totalMessages: 1, premiumMessages: 1 })
    expect(await jsonOf(admin('GET', '/api/usage?userId=nobody'))).toMatchObject({ userId: 'nobody', totalMessages: 0, canSendMessage: true })
  })

  it('dates from an operator’s reset too', async () => {
    const { as, ask } = await startServer()
    await (await as('ana')('POST', '/api/chat', body)).text()
    const before = Date.now()
    await ask('POST', '/v1/subjects/chat:ana/reset')
    const { totalMessages, lastReset } = await jsonOf(as('ana')('GET', '/api/usage'))
    expect(totalMessages).toBe(0)
    expect(lastReset).toBeGreaterThanOrEqual(before)
  })

  it('dates from an admin’s reset also where nothing was used yet', async () => {
    const { as, advance, ask } = await startServer()
    const admin = as('eva', undefined, { 'X-Demo-Role': 'admin' })
    const before = await advance(0)
    const { lastReset, totalMessages } = await jsonOf(admin('DELETE', '/api/usage?userId=nobody'))
    expect([totalMessages, lastReset >= before]).toEqual([0, true])
    expect((await jsonOf(admin('GET', '/api/usage?userId=nobody'))).lastReset).toBe(lastReset)
    expect((await jsonOf(as('nobody')('GET', '/api/usage'))).lastReset).toBe(lastReset)
    await ask('DELETE', '/v1/subjects/chat:nobody')
    expect((await jsonOf(as('nobody')('GET', '/api/usage'))).lastReset).toBeLessThan(before)
  })

  it('remembers the resets of a month, and of so many', async () => {
    const state = memoryState()
    const clock = controlledClock(Date.UTC(2026, 10, 21))
    const resets = new ChatResets(state, clock)
    const subjects = () => Object.keys(state.current.chatResets)
    for (let i = 0; i < 1001; i++) await resets.reset(`chat:${i}`)
    await resets.reset('chat:1')
    await resets.reset('worlds:1')
    expect([subjects().length, subjects()[0], subjects().at(-1)]).toEqual([1000, 'chat:2', 'chat:1'])
    expect([resets.lastOf('chat:1'), resets.lastOf('chat:0'), resets.lastOf('worlds:1')]).toEqual([Date.UTC(2026, 10, 21), Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 1)])
    clock.advanceTo(Date.UTC(2026, 11, 1))
    expect(resets.lastOf('chat:1')).toBe(Date.UTC(2026, 11, 1))
    await resets.reset('chat:constructor')
    expect(subjects()).toEqual(['chat:constructor'])
  })

  it('cannot send what the plan does not have', async () => {
    const { as } = await startServer()
    expect(await jsonOf(as('ana', 'anonymous')('GET', '/api/usage'))).toMatchObject({ canSendMessage: true, canSendPremiumMessage: false })
  })
})

describe('an OpenAI-compatible endpoint', () => {
  /** An endpoint that answers with these lines. */
  async function endpoint(lines: string[], status = 200): Promise<{ url: string; requests: { headers: Record<string, unknown>; body: unknown }[] }> {
    const requests: { headers: Record<string, unknown>; body: unknown }[] = []
    const server = createHttpServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => (text += chunk)).on('end', () => {
        requests.push({ headers: request.headers, body: JSON.parse(text) })
        response.writeHead(status, { 'Content-Type': 'text/event-stream' })
        response.end(lines.map((line) => `data: ${line}\n\n`).join(''))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, requests }
  }
  const delta = (content: string, finish: string | null = null) => JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })

  it('answers in place of the offline model, with its own count of tokens', async () => {
    const { url, requests } = await endpoint([delta('Hel'), delta('lo', 'stop'), JSON.stringify({ choices: [], usage: { prompt_tokens: 11, completion_tokens: 22 } }), '[DONE]'])
    const { as } = await startServer({ demo: { model: openAiModel({ baseUrl: `${url}/`, apiKey: 'sk-1' }) } })
    const stream = await (await as('ana')('POST', '/api/chat', body)).text()
    expect(textOf(stream)).toBe('Hello')
    expect(stream).toContain('"usage":{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33}')
    expect(requests[0]).toMatchObject({ headers: { authorization: 'Bearer sk-1' }, body: { ...body, stream: true } })
    expect((await jsonOf(as('ana')('POST', '/api/business/b/chat', { messages: body.messages }))).usage.totalTokens).toBe(33)
  })

  it.each([
    ['answers an error', [], 401],
    ['sends what is not JSON', ['the user wrote: hello'], 200],
    ['reports an error', ['{"error":{"message":"hello"}}'], 200],
    ['says nothing', [], 200],
  ])('that %s is an error of ours, and told without content', async (_, sent, status) => {
    const { url } = await endpoint(sent, status)
    const { as, lines } = await startServer({ demo: { model: openAiModel({ baseUrl: url }) } })
    expect((await as('ana')('POST', '/api/chat', body)).status).toBe(500)
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(0)
    expect(JSON.stringify(lines)).not.toContain('hello')
  })

  it('that hangs up in the middle counts nothing', async () => {
    const { url } = await endpoint([delta('Hel')])
    const { as } = await startServer({ demo: { model: openAiModel({ baseUrl: url }) } })
    expect(await (await as('ana')('POST', '/api/chat', body)).text()).toContain('event: error')
    expect((await jsonOf(as('ana')('GET', '/api/usage'))).totalMessages).toBe(0)
  })
})
