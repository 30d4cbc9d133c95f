import { randomUUID } from 'node:crypto'
import type { Program } from '../compile/program.ts'
import { assertText } from '../compile/request.ts'
import { invalidRequest, show } from '../errors/index.ts'
import type { Balance, GrantSource } from '../ledger/account.ts'
import { allowanceOf } from '../ledger/rule.ts'
import { ledgerIdOf } from './credits.ts'
import type { Engine } from './engine.ts'
import type { SubjectRecord } from './subjects.ts'

/** What an operator, a shop or a plan does to a subject's credits. */

export interface NewGrant {
  /** An integer 1 … 2^31−1. */
  amount: number
  /** Default `admin`. `plan` and `rollover` are the ledger's own. */
  source?: Exclude<GrantSource, 'plan' | 'rollover'>
  /** Grants of a lower priority are spent first, then what expires soonest, then the oldest. Default 0. */
  priority?: number
  /** Epoch ms. Default: now. */
  effectiveAt?: number
  /** Epoch ms. Default: never. */
  expiresAt?: number
  reason?: string
  actor?: string
  /** 1 … 256 characters. */
  idempotencyKey?: string
}

export interface Granted {
  /** Names the grant in the account's entries. */
  grant: number
  balance: Balance
}

export interface NewRefund {
  /** Default: all that was spent. */
  amount?: number
  reason?: string
  actor?: string
  idempotencyKey?: string
}

/** What a plan change does to credits. */
export interface PlanChange {
  /** `now` (default), or when the running period of the plan's credits ends. */
  at?: 'now' | 'periodEnd'
  /**
   * Of a change at once. `restart` (default): a new period with a whole allowance begins. `prorate`: the period goes on,
   * and the difference is granted, or taken back, for what is left of it.
   */
  proration?: 'restart' | 'prorate'
  /** What is left of the allowance before: stays to the end of its period (default), or goes. */
  leftover?: 'keep' | 'void'
}

const SOURCES: readonly string[] = ['pack', 'admin', 'promo']
const MAX_TEXT = 1000

export async function grantCredits(engine: Engine, subject: string, grant: NewGrant): Promise<Granted> {
  if (typeof grant !== 'object' || grant === null) throw invalidRequest('grant', `${show(grant)} is not a grant; use an object with an amount`)
  const { amount, source = 'admin', priority, effectiveAt, expiresAt } = grant
  if (!SOURCES.includes(source)) throw invalidRequest('source', `${show(source)} is not a source; use ${SOURCES.join(', ')}`)
  const answer = await engine.askLedger(subject, {
    kind: 'grant', amount, source, ...notesOf(grant),
    ...(priority !== undefined && { priority }), ...(effectiveAt !== undefined && { effectiveAt }), ...(expiresAt !== undefined && { expiresAt }),
  })
  return { grant: answer.lot!, balance: answer.balance }
}

export async function refundCredits(engine: Engine, subject: string, id: string, refund: NewRefund): Promise<{ refunded: number; balance: Balance }> {
  assertText(id, 'id')
  const { amount } = refund
  const answer = await engine.askLedger(subject, { kind: 'refund', id: ledgerIdOf(id), ...notesOf(refund), ...(amount !== undefined && { amount }) })
  return { refunded: answer.refunded!, balance: answer.balance }
}

/** Takes back what is left of a grant, by its number. */
export async function voidGrant(engine: Engine, subject: string, grant: number, note: Omit<NewRefund, 'amount'>): Promise<Balance> {
  return (await engine.askLedger(subject, { kind: 'void', lot: grant, ...notesOf(note) })).balance
}

/** Brings the account to a plan's allowance. Returns when the plan changes, if that is not now. */
export async function changeCredits(engine: Engine, subject: string, program: Program, { attributes }: SubjectRecord, change: Required<PlanChange>): Promise<number | null> {
  const { at, proration, leftover } = change
  const answer = await engine.askLedger(subject, { kind: 'setAllowance', rule: allowanceOf(program, attributes), at, proration, leftover })
  if (at === 'now') return null
  if (answer.changesAt !== undefined) return answer.changesAt
  throw invalidRequest('at', "the subject's plan grants no credits by the period, so there is no end to wait for; use 'now'")
}

export function validateChange({ at = 'now', proration = 'restart', leftover = 'keep' }: PlanChange): Required<PlanChange> {
  assertOneOf(at, 'at', ['now', 'periodEnd'])
  assertOneOf(proration, 'proration', ['restart', 'prorate'])
  assertOneOf(leftover, 'leftover', ['keep', 'void'])
  return { at, proration, leftover }
}

function assertOneOf(value: unknown, field: string, allowed: readonly string[]): void {
  if (!allowed.includes(value as string)) throw invalidRequest(field, `${show(value)} is not one of ${allowed.join(', ')}`)
}

function notesOf({ reason, actor, idempotencyKey }: Pick<NewGrant, 'reason' | 'actor' | 'idempotencyKey'>): { key: string; reason?: string; actor?: string } {
  for (const [field, text] of Object.entries({ reason, actor })) {
    if (text !== undefined && (typeof text !== 'string' || text.length > MAX_TEXT || text.includes('\0'))) throw invalidRequest(field, `${show(text)} is not a text of at most ${MAX_TEXT} characters`)
  }
  return { key: idempotencyKey ?? randomUUID(), ...(reason !== undefined && { reason }), ...(actor !== undefined && { actor }) }
}
