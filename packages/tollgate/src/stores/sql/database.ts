/**
 * A database as stores and the ledger use it: SQL with parameters, and transactions. The adapters in `stores/postgres`
 * and `stores/sqlite` make one of a client; all SQL numbers its parameters `$1` … `$n`, in any order.
 */
export interface Database {
  readonly dialect: Dialect
  /** One statement by itself. */
  query(sql: string, params?: readonly SqlValue[]): Promise<Row[]>
  /**
   * Everything that `work` writes, or nothing. Queries that are not awaited one by one travel together; those left
   * unawaited travel with the commit, and what they refuse fails the transaction. A lost serialization race, or a
   * deadlock, runs `work` again from the start.
   * @throws STORE_UNAVAILABLE when the database does not answer within its deadlines; when it was the answer to the
   * commit that was lost, all may have been written, and whoever asks again must be able to tell.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** Waits for transactions under way, then closes what the adapter opened itself. */
  close(): Promise<void>
}

export type Dialect = 'postgres' | 'sqlite'

export interface TransactionOptions {
  /** What one attempt may take in all, in place of the adapter's deadlines. For migrations: they may rewrite a table. */
  timeoutMs?: number
}

/** What a transaction, or a client of the user's own that has one open, can do. */
export interface Transaction {
  query(sql: string, params?: readonly SqlValue[]): Promise<Row[]>
}

/** Objects go as JSON text. Integers up to 2^53 come back as numbers, whatever their column's width. */
export type SqlValue = string | number | boolean | null | Uint8Array | readonly string[] | readonly number[]

export type Row = Record<string, unknown>
