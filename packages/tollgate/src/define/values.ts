/** The rules for single values. */
import { assertTimezone, type CalendarUnit } from '../compile/calendar.ts'
import { durationMs, type Duration } from './duration.ts'
import { refuse, type Rule } from './rules.ts'

/** The largest amount: it fits a signed 32-bit integer, which every store has. */
export const MAX_AMOUNT = 2 ** 31 - 1

export const boolean: Rule<boolean> = (value, field) =>
  typeof value === 'boolean' ? value : refuse(value, field, 'a boolean', 'use true or false')

export function integer(min: number, max: number): Rule<number> {
  const range = `an integer from ${min} to ${max}`
  return (value, field) => (isInteger(value, min, max) ? value : refuse(value, field, range, `use ${range}`))
}

/** The most that a limit admits. JSON has no `Infinity`: it writes `null`, which is read back here. */
export function amount(max = MAX_AMOUNT): Rule<number> {
  return (value, field) => {
    if (value === Infinity || value === null) return Infinity
    return isInteger(value, 0, max) ? value : refuse(value, field, 'an amount', `use an integer from 0 to ${max}, or Infinity (null in JSON)`)
  }
}

function isInteger(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

export const share: Rule<number> = (value, field) =>
  typeof value === 'number' && value > 0 && value <= 1 ? value : refuse(value, field, 'a share of the limit', 'use a number above 0 and up to 1, such as 0.8')

export const priceAmount: Rule<number> = (value, field) =>
  typeof value === 'number' && value >= 0 && value < Infinity ? value : refuse(value, field, 'an amount of money', 'use a finite number from 0, such as 19.9')

export const currency: Rule<string> = (value, field) =>
  typeof value === 'string' && /^[A-Z]{3}$/.test(value) ? value : refuse(value, field, 'a currency', "use three capital letters (ISO 4217), such as 'USD'")

// JavaScript moves keys of digits alone to the front of an object: a plan's order of limits would be lost.
const NAME = /^(?!\d+$)[\w.-]{1,64}$/
// A lookup of 'toString' in any object finds something: such names are nobody's.
const RESERVED = [...Object.getOwnPropertyNames(Object.prototype), 'prototype']

/** Of a plan, limit, meter, dimension, operation or code. Without '/', which comes between plan set and plan. */
export const name: Rule<string> = (value, field) => {
  if (typeof value !== 'string' || !NAME.test(value)) {
    return refuse(value, field, 'a name', "use 1 to 64 letters, digits, '_', '-' or '.', and not digits alone")
  }
  return RESERVED.includes(value) ? refuse(value, field, 'free', 'JavaScript uses it; take another name') : value
}

/** Of a dimension, such as 'claude-3.5-sonnet'. */
export const dimensionValue: Rule<string> = (value, field) =>
  typeof value === 'string' && value.length >= 1 && value.length <= 256
    ? value
    : refuse(value, field, 'a dimension value', 'use a string of 1 to 256 characters')

export function duration(minMs = 1): Rule<Duration> {
  return (value, field) => {
    if (typeof value !== 'string' && typeof value !== 'number') refuse(value, field, 'a length of time', "use milliseconds or a value such as '5s', '1m', '1h', '30d'")
    durationMs(value, field, minMs)
    return value as Duration
  }
}

const UNITS: readonly unknown[] = ['day', 'week', 'month'] satisfies CalendarUnit[]

/** Of a quota, a price or a credit allowance. */
export const period: Rule<CalendarUnit | Duration> = (value, field) => {
  if (UNITS.includes(value)) return value as CalendarUnit
  const isDuration = typeof value === 'number' || (typeof value === 'string' && /^\d/.test(value))
  return isDuration ? duration()(value, field) : refuse(value, field, 'a period', "use 'day', 'week', 'month' or a duration such as '30d'")
}

export const timezone: Rule<string> = (value, field) => {
  if (typeof value !== 'string') refuse(value, field, 'a time zone', "use an IANA name such as 'Europe/Madrid' or 'UTC'")
  assertTimezone(value, field)
  return value
}

/** What every store can keep: neither NUL nor half of a surrogate pair. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0') && value.isWellFormed()
}
