import { TollgateError } from 'tollgate'
import { ANONYMOUS_MODELS, defaultPlan, planSet, PREMIUM_MODELS } from 'tollgate/presets/chat-models'
import { json } from '../http/json.ts'
import type { Call } from '../http/router.ts'
import { resetSubject } from '../tenants.ts'
import { isWithoutPlan } from '../usage-of.ts'
import { ChatResets } from './chat-resets.ts'
import type { DemoContext } from './context.ts'
import { type DemoIdentity, nameOf, planFor, storedPlanOf } from './identity.ts'
import * as schemas from './schemas.ts'

/** `GET` and `DELETE /api/usage`: the messages of the month. */
export function addChatUsage({ router, visitors, tenant, state, clock }: DemoContext): void {
  const resets = new ChatResets(state, clock)
  tenant().watchers.add(resets)
  const access = visitors({ planSet, defaultPlan })
  const common = { path: '/api/usage', tag: 'Chat', access, query: schemas.usageQuery, answers: { 200: { description: 'The messages of this month.', schema: schemas.chatUsage } } } as const
  router.add({ ...common, method: 'get', summary: 'How much of the month is used' }, async (call) => json(await usageOf(call.identity, userOf(call), resets)))
  router.add({ ...common, method: 'delete', summary: 'Start the month afresh; for admins' }, async (call) => {
    if (!call.identity.isAdmin) throw new TollgateError('FORBIDDEN', 'X-Demo-Role: only admins reset usage', { field: 'X-Demo-Role' })
    const userId = userOf(call)
    const subject = `chat:${userId}`
    if (userId === nameOf(call.identity)) await planFor(call.identity, subject)
    await resetSubject(call.identity.tenant, subject).catch((error: unknown) => {
      if (!isWithoutPlan(error)) throw error
      // Who never asked has used nothing, and has been reset all the same.
      return resets.reset(subject)
    })
    return json(await usageOf(call.identity, userId, resets))
  })
}

/** Whose usage it is about. */
function userOf({ identity, query }: Call<DemoIdentity, unknown, { userId?: string | undefined }>): string {
  const own = nameOf(identity)
  const userId = query.userId ?? own
  if (userId !== own && !identity.isAdmin) throw new TollgateError('FORBIDDEN', 'userId: only admins look at the usage of others', { field: 'userId' })
  return userId
}

/** Nothing is written. One's own plan is what the request says; another's is the stored one. */
async function usageOf(identity: DemoIdentity, userId: string, resets: ChatResets): Promise<object> {
  const { tollgate } = identity.tenant
  const subject = `chat:${userId}`
  const saidPlan = userId === nameOf(identity) ? identity.saidPlan : undefined
  const plan = saidPlan ?? (await storedPlanOf(identity, subject))
  const { limits } = await tollgate.usage(subject, { plan })
  const used = (name: string) => limits.find(({ limit }) => limit === name)?.used ?? 0
  // Asked of the engine rather than computed: rollout and limits of the user's own count too.
  const allows = async (model: string) => (await tollgate.check({ subject, plan, operation: 'message', dimensions: { model } })).allowed
  const [canSendMessage, canSendPremiumMessage] = await Promise.all([allows(ANONYMOUS_MODELS[0]), allows(PREMIUM_MODELS[0])])
  return {
    userId,
    totalMessages: used('monthlyMessages'),
    premiumMessages: used('premiumMessages'),
    lastReset: resets.lastOf(subject),
    canSendMessage,
    canSendPremiumMessage,
  }
}
