export type { SqliteLimits } from './database.ts'
export { fromSqliteDatabase, openSqlite, type SqliteLike, type SqliteOptions } from './open.ts'
export * from '../sql/index.ts'
