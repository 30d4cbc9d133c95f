/** Users whose plan is known at a time: about 10 MB. */
const MAX_USERS = 100_000

/**
 * The plan that the last check of a user named, for what is asked about the user without one. Whose last check is longest
 * ago is forgotten first, and so on the stored plan, or the default one, again.
 */
export class NamedPlans {
  readonly #plans = new Map<string, string>()

  /** `undefined` where the check named none. */
  remember(userId: string, plan: string | undefined): void {
    this.#plans.delete(userId)
    if (plan === undefined) return
    this.#plans.set(userId, plan)
    if (this.#plans.size > MAX_USERS) this.#plans.delete(this.#plans.keys().next().value!)
  }

  of(userId: string): string | undefined {
    return this.#plans.get(userId)
  }
}
