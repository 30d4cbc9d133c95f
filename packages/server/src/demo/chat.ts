import { TollgateError } from 'tollgate'
import { decisionHeaders, problemOf, problemResponse } from 'tollgate/http'
import { defaultPlan, MODELS, planSet } from 'tollgate/presets/chat-models'
import { z } from '@hono/zod-openapi'
import { localeOf } from '../http/router.ts'
import { show } from '../http/show.ts'
import { sseResponse } from '../http/sse.ts'
import { decisionHeaders as headers } from '../schemas/decisions.ts'
import { problem } from '../schemas/problem.ts'
import { openChatStream, STREAM_MS } from './chat-stream.ts'
import { assertContents } from './content.ts'
import type { DemoContext } from './context.ts'
import { nameOf, planFor } from './identity.ts'
import * as schemas from './schemas.ts'

/** `POST /api/chat`: reserves first, streams, and counts the message when its whole answer was sent. */
export function addChat(context: DemoContext): void {
  const { router, visitors } = context
  const denied = (description: string) => ({ description, schema: problem, contentType: 'application/problem+json', headers })
  router.add(
    {
      method: 'post',
      path: '/api/chat',
      tag: 'Chat',
      summary: 'Ask a model',
      description: 'Server-sent events in the form of OpenAI chat completion chunks, ended by `data: [DONE]`; a stream that fails ends with the event `error` instead. A message counts when its whole answer was sent.',
      access: visitors({ planSet, defaultPlan, anonymousPlan: 'anonymous' }),
      body: schemas.chatBody(MODELS),
      answers: { 200: { description: 'The answer, word by word.', schema: z.string(), contentType: 'text/event-stream', headers }, 403: denied('The plan does not include the model.'), 429: denied('No messages left this month.') },
    },
    async ({ c, identity, body: { model, messages }, failed }) => {
      assertContents(messages)
      const isOffered = (MODELS as readonly string[]).includes(model)
      // Without a name one may use a single model: any other is not in the plan, whether it exists or not.
      if (!isOffered && identity.user !== undefined) throw notOffered(model)
      const { tollgate } = identity.tenant
      const subject = `chat:${nameOf(identity)}`
      const plan = await planFor(identity, subject)
      const decision = await tollgate.reserve({ subject, plan, operation: 'message', dimensions: { model }, ttlMs: STREAM_MS, locale: localeOf(c, undefined, 'en') })
      const headers = decisionHeaders(decision, tollgate.plan(decision.plan))
      if (!decision.allowed) return problemResponse(problemOf(decision), headers)
      if (!isOffered) {
        await decision.reservation!.release()
        throw notOffered(model)
      }
      const source = await openChatStream({ ...context, reservation: decision.reservation!, request: { model, messages }, left: c.req.raw.signal, failed })
      return sseResponse(() => source, headers)
    },
  )
}

function notOffered(model: string): TollgateError {
  return new TollgateError('INVALID_REQUEST', `model: ${show(model)} is not a model of this chat; use one of ${MODELS.join(', ')}`, { field: 'model' })
}
