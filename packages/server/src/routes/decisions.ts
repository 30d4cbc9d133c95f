import { decisionHeaders, problemOf, problemResponse } from 'tollgate/http'
import type { Decision, TollgateRequest } from 'tollgate'
import type { z } from 'zod'
import type { KeyIdentity } from '../auth/access.ts'
import { type Call, localeOf } from '../http/router.ts'
import { json } from '../http/json.ts'
import { explanation } from '../schemas/administration.ts'
import * as schemas from '../schemas/decisions.ts'
import { problem } from '../schemas/problem.ts'
import type { RouteContext } from './context.ts'

const denial = (description: string) => ({ description, schema: problem, contentType: 'application/problem+json', headers: schemas.decisionHeaders })

const answers = {
  200: { description: 'The decision, allowed or not.', schema: schemas.decision, headers: schemas.decisionHeaders },
  402: denial('Not enough credits, under `?respond=status`: with `cost`, `balance` and `deficit`.'),
  403: denial('Not in the plan, under `?respond=status`; or the key lacks the scope.'),
  429: denial('Over a limit, under `?respond=status`.'),
}

type Body = z.output<typeof schemas.request>

/** `POST /v1/check`, `/v1/consume`, `/v1/reserve` and `/v1/explain`. */
export function addDecisions({ router, needs }: RouteContext): void {
  const common = { method: 'post', tag: 'Decisions', query: schemas.respondQuery, body: schemas.request, answers } as const
  const check = { ...common, path: '/v1/check', summary: 'What would be decided; nothing is counted', isReadOnly: true, access: needs('read') }
  const consume = { ...common, path: '/v1/consume', summary: 'Decide, and count at once', access: needs('consume') }
  const reserve = { ...common, path: '/v1/reserve', summary: 'Decide, and hold the estimate until it is settled or expires', access: needs('consume') }
  router.add(check, async (call) => answer(call, await call.identity.tenant.tollgate.check(requestOf(call))))
  router.add(consume, async (call) => answer(call, await call.identity.tenant.tollgate.consume(requestOf(call))))
  router.add(reserve, async (call) => answer(call, await call.identity.tenant.tollgate.reserve(requestOf(call))))
  router.add(
    { method: 'post', path: '/v1/explain', tag: 'Decisions', summary: 'What would be decided, rule by rule and with reasons', isReadOnly: true, access: needs('read'), body: schemas.request, answers: { 200: { description: 'The decision and its rules.', schema: explanation } } },
    async (call) => json(await call.identity.tenant.tollgate.explain(requestOf(call))),
  )
}

/** The idempotency key stays here: its answers are kept as they were sent. The engine is told what to do once. */
function requestOf({ c, body, effect }: Call<KeyIdentity, unknown, unknown, Body>): TollgateRequest {
  const { idempotencyKey: _, ...request } = body
  return { ...request, ...(effect !== undefined && { idempotencyKey: effect }), locale: localeOf(c, body.locale, 'en') } as TollgateRequest
}

function answer({ identity, query }: Call<KeyIdentity, unknown, { respond?: 'decision' | 'status' | undefined }>, decision: Decision): Response {
  const headers = decisionHeaders(decision, identity.tenant.tollgate.plan(decision.plan))
  if (query.respond === 'status' && !decision.allowed) return problemResponse(problemOf(decision), headers)
  return json(decision, 200, headers)
}
