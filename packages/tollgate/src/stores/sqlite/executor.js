// @ts-check
// Runs SQL on a connection of the better-sqlite3 shape. Plain JavaScript, because a worker thread loads it, and Node 20
// does not load TypeScript there: so sources and build run the same file.

/** What is asked of the connection: a query, or a transaction's edge. */
/** @typedef {{ sql: string, values: readonly unknown[] } | 'begin' | 'commit' | 'rollback'} Op */
/** @typedef {Record<string, unknown>[]} Rows */
/** Rows of each operation up to the first that failed, and that failure. */
/** @typedef {{ rows: Rows[], error?: unknown }} Outcome */
/** @typedef {{ reader?: boolean, all(...params: any[]): unknown[], run(...params: any[]): unknown }} Statement */
/** @typedef {{ prepare(sql: string): Statement, exec(sql: string): unknown }} Connection */

const MAX_STATEMENTS = 200

export class Executor {
  /** @type {Connection} */
  #connection
  /** The least recently used first. @type {Map<string, Statement>} */
  #statements = new Map()
  #isOpen = false

  /** @param {Connection} connection */
  constructor(connection) {
    this.#connection = connection
  }

  /**
   * In order, until one fails. Then nothing of the transaction stays, whichever it was: a failed COMMIT (no space left)
   * would leave it open.
   * @param {readonly Op[]} ops
   * @returns {Outcome}
   */
  run(ops) {
    /** @type {Rows[]} */
    const rows = []
    try {
      for (const op of ops) rows.push(this.#one(op))
      return { rows }
    } catch (error) {
      this.#rollback()
      return { rows, error }
    }
  }

  /** @param {Op} op @returns {Rows} */
  #one(op) {
    if (typeof op === 'object') return this.#query(op.sql, op.values)
    if (op === 'rollback') this.#rollback()
    else if (op === 'begin') {
      // IMMEDIATE: a transaction that reads first and is refused the write lock later could not go on.
      this.#connection.exec('BEGIN IMMEDIATE')
      this.#isOpen = true
    } else {
      this.#connection.exec('COMMIT')
      this.#isOpen = false
    }
    return []
  }

  #rollback() {
    if (!this.#isOpen) return
    this.#isOpen = false
    try {
      this.#connection.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back by itself (disk full, for example).
    }
  }

  /** @param {string} sql @param {readonly unknown[]} values @returns {Rows} */
  #query(sql, values) {
    const statement = this.#prepared(sql)
    if (statement.reader === false) {
      statement.run(values)
      return []
    }
    // node:sqlite has no `reader`, and takes values one by one; libsql would take a single null or blob for a list.
    return /** @type {Rows} */ (statement.reader === undefined ? statement.all(...values) : statement.all(values))
  }

  /** @param {string} sql */
  #prepared(sql) {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#connection.prepare(sql)
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.delete(/** @type {string} */ (this.#statements.keys().next().value))
    } else this.#statements.delete(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}
