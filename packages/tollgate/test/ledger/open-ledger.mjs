import { SqlLedger } from '../../dist/ledger/sql.js'
import { openPostgres } from '../../dist/stores/postgres/index.js'
import { migrate } from '../../dist/stores/sql/migrate.js'
import { openSqlite } from '../../dist/stores/sqlite/index.js'

// No test leaves a process behind.
process.on('disconnect', () => process.exit())

/**
 * @param {{ dialect: string, url: string }} config
 * @returns {Promise<SqlLedger>}
 */
export async function openLedger({ dialect, url }) {
  const database = await (dialect === 'postgres' ? openPostgres(url) : openSqlite(url))
  await migrate(database)
  return new SqlLedger(database)
}
