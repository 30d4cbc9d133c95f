import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisUrl, uniquePrefix } from '../testing/redis-servers.ts'
import { CacheManager, UserCache, type UserProfile } from './telegram-bot.ts'

let redis: Redis
beforeAll(async () => {
  redis = new Redis(await redisUrl())
})
afterAll(() => redis.quit())

/** As several processes have it: each a cache of its own, on one Redis. */
function usersOf() {
  const prefix = uniquePrefix()
  const open = () => {
    const cache = new CacheManager(redis, prefix, 60, { timeoutMs: 10_000 })
    return { cache, users: new UserCache(cache) }
  }
  return { ...open(), elsewhere: open().users, prefix }
}

const profileOf = (n: number, changes: Partial<UserProfile> = {}): UserProfile => ({
  id: `id-${n}`,
  telegramId: String(1000 + n),
  username: null,
  tier: 'Gift',
  subscriptionExpiresAt: new Date(Date.UTC(2027, 0, 31, 12)),
  tokensBalance: 100,
  tokensSpent: 0,
  channelSubscribedAt: null,
  createdAt: new Date(1),
  updatedAt: new Date(2),
  ...changes,
})

const anna = profileOf(1)

function later<T>() {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => (resolve = done))
  return { promise, resolve }
}

describe('profiles', () => {
  it('are found by either id, with their dates, for five minutes', async () => {
    const { users, elsewhere, cache } = usersOf()
    expect(await users.getUserProfile(anna.id)).toBeNull()
    expect(await users.setUserProfile(anna.id, anna)).toBe(true)
    for (const id of [anna.id, anna.telegramId]) expect(await elsewhere.getUserProfile(id)).toEqual(anna)
    expect(await cache.getTtl(`user:${anna.id}`)).toBe(300)
    expect(await users.updateUserProfile(anna.telegramId, { tier: 'Business', subscriptionExpiresAt: new Date(3) })).toBe(true)
    expect(await elsewhere.getUserProfile(anna.id)).toEqual({ ...anna, tier: 'Business', subscriptionExpiresAt: new Date(3) })
  })

  it.each([
    ['telegramId', 'id'],
    ['id', 'telegramId'],
  ] as const)('are fetched once, whichever id comes first: the %s', async (first, second) => {
    const { users, elsewhere } = usersOf()
    const asked: string[] = []
    const fetch = async (userId: string) => (asked.push(userId), anna)
    expect(await Promise.all([1, 2, 3].map(() => users.getOrFetchUserProfile(anna[first], fetch)))).toEqual([anna, anna, anna])
    expect(await users.getOrFetchUserProfile(anna[first], fetch)).toEqual(anna)
    expect(await elsewhere.getOrFetchUserProfile(anna[second], fetch)).toEqual(anna)
    expect(asked).toEqual([anna[first]])
    expect(await users.getOrFetchUserProfile('nobody', async () => null)).toBeNull()
  })

  it.each([
    ['the internal id', anna.id],
    ['the telegram id', anna.telegramId],
  ])('and balance are dropped by %s, so that an upgrade shows at once; all else by invalidateAllUserData', async (_, id) => {
    const { users, elsewhere } = usersOf()
    const all = async () => [await elsewhere.getUserProfile(anna.id), await elsewhere.getUserProfile(anna.telegramId), await elsewhere.getTokenBalance(anna.id), await elsewhere.getChannelSubscription(anna.telegramId)]
    const fill = async () => {
      await elsewhere.getOrFetchUserProfile(anna.telegramId, async () => anna)
      await elsewhere.setTokenBalance(anna.id, { tokensBalance: 5, tokensSpent: 95 })
      await elsewhere.setChannelSubscription(anna.id, true)
      expect(await all()).toEqual([anna, anna, { tokensBalance: 5, tokensSpent: 95 }, true])
    }
    await fill()
    expect(await users.invalidateUserProfile(id)).toBe(true)
    expect(await all()).toEqual([null, null, null, true])
    expect(await elsewhere.getOrFetchUserProfile(anna.telegramId, async () => profileOf(1, { tier: 'Business' }))).toMatchObject({ tier: 'Business' })
    expect(await users.getUserProfile(anna.id)).toMatchObject({ tier: 'Business' })
    await users.invalidateUserProfile(id)
    await fill()
    expect(await users.invalidateAllUserData(id)).toBe(true)
    expect(await all()).toEqual([null, null, null, null])
    await fill()
    await users.invalidateTokenBalance(id)
    await users.invalidateChannelSubscription(id)
    expect(await all()).toEqual([anna, anna, null, null])
  })

  const ids = ['id', 'telegramId'] as const
  it.each(ids.flatMap((fetched) => ids.flatMap((dropped) => [false, true].map((isKnown) => [fetched, dropped, isKnown] as const))))(
    'being fetched by the %s are not kept when they are dropped by the %s meanwhile, here or elsewhere (known before: %s)',
    async (fetched, dropped, isKnown) => {
      for (const isElsewhere of [false, true]) {
        const { users, elsewhere } = usersOf()
        if (isKnown) {
          await users.setUserProfile(anna.id, anna)
          await users.invalidateUserProfile(anna.id)
        }
        const [started, answer] = [later<void>(), later<UserProfile>()]
        const old = users.getOrFetchUserProfile(anna[fetched], () => (started.resolve(), answer.promise))
        await started.promise
        expect(await (isElsewhere ? elsewhere : users).invalidateUserProfile(anna[dropped])).toBe(true)
        answer.resolve(anna)
        expect(await old).toEqual(anna)
        for (const id of ids) expect(await elsewhere.getUserProfile(anna[id])).toBeNull()
        const upgraded = profileOf(1, { tier: 'Business' })
        for (const id of ids) expect(await elsewhere.getOrFetchUserProfile(anna[id], async () => upgraded)).toEqual(upgraded)
      }
    },
  )

  it('are dropped by a telegram id that somebody has learnt only now', async () => {
    const { users, prefix } = usersOf()
    await users.getOrFetchUserProfile(anna.telegramId, async () => anna)
    const unaware = { call: async (command: string, args: string[]) => (command === 'GET' ? null : redis.call(command, args)) }
    await new UserCache(new CacheManager(unaware, prefix, 60, { timeoutMs: 10_000 })).invalidateUserProfile(anna.telegramId)
    for (const id of ids) expect(await users.getUserProfile(anna[id])).toBeNull()
    const upgraded = profileOf(1, { tier: 'Business' })
    expect(await users.getOrFetchUserProfile(anna.telegramId, async () => upgraded)).toEqual(upgraded)
    expect(await users.getUserProfile(anna.id)).toEqual(upgraded)
  })

  it('of a user who was made anew, with another id, are found again', async () => {
    const { users } = usersOf()
    const fetch = async () => anna
    await users.getOrFetchUserProfile(anna.telegramId, fetch)
    await users.invalidateUserProfile(anna.id)
    const anew = { ...anna, id: 'id-new' }
    for (let i = 0; i < 2; i++) expect(await users.getOrFetchUserProfile(anna.telegramId, async () => anew)).toEqual(anew)
    expect(await users.getUserProfile('id-new')).toEqual(anew)
    expect(await users.getUserProfile(anna.telegramId)).toEqual(anew)
  })

  it('are cached ahead and read many at once, but not over what is known better', async () => {
    const { users, elsewhere } = usersOf()
    const all = [1, 2, 3, 4].map((n) => profileOf(n))
    await users.setUserProfile('id-1', profileOf(1, { tier: 'Business' }))
    await users.invalidateUserProfile('id-2')
    expect(await elsewhere.warmUserProfiles(all)).toBe(2)
    const found = await users.getUserProfiles(['1001', 'id-1', 'id-2', '1003', 'id-4', 'nobody'])
    expect([...found].map(([id, { tier }]) => `${id} ${tier}`)).toEqual(['1001 Business', 'id-1 Business', '1003 Gift', 'id-4 Gift'])
    await users.setTokenBalance('1003', { tokensBalance: 3, tokensSpent: 0 })
    await users.setTokenBalance('id-4', { tokensBalance: 4, tokensSpent: 0 })
    expect([...(await elsewhere.getTokenBalances(['id-3', '1003', '1004', 'nobody']))].map(([id, { tokensBalance }]) => `${id} ${tokensBalance}`)).toEqual(['id-3 3', '1003 3', '1004 4'])
  })

  it('of somebody else are not kept under an id that is not theirs', async () => {
    const { users } = usersOf()
    expect(await users.getOrFetchUserProfile('nickname', async () => anna)).toEqual(anna)
    expect(await users.setUserProfile('nickname', anna)).toBe(false)
    expect(await users.getUserProfile('nickname')).toBeNull()
  })

  it('that are something else in Redis are fetched, and put right', async () => {
    const { users, cache } = usersOf()
    for (const rubbish of [5, null, [], { of: 7 }, { of: anna.id }, { id: 1 }, 'text']) {
      await cache.set(`user:${anna.id}`, rubbish)
      await cache.set(`balance:${anna.id}`, rubbish)
      await cache.set(`channel:${anna.id}`, rubbish)
      expect(await users.getUserProfile(anna.id)).toBeNull()
      expect(await users.getTokenBalance(anna.id)).toBeNull()
      expect(await users.getChannelSubscription(anna.id)).toBeNull()
      expect(await users.getOrFetchTokenBalance(anna.id, async () => ({ tokensBalance: 1, tokensSpent: 2 }))).toEqual({ tokensBalance: 1, tokensSpent: 2 })
      expect(await users.getTokenBalance(anna.id)).toEqual({ tokensBalance: 1, tokensSpent: 2 })
      expect(await users.getOrFetchUserProfile(anna.id, async () => anna)).toEqual(anna)
      expect(await users.getUserProfile(anna.telegramId)).toEqual(anna)
      await cache.set(`user:${anna.id}`, rubbish)
      expect(await users.getOrFetchUserProfile(anna.telegramId, async () => anna)).toEqual(anna)
      expect(await users.getUserProfile(anna.id)).toEqual(anna)
    }
  })

  it('of ids that are too long are refused, by the name of the field', async () => {
    const { users } = usersOf()
    for (const act of [() => users.getUserProfile('u'.repeat(201)), () => users.setTokenBalance('u'.repeat(256), { tokensBalance: 1, tokensSpent: 0 }), () => users.getChannelSubscription('')]) {
      await expect(act()).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'userId' })
    }
  })

  it('are fetched, and nothing throws, while Redis is away', async () => {
    const lost = new UserCache(new CacheManager({ call: () => Promise.reject(new Error('connection lost')) }, 'p'))
    expect(await lost.getOrFetchUserProfile(anna.telegramId, async () => anna)).toEqual(anna)
    expect(await lost.getUserProfile(anna.id)).toBeNull()
    expect(await lost.setUserProfile(anna.id, anna)).toBe(false)
    expect(await lost.warmUserProfiles([anna])).toBe(0)
    expect(await lost.updateUserProfile(anna.id, {})).toBe(false)
    expect(await lost.invalidateUserProfile(anna.id)).toBe(false)
    expect(await lost.invalidateAllUserData(anna.id)).toBe(false)
    expect(await lost.getOrFetchTokenBalance(anna.id, async () => ({ tokensBalance: 1, tokensSpent: 2 }))).toEqual({ tokensBalance: 1, tokensSpent: 2 })
    expect(await lost.invalidateTokenBalance(anna.id)).toBe(false)
    expect(await lost.setChannelSubscription(anna.id, true)).toBe(false)
    expect(await lost.getChannelSubscription(anna.id)).toBeNull()
  })

  it('are found without a fetch of one\'s own as they were fetched before, or as it was configured', async () => {
    const { users, cache } = usersOf()
    expect(await users.findUserProfile(anna.id)).toBeNull()
    await users.getOrFetchUserProfile(anna.telegramId, async () => anna)
    // A fetch that is made for one user finds nobody else.
    for (const id of ids) expect(await users.findUserProfile(anna[id])).toEqual(anna)
    expect(await users.findUserProfile('id-2')).toBeNull()
    await users.invalidateAllUserData(anna.id)
    await cache.invalidateByPattern('*')
    expect(await users.internalIdOf(anna.telegramId)).toBe(anna.id)
    for (const id of ids) expect(await users.findUserProfile(anna[id])).toEqual(anna)
    const configured = new UserCache(cache, { fetchUserProfile: async () => profileOf(2) })
    for (const id of ['id-2', '1002']) expect(await configured.findUserProfile(id)).toEqual(profileOf(2))
    expect(await configured.findUserProfile('id-3')).toBeNull()
  })
})

describe('how long things are kept', () => {
  it('balances a minute, channel subscriptions ten', async () => {
    const { users, cache } = usersOf()
    await users.setTokenBalance('id-1', { tokensBalance: 1, tokensSpent: 0 })
    await users.setChannelSubscription('id-1', false)
    expect(await cache.getTtl('balance:id-1')).toBe(60)
    expect(await cache.getTtl('channel:id-1')).toBe(600)
    expect(await users.getChannelSubscription('id-1')).toBe(false)
  })

  it('who a telegram id is, a day from the last time their profile was', async () => {
    const { users, cache } = usersOf()
    await users.getOrFetchUserProfile(anna.telegramId, async () => anna)
    expect(await cache.getTtl(`user:${anna.telegramId}`)).toBe(86_400)
    await users.invalidateUserProfile(anna.id)
    await cache.set(`user:${anna.telegramId}`, { of: anna.id }, 10)
    await users.getOrFetchUserProfile(anna.telegramId, async () => anna)
    expect(await cache.getTtl(`user:${anna.telegramId}`)).toBe(86_400)
    expect(await cache.getTtl(`user:${anna.id}`)).toBe(300)
  })

  it('a user takes less than a kilobyte', async () => {
    const { users, prefix } = usersOf()
    await users.getOrFetchUserProfile('123456789', async () => profileOf(1, { id: 'c56a4180-65aa-42ec-a945-5fd21dec0538', telegramId: '123456789', username: 'a_user_with_a_name' }))
    await users.setTokenBalance('123456789', { tokensBalance: 1000, tokensSpent: 1000 })
    await users.setChannelSubscription('123456789', true)
    const keys = await redis.keys(`${prefix}*`)
    const bytes = await Promise.all(keys.map((key) => redis.memory('USAGE', key)))
    expect(keys).toHaveLength(4)
    expect(bytes.reduce<number>((sum, n) => sum + Number(n), 0)).toBeLessThan(1024)
  })
})
