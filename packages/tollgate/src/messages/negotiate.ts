import type { Locale } from './language.ts'

/** Browsers send under 100 characters; what a hostile client sends beyond this is not read. */
const MAX_LENGTH = 512

/**
 * The language of ours that an `Accept-Language` header, or a single tag such as `es-MX`, likes best.
 * Of equally liked ones the first wins; `q=0` and what is not understood count as not named.
 */
export function negotiateLocale(header: string | null | undefined, fallback: Locale): Locale {
  if (!header) return fallback
  let best = fallback
  let bestQuality = 0
  for (const range of header.slice(0, MAX_LENGTH).split(',')) {
    const [tag = '', ...parameters] = range.split(';')
    const locale = localeOf(tag.trim(), fallback)
    const quality = qualityOf(parameters)
    if (locale !== undefined && quality > bestQuality) {
      best = locale
      bestQuality = quality
    }
  }
  return best
}

function localeOf(tag: string, fallback: Locale): Locale | undefined {
  if (tag === '*') return fallback
  const [language = ''] = tag.toLowerCase().split('-', 1)
  return language === 'en' || language === 'es' || language === 'ru' ? language : undefined
}

function qualityOf(parameters: readonly string[]): number {
  if (parameters.length === 0) return 1
  const match = /^\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*$/i.exec(parameters[0]!)
  return match ? Number(match[1]) : 0
}
