import { Recent } from './recent.ts'
import type { UserProfile } from './user-profile.ts'

/** Finds a user by either id; `null` where there is none. */
export type FetchUserProfile = (userId: string) => Promise<UserProfile | null>

interface KnownUser {
  readonly id: string
  readonly fetch?: () => Promise<UserProfile | null>
}

/** By both ids of each: 1000 users. */
const MAX_IDS = 2000

/** Users whom this process has seen lately, for when Redis is away: whose id it is, and how the database was asked for them. */
export class KnownUsers {
  readonly #users = new Recent<KnownUser>(MAX_IDS)

  /** The internal id. */
  idOf(userId: string): string | undefined {
    return this.#users.get(userId)?.id
  }

  fetchOf(userId: string): FetchUserProfile | undefined {
    return this.#users.get(userId)?.fetch
  }

  remember({ id, telegramId }: UserProfile, fetch?: () => Promise<UserProfile | null>): void {
    for (const name of [id, telegramId]) this.#users.set(name, { ...this.#users.get(name), id, ...(fetch && { fetch }) })
  }

  rememberId(userId: string, id: string): void {
    this.#users.set(userId, { ...this.#users.get(userId), id })
  }
}
