import type { Database, Dialect, Row, Transaction } from '../stores/sql/database.ts'
import { clockOf, isOneOf, recordset } from '../stores/sql/recordset.ts'
import { type TableOptions, tableNames } from '../stores/sql/tables.ts'
import type { Account } from './account.ts'
import type { Entry } from './entries.ts'
import type { AccountRow } from './sql.ts'

/** What a transaction writes, as rows. */
export interface Changes {
  accounts: { id: number; state: string; due_at: number | null }[]
  entries: { account_id: number; seq: number; at: number; kind: string; amount: number; balance_after: number; lot: number | null; reservation: string | null; operation: string | null }[]
  notes: { account_id: number; seq: number; key: string | null; reason: string | null; actor: string | null }[]
  remembered: { id: string; account_id: number; body: string; forget_at: number }[]
}

export interface Loaded {
  readonly states: Map<string, AccountRow>
  readonly remembered: Map<string, string>
  readonly now: number
}

const ACCOUNT = { id: 'bigint', state: 'text', due_at: 'bigint' } as const
const ENTRY = { account_id: 'bigint', seq: 'bigint', at: 'bigint', kind: 'text', amount: 'bigint', balance_after: 'bigint', lot: 'bigint', reservation: 'text', operation: 'text' } as const
const NOTE = { account_id: 'bigint', seq: 'bigint', key: 'text', reason: 'text', actor: 'text' } as const
const REMEMBERED = { id: 'text', account_id: 'bigint', body: 'text', forget_at: 'bigint' } as const

const columns = (names: object): string => Object.keys(names).map((name) => `"${name}"`).join(', ')

/** The ledger's SQL. Every statement has one text, whatever the number of rows: prepared once, planned once. */
export class LedgerTables {
  readonly #sql: ReturnType<typeof statementsFor>

  constructor(dialect: Dialect, options: TableOptions) {
    this.#sql = statementsFor(dialect, options)
  }

  /** Locks accounts, always in the order of their ids, and loads what was answered before: in one flight. */
  async lock(tx: Transaction, subjects: readonly string[], ids: readonly string[]): Promise<Loaded> {
    // The clock is read by the second statement, so after the wait for the locks.
    const [accounts, remembered] = await Promise.all([tx.query(this.#sql.lock, [subjects]), tx.query(this.#sql.remembered, [ids])])
    return loaded(accounts, remembered)
  }

  /** An account as it is, unlocked; `undefined` where there is none. */
  async read(database: Database, subject: string): Promise<{ state: string | undefined; now: number }> {
    const [row] = await database.query(this.#sql.read, [subject])
    return { state: (row!['state'] as string | null) ?? undefined, now: row!['now'] as number }
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
  async *histories(database: Database, subject: string | null): AsyncGenerator<{ name: string; account: Account; entries: Entry[] }> {
    const ids = await database.query(this.#sql.accountIds, [subject])
    for (const { id } of ids) {
      const rows = await database.query(this.#sql.history, [id as number])
      const account = JSON.parse(rows[0]!['state'] as string) as Account
      const entries = rows.filter(({ seq }) => seq !== null).map(entryOf)
      yield { name: (rows[0]!['subject'] as string | null) ?? `account ${id as number}`, account, entries }
    }
  }

  async erase(tx: Transaction, subject: string): Promise<void> {
    const rows = await tx.query(this.#sql.lock, [[subject]])
    for (const { id } of rows) {
      void tx.query(this.#sql.eraseNotes, [id as number])
      void tx.query(this.#sql.eraseRemembered, [id as number])
      void tx.query(this.#sql.eraseSubject, [id as number])
    }
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
  const history = `SELECT e.*, n.key, n.reason, n.actor, a.subject, a.state FROM ${accounts} a LEFT JOIN ${entries} e ON e.account_id = a.id LEFT JOIN ${notes} n ON n.account_id = e.account_id AND n.seq = e.seq`
  const parameter = dialect === 'postgres' ? { int: '::bigint', text: '::text' } : { int: '', text: '' }
  const isSubject = isOneOf(dialect, 'subject', '$1', 'text')
  return {
    // SQLite has locked the whole file by then.
    lock: `SELECT id, subject, state FROM ${accounts} WHERE ${isSubject} ORDER BY id${dialect === 'postgres' ? ' FOR UPDATE' : ''}`,
    read: `SELECT a.state, c.now FROM (SELECT ${now} AS now) AS c LEFT JOIN ${accounts} a ON a.subject = $1`,
    remembered: `SELECT id, body, NULL AS now FROM ${remembered} WHERE ${isOneOf(dialect, 'id', '$1', 'text')} UNION ALL SELECT NULL, NULL, ${now}`,
    open: `INSERT INTO ${accounts} (subject, state) SELECT r.subject, $2${parameter.text} FROM ${recordset(dialect, '$1', { subject: 'text' })} WHERE true ON CONFLICT (subject) DO NOTHING`,
    saveAccounts: `UPDATE ${accounts} AS a SET state = r.state, due_at = r.due_at FROM ${recordset(dialect, '$1', ACCOUNT)} WHERE a.id = r.id`,
    saveEntries: `INSERT INTO ${entries} (${columns(ENTRY)}) SELECT ${columns(ENTRY)} FROM ${recordset(dialect, '$1', ENTRY)}`,
    saveNotes: `INSERT INTO ${notes} (${columns(NOTE)}) SELECT ${columns(NOTE)} FROM ${recordset(dialect, '$1', NOTE)}`,
    saveRemembered: `INSERT INTO ${remembered} (${columns(REMEMBERED)}) SELECT ${columns(REMEMBERED)} FROM ${recordset(dialect, '$1', REMEMBERED)} WHERE true ON CONFLICT (id) DO UPDATE SET body = excluded.body, forget_at = excluded.forget_at`,
    entries: `${history} WHERE a.subject = $1 AND e.seq < $2 ORDER BY e.seq DESC LIMIT $3`,
    balanceAt: `SELECT balance_after FROM ${entries} WHERE account_id = (SELECT id FROM ${accounts} WHERE subject = $1) AND at <= $2 ORDER BY seq DESC LIMIT 1`,
    due: `SELECT subject FROM ${accounts} WHERE due_at <= coalesce($1${parameter.int}, ${now}) AND subject IS NOT NULL ORDER BY due_at LIMIT $2`,
    accountIds: `SELECT id FROM ${accounts} WHERE $1${parameter.text} IS NULL OR subject = $1 ORDER BY id`,
    history: `${history} WHERE a.id = $1 ORDER BY e.seq`,
    eraseNotes: `DELETE FROM ${notes} WHERE account_id = $1`,
    eraseRemembered: `DELETE FROM ${remembered} WHERE account_id = $1`,
    eraseSubject: `UPDATE ${accounts} SET subject = NULL WHERE id = $1`,
    forget: `DELETE FROM ${remembered} WHERE id IN (SELECT id FROM ${remembered} WHERE forget_at <= coalesce($1${parameter.int}, ${now}) ORDER BY forget_at LIMIT $2) RETURNING id`,
  }
}
