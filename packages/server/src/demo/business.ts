import { decisionHeaders, problemOf, problemResponse } from 'tollgate/http'
import { defaultPlan, planSet } from 'tollgate/presets/business-chat'
import { json } from '../http/json.ts'
import { localeOf } from '../http/router.ts'
import { type ChatModel, type ModelRequest, promptTokensOf, REPLY_ESTIMATE_TOKENS, type TokenUsage } from '../models/model.ts'
import { decisionHeaders as headers } from '../schemas/decisions.ts'
import { problem } from '../schemas/problem.ts'
import { assertContents } from './content.ts'
import type { DemoContext } from './context.ts'
import { planFor } from './identity.ts'
import * as schemas from './schemas.ts'

/** Nobody waits longer for an answer that is not streamed; the reservation holds as long. */
const REPLY_MS = 120_000

/** `POST /api/business/:id/chat`: messages a day, tokens a month, as far as they were used. */
export function addBusiness({ router, visitors, model, businessModel, isBusinessLimited }: DemoContext): void {
  router.add(
    {
      method: 'post',
      path: '/api/business/{id}/chat',
      tag: 'Business chat',
      summary: 'Ask on behalf of a business',
      description: 'An estimate of the tokens is reserved, what was used is counted. With CHAT_RATE_LIMITING_ENABLED off no limit is applied and nothing is counted.',
      access: visitors({ planSet, defaultPlan }),
      params: schemas.businessParams,
      body: schemas.businessBody,
      answers: { 200: { description: 'The answer.', schema: schemas.businessAnswer, headers }, 429: { description: '`code` is DAILY_MESSAGE_LIMIT_EXCEEDED or MONTHLY_TOKEN_LIMIT_EXCEEDED.', schema: problem, contentType: 'application/problem+json', headers } },
    },
    async ({ c, identity, params, body: { messages } }) => {
      assertContents(messages)
      const ask = () => replyOf(model, { model: businessModel, messages, signal: AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(REPLY_MS)]) })
      if (!isBusinessLimited) return json(await ask())
      const { tollgate } = identity.tenant
      const subject = `business:${params.id}`
      const plan = await planFor(identity, subject)
      const estimate = promptTokensOf(messages) + REPLY_ESTIMATE_TOKENS
      const result = await tollgate.run({ subject, plan, operation: 'message', amounts: { tokens: estimate }, ttlMs: REPLY_MS, locale: localeOf(c, undefined, 'en') }, async (spend) => {
        const reply = await ask()
        spend.set({ tokens: reply.usage.totalTokens })
        return reply
      })
      const headers = decisionHeaders(result.decision, tollgate.plan(result.decision.plan))
      return result.allowed ? json(result.value, 200, headers) : problemResponse(problemOf(result.decision), headers)
    },
  )
}

interface Reply {
  reply: { role: 'assistant'; content: string }
  usage: TokenUsage & { totalTokens: number }
}

async function replyOf(model: ChatModel, request: Omit<ModelRequest, 'isStreamed'>): Promise<Reply> {
  let content = ''
  let used: TokenUsage = { promptTokens: 0, completionTokens: 0 }
  for await (const event of model.reply({ ...request, isStreamed: false })) {
    if ('text' in event) content += event.text
    else used = event.usage
  }
  return { reply: { role: 'assistant', content }, usage: { ...used, totalTokens: used.promptTokens + used.completionTokens } }
}
