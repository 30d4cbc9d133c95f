import type { Account, Allowance, AllowanceRule } from './account.ts'
import type { SetAllowance } from './commands.ts'
import type { Book } from './entries.ts'
import { addLot, voidLot } from './lots.ts'
import { beginPeriod, grantedFor, lotOfPeriod, lotsOfPeriod, runningLots } from './periods.ts'

const REASON = 'plan changed'

/** A plan change, as far as credits go. Asking twice for the same has the effect of once. */
export function changeAllowance(book: Book, change: SetAllowance, now: number): { changesAt?: number } {
  const { account } = book
  const { rule, at } = change
  const current = account.allowance
  if (at === 'periodEnd' && current?.nextAt == null) return {}
  // Of the same plan, what it grants may have changed, or whether the subject may have it: that counts from the next period on.
  if (current && current.nextAt !== null && (at === 'periodEnd' || rule?.plan === current.plan)) {
    account.following = rule ?? { ...current, amount: 0, rolloverMax: 0, isEligible: false }
    return at === 'periodEnd' ? { changesAt: current.nextAt } : {}
  }
  // After a step back of the clock periods are those of the account: none of them is granted again.
  changeNow(book, change, Math.max(now, account.at))
  return {}
}

function changeNow(book: Book, { rule, proration, leftover }: SetAllowance, now: number): void {
  const { account } = book
  const current = account.allowance
  account.following = null
  if (rule?.isEligible && proration === 'prorate' && current && current.nextAt !== null && current.every === rule.every) return prorate(book, current, current.nextAt, rule, now)
  if (current && leftover === 'void' && current.plan !== rule?.plan) voidAllowance(book, current, now)
  if (!rule) account.allowance = null
  else if (!rule.isEligible) account.allowance = { ...rule, anchorAt: null, startAt: now, nextAt: null, entitled: 0 }
  else {
    account.allowance = { ...rule, anchorAt: rule.anchor === 'subject' ? now : null, startAt: now, nextAt: null, entitled: 0 }
    beginPeriod(book, account.allowance, now)
  }
}

/**
 * The period goes on, and what it is to be granted in all changes by the difference of the plans for what is left of it.
 * What a downgrade could not take back, because it was spent or held, is not granted again by an upgrade; nor is what the
 * new plan has granted for another period that runs, or what is more than it grants in all.
 */
function prorate(book: Book, current: Allowance, endAt: number, rule: AllowanceRule, now: number): void {
  const { account } = book
  const difference = shareOf(rule.amount - current.amount, endAt - now, endAt - current.startAt)
  const elsewhere = current.grantedElsewhere ?? 0
  const allowance: Allowance = { ...rule, anchorAt: rule.anchor === 'subject' ? current.anchorAt : null, startAt: current.startAt, nextAt: endAt, entitled: current.entitled + difference }
  account.allowance = allowance
  if (difference < 0) {
    const spared = Math.min(elsewhere, -difference)
    allowance.grantedElsewhere = elsewhere - spared
    return takeBack(book, account, endAt, -difference - spared, now)
  }
  const missing = Math.max(0, allowance.entitled - grantedFor(lotsOfPeriod(account, endAt)) - elsewhere)
  const running = runningLots(account, rule.plan, now)
  const due = Math.min(missing - grantedFor(running.filter(({ expiresAt }) => expiresAt !== endAt)), rule.amount - grantedFor(running))
  allowance.grantedElsewhere = elsewhere + missing - Math.max(0, due)
  if (due > 0) addLot(book, lotOfPeriod('plan', due, allowance, endAt, now), now, { key: `${rule.plan} ${current.startAt} prorated` })
}

/** Exact: the product is beyond 2^53. */
function shareOf(amount: number, partMs: number, wholeMs: number): number {
  return Number((BigInt(amount) * BigInt(Math.min(partMs, wholeMs))) / BigInt(wholeMs))
}

function voidAllowance(book: Book, { plan }: Allowance, now: number): void {
  for (const lot of book.account.lots.filter((each) => each.plan === plan && each.voidedAt === undefined)) voidLot(book, lot, now, { reason: REASON })
}

/** As if the latest grants of the period had been smaller. */
function takeBack(book: Book, account: Account, endAt: number, amount: number, now: number): void {
  let missing = amount
  for (const lot of lotsOfPeriod(account, endAt).toReversed()) {
    const gone = Math.min(lot.left, missing)
    if (gone === 0) continue
    lot.left -= gone
    lot.amount -= gone
    missing -= gone
    book.write('void', now, -gone, lot.id, { reason: REASON })
  }
}
