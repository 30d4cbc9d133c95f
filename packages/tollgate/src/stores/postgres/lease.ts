import { unavailable } from '../sql/unavailable.ts'
import { channel, type Send } from './channel.ts'
import { type Answer, isPg, type PostgresClient } from './client.ts'
import { isLost, postgresError } from './errors.ts'
import type { Statements } from './statements.ts'

/** A client on loan from the pool. When it is lost, or its time is up, every wait on it ends at once. */
export class Lease {
  readonly #client: PostgresClient
  readonly #send: Send
  readonly #timer: NodeJS.Timeout
  readonly #onError = (error: Error): void => this.#lose(error)
  #broken: unknown
  #spoiled: unknown
  #reject!: (error: unknown) => void
  /** Rejects when the connection is lost. */
  readonly lost = new Promise<never>((_, reject) => (this.#reject = reject))

  constructor(client: PostgresClient, statements: Statements, timeoutMs: number) {
    this.#client = client
    this.#send = channel(client, statements)
    this.lost.catch(() => {})
    // The pool does not listen while a client is out: unheard, an error would end the process.
    client.on?.('error', this.#onError)
    this.#timer = setTimeout(() => this.#lose(unavailable(`PostgreSQL did not finish within ${timeoutMs} ms`)), timeoutMs)
  }

  get isLost(): boolean {
    return this.#broken !== undefined
  }

  /** @throws STORE_UNAVAILABLE, or what the server refused */
  async send(sql: string, values?: unknown[]): Promise<Answer> {
    if (this.isLost) throw this.#broken
    try {
      return await Promise.race([this.#send(sql, values), this.lost])
    } catch (error) {
      if (isLost(error)) this.#lose(error)
      throw postgresError(error)
    }
  }

  /** Nobody shall use the client after us. */
  spoil(reason: unknown): void {
    this.#spoiled ??= reason
  }

  /** Back to the pool; out of it when it is lost or spoiled. */
  release(): void {
    clearTimeout(this.#timer)
    const reason = this.#broken ?? this.#spoiled
    if (reason === undefined) {
      this.#client.release()
      // Now that the pool listens again.
      this.#client.removeListener?.('error', this.#onError)
      return
    }
    this.#client.release(reason instanceof Error ? reason : true)
    // Its queries will not be answered: without this, closing it would wait for them.
    if (this.isLost && isPg(this.#client)) this.#client.connection?.stream?.destroy()
  }

  #lose(error: unknown): void {
    this.#broken ??= postgresError(error)
    this.#reject(this.#broken)
  }
}
