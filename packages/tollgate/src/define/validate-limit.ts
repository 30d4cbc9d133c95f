import { MAX_LOGGED } from '../decide/charge.ts'
import { invalidDefinition, show } from '../errors/index.ts'
import { durationMs, type Duration } from './duration.ts'
import type { LimitDefinition, LimitKind, LimitKinds, LimitOptions, MeteredOptions } from './limits.ts'
import { at, listOf, objectOf, oneOf, optional, readObject, recordOf, refuse, type Rule, type Rules } from './rules.ts'
import { amount, boolean, dimensionValue, duration, integer, MAX_AMOUNT, name, period, share, timezone } from './values.ts'

const MAX_DIMENSIONS = 8

const dimensionValues = listOf('dimension values', 1, 1000, dimensionValue)

const per: Rule<readonly string[]> = (value, field) => {
  const names = listOf('dimension names', 0, MAX_DIMENSIONS, name)(value, field)
  const repeated = names.find((dimension, index) => names.indexOf(dimension) < index)
  if (repeated !== undefined) throw invalidDefinition(field, `${show(repeated)} is there twice; name it once`)
  return names
}

const matched: Rule<string | readonly string[]> = (value, field) =>
  typeof value === 'string' ? dimensionValue(value, field) : dimensionValues(value, field)

const common: Rules<LimitOptions> = {
  per: optional(per),
  match: optional(recordOf('dimensions', 0, MAX_DIMENSIONS, name, matched)),
  code: optional(name),
  onFailure: optional(oneOf('a failure policy', ['open', 'closed', 'local'])),
}

const metered: Rules<Omit<MeteredOptions, 'limit'>> = {
  ...common,
  meter: optional(name),
  weight: optional(integer(1, MAX_AMOUNT)),
  softLimit: optional(share),
}

const OPTIONS: { readonly [K in LimitKind]: Rules<LimitKinds[K]> } = {
  slidingWindow: { limit: amount(), window: duration(), exact: optional(boolean), ...metered },
  fixedWindow: { limit: amount(), window: duration(), ...metered },
  tokenBucket: { capacity: amount(), refill: integer(1, MAX_AMOUNT), every: duration(), ...metered },
  quota: { limit: amount(), every: period, timezone: optional(timezone), anchor: optional(oneOf('an anchor', ['calendar', 'subject'])), ...metered },
  cooldown: { wait: duration(0), ...common },
  duplicates: { limit: amount(MAX_LOGGED), window: duration(), softLimit: optional(share), ...common },
  concurrency: { limit: amount(), softLimit: optional(share), ...common },
  capacity: { limit: amount(), softLimit: optional(share), ...common },
  allowOnly: { allow: recordOf('dimensions', 1, MAX_DIMENSIONS, name, dimensionValues), ...common },
}

const kindOfLimit = oneOf('a kind of limit', Object.keys(OPTIONS) as LimitKind[])

export const limit: Rule<LimitDefinition> = (value, field) => {
  const data = readObject(value, field) ?? refuse(value, field, 'a limit', "use a factory, such as quota({ limit: 50, every: 'day' })")
  const { kind: unchecked, ...unread } = data
  const kind = kindOfLimit(unchecked, at(field, 'kind'))
  const options = objectOf<object>(`a ${kind}`, OPTIONS[kind])(unread, field)
  const definition = Object.freeze({ kind, ...options }) as LimitDefinition
  assertCountable(definition, field)
  return definition
}

/** Options that are right one by one can be too much together. */
function assertCountable(limit: LimitDefinition, field: string): void {
  if (limit.kind === 'slidingWindow' && limit.exact === true) {
    assertLogged(limit.limit, `${field}.limit`)
  } else if (limit.kind === 'slidingWindow') {
    assertProduct(limit.limit, limit.window, `${field}.limit`, 'use a smaller limit, a shorter window or a fixedWindow')
  } else if (limit.kind === 'tokenBucket') {
    assertProduct(limit.capacity, limit.every, `${field}.capacity`, "use a smaller capacity, or refill less in a shorter 'every'")
  }
}

function assertLogged(limit: number | null, field: string): void {
  if (isLimited(limit) && limit > MAX_LOGGED) {
    throw invalidDefinition(field, `${limit} is more than an exact window keeps; leave 'exact' out, or use a limit up to ${MAX_LOGGED}`)
  }
}

/** The kernel multiplies both, and integers are exact only up to 2^53. */
function assertProduct(amount: number | null, window: Duration, field: string, fix: string): void {
  const ms = durationMs(window, field)
  if (isLimited(amount) && amount * ms > Number.MAX_SAFE_INTEGER) {
    throw invalidDefinition(field, `${amount} × ${ms} ms is more than 2^53, up to which it can be counted exactly; ${fix}`)
  }
}

function isLimited(amount: number | null): amount is number {
  return amount !== null && amount !== Infinity
}
