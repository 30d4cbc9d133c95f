// @ts-check
// Runs SQL on a connection of the better-sqlite3 shape. Plain JavaScript, because a worker thread loads it, and Node 20
// does not load TypeScript there: so sources and build run the same file.

/** What is asked of the connection: SQL with `$n` parameters, or a transaction's edge. */
/** @typedef {{ sql: string, params: readonly unknown[] } | 'begin' | 'commit' | 'rollback'} Op */
/** @typedef {Record<string, unknown>[]} Rows */
/** Rows of each operation up to the first that failed, and that failure. */
/** @typedef {{ rows: Rows[], error?: unknown }} Outcome */
/** @typedef {{ reader?: boolean, all(...params: any[]): unknown[], run(...params: any[]): unknown }} Statement */
/** @typedef {{ prepare(sql: string): Statement, exec(sql: string): unknown }} Connection */

const MAX_STATEMENTS = 200

export class Executor {
  /** @type {Connection} */
  #connection
  /** The least recently used first. @type {Map<string, { statement: Statement, order: number[] }>} */
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
    if (typeof op === 'object') return this.#query(op.sql, op.params)
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

  /** @param {string} sql @param {readonly unknown[]} params @returns {Rows} */
  #query(sql, params) {
    const { statement, order } = this.#prepared(sql)
    const values = order.map((index) => {
      if (index >= params.length) throw new RangeError(`$${index + 1} has no value: ${params.length} were given`)
      return toSqlite(params[index])
    })
    if (statement.reader === false) {
      statement.run(values)
      return []
    }
    // node:sqlite has no `reader`, and takes values one by one; libsql would take a single null or blob for a list.
    const rows = /** @type {Rows} */ (statement.reader === undefined ? statement.all(...values) : statement.all(values))
    for (const row of rows) for (const name in row) row[name] = fromSqlite(row[name], name)
    return rows
  }

  /** @param {string} sql */
  #prepared(sql) {
    let prepared = this.#statements.get(sql)
    if (prepared === undefined) {
      const { text, order } = positional(sql)
      prepared = { statement: this.#connection.prepare(text), order }
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.delete(/** @type {string} */ (this.#statements.keys().next().value))
    } else this.#statements.delete(sql)
    this.#statements.set(sql, prepared)
    return prepared
  }
}

// Strings, quoted names and comments are stepped over; `$1` in them is text.
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$(\d+)/g

/**
 * `$2, $1, $2` as `?, ?, ?` and the order 1, 0, 1: the one form of parameters that all drivers know.
 * @param {string} sql
 * @returns {{ text: string, order: number[] }}
 */
export function positional(sql) {
  /** @type {number[]} */
  const order = []
  const text = sql.replace(TOKEN, (token, digits) => {
    if (digits === undefined) return token
    order.push(Number(digits) - 1)
    return '?'
  })
  return { text, order }
}

/**
 * Integers go as bigint: the drivers would bind a number as a floating-point value. Anything that is not named here is
 * refused, since libsql ends the process on a type that it does not know.
 * @param {unknown} value
 */
function toSqlite(value) {
  switch (typeof value) {
    case 'string':
    case 'bigint':
      return value
    case 'number':
      return Number.isSafeInteger(value) ? BigInt(value) : value
    case 'boolean':
      return value ? 1n : 0n
    case 'undefined':
      return null
    case 'object':
      if (value === null || value instanceof Uint8Array) return value
      return JSON.stringify(value)
    default:
      throw new TypeError(`a ${typeof value} is not a value of SQL`)
  }
}

/** @param {unknown} value @param {string} column */
function fromSqlite(value, column) {
  if (typeof value === 'bigint') value = Number(value)
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new RangeError(`column '${column}' holds ${value}, beyond 2^53: it cannot be told exactly`)
  }
  // libsql gives blobs as ArrayBuffer.
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value
}
