// A few weeks of made-up traffic. What analytics should say of it is computed from this list, by the tests themselves.
import type { QuotaUse, UsageEvent } from '../../src/record/event.ts'
import { Random } from '../../src/testing/random.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Clocks in New York were put forward on 2026-03-08. */
export const BEGIN = Date.UTC(2026, 1, 10)
export const END = Date.UTC(2026, 3, 9, 18, 30)

export const PLANS = {
  'worlds/free': { rank: 0, price: { amount: 0, currency: 'USD', every: 'month' }, daily: 2 },
  'worlds/plus': { rank: 1, price: { amount: 5.1, currency: 'USD', every: 'month' }, daily: 3 },
  'worlds/ultra': { rank: 2, price: { amount: 15.03, currency: 'USD', every: 'month' }, daily: Infinity },
  'chat/user': { rank: 1, price: { amount: 490, currency: 'RUB', every: '7d' }, daily: 3 },
} as const
export type PlanName = keyof typeof PLANS

const WORLDS = ['worlds/free', 'worlds/plus', 'worlds/ultra'] as const
const MODELS = ['gemini-2.0-flash', 'claude-opus-4', 'claude-3-haiku']
export const isPremium = (model: string | undefined): boolean => model?.startsWith('claude') === true

/** When midnight is in London, New York (winter, summer) and Tokyo, in hours of UTC. */
const MIDNIGHTS = [0, 5, 4, 15]

const startOfDay = (at: number): number => Math.floor(at / DAY_MS) * DAY_MS

const PREMIUM_START = Date.UTC(2026, 2, 1)

/** @param name makes the ids and subjects its own. In order of time. */
export function traffic(seed: number, name: string, subjects = 60): UsageEvent[] {
  const random = new Random(seed)
  const events: UsageEvent[] = []
  for (let i = 0; i < subjects; i++) for (const event of lifeOf(random, `${name}:${i}`)) events.push({ ...event, id: `${name}-${events.length}` })
  return events.toSorted((a, b) => a.at - b.at)
}

function* lifeOf(random: Random, subject: string): Generator<Omit<UsageEvent, 'id'>> {
  let plan: PlanName = random.chance(0.25) ? 'chat/user' : random.pick(WORLDS)
  let lastChangeAt = 0
  let leavesAt = random.chance(0.4) ? random.integer(BEGIN, END) : Infinity
  const busy = random.next() * 5
  for (const at of instantsOf(random, busy)) {
    if (at > leavesAt) return
    if (plan !== 'chat/user' && at - lastChangeAt > 3 * DAY_MS && random.chance(0.05)) {
      const to: PlanName = random.pick(WORLDS)
      if (to !== plan) {
        yield { ...common(subject, at, to), kind: 'plan', fromPlan: plan, amounts: {}, uses: [] }
        plan = to
        lastChangeAt = at
        continue
      }
    }
    yield* requestOf(random, subject, at, plan)
    // Some have had enough.
    if (random.chance(0.002)) leavesAt = at
  }
}

function instantsOf(random: Random, busy: number): number[] {
  const instants: number[] = []
  for (let day = BEGIN; day < END; day += DAY_MS) {
    for (let i = random.integer(0, Math.round(busy)); i > 0; i--) {
      const midnight = day + random.pick(MIDNIGHTS) * HOUR_MS
      instants.push(random.pick([midnight, midnight - 1, midnight + random.integer(-HOUR_MS, HOUR_MS), day + random.integer(0, DAY_MS)]))
    }
  }
  return instants.filter((at) => at >= BEGIN && at < END).toSorted((a, b) => a - b)
}

const common = (subject: string, at: number, plan: PlanName) => ({ subject, at, plan, planVersion: 'v1', mode: 'enforce' as const, count: 1 })

function* requestOf(random: Random, subject: string, at: number, plan: PlanName): Generator<Omit<UsageEvent, 'id'>> {
  const model = plan === 'chat/user' ? random.pick(MODELS) : undefined
  const operation = random.chance(0.2) ? 'image' : 'message'
  const request = { ...common(subject, at, plan), operation, ...(model !== undefined && { dimensions: { model } }), amounts: { tokens: random.integer(1, 900) } }
  if (random.chance(0.2)) {
    const violations = random.pick([
      [{ limit: 'daily', kind: 'quota', code: 'DAILY_LIMIT' }],
      [{ limit: 'daily', kind: 'quota', code: 'DAILY_LIMIT' }, { limit: 'flood', kind: 'slidingWindow', code: 'RATE_LIMITED' }],
      [{ limit: 'credits', kind: 'credits', code: 'INSUFFICIENT_CREDITS' }],
    ])
    yield { ...request, kind: 'denial', uses: [], violations, mode: random.chance(0.2) ? 'shadow' : 'enforce', count: random.chance(0.2) ? 7 : 1 }
    return
  }
  const uses = usesOf(at, plan, model)
  if (random.chance(0.1)) {
    yield { ...request, kind: 'reserve', uses: [], reservation: 'r' }
    yield random.chance(0.3) ? { ...request, kind: 'release', at: at + 1, uses: [], reservation: 'r' } : { ...request, kind: 'commit', at: at + 1, uses: usesOf(at + 1, plan, model), amounts: { tokens: 5 }, reservation: 'r' }
    return
  }
  yield { ...request, kind: 'consume', uses }
  if (random.chance(0.05)) yield { ...request, kind: 'consume', subject: 'ip:203.0.113.7', uses, isShared: true }
}

function usesOf(at: number, plan: PlanName, model: string | undefined): QuotaUse[] {
  const startAt = startOfDay(at)
  const daily = { cell: `${plan.split('/')[0]}/daily`, limit: 'daily', partition: '', startAt, endAt: startAt + DAY_MS, max: PLANS[plan].daily, amount: 1 }
  const premium = { cell: 'chat/premium', limit: 'premium', partition: '', startAt: PREMIUM_START, endAt: Date.UTC(2026, 4, 1), max: 20, amount: 1 }
  return isPremium(model) && at >= PREMIUM_START ? [daily, premium] : [daily]
}
