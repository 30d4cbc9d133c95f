import type { PlanSet } from '../../compile/catalog.ts'
import { slidingWindow, tokenBucket } from '../../define/limits.ts'
import { definePlans, type Price } from '../../define/plans.ts'

interface Tier<R extends number> {
  readonly rank: R
  readonly price: Price
  readonly tokens: number
  /** Where the tokens are only for those who have it. */
  readonly requires?: string
  readonly perMinute: number
  readonly perSecond: number
}

const plan = <const R extends number>({ rank, price, tokens, requires, perMinute, perSecond }: Tier<R>) =>
  ({
    rank,
    price,
    limits: {
      perMinute: slidingWindow({ limit: perMinute, window: '1m', exact: true, per: ['operation'] }),
      burst: tokenBucket({ capacity: perSecond, refill: perSecond, every: '1s', per: ['operation'] }),
    },
    headline: 'perMinute',
    credits: { grant: tokens, every: 'month', ...(requires !== undefined && { requires }) },
  }) as const

const rubles = (amount: number): Price => ({ amount, currency: 'RUB', every: 'month' })

/** The attribute of a subject that its subscription to the channel is confirmed: `true`, or since when. */
export const CHANNEL_SUBSCRIPTION = 'channelSubscription'

export const plans = definePlans({
  Gift: plan({ rank: 0, price: rubles(0), tokens: 100, requires: CHANNEL_SUBSCRIPTION, perMinute: 10, perSecond: 3 }),
  Professional: plan({ rank: 1, price: rubles(1990), tokens: 2000, perMinute: 50, perSecond: 10 }),
  Business: plan({ rank: 2, price: rubles(3490), tokens: 10_000, perMinute: 100, perSecond: 20 }),
})

export type SubscriptionTier = keyof typeof plans
export const SubscriptionTier = { Gift: 'Gift', Professional: 'Professional', Business: 'Business' } as const satisfies { [T in SubscriptionTier]: T }

export const operations = { image_generation: { credits: 10 }, sora_image: { credits: 10 }, chatgpt_message: { credits: 5 } } as const

export type OperationType = keyof typeof operations
export const OperationType = { IMAGE_GENERATION: 'image_generation', SORA_IMAGE: 'sora_image', CHATGPT_MESSAGE: 'chatgpt_message' } as const satisfies { [T in OperationType as Uppercase<T>]: T }

export const planSet: PlanSet = { name: 'telegram-bot', plans, operations }

export const defaultPlan = 'Gift' satisfies SubscriptionTier
