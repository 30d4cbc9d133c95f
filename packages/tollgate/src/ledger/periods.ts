import { createPeriods, type Period } from '../compile/calendar.ts'
import type { Account, Allowance, AllowanceRule, GrantSource, Lot } from './account.ts'
import type { Book } from './entries.ts'
import { addLot, type NewLot } from './lots.ts'

const calendars = new Map<string, ReturnType<typeof createPeriods>>()

/** The period of an allowance that an instant lies in. */
export function periodOf({ every, timezone, anchor }: AllowanceRule, at: number, anchorAt: number | null): Period {
  const key = `${every} ${timezone}`
  let periods = calendars.get(key)
  if (!periods) calendars.set(key, (periods = createPeriods({ every, timezone })))
  return periods(at, anchor === 'subject' ? (anchorAt ?? at) : undefined)
}

export function grantPeriod(book: Book, allowance: Allowance, { startAt, endAt }: Period, at: number): void {
  allowance.startAt = startAt
  allowance.nextAt = endAt
  if (allowance.amount > 0) addLot(book, lotOfPeriod('plan', allowance.amount, allowance, endAt, at), at, { key: `${allowance.plan} ${startAt}` })
  allowance.entitled = grantedFor(lotsOfPeriod(book.account, endAt))
}

export function lotOfPeriod(source: GrantSource, amount: number, { priority, plan, anchorAt }: Allowance, expiresAt: number, at: number): NewLot {
  return { source, amount, priority, effectiveAt: at, expiresAt, plan, anchorAt }
}

/** What plans granted for a period, by the instant it ends. */
export function lotsOfPeriod({ lots }: Account, endAt: number | null): Lot[] {
  return lots.filter(({ source, expiresAt }) => source === 'plan' && expiresAt === endAt)
}

/** What a downgrade took back is not counted. */
export function grantedFor(lots: readonly Lot[]): number {
  return lots.reduce((sum, { amount }) => sum + amount, 0)
}
