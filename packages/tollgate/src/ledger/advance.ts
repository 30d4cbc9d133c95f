import { createPeriods, type Period } from '../compile/calendar.ts'
import { type Account, type Allowance, type AllowanceRule, type GrantSource, type Hold, type Lot } from './account.ts'
import type { Book, EntryNote } from './entries.ts'

/** Periods that are made up for at once, when nobody looked at an account for long; older ones are passed over. */
const MAX_MISSED_PERIODS = 400

/**
 * Brings an account to `now`: what happens by itself, in the order of its instants. So nothing depends on a job being on
 * time: whoever looks first does it, under the account's lock, and exactly once because each step moves the account on.
 * A clock that was set back finds nothing due.
 */
export function advance(book: Book, now: number): void {
  const { account } = book
  passOverOldPeriods(account, now)
  for (let event = nextEvent(account, now); event; event = nextEvent(account, now)) event.happen(book, event.at)
}

/** Nobody looked for very long: periods that nobody could have used are not made up for one by one. */
function passOverOldPeriods({ allowance }: Account, now: number): void {
  if (!allowance || allowance.nextAt === null || allowance.nextAt > now) return
  const next = periodOf(allowance, allowance.nextAt, allowance.anchorAt)
  const current = periodOf(allowance, now, allowance.anchorAt)
  if (current.index - next.index > MAX_MISSED_PERIODS) allowance.nextAt = current.startAt
}

interface Event {
  at: number
  happen(book: Book, at: number): void
}

/** At one instant holds end first, so that what they return is there to expire; a new period comes last. */
function nextEvent(account: Account, now: number): Event | undefined {
  let next: Event | undefined
  const consider = (at: number | null, happen: Event['happen']): void => {
    if (at !== null && at <= now && (!next || at < next.at)) next = { at, happen }
  }
  for (const hold of account.holds) consider(hold.expiresAt, (book, at) => expireHold(book, hold, at))
  for (const lot of account.lots) if (!lot.isEffective) consider(lot.effectiveAt, (book, at) => makeEffective(book, lot, at))
  for (const lot of account.lots) if (lot.isEffective && isExpiring(lot, account)) consider(lot.expiresAt, (book, at) => expireLot(book, lot, at))
  if (account.allowance) consider(account.allowance.nextAt, renew)
  return next
}

/** What an allowance may carry over is left to the renewal of the same instant. */
function isExpiring(lot: Lot, { allowance }: Account): boolean {
  return lot.left > 0 && !(allowance?.nextAt === lot.expiresAt && isCarried(lot, allowance))
}

function isCarried(lot: Lot, { plan, rolloverMax }: Allowance): boolean {
  return rolloverMax > 0 && lot.plan === plan && (lot.source === 'plan' || lot.source === 'rollover')
}

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

function makeEffective(book: Book, lot: Lot, at: number, note: EntryNote = {}): void {
  const { account } = book
  lot.isEffective = true
  lot.left = lot.amount
  book.write('grant', at, lot.amount, lot.id, note)
  const repaid = Math.min(account.debt, lot.left)
  if (repaid === 0) return
  lot.left -= repaid
  account.debt -= repaid
  book.write('repay', at, -repaid, lot.id)
  book.write('repay', at, repaid, null)
}

function expireLot(book: Book, lot: Lot, at: number): void {
  const gone = lot.left
  lot.left = 0
  book.write('expire', at, -gone, lot.id)
  forgetEmptyLots(book.account, at)
}

function expireHold(book: Book, hold: Hold, at: number): void {
  book.expired.push(hold)
  returnHold(book, hold, at)
}

/** Gives what a reservation held back to its lots; what has expired meanwhile is gone. */
export function returnHold(book: Book, hold: Hold, at: number): void {
  const { account } = book
  account.holds = account.holds.filter((each) => each !== hold)
  for (const [lot, amount] of hold.parts) putBack(book, lotOf(account, lot), amount, at, { reservation: hold.id })
  forgetEmptyLots(account, at)
}

/** Back to the lot it came from; there is none any more when that has expired. */
export function putBack(book: Book, lot: Lot, amount: number, at: number, note: EntryNote): void {
  if (lot.expiresAt === null || lot.expiresAt > at) lot.left += amount
  else book.write('expire', at, -amount, lot.id, note)
}

export function lotOf(account: Account, id: number): Lot {
  return account.lots.find((lot) => lot.id === id)!
}

/** An empty lot is kept while something held may return to it; a plan's to its end, as it says that the period was granted. */
export function forgetEmptyLots(account: Account, now: number): void {
  if (!account.lots.some((lot) => lot.left === 0 && lot.isEffective)) return
  const held = new Set(account.holds.flatMap(({ parts }) => parts.map(([lot]) => lot)))
  account.lots = account.lots.filter((lot) => lot.left > 0 || !lot.isEffective || held.has(lot.id) || (lot.source === 'plan' && lot.expiresAt! > now))
}

const calendars = new Map<string, ReturnType<typeof createPeriods>>()

/** The period of an allowance that an instant lies in. */
export function periodOf({ every, timezone, anchor }: AllowanceRule, at: number, anchorAt: number | null): Period {
  const key = `${every} ${timezone}`
  let periods = calendars.get(key)
  if (!periods) calendars.set(key, (periods = createPeriods({ every, timezone })))
  return periods(at, anchor === 'subject' ? (anchorAt ?? at) : undefined)
}

/** A new period begins: what is left of the old one lapses or is carried over, and the allowance is granted. */
function renew(book: Book, at: number): void {
  const { account } = book
  const ending = account.allowance!
  const carried = carryOver(book, ending, at)
  if (account.following) {
    account.allowance = { ...account.following, anchorAt: ending.anchorAt, nextAt: at }
    account.following = null
  }
  const allowance = account.allowance!
  if (!allowance.isEligible) {
    allowance.nextAt = null
    return
  }
  const period = periodOf(allowance, at, allowance.anchorAt)
  if (carried > 0) addLot(book, lotOfPeriod('rollover', carried, allowance, period, at), at)
  grantPeriod(book, allowance, period, at)
}

export function grantPeriod(book: Book, allowance: Allowance, period: Period, at: number): void {
  allowance.nextAt = period.endAt
  if (allowance.amount > 0) addLot(book, lotOfPeriod('plan', allowance.amount, allowance, period, at), at, { key: `${allowance.plan} ${period.startAt}` })
}

export function lotOfPeriod(source: GrantSource, amount: number, { priority, plan, anchorAt }: Allowance, { endAt }: Period, at: number): NewLot {
  return { source, amount, priority, effectiveAt: at, expiresAt: endAt, plan, anchorAt }
}

/** The lots of the ended period lapse; returns how much of them goes on. */
function carryOver(book: Book, ending: Allowance, at: number): number {
  let left = 0
  for (const lot of book.account.lots.filter((each) => isCarried(each, ending) && each.expiresAt === at && each.left > 0)) {
    left += lot.left
    expireLot(book, lot, at)
  }
  return Math.min(left, ending.rolloverMax)
}
