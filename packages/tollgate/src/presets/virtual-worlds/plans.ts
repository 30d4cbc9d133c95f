import type { PlanSet } from '../../compile/catalog.ts'
import { capacity, cooldown, duplicates, quota, slidingWindow } from '../../define/limits.ts'
import { definePlans } from '../../define/plans.ts'

const message = { operation: 'message' } as const
const agentCreate = { operation: 'agent_create' } as const

const messagesPerDay = (limit: number) => quota({ limit, every: 'day', timezone: 'UTC', match: message })
const wait = (duration: 0 | `${number}s`) => cooldown({ wait: duration, per: ['world'], match: message })
const agentsPerWorld = (limit: number) => capacity({ limit, per: ['world'], match: agentCreate })

/** The same on every plan: they keep a world pleasant, not a plan attractive. */
const guards = {
  spam: duplicates({ limit: 10, window: '1h', per: ['world'], match: message }),
  flood: slidingWindow({ limit: 20, window: '1m', exact: true, per: ['world'], match: message }),
}

const perMonth = <const A extends number>(amount: A) => ({ amount, currency: 'USD', every: 'month' }) as const

/** The order of the limits is the order in which a message's violations are told. */
export const plans = definePlans({
  free: {
    rank: 0,
    price: perMonth(0),
    limits: { dailyMessages: messagesPerDay(50), cooldown: wait('5s'), ...guards, agents: agentsPerWorld(3) },
    headline: 'dailyMessages',
  },
  plus: {
    rank: 1,
    price: perMonth(5),
    limits: { dailyMessages: messagesPerDay(500), cooldown: wait('2s'), ...guards, agents: agentsPerWorld(10) },
    headline: 'dailyMessages',
  },
  ultra: {
    rank: 2,
    price: perMonth(15),
    limits: { dailyMessages: messagesPerDay(Infinity), cooldown: wait(0), ...guards, agents: agentsPerWorld(50) },
    headline: 'dailyMessages',
  },
})

export type WorldPlan = keyof typeof plans

/** Both need the dimension `world`. */
export const operations = { message: {}, agent_create: {} } as const

export const planSet: PlanSet = { name: 'virtual-worlds', plans, operations, defaultOperation: 'message' }

export const defaultPlan = 'free' satisfies WorldPlan
