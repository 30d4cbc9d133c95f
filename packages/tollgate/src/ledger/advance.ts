import type { Account, Allowance, Hold, Lot } from './account.ts'
import type { Book } from './entries.ts'
import { forgetEmptyLots, makeEffective, returnHold } from './lots.ts'
import { beginPeriod, periodOf } from './periods.ts'

/** Periods that are made up for one by one, when nobody looked at an account for long; those before them are passed over. */
const MAX_MISSED_PERIODS = 400

/**
 * Brings an account to `now`: what happens by itself, in the order of its instants. So nothing depends on a job being on
 * time: whoever looks first does it, under the account's lock, and exactly once because each step moves the account on.
 * A clock that was set back finds nothing due.
 */
export function advance(book: Book, now: number): void {
  const { account } = book
  for (let event = nextEvent(account, now); event; event = nextEvent(account, now)) {
    event.happen(book, event.at, now)
    forgetEmptyLots(account, event.at)
  }
  forgetEmptyLots(account, now)
}

interface Event {
  at: number
  happen(book: Book, at: number, now: number): void
}

/** At one instant holds end first, so that what they return is there to expire; a new period comes last. */
function nextEvent(account: Account, now: number): Event | undefined {
  let next: Event | undefined
  const consider = (at: number | null, happen: Event['happen']): void => {
    if (at !== null && at <= now && (!next || at < next.at)) next = { at, happen }
  }
  for (const hold of account.holds) consider(hold.expiresAt, (book, at) => expireHold(book, hold, at))
  for (const lot of account.lots) if (!lot.isEffective) consider(lot.effectiveAt, (book, at) => makeEffective(book, lot, at))
  for (const lot of account.lots) if (lot.isEffective && lot.left > 0 && !isCarried(lot, account.allowance)) consider(lot.expiresAt, (book, at) => expireLot(book, lot, at))
  if (account.allowance) consider(account.allowance.nextAt, renew)
  return next
}

/** What was granted for a period, and may be carried into the next, is left to the renewal at its end. */
function isCarried({ source, expiresAt }: Lot, allowance: Allowance | null): boolean {
  return allowance !== null && allowance.rolloverMax > 0 && expiresAt !== null && expiresAt === allowance.nextAt && (source === 'plan' || source === 'rollover')
}

function expireLot(book: Book, lot: Lot, at: number): void {
  const gone = lot.left
  lot.left = 0
  book.write('expire', at, -gone, lot.id)
}

function expireHold(book: Book, hold: Hold, at: number): void {
  book.expired.push(hold)
  returnHold(book, hold, at)
}

/** A new period begins: what is left of the old one lapses or is carried over, and the allowance is granted. */
function renew(book: Book, at: number, now: number): void {
  const { account } = book
  const ending = account.allowance!
  const carried = carryOver(book, ending, at)
  const rule = account.following ?? ending
  const anchorAt = rule.anchor === 'subject' ? (ending.anchorAt ?? at) : null
  const allowance: Allowance = { ...rule, anchorAt, startAt: at, nextAt: null, entitled: 0 }
  account.allowance = allowance
  account.following = null
  if (!allowance.isEligible) return
  beginPeriod(book, allowance, at, carried)
  passOver(account, allowance, now)
}

/** The lots of the ended period lapse; returns how much of them goes on. */
function carryOver(book: Book, ending: Allowance, at: number): number {
  let left = 0
  for (const lot of book.account.lots.filter((each) => each.left > 0 && isCarried(each, ending))) {
    left += lot.left
    expireLot(book, lot, at)
  }
  return Math.min(left, ending.rolloverMax)
}

/** Of many periods that nobody could have used only the last are made up for; what would have been carried through the others is. */
function passOver(account: Account, allowance: Allowance, now: number): void {
  const endAt = allowance.nextAt!
  if (endAt > now) return
  const current = periodOf(allowance, now, allowance.anchorAt)
  const missed = current.index - periodOf(allowance, endAt, allowance.anchorAt).index
  if (missed <= MAX_MISSED_PERIODS) return
  const resumeAt = allowance.rolloverMax === 0 ? current.startAt : periodOf(allowance, now - Math.floor(((now - endAt) * MAX_MISSED_PERIODS) / missed), allowance.anchorAt).startAt
  for (const lot of account.lots) if (isCarried(lot, allowance)) lot.expiresAt = resumeAt
  allowance.nextAt = resumeAt
}
