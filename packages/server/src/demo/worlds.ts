import { type Decision, negotiateLocale } from 'tollgate'
import { decisionHeaders, problemOf, problemResponse } from 'tollgate/http'
import { defaultPlan, planSet } from 'tollgate/presets/virtual-worlds'
import { json } from '../http/json.ts'
import type { Call } from '../http/router.ts'
import { leadingViolation, WORLD_LIMITS } from '../log/denials.ts'
import { decisionHeaders as headers } from '../schemas/decisions.ts'
import type { DemoContext } from './context.ts'
import { type DemoIdentity, nameOf, planFor } from './identity.ts'
import { Agents } from './replies.ts'
import * as schemas from './schemas.ts'

/** `POST /api/worlds/:id/message` and `/agents`: bodies and headers as the product's front end knows them. */
export function addWorlds({ router, visitors, worldReplies, tenant }: DemoContext): void {
  const agents = new Agents()
  tenant().watchers.add(agents)
  tenant().tollgate.on('settled', ({ settlement: { id, subject, status } }) => {
    if (status === 'released') agents.released(subject, id)
  })
  const access = visitors({ planSet, defaultPlan })
  const denied = { description: 'Over a limit. The first of: daily, cooldown, spam, flood.', schema: schemas.worldDenial, headers }
  const common = { method: 'post', tag: 'Virtual worlds', access, params: schemas.worldParams } as const

  router.add(
    { ...common, path: '/api/worlds/{id}/message', summary: 'Say something in a world', body: schemas.messageBody, answers: { 200: { description: 'What the world answers.', schema: schemas.messageAnswer, headers }, 429: denied } },
    async (call) => {
      const { identity, params, body } = call
      const { subject, request, locale } = await requestFor(call)
      // Daily use counts when the world has answered: a reply that fails gives the message back.
      const result = await identity.tenant.tollgate.run({ ...request, operation: 'message', content: body.content }, async () =>
        worldReplies({ world: params.id, user: nameOf(identity), content: body.content, agents: agents.of(subject, params.id), locale }),
      )
      return result.allowed ? json({ success: true, responses: result.value }, 200, await headersOf(call, result.decision)) : denial(call, result.decision)
    },
  )
  router.add(
    { ...common, path: '/api/worlds/{id}/agents', summary: 'Add an agent to a world', body: schemas.agentBody, answers: { 200: { description: 'It lives there now.', schema: schemas.agentAnswer, headers }, 429: { ...denied, description: 'The world is full.' } } },
    async (call) => {
      const { identity, params, body } = call
      const { subject, request } = await requestFor(call)
      const decision = await identity.tenant.tollgate.consume({ ...request, operation: 'agent_create' })
      if (!decision.allowed) return denial(call, decision)
      agents.add(subject, params.id, { id: decision.reservation?.id, name: body.name })
      return json({ success: true, agent: { id: decision.reservation?.id ?? null, name: body.name, world: params.id } }, 200, await headersOf(call, decision))
    },
  )
}

type WorldCall = Call<DemoIdentity, { id: string }>

async function requestFor({ c, identity, params }: WorldCall) {
  const subject = `worlds:${nameOf(identity)}`
  const plan = await planFor(identity, subject)
  // The product speaks Spanish unless the visitor's browser asks for another language of ours.
  const locale = negotiateLocale(c.req.header('Accept-Language'), 'es')
  return { subject, locale, request: { subject, plan, dimensions: { world: params.id }, locale } }
}

/** The front end shows the day's messages after every answer, also after those that did not count one. */
async function headersOf({ identity: { tenant: { tollgate } } }: WorldCall, decision: Decision): Promise<Record<string, string>> {
  const plan = tollgate.plan(decision.plan)
  const resetUnit = 'milliseconds'
  const headers = decisionHeaders(decision, plan, { resetUnit })
  if (decision.mode === 'off' || decision.degraded || decision.limits.some(({ limit }) => limit === plan?.headline)) return headers
  const { limits } = await tollgate.usage(decision.subject, { plan: decision.plan })
  return { ...decisionHeaders({ ...decision, limits: limits.filter(({ limit }) => limit === plan?.headline) }, plan, { resetUnit }), ...headers }
}

async function denial(call: WorldCall, decision: Decision): Promise<Response> {
  const headers = await headersOf(call, decision)
  const violation = leadingViolation(decision.violations, WORLD_LIMITS)
  if (!violation) return problemResponse(problemOf(decision), headers)
  const { limit, message: error, max, resetAt, retryAfterMs } = violation
  const retryAfter = Math.ceil((retryAfterMs ?? 0) / 1000)
  const body =
    limit === 'dailyMessages' ? { error, limit: max, remaining: 0, resetAt }
    : limit === 'cooldown' ? { error, retryAfter }
    : limit === 'agents' ? { error, limit: max, remaining: 0 }
    : { error }
  // The countdown of the pause is the body's, also where another limit takes longer.
  return json(body, 429, limit === 'cooldown' ? { ...headers, 'Retry-After': `${retryAfter}` } : headers)
}
