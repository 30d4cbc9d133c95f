import { type Answer, answerOf, isPg, type PgClient, type PostgresQueryable } from './client.ts'
import type { Statements } from './statements.ts'
import { typesFor } from './values.ts'

/** `values` as `toPostgres` made them. */
export type Send = (sql: string, values?: unknown[]) => Promise<Answer>

/**
 * Queries in order over one client: at once where it pipelines, else each after the answer to the one before, since a
 * client that queues by itself is deprecated in `pg` and missing elsewhere.
 */
export function channel(client: PostgresQueryable, statements?: Statements): Send {
  const types = isPg(client) ? typesFor((oid, format) => client.getTypeParser(oid, format)) : undefined
  const ask = async (text: string, values: unknown[]) => {
    if (types === undefined) return answerOf(await client.query(text, values))
    const name = statements?.nameOf(text)
    return answerOf(await (client as PgClient).query({ text, values, types, ...(name !== undefined && { name }) }))
  }
  const pipelines = isPg(client) && client.pipeline === true
  let last: Promise<unknown> = Promise.resolve()
  return (sql, values = []) => {
    const answer = pipelines ? ask(sql, values) : last.then(() => ask(sql, values))
    last = answer.catch(() => {})
    return answer
  }
}
