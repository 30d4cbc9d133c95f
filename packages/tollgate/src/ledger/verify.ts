import { type Account, balanceOf } from './account.ts'
import type { Entry, EntryKind } from './entries.ts'

/** Where an account does not follow from its entries, all of them in order; nothing when all is well. */
export function verifyAccount(name: string, account: Account, entries: readonly Entry[]): string[] {
  const faults: string[] = []
  const expect = (what: string, is: number, should: number): void => {
    if (is !== should) faults.push(`${name}: ${what} is ${is}, and by its entries ${should}`)
  }
  let balance = 0
  let at = 0
  const sums: Record<EntryKind, number> = { grant: 0, spend: 0, refund: 0, expire: 0, void: 0, repay: 0 }
  const byLot = new Map<number | null, number>()
  entries.forEach((entry, i) => {
    expect(`the number of entry ${i + 1}`, entry.seq, i + 1)
    balance += entry.amount
    expect(`the balance after entry ${entry.seq}`, entry.balanceAfter, balance)
    if (entry.at < at) faults.push(`${name}: entry ${entry.seq} is older than the one before it`)
    at = entry.at
    sums[entry.kind] += entry.amount
    byLot.set(entry.lot, (byLot.get(entry.lot) ?? 0) + entry.amount)
  })
  expect('the number of entries', account.seq, entries.length)
  expect('the balance', balanceOf(account).balance, balance)
  expect('granted', account.granted, sums.grant)
  expect('spent', account.spent, -sums.spend - sums.refund)
  expect('expired', account.expired, -sums.expire)
  expect('voided', account.voided, -sums.void)
  if (account.at < at) faults.push(`${name}: the newest entry is newer than the account`)
  expect('the debt', -account.debts.reduce((sum, { owed }) => sum + owed, 0), byLot.get(null) ?? 0)
  const { lots, holds } = account
  const ids = new Set([...byLot.keys(), ...lots.map(({ id }) => id), ...holds.flatMap(({ parts }) => parts.map(([lot]) => lot))])
  for (const id of ids) if (id !== null) expect(`grant ${id}`, remainderOf(account, id), byLot.get(id) ?? 0)
  for (const { id, left, amount } of lots) if (left < 0 || left > amount) faults.push(`${name}: grant ${id} has ${left} left of ${amount}`)
  for (const { id, amount, parts } of holds) expect(`what reservation ${id} holds`, amount, parts.reduce((sum, [, part]) => sum + part, 0))
  for (const { reservation, owed } of account.debts) if (owed < 0) faults.push(`${name}: reservation ${reservation} owes ${owed}`)
  return faults
}

/** What is left of a lot, held parts included. */
function remainderOf({ lots, holds }: Account, id: number): number {
  const left = lots.find((lot) => lot.id === id)?.left ?? 0
  return holds.reduce((sum, { parts }) => sum + parts.reduce((held, [lot, amount]) => held + (lot === id ? amount : 0), 0), left)
}
