import { assertText } from '../../compile/request.ts'
import { systemClock } from '../../engine/clock.ts'
import { type CommonOptions, createTollgate } from '../../engine/create.ts'
import type { Decision, LimitState, TollgateRequest } from '../../engine/types.ts'
import { invalidRequest, show } from '../../errors/index.ts'
import { createMessages } from '../../messages/index.ts'
import { SqlRecord } from '../../record/sql.ts'
import { MemoryStore } from '../../stores/memory/index.ts'
import type { Database } from '../../stores/sql/database.ts'
import { agentLimit } from './agent-limit.ts'
import { MemoryCounts, RecordedCounts } from './message-counts.ts'
import { messages as ownMessages } from './messages.ts'
import { NamedPlans } from './named-plans.ts'
import { OpenMessages } from './open-messages.ts'
import { getWorldLimitsInfo, getWorldMessageLimits } from './plan-info.ts'
import { defaultPlan, type WorldPlan } from './plans.ts'
import { countingSent } from './sent-messages.ts'
import { type MessageLimit, singleLimits } from './single-limits.ts'
import { SUBJECT, subjectOf } from './subjects.ts'
import { dailyUsage, UsageStatistics } from './usage-statistics.ts'
import type { WorldCheck, WorldLimits, WorldMessageCheck } from './world-limits.ts'

/** Has no limit a day. */
const UNLIMITED: WorldPlan = 'ultra'
/** About 20 MB. */
const MAX_USERS_BESIDE_DATABASE = 100_000

export interface WorldLimitsOptions extends CommonOptions {
  /**
   * What is used is recorded here, and usage statistics are read from here, so that both outlive the process. Migrate it
   * first, and call `flush` when the process ends. Where you give a `record` of your own, it must write to this database, and
   * cut days in UTC.
   */
  database?: Database
}

/**
 * The functions of the product's documents, over an engine of their own. With the same `store`, `namespace`, `secret` and
 * `subjects` as another engine of this preset they share its counters; users are its subjects `worlds:<userId>`.
 * The texts are in Spanish unless `locale` says otherwise.
 */
export function createWorldLimits({ messages = ownMessages, locale = 'es', clock = systemClock, database, store = new MemoryStore(), ...options }: WorldLimitsOptions = {}): WorldLimits {
  const { namespace = 'default' } = options
  const tollgate = createTollgate({ ...(database && { record: new SqlRecord(database, { namespace }) }), ...options, store: countingSent(store), messages, locale, clock, planSets: [singleLimits], defaultPlan })
  const now = typeof clock === 'function' ? clock : () => clock.now()
  const open = new OpenMessages()
  const plans = new NamedPlans()
  // Beside a database it only stands in for counters that are off or away.
  const own = new MemoryCounts(now(), database ? MAX_USERS_BESIDE_DATABASE : Infinity)
  const write = createMessages(messages)

  tollgate.on('settled', ({ settlement: { id, subject, status, settledAt } }) => {
    if (status === 'open') return
    open.remove(subject, id)
    if (status === 'committed') own.record(subject.slice(SUBJECT.length), settledAt!)
  })

  /** A check that names the plan is the one to remember; what names none is asked under that. */
  const requestOf = (userId: string, operation: MessageLimit | 'message', facts: Omit<TollgateRequest, 'subject' | 'operation'> = {}): TollgateRequest => {
    assertText(userId, 'userId')
    if ('plan' in facts && (facts.plan === undefined || tollgate.plan(facts.plan))) plans.remember(userId, facts.plan)
    const plan = plans.of(userId)
    return { subject: subjectOf(userId), operation, ...(plan !== undefined && { plan }), ...facts }
  }

  const count = async (userId: string): Promise<Decision> => {
    const request = requestOf(userId, 'dailyMessages')
    const decision = await tollgate.consume(request)
    // Only while this process decides by itself, and has counted the day full: rather under another plan than not at all.
    if (!decision.allowed) await tollgate.consume({ ...request, plan: UNLIMITED })
    own.record(userId, decision.decidedAt)
    return decision
  }
  const lookAt = (userId: string): Promise<Decision> => tollgate.check(requestOf(userId, 'dailyMessages'))
  const countedToday = async (userId: string): Promise<number | undefined> => usedIn(await lookAt(userId))
  const statistics = new UsageStatistics(database ? new RecordedCounts(database, namespace, () => tollgate.flush()) : own, countedToday)

  return {
    getWorldMessageLimits,
    getWorldLimitsInfo,

    async checkAllWorldLimits({ userId, worldId, plan, content, locale }) {
      assertContent(content)
      const request = requestOf(userId, 'message', { plan, dimensions: { world: worldId }, content, ...(locale && { locale }) })
      const decision = await tollgate.reserve(request)
      const { reservation, decidedAt } = decision
      if (reservation) open.add(request.subject, reservation.id, reservation.expiresAt, decidedAt)
      return { ...messageCheckOf(decision), decision }
    },

    async checkWorldMessageLimit(userId, plan) {
      return messageCheckOf(await tollgate.check(requestOf(userId, 'dailyMessages', { plan })))
    },

    async checkWorldCooldown(worldId, userId, plan) {
      return checkOf(await tollgate.consume(requestOf(userId, 'cooldown', { plan, dimensions: { world: worldId } })))
    },

    async checkSpamProtection(worldId, userId, content) {
      assertContent(content)
      return checkOf(await tollgate.consume(requestOf(userId, 'spam', { dimensions: { world: worldId }, content })))
    },

    async checkFloodProtection(worldId, userId) {
      return checkOf(await tollgate.consume(requestOf(userId, 'flood', { dimensions: { world: worldId } })))
    },

    checkWorldAgentLimit: agentLimit((facts) => write(facts, locale), now),

    async trackWorldMessageUsage(userId) {
      assertText(userId, 'userId')
      const id = open.takeNewest(subjectOf(userId), now())
      if (id !== undefined) await tollgate.commit(id)
      // It is counted: from here on nothing may throw, or whoever tries again counts it twice.
      const decision = id === undefined ? await count(userId) : await lookAt(userId).catch(() => undefined)
      return dailyUsage(userId, now(), (decision && usedIn(decision)) ?? own.of(userId, now()).today)
    },

    async getUserUsageStats(userId) {
      assertText(userId, 'userId')
      return statistics.of(userId, now())
    },

    flush: () => tollgate.flush(),
  }
}

/** The engine lets a request without a text pass its guard; of a message that is a mistake. */
function assertContent(content: unknown): void {
  if (typeof content !== 'string') throw invalidRequest('content', `${show(content)} is not text; use a string, as it is compared with the user's other messages`)
}

function checkOf({ allowed, violations }: Decision): WorldCheck {
  const [violation] = violations
  if (allowed || violation === undefined) return { allowed }
  const { message: error, retryAfterMs } = violation
  return retryAfterMs === null ? { allowed, error } : { allowed, error, retryAfter: Math.ceil(retryAfterMs / 1000) }
}

function messageCheckOf(decision: Decision): WorldMessageCheck {
  const day = dayIn(decision)
  return { ...checkOf(decision), limit: day?.max ?? Infinity, remaining: day?.remaining ?? Infinity, resetAt: day?.resetAt ?? null }
}

function dayIn({ limits }: Decision): LimitState | undefined {
  return limits.find(({ limit }) => limit === ('dailyMessages' satisfies MessageLimit))
}

/** Messages of the day, where the counters told: not while limits are off, or while this process decides by itself. */
function usedIn(decision: Decision): number | undefined {
  return decision.degraded ? undefined : dayIn(decision)?.used
}
