import { expect, it } from 'vitest'
import { SqlLedger } from '../../src/ledger/sql.ts'
import { DIALECTS, openedBy } from '../../src/testing/databases.ts'
import { Process } from '../processes.ts'

it.each(DIALECTS)('4 processes of 25 clients: exactly as many operations as there are credits for (%s)', async (dialect) => {
  const { url, databases, drop } = await openedBy(1, dialect)
  const ledger = new SqlLedger(databases[0]!)
  await ledger.run('busy', { kind: 'grant', key: 'all', amount: 1000, source: 'pack' })

  const processes = ['a', 'b', 'c', 'd'].map((name) => new Process<'ready' | 'go' | number[]>('ledger/contention-process.mjs', { dialect, url, name, subject: 'busy', clients: 25, operations: 20 }))
  for (const each of processes) expect(await each.next()).toBe('ready')
  for (const each of processes) each.send('go')
  const succeeded = (await Promise.all(processes.map((each) => each.next()))).flat() as number[]

  expect(succeeded).toHaveLength(100)
  expect(succeeded.reduce((sum, n) => sum + n, 0)).toBe(1000)
  expect(await ledger.balance('busy')).toMatchObject({ balance: 0, reserved: 0, spent: 1000 })
  expect(await ledger.verify(null)).toEqual([])
  await Promise.all(processes.map((each) => each.kill()))
  await drop()
})
