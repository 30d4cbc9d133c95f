import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createTollgate } from '../engine/create.ts'
import { TollgateError } from '../errors/index.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { MemoryLedger } from '../ledger/memory.ts'
import { SqlLedger } from '../ledger/sql.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { controlledClock } from '../testing/clock.ts'
import { freshDatabase } from '../testing/databases.ts'
import { redisUrl, uniquePrefix } from '../testing/redis-servers.ts'
import { CacheManager, OperationType, operations, plans, RateLimiter, SubscriptionTier, TokenBilling, type TokenBillingOptions, type TokenOperation, type TokenResult, UserCache, type UserProfile } from './telegram-bot.ts'

const START_AT = Date.UTC(2027, 0, 31, 12)
const { CHATGPT_MESSAGE: chat, IMAGE_GENERATION: image } = OperationType
const USER = 'id-7'

let redis: Redis
const closing: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  redis = new Redis(await redisUrl())
})
afterAll(() => redis.quit())
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const profileOf = (changes: Partial<UserProfile> = {}): UserProfile => ({ id: USER, telegramId: '1007', username: 'seven', tier: 'Gift', tokensBalance: 100, tokensSpent: 0, ...changes })

async function billingOf(options: TokenBillingOptions & { profile?: Partial<UserProfile> | null } = {}) {
  const { profile = {}, ...rest } = options
  const clock = controlledClock(START_AT)
  const users = new UserCache(new CacheManager(redis, uniquePrefix(), 60, { timeoutMs: 10_000 }))
  const audit: TokenOperation[] = []
  const balances: [string, number][] = []
  const made: TokenBillingOptions = {
    ledger: new MemoryLedger(clock),
    clock,
    onTokenOperation: (operation) => audit.push(operation),
    onBalanceUpdate: (userId, newBalance) => balances.push([userId, newBalance]),
    ...rest,
  }
  if (profile) await users.setUserProfile(USER, profileOf(profile))
  return { clock, users, audit, balances, ledger: made.ledger!, billing: new TokenBilling(users, made), another: () => new TokenBilling(users, made) }
}

async function sqlLedger(dialect: 'sqlite' | 'postgres'): Promise<SqlLedger> {
  const { database, drop } = await freshDatabase(dialect)
  await migrate(database)
  const ledger = new SqlLedger(database)
  closing.push(async () => {
    await ledger.close()
    await drop()
  })
  return ledger
}

describe('tokens', () => {
  it('are what the profile says, until the ledger knows better', async () => {
    const { billing, ledger, users, clock } = await billingOf({ profile: { tokensBalance: 24, tokensSpent: 76 } })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 24, tokensSpent: 76 })
    expect(await ledger.balance(`default/telegram:${USER}`)).toMatchObject({ granted: 0 })
    expect(await billing.canAffordOperation(USER, image)).toEqual({ canAfford: true, cost: 10, balance: 24, deficit: 0 })
    expect(await billing.estimateOperations(USER, image)).toBe(2)
    expect(await billing.estimateOperations(USER, chat)).toBe(4)
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 14 })
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 4 })
    const denied = await billing.deductTokens(USER, image)
    expect(denied).toMatchObject({ success: false, newBalance: 4 })
    expect(denied.error).toContain('Insufficient tokens')
    expect(await billing.canAffordOperation(USER, image)).toEqual({ canAfford: false, cost: 10, balance: 4, deficit: 6 })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 4, tokensSpent: 96 })
    expect(await users.getUserProfile(USER)).toMatchObject({ tokensBalance: 4, tokensSpent: 96, username: 'seven' })
    expect(await ledger.balance(`default/telegram:${USER}`)).toMatchObject({ available: 4, spent: 96, at: clock.now() })
    expect(await ledger.verify(null)).toEqual([])
  })

  it.each<['sqlite' | 'postgres' | 'memory']>([['memory'], ['sqlite'], ['postgres']])('200 deductions at once, of two objects on one ledger (%s), with tokens for 37: exactly 37 succeed', async (kind) => {
    const { billing, another, audit, balances, ledger, users } = await billingOf({ profile: { tokensBalance: 37 * 5 + 4, tokensSpent: 11 }, ...(kind !== 'memory' && { ledger: await sqlLedger(kind) }) })
    const other = another()
    const results = await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 ? billing : other).deductTokens(USER, chat)))
    expect(results.filter(({ success }) => success)).toHaveLength(37)
    expect(new Set(results.flatMap(({ success, newBalance }) => (success ? [newBalance] : [])))).toEqual(new Set(Array.from({ length: 37 }, (_, i) => 4 + 5 * i)))
    expect(audit).toHaveLength(37)
    expect(new Set(audit.map(({ id }) => id)).size).toBe(37)
    expect(balances).toHaveLength(37)
    await users.invalidateTokenBalance(USER)
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 4, tokensSpent: 11 + 37 * 5 })
    expect(await ledger.verify(null)).toEqual([])
  })

  it('are counted once for a cache, by however many objects without a ledger', async () => {
    const { users } = await billingOf({ profile: { tokensBalance: 23 } })
    const results = await Promise.all([1, 2, 3, 4].map(() => new TokenBilling(users).deductTokens(USER, image)))
    expect(results.filter(({ success }) => success)).toHaveLength(2)
    // Nor are they there a second time for the telegram id.
    expect(await new TokenBilling(users).deductTokens('1007', chat)).toMatchObject({ success: false, newBalance: 3 })
    expect(await new TokenBilling(users).getBalance(USER)).toEqual({ tokensBalance: 3, tokensSpent: 20 })
  })

  it('opened by many at once are entered once, also where one breaks off', async () => {
    const { billing, another, ledger } = await billingOf({ profile: { tokensBalance: 50, tokensSpent: 30 } })
    // As whoever died after the first step has left it.
    await ledger.run(`default/telegram:${USER}`, { kind: 'hold', id: 'telegram-bot/opening balance', amount: 0, ttlMs: 60_000 })
    const results = await Promise.all([billing, another(), another()].map((each) => each.deductTokens(USER, image)))
    expect(results.map(({ newBalance }) => newBalance).toSorted()).toEqual([20, 30, 40])
    expect(await ledger.balance(`default/telegram:${USER}`)).toMatchObject({ balance: 20, granted: 80, spent: 60 })
    expect(await ledger.verify(null)).toEqual([])
  })

  it('of a user nobody knows are none, and nothing is given or taken', async () => {
    const { billing, audit, ledger } = await billingOf({ profile: null })
    expect(await billing.getBalance(USER)).toBeNull()
    expect(await billing.canAffordOperation(USER, chat)).toEqual({ canAfford: false, cost: 5, balance: 0, deficit: 5 })
    expect(await billing.estimateOperations(USER, chat)).toBe(0)
    for (const result of [await billing.deductTokens(USER, chat), await billing.addTokens(USER, 5), await billing.resetMonthlyTokens(USER, 'Gift')]) {
      expect(result).toMatchObject({ success: false, newBalance: 0, error: expect.stringMatching(/^Unknown user: .*; give UserCache a fetchUserProfile, or TokenBilling a fetchBalance/) })
    }
    expect(await ledger.balance(`default/telegram:${USER}`)).toMatchObject({ granted: 0 })
    expect(await billing.refundTokens(USER, chat)).toMatchObject({ success: false, newBalance: 0 })
    expect(audit).toEqual([])
  })

  it.each<[string, Parameters<typeof billingOf>[0]]>([
    ['a cached profile', {}],
    ['a fetch of the balance, and a cached profile', { fetchBalance: async () => ({ tokensBalance: 100, tokensSpent: 0 }) }],
    ['a fetch of the balance that says whose it is', { profile: null, fetchBalance: async () => ({ id: USER, tokensBalance: 100, tokensSpent: 0 }) }],
    ['a profile that was fetched', { profile: null }],
  ])('are those of one account, whichever id is given, known by %s', async (known, options) => {
    const { billing, users, audit, balances } = await billingOf(options)
    if (known.includes('fetched')) {
      await users.getOrFetchUserProfile('1007', async () => profileOf())
      await users.invalidateAllUserData('1007')
    }
    let paid = 0
    for (let i = 0; i < 20; i++) if ((await billing.deductTokens(i % 2 ? USER : '1007', image)).success) paid++
    expect(paid).toBe(10)
    expect(new Set([...audit.map(({ userId }) => userId), ...balances.map(([userId]) => userId)])).toEqual(new Set([USER]))
    expect(await billing.refundTokens('1007', image)).toEqual({ success: true, newBalance: 10 })
    expect(await billing.addTokens('1007', 5)).toEqual({ success: true, newBalance: 15 })
    for (const id of [USER, '1007']) {
      expect(await billing.getBalance(id)).toEqual({ tokensBalance: 15, tokensSpent: 90 })
      expect(await billing.canAffordOperation(id, image)).toMatchObject({ balance: 15 })
      expect(await billing.estimateOperations(id, chat)).toBe(3)
    }
    expect(await billing.resetMonthlyTokens('1007', 'Gift')).toEqual({ success: true, newBalance: 105 })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 105, tokensSpent: 90 })
  })

  it('are no more than a column of a database can hold', async () => {
    const most = 2 ** 31 - 1
    const { billing, audit } = await billingOf()
    const key = 'payment-1'
    expect(await billing.addTokens(USER, most - 100, { key })).toEqual({ success: true, newBalance: most })
    for (const result of [await billing.addTokens(USER, 1), await billing.addTokens(USER, 1, { key: 'other' }), await billing.resetMonthlyTokens(USER, 'Gift')]) {
      expect(result).toEqual({ success: false, newBalance: most, error: expect.stringContaining('over 2147483647') })
    }
    // Which was done before.
    expect(await billing.addTokens(USER, most - 100, { key })).toEqual({ success: true, newBalance: most })
    await billing.deductTokens(USER, image)
    expect(await billing.addTokens(USER, 10, { key: 'other' })).toEqual({ success: true, newBalance: most })
    expect(audit.map(({ type }) => type)).toEqual(['add', 'deduct', 'add'])
  })

  it('come from the database where it is given, rather than from a profile in the cache', async () => {
    let fetches = 0
    const { billing } = await billingOf({ profile: { tokensBalance: 1000 }, fetchBalance: async () => (fetches++, { tokensBalance: 12, tokensSpent: 3 }) })
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 2 })
    expect(await billing.deductTokens(USER, chat)).toMatchObject({ success: false, newBalance: 2 })
    expect(fetches).toBe(1)
  })

  it('that are added stay when the month\'s are set anew, which are set and not added', async () => {
    const { billing, audit, ledger } = await billingOf({ profile: { tokensBalance: 40, tokensSpent: 60 } })
    expect(await billing.addTokens(USER, 25, { key: 'payment-1' })).toEqual({ success: true, newBalance: 65 })
    expect(await billing.addTokens(USER, 25, { key: 'payment-1' })).toEqual({ success: true, newBalance: 65 })
    // What the profile had was the month before's.
    expect(await billing.resetMonthlyTokens(USER, 'Gift', { key: '2027-01-31' })).toEqual({ success: true, newBalance: 125 })
    await billing.deductTokens(USER, image)
    expect(await billing.resetMonthlyTokens(USER, 'Gift', { key: '2027-01-31' })).toEqual({ success: true, newBalance: 115 })
    expect(await billing.resetMonthlyTokens(USER, 'Gift', { key: '2027-02-28' })).toEqual({ success: true, newBalance: 125 })
    expect(await billing.resetMonthlyTokens(USER, 'Gift')).toEqual({ success: true, newBalance: 125 })
    expect(await billing.resetMonthlyTokens(USER, SubscriptionTier.Professional)).toEqual({ success: true, newBalance: 2025 })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 2025, tokensSpent: 70 })
    expect(audit.map(({ type, amount, tier, tokensBalance }) => [type, amount, tier, tokensBalance])).toEqual([
      ['add', 25, undefined, 65],
      ['reset', 100, 'Gift', 125],
      ['deduct', 10, undefined, 115],
      ['reset', 100, 'Gift', 125],
      ['reset', 100, 'Gift', 125],
      ['reset', 2000, 'Professional', 2025],
    ])
    expect(await ledger.verify(null)).toEqual([])
  })

  it('of a month are set for a user of before, whose spending is not forgotten', async () => {
    const { billing } = await billingOf({ profile: { tokensBalance: 40, tokensSpent: 60 } })
    expect(await billing.resetMonthlyTokens(USER, 'Gift')).toEqual({ success: true, newBalance: 100 })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 100, tokensSpent: 60 })
  })

  describe.each<['memory' | 'sqlite' | 'postgres']>([['memory'], ['sqlite'], ['postgres']])('of a month, in %s,', (kind) => {
    const billingOn = async () => billingOf({ profile: { tokensBalance: 3, tokensSpent: 5 }, ...(kind !== 'memory' && { ledger: await sqlLedger(kind) }) })
    const [november, december] = [{ key: '2026-11-01' }, { key: '2026-12-01' }]

    it('go to and fro between tiers of one period: each is set, told and cached', async () => {
      const { billing, audit, balances, users, ledger } = await billingOn()
      const tiers = ['Professional', 'Business', 'Professional', 'Business', 'Gift'] as const
      for (const tier of tiers) {
        const newBalance = plans[tier].credits.grant
        for (let i = 0; i < 2; i++) expect(await billing.resetMonthlyTokens(USER, tier, november)).toEqual({ success: true, newBalance })
        expect(await users.getTokenBalance(USER)).toEqual({ tokensBalance: newBalance, tokensSpent: 5 })
        expect(balances.at(-1)).toEqual([USER, newBalance])
      }
      expect(audit.map(({ tier, tokensBalance }) => [tier, tokensBalance])).toEqual(tiers.map((tier) => [tier, plans[tier].credits.grant]))
      expect(new Set(audit.map(({ id }) => id)).size).toBe(5)
      expect(await ledger.verify(null)).toEqual([])
    })

    it('are not lowered by a late repeat of an older key, whatever its tier', async () => {
      const { billing, another, audit } = await billingOn()
      await billing.resetMonthlyTokens(USER, 'Business', november)
      await billing.resetMonthlyTokens(USER, 'Professional', december)
      await billing.deductTokens(USER, chat)
      for (const each of [billing, another()]) {
        for (const tier of ['Business', 'Professional', 'Gift'] as const) expect(await each.resetMonthlyTokens(USER, tier, november)).toEqual({ success: true, newBalance: 1995 })
        expect(await each.resetMonthlyTokens(USER, 'Professional', december)).toEqual({ success: true, newBalance: 1995 })
      }
      // The other object cannot know whether November's and December's were told.
      expect(audit.map(({ type, tier }) => [type, tier])).toEqual([['reset', 'Business'], ['reset', 'Professional'], ['deduct', undefined], ['reset', 'Business'], ['reset', 'Professional']])
      expect(new Set(audit.map(({ id }) => id)).size).toBe(3)
    })

    it('are set once by all who set them at once; of several keys the last in the ledger counts', async () => {
      const { billing, another, ledger } = await billingOn()
      const results = await Promise.all([billing, another(), another()].map((each) => each.resetMonthlyTokens(USER, 'Gift', november)))
      expect(results.every(({ success }) => success)).toBe(true)
      expect(await ledger.balance(`default/telegram:${USER}`)).toMatchObject({ available: 100, granted: 8 + 100 })
      await Promise.all(['a', 'b', 'c', 'd'].map((key) => another().resetMonthlyTokens(USER, 'Gift', { key })))
      await Promise.all((['Gift', 'Professional', 'Business'] as const).map((tier) => another().resetMonthlyTokens(USER, tier, december)))
      const { available } = await ledger.balance(`default/telegram:${USER}`)
      expect([100, 2000, 10_000]).toContain(available)
      expect(await ledger.verify(null)).toEqual([])
    })

    it('take the place of what an engine granted, whose plan ends', async () => {
      const { billing, ledger } = await billingOn()
      const tollgate = createTollgate({ plans, operations, ledger })
      await tollgate.setPlan(`telegram:${USER}`, 'Business')
      expect(await billing.resetMonthlyTokens(USER, 'Gift', november)).toEqual({ success: true, newBalance: 100 })
    })
  })

  it('of a month that were set by one who broke off are set in full by the repeat, and nothing is left of those before', async () => {
    const ledger = new MemoryLedger({ now: () => START_AT })
    for (const calls of [1, 2, 3, 4, 5]) {
      const { billing } = await billingOf({ ledger, fetchBalance: async () => ({ tokensBalance: 3, tokensSpent: 0 }) })
      const breaking: Ledger = Object.create(ledger)
      let left = 0
      breaking.run = (...args) => (left-- > 0 ? ledger.run(...args) : Promise.reject(new TollgateError('STORE_UNAVAILABLE', 'connection lost')))
      breaking.balance = ledger.balance.bind(ledger)
      breaking.entries = ledger.entries.bind(ledger)
      const broken = (await billingOf({ ledger: breaking, fetchBalance: async () => ({ tokensBalance: 3, tokensSpent: 0 }) })).billing
      await billing.resetMonthlyTokens(USER, 'Professional', { key: `before ${calls}` })
      // And others before it, after which nobody came back.
      for (const key of [`x ${calls}`, `y ${calls}`, `${calls}`]) {
        left = calls
        await broken.resetMonthlyTokens(USER, 'Gift', { key }).catch(() => {})
      }
      expect(await billing.resetMonthlyTokens(USER, 'Gift', { key: `${calls}` })).toEqual({ success: true, newBalance: 100 })
    }
  })

  it('that are added by the key of something else are added all the same', async () => {
    const { billing } = await billingOf({ profile: { tokensBalance: 0 } })
    await billing.resetMonthlyTokens(USER, 'Gift', { key: 'k' })
    for (const [i, key] of ['opening balance', 'month 0 k', '/month 0 k'].entries()) expect(await billing.addTokens(USER, 5, { key })).toEqual({ success: true, newBalance: 105 + 5 * i })
    expect(await billing.resetMonthlyTokens(USER, 'Gift', { key: 'l' })).toEqual({ success: true, newBalance: 115 })
  })

  it('of a month last until they are set again', async () => {
    const { billing, clock } = await billingOf({ profile: { tokensBalance: 0 } })
    expect(await billing.resetMonthlyTokens(USER, 'Gift')).toEqual({ success: true, newBalance: 100 })
    clock.advance(400 * 86_400_000)
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 90 })
  })

  it('are those of the engine that uses the same ledger', async () => {
    const { billing, ledger, users } = await billingOf({ profile: null })
    const tollgate = createTollgate({ plans, operations, ledger })
    await tollgate.setPlan(`telegram:${USER}`, 'Professional')
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 1990 })
    await tollgate.reserve({ subject: `telegram:${USER}`, operation: 'sora_image' })
    await users.invalidateTokenBalance(USER)
    // What is held cannot be spent.
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 1980, tokensSpent: 10 })
    expect(await tollgate.balance(`telegram:${USER}`)).toMatchObject({ balance: 1990, reserved: 10 })
  })
})

describe('refunds', () => {
  it('give back the latest deduction for the operation, each once', async () => {
    const { billing, audit } = await billingOf()
    await billing.deductTokens(USER, image)
    await billing.deductTokens(USER, image)
    await billing.deductTokens(USER, chat)
    expect(await Promise.all([1, 2, 3].map(() => billing.refundTokens(USER, image)))).toMatchObject([{ success: true }, { success: true }, { success: false, newBalance: 95 }])
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 95, tokensSpent: 5 })
    expect(audit.filter(({ type }) => type === 'refund').map(({ amount, operation }) => [amount, operation])).toEqual([[10, image], [10, image]])
    const of = new Map(audit.map(({ id, type }) => [id, type]))
    expect(of.size).toBe(5)
  })

  it('leave alone what was paid for long ago', async () => {
    const { billing, clock } = await billingOf()
    await billing.deductTokens(USER, image)
    clock.advance(3_600_001)
    expect(await billing.refundTokens(USER, image)).toMatchObject({ success: false, newBalance: 90, error: expect.stringContaining('Nothing to refund') })
  })

  it('by key are of that deduction, which was made once', async () => {
    const { billing, audit } = await billingOf()
    expect(await billing.deductTokens(USER, chat, { key: 'update-1' })).toEqual({ success: true, newBalance: 95 })
    expect(await billing.deductTokens(USER, chat, { key: 'update-1' })).toEqual({ success: true, newBalance: 95 })
    expect(await billing.deductTokens(USER, chat, { key: 'update-2' })).toEqual({ success: true, newBalance: 90 })
    expect(await billing.refundTokens(USER, chat, { key: 'update-1' })).toEqual({ success: true, newBalance: 95 })
    expect(await billing.refundTokens(USER, chat, { key: 'update-1' })).toEqual({ success: true, newBalance: 95 })
    expect(await billing.refundTokens(USER, chat, { key: 'update-3' })).toMatchObject({ success: false })
    expect(audit.map(({ type }) => type)).toEqual(['deduct', 'deduct', 'refund'])
  })

  it('by key are of the last deduction with it: what was given back is paid for anew, each time it is asked for again', async () => {
    const { billing, audit, ledger } = await billingOf()
    const key = 'update-1'
    await billing.deductTokens(USER, image, { key: 'update-0' })
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 2; i++) expect(await billing.deductTokens(USER, image, { key })).toEqual({ success: true, newBalance: 80 })
      if (round === 2) break
      for (let i = 0; i < 2; i++) expect(await billing.refundTokens(USER, image, { key })).toEqual({ success: true, newBalance: 90 })
    }
    // Without a key, the latest of all.
    expect(await billing.refundTokens(USER, image)).toEqual({ success: true, newBalance: 90 })
    expect(await Promise.all([1, 2, 3].map(() => billing.deductTokens(USER, image, { key })))).toEqual(Array.from({ length: 3 }, () => ({ success: true, newBalance: 80 })))
    // Keys that look like those of others.
    expect(await billing.deductTokens(USER, image, { key: `again 1 image_generation ${key}` })).toEqual({ success: true, newBalance: 70 })
    expect(audit.map(({ type }) => type)).toEqual(['deduct', 'deduct', 'refund', 'deduct', 'refund', 'deduct', 'refund', 'deduct', 'deduct'])
    expect(new Set(audit.map(({ id }) => id)).size).toBe(audit.length)
    expect(await ledger.verify(null)).toEqual([])
  })

  it('by key give back what was paid with a key of days before', async () => {
    const { billing, clock } = await billingOf()
    const key = 'update-1'
    for (let day = 0; day < 8; day += 4) {
      expect(await billing.deductTokens(USER, image, { key })).toEqual({ success: true, newBalance: 90 })
      expect(await billing.refundTokens(USER, image, { key })).toEqual({ success: true, newBalance: 100 })
      clock.advance(4 * 86_400_000)
    }
    expect(await billing.refundTokens(USER, image, { key })).toMatchObject({ success: false, newBalance: 100 })
  })

  it('are not added to an allowance that was set since', async () => {
    const { billing, ledger } = await billingOf({ profile: { tokensBalance: 0 } })
    await billing.resetMonthlyTokens(USER, 'Gift')
    await billing.deductTokens(USER, image)
    await billing.resetMonthlyTokens(USER, 'Gift')
    expect(await billing.refundTokens(USER, image)).toEqual({ success: true, newBalance: 100 })
    expect(await ledger.verify(null)).toEqual([])
  })

  it('nor where the one before was used up', async () => {
    const { billing, ledger, clock, audit } = await billingOf({ profile: { tokensBalance: 10 } })
    const key = 'update-1'
    await billing.deductTokens(USER, image)
    await billing.resetMonthlyTokens(USER, 'Gift')
    for (let i = 0; i < 10; i++) await billing.deductTokens(USER, image, { key: `update-${i}` })
    clock.advance(1000)
    for (let i = 0; i < 2; i++) await billing.resetMonthlyTokens(USER, 'Gift')
    await billing.addTokens(USER, 7)
    for (let i = 0; i < 2; i++) expect(await billing.refundTokens(USER, image, { key })).toEqual({ success: true, newBalance: 107 })
    for (let i = 0; i < 10; i++) expect(await billing.refundTokens(USER, image)).toEqual({ success: true, newBalance: 107 })
    expect(await billing.refundTokens(USER, image)).toMatchObject({ success: false, newBalance: 107 })
    expect(audit.at(-1)).toMatchObject({ type: 'refund', tokensBalance: 107, tokensSpent: 0 })
    expect(await ledger.verify(null)).toEqual([])
  })
})

describe('listeners', () => {
  it('that throw or hang undo nothing, and the operation is told of', async () => {
    const errors: unknown[] = []
    const balances: number[] = []
    const { billing, audit, clock, users } = await billingOf({
      onBalanceUpdate: (_, balance) => { balances.push(balance); throw new Error('no database') },
      onError: (error) => { errors.push(error); throw new Error('the log is full') },
    })
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 90 })
    expect(errors).toMatchObject([{ message: 'no database' }])
    expect(await users.getUserProfile(USER)).toMatchObject({ tokensBalance: 90 })
    expect(audit).toMatchObject([{ userId: USER, type: 'deduct', amount: 10, operation: image, tokensBalance: 90, tokensSpent: 10, at: new Date(clock.now()) }])
    const hanging = await billingOf({ onTokenOperation: () => new Promise(() => {}) })
    const result = hanging.billing.deductTokens(USER, image)
    await expect.poll(() => hanging.clock.nextTimerMs()).toBe(5000)
    await expect.poll(() => hanging.balances).toEqual([[USER, 90]])
    hanging.clock.advance(5000)
    expect(await result).toEqual({ success: true, newBalance: 90 })
  })

  it('that hang keep a caller no longer than one deadline, hear of all in order, and what they are too far behind for is reported', async () => {
    const heard: number[] = []
    const errors: Error[] = []
    let isHanging = true
    const { billing, clock, users, audit } = await billingOf({
      profile: { tokensBalance: 10_000 },
      onBalanceUpdate: (_, balance) => (heard.push(balance), isHanging && new Promise(() => {})),
      onError: (error) => errors.push(error as Error),
    })
    const results = Promise.all(Array.from({ length: 1003 }, () => billing.deductTokens(USER, chat)))
    await expect.poll(() => errors.length).toBe(2)
    expect(errors.map(({ message, cause }) => [message, (cause as TokenOperation).tokensBalance])).toEqual([
      [expect.stringContaining('1000 operations wait for a listener'), 9990],
      [expect.stringContaining('1000 operations wait for a listener'), 9985],
    ])
    // The cache waits for nobody.
    await expect.poll(async () => (await users.getTokenBalance(USER))?.tokensBalance).toBe(4985)
    expect(heard).toEqual([9995])
    isHanging = false
    clock.advance(5000)
    expect((await results).every(({ success }) => success)).toBe(true)
    const expected = [9995, ...Array.from({ length: 1000 }, (_, i) => 9980 - 5 * i)]
    await expect.poll(() => heard).toEqual(expected)
    expect(audit.map(({ tokensBalance }) => tokensBalance)).toEqual(expected)
    expect(errors[2]).toMatchObject({ message: expect.stringContaining('longer than 5000 ms') })
  })

  it('hear of one user in the order of the ledger, however long they take', async () => {
    const heard: number[] = []
    const { billing } = await billingOf({
      onBalanceUpdate: async (_, balance) => {
        for (let i = 0; i < balance / 10; i++) await new Promise((resolve) => setImmediate(resolve))
        heard.push(balance)
      },
    })
    await billing.deductTokens(USER, image)
    await Promise.all(Array.from({ length: 5 }, () => billing.deductTokens(USER, image)))
    expect(heard).toEqual([90, 80, 70, 60, 50, 40])
  })
})

/** A ledger that is asked, and of which one call goes wrong. */
function faulty(ledger: Ledger, wrong: 'fails' | 'loses'): Ledger & { balanceCalls: number; isWrong: boolean } {
  const proxy = {
    balanceCalls: 0,
    isWrong: false,
    name: ledger.name,
    async run(subject: string, command: Parameters<Ledger['run']>[1]) {
      if (!proxy.isWrong || command.kind === 'cancel') return ledger.run(subject, command)
      if (wrong === 'loses') await ledger.run(subject, command)
      throw new TollgateError('STORE_UNAVAILABLE', 'connection lost')
    },
    balance: (subject: string, amount?: number) => (proxy.balanceCalls++, ledger.balance(subject, amount)),
    entries: ledger.entries.bind(ledger),
    balanceAt: ledger.balanceAt.bind(ledger),
    runDue: ledger.runDue.bind(ledger),
    verify: ledger.verify.bind(ledger),
    erase: ledger.erase.bind(ledger),
    close: ledger.close.bind(ledger),
  }
  return proxy
}

describe('when things go wrong', () => {
  it.each(['fails', 'loses'] as const)('a ledger that %s charges nothing for what was not done', async (wrong) => {
    const ledger = faulty(new MemoryLedger({ now: () => START_AT }), wrong)
    const { billing, clock, audit } = await billingOf({ ledger })
    await billing.deductTokens(USER, chat)
    ledger.isWrong = true
    await expect(billing.deductTokens(USER, image)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    ledger.isWrong = false
    clock.advance(0)
    await expect.poll(async () => (await ledger.balance(`default/telegram:${USER}`)).available).toBe(95)
    expect(audit).toHaveLength(1)
  })

  it('an answer that was lost reaches the audit, the balance and the cache with its repeat, in each process once', async () => {
    const ledger = faulty(new MemoryLedger({ now: () => START_AT }), 'loses')
    const { billing, another, audit, balances, users } = await billingOf({ ledger })
    const [key, other] = ['update-1', another()]
    await billing.addTokens(USER, 1)
    const acts: [(billing: TokenBilling) => Promise<TokenResult>, number][] = [
      [(each) => each.deductTokens(USER, image, { key }), 91],
      [(each) => each.addTokens(USER, 500, { key }), 591],
      [(each) => each.refundTokens(USER, image, { key }), 601],
      [(each) => each.resetMonthlyTokens(USER, 'Professional', { key }), 2501],
    ]
    for (const [act, newBalance] of acts) {
      audit.length = balances.length = 0
      ledger.isWrong = true
      await expect(act(billing)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      ledger.isWrong = false
      expect(audit).toEqual([])
      for (let i = 0; i < 2; i++) expect(await act(billing)).toEqual({ success: true, newBalance })
      expect(audit).toMatchObject([{ tokensBalance: newBalance }])
      expect(balances).toEqual([[USER, newBalance]])
      expect(await users.getTokenBalance(USER)).toMatchObject({ tokensBalance: newBalance })
      // Another process cannot know whether anybody was told: the id is the same.
      for (let i = 0; i < 2; i++) expect(await act(other)).toEqual({ success: true, newBalance })
      expect(audit).toHaveLength(2)
      expect(audit[1]).toEqual(audit[0])
    }
    // Not with what there was then.
    await billing.deductTokens(USER, chat)
    expect(await another().deductTokens(USER, image, { key: 'update-2' })).toMatchObject({ newBalance: 2486 })
    await billing.deductTokens(USER, chat)
    audit.length = 0
    expect(await another().deductTokens(USER, image, { key: 'update-2' })).toEqual({ success: true, newBalance: 2481 })
    expect(audit).toMatchObject([{ type: 'deduct', tokensBalance: 2481 }])
  })

  it('a listener that failed hears of it with the next repeat', async () => {
    const heard: string[] = []
    const { billing } = await billingOf({ onTokenOperation: ({ id }) => { if (heard.push(id) === 1) throw new Error('no database') } })
    for (let i = 0; i < 3; i++) expect(await billing.deductTokens(USER, image, { key: 'k' })).toEqual({ success: true, newBalance: 90 })
    expect(heard).toEqual([heard[0], heard[0]])
  })

  it('a lost Redis costs reads of the ledger, and nothing else', async () => {
    const users = new UserCache(new CacheManager({ call: () => Promise.reject(new Error('connection lost')) }, 'p'))
    const billing = new TokenBilling(users, { fetchBalance: async () => ({ tokensBalance: 12, tokensSpent: 0 }) })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 12, tokensSpent: 0 })
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 2 })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 2, tokensSpent: 10 })
    expect(await billing.canAffordOperation(USER, chat)).toEqual({ canAfford: false, cost: 5, balance: 2, deficit: 3 })
    expect(await billing.refundTokens(USER, image)).toEqual({ success: true, newBalance: 12 })
  })

  it('a lost Redis makes no user unknown of whom the database was asked before, and nothing is wiped', async () => {
    const lost = { call: () => Promise.reject(new Error('connection lost')) }
    const row = profileOf({ tokensBalance: 500, tokensSpent: 70 })
    const anna = profileOf({ id: 'id-8', telegramId: '1008', tokensBalance: 20 })
    const fetch = async (userId: string) => [row, anna].find(({ id, telegramId }) => userId === id || userId === telegramId) ?? null
    const fetching = new UserCache(new CacheManager(lost, 'p'))
    for (const { telegramId } of [row, anna]) await fetching.getOrFetchUserProfile(telegramId, async () => fetch(telegramId))
    for (const users of [fetching, new UserCache(new CacheManager(lost, 'p'), { fetchUserProfile: fetch })]) {
      const billing = new TokenBilling(users)
      expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 500, tokensSpent: 70 })
      expect(await billing.canAffordOperation('1007', image)).toMatchObject({ canAfford: true, balance: 500 })
      expect(await billing.deductTokens('1007', image)).toEqual({ success: true, newBalance: 490 })
      expect(await billing.deductTokens('1008', image)).toEqual({ success: true, newBalance: 10 })
      expect(await billing.resetMonthlyTokens(USER, 'Gift')).toEqual({ success: true, newBalance: 100 })
      expect(await billing.getBalance('1007')).toEqual({ tokensBalance: 100, tokensSpent: 80 })
      expect(await billing.resetMonthlyTokens('ghost', 'Business')).toMatchObject({ success: false, newBalance: 0, error: expect.stringContaining('Unknown user') })
      expect(await billing.getBalance('ghost')).toBeNull()
    }
  })

  it('what the cache says wrongly leads no deduction astray, and denies nobody', async () => {
    const { billing, users } = await billingOf({ profile: { tokensBalance: 12 } })
    await users.setTokenBalance(USER, { tokensBalance: 1000, tokensSpent: 0 })
    expect(await billing.deductTokens(USER, image)).toEqual({ success: true, newBalance: 2 })
    await users.setTokenBalance(USER, { tokensBalance: 1000, tokensSpent: 0 })
    expect(await billing.deductTokens(USER, image)).toMatchObject({ success: false, newBalance: 2 })
    await billing.addTokens(USER, 100)
    await users.setTokenBalance(USER, { tokensBalance: 3, tokensSpent: 0 })
    expect(await billing.canAffordOperation(USER, image)).toEqual({ canAfford: true, cost: 10, balance: 102, deficit: 0 })
    expect(await billing.getBalance(USER)).toEqual({ tokensBalance: 102, tokensSpent: 10 })
  })

  it.each<[string, (billing: TokenBilling) => unknown, string]>([
    ['an unknown operation', (billing) => billing.deductTokens(USER, 'chatgpt' as never), 'UNKNOWN_OPERATION'],
    ['a refund of an unknown operation', (billing) => billing.refundTokens(USER, 'toString' as never), 'UNKNOWN_OPERATION'],
    ['an unknown tier', (billing) => billing.resetMonthlyTokens(USER, 'Silver' as never), 'UNKNOWN_PLAN'],
    ['no tokens', (billing) => billing.addTokens(USER, 0), 'INVALID_REQUEST'],
    ['parts of tokens', (billing) => billing.addTokens(USER, 0.5), 'INVALID_REQUEST'],
    ['an empty key', (billing) => billing.deductTokens(USER, chat, { key: '' }), 'INVALID_REQUEST'],
    ['no user', (billing) => billing.deductTokens('', chat), 'INVALID_REQUEST'],
    ['a user of too many characters', (billing) => billing.deductTokens('u'.repeat(201), chat), 'INVALID_REQUEST'],
  ])('%s is refused', async (_, act, code) => {
    const { billing } = await billingOf()
    await expect((async () => act(billing))()).rejects.toMatchObject({ code })
  })
})

describe('a day of a bot', () => {
  it('reads nine balances of ten from the cache', async () => {
    const ledger = faulty(new MemoryLedger({ now: () => START_AT }), 'fails')
    const { billing, users } = await billingOf({ ledger, profile: null, fetchBalance: async () => ({ tokensBalance: 0, tokensSpent: 0 }) })
    let reads = 0
    const userIds = Array.from({ length: 50 }, (_, i) => `id-${i}`)
    for (const userId of userIds) await billing.resetMonthlyTokens(userId, 'Professional')
    ledger.balanceCalls = 0
    // Sessions of messages, with a look at the balance now and then; between sessions a minute passes, and the entry ends.
    for (const [i, userId] of userIds.entries()) {
      await users.invalidateTokenBalance(userId)
      for (let message = 0; message < 3 + (i % 6); message++) {
        const operation = message % 4 === 3 ? image : chat
        expect(await billing.canAffordOperation(userId, operation)).toMatchObject({ canAfford: true })
        reads++
        expect(await billing.deductTokens(userId, operation)).toMatchObject({ success: true })
        if (message % 2 === 0) continue
        await billing.getBalance(userId)
        await billing.estimateOperations(userId, chat)
        reads += 2
      }
    }
    expect(1 - ledger.balanceCalls / reads).toBeGreaterThanOrEqual(0.9)
  })

  it('goes as the documents have it: identify, limit, afford, deduct, run, and refund what failed', async () => {
    const prefix = uniquePrefix()
    // The users' table of the documents.
    const rows = new Map<string, UserProfile>()
    const getOrCreateUser = async (telegramId: string, username: string): Promise<UserProfile> => {
      const found = await userCache.getOrFetchUserProfile(telegramId, async () => [...rows.values()].find((row) => row.telegramId === telegramId) ?? null)
      if (found) return found
      const created: UserProfile = { id: `id-${rows.size + 1}`, telegramId, username, tier: SubscriptionTier.Gift, subscriptionExpiresAt: null, tokensBalance: 0, tokensSpent: 0, channelSubscribedAt: null, createdAt: new Date(START_AT), updatedAt: new Date(START_AT) }
      rows.set(created.id, created)
      await userCache.setUserProfile(created.id, created)
      return created
    }
    const clock = controlledClock(START_AT)
    const rateLimiter = new RateLimiter(redis, { clock, prefix, timeoutMs: 60_000 })
    const cacheManager = new CacheManager(redis, `${prefix}bot`, 300, { timeoutMs: 10_000 })
    const userCache = new UserCache(cacheManager)
    const audit: string[] = []
    const tokenBilling = new TokenBilling(userCache, {
      onBalanceUpdate: async (userId, newBalance) => void (rows.get(userId)!.tokensBalance = newBalance),
      onTokenOperation: async ({ type, amount, tokensSpent, userId }) => {
        audit.push(`${type} ${amount}`)
        rows.get(userId)!.tokensSpent = tokensSpent
      },
    })
    const request = async (operation: OperationType, run: () => Promise<string>): Promise<string> => {
      const user = await getOrCreateUser('1007', 'seven')
      const limit = await rateLimiter.checkLimit(user.id, user.tier, operation)
      if (!limit.allowed) return `wait ${limit.retryAfter} s`
      const { canAfford, cost, deficit } = await tokenBilling.canAffordOperation(user.id, operation)
      if (!canAfford) return `${deficit} of ${cost} tokens are missing`
      const { success, newBalance, error } = await tokenBilling.deductTokens(user.id, operation)
      if (!success) return error!
      try {
        return `${await run()}; ${newBalance} tokens and ${limit.remaining} requests left`
      } catch {
        const back = await tokenBilling.refundTokens(user.id, operation)
        return `failed; ${back.newBalance} tokens left`
      }
    }
    const answer = async () => 'here you are'
    expect(await request(image, answer)).toBe('10 of 10 tokens are missing')
    // The channel is confirmed.
    await tokenBilling.resetMonthlyTokens('id-1', 'Gift')
    expect(await request(image, answer)).toBe('here you are; 90 tokens and 8 requests left')
    expect(await request(chat, answer)).toBe('here you are; 85 tokens and 9 requests left')
    expect(await request(image, () => Promise.reject(new Error('no picture')))).toBe('failed; 85 tokens left')
    expect(await request(image, answer)).toBe('wait 1 s')
    expect(audit).toEqual(['reset 100', 'deduct 10', 'deduct 5', 'deduct 10', 'refund 10'])
    expect(rows.get('id-1')).toMatchObject({ tokensBalance: 85, tokensSpent: 15 })
    expect(await userCache.getUserProfile('1007')).toMatchObject({ tokensBalance: 85, tokensSpent: 15 })
    // Another process, or this one after a restart, goes on from the row.
    const restarted = new TokenBilling(new UserCache(cacheManager), {})
    expect(await restarted.deductTokens('id-1', chat)).toEqual({ success: true, newBalance: 80 })
    expect(await restarted.getBalance('id-1')).toEqual({ tokensBalance: 80, tokensSpent: 20 })
  })
})
