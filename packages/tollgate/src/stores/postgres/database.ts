import { TollgateError } from '../../errors/index.ts'
import type { Database, Row, SqlValue, Transaction, TransactionOptions } from '../sql/database.ts'
import { checkLimits } from '../sql/limits.ts'
import { READS } from '../sql/reads.ts'
import { closed, lostCommit, messageOf, unavailable } from '../sql/unavailable.ts'
import type { PostgresClient, PostgresPool } from './client.ts'
import { isConflict, isStaleStatement } from './errors.ts'
import { Lease } from './lease.ts'
import { Statements } from './statements.ts'
import { PostgresTransaction } from './transaction.ts'
import { toPostgres } from './values.ts'

export interface PostgresLimits {
  /** What a call waits for a connection. Default 1000. */
  connectTimeoutMs?: number
  /** Calls that wait for a connection. Default 1000. */
  maxWaiting?: number
  /** What one attempt of a transaction may take in all. Default 6000, a second more than a statement. */
  timeoutMs?: number
  /**
   * Keep statements that are used again prepared; turns itself off behind a proxy that forgets them. Default true by URL,
   * false for a pool of your own: a plan that is kept needs `enable_seqscan = off`, or it may be one of when tables were empty.
   */
  prepare?: boolean
}

export class PostgresDatabase implements Database {
  readonly dialect = 'postgres'
  readonly #pool: PostgresPool
  readonly #end: (() => Promise<unknown>) | undefined
  readonly #statements: Statements
  readonly #limits: Required<Omit<PostgresLimits, 'prepare'>>
  readonly #underWay = new Set<Promise<unknown>>()
  #waiting = 0
  #closing: Promise<void> | undefined

  /** `end` closes the pool, where it is ours. */
  constructor(pool: PostgresPool, { connectTimeoutMs = 1000, maxWaiting = 1000, timeoutMs = 6000, prepare = false }: PostgresLimits = {}, end?: () => Promise<unknown>) {
    checkLimits({ connectTimeoutMs, maxWaiting, timeoutMs })
    this.#pool = pool
    this.#end = end
    this.#statements = new Statements(prepare)
    this.#limits = { connectTimeoutMs, maxWaiting, timeoutMs }
    // A connection that dies in the pool is replaced; unheard, its error would end the process.
    pool.on?.('error', () => {})
    // From when the pool stops listening to one that it hands out until whoever gets it listens, nobody would.
    const heard = new WeakSet<PostgresClient>()
    pool.on?.('acquire', (client) => {
      if (heard.has(client)) return
      heard.add(client)
      client.on?.('error', () => {})
    })
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#track(async () => {
      const values = toPostgres(params)
      return await this.#attempts(this.#limits.timeoutMs, async (lease) => {
        try {
          return (await lease.send(sql, values)).rows
        } catch (error) {
          throw lease.isLost && !READS.test(sql) ? lostCommit(error) : error
        }
      })
    })
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const { timeoutMs } = options
    // The server's own deadlines are for requests.
    const settings = timeoutMs === undefined ? '' : ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'].map((name) => `; SET LOCAL ${name} = ${Math.ceil(timeoutMs)}`).join('')
    return this.#track(() => this.#attempts(timeoutMs ?? this.#limits.timeoutMs, (lease) => run(lease, settings, work)))
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#underWay).then(async () => {
      await this.#end?.()
    })
    return this.#closing
  }

  async #track<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw closed()
    const promise = call()
    this.#underWay.add(promise)
    try {
      return await promise
    } finally {
      this.#underWay.delete(promise)
    }
  }

  async #attempts<T>(timeoutMs: number, attempt: (lease: Lease) => Promise<T>): Promise<T> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const lease = new Lease(await this.#connect(), this.#statements, timeoutMs)
      try {
        const value = await attempt(lease)
        lease.release()
        return value
      } catch (error) {
        const isStale = isStaleStatement(error)
        // The connection keeps what it has prepared; another has not.
        if (isStale) lease.spoil(error)
        lease.release()
        if (!isStale && !isConflict(error)) throw error
        if (performance.now() >= deadline) throw unavailable(`PostgreSQL: lost against other transactions for ${timeoutMs} ms (${messageOf(error)})`, { cause: error })
        if (isStale) this.#statements.found(error)
        // Apart, so that the same two do not meet again.
        else await new Promise((resolve) => setTimeout(resolve, Math.random() * 50))
      }
    }
  }

  async #connect(): Promise<PostgresClient> {
    const { connectTimeoutMs, maxWaiting } = this.#limits
    if (this.#waiting >= maxWaiting) throw new TollgateError('OVERLOADED', `${maxWaiting} calls wait for a PostgreSQL connection already; slow down, or raise 'maxWaiting'`, { retryAfterMs: 1000 })
    this.#waiting++
    try {
      return await inTime(this.#pool.connect(), connectTimeoutMs)
    } catch (error) {
      // A wrong password too: whoever asks for a decision can only be told that there is none.
      throw TollgateError.isInstance(error) ? error : unavailable(`PostgreSQL: ${messageOf(error)}`, { cause: error })
    } finally {
      this.#waiting--
    }
  }
}

async function run<T>(lease: Lease, settings: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const tx = new PostgresTransaction(lease, settings)
  try {
    const value = await Promise.race([work(tx), lease.lost])
    await tx.commit()
    return value
  } catch (error) {
    const reason = tx.failure?.error
    // Else the next transaction on this client would be a part of this one.
    await tx.rollback().catch((unrolled: unknown) => lease.spoil(unrolled))
    throw isConflict(reason) || isStaleStatement(reason) ? reason : error
  }
}

function inTime(connecting: Promise<PostgresClient>, timeoutMs: number): Promise<PostgresClient> {
  return new Promise((resolve, reject) => {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      reject(unavailable(`PostgreSQL gave no connection within ${timeoutMs} ms`))
    }, timeoutMs)
    connecting.then(
      (client) => {
        clearTimeout(timer)
        if (isLate) client.release()
        else resolve(client)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error as Error)
      },
    )
  })
}
