import { type Account, balanceOf, dueAt } from './account.ts'
import { advance } from './advance.ts'
import { Book } from './entries.ts'

/** Periods looked ahead. Holds and grants need no bound: an account has only so many. */
const MAX_RENEWALS = 32

/** The first instant at which `amount` will be available if nobody spends meanwhile; `null` when none is in sight. */
export function passesAt(account: Account, amount: number, now: number): number | null {
  const copy = JSON.parse(JSON.stringify(account)) as Account
  let at = now
  for (let renewals = 0; renewals < MAX_RENEWALS; ) {
    const next = dueAt(copy)
    if (next === null || next <= at) return null
    at = next
    if (copy.allowance?.nextAt === at) renewals++
    advance(new Book(copy), at)
    if (balanceOf(copy).available >= amount) return at
  }
  return null
}
