import { TollgateError } from '../../errors/index.ts'
import type { Database, Transaction } from './database.ts'
import { migrations as current } from './migrations.generated.ts'
import { statementsOf } from './split.ts'
import { type TableOptions, tableNames, withNames } from './tables.ts'

export interface Migration {
  readonly version: number
  readonly name: string
  /** Of the file's text: a migration that has run must not change. */
  readonly checksum: string
  readonly sql: string
}

export interface MigrateOptions extends TableOptions {
  /** What one migration may take. Default 10 minutes. */
  timeoutMs?: number
  /** In place of this version's: for tests. */
  migrations?: readonly Migration[]
}

export interface Migrated {
  /** The database's version now. */
  readonly version: number
  /** Names of the migrations that this call applied. */
  readonly applied: readonly string[]
}

const LOCK_TIMEOUT_MS = 5000

interface Applied {
  readonly version: number
  readonly name: string
  readonly checksum: string
}

/**
 * Brings the tables to this version, each migration in a transaction of its own. Any number of processes may call it at
 * once: one does the work, the others wait for it.
 * @throws SCHEMA_MISMATCH when the database was migrated by a newer version, or by other files
 */
export async function migrate(db: Database, options: MigrateOptions = {}): Promise<Migrated> {
  const { timeoutMs = 600_000, migrations = current[db.dialect] } = options
  const table = tableNames(db.dialect, options)('migrations')
  const applied: string[] = []
  for (;;) {
    const next = await db.transaction(
      async (tx) => {
        await lock(tx, db, table, options)
        const done = (await tx.query(`SELECT version, name, checksum FROM ${table} ORDER BY version`)) as unknown as Applied[]
        check(done, migrations, table)
        const migration = migrations[done.length]
        if (migration === undefined) return undefined
        await apply(tx, db, migration, options)
        void tx.query(`INSERT INTO ${table} (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)`, [migration.version, migration.name, migration.checksum, Date.now()])
        return migration
      },
      { timeoutMs },
    )
    if (next === undefined) return { version: migrations.length, applied }
    applied.push(next.name)
  }
}

/** One migrator at a time; SQLite's transaction is that already. */
async function lock(tx: Transaction, db: Database, table: string, { schema = 'tollgate' }: TableOptions): Promise<void> {
  if (db.dialect === 'postgres') {
    void tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`tollgate migrations ${table}`])
    // Asked first: a role without the right to create may use tables that another has migrated.
    const [found] = await tx.query('SELECT to_regclass($1) IS NOT NULL AS "isThere", to_regnamespace($2) IS NOT NULL AS "hasSchema"', [table, `"${schema}"`])
    if (found?.['isThere'] === true) return
    if (found?.['hasSchema'] !== true) void tx.query(`CREATE SCHEMA "${schema}"`)
  }
  void tx.query(`CREATE TABLE IF NOT EXISTS ${table} (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at bigint NOT NULL)`)
}

async function apply(tx: Transaction, db: Database, { name, sql }: Migration, options: TableOptions): Promise<void> {
  try {
    // A migration that waits for a table holds up all that comes for it after.
    if (db.dialect === 'postgres') void tx.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
    await Promise.all(statementsOf(withNames(sql, db.dialect, options)).map((statement) => tx.query(statement)))
  } catch (error) {
    if (error instanceof Error) error.message = `migration ${name}: ${error.message}`
    throw error
  }
}

/** What was applied is the beginning of what this version knows. */
function check(done: readonly Applied[], migrations: readonly Migration[], table: string): void {
  const newest = done.at(-1)
  if (newest !== undefined && newest.version > migrations.length) {
    throw mismatch(`${table} is at version ${newest.version} (${newest.name}), and this version of Tollgate knows ${migrations.length}; use the version that migrated it, or a newer one`, { database: newest.version, known: migrations.length })
  }
  done.forEach(({ version, name, checksum }, i) => {
    const known = migrations[i]!
    if (version === known.version && name === known.name && checksum === known.checksum) return
    const what = version !== known.version || name !== known.name ? `holds migration ${version} (${name}) where this version has ${known.version} (${known.name})` : `says that migration ${name} was applied with other contents`
    throw mismatch(`${table} ${what}; use the version of Tollgate that migrated it, or another schema or tablePrefix`, { migration: name })
  })
}

function mismatch(message: string, details: Record<string, unknown>): TollgateError {
  return new TollgateError('SCHEMA_MISMATCH', message, { details })
}
