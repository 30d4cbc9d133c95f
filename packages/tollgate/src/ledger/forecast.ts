import { type Account, balanceOf, dueAt } from './account.ts'
import { advance } from './advance.ts'
import { Book } from './entries.ts'

/** Instants looked ahead: the holds, grants and periods that come next. */
const MAX_STEPS = 32

/** The first instant at which `amount` will be available if nobody spends meanwhile; `null` when none is in sight. */
export function passesAt(account: Account, amount: number, now: number): number | null {
  const copy = JSON.parse(JSON.stringify(account)) as Account
  let at = now
  for (let step = 0; step < MAX_STEPS; step++) {
    const next = dueAt(copy)
    if (next === null || next <= at) return null
    at = next
    advance(new Book(copy), at)
    if (balanceOf(copy).available >= amount) return at
  }
  return null
}
