/** The rules for the options of `createTollgate`, which JavaScript and JSON do not check. */
import type { PlanSet } from '../compile/catalog.ts'
import { listOf, objectOf, oneOf, optional, readObject, recordOf, refuse, type Rule } from '../define/rules.ts'
import { integer, MAX_AMOUNT, name, share } from '../define/values.ts'
import { invalidDefinition } from '../errors/index.ts'
import type { MessageOverrides } from '../messages/index.ts'
import type { AnyOptions } from './create.ts'

const MAX_PLAN_SETS = 1000
const MAX_KINDS = 1000
const MAX_TEXTS = 10_000

/** Checked elsewhere, by rules of its own. */
const unchecked = <T>(value: unknown): T => value as T

const anyKey: Rule<string> = (value) => value as string

/** An object of any class that has these methods. */
function having<T>(needed: string, ...methods: readonly (keyof T & string)[]): Rule<T> {
  return (value, field) => {
    const has = typeof value === 'object' && value !== null && methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function')
    return has ? (value as T) : refuse(value, field, needed, `use an object with ${methods.join(', ')}`)
  }
}

const clockObject = having<Exclude<NonNullable<AnyOptions['clock']>, () => number>>('a clock', 'now', 'after')

const defaultPlanByKind = recordOf<string>('default plans', 1, MAX_KINDS, anyKey, (value, field) =>
  typeof value === 'string' ? value : refuse(value, field, 'a plan', "use a plan's name"))

const texts = recordOf('texts', 0, MAX_TEXTS, anyKey, (value, field) =>
  typeof value === 'string' || typeof value === 'function' ? (value as string) : refuse(value, field, 'a text', 'use a string, or a function that makes one'))

const overage: Rule<NonNullable<AnyOptions['overage']>> = (value, field) => {
  const { policy, floor } = readObject(value, field) ?? {}
  if (policy === 'clamp') return { policy }
  if (policy === 'overdraft') return { policy, floor: integer(-MAX_AMOUNT, 0)(floor, `${field}.floor`) }
  return refuse(policy, `${field}.policy`, 'a policy', "use 'clamp', or 'overdraft' with a floor")
}

const options = objectOf<AnyOptions>('the options', {
  plans: unchecked,
  operations: unchecked,
  planSets: optional(listOf('plan sets', 1, MAX_PLAN_SETS, objectOf<PlanSet>('a plan set', { name, plans: unchecked, operations: unchecked, defaultOperation: optional(name) }))),
  defaultPlan: optional((value, field) => {
    if (typeof value === 'string') return value
    if (typeof value !== 'object' || value === null) refuse(value, field, 'a plan', "use a plan's name, or one per kind of subject")
    return defaultPlanByKind(value, field)
  }),
  namespace: optional((value, field) =>
    typeof value === 'string' && /^[\w.-]{1,64}$/.test(value) ? value : refuse(value, field, 'a namespace', "use 1 to 64 letters, digits, '_', '-' or '.'")),
  store: optional(having('a store', 'decide', 'settle', 'usage', 'reset')),
  subjects: optional(having('a store of subjects', 'get', 'set', 'delete')),
  ledger: optional(having('a ledger', 'run', 'balance', 'entries', 'erase')),
  record: optional(having('a record', 'write', 'totals', 'erase')),
  overage: optional(overage),
  receipts: optional(having('a store of receipts', 'once')),
  clock: optional((value, field) => (typeof value === 'function' ? (value as () => number) : clockObject(value, field))),
  secret: optional((value, field) =>
    typeof value === 'string' || value instanceof Uint8Array ? value : refuse(value, field, 'a secret', 'use a string or bytes, at least 16')),
  locale: optional(oneOf('a language', ['en', 'es', 'ru'])),
  messages: optional(objectOf<MessageOverrides>('texts by language', { en: optional(texts), es: optional(texts), ru: optional(texts) })),
  rollout: optional((value, field) => (readObject(value, field) ?? refuse(value, field, 'a rollout', 'use an object with mode and percent')) as unknown as NonNullable<AnyOptions['rollout']>),
  storeTimeoutMs: optional(integer(1, 60_000)),
  ledgerTimeoutMs: optional(integer(1, 60_000)),
  recordTimeoutMs: optional(integer(1, 60_000)),
  maxInFlight: optional(integer(1, 1_000_000)),
  maxReceipts: optional(integer(1, 10_000_000)),
  localShare: optional(share),
  newId: optional((value, field) => (typeof value === 'function' ? (value as () => string) : refuse(value, field, 'a function', 'use a function that gives a new id with each call'))),
  random: optional((value, field) => (typeof value === 'function' ? (value as () => number) : refuse(value, field, 'a function', 'use a function that gives a number from 0 to 1'))),
})

/** @throws INVALID_DEFINITION that names the option. */
export function validateOptions(value: unknown): AnyOptions {
  const data = readObject(value, 'options') ?? refuse(value, 'options', 'an object', 'use an object with plans or planSets')
  const valid = options(data, '')
  if (valid.plans === undefined && valid.planSets === undefined) throw invalidDefinition('plans', 'is missing; give plans, or planSets')
  return valid
}
