import { expect, it } from 'vitest'
import { positional } from './positional.ts'

it.each<[string, string, number[]]>([
  ['SELECT 1', 'SELECT 1', []],
  ['SELECT $2, $1, $2', 'SELECT ?, ?, ?', [1, 0, 1]],
  ['SELECT $10', 'SELECT ?', [9]],
  [`SELECT '$1', "$2", $1 -- $3\n, $2 /* $4 */`, `SELECT '$1', "$2", ? -- $3\n, ? /* $4 */`, [0, 1]],
  [`SELECT 'it''s $1', $1`, `SELECT 'it''s $1', ?`, [0]],
])('writes %s in the form that all drivers know', (sql, text, order) => {
  expect(positional(sql)).toEqual({ text, order })
})
