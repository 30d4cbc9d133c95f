import { invalidDefinition, show } from '../../errors/index.ts'
import type { Database } from '../sql/database.ts'
import { checkLimits } from '../sql/limits.ts'
import type { PostgresPool } from './client.ts'
import { PostgresDatabase, type PostgresLimits } from './database.ts'

export interface PostgresOptions extends PostgresLimits {
  /** Connections at most. Default 10. Only by URL, as the next three. */
  maxConnections?: number
  /** What the server gives a statement. Default 5000. */
  statementTimeoutMs?: number
  /** What the server lets a statement wait for a lock. Default 3000. */
  lockTimeoutMs?: number
  /** After how long without a statement the server ends a transaction. Default 5000. */
  idleInTransactionTimeoutMs?: number
}

/**
 * Sessions keep plans, and make them when tables are empty and reading one as a whole costs nothing; with a million rows
 * they would go on doing so, until the next ANALYZE. All our statements have an index to go by.
 */
const PLANNER = '-c enable_seqscan=off'

const BY_URL = ['maxConnections', 'statementTimeoutMs', 'lockTimeoutMs', 'idleInTransactionTimeoutMs'] as const

/**
 * PostgreSQL by URL, or by a `pg` pool of your own, which keeps its own timeouts and is not closed. A server that does
 * not answer yet is no error here: calls fail with STORE_UNAVAILABLE until it does.
 */
export async function openPostgres(urlOrPool: string | PostgresPool, options: PostgresOptions = {}): Promise<Database> {
  if (typeof urlOrPool !== 'string') {
    const foreign = BY_URL.find((name) => options[name] !== undefined)
    if (foreign !== undefined) throw invalidDefinition(foreign, 'a pool of your own has its own; set it there, or give a URL')
    return new PostgresDatabase(urlOrPool, options)
  }
  if (!/^postgres(ql)?:\/\//.test(urlOrPool)) throw invalidDefinition('postgres', `${show(urlOrPool.replace(/:[^:@/]*@/, ':…@'))} is not a PostgreSQL URL; write postgres://user:password@host:5432/database`)
  const { maxConnections = 10, statementTimeoutMs = 5000, lockTimeoutMs = 3000, idleInTransactionTimeoutMs = 5000, connectTimeoutMs = 1000, timeoutMs = statementTimeoutMs + 1000 } = options
  checkLimits({ maxConnections, statementTimeoutMs, lockTimeoutMs, idleInTransactionTimeoutMs })
  const { Pool } = await driver()
  const pool = new Pool({
    // Options in the URL take the place of those beside it.
    connectionString: urlOrPool.replace(/(?<=[?&]options=)[^&]*/, (theirs) => `${theirs}%20${encodeURIComponent(PLANNER)}`),
    options: PLANNER,
    application_name: 'tollgate',
    pipeline: true,
    max: maxConnections,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
    keepAlive: true,
    // Nothing is held back in this process: an idle pool need not keep it alive.
    allowExitOnIdle: true,
  })
  return new PostgresDatabase(pool, { prepare: true, ...options, connectTimeoutMs, timeoutMs }, () => pool.end())
}

interface Driver {
  Pool: new (config: Record<string, unknown>) => Required<PostgresPool>
}

async function driver(): Promise<Driver> {
  try {
    // Not a constant: the types of an optional package must not be needed to compile against ours.
    const name = 'pg'
    return ((await import(name)) as { default: Driver }).default
  } catch (cause) {
    throw Object.assign(invalidDefinition('postgres', 'pg is not installed; run npm install pg, or give a pool of your own'), { cause })
  }
}
