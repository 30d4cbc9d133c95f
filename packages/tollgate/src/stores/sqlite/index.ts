export { fromSqliteDatabase, openSqlite, type SqliteOptions } from './open.ts'
export type { SqliteLimits } from './database.ts'
