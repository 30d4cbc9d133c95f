import { createHash, randomBytes } from 'node:crypto'
import { type Database, migrate, type Transaction } from 'tollgate/postgres'
import type { Log } from '../log/log.ts'
import { repeat } from '../repeat.ts'
import { type Change, Current, EMPTY, parseState, type State, type StateStore } from './state.ts'

/** The server's own tables, beside those of the library. */
const TABLES = { tablePrefix: 'server_' }
const TABLE = 'tollgate.server_state'
const SQL = `CREATE TABLE {{state}} (
  name text PRIMARY KEY,
  version bigint NOT NULL,
  body text NOT NULL
);`
const MIGRATIONS = [{ version: 1, name: '0001_state', checksum: createHash('sha256').update(SQL).digest('hex'), sql: SQL }]

/** How soon a process notices what another changed: twice within the second in which a switch has to take effect. */
const POLL_MS = 500

/** State in PostgreSQL, shared by all processes of the database. */
export class DatabaseState implements StateStore {
  readonly #database: Database
  readonly #current: Current
  /** Ends the polling. */
  readonly stop: () => Promise<void>
  #version: number

  private constructor(database: Database, log: Log, version: number, state: State) {
    this.#database = database
    this.#version = version
    this.#current = new Current(state)
    this.stop = repeat(() => this.#poll(), POLL_MS, log, 'reading keys, rollout and clock from the database')
  }

  /** @throws SCHEMA_MISMATCH, STORE_UNAVAILABLE */
  static async open(database: Database, log: Log): Promise<DatabaseState> {
    await migrate(database, { ...TABLES, migrations: MIGRATIONS })
    await make(database, 'state', JSON.stringify(EMPTY))
    const [row] = await database.query(`SELECT version, body FROM ${TABLE} WHERE name = 'state'`)
    return new DatabaseState(database, log, row!['version'] as number, parseState(row!['body'] as string))
  }

  get current(): State {
    return this.#current.state
  }

  async update(change: Change): Promise<void> {
    const [version, next] = await this.#database.transaction(async (tx): Promise<[number, State]> => {
      const [row] = await tx.query(`SELECT version, body FROM ${TABLE} WHERE name = 'state' FOR UPDATE`)
      const before = parseState(row!['body'] as string)
      const after = { ...before, ...change(before) }
      return [await save(tx, (row!['version'] as number) + 1, after), after]
    })
    this.#adopt(version, next)
  }

  onChange(listener: (before: State, after: State) => void): void {
    this.#current.listen(listener)
  }

  /** What keys the digests of contents, the same in all processes; made by the first. */
  async secret(): Promise<string> {
    await make(this.#database, 'secret', randomBytes(32).toString('base64url'))
    const [row] = await this.#database.query(`SELECT body FROM ${TABLE} WHERE name = 'secret'`)
    return row!['body'] as string
  }

  async #poll(): Promise<void> {
    const [row] = await this.#database.query(`SELECT version, body FROM ${TABLE} WHERE name = 'state' AND version > $1`, [this.#version])
    if (row) this.#adopt(row['version'] as number, parseState(row['body'] as string))
  }

  /** The answer to an own change and what a poll finds may come in either order. */
  #adopt(version: number, state: State): void {
    if (version <= this.#version) return
    this.#version = version
    this.#current.set(state)
  }
}

async function make(database: Database, name: string, body: string): Promise<void> {
  await database.query(`INSERT INTO ${TABLE} (name, version, body) VALUES ($1, 1, $2) ON CONFLICT (name) DO NOTHING`, [name, body])
}

async function save(tx: Transaction, version: number, state: State): Promise<number> {
  await tx.query(`UPDATE ${TABLE} SET version = $1, body = $2 WHERE name = 'state'`, [version, JSON.stringify(state)])
  return version
}
