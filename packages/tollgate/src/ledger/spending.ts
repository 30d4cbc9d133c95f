import { type Account, balanceOf, burnOrder, type Hold, type Lot, type Part } from './account.ts'
import { forgetEmptyLots, lotOf, putBack } from './advance.ts'
import type { Overage, Remembered } from './commands.ts'
import type { Book, EntryNote } from './entries.ts'

/** Takes up to `amount` out of the lots in burn-down order; returns what came from which. */
export function take({ lots }: Account, amount: number): Part[] {
  const parts: Part[] = []
  let missing = amount
  for (const lot of lots.filter(({ left, isEffective }) => isEffective && left > 0).toSorted(burnOrder)) {
    if (missing === 0) break
    const part = Math.min(lot.left, missing)
    lot.left -= part
    missing -= part
    parts.push([lot.id, part])
  }
  return parts
}

type Spent = NonNullable<Remembered['parts']>

/** Spends what a hold set aside, up to `amount`; the rest of the hold returns to its lots. */
export function spendHold(book: Book, hold: Hold, amount: number, at: number, note: EntryNote): Spent {
  const { account } = book
  account.holds = account.holds.filter((each) => each !== hold)
  const spent: Spent = []
  let left = amount
  for (const [id, held] of hold.parts) {
    const lot = lotOf(account, id)
    const used = Math.min(held, left)
    left -= used
    if (used > 0) spent.push(spendPart(book, lot, used, at, note))
    if (held > used) putBack(book, lot, held - used, at, note)
  }
  return spent
}

/** Spends `amount` out of the lots, and as a debt what they do not have. */
export function spendFree(book: Book, amount: number, at: number, note: EntryNote): Spent {
  const parts = take(book.account, amount)
  const spent = parts.map(([id, part]) => spendPart(book, lotOf(book.account, id), part, at, note))
  const owed = amount - sumOf(parts)
  if (owed === 0) return spent
  book.account.debt += owed
  book.write('spend', at, -owed, null, note)
  return [...spent, { lot: null, amount: owed }]
}

function spendPart(book: Book, lot: Lot, amount: number, at: number, note: EntryNote): Spent[number] {
  book.write('spend', at, -amount, lot.id, note)
  const { left: _, ...facts } = lot
  return { lot: facts, amount }
}

/** Gives back up to `amount` of what was spent, the last part first; to a lot that is gone only if it would be alive. */
export function giveBack(book: Book, parts: Spent, amount: number, at: number, note: EntryNote): void {
  const { account } = book
  let left = amount
  for (const part of parts.toReversed()) {
    const returned = Math.min(part.amount, left)
    if (returned === 0) continue
    left -= returned
    part.amount -= returned
    const lot = part.lot
    book.write('refund', at, returned, lot ? lot.id : null, note)
    if (lot) putBack(book, account.lots.find(({ id }) => id === lot.id) ?? revived(account, lot), returned, at, note)
    else payBack(book, returned, at)
  }
  forgetEmptyLots(account, at)
}

function revived(account: Account, facts: Omit<Lot, 'left'>): Lot {
  const lot = { ...facts, left: 0 }
  account.lots.push(lot)
  return lot
}

/** A debt that was paid meanwhile took from lots that nobody knows any more: what comes back then is a lot of its own. */
function payBack(book: Book, amount: number, at: number): void {
  const { account } = book
  const owed = Math.min(account.debt, amount)
  const paid = amount - owed
  account.debt -= owed
  if (paid === 0) return
  const id = account.nextLot++
  account.lots.push({ id, source: 'admin', amount: paid, left: paid, priority: 0, effectiveAt: at, expiresAt: null, isEffective: true })
  book.write('repay', at, paid, id)
  book.write('repay', at, -paid, null)
}

/** How much of `extra`, beyond a hold, may be spent; `undefined` when the policy refuses all of it. */
export function allowedExtra(account: Account, extra: number, overage: Overage): number | undefined {
  const { available } = balanceOf(account)
  if (extra <= available) return extra
  if (overage.policy === 'deny') return undefined
  const floor = overage.policy === 'overdraft' ? overage.floor : 0
  return Math.min(extra, Math.max(0, available - floor))
}

export function sumOf(parts: readonly Part[]): number {
  return parts.reduce((sum, [, amount]) => sum + amount, 0)
}
