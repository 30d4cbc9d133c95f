/**
 * The parts that the rules for plans are made of. A rule reads a value of unknown origin: it gives back a frozen copy in
 * plain data, or throws INVALID_DEFINITION. Every property is read once, so that what was checked is what is kept.
 */
import { invalidDefinition, show } from '../errors/index.ts'
import { suggest } from './suggest.ts'

export type Rule<T> = (value: unknown, field: string) => T

/** A rule for every option of `T`; only those that may be left out may have one that gives `undefined`. */
export type Rules<T> = { readonly [K in keyof T]-?: Rule<{} extends Pick<T, K> ? T[K] | undefined : T[K]> }

/** Throws: `value` is not `needed`. */
export function refuse(value: unknown, field: string, needed: string, fix: string): never {
  throw invalidDefinition(field, `${value === undefined ? 'is missing' : `${show(value)} is not ${needed}`}; ${fix}`)
}

export function optional<T>(rule: Rule<T>): Rule<T | undefined> {
  return (value, field) => (value === undefined ? undefined : rule(value, field))
}

export function oneOf<const T extends string>(needed: string, choices: readonly T[]): Rule<T> {
  return (value, field) => choices.find((choice) => choice === value) ?? refuse(value, field, needed, suggest(value, choices))
}

/** An array of `min` to `max` `items`, such as 'dimension names'. */
export function listOf<T>(items: string, min: number, max: number, rule: Rule<T>): Rule<readonly T[]> {
  return (value, field) => {
    const list = readArray(value, field, max) ?? refuse(value, field, `a list of ${items}`, `use an array of ${items}`)
    assertSize(list.length, items, min, max, field)
    return Object.freeze(list.map((item, index) => rule(item, `${field}[${index}]`)))
  }
}

/** An object of `min` to `max` `items`, such as 'plans', under names that keep `key`. */
export function recordOf<T>(items: string, min: number, max: number, key: Rule<string>, rule: Rule<T>): Rule<Readonly<Record<string, T>>> {
  return (value, field) => {
    const record = readObject(value, field) ?? refuse(value, field, `a record of ${items}`, `use a plain object of ${items} by name`)
    const entries = Object.entries(record)
    assertSize(entries.length, items, min, max, field)
    return Object.freeze(Object.fromEntries(entries.map(([name, item]) => [key(name, at(field, name)), rule(item, at(field, name))])))
  }
}

/** An object that has these options and no others. */
export function objectOf<T extends object>(needed: string, rules: Rules<T>): Rule<T> {
  const options = Object.keys(rules)
  return (value, field) => {
    const data = readObject(value, field) ?? refuse(value, field, needed, `use a plain object with ${options.join(', ')}`)
    const unknown = Object.keys(data).find((key) => !options.includes(key))
    if (unknown !== undefined) throw invalidDefinition(at(field, unknown), `unknown option ${show(unknown)}; ${suggest(unknown, options)}`)
    const copy: Record<string, unknown> = {}
    for (const [option, rule] of Object.entries<Rule<unknown>>(rules)) {
      const item = rule(data[option], at(field, option))
      if (item !== undefined) copy[option] = item
    }
    return Object.freeze(copy) as T
  }
}

/** A shallow copy of a plain object, else `undefined`. Getters and proxies run here and in `readArray`, nowhere else. */
export function readObject(value: unknown, field: string): Record<string, unknown> | undefined {
  return reading(field, () => (isPlainObject(value) ? { ...value } : undefined))
}

/** At most `max` + 1 items, so that a billion cost no more than one too many. */
function readArray(value: unknown, field: string, max: number): unknown[] | undefined {
  return reading(field, () => {
    if (!Array.isArray(value)) return undefined
    return Array.from({ length: Math.min(value.length, max + 1) }, (_, index): unknown => value[index])
  })
}

function reading<T>(field: string, read: () => T): T {
  try {
    return read()
  } catch {
    throw invalidDefinition(field, 'throws when it is read; use plain data, without getters and proxies')
  }
}

/** Not an instance of a class, which JSON would not bring back. An object of another realm, such as a `vm` context, is plain. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function assertSize(size: number, items: string, min: number, max: number, field: string): void {
  if (size < min) throw invalidDefinition(field, `has no ${items}; name at least ${min}`)
  if (size > max) throw invalidDefinition(field, `has more than ${max} ${items}; use at most ${max}`)
}

/** The path of `key` in `field`, which is empty at the top; of a key of megabytes, its beginning. */
export function at(field: string, key: string): string {
  const path = field === '' ? '' : `${field}.`
  return `${path}${key.length > 64 ? `${key.slice(0, 64)}…` : key}`
}
