import type { Transaction } from '../sql/database.ts'
import { channel } from './channel.ts'
import type { PostgresQueryable } from './client.ts'
import { postgresError } from './errors.ts'
import { toPostgres } from './values.ts'

/**
 * A transaction that you have open, of `pg` or of a library over it, so that what Tollgate writes is committed or rolled
 * back with your own rows. After an error here, roll it back.
 */
export function fromPostgresClient(client: PostgresQueryable): Transaction {
  const send = channel(client)
  return {
    query: async (sql, params = []) => {
      try {
        return (await send(sql, toPostgres(params))).rows
      } catch (error) {
        throw postgresError(error)
      }
    },
  }
}
