import { expect, it } from 'vitest'
import { statementsOf } from './split.ts'

it.each<[string, string, string[]]>([
  ['nothing', '', []],
  ['comments alone', '-- a; b\n/* c; */\n', []],
  ['one without an end', 'SELECT 1', ['SELECT 1']],
  ['two', 'SELECT 1;\nSELECT 2;\n', ['SELECT 1', 'SELECT 2']],
  ['two on one line', 'SELECT 1; SELECT 2', ['SELECT 1', 'SELECT 2']],
  ['empty ones', ';;SELECT 1;;', ['SELECT 1']],
  ['strings', `SELECT 'a;''b;', ";";SELECT 2`, [`SELECT 'a;''b;', ";"`, 'SELECT 2']],
  ['comments', 'SELECT 1 -- a; b\n, 2;/* ; */SELECT 3', ['SELECT 1 -- a; b\n, 2', '/* ; */SELECT 3']],
  ['bodies of functions', 'CREATE FUNCTION f() AS $$ a; b; $$;SELECT $x$;$x$', ['CREATE FUNCTION f() AS $$ a; b; $$', 'SELECT $x$;$x$']],
  ['a trigger', 'CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END;\nSELECT 1;', ['CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END', 'SELECT 1']],
  ['a commented trigger', '-- why\nCREATE TRIGGER t BEGIN DELETE FROM b; END; SELECT 1', ['-- why\nCREATE TRIGGER t BEGIN DELETE FROM b; END', 'SELECT 1']],
])('splits %s', (_, sql, statements) => {
  expect(statementsOf(sql)).toEqual(statements)
})
