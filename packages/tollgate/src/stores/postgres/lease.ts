import { unavailable } from '../sql/unavailable.ts'
import { channel, type Send } from './channel.ts'
import { type Answer, isPg, type PostgresClient } from './client.ts'
import { isLost } from './errors.ts'
import type { Statements } from './statements.ts'

/** A client on loan from the pool. When it is lost, or its time is up, every wait on it ends at once. */
export class Lease {
  readonly #client: PostgresClient
  readonly #send: Send
  readonly #timer: NodeJS.Timeout
  readonly #onError = (error: Error) => this.#lose(error)
  /** Rejects when the connection is lost. */
  readonly lost: Promise<never>
  #reject!: (error: unknown) => void
  #broken: Error | undefined

  constructor(client: PostgresClient, statements: Statements, timeoutMs: number) {
    this.#client = client
    this.#send = channel(client, statements)
    this.lost = new Promise((_, reject) => (this.#reject = reject))
    this.lost.catch(() => {})
    // The pool does not listen while a client is out: without this an error would end the process.
    client.on?.('error', this.#onError)
    this.#timer = setTimeout(() => this.#lose(unavailable(`PostgreSQL did not finish within ${timeoutMs} ms`)), timeoutMs)
  }

  async send(sql: string, values?: unknown[]): Promise<Answer> {
    if (this.#broken !== undefined) throw this.#broken
    try {
      return await Promise.race([this.#send(sql, values), this.lost])
    } catch (error) {
      if (isLost(error)) this.#lose(error as Error)
      throw error
    }
  }

  /** Back to the pool; dropped by it when it is broken. */
  release(broken: Error | undefined = this.#broken): void {
    clearTimeout(this.#timer)
    if (broken === undefined) this.#client.release()
    else {
      this.#client.release(broken)
      // Its queries will not be answered: without this, closing it would wait for them.
      if (isPg(this.#client)) this.#client.connection?.stream?.destroy()
    }
    // After the pool listens again.
    if (broken === undefined) this.#client.removeListener?.('error', this.#onError)
  }

  #lose(error: Error): void {
    this.#broken ??= error
    this.#reject(this.#broken)
  }
}
