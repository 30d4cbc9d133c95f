import { expect, it } from 'vitest'
import { controlledClock } from '../testing/clock.ts'
import type { LedgerCommand } from './commands.ts'
import { MemoryLedger } from './memory.ts'

const grant: LedgerCommand = { kind: 'grant', key: 'g', amount: 10, source: 'pack' }

it('holds a bounded number of accounts, those of erased subjects included', async () => {
  const ledger = new MemoryLedger(controlledClock(0), { maxAccounts: 2 })
  await ledger.run('a', grant)
  await ledger.run('b', grant)
  await expect(ledger.run('c', grant)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 })
  expect((await ledger.balance('c')).available).toBe(0)
  // Strangers open no account.
  expect((await ledger.run('c', { kind: 'deduct', id: 'd', amount: 1 })).ok).toBe(false)
  expect((await ledger.run('a', { ...grant, key: 'more' })).balance.available).toBe(20)
  await ledger.erase('b')
  await expect(ledger.run('c', grant)).rejects.toThrow('2 accounts are in memory')
  expect(await ledger.verify(null)).toEqual([])
})

it('keeps no account of a stranger of whom nothing is written', async () => {
  const ledger = new MemoryLedger(controlledClock(0), { maxAccounts: 1 })
  const rule = { plan: 'test/plus', amount: 50, every: 'month', timezone: 'UTC', anchor: 'subject', priority: 0, rolloverMax: 0, softLimit: null, isEligible: true } as const
  await expect(ledger.run('a', { ...grant, expiresAt: 0 })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  await ledger.run('b', { kind: 'setAllowance', rule, at: 'periodEnd', proration: 'restart', leftover: 'keep' })
  expect((await ledger.run('c', grant)).balance.balance).toBe(10)
})
