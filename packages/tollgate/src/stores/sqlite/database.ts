import type { Database, Row, SqlValue, Transaction, TransactionOptions } from '../sql/database.ts'
import { checkLimits } from '../sql/limits.ts'
import { READS } from '../sql/reads.ts'
import { lostCommit, unavailable } from '../sql/unavailable.ts'
import { begin, type Connection, type Session } from './connection.ts'
import { sqliteError } from './errors.ts'
import { SqliteTransaction } from './transaction.ts'
import { Turns } from './turns.ts'
import { fromSqlite, queryOp } from './values.ts'

export interface SqliteLimits {
  /** What a call may wait for its turn, and may then take. Default 5000. */
  timeoutMs?: number
  /** Calls that wait for their turn. Default 1000. */
  maxWaiting?: number
}

export class SqliteDatabase implements Database {
  readonly dialect = 'sqlite'
  readonly #connection: Connection
  readonly #turns: Turns
  readonly #timeoutMs: number
  #closing: Promise<void> | undefined

  constructor(connection: Connection, { timeoutMs = 5000, maxWaiting = 1000 }: SqliteLimits = {}) {
    checkLimits({ timeoutMs, maxWaiting })
    this.#connection = connection
    this.#turns = new Turns(maxWaiting)
    this.#timeoutMs = timeoutMs
  }

  async query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    const op = queryOp(sql, params)
    return await this.#turns.run(this.#timeoutMs, async () => {
      const { rows, error } = await begin(this.#connection.session(), [op], performance.now() + this.#timeoutMs).catch((lost: unknown) => {
        throw READS.test(sql) ? lost : lostCommit(lost)
      })
      if (error !== undefined) throw sqliteError(error)
      return fromSqlite(rows[0]!)
    })
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>, { timeoutMs = this.#timeoutMs }: TransactionOptions = {}): Promise<T> {
    return this.#turns.run(timeoutMs, () => run(this.#connection.session(), work, timeoutMs))
  }

  close(): Promise<void> {
    this.#closing ??= this.#turns.close(() => this.#connection.close())
    return this.#closing
  }
}

async function run<T>(session: Session, work: (tx: Transaction) => Promise<T>, timeoutMs: number): Promise<T> {
  const tx = new SqliteTransaction(session, performance.now() + timeoutMs)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable(`a transaction took more than ${timeoutMs} ms and was rolled back`)), timeoutMs)
  })
  try {
    // Not at once: its first queries go together only when they are asked for in a promise's turn.
    const value = await Promise.race([Promise.resolve(tx).then(work), late])
    await tx.commit()
    return value
  } catch (error) {
    await tx.rollback(error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}
