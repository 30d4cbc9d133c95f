import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonOf, startServer, type TestServer } from './helpers.ts'

/** Cases per route: 34 routes, so some 10,000 in all. */
const RUNS = 300

/** Lone surrogates have no encoding; what is left of them is nasty enough. */
const encoded = (segment: string) => encodeURIComponent(Buffer.from(segment).toString())

const nasty = fc.constantFrom('', ' ', '.', '..', '%', '%00', '\0', '__proto__', 'constructor', 'toString', 'a'.repeat(257), '../../etc/passwd', '\ud800', 'null')
const word = fc.oneof(fc.constantFrom('user:1', 'business:1', 'w1', 'ana'), fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }))
const text = fc.oneof({ weight: 4, arbitrary: word }, { weight: 1, arbitrary: nasty })
const amount = fc.oneof(fc.nat(1000), fc.constantFrom(0, 2 ** 31 - 1))
const plan = fc.constantFrom('Professional', 'virtual-worlds/free', 'ultra', 'chat-models/user', 'anonymous', 'TRIAL', 'FREE')

const value = fc.letrec((tie) => ({
  any: fc.oneof({ maxDepth: 3 }, text, fc.integer(), fc.double(), fc.constantFrom(null, true, 1e308, -0, 2 ** 31, 2 ** 53), fc.array(tie('any'), { maxLength: 3 }), fc.dictionary(text, tie('any'), { maxKeys: 4 })),
})).any

const optional = <T extends Record<string, fc.Arbitrary<unknown>>>(members: T, required: string[] = []) => fc.record(members, { requiredKeys: required as never })
const request = optional(
  {
    subject: word, plan, operation: fc.constant('message'), dimensions: optional({ world: word, model: word }, ['world', 'model']).map(({ world, model }) => ({ world, model })),
    content: text, amounts: optional({ tokens: amount, requests: amount }), current: optional({ agents: amount }), also: fc.array(fc.oneof(word, optional({ subject: word, plan }, ['subject'])), { maxLength: 3 }),
    idempotencyKey: word, ttlMs: fc.integer({ min: 1, max: 86_400_000 }), locale: fc.oneof(fc.constantFrom('es', 'ru-RU'), word),
  },
  ['subject', 'plan', 'operation'],
)
/** The dimensions that the plan's set knows. */
const fitting = request.map((body) => {
  const { dimensions: { world, model } = { world: 'w', model: 'gpt-4o-mini' }, ...rest } = body as { plan: string; dimensions?: { world: string; model: string } }
  const dimensions = /free|ultra/.test(body.plan as string) ? { world } : /user|anonymous/.test(body.plan as string) ? { model } : undefined
  const { amounts, current, ...others } = rest as Record<string, unknown>
  if (body.plan === 'Professional') return { ...others, operation: 'chatgpt_message' }
  return { ...others, ...(dimensions ? { dimensions } : { amounts }), ...(/free|ultra/.test(body.plan as string) && { current }) }
})
const messages = fc.array(fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content: word }), { minLength: 1, maxLength: 3 })

/** Stands for a reservation that has spent something. */
const SPENT = 'spent'

/** What a route takes; of the others, nothing. */
const RIGHT: Record<string, fc.Arbitrary<object>> = {
  'POST /v1/check': fitting,
  'POST /v1/consume': fitting,
  'POST /v1/reserve': fitting,
  'POST /v1/explain': fitting,
  'POST /v1/reservations/{id}/commit': optional({ amounts: optional({ tokens: amount }) }),
  'POST /v1/reservations/{id}/extend': fc.record({ ttlMs: fc.integer({ min: 1, max: 86_400_000 }) }),
  'PUT /v1/subjects/{subject}': optional({ plan, anchorAt: fc.nat(2 ** 31), team: word, attributes: fc.dictionary(word, fc.oneof(word, fc.integer(), fc.boolean())), overrides: fc.dictionary(fc.constantFrom('dailyMessages', 'monthlyTokens', 'x'), fc.option(amount)), change: optional({ at: fc.constantFrom('now', 'periodEnd'), proration: fc.constantFrom('restart', 'prorate'), leftover: fc.constantFrom('keep', 'void') }) }, ['plan']),
  'POST /v1/subjects/{subject}/grants': optional({ amount: fc.integer({ min: 1, max: 1000 }), source: fc.constantFrom('pack', 'admin', 'promo'), priority: fc.integer({ min: -5, max: 5 }), effectiveAt: fc.nat(2 ** 31), expiresAt: fc.integer({ min: 3e12, max: 4e12 }), reason: text, idempotencyKey: word }, ['amount']),
  'POST /v1/subjects/{subject}/refunds': optional({ reservation: fc.oneof(word, fc.constant(SPENT)), amount: fc.integer({ min: 1, max: 6 }), reason: text }, ['reservation']),
  'POST /v1/subjects/{subject}/reset': optional({ limit: fc.constantFrom('dailyMessages', 'x') }),
  'PUT /v1/rollout': fc.record({ mode: fc.constantFrom('enforce', 'shadow', 'off'), percent: fc.integer({ min: 0, max: 100 }) }),
  'POST /v1/keys': optional({ name: word, scopes: fc.constantFrom(['read'], ['consume', 'admin']), namespace: fc.constantFrom('a', 'b', 'default') }, ['scopes']),
  'POST /api/worlds/{id}/message': fc.record({ content: word }),
  'POST /api/worlds/{id}/agents': fc.record({ name: word }),
  'POST /api/chat': fc.record({ model: fc.constantFrom('gemini-2.0-flash', 'claude-opus-4'), messages }),
  'POST /api/business/{id}/chat': fc.record({ messages }),
  'POST /demo/clock': fc.record({ advanceMs: fc.nat(3_600_000) }),
}

function bodies(route: string): fc.Arbitrary<unknown> {
  const right = RIGHT[route] ?? fc.constant({})
  return fc.oneof(
    { weight: 3, arbitrary: right },
    // One member more, or another value in the place of one.
    { weight: 2, arbitrary: fc.tuple(right, fc.nat(), text, value).map(([body, i, name, wrong]) => ({ ...body, [[...Object.keys(body), name][i % (Object.keys(body).length + 1)]!]: wrong })) },
    { weight: 1, arbitrary: value },
  )
}

const headerText = fc.string({ unit: fc.constantFrom(...'aZ09-_:/=;,. "%\u00e9'), minLength: 1, maxLength: 12 })
const headers = fc.record({
  'X-Demo-User': fc.oneof({ weight: 6, arbitrary: fc.constantFrom('ana', 'eva') }, { weight: 1, arbitrary: fc.constantFrom('anonymous:1', 'x'.repeat(300), 'é') }, { weight: 1, arbitrary: fc.constant(undefined) }),
  'X-Demo-Plan': fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom('free', 'user', 'TRIAL', '__proto__', 'constructor') }),
  'X-Demo-Role': fc.constantFrom(undefined, 'admin', 'root'),
  'Idempotency-Key': fc.option(headerText, { nil: undefined }),
  'Accept-Language': fc.option(headerText, { nil: undefined }),
}).map((all) => Object.fromEntries(Object.entries(all).filter((header): header is [string, string] => header[1] !== undefined)))
const query = fc.oneof({ weight: 8, arbitrary: fc.constant('') }, { weight: 1, arbitrary: word.map((each) => `?plan=${encoded(each)}`) }, { weight: 1, arbitrary: fc.constantFrom('?respond=status', '?respond=', '?respond=status&respond=status', '?__proto__=1', '?userId=eva', '?=%zz') })

/** What is wrong with an answer; `undefined` when it is as every answer should be. */
async function faultOf(response: Response): Promise<string | undefined> {
  const { status } = response
  if (status >= 500) return `status ${status}`
  const body = await response.text()
  if (status < 400) return undefined
  const contentType = response.headers.get('Content-Type')
  const problem = JSON.parse(body)
  // The worlds' own denials aside, every refusal is a problem.
  if (contentType === 'application/json') return typeof problem.error === 'string' ? undefined : `a denial without an error: ${body}`
  if (contentType !== 'application/problem+json') return `Content-Type ${contentType}`
  if (problem.status !== status || [problem.detail, problem.title, problem.code].some((member) => typeof member !== 'string')) return `half a problem: ${body}`
  return status === 422 && !(problem.errors?.length > 0) ? `no field is named: ${body}` : undefined
}

describe('whatever is sent', () => {
  it('no route fails, and prototypes stay as they are', { timeout: 240_000 }, async () => {
    const { ask, lines }: TestServer = await startServer()
    const { paths } = await jsonOf(ask('GET', '/openapi.json'))
    const routes = Object.entries(paths as Record<string, object>)
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path] as const))
      // A stream without end is for another test.
      .filter(([, path]) => !path.endsWith('/events'))
    expect((routes.length + 1) * RUNS).toBeGreaterThanOrEqual(10_000)
    const before = Object.getOwnPropertyNames(Object.prototype)
    let reservation = 'none'
    let reserved = 0
    const turnedAway: string[] = []
    const spend = async () => {
      const subject = `telegram:s${reserved++}`
      await ask('POST', `/v1/subjects/${subject}/grants`, { body: { amount: 5 } })
      const decision = await jsonOf(ask('POST', '/v1/consume', { body: { subject, plan: 'Business', operation: 'chatgpt_message' } }))
      return { subject, reservation: decision.reservation.id as string }
    }
    for (const [method, path] of routes) {
      const route = `${method} ${path}`
      let answered = 0
      // Of strangers there is little to tell.
      await ask('PUT', '/v1/subjects/user:1', { body: { plan: 'free' } })
      await fc.assert(
        fc.asyncProperty(text, query, bodies(route), headers, fc.boolean(), async (segment, search, sent, extra, isEncoded) => {
          if (path.includes('/reservations/')) reservation = (await jsonOf(ask('POST', '/v1/reserve', { body: { subject: `business:r${reserved++}`, plan: 'ENTERPRISE', operation: 'message' } }))).reservation.id
          const spent = path.endsWith('/refunds') && (sent as { reservation?: unknown } | null)?.reservation === SPENT ? await spend() : undefined
          const filled = spent ? spent.subject : path.includes('/reservations/') && segment.length % 3 > 0 ? reservation : isEncoded ? encoded(segment) : segment.replaceAll(/[/?#\\\s]/g, '')
          const url = path.replace(/\{\w+\}/, () => filled || 'x') + search
          const hasBody = method !== 'GET' && method !== 'DELETE'
          const response = await ask(method, url, { ...(hasBody && { body: sent === undefined ? '' : JSON.stringify(spent ? { ...(sent as object), reservation: spent.reservation } : sent) }), headers: extra })
          if (response.status < 400) answered++
          const fault = await faultOf(response)
          if (fault !== undefined) throw new Error(`${method} ${url} ${JSON.stringify(sent)} ${JSON.stringify(extra)}: ${fault}`)
        }),
        { numRuns: RUNS },
      )
      // A fuzz that never comes past the door would show little. Ids of keys are guessed, and in memory nothing is
      // recorded, so those routes answer nobody; analytics have a fuzz of their own.
      if (answered < RUNS / 100 && !path.includes('/keys/') && !path.includes('/analytics/')) turnedAway.push(`${route}: ${answered} of ${RUNS} answered`)
      // Limits that were switched off would hide the routes that follow.
      await ask('PUT', '/v1/rollout', { body: { mode: 'enforce', percent: 100 } })
    }
    expect(turnedAway).toEqual([])
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before)
    expect(({} as Record<string, unknown>).plan).toBe(undefined)
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})
