import type { Row } from '../sql/database.ts'

/** What is used of a `pg` pool, or of one of its shape. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  end?(): Promise<unknown>
  // Method syntax, so that `pg`'s many overloads fit.
  on?(event: 'error', listener: (error: Error) => void): unknown
  on?(event: 'acquire', listener: (client: PostgresClient) => void): unknown
}

/** What is used of a `pg` client. Only the first two must be there. */
export interface PostgresClient extends PostgresQueryable {
  release(error?: Error | boolean): unknown
  on?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
}

export interface PostgresQueryable {
  // Method syntax, so that `pg`'s many overloads fit.
  query(sql: string, params?: unknown[]): Promise<unknown>
}

/** What `pg` adds, and by which its clients are known. */
export interface PgClient extends PostgresQueryable {
  query(config: string | { text: string; values: unknown[]; name?: string; types: { getTypeParser: GetTypeParser } }): Promise<unknown>
  getTypeParser: GetTypeParser
  readonly pipeline?: boolean
  readonly connection?: { readonly stream?: { destroy(error?: Error): unknown } }
}

export type GetTypeParser = (oid: number, format?: 'text' | 'binary') => (value: string) => unknown

export interface Answer {
  readonly rows: Row[]
  /** Of the last statement: `COMMIT`, `ROLLBACK`, `SELECT` … Where the client tells. */
  readonly command?: string
}

export function isPg(client: PostgresQueryable): client is PgClient {
  return typeof (client as Partial<PgClient>).getTypeParser === 'function'
}

/** The last answer, since SQL without parameters may be several statements; drivers answer rows with or without a wrapper. */
export function answerOf(result: unknown): Answer {
  const last: unknown = Array.isArray(result) && result.length > 0 && isWrapper(result.at(-1)) ? result.at(-1) : result
  if (Array.isArray(last)) return { rows: last as Row[] }
  return isWrapper(last) ? last : { rows: [] }
}

function isWrapper(value: unknown): value is Answer {
  return Array.isArray((value as Partial<Answer> | null | undefined)?.rows)
}
