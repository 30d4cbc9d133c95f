export type { PostgresClient, PostgresPool, PostgresQueryable } from './client.ts'
export type { PostgresLimits } from './database.ts'
export { openPostgres, type PostgresOptions } from './open.ts'
