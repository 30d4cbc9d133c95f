import { describe, expect, it } from 'vitest'
import { tableNames, withNames } from './tables.ts'

describe('tableNames', () => {
  it('puts PostgreSQL tables in a schema', () => {
    expect(tableNames('postgres')('accounts')).toBe('"tollgate"."accounts"')
    expect(tableNames('postgres', { schema: 'app', tablePrefix: 'tg_' })('accounts')).toBe('"app"."tg_accounts"')
  })

  it('gives SQLite, which has no schemas, the prefix alone', () => {
    expect(tableNames('sqlite')('accounts')).toBe('"accounts"')
    expect(tableNames('sqlite', { schema: 'app', tablePrefix: 'tg_' })('accounts')).toBe('"tg_accounts"')
  })

  it.each(['', 'a"b', 'a;b', 'a b', 'a.b', "a'b", 'Über', 'Upper', '1a', 'a-b', 'a\nb', 'a\n', '{{a}}', 'x'.repeat(64), 'pg_catalog', 5 as unknown as string, null as unknown as string])('refuses the schema %j', (schema) => {
    for (const dialect of ['postgres', 'sqlite'] as const) {
      expect(() => tableNames(dialect, { schema })).toThrow(expect.objectContaining({ code: 'INVALID_DEFINITION', field: 'schema' }))
    }
  })

  it.each(['a"b', 'a;b', 'a b', 'a.b', 'Upper', '1a', '"; DROP TABLE x; --', 'x'.repeat(25)])('refuses the prefix %j', (tablePrefix) => {
    expect(() => tableNames('sqlite', { tablePrefix })).toThrow(expect.objectContaining({ code: 'INVALID_DEFINITION', field: 'tablePrefix' }))
  })
})

describe('withNames', () => {
  const sql = 'CREATE INDEX {{index:accounts_due}} ON {{accounts}} (due)'

  it('writes tables with their schema and indexes without', () => {
    expect(withNames(sql, 'postgres', { tablePrefix: 'tg_' })).toBe('CREATE INDEX "tg_accounts_due" ON "tollgate"."tg_accounts" (due)')
    expect(withNames(sql, 'sqlite')).toBe('CREATE INDEX "accounts_due" ON "accounts" (due)')
  })
})
