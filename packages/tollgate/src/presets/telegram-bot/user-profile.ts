import type { SubscriptionTier } from './plans.ts'

export interface UserProfile extends TokenBalance {
  /** The internal one: all that is cached and counted goes by it. */
  id: string
  telegramId: string
  username?: string | null | undefined
  tier: SubscriptionTier
  subscriptionExpiresAt?: Date | null | undefined
  /** Since when the channel subscription is confirmed. */
  channelSubscribedAt?: Date | null | undefined
  createdAt?: Date | undefined
  updatedAt?: Date | undefined
}

export interface TokenBalance {
  /** What can be spent: an integer from 0. */
  tokensBalance: number
  /** In all the user's time, refunds deducted. */
  tokensSpent: number
}

const DATES = ['subscriptionExpiresAt', 'channelSubscribedAt', 'createdAt', 'updatedAt'] as const

/** A profile as it was before it was JSON. */
export function profileFromJson(json: UserProfile): UserProfile {
  const profile = { ...json }
  for (const name of DATES) {
    const at = json[name] as unknown
    if (typeof at === 'string') profile[name] = new Date(at)
  }
  return profile
}

export function isProfile(value: unknown): value is UserProfile {
  const { id, telegramId } = (value ?? {}) as Partial<UserProfile>
  return typeof id === 'string' && typeof telegramId === 'string'
}

export function isBalance(value: unknown): value is TokenBalance {
  const { tokensBalance, tokensSpent } = (value ?? {}) as Partial<TokenBalance>
  return Number.isInteger(tokensBalance) && Number.isInteger(tokensSpent)
}
