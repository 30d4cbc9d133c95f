import { en } from './en.ts'
import { es } from './es.ts'
import type { Forms, Language, Locale } from './language.ts'
import { ru } from './ru.ts'

export const LANGUAGES: Readonly<Record<Locale, Language>> = { en, es, ru }

const UNIT_MS = { day: 86_400_000, hour: 3_600_000, minute: 60_000, second: 1000 } as const

/** `n` with the separators of the language; `Infinity` as its word for unlimited. */
export function formatCount(n: number, locale: Locale): string {
  return n === Infinity ? LANGUAGES[locale].unlimited : numbersOf(locale).format(n)
}

/** The form of `forms` that `n` takes: `plural('ru', 2, { one: 'запрос', few: 'запроса', other: 'запросов' })`. */
export function plural(locale: Locale, n: number, forms: Forms): string {
  return forms[pluralsOf(locale).select(n)] ?? forms.other
}

/** `50 requests`: the count and its noun. */
export function counted(n: number, forms: Forms, locale: Locale): string {
  return `${formatCount(n, locale)} ${plural(locale, n, forms)}`
}

/** What a length of time is in its sentence: «через 1 секунду», but «пауза 1 секунда». */
export type Role = 'object' | 'subject'

/** How long to wait, in one unit, rounded up so that nobody comes back too early: `5 seconds`, `2 minutes`, `30 hours`, `12 days`. */
export function formatWait(ms: number, locale: Locale, role: Role = 'object'): string {
  const units = unitsOf(locale, role)
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  if (seconds < 60) return counted(seconds, units.second, locale)
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 60) return counted(minutes, units.minute, locale)
  const hours = Math.ceil(minutes / 60)
  if (hours < 48) return counted(hours, units.hour, locale)
  return counted(Math.ceil(hours / 24), units.day, locale)
}

/** A length of time exactly, in the largest unit that measures it whole: `1 hour`, `90 seconds`. */
export function formatSpan(ms: number, locale: Locale, role: Role = 'object'): string {
  const units = unitsOf(locale, role)
  for (const unit of ['day', 'hour', 'minute'] as const) {
    if (ms % UNIT_MS[unit] === 0) return counted(ms / UNIT_MS[unit], units[unit], locale)
  }
  return counted(ms / UNIT_MS.second, units.second, locale)
}

function unitsOf(locale: Locale, role: Role): Language['units'] {
  const { units, subjectUnits } = LANGUAGES[locale]
  return role === 'subject' ? { ...units, ...subjectUnits } : units
}

/** The last instant that a Date can be. */
const MAX_INSTANT = 8.64e15

/** `Nov 22, 2026, 00:00 UTC`. What is later than any date, such as the end of a debt of millions of days, is the last one. */
export function formatInstant(at: number, locale: Locale): string {
  return `${datesOf(locale).format(Math.min(at, MAX_INSTANT))} UTC`
}

// Building an Intl object takes some 20 µs, using it well under one.
const pluralsOf = remembered((locale) => new Intl.PluralRules(locale))
const numbersOf = remembered((locale) => new Intl.NumberFormat(locale))
const datesOf = remembered((locale) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23', timeZone: 'UTC' }))

function remembered<T>(make: (locale: Locale) => T): (locale: Locale) => T {
  const made = new Map<Locale, T>()
  return (locale) => {
    let it = made.get(locale)
    if (it === undefined) made.set(locale, (it = make(locale)))
    return it
  }
}
