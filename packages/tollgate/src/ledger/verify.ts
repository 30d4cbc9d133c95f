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
  for (const [lot, sum] of byLot) expect(lot === null ? 'the debt' : `grant ${lot}`, lot === null ? -account.debt : remainderOf(account, lot), sum)
  for (const lot of account.lots) if (lot.left < 0 || lot.left > lot.amount) faults.push(`${name}: grant ${lot.id} has ${lot.left} left of ${lot.amount}`)
  return faults
}

/** What is left of a lot, held parts included. */
function remainderOf({ lots, holds }: Account, id: number): number {
  const left = lots.find((lot) => lot.id === id)?.left ?? 0
  return holds.reduce((sum, { parts }) => sum + parts.reduce((held, [lot, amount]) => held + (lot === id ? amount : 0), 0), left)
}
