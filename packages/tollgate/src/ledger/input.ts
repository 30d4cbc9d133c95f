import { createPeriods } from '../compile/calendar.ts'
import { assertInteger, MAX_AMOUNT, MAX_TTL_MS } from '../compile/request.ts'
import { isText } from '../define/values.ts'
import { invalidRequest, show } from '../errors/index.ts'
import type { AllowanceRule } from './account.ts'
import type { LedgerCommand, Overage } from './commands.ts'

/** What can be said of a question without its account. All of it is checked before anything is asked. */

/** The year 2255: later instants are mistakes, and calendars end. */
const MAX_AT = 9e12
/** Room for what engines put before a subject, or an idempotency key, of 256. */
const MAX_NAME_CHARACTERS = 512
const MAX_TEXT_CHARACTERS = 1000

/** @throws INVALID_REQUEST */
export function assertSubject(subject: unknown): asserts subject is string {
  assertName(subject, 'subject')
}

/** @throws INVALID_REQUEST, which names the field, its value and the rule */
export function assertCommand(command: LedgerCommand): void {
  if (typeof command !== 'object' || command === null) throw invalidRequest('command', `${show(command)} is not a command; use an object with a kind`)
  const assert = Object.hasOwn(RULES, command.kind) ? (RULES[command.kind] as (command: LedgerCommand) => void) : undefined
  if (!assert) throw invalidRequest('kind', `${show(command.kind)} is not a command; use ${Object.keys(RULES).join(', ')}`)
  assert(command)
}

const RULES: { readonly [K in LedgerCommand['kind']]: (command: LedgerCommand & { kind: K }) => void } = {
  grant({ amount, source, priority, effectiveAt, expiresAt, ...notes }) {
    assertNotes(notes)
    assertInteger(amount, 'amount', 1, MAX_AMOUNT)
    assertOneOf(source, 'source', ['pack', 'admin', 'promo'])
    if (priority !== undefined) assertPriority(priority, 'priority')
    if (effectiveAt !== undefined) assertInstant(effectiveAt, 'effectiveAt')
    if (expiresAt !== undefined) assertInstant(expiresAt, 'expiresAt')
  },
  void({ lot, ...notes }) {
    assertNotes(notes)
    assertInteger(lot, 'lot', 1, Number.MAX_SAFE_INTEGER)
  },
  hold({ id, amount, ttlMs, operation }) {
    assertSpending(id, amount, operation)
    assertInteger(ttlMs, 'ttlMs', 1, MAX_TTL_MS)
  },
  deduct({ id, amount, operation }) {
    assertSpending(id, amount, operation)
  },
  commit({ id, amount, overage }) {
    assertName(id, 'id')
    if (amount !== undefined) assertInteger(amount, 'amount', 0, MAX_AMOUNT)
    assertOverage(overage)
  },
  release({ id }) {
    assertName(id, 'id')
  },
  cancel({ id }) {
    assertName(id, 'id')
  },
  extend({ id, ttlMs }) {
    assertName(id, 'id')
    assertInteger(ttlMs, 'ttlMs', 1, MAX_TTL_MS)
  },
  refund({ id, amount, ...notes }) {
    assertNotes(notes)
    assertName(id, 'id')
    if (amount !== undefined) assertInteger(amount, 'amount', 1, MAX_AMOUNT)
  },
  setAllowance({ rule, at, proration, leftover }) {
    if (rule !== null) assertRule(rule)
    assertOneOf(at, 'at', ['now', 'periodEnd'])
    assertOneOf(proration, 'proration', ['restart', 'prorate'])
    assertOneOf(leftover, 'leftover', ['keep', 'void'])
  },
  touch() {},
}

function assertSpending(id: unknown, amount: unknown, operation: unknown): void {
  assertName(id, 'id')
  assertInteger(amount, 'amount', 0, MAX_AMOUNT)
  if (operation !== undefined) assertName(operation, 'operation')
}

function assertNotes({ key, reason, actor }: { key: unknown; reason?: unknown; actor?: unknown }): void {
  assertName(key, 'key')
  for (const [field, text] of Object.entries({ reason, actor })) {
    if (text !== undefined && !(isText(text) && text.length <= MAX_TEXT_CHARACTERS)) throw invalidRequest(field, `${show(text)} is not a text; use at most ${MAX_TEXT_CHARACTERS} characters`)
  }
}

function assertOverage(overage: Overage): void {
  if (typeof overage !== 'object' || overage === null) throw invalidRequest('overage', `${show(overage)} is not a policy; use an object such as { policy: 'deny' }`)
  assertOneOf(overage.policy, 'overage.policy', ['deny', 'clamp', 'overdraft'])
  if (overage.policy === 'overdraft') assertInteger(overage.floor, 'overage.floor', -MAX_AMOUNT, 0)
}

function assertRule(rule: AllowanceRule): void {
  if (typeof rule !== 'object' || rule === null) throw invalidRequest('rule', `${show(rule)} is not a rule; use what the plan grants, or null`)
  const { plan, amount, every, timezone, anchor, priority, rolloverMax, softLimit, isEligible } = rule
  assertName(plan, 'rule.plan')
  assertInteger(amount, 'rule.amount', 0, MAX_AMOUNT)
  createPeriods({ every, timezone })
  assertOneOf(anchor, 'rule.anchor', ['calendar', 'subject'])
  assertPriority(priority, 'rule.priority')
  assertInteger(rolloverMax, 'rule.rolloverMax', 0, MAX_AMOUNT)
  if (softLimit !== null && !(typeof softLimit === 'number' && softLimit > 0 && softLimit <= 1)) throw invalidRequest('rule.softLimit', `${show(softLimit)} is not a share; use a number above 0 and up to 1, or null`)
  if (typeof isEligible !== 'boolean') throw invalidRequest('rule.isEligible', `${show(isEligible)} is neither true nor false`)
}

/** @throws INVALID_REQUEST */
export function assertInstant(at: unknown, field: string): asserts at is number {
  if (Number.isInteger(at) && (at as number) >= 0 && (at as number) <= MAX_AT) return
  throw invalidRequest(field, `${show(at)} is not an instant; use milliseconds since 1970`)
}

function assertPriority(value: unknown, field: string): void {
  if (Number.isInteger(value) && Math.abs(value as number) <= MAX_AMOUNT) return
  throw invalidRequest(field, `${show(value)} is not a priority; use an integer, lower ones are spent first`)
}

function assertOneOf(value: unknown, field: string, allowed: readonly string[]): void {
  if (!allowed.includes(value as string)) throw invalidRequest(field, `${show(value)} is not one of ${allowed.join(', ')}`)
}

function assertName(value: unknown, field: string): asserts value is string {
  if (isText(value) && value.length > 0 && value.length <= MAX_NAME_CHARACTERS) return
  throw invalidRequest(field, `${show(value)} is not a name; use 1 to ${MAX_NAME_CHARACTERS} characters, no NUL and no half of a surrogate pair`)
}
