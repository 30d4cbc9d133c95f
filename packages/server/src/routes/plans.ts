import { json } from '../http/json.ts'
import * as schemas from '../schemas/administration.ts'
import type { RouteContext } from './context.ts'

/** `GET /v1/plans` and `/v1/rollout`. */
export function addPlans({ router, needs, tenants, planSets }: RouteContext): void {
  const plans = planSets.flatMap(({ name: set, plans }) =>
    Object.entries(plans).map(([name, { rank, price = null, limits, headline = null, credits = null }]) => ({ id: `${set}/${name}`, rank, price, limits, headline, credits })),
  )
  router.add({ method: 'get', path: '/v1/plans', tag: 'Plans', summary: 'Every plan', access: needs('read'), answers: { 200: { description: 'By plan set.', schema: schemas.plans } } }, () => json({ plans }))

  const answers = { 200: { description: 'How much the limits bite.', schema: schemas.rollout } }
  router.add({ method: 'get', path: '/v1/rollout', tag: 'Plans', summary: 'How much the limits bite', access: needs('read'), answers }, ({ identity }) => json(identity.tenant.tollgate.rollout))
  router.add(
    { method: 'put', path: '/v1/rollout', tag: 'Plans', summary: 'Switch limits off, or on for a share of subjects', description: 'From the next request on, and after a restart.', access: needs('admin'), body: schemas.rollout, answers },
    async ({ identity, body }) => {
      await tenants.setRollout(identity.tenant, body)
      return json(identity.tenant.tollgate.rollout)
    },
  )
}
