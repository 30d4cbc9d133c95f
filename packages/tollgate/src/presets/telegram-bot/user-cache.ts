import type { CacheManager } from './cache-manager.ts'
import { type FetchUserProfile, KnownUsers } from './known-users.ts'
import { assertUserId } from './user-id.ts'
import { isBalance, isProfile, profileFromJson, type TokenBalance, type UserProfile } from './user-profile.ts'

export const PROFILE_TTL_SECONDS = 300
export const BALANCE_TTL_SECONDS = 60
export const CHANNEL_TTL_SECONDS = 600
/** Ids of one user never change, so this is only how long a user is remembered who was not seen. */
const ALIAS_TTL_SECONDS = 86_400

export interface UserCacheOptions {
  /** For those who ask without a fetch of their own, such as `TokenBilling`. */
  fetchUserProfile?: FetchUserProfile
}

/** By the internal id, a profile; by the telegram id, what the internal one is. */
const userKey = keysOf('user')
const balanceKey = keysOf('balance')
const channelKey = keysOf('channel')

interface Alias {
  readonly of: string
}

const isOf = (userId: string, { id, telegramId }: UserProfile): boolean => userId === id || userId === telegramId

const isAlias = (value: unknown): value is Alias => typeof (value as Partial<Alias> | null | undefined)?.of === 'string'

/**
 * What a bot knows of its users, for a while: profiles 5 minutes, token balances 1 minute, channel subscriptions 10 minutes.
 *
 * Every `userId` may be the user's internal id or their telegram id. A profile lies under the internal one alone; which that is
 * of a telegram id is remembered with each profile, for a day. So dropping either drops both, in every process, also
 * what is being fetched under the other. Redis may be away: see `CacheManager`.
 */
export class UserCache {
  readonly #cache: CacheManager
  readonly #fetchUserProfile: FetchUserProfile | undefined
  readonly #known = new KnownUsers()

  constructor(cache: CacheManager, { fetchUserProfile }: UserCacheOptions = {}) {
    this.#cache = cache
    this.#fetchUserProfile = fetchUserProfile
  }

  async getUserProfile(userId: string): Promise<UserProfile | null> {
    return (await this.getUserProfiles([userId])).get(userId) ?? null
  }

  /** Those that are cached, by the ids that were asked for. */
  async getUserProfiles(userIds: readonly string[]): Promise<Map<string, UserProfile>> {
    const found = await this.#follow(userIds, await this.#cache.mget(userIds.map(userKey)), userKey)
    return new Map(userIds.flatMap((userId, i) => (isProfile(found[i]) ? [[userId, profileFromJson(found[i])] as const] : [])))
  }

  /** Returns whether it is cached. */
  async setUserProfile(userId: string, profile: UserProfile): Promise<boolean> {
    if (isOf(userId, profile)) this.#known.remember(profile)
    await this.#cache.set(userKey(profile.telegramId), { of: profile.id }, ALIAS_TTL_SECONDS)
    // Of an id that is neither, nobody could ever drop it.
    return isOf(userId, profile) && this.#cache.set(userKey(profile.id), profile, PROFILE_TTL_SECONDS)
  }

  /** Caches profiles ahead, but for those that are cached, being fetched, or were dropped in the last 30 s. Returns how many. */
  async warmUserProfiles(profiles: Iterable<UserProfile>): Promise<number> {
    const added = await Promise.all([...profiles].map(async (profile) => (await this.#link(profile)) && this.#cache.add(userKey(profile.id), profile, PROFILE_TTL_SECONDS)))
    return added.filter(Boolean).length
  }

  /** `fetch` finds the user by the same id, or gives `null`, which is not cached. A profile that is dropped meanwhile is not either. */
  async getOrFetchUserProfile(userId: string, fetch: FetchUserProfile): Promise<UserProfile | null> {
    const profile = await this.#getOrFetch(userId, fetch)
    if (profile && isOf(userId, profile)) this.#known.remember(profile, () => fetch(userId))
    return profile
  }

  /** The same without a fetch: by `fetchUserProfile`, or else as it was last fetched in this process. `null` where that finds somebody else, too. */
  async findUserProfile(userId: string): Promise<UserProfile | null> {
    const fetch = this.#fetchUserProfile ?? this.#known.fetchOf(userId)
    const found = fetch ? await this.#getOrFetch(userId, fetch) : await this.getUserProfile(userId)
    return found && isOf(userId, found) ? found : null
  }

  async #getOrFetch(userId: string, fetch: FetchUserProfile): Promise<UserProfile | null> {
    const found = await this.#cache.getOrSet<UserProfile | Alias | null>(userKey(userId), () => fetch(userId), PROFILE_TTL_SECONDS, [], {
      accepts: (cached): cached is UserProfile | Alias => isProfile(cached) || isAlias(cached),
      toStored: async (fetched) => {
        if (!isProfile(fetched) || fetched.id === userId) return this.#linked(fetched)
        return fetched.telegramId === userId ? ({ of: fetched.id } satisfies Alias) : undefined
      },
      // After the alias, so that the profile can be dropped by either id; not where it was dropped by its own meanwhile.
      onStored: async (fetched) => {
        if (!isProfile(fetched) || fetched.id === userId) return
        await this.#cache.extendTtl(userKey(userId), ALIAS_TTL_SECONDS)
        await this.#cache.add(userKey(fetched.id), fetched, PROFILE_TTL_SECONDS)
      },
    })
    if (!isAlias(found)) return found && profileFromJson(found)
    const profile = await this.#cache.getOrSet<UserProfile | null>(userKey(found.of), () => fetch(userId), PROFILE_TTL_SECONDS, [], {
      accepts: isProfile,
      toStored: (fetched) => (fetched?.id === found.of ? this.#linked(fetched) : undefined),
    })
    // The user was made anew, with another id.
    if (profile && profile.id !== found.of) await this.#cache.delete(userKey(userId))
    return profile && profileFromJson(profile)
  }

  /** Changes a cached profile, and leaves its TTL. Returns whether it is cached. */
  async updateUserProfile(userId: string, changes: Partial<UserProfile>): Promise<boolean> {
    return this.#cache.update<UserProfile>(userKey(await this.internalIdOf(userId)), (profile) => (isProfile(profile) ? { ...profile, ...changes } : profile))
  }

  /** Drops the profile and the balance. Returns whether Redis could be told; if not, they are gone with their TTL at the latest. */
  async invalidateUserProfile(userId: string): Promise<boolean> {
    const { ids, isBuried } = await this.#bury(userId)
    return all([isBuried, ...(await this.#deleteAll(ids, [balanceKey]))])
  }

  /** Drops the profile, the balance and the channel subscription. */
  async invalidateAllUserData(userId: string): Promise<boolean> {
    const { ids, isBuried } = await this.#bury(userId)
    return all([isBuried, ...(await this.#deleteAll(ids, [balanceKey, channelKey]))])
  }

  async getTokenBalance(userId: string): Promise<TokenBalance | null> {
    return (await this.getTokenBalances([userId])).get(userId) ?? null
  }

  /** Those that are cached, by the ids that were asked for. */
  async getTokenBalances(userIds: readonly string[]): Promise<Map<string, TokenBalance>> {
    const found = await this.#getAll(userIds, balanceKey)
    return new Map(userIds.flatMap((userId, i) => (isBalance(found[i]) ? [[userId, found[i]] as const] : [])))
  }

  async setTokenBalance(userId: string, { tokensBalance, tokensSpent }: TokenBalance): Promise<boolean> {
    return this.#cache.set(balanceKey(await this.internalIdOf(userId)), { tokensBalance, tokensSpent }, BALANCE_TTL_SECONDS)
  }

  async getOrFetchTokenBalance(userId: string, fetch: () => Promise<TokenBalance | null>): Promise<TokenBalance | null> {
    const cached = await this.getTokenBalance(userId)
    if (cached) return cached
    const id = await this.internalIdOf(userId)
    return this.#cache.getOrSet<TokenBalance | null>(balanceKey(id), fetch, BALANCE_TTL_SECONDS, [], {
      accepts: (value): value is TokenBalance | null => isBalance(value),
      // Unless it turned out meanwhile that the user has another id.
      toStored: async (fetched) => ((await this.internalIdOf(userId)) === id ? (fetched ?? undefined) : undefined),
    })
  }

  async invalidateTokenBalance(userId: string): Promise<boolean> {
    return all(await this.#deleteAll([userId, await this.internalIdOf(userId)], [balanceKey]))
  }

  /** Whether the subscription to the channel is confirmed; `null` where that is not cached. */
  async getChannelSubscription(userId: string): Promise<boolean | null> {
    const [found] = await this.#getAll([userId], channelKey)
    return typeof found === 'boolean' ? found : null
  }

  async setChannelSubscription(userId: string, isSubscribed: boolean): Promise<boolean> {
    return this.#cache.set(channelKey(await this.internalIdOf(userId)), isSubscribed, CHANNEL_TTL_SECONDS)
  }

  async invalidateChannelSubscription(userId: string): Promise<boolean> {
    return all(await this.#deleteAll([userId, await this.internalIdOf(userId)], [channelKey]))
  }

  /** Users are looked up along with what is wanted of them, so that an internal id needs no second round trip. */
  async #getAll(userIds: readonly string[], keyOf: (id: string) => string): Promise<unknown[]> {
    const found = await this.#cache.mget([...userIds.map(userKey), ...userIds.map(keyOf)])
    const users = found.slice(0, userIds.length)
    const own = found.slice(userIds.length)
    return this.#follow(userIds, users.map((user, i) => (isAlias(user) ? user : own[i])), keyOf)
  }

  /** In place of each alias, what is under the id that it stands for. */
  async #follow(userIds: readonly string[], found: readonly unknown[], keyOf: (id: string) => string): Promise<unknown[]> {
    const aliases = [...new Set(found.flatMap((value) => (isAlias(value) ? [value.of] : [])))]
    if (aliases.length === 0) return [...found]
    const values = await this.#cache.mget(aliases.map(keyOf))
    const byId = new Map(aliases.map((id, i) => [id, values[i]]))
    return userIds.map((_, i) => (isAlias(found[i]) ? byId.get(found[i].of) : found[i]))
  }

  /** Of a telegram id, as far as it is known; else the id itself. */
  async internalIdOf(userId: string): Promise<string> {
    const found = await this.#cache.get(userKey(userId))
    if (isAlias(found)) return found.of
    return isProfile(found) ? userId : (this.#known.idOf(userId) ?? userId)
  }

  /** Whose id it is, for this process. */
  rememberId(userId: string, id: string): void {
    this.#known.rememberId(userId, id)
  }

  /** A profile that may be cached. */
  async #linked(profile: UserProfile | Alias | null): Promise<UserProfile | undefined> {
    return isProfile(profile) && (await this.#link(profile)) ? profile : undefined
  }

  /** So that the profile can be found by the telegram id, too. Not where that was dropped a moment ago. */
  async #link({ id, telegramId }: UserProfile): Promise<boolean> {
    if (id === telegramId) return true
    const key = userKey(telegramId)
    if (await this.#cache.add(key, { of: id }, ALIAS_TTL_SECONDS)) return true
    const found = await this.#cache.get(key)
    return isAlias(found) && found.of === id && this.#cache.extendTtl(key, ALIAS_TTL_SECONDS)
  }

  /** Ends what is cached of a profile, and every fetch of it. Returns the ids that were found. */
  async #bury(userId: string): Promise<{ ids: string[]; isBuried: boolean }> {
    const known = await this.internalIdOf(userId)
    const { was, isBuried } = await this.#cache.bury(userKey(known))
    if (known !== userId || !isAlias(was)) return { ids: [userId, known], isBuried }
    // Somebody has just learnt who that is.
    const [other] = await Promise.all([this.#cache.bury(userKey(was.of)), this.#cache.set(userKey(userId), was, ALIAS_TTL_SECONDS)])
    return { ids: [userId, was.of], isBuried: isBuried && other.isBuried }
  }

  #deleteAll(ids: readonly string[], keysOf: readonly ((id: string) => string)[]): Promise<boolean[]> {
    return Promise.all([...new Set(ids)].flatMap((id) => keysOf.map((keyOf) => this.#cache.delete(keyOf(id)))))
  }
}

function keysOf(kind: string): (userId: string) => string {
  return (userId) => {
    // A number, as Telegram gives it, is as good.
    assertUserId(String(userId))
    return `${kind}:${userId}`
  }
}

const all = (results: readonly boolean[]): boolean => results.every(Boolean)
