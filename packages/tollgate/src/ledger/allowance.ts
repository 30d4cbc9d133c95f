import type { Account, Allowance, AllowanceRule, Lot } from './account.ts'
import { addLot, forgetEmptyLots, grantPeriod, lotOfPeriod, periodOf } from './advance.ts'
import type { SetAllowance } from './commands.ts'
import type { Book } from './entries.ts'

/** A plan change, as far as credits go. Asking twice for the same has the effect of once. */
export function changeAllowance(book: Book, { rule, at, proration, leftover }: SetAllowance, now: number): { changesAt?: number } {
  const { account } = book
  const current = account.allowance
  if (at === 'periodEnd') {
    if (!current || current.nextAt === null) return {}
    account.following = rule?.plan === current.plan ? null : (rule ?? { ...current, amount: 0, rolloverMax: 0, isEligible: false })
    if (rule?.plan === current.plan) account.allowance = { ...current, ...rule }
    return { changesAt: current.nextAt }
  }
  changeNow(book, rule, proration, leftover, now)
  return {}
}

function changeNow(book: Book, rule: AllowanceRule | null, proration: SetAllowance['proration'], leftover: SetAllowance['leftover'], now: number): void {
  const { account } = book
  const current = account.allowance
  account.following = null
  if (rule && current?.plan === rule.plan) return adjust(book, current, rule, now)
  if (current && leftover === 'void' && !(rule && proration === 'prorate')) voidAllowance(book, current, now)
  if (!rule) account.allowance = null
  else if (!rule.isEligible) account.allowance = { ...rule, anchorAt: null, nextAt: null }
  else if (proration === 'prorate' && current && current.nextAt !== null) prorate(book, current, rule, now)
  else begin(book, rule, now)
}

/** The same plan: what it grants from the next period on may have changed, or whether the subject may have it. */
function adjust(book: Book, current: Allowance, rule: AllowanceRule, now: number): void {
  if (rule.isEligible && current.nextAt === null) return begin(book, rule, now)
  book.account.allowance = { ...current, ...rule }
}

/** A new period begins now, unless one of this plan is running: nobody is granted twice for going to and fro. */
function begin(book: Book, rule: AllowanceRule, now: number): void {
  const { account } = book
  const running = runningLot(account, rule.plan, now)
  if (running) {
    account.allowance = { ...rule, anchorAt: running.anchorAt ?? null, nextAt: running.expiresAt }
    return
  }
  const anchorAt = rule.anchor === 'subject' ? now : null
  account.allowance = { ...rule, anchorAt, nextAt: now }
  grantPeriod(book, account.allowance, periodOf(rule, now, anchorAt), now)
}

/** The period goes on: only the difference is granted, or taken back, for the share of the period that is left. */
function prorate(book: Book, current: Allowance, rule: AllowanceRule, now: number): void {
  const { account } = book
  const endAt = current.nextAt!
  const { startAt } = periodOf(current, now, current.anchorAt)
  const share = (endAt - now) / (endAt - startAt)
  const difference = Math.trunc((rule.amount - current.amount) * share)
  const allowance: Allowance = { ...rule, anchorAt: current.anchorAt, nextAt: endAt }
  const running = runningLot(account, rule.plan, now)
  account.allowance = allowance
  if (difference < 0) takeBack(book, current, -difference, now)
  else if (difference > 0 && !running) addLot(book, lotOfPeriod('plan', difference, allowance, { startAt, endAt, index: 0 }, now), now, { key: `${rule.plan} ${startAt} prorated` })
}

function runningLot({ lots }: Account, plan: string, now: number): Lot | undefined {
  return lots.find((lot) => lot.source === 'plan' && lot.plan === plan && lot.isEffective && lot.expiresAt! > now)
}

function voidAllowance(book: Book, { plan }: Allowance, now: number): void {
  takeBack(book, { plan }, Infinity, now)
}

/** Voids up to `amount` of what is left of a plan's lots; they stay, as they say that the period was granted. */
function takeBack(book: Book, { plan }: { plan: string }, amount: number, now: number): void {
  let left = amount
  for (const lot of book.account.lots.filter((each) => each.plan === plan && each.left > 0)) {
    const gone = Math.min(lot.left, left)
    if (gone === 0) continue
    lot.left -= gone
    left -= gone
    book.write('void', now, -gone, lot.id, { reason: 'plan changed' })
  }
  forgetEmptyLots(book.account, now)
}
