import type { Row } from '../sql/database.ts'
import { exactNumber } from '../sql/values.ts'
import { type Answer, answerOf, type PostgresQueryable } from './client.ts'

const GIVES_ROWS = /^\s*(select|with|values)\b|\breturning\b/i

/**
 * Clients of other libraries turn a bigint into text, a BigInt or a number as they please, and do not say of which type a
 * column is. So the server writes the rows as JSON. Bytes come as text then: our tables have none.
 */
export async function askForJson(client: PostgresQueryable, sql: string, values: unknown[]): Promise<Answer> {
  if (!GIVES_ROWS.test(sql)) return { rows: (await client.query(sql, values), []) }
  const { rows } = answerOf(await client.query(`WITH q AS (${sql}) SELECT to_json(q)::text AS "row" FROM q`, values))
  return { rows: rows.map(({ row }) => exact(JSON.parse(row as string) as Row)) }
}

function exact(row: Row): Row {
  for (const column in row) {
    const value = row[column]
    if (typeof value === 'number') exactNumber(value)
    // A JSON column: as it went.
    else if (typeof value === 'object' && value !== null) row[column] = JSON.stringify(value)
  }
  return row
}
