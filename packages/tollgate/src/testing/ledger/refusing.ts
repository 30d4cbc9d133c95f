import { equal, rejects } from 'node:assert/strict'
import { TollgateError } from '../../errors/index.ts'
import { DENY, type LedgerFixture, type LedgerScenarios, ruleOf, START_AT } from './fixture.ts'

const NO_AMOUNTS = [-1, 1.5, 2 ** 31, 2 ** 53, Number.NaN, Infinity, -Infinity, '5', null, true, [5], {}, 5n]
const NO_NAMES = ['', 'x'.repeat(513), 'a\0b', '\ud800', null, 7, {}, ['a'], undefined]
const NO_TEXTS = ['x'.repeat(1001), 'a\0b', 'a\udc00', 7, {}, null]
const NO_INSTANTS = [-1, 1.5, 2 ** 53, 9.1e12, Number.NaN, Infinity, 'tomorrow', null, new Date(START_AT + 1000)]

const grant = { kind: 'grant', amount: 5, source: 'pack', key: 'k' }
const hold = { kind: 'hold', id: 'x', amount: 5, ttlMs: 1000 }
const change = { kind: 'setAllowance', rule: ruleOf(), at: 'now', proration: 'restart', leftover: 'keep' }

/** Each refused, naming the field, with nothing changed. */
async function refusesEach(f: LedgerFixture, field: string, values: readonly unknown[], make: (value: unknown) => object): Promise<void> {
  for (const value of values) await f.refuses('INVALID_REQUEST', make(value), field)
}

/** An account with a bit of everything. */
async function prepare(f: LedgerFixture): Promise<void> {
  await f.plan(ruleOf({ rolloverMax: 10, softLimit: 0.5 }))
  await f.grants(50, { expiresAt: START_AT + 1e6 })
  await f.holds('open', 10)
  await f.deducts('spent', 10)
}

async function invalid(act: () => Promise<unknown>, field: string): Promise<void> {
  await rejects(act, (error) => TollgateError.isInstance(error) && error.code === 'INVALID_REQUEST' && error.field === field)
}

/** Nonsense: an error that names the field, and nothing is changed. */
export const refusing: LedgerScenarios = {
  'what is no command': async (f) => {
    await prepare(f)
    for (const command of [null, undefined, 'grant', 7, []]) await f.refuses('INVALID_REQUEST', command)
    for (const kind of ['Grant', '', null, undefined, 7, '__proto__', 'constructor', 'toString', {}]) await f.refuses('INVALID_REQUEST', { ...grant, kind }, 'kind')
  },

  'amounts that are none': async (f) => {
    await prepare(f)
    await refusesEach(f, 'amount', [...NO_AMOUNTS, 0, undefined], (amount) => ({ ...grant, amount }))
    await refusesEach(f, 'amount', [...NO_AMOUNTS, undefined], (amount) => ({ ...hold, amount }))
    await refusesEach(f, 'amount', [...NO_AMOUNTS, undefined], (amount) => ({ kind: 'deduct', id: 'x', amount }))
    await refusesEach(f, 'amount', NO_AMOUNTS, (amount) => ({ kind: 'commit', id: 'open', amount, overage: DENY }))
    await refusesEach(f, 'amount', [...NO_AMOUNTS, 0, 11], (amount) => ({ kind: 'refund', id: 'spent', amount, key: 'k' }))
    await refusesEach(f, 'lot', [...NO_AMOUNTS.filter((value) => value !== 2 ** 31), 0, undefined], (lot) => ({ kind: 'void', lot, key: 'k' }))
  },

  'ids and keys that are none': async (f) => {
    await prepare(f)
    for (const make of [(key: unknown) => ({ ...grant, key }), (key: unknown) => ({ kind: 'void', lot: 1, key }), (key: unknown) => ({ kind: 'refund', id: 'spent', key })]) await refusesEach(f, 'key', NO_NAMES, make)
    for (const make of [
      (id: unknown) => ({ ...hold, id }),
      (id: unknown) => ({ kind: 'deduct', id, amount: 1 }),
      (id: unknown) => ({ kind: 'commit', id, overage: DENY }),
      (id: unknown) => ({ kind: 'release', id }),
      (id: unknown) => ({ kind: 'extend', id, ttlMs: 1000 }),
      (id: unknown) => ({ kind: 'refund', id, key: 'k' }),
    ]) await refusesEach(f, 'id', NO_NAMES, make)
  },

  'reservations that never were': async (f) => {
    await prepare(f)
    for (const command of [{ kind: 'commit', id: 'never', overage: DENY }, { kind: 'release', id: 'never' }, { kind: 'extend', id: 'never', ttlMs: 1 }, { kind: 'refund', id: 'never', key: 'k' }]) await f.refuses('UNKNOWN_RESERVATION', command, 'id')
    await f.refuses('NOT_FOUND', { kind: 'void', lot: 99, key: 'k' }, 'lot')
  },

  'texts, operations and sources that are none': async (f) => {
    await prepare(f)
    await refusesEach(f, 'reason', NO_TEXTS, (reason) => ({ ...grant, reason }))
    await refusesEach(f, 'actor', NO_TEXTS, (actor) => ({ ...grant, actor }))
    await refusesEach(f, 'operation', NO_NAMES.slice(0, -1), (operation) => ({ ...hold, operation }))
    await refusesEach(f, 'operation', NO_NAMES.slice(0, -1), (operation) => ({ kind: 'deduct', id: 'x', amount: 1, operation }))
    await refusesEach(f, 'source', ['plan', 'rollover', 'gift', '', undefined, null], (source) => ({ ...grant, source }))
  },

  'times and priorities that are none': async (f) => {
    await prepare(f)
    await refusesEach(f, 'effectiveAt', NO_INSTANTS, (effectiveAt) => ({ ...grant, effectiveAt }))
    await refusesEach(f, 'expiresAt', [...NO_INSTANTS, 0, START_AT - 1, START_AT], (expiresAt) => ({ ...grant, expiresAt }))
    await refusesEach(f, 'expiresAt', [START_AT + 999, START_AT + 1000], (expiresAt) => ({ ...grant, effectiveAt: START_AT + 1000, expiresAt }))
    await refusesEach(f, 'priority', [0.5, 2 ** 31, -(2 ** 31), Number.NaN, Infinity, '1', null], (priority) => ({ ...grant, priority }))
    for (const make of [(ttlMs: unknown) => ({ ...hold, ttlMs }), (ttlMs: unknown) => ({ kind: 'extend', id: 'open', ttlMs })]) await refusesEach(f, 'ttlMs', [...NO_AMOUNTS, 0, 86_400_001, undefined], make)
  },

  'policies of overage that are none': async (f) => {
    await prepare(f)
    const commit = (overage: unknown) => ({ kind: 'commit', id: 'open', amount: 500, overage })
    await refusesEach(f, 'overage', [undefined, null, 'deny', 7], commit)
    await refusesEach(f, 'overage.policy', ['allow', '', undefined, null].map((policy) => ({ policy })), commit)
    await refusesEach(f, 'overage.floor', [1, -0.5, Number.NaN, -Infinity, -(2 ** 31), undefined, null, '-5'].map((floor) => ({ policy: 'overdraft', floor })), commit)
  },

  'allowances that are none': async (f) => {
    await prepare(f)
    const rule = (facts: object) => ({ ...change, rule: { ...ruleOf({ plan: 'set/other' }), ...facts } })
    await refusesEach(f, 'rule', [undefined, 'plan', 7], (value) => ({ ...change, rule: value }))
    await refusesEach(f, 'rule.plan', NO_NAMES, (plan) => rule({ plan }))
    await refusesEach(f, 'rule.amount', [...NO_AMOUNTS, undefined], (amount) => rule({ amount }))
    await refusesEach(f, 'rule.rolloverMax', [...NO_AMOUNTS, undefined], (rolloverMax) => rule({ rolloverMax }))
    await refusesEach(f, 'rule.priority', [0.5, Number.NaN, null, undefined], (priority) => rule({ priority }))
    await refusesEach(f, 'rule.softLimit', [0, -1, 1.1, Number.NaN, '0.8', undefined], (softLimit) => rule({ softLimit }))
    await refusesEach(f, 'rule.anchor', ['Subject', '', undefined], (anchor) => rule({ anchor }))
    await refusesEach(f, 'rule.isEligible', ['yes', 1, undefined, null], (isEligible) => rule({ isEligible }))
    for (const [facts, field] of [[{ every: 'fortnight' }, 'every'], [{ every: 0 }, 'every'], [{ every: 1.5 }, 'every'], [{ every: Infinity }, 'every'], [{ timezone: 'Mars/Olympus' }, 'timezone'], [{ timezone: '' }, 'timezone'], [{ timezone: undefined }, 'timezone']] as const) {
      await f.refuses('INVALID_DEFINITION', rule(facts), field)
    }
    await refusesEach(f, 'at', ['later', undefined], (at) => ({ ...change, at }))
    await refusesEach(f, 'proration', ['none', undefined], (proration) => ({ ...change, proration }))
    await refusesEach(f, 'leftover', ['lapse', undefined], (leftover) => ({ ...change, leftover }))
  },

  'subjects that are none': async (f) => {
    for (const subject of NO_NAMES as string[]) {
      for (const act of [() => f.ledger.run(subject, { kind: 'touch' }), () => f.ledger.balance(subject), () => f.ledger.entries(subject), () => f.ledger.balanceAt(subject, START_AT), () => f.ledger.erase(subject)]) await invalid(act, 'subject')
      if (subject !== null) await invalid(() => f.ledger.verify(subject), 'subject')
    }
  },

  'pages, instants and numbers of accounts that are none': async (f) => {
    await prepare(f)
    for (const limit of [0, -1, 1001, 1.5, Number.NaN, '3'] as number[]) await invalid(() => f.ledger.entries(f.user, { limit }), 'limit')
    for (const before of [0, -1, 1.5, Number.NaN, 2 ** 53] as number[]) await invalid(() => f.ledger.entries(f.user, { before }), 'before')
    for (const at of NO_INSTANTS as number[]) await invalid(() => f.ledger.balanceAt(f.user, at), 'at')
    for (const limit of [0, -1, 1.5, Number.NaN, Infinity] as number[]) await invalid(() => f.ledger.runDue(limit), 'limit')
    for (const amount of [-1, 1.5, Number.NaN, 2 ** 31] as number[]) await invalid(() => f.ledger.balance(f.user, amount), 'amount')
  },

  'a stranger who asks for nonsense has no account after it': async (f) => {
    await f.refuses('INVALID_REQUEST', { ...grant, amount: -5 })
    await f.refuses('INVALID_DEFINITION', { ...change, rule: ruleOf({ timezone: 'Mars/Olympus' }) })
    await f.refuses('INVALID_REQUEST', { ...grant, expiresAt: START_AT })
    equal((await f.ledger.entries(f.user)).entries.length, 0)
    await f.ask({ ...grant, key: 'k' } as never)
    await f.has({ balance: 5 })
  },

  'more than can be counted': async (f) => {
    const most = 2 ** 31 - 1
    await f.grants(most)
    await f.grants(most)
    await f.deducts('d', most)
    await f.has({ balance: most, granted: 2 * most })
    await f.holds('h', most)
    await f.commits('h', most)
    await f.has({ balance: 0, spent: 2 * most })
  },
}
