import type { RedisConnection } from './client.ts'
import type { Layout } from './layout.ts'

/** A batch of 64 holds Redis for about 0.3 ms, one of 256 for a whole one. */
const MAX_BATCH = 64
/** So many are worth two calls. */
const WORTH_TWO = 8

/** One request on its way: its part of the keys and arguments of `lua/decide.lua`. */
export interface Asked {
  readonly keys: readonly string[]
  readonly args: readonly string[]
  /** Of its subject: what is asked together of a cluster is in one slot. */
  readonly partition: number
}

interface Waiting {
  readonly asked: Asked
  resolve(reply: Buffer): void
  reject(error: unknown): void
}

/**
 * Requests that come in the same turn of the event loop and share a layout go to Redis in one call or two, each with its
 * own answer. Nothing waits for more to come: a request that is alone goes alone.
 */
export class DecisionBatches {
  readonly #connection: RedisConnection
  readonly #waiting = new Map<string, { layout: Layout; requests: Waiting[] }>()
  #isScheduled = false
  /** Calls that Redis has not answered. */
  #underWay = 0

  constructor(connection: RedisConnection) {
    this.#connection = connection
  }

  ask(layout: Layout, asked: Asked): Promise<Buffer> {
    // Its data are its own.
    if (layout.data !== undefined) return this.#send(layout, [{ asked }]).then(([reply]) => reply!)
    return new Promise((resolve, reject) => {
      const group = this.#connection.isCluster ? `${layout.sha}${asked.partition}` : layout.sha
      const found = this.#waiting.get(group)
      const request: Waiting = { asked, resolve, reject }
      if (found) found.requests.push(request)
      else this.#waiting.set(group, { layout, requests: [request] })
      if (this.#isScheduled) return
      this.#isScheduled = true
      // After the promises of this turn: all that they ask for is there then.
      process.nextTick(() => this.#flush())
    })
  }

  #flush(): void {
    this.#isScheduled = false
    const groups = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { layout, requests } of groups) {
      // Where Redis has nothing to do, whoever waits for one call asks again in one, and so the two would take turns. In two
      // halves, Redis decides one while this process hears of the other.
      const isHalved = this.#underWay === 0 && requests.length >= WORTH_TWO
      const size = Math.min(MAX_BATCH, isHalved ? Math.ceil(requests.length / 2) : requests.length)
      for (let from = 0; from < requests.length; from += size) void this.#answer(layout, requests.slice(from, from + size))
    }
  }

  async #answer(layout: Layout, requests: readonly Waiting[]): Promise<void> {
    this.#underWay++
    try {
      const replies = await this.#send(layout, requests).finally(() => this.#underWay--)
      requests.forEach(({ resolve }, i) => resolve(replies[i]!))
    } catch (error) {
      for (const { reject } of requests) reject(error)
    }
  }

  async #send(layout: Layout, requests: readonly Pick<Waiting, 'asked'>[]): Promise<Buffer[]> {
    const keys: string[] = []
    const args: string[] = []
    for (const { asked } of requests) {
      for (const key of asked.keys) keys.push(key)
      for (const arg of asked.args) args.push(arg)
    }
    if (layout.data !== undefined) args.push(layout.data)
    const replies = (await this.#connection.run(layout, keys, args)) as Buffer | Buffer[]
    return Array.isArray(replies) ? replies : [replies]
  }
}
