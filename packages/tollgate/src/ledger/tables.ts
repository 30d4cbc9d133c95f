import type { Database, Dialect, Row, Transaction } from '../stores/sql/database.ts'
import { clockOf, deleteFirst, isOneOf, recordset } from '../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'
import type { Entry } from './entries.ts'
import type { AccountRow } from './sql.ts'

/** What a transaction writes, as rows. */
export interface Changes {
  accounts: { id: number; state: string; due_at: number | null }[]
  entries: { account_id: number; seq: number; at: number; kind: string; amount: number; balance_after: number; lot: number | null; reservation: string | null; operation: string | null }[]
  notes: { account_id: number; seq: number; key: string | null; reason: string | null; actor: string | null }[]
  remembered: { id: string; body: string; forget_at: number }[]
}

export interface Loaded {
  readonly states: Map<string, AccountRow>
  readonly remembered: Map<string, string>
  readonly now: number
}

const ACCOUNT = { id: 'bigint', state: 'text', due_at: 'bigint' } as const
const ENTRY = { account_id: 'bigint', seq: 'bigint', at: 'bigint', kind: 'text', amount: 'bigint', balance_after: 'bigint', lot: 'bigint', reservation: 'text', operation: 'text' } as const
const NOTE = { account_id: 'bigint', seq: 'bigint', key: 'text', reason: 'text', actor: 'text' } as const
const REMEMBERED = { id: 'text', body: 'text', forget_at: 'bigint' } as const

/** Later than every letter of a base64url digest. */
const AFTER_ANY_DIGEST = '~'

const columns = (names: object): string => Object.keys(names).map((name) => `"${name}"`).join(', ')

/**
 * The ledger's SQL. Every statement has one text, whatever the number of rows: prepared once, planned once. PostgreSQL
 * may plan it while the tables are empty and keep that plan, so no statement joins tables, or leaves it another index
 * to walk along than the one that finds the rows.
 */
export class LedgerTables {
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(dialect: Dialect, options: TableOptions) {
    this.#sql = statementsFor(dialect, options)
  }

  /** Locks accounts, always in one order, and loads what was answered before: in one flight. */
  async lock(tx: Transaction, subjects: readonly string[], ids: readonly string[]): Promise<Loaded> {
    // The clock is read by the second statement, so after the wait for the locks.
    const [accounts, remembered] = await Promise.all([tx.query(this.#sql.lock, [subjects]), tx.query(this.#sql.remembered, [ids])])
    return loaded(accounts, remembered)
  }

  /** An account as it is, unlocked; `undefined` where there is none. */
  async read(database: Database, subject: string): Promise<{ row: AccountRow | undefined; now: number }> {
    const [row] = await database.query(this.#sql.read, [subject])
    const { id, state, now } = row as { id: number | null; state: string; now: number }
    return { row: id === null ? undefined : { id, state }, now }
  }

  /** Makes accounts, unless somebody else just did: then it waits for them. They are to be locked next. */
  open(tx: Transaction, subjects: readonly string[], state: string): Promise<Row[]> {
    return tx.query(this.#sql.open, [JSON.stringify(subjects.map((subject) => ({ subject }))), state])
  }

  /** One promise a table; they need not be awaited where the transaction's end does. */
  save(tx: Transaction, { accounts, entries, notes, remembered }: Changes): Promise<Row[]>[] {
    const save = (sql: string, rows: readonly object[]) => (rows.length > 0 ? [tx.query(sql, [JSON.stringify(rows)])] : [])
    return [...save(this.#sql.saveAccounts, accounts), ...save(this.#sql.saveEntries, entries), ...save(this.#sql.saveNotes, notes), ...save(this.#sql.saveRemembered, remembered)]
  }

  async entries(database: Database, subject: string, before: number, limit: number): Promise<Entry[]> {
    return (await database.query(this.#sql.entries, [subject, before, limit])).map(entryOf)
  }

  async balanceAt(database: Database, subject: string, at: number): Promise<number> {
    const [row] = await database.query(this.#sql.balanceAt, [subject, at])
    return row ? (row['balance_after'] as number) : 0
  }

  async due(database: Database, now: number | undefined, limit: number): Promise<string[]> {
    return (await database.query(this.#sql.due, [now ?? null, limit])).map(({ subject }) => subject as string)
  }

  /** Accounts and all their entries, as they were at one instant each. */
  async *histories(database: Database, subject: string | null): AsyncGenerator<{ name: string; row: AccountRow; entries: Entry[] }> {
    const ids = await (subject === null ? database.query(this.#sql.ids) : database.query(this.#sql.idOf, [subject]))
    for (const { id } of ids as { id: number }[]) {
      const [account, ...entries] = await database.query(this.#sql.history, [id])
      yield { name: (account!['subject'] as string | null) ?? `account ${id}`, row: { id, state: account!['state'] as string }, entries: entries.map(entryOf) }
    }
  }

  /** `answers`: what the ids of its answers begin with. */
  async erase(tx: Transaction, subject: string, answers: string): Promise<void> {
    const rows = await tx.query(this.#sql.lock, [[subject]])
    for (const { id } of rows) {
      void tx.query(this.#sql.eraseNotes, [id as number])
      void tx.query(this.#sql.eraseRemembered, [answers, answers + AFTER_ANY_DIGEST])
      void tx.query(this.#sql.eraseSubject, [id as number])
    }
  }

  /** Travels with the commit. */
  tidy(tx: Transaction, now: number | undefined, limit: number): void {
    void tx.query(this.#sql.forget, [now ?? null, limit])
  }

  async forget(database: Database, now: number | undefined, limit: number): Promise<number> {
    return (await database.query(this.#sql.forget, [now ?? null, limit])).length
  }
}

function loaded(accounts: readonly Row[], remembered: readonly Row[]): Loaded {
  const bodies = new Map(remembered.filter(({ id }) => id !== null).map(({ id, body }) => [id as string, body as string]))
  return { states: statesOf(accounts), remembered: bodies, now: remembered.at(-1)!['now'] as number }
}

function statesOf(rows: readonly Row[]): Map<string, AccountRow> {
  return new Map(rows.map(({ id, subject, state }) => [subject as string, { id: id as number, state: state as string }]))
}

function entryOf(row: Row): Entry {
  const { seq, at, kind, amount, balance_after: balanceAfter, lot, reservation, operation, key, reason, actor } = row
  return { seq, at, kind, amount, balanceAfter, lot, reservation, operation, key, reason, actor } as Entry
}

function statementsFor(dialect: Dialect, options: TableOptions) {
  const name = tableNames(dialect, options)
  const accounts = name('accounts')
  const entries = name('entries')
  const notes = name('entry_notes')
  const remembered = name('ledger_answers')
  const now = clockOf(dialect)
  const isPostgres = dialect === 'postgres'
  const [int, text] = isPostgres ? ['::bigint', '::text'] : ['', '']
  const noEntry = Object.keys(ENTRY).slice(1).map((column) => `NULL${isPostgres ? `::${ENTRY[column as keyof typeof ENTRY]}` : ''} AS "${column}"`).join(', ')
  const isNoteOf = 'n.account_id = e.account_id AND n.seq = e.seq'
  return {
    // SQLite has locked the whole file by then.
    lock: `SELECT id, subject, state FROM ${accounts} WHERE ${isOneOf(dialect, 'subject', '$1', 'text')} ORDER BY subject${isPostgres ? ' FOR UPDATE' : ''}`,
    read: `SELECT a.id, a.state, c.now FROM (SELECT ${now} AS now) AS c LEFT JOIN ${accounts} a ON a.subject = $1`,
    remembered: `SELECT id, body, NULL AS now FROM ${remembered} WHERE ${isOneOf(dialect, 'id', '$1', 'text')} UNION ALL SELECT NULL, NULL, ${now}`,
    open: `INSERT INTO ${accounts} (subject, state) SELECT r.subject, $2${text} FROM ${recordset(dialect, '$1', { subject: 'text' })} WHERE true ON CONFLICT (subject) DO NOTHING`,
    // They are there: a conflict finds each by its id, where an update would join.
    saveAccounts: `INSERT INTO ${accounts} (${columns(ACCOUNT)})${isPostgres ? ' OVERRIDING SYSTEM VALUE' : ''} SELECT ${columns(ACCOUNT)} FROM ${recordset(dialect, '$1', ACCOUNT)} WHERE true ON CONFLICT (id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at`,
    saveEntries: `INSERT INTO ${entries} (${columns(ENTRY)}) SELECT ${columns(ENTRY)} FROM ${recordset(dialect, '$1', ENTRY)}`,
    saveNotes: `INSERT INTO ${notes} (${columns(NOTE)}) SELECT ${columns(NOTE)} FROM ${recordset(dialect, '$1', NOTE)}`,
    saveRemembered: `INSERT INTO ${remembered} (${columns(REMEMBERED)}) SELECT ${columns(REMEMBERED)} FROM ${recordset(dialect, '$1', REMEMBERED)} WHERE true ON CONFLICT (id) DO UPDATE SET body = excluded.body, forget_at = excluded.forget_at`,
    entries: `SELECT e.*, n.key, n.reason, n.actor FROM (SELECT * FROM ${entries} WHERE account_id = (SELECT id FROM ${accounts} WHERE subject = $1) AND seq < $2 ORDER BY seq DESC LIMIT $3) AS e LEFT JOIN ${isPostgres ? `LATERAL (SELECT * FROM ${notes} AS n WHERE ${isNoteOf} LIMIT 1) AS n ON true` : `${notes} AS n ON ${isNoteOf}`} ORDER BY e.seq DESC`,
    balanceAt: `SELECT balance_after FROM ${entries} WHERE account_id = (SELECT id FROM ${accounts} WHERE subject = $1) AND at <= $2 ORDER BY seq DESC LIMIT 1`,
    due: `SELECT subject FROM ${accounts} WHERE due_at <= coalesce($1${int}, ${now}) AND subject IS NOT NULL ORDER BY due_at LIMIT $2`,
    ids: `SELECT id FROM ${accounts} ORDER BY id`,
    idOf: `SELECT id FROM ${accounts} WHERE subject = $1`,
    // One statement: it sees one instant. The account comes first.
    history: `SELECT subject, state, ${noEntry} FROM ${accounts} WHERE id = $1 UNION ALL SELECT NULL, NULL, ${columns(ENTRY).split(', ').slice(1).join(', ')} FROM ${entries} WHERE account_id = $1 ORDER BY seq NULLS FIRST`,
    eraseNotes: `DELETE FROM ${notes} WHERE account_id = $1`,
    eraseRemembered: `DELETE FROM ${remembered} WHERE id >= $1 AND id < $2`,
    eraseSubject: `UPDATE ${accounts} SET subject = NULL, due_at = NULL WHERE id = $1`,
    forget: `${deleteFirst(dialect, remembered, `forget_at <= coalesce($1${int}, ${now})`, 'forget_at', '$2')} RETURNING id`,
  }
}
