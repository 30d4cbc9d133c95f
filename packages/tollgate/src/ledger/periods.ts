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

/**
 * The plan's period begins at `at`, and is granted; unless one of this plan is running, which then goes on: nobody is
 * granted twice for going to and fro.
 */
export function beginPeriod(book: Book, allowance: Allowance, at: number, carried = 0): void {
  const { account } = book
  const running = runningLots(account, allowance.plan, at).toSorted((a, b) => b.expiresAt! - a.expiresAt!)[0]
  if (running) allowance.anchorAt = running.anchorAt ?? null
  const { startAt, endAt } = periodOf(allowance, at, allowance.anchorAt)
  allowance.startAt = startAt
  allowance.nextAt = running ? running.expiresAt : endAt
  if (carried > 0) addLot(book, lotOfPeriod('rollover', carried, allowance, allowance.nextAt!, at), at)
  if (!running && allowance.amount > 0) addLot(book, lotOfPeriod('plan', allowance.amount, allowance, endAt, at), at, { key: `${allowance.plan} ${startAt}` })
  if (!running && allowance.amount === 0) account.lots.push({ ...lotOfPeriod('plan', 0, allowance, endAt, at), id: NO_GRANT, left: 0, isEffective: true, isMark: true })
  const granted = lotsOfPeriod(account, allowance.nextAt)
  allowance.entitled = grantedFor(running ? granted.filter(({ plan }) => plan === allowance.plan) : granted)
}

/** No grant has this number. */
const NO_GRANT = 0

/** What a plan granted for periods that have not ended, whether or not any of it is left; not what was taken back. */
export function runningLots({ lots }: Account, name: string, at: number): Lot[] {
  return lots.filter(({ source, plan, isEffective, expiresAt, amount, isMark }) => source === 'plan' && plan === name && isEffective && expiresAt! > at && (amount > 0 || isMark))
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
