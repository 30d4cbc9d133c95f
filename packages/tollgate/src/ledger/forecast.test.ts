import { expect, it } from 'vitest'
import { DAY_MS, ruleOf, START_AT } from '../testing/ledger/fixture.ts'
import { newAccount } from './account.ts'
import type { LedgerCommand } from './commands.ts'
import { passesAt } from './forecast.ts'
import { runCommand } from './machine.ts'

function accountAfter(...commands: LedgerCommand[]) {
  const account = newAccount()
  for (const command of commands) expect(runCommand(account, command, () => undefined, START_AT).answer).toMatchObject({ value: { ok: true } })
  return account
}

const grant: LedgerCommand = { kind: 'grant', amount: 1000, source: 'pack', key: 'k' }
const plan: LedgerCommand = { kind: 'setAllowance', rule: ruleOf({ amount: 10, every: DAY_MS, rolloverMax: 10_000 }), at: 'now', proration: 'restart', leftover: 'keep' }

it('looks as far ahead as holds and grants go, however many there are', () => {
  const holds = Array.from({ length: 500 }, (_, i): LedgerCommand => ({ kind: 'hold', id: `${i}`, amount: 2, ttlMs: 1000 + i }))
  const account = accountAfter(grant, ...holds)
  expect([2, 200, 1000, 1001].map((amount) => passesAt(account, amount, START_AT))).toEqual([START_AT + 1000, START_AT + 1099, START_AT + 1499, null])
  const grants = Array.from({ length: 100 }, (_, i): LedgerCommand => ({ kind: 'grant', amount: 1, source: 'pack', key: `${i}`, effectiveAt: START_AT + 1 + i }))
  expect(passesAt(accountAfter(...grants), 100, START_AT)).toBe(START_AT + 100)
})

it('and no more than 32 periods, which never end', () => {
  const account = accountAfter(plan)
  expect([330, 331].map((amount) => passesAt(account, amount, START_AT))).toEqual([START_AT + 32 * DAY_MS, null])
})
