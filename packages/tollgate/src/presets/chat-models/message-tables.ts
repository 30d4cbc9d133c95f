import type { Database, Dialect, Row, Transaction } from '../../stores/sql/database.ts'
import { recordset } from '../../stores/sql/recordset.ts'
import { assertShapes, CREATE_TABLES } from './table-shapes.ts'

export interface Message {
  readonly id: string
  readonly user_id: string
  readonly model: string
  readonly is_premium: number
  readonly day: string
  readonly created_at: number
}

export interface Count {
  readonly userId: string
  readonly month: string
  readonly at: number
  readonly total: number
  readonly premium: number
}

export interface Reset {
  readonly userId: string
  readonly month: string
  readonly at: number
  readonly isTotal: boolean
  readonly isPremium: boolean
}

/** The month in UTC, `YYYY-MM`. */
export const monthOf = (at: number): string => new Date(at).toISOString().slice(0, 7)

const MESSAGE = { id: 'text', user_id: 'text', model: 'text', is_premium: 'bigint', day: 'text', created_at: 'bigint' } as const

/** The SQL of `user_usage` and `message_logs`, which lie where the application's own tables do. */
export class MessageTables {
  readonly #addMessages: string

  constructor(dialect: Dialect) {
    this.#addMessages = `INSERT INTO message_logs (id, user_id, model, is_premium, day, created_at) SELECT id, user_id, model, is_premium = 1, day, created_at FROM ${recordset(dialect, '$1', MESSAGE)} WHERE true ON CONFLICT (id) DO NOTHING RETURNING id`
  }

  /** The ids of those that were not there yet. */
  async addMessages(tx: Transaction, messages: readonly Message[]): Promise<Set<string>> {
    if (messages.length === 0) return new Set()
    const added = await tx.query(this.#addMessages, [JSON.stringify(messages)])
    return new Set(added.map(({ id }) => id as string))
  }

  count(tx: Transaction, { userId, month, at, total, premium }: Count): void {
    void tx.query(COUNT, [userId, month, total, premium, at])
  }

  /** One that was done before is not done again: what came after it stays. */
  reset(tx: Transaction, { userId, month, at, isTotal, isPremium }: Reset): void {
    void tx.query(RESET, [userId, month, isTotal, isPremium, at])
  }

  erase(tx: Transaction, userId: string): void {
    void tx.query('DELETE FROM message_logs WHERE user_id = $1', [userId])
    void tx.query('DELETE FROM user_usage WHERE user_id = $1', [userId])
  }
}

const COUNT = `INSERT INTO user_usage AS t (user_id, month, total_messages, premium_messages, updated_at) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (user_id, month) DO UPDATE SET total_messages = t.total_messages + excluded.total_messages,
    premium_messages = t.premium_messages + excluded.premium_messages, updated_at = excluded.updated_at`

const RESET = `INSERT INTO user_usage AS t (user_id, month, total_messages, premium_messages, last_reset_at, updated_at) VALUES ($1, $2, 0, 0, $5, $5)
  ON CONFLICT (user_id, month) DO UPDATE SET total_messages = CASE WHEN $3 THEN 0 ELSE t.total_messages END,
    premium_messages = CASE WHEN $4 THEN 0 ELSE t.premium_messages END, last_reset_at = excluded.last_reset_at, updated_at = excluded.updated_at
  WHERE coalesce(t.last_reset_at, 0) < excluded.last_reset_at`

/**
 * Creates what is missing. Any number of processes may do so at once.
 * @throws SCHEMA_MISMATCH where a table of the application's own has one of the names
 */
export async function createTables(database: Database): Promise<void> {
  const { dialect } = database
  await database.transaction(async (tx) => {
    if (dialect === 'postgres') void tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('tollgate chat-models tables', 0))`)
    await assertShapes(tx, dialect)
    for (const statement of CREATE_TABLES) void tx.query(statement)
  })
}

/** When an admin last reset the month's counters. */
export async function lastResetOf(database: Database, userId: string, month: string): Promise<number> {
  const [row] = await database.query('SELECT last_reset_at FROM user_usage WHERE user_id = $1 AND month = $2', [userId, month])
  return (row?.['last_reset_at'] as number | null | undefined) ?? 0
}

/** Days from `first` on that have messages. */
export function messagesByDay(database: Database, first: string): Promise<Row[]> {
  const sql = `SELECT day, count(*) AS messages, count(*) FILTER (WHERE is_premium) AS "premiumMessages", count(DISTINCT user_id) AS "activeUsers"
    FROM message_logs WHERE day >= $1 GROUP BY day`
  return database.query(sql, [first])
}
