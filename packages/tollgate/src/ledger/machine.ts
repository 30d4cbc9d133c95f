import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import { type Account, balanceOf, type Hold as OpenHold } from './account.ts'
import { advance } from './advance.ts'
import { changeAllowance } from './allowance.ts'
import type { Cancel, Commit, CreditReservation, Deduct, Extend, Grant, Hold, LedgerAnswer, LedgerCommand, Refund, Release, Remembered, Void } from './commands.ts'
import type { Answer } from '../stores/answer.ts'
import { Book, type Entry } from './entries.ts'
import { passesAt } from './forecast.ts'
import { addLot, forgetEmptyLots, REFUNDABLE_MS, returnHold, take, voidLot } from './lots.ts'
import { lotsOfPeriod } from './periods.ts'
import { allowedExtra, giveBack, spendFree, spendHold } from './spending.ts'

/** What one command did to an account: the account was changed in place. */
export interface Step {
  readonly answer: Answer<LedgerAnswer>
  readonly entries: readonly Entry[]
  /** To be kept, by key. */
  readonly remember: ReadonlyMap<string, Remembered>
}

/** Under which key a command's answer is kept; `undefined` for those that need none. */
export function keyOf(command: LedgerCommand): string | undefined {
  if ('key' in command) return `key ${command.key}`
  return 'id' in command ? reservationKey(command.id) : undefined
}

/** Other keys that it looks at. */
export function otherKeyOf(command: LedgerCommand): string | undefined {
  return command.kind === 'refund' ? reservationKey(command.id) : undefined
}

const reservationKey = (id: string): string => `reservation ${id}`

/** A payment provider repeats what it reports for days. */
const KEY_MS = 90 * 86_400_000
const LATE_MS = 86_400_000

/** From when on a key is as if it had never been used, whether or not it is still kept. */
export function forgetAt(key: string, { answer: { at, reservation } }: Remembered): number {
  if (key.startsWith('key ')) return at + KEY_MS
  return reservation?.status === 'expired' ? reservation.expiresAt + LATE_MS : at + REFUNDABLE_MS
}

/**
 * The ledger: one function of an account, a command (which `assertCommand` has seen), what was answered before, and the
 * time. Databases only load and save. Everything is checked before anything is changed; a denial, and an error, change
 * nothing but what time did.
 */
export function runCommand(account: Account, command: LedgerCommand, known: (key: string) => Remembered | undefined, now: number): Step {
  const book = new Book(account)
  advance(book, now)
  const remember = new Map(book.expired.map((hold) => [reservationKey(hold.id), rememberedExpiry(hold, account, now)]))
  const recall = (key: string): Remembered | undefined => {
    const found = remember.get(key) ?? known(key)
    return found && now < forgetAt(key, found) ? found : undefined
  }
  try {
    const answer = answerTo(book, command, recall, now, (key, value) => remember.set(key, value))
    forgetEmptyLots(account, now)
    const isNear = isSpending(command) && answer.ok && !answer.isReplay && warn(account)
    return { answer: { value: isNear ? { ...answer, isNear } : answer }, entries: book.entries, remember }
  } catch (error) {
    return { answer: { error }, entries: book.entries, remember }
  }
}

type Known = (key: string) => Remembered | undefined
type Remember = (key: string, remembered: Remembered) => void

function answerTo(book: Book, command: LedgerCommand, known: Known, now: number, remember: Remember): LedgerAnswer {
  switch (command.kind) {
    case 'grant':
      return once(command, known, remember, () => grant(book, command, now))
    case 'void':
      return once(command, known, remember, () => voidGrant(book, command, now))
    case 'refund':
      return once(command, known, remember, () => refund(book, command, known, remember, now))
    case 'hold':
      return hold(book, command, known, now)
    case 'deduct':
      return deduct(book, command, known, remember, now)
    case 'commit':
      return commit(book, command, known, remember, now)
    case 'release':
      return release(book, command, known, remember, now)
    case 'cancel':
      return cancel(book, command, known, remember, now)
    case 'extend':
      return extend(book, command, known, now)
    case 'setAllowance':
      return done(book, now, changeAllowance(book, command, now))
    case 'touch':
      return done(book, now)
  }
}

/** The first answer of a key. */
function once(command: Grant | Void | Refund, known: Known, remember: Remember, act: () => LedgerAnswer): LedgerAnswer {
  const { reason: _, actor: __, ...body } = command
  // In one order, whatever the caller's.
  const text = JSON.stringify(body, Object.keys(body).toSorted())
  const key = keyOf(command)!
  const before = known(key)
  if (before) return replay(before, text, 'key', command.key)
  const answer = act()
  remember(key, { command: text, answer })
  return answer
}

function replay(before: Remembered, command: string, field: 'key' | 'id', key: string): LedgerAnswer {
  if (before.command === command) return { ...before.answer, isReplay: true }
  throw new TollgateError('IDEMPOTENCY_CONFLICT', `${field}: ${show(key)} was used for another command; use a new one`, { field })
}

function done({ account }: Book, at: number, more: Partial<LedgerAnswer> = {}): LedgerAnswer {
  return { ok: true, at, balance: balanceOf(account), deficit: 0, ...more }
}

function denied(book: Book, amount: number, deficit: number, now: number): LedgerAnswer {
  return { ...done(book, now), ok: false, deficit, retryAt: passesAt(book.account, amount, now) }
}

function grant(book: Book, { amount, source, priority = 0, effectiveAt, expiresAt, key, reason, actor }: Grant, now: number): LedgerAnswer {
  const { lots, granted } = book.account
  const beginsAt = Math.max(now, effectiveAt ?? now)
  if (expiresAt !== undefined && expiresAt <= beginsAt) throw invalidRequest('expiresAt', `${expiresAt} is not after the grant begins, at ${beginsAt}; use a later instant, or none`)
  if (lots.length >= MAX_LOTS) throw invalidRequest('amount', `the account has ${MAX_LOTS} open grants, which is the most; let some be used up first`)
  if (granted + amount > Number.MAX_SAFE_INTEGER / 2) throw invalidRequest('amount', 'the account was granted more than can be counted')
  const lot = addLot(book, { source, amount, priority, effectiveAt: beginsAt, expiresAt: expiresAt ?? null }, now, noteOf({ key, reason, actor }))
  return done(book, now, { lot: lot.id })
}

function voidGrant(book: Book, { lot: id, key, reason, actor }: Void, now: number): LedgerAnswer {
  const { account } = book
  const lot = account.lots.find((each) => each.id === id && each.amount > 0 && each.voidedAt === undefined)
  if (!lot) throw new TollgateError('NOT_FOUND', `lot: ${show(id)} is not an open grant of this account; it was used up, expired, voided, or never made`, { field: 'lot' })
  if (lot.isEffective) voidLot(book, lot, now, noteOf({ key, reason, actor }))
  else account.lots = account.lots.filter((each) => each !== lot)
  return done(book, now, { lot: id })
}

function hold(book: Book, { id, amount, ttlMs, operation }: Hold, known: Known, now: number): LedgerAnswer {
  const { account } = book
  const open = account.holds.find((each) => each.id === id)
  if (open && open.amount === amount && open.operation === (operation ?? null)) return done(book, now, { reservation: reservationOf(open), isReplay: true })
  if (open || known(reservationKey(id))) throw new TollgateError('IDEMPOTENCY_CONFLICT', `id: ${show(id)} was used for another reservation; use a new id`, { field: 'id' })
  const deficit = deficitOf(account, amount)
  if (deficit > 0) return denied(book, amount, deficit, now)
  if (account.holds.length >= MAX_HOLDS) throw new TollgateError('OVERLOADED', `the account has ${MAX_HOLDS} open reservations; settle some first`, { retryAfterMs: 1000 })
  const made: OpenHold = { id, amount, parts: take(account, amount), expiresAt: now + ttlMs, operation: operation ?? null }
  account.holds.push(made)
  return done(book, now, { reservation: reservationOf(made) })
}

function deduct(book: Book, { id, amount, operation }: Deduct, known: Known, remember: Remember, now: number): LedgerAnswer {
  const key = reservationKey(id)
  const text = `deduct ${amount} ${operation ?? ''}`
  const before = known(key)
  if (before) return replay(before, text, 'id', id)
  if (book.account.holds.some((each) => each.id === id)) throw new TollgateError('IDEMPOTENCY_CONFLICT', `id: ${show(id)} is an open reservation; commit it instead`, { field: 'id' })
  const deficit = deficitOf(book.account, amount)
  if (deficit > 0) return denied(book, amount, deficit, now)
  const parts = spendFree(book, amount, now, { reservation: id, operation: operation ?? null })
  const answer = done(book, now, { reservation: { id, status: 'committed', amount, operation: operation ?? null, expiresAt: now, settledAt: now, isLate: false, unpaid: 0 } })
  remember(key, { command: text, answer, parts })
  return answer
}

function commit(book: Book, command: Commit, known: Known, remember: Remember, now: number): LedgerAnswer {
  const { account } = book
  const found = findReservation(book, command, known)
  if ('answer' in found) return found.answer
  const { reservation, open } = found
  const amount = command.amount ?? reservation.amount
  const held = open ? open.amount : 0
  const extra = allowedExtra(account, Math.max(0, amount - held), command.overage)
  if (extra === undefined) return denied(book, amount - held, deficitOf(account, amount - held), now)
  const note = { reservation: command.id, operation: reservation.operation }
  const parts = [...(open ? spendHold(book, open, Math.min(amount, held), now, note) : []), ...(extra > 0 ? spendFree(book, extra, now, note) : [])]
  const settled: CreditReservation = { ...reservation, status: 'committed', amount: Math.min(amount, held) + extra, settledAt: now, isLate: !open, unpaid: amount - Math.min(amount, held) - extra }
  const answer = done(book, now, { reservation: settled })
  remember(reservationKey(command.id), { command: textOf(command), answer, parts })
  return answer
}

function release(book: Book, command: Release, known: Known, remember: Remember, now: number): LedgerAnswer {
  const found = findReservation(book, command, known)
  if ('answer' in found) return found.answer
  if (found.open) returnHold(book, found.open, now)
  const answer = done(book, now, { reservation: { ...found.reservation, status: 'released', settledAt: now, isLate: !found.open } })
  remember(reservationKey(command.id), { command: textOf(command), answer })
  return answer
}

function cancel(book: Book, { id }: Cancel, known: Known, remember: Remember, now: number): LedgerAnswer {
  const key = reservationKey(id)
  const before = known(key)
  if (before?.command === 'cancel') return { ...before.answer, isReplay: true }
  const open = book.account.holds.find((each) => each.id === id)
  if (open) returnHold(book, open, now)
  const spent = before?.parts?.map((part) => ({ ...part })) ?? []
  const amount = spent.reduce((sum, part) => sum + part.amount, 0)
  if (amount > 0) giveBack(book, spent, amount, now, { reservation: id, operation: before!.answer.reservation!.operation, reason: 'cancelled' })
  const was = open ? reservationOf(open) : before?.answer.reservation
  const reservation: CreditReservation = { id, amount: 0, operation: null, expiresAt: now, isLate: false, unpaid: 0, ...was, status: 'released', settledAt: now }
  const answer = done(book, now, { reservation })
  remember(key, { command: 'cancel', answer })
  return answer
}

function extend(book: Book, { id, ttlMs }: Extend, known: Known, now: number): LedgerAnswer {
  const open = book.account.holds.find((each) => each.id === id)
  if (open) {
    open.expiresAt = Math.max(open.expiresAt, now + ttlMs)
    return done(book, now, { reservation: reservationOf(open) })
  }
  const before = known(reservationKey(id))
  if (!before) throw unknownReservation(id)
  const isExpired = before.answer.reservation!.status === 'expired'
  throw new TollgateError(isExpired ? 'RESERVATION_EXPIRED' : 'ALREADY_SETTLED', `id: ${show(id)} is ${before.answer.reservation!.status} and cannot be extended; ${isExpired ? 'commit what was used, or reserve again' : 'reserve again'}`, { field: 'id' })
}

function refund(book: Book, { id, amount, key, reason, actor }: Refund, known: Known, remember: Remember, now: number): LedgerAnswer {
  const before = known(reservationKey(id))
  if (!before && book.account.holds.some((each) => each.id === id)) throw invalidRequest('id', `${show(id)} is still open; release it, or commit what was used`)
  if (!before) throw unknownReservation(id)
  if (!before.parts) throw invalidRequest('id', `${show(id)} has spent nothing; only what was committed can be refunded`)
  const parts = before.parts.map((part) => ({ ...part }))
  const left = parts.reduce((sum, part) => sum + part.amount, 0)
  const returned = amount ?? left
  if (returned > left) throw invalidRequest('amount', `${returned} is more than the ${left} that are left to refund; use at most that`)
  const reservation = before.answer.reservation!
  giveBack(book, parts, returned, now, { reservation: id, operation: reservation.operation, ...noteOf({ key, reason, actor }) })
  remember(reservationKey(id), { ...before, parts, refunded: (before.refunded ?? 0) + returned })
  return done(book, now, { refunded: returned, reservation })
}

type Found = { readonly answer: LedgerAnswer } | { readonly reservation: CreditReservation; readonly open: OpenHold | undefined }

/** What a commit or release is about, or its answer when it was given before. */
function findReservation({ account }: Book, command: Commit | Release, known: Known): Found {
  const open = account.holds.find(({ id }) => id === command.id)
  if (open) return { open, reservation: reservationOf(open) }
  const before = known(reservationKey(command.id))
  if (!before) throw unknownReservation(command.id)
  const reservation = before.answer.reservation!
  if (reservation.status === 'expired') return { open, reservation }
  if (before.command === textOf(command)) return { answer: { ...before.answer, isReplay: true } }
  throw new TollgateError('ALREADY_SETTLED', `id: ${show(command.id)} was ${reservation.status} before; a reservation is settled once`, { field: 'id', details: { reservation } })
}

const textOf = (command: Commit | Release): string => (command.kind === 'commit' ? `commit ${command.amount ?? ''}` : 'release')

function reservationOf({ id, amount, operation, expiresAt }: OpenHold): CreditReservation {
  return { id, status: 'open', amount, operation, expiresAt, settledAt: null, isLate: false, unpaid: 0 }
}

function rememberedExpiry(hold: OpenHold, account: Account, now: number): Remembered {
  return { command: 'expiry', answer: { ok: true, at: now, balance: balanceOf(account), deficit: 0, reservation: { ...reservationOf(hold), status: 'expired' } } }
}

function isSpending({ kind }: LedgerCommand): boolean {
  return kind === 'hold' || kind === 'deduct' || kind === 'commit'
}

/** Whether the period's warning is due, which is then given. */
function warn(account: Account): boolean {
  const { allowance } = account
  if (!allowance || allowance.softLimit === null || allowance.nextAt === null) return false
  const lots = lotsOfPeriod(account, allowance.nextAt).filter(({ voidedAt }) => voidedAt === undefined)
  const granted = lots.reduce((sum, { amount }) => sum + amount, 0)
  const used = lots.reduce((sum, { amount, left }) => sum + amount - left, 0)
  // Divided, as 0.07 × 100 is more than 7.
  if (granted === 0 || used / granted < allowance.softLimit || lots.some(({ isWarned }) => isWarned)) return false
  for (const lot of lots) lot.isWarned = true
  return true
}

function deficitOf(account: Account, amount: number): number {
  return Math.max(0, amount - Math.max(0, balanceOf(account).available))
}

const noteOf = ({ key, reason, actor }: { key: string; reason?: string | undefined; actor?: string | undefined }) => ({ key, reason: reason ?? null, actor: actor ?? null })

/** Lots and holds live in the account's row; more would make every command slow. */
const MAX_LOTS = 1000
const MAX_HOLDS = 1000

function unknownReservation(id: string): TollgateError {
  return new TollgateError('UNKNOWN_RESERVATION', `id: ${show(id)} is not a reservation of this account, or it ended days ago`, { field: 'id' })
}
