import type { Account, GrantSource, Hold, Lot, Part } from './account.ts'
import type { Book, EntryNote } from './entries.ts'

/** As long as a refund may come. */
export const REFUNDABLE_MS = 3 * 86_400_000

export interface NewLot {
  source: GrantSource
  amount: number
  priority: number
  effectiveAt: number
  expiresAt: number | null
  plan?: string
  anchorAt?: number | null
}

export function addLot(book: Book, facts: NewLot, at: number, note: EntryNote = {}): Lot {
  const { account } = book
  const lot: Lot = { ...facts, id: account.nextLot++, left: 0, isEffective: false }
  account.lots.push(lot)
  if (lot.effectiveAt <= at) makeEffective(book, lot, at, note)
  return lot
}

export function makeEffective(book: Book, lot: Lot, at: number, note: EntryNote = {}): void {
  lot.isEffective = true
  lot.left = lot.amount
  book.write('grant', at, lot.amount, lot.id, note)
  payDebts(book, lot, at)
}

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

/** Later than every expiry, and a number that can be subtracted from itself. */
const NEVER = Number.MAX_SAFE_INTEGER

/** The order in which lots are spent: by priority, then what expires soonest, then the oldest. */
function burnOrder(a: Lot, b: Lot): number {
  return a.priority - b.priority || (a.expiresAt ?? NEVER) - (b.expiresAt ?? NEVER) || a.effectiveAt - b.effectiveAt || a.id - b.id
}

/** Gives what a reservation held back to its lots; what has expired meanwhile is gone. */
export function returnHold(book: Book, hold: Hold, at: number): void {
  const { account } = book
  account.holds = account.holds.filter((each) => each !== hold)
  for (const [lot, amount] of hold.parts) putBack(book, lotOf(account, lot), amount, at, { reservation: hold.id, operation: hold.operation })
}

/** Back to the lot it came from; to nobody when that has expired, or was voided. */
export function putBack(book: Book, lot: Lot, amount: number, at: number, note: EntryNote): void {
  if (lot.voidedAt !== undefined) book.write('void', at, -amount, lot.id, note)
  else if (lot.expiresAt !== null && lot.expiresAt <= at) book.write('expire', at, -amount, lot.id, note)
  else {
    lot.left += amount
    payDebts(book, lot, at)
  }
}

/** So that nobody owes while they have credits: those could expire, and the debt would not. */
function payDebts(book: Book, lot: Lot, at: number): void {
  for (const debt of book.account.debts) {
    const paid = Math.min(debt.owed, lot.left)
    if (paid === 0) continue
    lot.left -= paid
    debt.owed -= paid
    const { left: _, ...facts } = lot
    debt.paid.push({ lot: facts, amount: paid })
    book.write('repay', at, -paid, lot.id, { reservation: debt.reservation })
    book.write('repay', at, paid, null, { reservation: debt.reservation })
  }
}

/** Takes back what is left of a lot, and what will come back to it. */
export function voidLot(book: Book, lot: Lot, at: number, note: EntryNote): void {
  const gone = lot.left
  lot.left = 0
  // What was spent of it was spent by then, even if the clock was set back.
  lot.voidedAt = Math.max(at, book.account.at)
  if (gone > 0) book.write('void', at, -gone, lot.id, note)
}

export function lotOf(account: Account, id: number): Lot {
  return account.lots.find((lot) => lot.id === id)!
}

/**
 * An empty lot is kept while something held may return to it; a plan's to its end, as it says that the period was granted,
 * and a change of plan may void it; one that was voided as long as a refund may come, which would bring it back. A debt that was paid is kept as long as that.
 */
export function forgetEmptyLots(account: Account, now: number): void {
  const mayBeRefunded = (at: number): boolean => now < at + REFUNDABLE_MS
  if (account.debts.length > 0) account.debts = account.debts.filter(({ owed, at }) => owed > 0 || mayBeRefunded(at))
  if (!account.lots.some(({ left, isEffective }) => left === 0 && isEffective)) return
  const held = new Set(account.holds.flatMap(({ parts }) => parts.map(([lot]) => lot)))
  account.lots = account.lots.filter(({ id, left, isEffective, source, amount, expiresAt, voidedAt, isWarned, isMark }) => {
    if (left > 0 || !isEffective || held.has(id)) return true
    // One of which all was taken back is as if it had never been, but for the warning.
    const isOfPeriod = (source === 'plan' || source === 'rollover') && (amount > 0 || isWarned || isMark)
    // For the account a period that is over is over, even if the clock is set back: it is not granted again.
    if (isOfPeriod && expiresAt! <= now) account.at = Math.max(account.at, expiresAt!)
    return (isOfPeriod && expiresAt! > now) || (voidedAt !== undefined && mayBeRefunded(voidedAt))
  })
}
