import { type PlanChange, type PlanFacts, type SubjectRecord, type Tollgate, TollgateError } from 'tollgate'
import { z } from '@hono/zod-openapi'
import { json, noContent } from '../http/json.ts'
import { renamed } from '../http/problems.ts'
import { sseResponse } from '../http/sse.ts'
import * as schemas from '../schemas/administration.ts'
import { subjectParams } from '../schemas/decisions.ts'
import { eraseSubject, resetSubject } from '../tenants.ts'
import { isWithoutPlan, usageOf } from '../usage-of.ts'
import type { RouteContext } from './context.ts'

/** `/v1/subjects/{subject}` and below. */
export function addSubjects({ router, needs, heartbeatMs }: RouteContext): void {
  const path = '/v1/subjects/{subject}'
  const tag = 'Subjects'
  const params = subjectParams
  const known = { 200: { description: 'What is known of the subject.', schema: schemas.subject } }
  const usage = { 200: { description: 'How its limits stand.', schema: schemas.usage } }

  router.add({ method: 'get', path, tag, summary: 'What is known of a subject', access: needs('read'), params, answers: known }, async ({ identity, params }) =>
    json(await stateOf(identity.tenant.tollgate, params.subject)),
  )
  router.add(
    { method: 'put', path, tag, summary: 'Store its plan', description: "From now on, or from the end of the period; what it used counts on. The plan's credits are granted with it. Facts that are left out stay as they are, null removes one.", access: needs('admin'), params, body: schemas.subjectBody, answers: known },
    async ({ identity, params, body }) => {
      if (body.subject !== undefined && body.subject !== params.subject) throw new TollgateError('INVALID_REQUEST', 'subject: it is not the one of the path; leave it out', { field: 'subject' })
      const record = await identity.tenant.tollgate.setPlan(params.subject, body.plan, factsOf(body), changeOf(body.change)).catch(renamed('at', 'change.at'))
      identity.tenant.hub.touch(params.subject)
      return json(viewOf(params.subject, record))
    },
  )
  router.add(
    { method: 'delete', path, tag, summary: 'Forget a subject', description: 'What is stored of it, what it used, and its name, keys and reasons in the ledger, whose entries and sums stay, of nobody. Its event streams end.', access: needs('admin'), params, answers: { 204: { description: 'It is forgotten.' } } },
    async ({ identity, params }) => {
      await eraseSubject(identity.tenant, params.subject)
      return noContent()
    },
  )
  router.add(
    { method: 'get', path: `${path}/usage`, tag, summary: 'How its limits stand', description: 'Of limits that are counted per something, one state per live partition. With its credits.', access: needs('read'), params, query: schemas.usageQuery, answers: usage },
    async ({ identity, params, query: { plan } }) => {
      const { tollgate } = identity.tenant
      return json(plan === undefined ? await ofKnown(() => usageOf(tollgate, params.subject)) : await tollgate.usage(params.subject, { plan }))
    },
  )
  router.add(
    { method: 'post', path: `${path}/reset`, tag, summary: 'Forget what it used', access: needs('admin'), params, body: schemas.resetBody, isBodyOptional: true, answers: usage },
    async ({ identity, params, body }) => json(await ofKnown(() => resetSubject(identity.tenant, params.subject, body.limit))),
  )
  const events = 'Server-sent events: `usage` at once and after each change (of what other processes, or time, have changed with the next heartbeat), `decision` for every consume and reserve; comments keep the connection open. A client that reads too slowly misses the oldest decisions, and is told how many.'
  router.add(
    { method: 'get', path: `${path}/events`, tag, summary: 'Watch a subject', description: events, access: needs('read'), params, answers: { 200: { description: 'A stream without end.', schema: z.string(), contentType: 'text/event-stream' } } },
    ({ identity, params }) => {
      const { hub } = identity.tenant
      // Asked before the answer begins: afterwards nobody could be told.
      hub.assertRoom()
      return sseResponse(() => {
        const subscription = hub.subscribe(params.subject, identity.caller.id, heartbeatMs)
        return { next: () => subscription.next(), cancel: () => subscription.close() }
      })
    },
  )
}

/** Of a subject that was never stored, the plan it was last admitted under. */
async function stateOf(tollgate: Tollgate, subject: string): Promise<object> {
  const record = await tollgate.subject(subject)
  if (record) return viewOf(subject, record)
  return { subject, plan: (await ofKnown(() => tollgate.usage(subject))).plan }
}

/** @throws NOT_FOUND where no plan is known to look at the subject by. */
async function ofKnown<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!isWithoutPlan(error)) throw error
    throw new TollgateError('NOT_FOUND', 'subject: nothing is known of it; PUT stores its plan', { field: 'subject' })
  }
}

function viewOf(subject: string, record: SubjectRecord): object {
  return { subject, ...record }
}

function changeOf(change: z.output<typeof schemas.subjectBody>['change']): PlanChange {
  return Object.fromEntries(Object.entries(change ?? {}).filter(([, value]) => value !== undefined))
}

function factsOf({ anchorAt, team, attributes, overrides }: z.output<typeof schemas.subjectBody>): PlanFacts {
  return {
    ...(anchorAt !== undefined && { anchorAt }),
    ...(team !== undefined && { team }),
    ...(attributes !== undefined && { attributes }),
    ...(overrides !== undefined && { overrides: overrides && Object.fromEntries(Object.entries(overrides).map(([limit, max]) => [limit, max ?? Infinity])) }),
  }
}
