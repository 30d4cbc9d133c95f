import { type Answer, answerOf, isPg, type PgClient, type PostgresQueryable } from './client.ts'
import { askForJson } from './foreign.ts'
import type { Statements } from './statements.ts'
import { typesFor } from './values.ts'

/** `values` as `toPostgres` made them. */
export type Send = (sql: string, values?: unknown[]) => Promise<Answer>

/**
 * Queries in order over one client: at once where it pipelines, else each after the answer to the one before, since
 * queueing in the client is deprecated in `pg` and missing elsewhere.
 */
export function channel(client: PostgresQueryable, statements?: Statements): Send {
  const ask = isPg(client) ? askPg(client, statements) : (sql: string, values: unknown[]) => askForJson(client, sql, values)
  const pipelines = isPg(client) && client.pipeline === true
  let last: Promise<unknown> = Promise.resolve()
  return (sql, values = []) => {
    const answer = pipelines ? ask(sql, values) : last.then(() => ask(sql, values))
    last = answer.catch(() => {})
    return answer
  }
}

function askPg(client: PgClient, statements: Statements | undefined): (sql: string, values: unknown[]) => Promise<Answer> {
  const types = typesFor((oid, format) => client.getTypeParser(oid, format))
  return async (text, values) => {
    const name = statements?.nameOf(text, values)
    return answerOf(await client.query({ text, values, types, ...(name !== undefined && { name }) }))
  }
}
