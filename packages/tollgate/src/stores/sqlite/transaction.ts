import type { Row, SqlValue, Transaction } from '../sql/database.ts'
import { lostCommit } from '../sql/unavailable.ts'
import { begin, type Session } from './connection.ts'
import { sqliteError } from './errors.ts'
import type { Op, Outcome } from './executor.js'
import { fromSqlite, queryOp } from './values.ts'

interface Sent {
  readonly op: Op
  resolve(rows: Row[]): void
  reject(error: unknown): void
}

/** Queries of one tick travel in one message: BEGIN with the first of them, COMMIT with the last. */
export class SqliteTransaction implements Transaction {
  readonly #session: Session
  readonly #deadline: number
  #queue: Sent[] = []
  /** One message at a time: what follows one that is refused must not be done. */
  #flight: Promise<void> | undefined
  #isBegun = false
  #isOver = false
  #failure: { readonly error: unknown } | undefined

  constructor(session: Session, deadline: number) {
    this.#session = session
    this.#deadline = deadline
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    if (this.#isOver) return Promise.reject(new Error('the transaction is over; await its queries inside it'))
    try {
      return this.#push(queryOp(sql, params))
    } catch (error) {
      this.#fail(error)
      return this.#refuse()
    }
  }

  async commit(): Promise<void> {
    this.#isOver = true
    if (this.#failure === undefined && !this.#isBegun && this.#queue.length === 0) return
    await this.#push('commit')
  }

  /** Leaves the session as it was found, whatever is still under way. */
  async rollback(error: unknown): Promise<void> {
    this.#isOver = true
    this.#fail(error)
    await this.#flight
    if (this.#isBegun) await this.#session.send(['rollback'], this.#deadline).catch(() => {})
  }

  #push(op: Op): Promise<Row[]> {
    if (this.#failure !== undefined) return this.#refuse()
    const answer = new Promise<Row[]>((resolve, reject) => {
      this.#queue.push({ op, resolve, reject })
      // After the promises that are ready now, so that a commit that follows at once goes in the same message.
      if (this.#queue.length === 1 && this.#flight === undefined) process.nextTick(() => this.#start())
    })
    // One that nobody awaits fails the commit, not the process.
    answer.catch(() => {})
    return answer
  }

  #refuse(): Promise<never> {
    const refused = Promise.reject(this.#failure!.error)
    refused.catch(() => {})
    return refused
  }

  #start(): void {
    if (this.#flight !== undefined || this.#queue.length === 0) return
    this.#flight = this.#fly(this.#queue.splice(0)).finally(() => {
      this.#flight = undefined
      if (this.#queue.length > 0) process.nextTick(() => this.#start())
    })
  }

  async #fly(batch: readonly Sent[]): Promise<void> {
    const ops = batch.map(({ op }) => op)
    const isLast = ops.at(-1) === 'commit'
    let outcome: Outcome
    try {
      outcome = await this.#send(ops)
    } catch (error) {
      outcome = { rows: [], error: isLast ? lostCommit(error) : error }
    }
    const { rows, error } = outcome
    if (error !== undefined) this.#fail(sqliteError(error))
    // What was refused has been rolled back, and a lost session is not begun either.
    this.#isBegun = !isLast && error === undefined
    batch.forEach((sent, i) => this.#answer(sent, rows[i]))
  }

  #answer({ resolve, reject }: Sent, rows: Row[] | undefined): void {
    if (rows === undefined) return reject(this.#failure!.error)
    try {
      resolve(fromSqlite(rows))
    } catch (error) {
      this.#fail(error)
      reject(error)
    }
  }

  async #send(ops: readonly Op[]): Promise<Outcome> {
    if (this.#isBegun) return await this.#session.send(ops, this.#deadline)
    const { rows, ...rest } = await begin(this.#session, ['begin', ...ops], this.#deadline, () => this.#failure !== undefined)
    return { rows: rows.slice(1), ...rest }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    for (const sent of this.#queue.splice(0)) sent.reject(this.#failure.error)
  }
}
