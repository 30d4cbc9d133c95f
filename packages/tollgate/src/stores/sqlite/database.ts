import type { Database, Row, SqlValue, Transaction, TransactionOptions } from '../sql/database.ts'
import { unavailable } from '../sql/unavailable.ts'
import { sqliteError } from './errors.ts'
import type { Op, Outcome } from './executor.js'
import { Turns } from './turns.ts'

/** The connection, in this thread or another. Rejects when it is lost, with STORE_UNAVAILABLE. */
export interface Connection {
  send(ops: readonly Op[], timeoutMs: number): Promise<Outcome>
  close(): Promise<void>
}

export interface SqliteLimits {
  /** What a transaction may wait for its turn, and may then take. Default 5000. */
  timeoutMs?: number
  /** Transactions that wait for their turn. Default 1000. */
  maxWaiting?: number
}

export class SqliteDatabase implements Database {
  readonly dialect = 'sqlite'
  readonly #connection: Connection
  readonly #turns: Turns
  readonly #timeoutMs: number
  #closing: Promise<void> | undefined

  constructor(connection: Connection, { timeoutMs = 5000, maxWaiting = 1000 }: SqliteLimits = {}) {
    this.#connection = connection
    this.#turns = new Turns(maxWaiting)
    this.#timeoutMs = timeoutMs
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#turns.run(this.#timeoutMs, async () => {
      const { rows, error } = await this.#connection.send([{ sql, params }], this.#timeoutMs)
      if (error !== undefined) throw sqliteError(error)
      return rows[0]!
    })
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>, { timeoutMs = this.#timeoutMs }: TransactionOptions = {}): Promise<T> {
    return this.#turns.run(timeoutMs, () => run(this.#connection, work, timeoutMs))
  }

  close(): Promise<void> {
    this.#closing ??= this.#turns.close(() => this.#connection.close())
    return this.#closing
  }
}

async function run<T>(connection: Connection, work: (tx: Transaction) => Promise<T>, timeoutMs: number): Promise<T> {
  const tx = new SqliteTransaction(connection, timeoutMs)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable(`a transaction took more than ${timeoutMs} ms and was rolled back`)), timeoutMs)
  })
  try {
    const value = await Promise.race([work(tx), late])
    await tx.commit()
    return value
  } catch (error) {
    await tx.rollback(error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}

interface Sent {
  readonly op: Op
  resolve(rows: Row[]): void
  reject(error: unknown): void
}

/** Queries of one tick travel in one message: BEGIN with the first of them, COMMIT with the last. */
class SqliteTransaction implements Transaction {
  readonly #connection: Connection
  readonly #timeoutMs: number
  #queue: Sent[] = []
  #flight: Promise<void> | undefined
  #isBegun = false
  #isOver = false
  #failure: { error: unknown } | undefined

  constructor(connection: Connection, timeoutMs: number) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    if (this.#isOver) return Promise.reject(new Error('the transaction is over; await its queries inside it'))
    // The caller's array may change before it is sent.
    return this.#push({ sql, params: [...params] })
  }

  async commit(): Promise<void> {
    this.#isOver = true
    if (this.#failure === undefined && !this.#isBegun && this.#queue.length === 0) return
    await this.#push('commit')
  }

  /** Leaves the connection as it was found, whatever is still under way. */
  async rollback(error: unknown): Promise<void> {
    this.#isOver = true
    this.#fail(error)
    await this.#flight
    if (this.#isBegun) await this.#connection.send(['rollback'], this.#timeoutMs).catch(() => {})
  }

  #push(op: Op): Promise<Row[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    const answer = new Promise<Row[]>((resolve, reject) => {
      this.#queue.push({ op, resolve, reject })
      // After the promises that are ready now, so that a commit that follows at once goes in the same message.
      if (this.#queue.length === 1 && this.#flight === undefined) process.nextTick(() => this.#start())
    })
    // One that nobody awaits fails the commit, not the process.
    answer.catch(() => {})
    return answer
  }

  #start(): void {
    if (this.#flight !== undefined || this.#queue.length === 0) return
    this.#flight = this.#send(this.#queue.splice(0)).finally(() => {
      this.#flight = undefined
      this.#start()
    })
  }

  async #send(batch: Sent[]): Promise<void> {
    const ops = batch.map(({ op }) => op)
    const first = this.#isBegun ? 0 : 1
    if (first === 1) ops.unshift('begin')
    this.#isBegun = true
    try {
      const { rows, error } = await this.#connection.send(ops, this.#timeoutMs)
      if (error !== undefined) {
        // The executor has rolled back.
        this.#isBegun = false
        this.#fail(sqliteError(error))
      }
      batch.forEach((sent, i) => {
        const answer = rows[i + first]
        if (answer === undefined) sent.reject(this.#failure!.error)
        else sent.resolve(answer)
      })
    } catch (error) {
      const lost = ops.at(-1) === 'commit' ? unavailable('the SQLite worker was lost', { cause: error, mayBeWritten: true }) : error
      this.#isBegun = false
      this.#fail(lost)
      for (const sent of batch) sent.reject(lost)
    }
    if (ops.at(-1) === 'commit') this.#isBegun = false
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    for (const sent of this.#queue.splice(0)) sent.reject(this.#failure.error)
  }
}
