import type { Entry, NewGrant } from 'tollgate'
import { lastingEffectOf } from '../http/idempotency.ts'
import { json } from '../http/json.ts'
import { renamed } from '../http/problems.ts'
import * as schemas from '../schemas/credits.ts'
import { subjectParams } from '../schemas/decisions.ts'
import type { RouteContext } from './context.ts'

/** Credits of a subject: `/v1/subjects/{subject}/grants`, `/refunds` and `/ledger`. */
export function addCredits({ router, needs }: RouteContext): void {
  const path = '/v1/subjects/{subject}'
  const tag = 'Credits'
  const params = subjectParams
  const once = 'An `Idempotency-Key` is remembered for 90 days here: the same key gives once, however late the request is repeated.'
  router.add(
    {
      method: 'post',
      path: `${path}/grants`,
      tag,
      summary: 'Give credits',
      description: `They count at once, or from \`effectiveAt\` on. Grants of a lower priority are spent first, then what expires soonest, then the oldest. ${once}`,
      access: needs('admin'),
      params,
      body: schemas.grantBody,
      answers: { 201: { description: 'The grant, and what the subject has now.', schema: schemas.granted } },
    },
    async ({ identity, params, body, key }) => {
      const { tollgate, hub } = identity.tenant
      const granted = await tollgate.grant(params.subject, { ...(given(body) as NewGrant), ...notesOf(identity.caller.id, key) })
      hub.touch(params.subject)
      return json(granted, 201)
    },
  )
  router.add(
    {
      method: 'post',
      path: `${path}/refunds`,
      tag,
      summary: 'Give back what an operation cost',
      description: `To the grants it came from; what has expired meanwhile is gone. \`reservation\` is the \`reservation.id\` of the decision, or the \`reservation\` of an entry in the ledger. ${once}`,
      access: needs('admin'),
      params,
      body: schemas.refundBody,
      answers: { 200: { description: 'How much was given back, and what the subject has now.', schema: schemas.refunded } },
    },
    async ({ identity, params, body, key }) => {
      const { tollgate, hub } = identity.tenant
      const { reservation, ...refund } = given(body)
      const refunded = await tollgate.refund(params.subject, reservation as string, { ...refund, ...notesOf(identity.caller.id, key) }).catch(renamed('id', 'reservation'))
      hub.touch(params.subject)
      return json(refunded)
    },
  )
  router.add(
    { method: 'get', path: `${path}/ledger`, tag, summary: 'What moved the balance', description: 'The newest first. `before` is the `next` of the page before.', access: needs('read'), params, query: schemas.ledgerQuery, answers: { 200: { description: 'A page of entries.', schema: schemas.ledger } } },
    async ({ identity, params, query }) => {
      const { entries, next } = await identity.tenant.tollgate.ledger(params.subject, given(query))
      return json({ entries: entries.map(viewOf), next })
    },
  )
}

/** What was left out stays out: to the engine `undefined` would be a value. */
function given<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } {
  const { idempotencyKey: _, ...rest } = values as Record<string, unknown>
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as { [K in keyof T]: NonNullable<T[K]> }
}

function notesOf(actor: string, key: string | undefined): { actor: string; idempotencyKey?: string } {
  return { actor, ...(key !== undefined && { idempotencyKey: lastingEffectOf(key) }) }
}

function viewOf({ seq, at, kind, amount, balanceAfter, lot, reservation, operation, reason, actor }: Entry): object {
  return { id: seq, at, kind, amount, balanceAfter, grant: lot, reservation, operation, reason, actor }
}
