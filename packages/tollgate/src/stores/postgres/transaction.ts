import type { Row, SqlValue, Transaction } from '../sql/database.ts'
import { READS } from '../sql/reads.ts'
import { lostCommit, unavailable } from '../sql/unavailable.ts'
import type { Answer } from './client.ts'
import type { Lease } from './lease.ts'
import { toPostgres } from './values.ts'

interface Failure {
  readonly error: unknown
  /** Else it is the connection that was lost, and nobody knows what the server has done. */
  readonly isRefusal: boolean
}

/**
 * BEGIN is not waited for by reads: it travels with the first of them, and writes without an answer travel with COMMIT.
 * The first write waits for BEGIN's answer, which has come by then if anything was read: a BEGIN that was cancelled
 * would leave the writes behind it to commit one by one.
 */
export class PostgresTransaction implements Transaction {
  readonly #lease: Lease
  readonly #settings: string
  #isSent = false
  #isBegun = false
  #isOver = false
  /** In order, until BEGIN is answered. */
  readonly #held: (() => void)[] = []
  #failure: Failure | undefined

  /** `settings` are statements that go with BEGIN. */
  constructor(lease: Lease, settings = '') {
    this.#lease = lease
    this.#settings = settings
  }

  /** The first that failed: the cause of what failed after it. */
  get failure(): Failure | undefined {
    return this.#failure
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    const rows = this.#query(sql, params)
    // One that nobody awaits fails the commit, not the process.
    rows.catch(() => {})
    return rows
  }

  async commit(): Promise<void> {
    this.#isOver = true
    this.#check()
    if (!this.#isSent) return
    let answer: Answer
    try {
      answer = await this.#send('COMMIT', [], true)
    } catch (error) {
      if (this.failure?.isRefusal === true || !this.#lease.isLost) this.#check()
      throw lostCommit(error)
    }
    this.#check()
    if (answer.command === 'ROLLBACK') throw unavailable('PostgreSQL answered COMMIT with ROLLBACK; nothing was written')
  }

  /** Resolves when the client can be used again; rejects when it cannot. */
  async rollback(): Promise<void> {
    this.#isOver = true
    this.#fail(new Error('the transaction was rolled back'))
    if (this.#isSent) await this.#lease.send('ROLLBACK')
  }

  async #query(sql: string, params: readonly SqlValue[]): Promise<Row[]> {
    if (this.#isOver) throw new Error('the transaction is over; await its queries inside it')
    try {
      return (await this.#send(sql, toPostgres(params), READS.test(sql))).rows
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #send(sql: string, values: unknown[], mayGoFirst: boolean): Promise<Answer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    this.#begin()
    const answer =
      this.#isBegun || (mayGoFirst && this.#held.length === 0)
        ? this.#lease.send(sql, values)
        : new Promise<Answer>((resolve, reject) => {
            this.#held.push(() => (this.#failure === undefined ? resolve(this.#lease.send(sql, values)) : reject(this.#failure.error)))
          })
    answer.catch((error: unknown) => this.#fail(error))
    return answer
  }

  #begin(): void {
    if (this.#isSent) return
    this.#isSent = true
    const go = () => {
      this.#isBegun = true
      for (const send of this.#held.splice(0)) send()
    }
    this.#lease.send(`BEGIN${this.#settings}`).then(go, (error: unknown) => {
      this.#fail(error)
      go()
    })
  }

  #fail(error: unknown): void {
    this.#failure ??= { error, isRefusal: !this.#lease.isLost }
  }
}
