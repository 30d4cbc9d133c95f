import { type Account, balanceOf, type Hold, type Lot, type LotFacts } from './account.ts'
import type { Overage, Remembered } from './commands.ts'
import type { Book, EntryNote } from './entries.ts'
import { lotOf, putBack, take } from './lots.ts'

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
export function spendFree(book: Book, amount: number, at: number, note: EntryNote & { reservation: string }): Spent {
  const { account } = book
  const parts = take(account, amount)
  const spent = parts.map(([id, part]) => spendPart(book, lotOf(account, id), part, at, note))
  const owed = amount - parts.reduce((sum, [, part]) => sum + part, 0)
  if (owed === 0) return spent
  account.debts.push({ reservation: note.reservation, at, owed, paid: [] })
  book.write('spend', at, -owed, null, note)
  return [...spent, { lot: null, amount: owed }]
}

function spendPart(book: Book, lot: Lot, amount: number, at: number, note: EntryNote): Spent[number] {
  book.write('spend', at, -amount, lot.id, note)
  const { left: _, ...facts } = lot
  return { lot: facts, amount }
}

/** Gives back up to `amount` of what was spent, the last part first, each to where it came from. */
export function giveBack(book: Book, parts: Spent, amount: number, at: number, note: EntryNote & { reservation: string }): void {
  let left = amount
  for (const part of parts.toReversed()) {
    const returned = Math.min(part.amount, left)
    if (returned === 0) continue
    left -= returned
    part.amount -= returned
    if (part.lot) returnTo(book, part.lot, returned, at, note)
    else forgive(book, returned, at, note)
  }
}

/** To a lot that is gone because it was used up, too; not to one that has expired. */
function returnTo(book: Book, facts: LotFacts, amount: number, at: number, note: EntryNote): void {
  const { account } = book
  let lot = account.lots.find(({ id }) => id === facts.id)
  if (!lot) account.lots.push((lot = { ...facts, left: 0 }))
  book.write('refund', at, amount, lot.id, note)
  putBack(book, lot, amount, at, note)
}

/** Of a debt, first what is still owed; the rest goes to the lots that paid it. */
function forgive(book: Book, amount: number, at: number, note: EntryNote & { reservation: string }): void {
  const debt = book.account.debts.findLast(({ reservation }) => reservation === note.reservation)
  const forgiven = Math.min(debt?.owed ?? 0, amount)
  let left = amount - forgiven
  if (forgiven > 0) {
    debt!.owed -= forgiven
    book.write('refund', at, forgiven, null, note)
  }
  for (const part of debt?.paid.toReversed() ?? []) {
    const returned = Math.min(part.amount, left)
    if (returned === 0) continue
    left -= returned
    part.amount -= returned
    returnTo(book, part.lot, returned, at, note)
  }
  // Only where the clock was days ahead, so that the debt is forgotten and its reservation is not.
  if (left === 0) return
  book.write('refund', at, left, null, note)
  book.write('expire', at, -left, null, note)
}

/** How much of `extra`, beyond a hold, may be spent; `undefined` when the policy refuses all of it. */
export function allowedExtra(account: Account, extra: number, overage: Overage): number | undefined {
  const { available } = balanceOf(account)
  if (extra <= Math.max(0, available)) return extra
  if (overage.policy === 'deny') return undefined
  const floor = overage.policy === 'overdraft' ? overage.floor : 0
  return Math.min(extra, Math.max(0, available - floor))
}
