import type { Dialect, Row, Transaction } from '../database.ts'
import { clockOf, deleteFirst, isOneOf, recordset } from '../recordset.ts'
import { type TableOptions, tableNames } from '../tables.ts'
import type { Wanted } from './commands.ts'
import type { Changes, Loaded } from './rows.ts'

const COUNTER = { subject: 'text', cell: 'text', body: 'text', expires_at: 'bigint' } as const
const RESERVATION = { id: 'text', subject: 'text', cells: 'text', body: 'text', is_standing: 'bigint', forget_at: 'bigint' } as const

/** The store's SQL. A batch is one statement to lock, one to load, and one for each table that it writes. */
export class CounterTables {
  readonly #dialect: Dialect
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(dialect: Dialect, options: TableOptions) {
    this.#dialect = dialect
    this.#sql = statementsFor(dialect, options)
  }

  /**
   * Takes the subjects for this transaction: PostgreSQL cannot lock a row that does not exist yet. Its table of locks
   * has room for 6,400 by default: 32 processes, each with two batches of a hundred subjects under way. SQLite's
   * transaction has locked the file.
   * @returns the subjects that are locked, those of the reservations included.
   */
  async lock(tx: Transaction, { locks, reservations }: Wanted): Promise<Set<string> | undefined> {
    if (this.#dialect === 'sqlite') return undefined
    const rows = await (reservations.size === 0 ? tx.query(this.#sql.lock, [[...locks]]) : tx.query(this.#sql.lockWithReservations, [[...locks], [...reservations]]))
    return new Set(rows.map(({ subject }) => subject as string))
  }

  /** One statement, which sees all of it at one instant, and reads the clock: after the locks that went before it. */
  async load(from: Pick<Transaction, 'query'>, wanted: Wanted): Promise<Loaded> {
    const parts: string[] = []
    const params: string[] = []
    const add = (list: readonly unknown[], ...makePart: ((parameter: string) => string)[]): void => {
      if (list.length === 0) return
      params.push(JSON.stringify(list))
      parts.push(...makePart.map((make) => make(`$${params.length}`)))
    }
    const { cells, limits, reservations, standing } = this.#sql.load
    add(wanted.cells, cells)
    add(wanted.limits, limits)
    add([...wanted.reservations].map((id) => ({ id })), reservations, this.#sql.load.theirCells)
    add([...wanted.standing].map((subject) => ({ subject })), standing)
    return loaded(await from.query([this.#sql.load.clock, ...parts].join(' UNION ALL '), params))
  }

  /** Travels with the commit. */
  save(tx: Transaction, { counters, reservations, cleared, erased }: Changes): void {
    for (const { subject, prefix } of cleared) void tx.query(this.#sql.clear, [subject, prefix])
    for (const subject of erased) void tx.query(this.#sql.eraseReservations, [subject])
    if (counters.length > 0) void tx.query(this.#sql.saveCounters, [JSON.stringify(counters)])
    if (reservations.length > 0) void tx.query(this.#sql.saveReservations, [JSON.stringify(reservations)])
  }

  /** Deletes rows that say nothing any more, in the order of their time. */
  tidy(tx: Transaction, now: number, limit: number): void {
    void tx.query(this.#sql.tidyCounters, [now, limit])
    void tx.query(this.#sql.tidyReservations, [now, limit])
  }
}

function loaded(rows: readonly Row[]): Loaded {
  const of = <T>(table: string): T[] => rows.filter((row) => row['source'] === table).map(({ subject, key, body }) => ({ subject, [table === 'cell' ? 'cell' : 'id']: key, body })) as T[]
  return { at: rows[0]!['at'] as number, counters: of('cell'), reservations: of('reservation') }
}

function statementsFor(dialect: Dialect, options: TableOptions) {
  const name = tableNames(dialect, options)
  const counters = name('counters')
  const reservations = name('reservations')
  const isPostgres = dialect === 'postgres'
  const [text, bigint] = isPostgres ? ['::text', '::bigint'] : ['', '']
  const columns = (source: string, table: string, key: string): string => `SELECT '${source}', ${table}.subject, ${table}.${key}, ${table}.body, NULL${bigint}`
  /**
   * Rows found by key for each row before. PostgreSQL must not take a table that is small today for one to read as a
   * whole, in a plan that it keeps: so the rows of one key are a query of their own. SQLite has no other way to join.
   */
  const lookup = (table: string, alias: string, where: string, only: 'one' | 'all' = 'one'): string =>
    isPostgres ? `CROSS JOIN LATERAL (SELECT * FROM ${table} AS ${alias} WHERE ${where} ${only === 'one' ? 'LIMIT 1' : 'OFFSET 0'}) AS ${alias}` : `CROSS JOIN ${table} AS ${alias} ON ${where}`
  const items = (json: string): string => (isPostgres ? `CROSS JOIN LATERAL jsonb_array_elements_text(${json}::jsonb) AS i(value)` : `CROSS JOIN json_each(${json}) AS i`)
  const ids = (parameter: string): string => recordset(dialect, parameter, { id: 'text' })
  const lock = (subjects: string): string =>
    `SELECT subject, pg_advisory_xact_lock(hashtextextended(subject, ${LOCK_SEED})) FROM (SELECT subject FROM (${subjects}) AS asked ORDER BY hashtextextended(subject, ${LOCK_SEED})) AS ordered`
  return {
    // In one order, so that nobody waits for who waits for them; a subject whose hash another has waits without need.
    lock: lock('SELECT unnest($1::text[]) AS subject'),
    lockWithReservations: lock(`SELECT unnest($1::text[]) AS subject UNION SELECT subject FROM ${reservations} WHERE ${isOneOf(dialect, 'id', '$2', 'text')}`),
    load: {
      clock: `SELECT 'clock' AS source, NULL${text} AS subject, NULL${text} AS key, NULL${text} AS body, ${clockOf(dialect)} AS at`,
      cells: (p: string) => `${columns('cell', 'c', 'cell')} FROM ${recordset(dialect, p, { subject: 'text', cell: 'text' })} ${lookup(counters, 'c', 'c.subject = r.subject AND c.cell = r.cell')}`,
      limits: (p: string) => `${columns('cell', 'c', 'cell')} FROM ${recordset(dialect, p, { subject: 'text', prefix: 'text' })} ${lookup(counters, 'c', 'c.subject = r.subject AND substr(c.cell, 1, length(r.prefix)) = r.prefix', 'all')}`,
      reservations: (p: string) => `${columns('reservation', 'v', 'id')} FROM ${ids(p)} ${lookup(reservations, 'v', 'v.id = r.id')}`,
      theirCells: (p: string) => `${columns('cell', 'c', 'cell')} FROM ${ids(p)} ${lookup(reservations, 'v', 'v.id = r.id')} ${items('v.cells')} ${lookup(counters, 'c', 'c.subject = v.subject AND c.cell = i.value')}`,
      standing: (p: string) => `${columns('reservation', 'v', 'id')} FROM ${recordset(dialect, p, { subject: 'text' })} ${lookup(reservations, 'v', 'v.subject = r.subject AND v.is_standing = 1', 'all')}`,
    },
    saveCounters: upsert(counters, ['subject', 'cell'], dialect, COUNTER),
    saveReservations: upsert(reservations, ['id'], dialect, RESERVATION),
    clear: `DELETE FROM ${counters} WHERE subject = $1 AND substr(cell, 1, length($2${text})) = $2`,
    eraseReservations: `DELETE FROM ${reservations} WHERE subject = $1`,
    tidyCounters: deleteFirst(dialect, counters, `expires_at <= $1${bigint}`, 'expires_at', '$2'),
    tidyReservations: deleteFirst(dialect, reservations, `forget_at <= $1${bigint}`, 'forget_at', '$2'),
  }
}

/** Advisory locks are the whole database's: this makes them the counters'. */
const LOCK_SEED = 7_300_001

function upsert(table: string, key: readonly string[], dialect: Dialect, columns: Readonly<Record<string, 'text' | 'bigint'>>): string {
  const names = Object.keys(columns)
  const updates = names.filter((column) => !key.includes(column)).map((column) => `${column} = excluded.${column}`)
  // SQLite would take ON for a part of the join.
  return `INSERT INTO ${table} (${names.join(', ')}) SELECT ${names.map((column) => `r.${column}`).join(', ')} FROM ${recordset(dialect, '$1', columns)} WHERE true ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${updates.join(', ')}`
}
