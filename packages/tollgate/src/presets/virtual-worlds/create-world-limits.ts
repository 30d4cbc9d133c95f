import { assertText } from '../../compile/request.ts'
import { systemClock } from '../../engine/clock.ts'
import { type CommonOptions, createTollgate } from '../../engine/create.ts'
import type { Decision, TollgateRequest } from '../../engine/types.ts'
import { createMessages } from '../../messages/index.ts'
import { SqlRecord } from '../../record/sql.ts'
import type { Database } from '../../stores/sql/database.ts'
import { agentLimit } from './agent-limit.ts'
import { MemoryCounts, RecordedCounts } from './message-counts.ts'
import { messages as ownMessages } from './messages.ts'
import { OpenMessages } from './open-messages.ts'
import { getWorldLimitsInfo, getWorldMessageLimits } from './plan-info.ts'
import { defaultPlan, type WorldPlan } from './plans.ts'
import { type MessageLimit, singleLimits } from './single-limits.ts'
import { SUBJECT, subjectOf } from './subjects.ts'
import { UsageStatistics } from './usage-statistics.ts'
import type { WorldCheck, WorldLimits, WorldMessageCheck } from './world-limits.ts'

/** Has no limit a day, so that what was sent is counted even where it passes the user's own. */
const UNLIMITED: WorldPlan = 'ultra'

export interface WorldLimitsOptions extends CommonOptions {
  /**
   * What is used is recorded here, and usage statistics are read from here, so that both outlive the process. Migrate it
   * first. Where you give a `record` of your own, it must write to this database, and cut days in UTC.
   */
  database?: Database
}

/**
 * The functions of the product's documents, over an engine of their own. With the same `store`, `namespace`, `secret` and
 * `subjects` as another engine of this preset they share its counters; users are its subjects `worlds:<userId>`.
 * The texts are in Spanish unless `locale` says otherwise.
 */
export function createWorldLimits({ messages = ownMessages, locale = 'es', clock = systemClock, database, ...options }: WorldLimitsOptions = {}): WorldLimits {
  const { namespace = 'default' } = options
  const tollgate = createTollgate({ ...(database && { record: new SqlRecord(database, { namespace }) }), ...options, messages, locale, clock, planSets: [singleLimits], defaultPlan })
  const now = typeof clock === 'function' ? clock : () => clock.now()
  const open = new OpenMessages()
  const inMemory = database ? undefined : new MemoryCounts(now())
  const statistics = new UsageStatistics(inMemory ?? new RecordedCounts(database!, namespace, () => tollgate.flush()))
  const write = createMessages(messages)

  tollgate.on('settled', ({ settlement: { id, subject, status, settledAt } }) => {
    if (status === 'open') return
    open.remove(subject, id)
    if (status === 'committed') inMemory?.record(subject.slice(SUBJECT.length), settledAt!)
  })

  const requestOf = (userId: string, operation: MessageLimit | 'message', facts: Omit<TollgateRequest, 'subject' | 'operation'>): TollgateRequest => {
    assertText(userId, 'userId')
    return { subject: subjectOf(userId), operation, ...facts }
  }

  return {
    getWorldMessageLimits,
    getWorldLimitsInfo,

    async checkAllWorldLimits({ userId, worldId, plan, content, locale }) {
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
      return checkOf(await tollgate.consume(requestOf(userId, 'spam', { dimensions: { world: worldId }, content })))
    },

    async checkFloodProtection(worldId, userId) {
      return checkOf(await tollgate.consume(requestOf(userId, 'flood', { dimensions: { world: worldId } })))
    },

    checkWorldAgentLimit: agentLimit((facts) => write(facts, locale), now),

    async trackWorldMessageUsage(userId) {
      const request = requestOf(userId, 'dailyMessages', { plan: UNLIMITED })
      const id = open.takeNewest(request.subject, now())
      if (id !== undefined) {
        await tollgate.commit(id)
      } else {
        const { decidedAt } = await tollgate.consume(request)
        inMemory?.record(userId, decidedAt)
      }
      return statistics.today(userId, now())
    },

    async getUserUsageStats(userId) {
      assertText(userId, 'userId')
      return statistics.of(userId, now())
    },
  }
}

function checkOf({ allowed, violations }: Decision): WorldCheck {
  const [violation] = violations
  if (allowed || violation === undefined) return { allowed }
  const { message: error, retryAfterMs } = violation
  return retryAfterMs === null ? { allowed, error } : { allowed, error, retryAfter: Math.ceil(retryAfterMs / 1000) }
}

function messageCheckOf(decision: Decision): WorldMessageCheck {
  const day = decision.limits.find(({ limit }) => limit === ('dailyMessages' satisfies MessageLimit))
  return { ...checkOf(decision), limit: day?.max ?? Infinity, remaining: day?.remaining ?? Infinity, resetAt: day?.resetAt ?? null }
}
