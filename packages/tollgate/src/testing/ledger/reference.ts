import { TollgateError, type TollgateErrorCode } from '../../errors/index.ts'
import type { AllowanceRule, Balance, GrantSource } from '../../ledger/account.ts'
import type { Cancel, Commit, Deduct, Extend, Grant, Hold, LedgerAnswer, LedgerCommand, Refund, Release, SetAllowance, Void } from '../../ledger/commands.ts'
import { periodIn } from './reference-calendar.ts'

/**
 * An account as plainly as can be: every single credit, and every single credit that is owed, is an object that is
 * somewhere. Nothing is subtracted; what a balance is, is counted. Slow, and made from what is said of commands, not from
 * how the ledger does it. Plans are those of UTC.
 */
export class ReferenceAccount {
  readonly #grants: Given[] = []
  readonly #credits: Credit[] = []
  readonly #owed: Owed[] = []
  readonly #reservations = new Map<string, Reservation>()
  readonly #answers = new Map<string, { body: string; answer: LedgerAnswer; until: number }>()
  /** What nobody has any more: expired, or voided. */
  #lapsed = 0
  #plan: Plan | null = null
  #next: AllowanceRule | null = null
  /** Of plans of no amount, the period that runs. */
  readonly #marks = new Map<string, { expiresAt: number; anchorAt: number | null }>()
  #payments = 0
  /** Balances by the instants they were reached; instants never go back. */
  readonly #history: { at: number; balance: number }[] = []
  /** No instant is ever before this for the account, whatever the clock does. */
  #latestAt = 0
  /** Instants after which something is not known any more. */
  readonly #deadlines: number[] = []

  /** @throws TollgateError with the code that the ledger should give */
  run(command: LedgerCommand, now: number): LedgerAnswer {
    this.advance(now)
    const answer = this.#answerTo(command, now)
    this.#endPeriods(now)
    return answer
  }

  #answerTo(command: LedgerCommand, now: number): LedgerAnswer {
    switch (command.kind) {
      case 'grant':
        return this.#once(command, now, () => this.#grant(command, now))
      case 'void':
        return this.#once(command, now, () => this.#void(command, now))
      case 'refund':
        return this.#once(command, now, () => this.#refund(command, now))
      case 'hold':
        return this.#hold(command, now)
      case 'deduct':
        return this.#deduct(command, now)
      case 'commit':
        return this.#commit(command, now)
      case 'release':
        return this.#release(command, now)
      case 'cancel':
        return this.#cancel(command, now)
      case 'extend':
        return this.#extend(command, now)
      case 'setAllowance':
        return this.#setAllowance(command, now)
      case 'touch':
        return this.#done(now)
    }
  }

  balance(): Balance {
    const free = this.#credits.filter(({ place }) => place === 'free').length
    const reserved = this.#credits.filter(({ place }) => place === 'held').length
    const owed = this.#owed.filter(({ place }) => place === 'owed').length
    const spent = this.#credits.filter(({ place }) => place === 'spent').length + owed
    return { balance: free + reserved - owed, available: free - owed, reserved, spent, granted: this.#credits.length + this.#lapsed, expired: this.#lapsed }
  }

  balanceAt(at: number): number {
    return this.#history.findLast((each) => each.at <= at)?.balance ?? 0
  }

  /** What is left of each grant, held included. */
  left(): Map<number, number> {
    return new Map(this.#grants.filter(({ isBegun }) => isBegun).map((grant) => [grant.id, this.#of(grant, 'free', 'held').length]))
  }

  /** Instants at which something happens by itself, or is forgotten. */
  edges(): number[] {
    return [
      ...[...this.#reservations.values()].filter(({ status }) => status === 'open').map(({ expiresAt }) => expiresAt),
      ...this.#grants.flatMap(({ effectiveAt, expiresAt }) => [effectiveAt, expiresAt]),
      this.#plan?.endAt ?? Infinity,
      ...this.#deadlines,
    ].filter((at) => at < Infinity)
  }

  /** The clock is not set back before this: what was forgotten since might be known again, or not. */
  revivalAt(latestAt: number): number {
    // Whoever looked first may have ended a hold by then, and forgotten it.
    const open = [...this.#reservations.values()].filter(({ status }) => status === 'open').map(({ expiresAt }) => expiresAt + DAY_MS)
    return Math.max(0, ...[...this.#deadlines, ...open].filter((at) => at <= latestAt))
  }

  /** What happens by itself: at each instant reservations end, grants begin, grants end, and a period follows another. */
  advance(now: number): void {
    for (let at = this.#nextInstant(); at <= now; at = this.#nextInstant()) {
      const ending = [...this.#reservations.values()].filter(({ status, expiresAt }) => status === 'open' && expiresAt === at)
      for (const reservation of ending) {
        reservation.status = 'expired'
        this.#forgetAt(reservation, at + DAY_MS)
        this.#giveBackHeld(reservation, at)
      }
      for (const grant of this.#grants) if (!grant.isBegun && grant.effectiveAt === at) this.#begin(grant, at)
      for (const grant of this.#grants) if (grant.isBegun && grant.expiresAt === at && !this.#isCarried(grant)) this.#lapse(this.#of(grant, 'free'), at)
      if (this.#plan?.endAt === at) this.#renew(this.#plan, at)
    }
    this.#endPeriods(now)
  }

  /** A period that has passed, with nothing of it left or held, is over for good. */
  #endPeriods(now: number): void {
    for (const grant of this.#grants) {
      if (!isOfPlan(grant) || grant.isOver || grant.expiresAt > now || this.#of(grant, 'free', 'held').length > 0) continue
      grant.isOver = true
      this.#latestAt = Math.max(this.#latestAt, grant.expiresAt)
    }
  }

  #nextInstant(): number {
    return Math.min(
      ...[...this.#reservations.values()].filter(({ status }) => status === 'open').map(({ expiresAt }) => expiresAt),
      ...this.#grants.filter(({ isBegun }) => !isBegun).map(({ effectiveAt }) => effectiveAt),
      ...this.#credits.filter(({ place }) => place === 'free').map(({ grant }) => grant.expiresAt),
      this.#plan?.endAt ?? Infinity,
    )
  }

  // Grants.

  #grant({ amount, source, priority = 0, effectiveAt, expiresAt = Infinity }: Grant, now: number): LedgerAnswer {
    const begins = Math.max(now, effectiveAt ?? now)
    if (expiresAt <= begins) throw refusal('INVALID_REQUEST', 'expiresAt')
    return this.#done(now, { lot: this.#give({ amount, source, priority, effectiveAt: begins, expiresAt }, now).id })
  }

  #give(facts: Omit<Given, 'id' | 'isBegun' | 'isVoid' | 'isWarned' | 'isOver'>, at: number): Given {
    const grant: Given = { ...facts, id: this.#grants.length + 1, isBegun: false, isVoid: false, isWarned: false, isOver: false }
    this.#grants.push(grant)
    if (grant.effectiveAt <= at) this.#begin(grant, at)
    return grant
  }

  #begin(grant: Given, at: number): void {
    grant.isBegun = true
    for (let i = 0; i < grant.amount; i++) this.#credits.push({ grant, place: 'free' })
    this.#note(at)
    this.#payDebts(at)
  }

  #void({ lot }: Void, now: number): LedgerAnswer {
    const grant = this.#grants.find(({ id }) => id === lot)
    if (!grant || !this.#isOpen(grant, now)) throw refusal('NOT_FOUND', 'lot')
    if (grant.isBegun) this.#takeAway(grant, now)
    // It never begins, and is no grant any more.
    else Object.assign(grant, { isBegun: true, isVoid: true })
    return this.#done(now, { lot })
  }

  #takeAway(grant: Given, at: number): void {
    grant.isVoid = true
    this.#lapse(this.#of(grant, 'free'), at)
    this.#deadlines.push(Math.max(at, this.#latestAt) + REFUNDABLE_MS)
  }

  /** To come, or with something left or held; a plan's to the end of its period, unless all of it was taken back. */
  #isOpen(grant: Given, now: number): boolean {
    if (grant.isVoid) return false
    return !grant.isBegun || this.#of(grant, 'free', 'held').length > 0 || (isOfPlan(grant) && !grant.isOver && now < grant.expiresAt && grant.amount > 0)
  }

  #of(grant: Given, ...places: Credit['place'][]): Credit[] {
    return this.#credits.filter((credit) => credit.grant === grant && (places.length === 0 || places.includes(credit.place)))
  }

  #lapse(credits: readonly Credit[], at: number): void {
    if (credits.length === 0) return
    const gone = new Set(credits)
    this.#credits.splice(0, this.#credits.length, ...this.#credits.filter((credit) => !gone.has(credit)))
    this.#lapsed += gone.size
    this.#note(at)
  }

  // Spending.

  /** In the order in which credits are spent. */
  #free(): Credit[] {
    return this.#credits
      .filter(({ place }) => place === 'free')
      .toSorted(({ grant: a }, { grant: b }) => a.priority - b.priority || compare(a.expiresAt, b.expiresAt) || a.effectiveAt - b.effectiveAt || a.id - b.id)
  }

  #hold({ id, amount, ttlMs, operation }: Hold, now: number): LedgerAnswer {
    const known = this.#known(id, now)
    if (known?.status === 'open' && known.amount === amount && known.operation === operation) return this.#done(now, { reservation: viewOf(known), isReplay: true })
    if (known) throw refusal('IDEMPOTENCY_CONFLICT', 'id')
    const denial = this.#denial(amount, now)
    if (denial) return denial
    const taken = this.#free().slice(0, amount)
    for (const credit of taken) credit.place = 'held'
    const reservation: Reservation = { id, status: 'open', amount, operation, expiresAt: now + ttlMs, settledAt: null, isLate: false, unpaid: 0, taken, until: Infinity }
    this.#reservations.set(id, reservation)
    return this.#warned(this.#done(now, { reservation: viewOf(reservation) }))
  }

  #deduct(command: Deduct, now: number): LedgerAnswer {
    const { id, amount, operation } = command
    const known = this.#known(id, now)
    if (known) {
      if (known.settledBy && bodyOf(known.settledBy) === bodyOf(command)) return { ...known.answer!, isReplay: true }
      throw refusal('IDEMPOTENCY_CONFLICT', 'id')
    }
    const denial = this.#denial(amount, now)
    if (denial) return denial
    const reservation: Reservation = { id, status: 'open', amount, operation, expiresAt: now, settledAt: null, isLate: false, unpaid: 0, taken: [], until: Infinity }
    this.#reservations.set(id, reservation)
    this.#spend(reservation, amount, now)
    return this.#settled(reservation, 'committed', command, now)
  }

  #commit(command: Commit, now: number): LedgerAnswer {
    const reservation = this.#toSettle(command, now)
    if ('ok' in reservation) return reservation
    const held = reservation.taken as Credit[]
    const wanted = command.amount ?? reservation.amount
    const extra = Math.max(0, wanted - held.length)
    const { available } = this.balance()
    let allowed = extra
    if (extra > Math.max(0, available)) {
      if (command.overage.policy === 'deny') return this.#denial(extra, now)!
      const floor = command.overage.policy === 'clamp' ? 0 : command.overage.floor
      allowed = Math.min(extra, Math.max(0, available - floor))
    }
    const used = held.slice(0, wanted)
    for (const credit of used) credit.place = 'spent'
    reservation.taken = used
    if (used.length > 0) this.#note(now)
    for (const credit of held.slice(wanted)) this.#giveBack(credit, now)
    this.#spend(reservation, allowed, now)
    reservation.amount = used.length + allowed
    reservation.unpaid = extra - allowed
    return this.#settled(reservation, 'committed', command, now)
  }

  #release(command: Release, now: number): LedgerAnswer {
    const reservation = this.#toSettle(command, now)
    if ('ok' in reservation) return reservation
    this.#giveBackHeld(reservation, now)
    return this.#settled(reservation, 'released', command, now)
  }

  /** As if it had never been: also one that was settled, or is still to come. */
  #cancel(command: Cancel, now: number): LedgerAnswer {
    const { id } = command
    const known = this.#known(id, now)
    if (known?.settledBy?.kind === 'cancel') return { ...known.answer!, isReplay: true }
    const reservation: Reservation = known ?? { id, status: 'open', amount: 0, operation: undefined, expiresAt: now, settledAt: null, isLate: false, unpaid: 0, taken: [], until: Infinity }
    this.#reservations.set(id, reservation)
    if (reservation.status === 'open') this.#giveBackHeld(reservation, now)
    while (reservation.taken.length > 0) this.#giveBackLast(reservation, now)
    Object.assign(reservation, { status: 'released', settledAt: now, settledBy: command })
    this.#forgetAt(reservation, now + REFUNDABLE_MS)
    reservation.answer = this.#done(now, { reservation: viewOf(reservation) })
    return reservation.answer
  }

  #extend({ id, ttlMs }: Extend, now: number): LedgerAnswer {
    const known = this.#known(id, now)
    if (!known) throw refusal('UNKNOWN_RESERVATION', 'id')
    if (known.status !== 'open') throw refusal(known.status === 'expired' ? 'RESERVATION_EXPIRED' : 'ALREADY_SETTLED', 'id')
    known.expiresAt = Math.max(known.expiresAt, now + ttlMs)
    return this.#done(now, { reservation: viewOf(known) })
  }

  #spend(reservation: Reservation, amount: number, now: number): void {
    const credits = this.#free().slice(0, amount)
    for (const credit of credits) credit.place = 'spent'
    const owed = Array.from({ length: amount - credits.length }, (): Owed => ({ place: 'owed', paidBy: null, payment: 0 }))
    this.#owed.push(...owed)
    reservation.taken = [...reservation.taken, ...credits, ...owed]
    if (amount > 0) this.#note(now)
  }

  /** To its grant; to nobody when that has ended, or was voided. */
  #giveBack(credit: Credit, at: number): void {
    credit.place = 'free'
    if (credit.grant.isVoid || credit.grant.expiresAt <= at) this.#lapse([credit], at)
    // After a step back of the clock it may live once more.
    else credit.grant.isOver = false
    this.#payDebts(at)
  }

  /** Nobody owes while they have credits; what was owed first is paid first. */
  #payDebts(at: number): void {
    const owed = this.#owed.filter(({ place }) => place === 'owed')
    if (owed.length === 0) return
    const credits = this.#credits.filter(({ place }) => place === 'free').slice(0, owed.length)
    for (const [i, credit] of credits.entries()) {
      credit.place = 'spent'
      Object.assign(owed[i]!, { place: 'paid', paidBy: credit, payment: ++this.#payments })
    }
    if (credits.length > 0) this.#note(at)
  }

  #toSettle(command: Commit | Release, now: number): Reservation | LedgerAnswer {
    const known = this.#known(command.id, now)
    if (!known) throw refusal('UNKNOWN_RESERVATION', 'id')
    if (known.status === 'open' || known.status === 'expired') return known
    const { settledBy } = known
    const isSame = settledBy?.kind === command.kind && (command.kind === 'release' || command.amount === (settledBy as Commit).amount)
    if (isSame) return { ...known.answer!, isReplay: true }
    throw refusal('ALREADY_SETTLED', 'id')
  }

  #settled(reservation: Reservation, status: 'committed' | 'released', command: Commit | Release | Deduct, now: number): LedgerAnswer {
    reservation.isLate = reservation.status === 'expired'
    reservation.status = status
    reservation.settledAt = now
    this.#forgetAt(reservation, now + REFUNDABLE_MS)
    reservation.settledBy = command
    reservation.answer = this.#done(now, { reservation: viewOf(reservation) })
    return status === 'committed' ? this.#warned(reservation.answer) : reservation.answer
  }

  #refund({ id, amount }: Refund, now: number): LedgerAnswer {
    const known = this.#known(id, now)
    if (!known) throw refusal('UNKNOWN_RESERVATION', 'id')
    if (known.status !== 'committed') throw refusal('INVALID_REQUEST', 'id')
    const refunded = amount ?? known.taken.length
    if (refunded > known.taken.length) throw refusal('INVALID_REQUEST', 'amount')
    for (let i = 0; i < refunded; i++) this.#giveBackLast(known, now)
    return this.#done(now, { refunded, reservation: known.answer!.reservation! })
  }

  /** What was taken last comes back first. Of what was owed that is what still is, and then what was paid last. */
  #giveBackLast(reservation: Reservation, now: number): void {
    const owed = reservation.taken.filter((unit): unit is Owed => !('grant' in unit)).toSorted((a, b) => (a.place === 'owed' ? 0 : 1) - (b.place === 'owed' ? 0 : 1) || b.payment - a.payment)
    const last = owed[0] ?? reservation.taken.at(-1)!
    reservation.taken = reservation.taken.filter((unit) => unit !== last)
    const credit = 'grant' in last ? last : last.paidBy
    if (!('grant' in last)) last.place = 'forgiven'
    if (credit) this.#giveBack(credit, now)
    this.#note(now)
  }

  #giveBackHeld(reservation: Reservation, at: number): void {
    const held = reservation.taken as Credit[]
    reservation.taken = []
    for (const credit of held) this.#giveBack(credit, at)
  }

  #known(id: string, now: number): Reservation | undefined {
    const known = this.#reservations.get(id)
    return known && now < known.until ? known : undefined
  }

  #forgetAt(reservation: Reservation, at: number): void {
    reservation.until = at
    this.#deadlines.push(at)
  }

  #denial(amount: number, now: number): LedgerAnswer | undefined {
    const deficit = amount - Math.max(0, this.balance().available)
    return deficit > 0 ? { ...this.#done(now), ok: false, deficit } : undefined
  }

  // Plans.

  /** Of the plan that runs: from its next period on. Of another, at once: a change of the clock grants nothing again. */
  #setAllowance({ rule, at, proration, leftover }: SetAllowance, now: number): LedgerAnswer {
    const plan = this.#plan
    const isRunning = plan !== null && plan.endAt < Infinity
    if (at === 'periodEnd' && !isRunning) return this.#done(now)
    if (isRunning && (at === 'periodEnd' || rule?.plan === plan.rule.plan)) {
      this.#next = rule ?? { ...plan.rule, amount: 0, isEligible: false }
      return this.#done(now, at === 'periodEnd' ? { changesAt: plan.endAt } : {})
    }
    const when = Math.max(now, this.#latestAt)
    this.#next = null
    if (isRunning && rule?.isEligible && proration === 'prorate' && rule.every === plan.rule.every) this.#prorate(plan, rule, when)
    else {
      if (plan && leftover === 'void' && rule?.plan !== plan.rule.plan) for (const grant of this.#grants) if (grant.plan === plan.rule.plan && !grant.isVoid && !grant.isOver) this.#takeAway(grant, when)
      this.#plan = rule && { rule, anchorAt: null, startAt: when, endAt: Infinity, entitled: 0, elsewhere: 0 }
      if (rule?.isEligible) this.#beginPeriod(rule, rule.anchor === 'subject' ? when : null, when)
    }
    return this.#done(now)
  }

  /** Unless a period of that plan is running: then that goes on, the one that ends last. */
  #beginPeriod(rule: AllowanceRule, ownAnchorAt: number | null, at: number, carried = 0): void {
    const running = this.#grants.filter((grant) => this.#runs(grant, rule, at)).toSorted((a, b) => b.expiresAt - a.expiresAt)[0]
    const mark = this.#marks.get(rule.plan)
    const begun = running ?? (mark && at < mark.expiresAt ? mark : undefined)
    const anchorAt = begun ? (begun.anchorAt ?? null) : ownAnchorAt
    const period = periodIn(rule, at, anchorAt)
    const endAt = begun?.expiresAt ?? period.endAt
    const facts = { priority: rule.priority, effectiveAt: at, expiresAt: endAt, plan: rule.plan, anchorAt }
    if (carried > 0) this.#give({ ...facts, source: 'rollover', amount: carried }, at)
    if (!begun && rule.amount > 0) this.#give({ ...facts, source: 'plan', amount: rule.amount }, at)
    if (!begun && rule.amount === 0) this.#marks.set(rule.plan, { expiresAt: endAt, anchorAt })
    const own = this.#ofPeriod(endAt).filter(({ plan }) => !begun || plan === rule.plan)
    this.#plan = { rule, anchorAt, startAt: period.startAt, endAt, entitled: grantedBy(own), elsewhere: 0 }
  }

  #runs(grant: Given, rule: AllowanceRule, at: number): boolean {
    return grant.source === 'plan' && grant.plan === rule.plan && grant.isBegun && at < grant.expiresAt && grant.amount > 0
  }

  #renew(ending: Plan, at: number): void {
    const left = this.#grants.filter((grant) => this.#isCarried(grant)).flatMap((grant) => this.#of(grant, 'free'))
    this.#lapse(left, at)
    const rule = this.#next ?? ending.rule
    this.#next = null
    const anchorAt = rule.anchor === 'subject' ? (ending.anchorAt ?? at) : null
    if (rule.isEligible) this.#beginPeriod(rule, anchorAt, at, Math.min(left.length, ending.rule.rolloverMax))
    else this.#plan = { rule, anchorAt, startAt: at, endAt: Infinity, entitled: 0, elsewhere: 0 }
  }

  #isCarried(grant: Given): boolean {
    return isOfPlan(grant) && this.#plan !== null && this.#plan.rule.rolloverMax > 0 && grant.expiresAt === this.#plan.endAt
  }

  /** The difference for what is left of the period; what could not be taken back is not given again. */
  #prorate(plan: Plan, rule: AllowanceRule, now: number): void {
    const { startAt, endAt } = plan
    const difference = Math.trunc(((rule.amount - plan.rule.amount) * Math.min(endAt - now, endAt - startAt)) / (endAt - startAt)) || 0
    const entitled = plan.entitled + difference
    const anchorAt = rule.anchor === 'subject' ? plan.anchorAt : null
    if (difference < 0) {
      const spared = Math.min(plan.elsewhere, -difference)
      this.#plan = { rule, anchorAt, startAt, endAt, entitled, elsewhere: plan.elsewhere - spared }
      const newest = this.#ofPeriod(endAt).toReversed()
      const back = newest.flatMap((grant) => this.#of(grant, 'free')).slice(0, -difference - spared)
      for (const { grant } of back) grant.amount--
      this.#lapse(back, now)
      return
    }
    const missing = Math.max(0, entitled - this.#grantedFor(endAt) - plan.elsewhere)
    const running = this.#grants.filter((grant) => this.#runs(grant, rule, now))
    const due = Math.max(0, Math.min(missing - grantedBy(running.filter(({ expiresAt }) => expiresAt !== endAt)), rule.amount - grantedBy(running)))
    this.#plan = { rule, anchorAt, startAt, endAt, entitled, elsewhere: plan.elsewhere + missing - due }
    if (due > 0) this.#give({ source: 'plan', amount: due, priority: rule.priority, effectiveAt: now, expiresAt: endAt, plan: rule.plan, anchorAt }, now)
  }

  /** Grants of plans for the period that ends then. */
  #ofPeriod(endAt: number): Given[] {
    return this.#grants.filter(({ source, expiresAt, isBegun }) => source === 'plan' && isBegun && expiresAt === endAt)
  }

  /** What is taken back was never granted; what is voided was. */
  #grantedFor(endAt: number): number {
    return grantedBy(this.#ofPeriod(endAt))
  }

  /** Whoever takes the period's allowance to its soft limit is warned, once. */
  #warned(answer: LedgerAnswer): LedgerAnswer {
    if (!this.#plan || this.#plan.rule.softLimit === null || this.#plan.endAt === Infinity) return answer
    const grants = this.#ofPeriod(this.#plan.endAt).filter(({ isVoid }) => !isVoid)
    const all = grantedBy(grants)
    const used = all - grants.flatMap((grant) => this.#of(grant, 'free')).length
    if (all === 0 || used / all < this.#plan.rule.softLimit || grants.some(({ isWarned }) => isWarned)) return answer
    for (const grant of grants) grant.isWarned = true
    return { ...answer, isNear: true }
  }

  // Answers.

  #done(at: number, more: Partial<LedgerAnswer> = {}): LedgerAnswer {
    return { ok: true, at, balance: this.balance(), deficit: 0, ...more }
  }

  #once(command: Grant | Void | Refund, now: number, act: () => LedgerAnswer): LedgerAnswer {
    const before = this.#answers.get(command.key)
    if (before && now < before.until) {
      if (before.body === bodyOf(command)) return { ...before.answer, isReplay: true }
      throw refusal('IDEMPOTENCY_CONFLICT', 'key')
    }
    const answer = act()
    this.#answers.set(command.key, { body: bodyOf(command), answer, until: now + 90 * DAY_MS })
    this.#deadlines.push(now + 90 * DAY_MS)
    return answer
  }

  #note(at: number): void {
    this.#latestAt = Math.max(at, this.#latestAt)
    this.#history.push({ at: this.#latestAt, balance: this.balance().balance })
  }
}

const DAY_MS = 86_400_000
const REFUNDABLE_MS = 3 * DAY_MS

interface Given {
  readonly id: number
  readonly source: GrantSource
  /** Less what a downgrade took back. */
  amount: number
  readonly priority: number
  readonly effectiveAt: number
  readonly expiresAt: number
  readonly plan?: string
  readonly anchorAt?: number | null
  isBegun: boolean
  isVoid: boolean
  isWarned: boolean
  isOver: boolean
}

interface Credit {
  readonly grant: Given
  place: 'free' | 'held' | 'spent'
}

interface Owed {
  place: 'owed' | 'paid' | 'forgiven'
  paidBy: Credit | null
  /** The how many-th of all payments it was paid by. */
  payment: number
}

interface Reservation {
  readonly id: string
  status: 'open' | 'committed' | 'released' | 'expired'
  amount: number
  readonly operation: string | undefined
  expiresAt: number
  settledAt: number | null
  isLate: boolean
  unpaid: number
  /** Held, or spent, in this order. */
  taken: (Credit | Owed)[]
  until: number
  settledBy?: LedgerCommand
  answer?: LedgerAnswer
}

interface Plan {
  readonly rule: AllowanceRule
  readonly anchorAt: number | null
  readonly startAt: number
  /** Infinity while no period runs. */
  readonly endAt: number
  readonly entitled: number
  /** Of that, what grants of other periods gave already. */
  readonly elsewhere: number
}

const isOfPlan = ({ source }: Given): boolean => source === 'plan' || source === 'rollover'

const grantedBy = (grants: readonly Given[]): number => grants.reduce((sum, { amount }) => sum + amount, 0)

function viewOf({ id, status, amount, operation, expiresAt, settledAt, isLate, unpaid }: Reservation): NonNullable<LedgerAnswer['reservation']> {
  return { id, status, amount, operation: operation ?? null, expiresAt, settledAt, isLate, unpaid }
}

/** What makes two commands the same: all but who asks and why. */
function bodyOf(command: LedgerCommand): string {
  const body = Object.entries(command).filter(([field]) => field !== 'reason' && field !== 'actor')
  return JSON.stringify(body.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function refusal(code: TollgateErrorCode, field: string): TollgateError {
  return new TollgateError(code, `the reference: ${code}`, { field })
}

const compare = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)
