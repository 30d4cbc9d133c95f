import { TollgateError } from 'tollgate'
import { ANONYMOUS_MODELS, defaultPlan, planSet, PREMIUM_MODELS } from 'tollgate/presets/chat-models'
import { json } from '../http/json.ts'
import type { Call } from '../http/router.ts'
import { resetSubject } from '../tenants.ts'
import { isWithoutPlan } from '../usage-of.ts'
import type { DemoContext } from './context.ts'
import { type DemoIdentity, nameOf, planFor, storedPlanOf } from './identity.ts'
import * as schemas from './schemas.ts'

/** `GET` and `DELETE /api/usage`: the messages of the month. */
export function addChatUsage({ router, visitors }: DemoContext): void {
  const access = visitors({ planSet, defaultPlan })
  const common = { path: '/api/usage', tag: 'Chat', access, query: schemas.usageQuery, answers: { 200: { description: 'The messages of this month.', schema: schemas.chatUsage } } } as const
  router.add({ ...common, method: 'get', summary: 'How much of the month is used' }, async (call) => json(await usageOf(call.identity, userOf(call))))
  router.add({ ...common, method: 'delete', summary: 'Start the month afresh; for admins' }, async (call) => {
    if (!call.identity.isAdmin) throw new TollgateError('FORBIDDEN', 'X-Demo-Role: only admins reset usage', { field: 'X-Demo-Role' })
    const userId = userOf(call)
    if (userId === nameOf(call.identity)) await planFor(call.identity, `chat:${userId}`)
    // Who never asked has nothing to be reset.
    await resetSubject(call.identity.tenant, `chat:${userId}`).catch((error: unknown) => {
      if (!isWithoutPlan(error)) throw error
    })
    return json(await usageOf(call.identity, userId))
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
async function usageOf(identity: DemoIdentity, userId: string): Promise<object> {
  const { tollgate, clock, resets } = identity.tenant
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
    lastReset: Math.max(monthStartOf(clock.now()), resets.get(subject)),
    canSendMessage,
    canSendPremiumMessage,
  }
}

function monthStartOf(at: number): number {
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1)
}
