import { TollgateError } from 'tollgate'
import { ANONYMOUS_MODELS, defaultPlan, planSet, PREMIUM_MODELS } from 'tollgate/presets/chat-models'
import { json } from '../http/json.ts'
import type { Call } from '../http/router.ts'
import { resetSubject, type Tenant } from '../tenants.ts'
import type { DemoContext } from './context.ts'
import { type DemoIdentity, nameOf, storePlan } from './identity.ts'
import * as schemas from './schemas.ts'

/** `GET` and `DELETE /api/usage`: the messages of the month. */
export function addChatUsage({ router, visitors }: DemoContext): void {
  const access = visitors({ planSet, defaultPlan })
  const common = { path: '/api/usage', tag: 'Chat', access, query: schemas.usageQuery, answers: { 200: { description: 'The messages of this month.', schema: schemas.chatUsage } } } as const
  router.add({ ...common, method: 'get', summary: 'How much of the month is used' }, async (call) => json(await usageOf(call.identity.tenant, await userOf(call))))
  router.add({ ...common, method: 'delete', summary: 'Start the month afresh; for admins' }, async (call) => {
    if (!call.identity.isAdmin) throw new TollgateError('FORBIDDEN', 'X-Demo-Role: only admins reset usage', { field: 'X-Demo-Role' })
    const userId = await userOf(call)
    await resetSubject(call.identity.tenant, `chat:${userId}`)
    return json(await usageOf(call.identity.tenant, userId))
  })
}

/** Whose usage it is about. One's own plan is what the request says; another's stays as it is. */
async function userOf({ identity, query }: Call<DemoIdentity, unknown, { userId?: string | undefined }>): Promise<string> {
  const own = nameOf(identity)
  const userId = query.userId ?? own
  const subject = `chat:${userId}`
  if (userId === own) await storePlan(identity.tenant, subject, identity.plan)
  else if (!identity.isAdmin) throw new TollgateError('FORBIDDEN', 'userId: only admins look at the usage of others', { field: 'userId' })
  else if (!(await identity.tenant.tollgate.subject(subject))) await storePlan(identity.tenant, subject, `${planSet.name}/${defaultPlan}`)
  return userId
}

async function usageOf({ tollgate, clock, resets }: Tenant, userId: string): Promise<object> {
  const subject = `chat:${userId}`
  const { limits } = await tollgate.usage(subject)
  const used = (name: string) => limits.find(({ limit }) => limit === name)?.used ?? 0
  // Asked of the engine rather than computed: rollout and limits of the user's own count too.
  const allows = async (model: string) => (await tollgate.check({ subject, operation: 'message', dimensions: { model } })).allowed
  const [canSendMessage, canSendPremiumMessage] = await Promise.all([allows(ANONYMOUS_MODELS[0]), allows(PREMIUM_MODELS[0])])
  return {
    userId,
    totalMessages: used('monthlyMessages'),
    premiumMessages: used('premiumMessages'),
    lastReset: Math.max(monthStartOf(clock.now()), resets.get(subject)),
    canSendMessage,
    canSendPremiumMessage,
  }
}

function monthStartOf(at: number): number {
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}
