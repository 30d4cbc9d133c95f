// Databases for this repository's own tests; not part of the package.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { inject } from 'vitest'
import { openPostgres } from '../stores/postgres/index.ts'
import type { Database, Dialect } from '../stores/sql/database.ts'
import { migrate } from '../stores/sql/migrate.ts'
import { openSqlite } from '../stores/sqlite/index.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Answers with the URL of the run's PostgreSQL server, which it starts first; see tools/global-setup.mjs. */
    postgresLauncher: string
  }
}

export interface Fresh {
  /** What `openPostgres` or `openSqlite` takes. */
  readonly url: string
  drop(): Promise<void>
}

export const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres']

/** An empty database, open. `drop` closes it too. */
export async function freshDatabase(dialect: Dialect): Promise<Fresh & { database: Database }> {
  const { url, drop } = dialect === 'postgres' ? await freshPostgres() : freshSqlite()
  const database = dialect === 'postgres' ? await openPostgres(url) : await openSqlite(url)
  return { url, database, drop: () => database.close().then(drop) }
}

/** One database with Tollgate's tables, opened as often as processes would. */
export async function openedBy(count: number, dialect: Dialect): Promise<{ url: string; databases: Database[]; drop(): Promise<void> }> {
  const { url, database, drop } = await freshDatabase(dialect)
  await migrate(database)
  const others = await Promise.all(Array.from({ length: count - 1 }, () => (dialect === 'postgres' ? openPostgres(url) : openSqlite(url))))
  return { url, databases: [database, ...others], drop: () => Promise.all(others.map((other) => other.close())).then(drop) }
}

/** A database of its own on the run's PostgreSQL server, or on the one that POSTGRES_URL names. */
export async function freshPostgres(): Promise<Fresh> {
  const server = process.env['POSTGRES_URL'] || (await launch())
  const name = `tollgate_test_${randomBytes(8).toString('hex')}`
  await ask(server, `CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => ask(server, `DROP DATABASE ${name} WITH (FORCE)`) }
}

/** A file of its own in a temporary folder. */
export function freshSqlite(): Fresh {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-sqlite-'))
  return {
    url: join(folder, 'tollgate.db'),
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

async function launch(): Promise<string> {
  const response = await fetch(inject('postgresLauncher'))
  const text = await response.text()
  if (!response.ok) throw new Error(`PostgreSQL for tests did not start: ${text}`)
  return text
}

async function ask(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
