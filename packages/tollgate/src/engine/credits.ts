import { createHash } from 'node:crypto'
import type { Program } from '../compile/program.ts'
import { DEFAULT_TTL_MS } from '../compile/request.ts'
import { TollgateError } from '../errors/index.ts'
import type { Balance } from '../ledger/account.ts'
import type { LedgerAnswer } from '../ledger/commands.ts'
import type { Engine } from './engine.ts'
import type { Action, HeldCredits } from './inquiry.ts'
import { longerWait } from './decision.ts'
import type { SettleOptions } from './settling.ts'
import { othersOf } from './together.ts'
import type { Credits, Decision, LimitState, TollgateRequest, Violation } from './types.ts'
import { emptyReservation, recordUncounted } from './uncounted.ts'

/** What a request costs: what it says itself, and never less than its operation does. */
export function costOf({ vocabulary: { costs } }: Program, { operation, amounts }: TollgateRequest): number {
  const stated = (amounts as Record<string, number> | undefined)?.['credits'] ?? 0
  return Math.max(stated, operation === undefined ? 0 : (costs.get(operation) ?? 0))
}

/** Who pays: the team that the request names, else its subject. */
function payerOf(request: TollgateRequest): string {
  return othersOf(request).find(({ subject }) => subject.startsWith('team:'))?.subject ?? request.subject
}

/**
 * A request that costs credits. What tightens goes counters first, then the ledger: when counters deny, credits are not
 * asked; when credits deny, the counters are taken back as if they had never been asked, guards included. A process that
 * dies in between leaves holds, which end by themselves.
 */
export async function decideWithCredits(engine: Engine, asked: TollgateRequest, action: Action, program: Program, cost: number): Promise<Decision> {
  const account = payerOf(asked)
  const request = program.vocabulary.meters.has('credits') ? { ...asked, amounts: { ...asked.amounts, credits: cost } } : asked
  if (action === 'check') return announced(engine, request, action, await checkCredits(engine, request, account, program, cost))
  const [id, reservation] = idsFor(engine, asked, action)
  const decision = await engine.decideLimits(request, 'reserve', action === 'reserve' ? { reservation, credits: { account, id } } : { reservation })
  if (decision.violations.length > 0) {
    if (action === 'consume') {
      delete decision.reservation
      if (decision.allowed) recordUncounted(engine, request, decision)
    }
    return announced(engine, request, action, decision)
  }
  let answer: LedgerAnswer
  try {
    const { operation } = request
    const spending = { id, amount: cost, ...(operation !== undefined && { operation }) }
    answer = await engine.askLedger(account, action === 'consume' ? { kind: 'deduct', ...spending } : { kind: 'hold', ...spending, ttlMs: request.ttlMs ?? DEFAULT_TTL_MS }, request.signal)
  } catch (error) {
    await engine.settling.undoAll(decision.reservation!.id)
    // With a key, whoever repeats the request resolves it.
    if (isUnheard(error) && asked.idempotencyKey === undefined) cancelLater(engine, account, id)
    throw asked.idempotencyKey !== undefined && isConflict(error) ? usedUp() : error
  }
  if (answer.isReplay) engine.deciding.noteRepeat(decision)
  decision.credits = creditsOf(answer.balance, cost, answer.deficit)
  if (!answer.ok) {
    await engine.settling.undoAll(decision.reservation!.id)
    await deny(engine, decision, request, action, program, account, answer)
  } else {
    // Its id stays in the answer: what was spent is refunded by it.
    if (action === 'consume') await countAsUsed(engine, decision)
    engine.deciding.warn(decision)
    if (answer.isNear) engine.events.emit('warning', { subject: account, plan: decision.plan, limit: stateOf(answer.balance, answer.at, null) })
  }
  return announced(engine, request, action, decision)
}

/**
 * By which id the ledger knows a request, and by which the counters do. With an idempotency key the first is the same for
 * every attempt, so that a process which died after it charged, and is asked again, charges once; the second never is.
 */
function idsFor({ config: { newId } }: Engine, { idempotencyKey }: TollgateRequest, action: Action): [id: string, reservation: string] {
  if (idempotencyKey === undefined) {
    const id = newId()
    return [id, id]
  }
  const id = `k_${createHash('sha256').update(`${action} ${idempotencyKey}`).digest('base64url').slice(0, KEY_DIGEST)}`
  return [id, `${id}.${newId()}`]
}

/** Characters: 132 bits of the digest. */
const KEY_DIGEST = 22

/** The id by which the ledger knows a reservation, or an entry's `reservation`, which is that id: without what stores add to it. */
export function ledgerIdOf(id: string): string {
  const own = id.replace(/^local_/, '').replace(/~[0-9a-f]{2}$/, '')
  return /^k_[\w-]{22}(?=\.)/.exec(own)?.[0] ?? own
}

/** The credits are spent: what the counters cannot be told any more, their hold says until it ends. */
async function countAsUsed(engine: Engine, decision: Decision): Promise<void> {
  try {
    await engine.settling.settle(decision.reservation!.id, 'commit')
  } catch (error) {
    if (!isUnheard(error)) throw error
    decision.degraded = true
  }
}

/** Waits between attempts to take back what nobody heard of: a minute in all. After that a hold ends by itself, and a deduction stands. */
const CANCEL_WAITS_MS = [0, 1000, 4000, 15_000, 40_000]

/** The question may still be on its way to the ledger: it must not be paid for, now or later. */
function cancelLater(engine: Engine, account: string, id: string, attempt = 0): void {
  const waitMs = CANCEL_WAITS_MS[attempt]
  if (waitMs === undefined) return
  engine.config.clock.after(waitMs, () => {
    engine.askLedger(account, { kind: 'cancel', id }).catch(() => cancelLater(engine, account, id, attempt + 1))
  })
}

/** Nobody heard what became of the call. */
function isUnheard(error: unknown): boolean {
  return TollgateError.isInstance(error) && (error.code === 'STORE_UNAVAILABLE' || error.code === 'ABORTED')
}

function isConflict(error: unknown): boolean {
  return TollgateError.isInstance(error) && error.code === 'IDEMPOTENCY_CONFLICT'
}

/** The ledger speaks of an id that follows from the key, and that nobody was told. */
function usedUp(): TollgateError {
  return new TollgateError('IDEMPOTENCY_CONFLICT', 'idempotencyKey: it was used with another request, or for a reservation that was settled since; use a new key', { field: 'idempotencyKey' })
}

function announced(engine: Engine, request: TollgateRequest, action: Action, decision: Decision): Decision {
  engine.announce(request, action, decision)
  return decision
}

async function checkCredits(engine: Engine, request: TollgateRequest, account: string, program: Program, cost: number): Promise<Decision> {
  const decision = await engine.decideLimits(request, 'check')
  if (decision.violations.length > 0) return decision
  const { forecast, ...balance } = await engine.balanceOf(account, cost, request.signal)
  const deficit = Math.max(0, cost - Math.max(0, balance.available))
  decision.credits = creditsOf(balance, cost, deficit)
  if (deficit > 0) await deny(engine, decision, request, 'check', program, account, { ok: false, at: balance.at, balance, deficit, retryAt: forecast })
  return decision
}

async function deny(engine: Engine, decision: Decision, request: TollgateRequest, action: Action, program: Program, account: string, { balance, at, retryAt = null }: LedgerAnswer): Promise<void> {
  const isShadow = decision.mode === 'shadow'
  const state = stateOf(balance, at, retryAt)
  if (account !== request.subject) state.subject = account
  decision.violations.push(violationOf(engine, state, request, program, decision.credits!))
  decision.allowed = isShadow
  decision.retryAfterMs = isShadow ? 0 : longerWait(decision.retryAfterMs, state.retryAfterMs)
  delete decision.reservation
  // What the request would have added was taken back.
  if (action !== 'check') decision.limits = (await engine.decideLimits(request, 'check')).limits
  // Shadow mode lets it pass: there is a reservation to settle, of nothing.
  if (isShadow && action === 'reserve') decision.reservation = await emptyReservation(engine, request, decision.plan)
  if (isShadow && action === 'consume') recordUncounted(engine, request, decision)
}

function creditsOf({ balance, available, reserved, spent }: Balance, cost: number, deficit: number): Credits {
  return { cost, balance, available, reserved, spent, deficit }
}

/** The account as a limit: what is reserved is used, and what is available remains. */
function stateOf({ balance, available, reserved }: Balance, at: number, retryAt: number | null): LimitState {
  return {
    limit: 'credits', kind: 'credits', code: 'INSUFFICIENT_CREDITS',
    max: Math.max(0, balance), used: reserved, remaining: Math.max(0, available), resetAt: retryAt, retryAfterMs: retryAt === null ? null : retryAt - at,
  }
}

function violationOf(engine: Engine, state: LimitState, { locale }: TollgateRequest, program: Program, { cost, deficit }: Credits): Violation {
  const { catalog, message, localeOf, clock } = engine.config
  const ours = program.definition.credits?.grant ?? 0
  const better = catalog.above(program).flatMap(({ id, name, definition: { credits } }) => (credits && credits.grant > ours && credits.grant >= deficit ? [{ id, plan: name, max: credits.grant }] : []))
  const text = message({ ...state, meter: 'credits', amount: cost, cost, plan: program.name, better: better.map(({ plan, max }) => ({ plan, max })), now: clock.now() }, localeOf(locale))
  return { ...state, message: text, liftedBy: better.map(({ id }) => id) }
}

/** What a settlement does to the credits that its reservation holds; asking again has no second effect. */
export async function settleCredits(engine: Engine, { account, id, isFree = false }: HeldCredits, plan: string, action: 'commit' | 'release' | 'undo' | 'extend', { amounts, ttlMs, signal }: SettleOptions): Promise<void> {
  const amount = amounts?.['credits']
  if (isFree && (action !== 'commit' || !amount)) return
  try {
    if (action === 'commit') {
      if (isFree) await holdNothing(engine, account, id, signal)
      const { isNear, balance, at } = await engine.askLedger(account, { kind: 'commit', id, overage: engine.config.overage, ...(amount !== undefined && { amount }) }, signal)
      if (isNear) engine.events.emit('warning', { subject: account, plan, limit: stateOf(balance, at, null) })
    } else if (action === 'extend') await engine.askLedger(account, { kind: 'extend', id, ttlMs: ttlMs! }, signal)
    else await engine.askLedger(account, { kind: 'release', id }, signal)
  } catch (error) {
    if (!(TollgateError.isInstance(error) && error.code === 'ALREADY_SETTLED')) throw error
  }
}

/** What was to cost nothing is committed with what it did cost, like any commit above its estimate. */
async function holdNothing(engine: Engine, account: string, id: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await engine.askLedger(account, { kind: 'hold', id, amount: 0, ttlMs: DEFAULT_TTL_MS }, signal)
  } catch (error) {
    // It was committed before.
    if (!isConflict(error)) throw error
  }
}

/** A reservation that is to cost nothing, where commits may say otherwise. */
export function freeCredits(engine: Engine, request: TollgateRequest, program: Program, action: Action): HeldCredits | undefined {
  if (action !== 'reserve' || !program.vocabulary.meters.has('credits')) return undefined
  return { account: payerOf(request), id: engine.config.newId(), isFree: true }
}
