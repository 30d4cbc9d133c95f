import { randomBytes } from 'node:crypto'
import type { RedisConnection } from './client.ts'
import { SCRIPTS } from './scripts.generated.ts'

/** Said so often that one lost word is no lost process. */
const SAY_EVERY_MS = 5000
const GONE_AFTER_MS = 16_000

/**
 * How many processes use the store: each says from time to time that it is there. Where Redis is away, what was known last
 * is what each of them goes by.
 */
export class Presence {
  readonly #connection: RedisConnection
  readonly #key: string
  readonly #id = randomBytes(9).toString('base64url')
  #count = 1
  /** How long some process has used the store without a pause, when that was heard. */
  #usedForMs = 0
  #heardAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(connection: RedisConnection, key: string) {
    this.#connection = connection
    this.#key = key
  }

  get count(): number {
    return this.#count
  }

  /**
   * Whether some process has used the store all this time. A pause, in which subjects may have been counted elsewhere, begins
   * it anew.
   */
  isOlderThan(ms: number): boolean {
    return this.#heardAt > 0 && this.#usedForMs + (performance.now() - this.#heardAt) > ms
  }

  /** From the first use on. The timer keeps no process alive. */
  start(): void {
    if (this.#timer) return
    this.#timer = setInterval(() => void this.say(), SAY_EVERY_MS)
    this.#timer.unref()
    void this.say()
  }

  /** What fails leaves the number as it was known. */
  async say(): Promise<void> {
    try {
      const [count, usedForMs] = (await this.#connection.run(SCRIPTS.presence, [this.#key, `${this.#key}since`], [this.#id, String(GONE_AFTER_MS)])) as [number, unknown]
      this.#count = Math.max(1, count)
      this.#usedForMs = Number(String(usedForMs))
      this.#heardAt = performance.now()
    } catch {
      // The store is away; decisions say so.
    }
  }

  /** Does not wait: where Redis is away, nobody has to be told. */
  stop(): void {
    if (!this.#timer) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#connection.command(['ZREM', this.#key, this.#id], this.#key).catch(() => {})
  }
}
