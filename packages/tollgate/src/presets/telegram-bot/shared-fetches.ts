/** A fetch under way. */
export interface SharedFetch {
  readonly tags: readonly string[]
  /** What it finds was deleted, or written anew, meanwhile: it is the answer of those who wait for it, and of nobody else. */
  isOutdated: boolean
}

/** Whoever wants a key that is being fetched in this process waits for that, and fetches nothing. */
export class SharedFetches {
  readonly #byKey = new Map<string, { fetch: SharedFetch; result: Promise<unknown> }>()

  /** The result of the fetch under way, or of a new one. */
  share<T>(key: string, tags: readonly string[], start: (fetch: SharedFetch) => Promise<T>): Promise<T> {
    const found = this.#byKey.get(key)
    if (found) return found.result as Promise<T>
    const fetch: SharedFetch = { tags, isOutdated: false }
    const result = start(fetch).finally(() => {
      if (this.#byKey.get(key)?.fetch === fetch) this.#byKey.delete(key)
    })
    this.#byKey.set(key, { fetch, result })
    return result
  }

  /** Who comes from now on fetches anew. */
  outdate(key: string): void {
    const found = this.#byKey.get(key)
    if (!found) return
    found.fetch.isOutdated = true
    this.#byKey.delete(key)
  }

  outdateTag(tag: string): void {
    for (const [key, { fetch }] of this.#byKey) if (fetch.tags.includes(tag)) this.outdate(key)
  }

  outdateAll(): void {
    for (const key of this.#byKey.keys()) this.outdate(key)
  }
}
