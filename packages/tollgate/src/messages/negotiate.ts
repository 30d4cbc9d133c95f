import type { Locale } from './language.ts'

/** Browsers send under 100 characters; what a hostile client sends beyond this is not read. */
const MAX_LENGTH = 512
/** Reading a header takes longer than all other work of a middleware, and clients send the same few hundred. */
const MAX_REMEMBERED = 500
const remembered = new Map<string, Locale | undefined>()

/**
 * The language of ours that an `Accept-Language` header, or a single tag such as `es-MX`, likes best.
 * Of equally liked ones the first wins; `q=0` and what is not understood count as not named.
 */
export function negotiateLocale<F extends Locale | undefined>(header: string | null | undefined, fallback: F): Locale | F {
  if (!header) return fallback
  const key = header.slice(0, MAX_LENGTH)
  let liked = remembered.get(key)
  if (liked === undefined && !remembered.has(key)) {
    liked = likedMost(key)
    if (remembered.size === MAX_REMEMBERED) remembered.clear()
    remembered.set(key, liked)
  }
  return liked ?? fallback
}

/** Undefined is no preference: none of ours is named, or `*` is liked better. */
function likedMost(header: string): Locale | undefined {
  let best: Locale | undefined
  let bestQuality = 0
  for (const range of header.split(',')) {
    const [tag = '', ...parameters] = range.split(';')
    const isAny = tag.trim() === '*'
    const locale = localeOf(tag.trim())
    const quality = qualityOf(parameters)
    if ((isAny || locale !== undefined) && quality > bestQuality) {
      best = locale
      bestQuality = quality
    }
  }
  return best
}

function localeOf(tag: string): Locale | undefined {
  const [language = ''] = tag.toLowerCase().split('-', 1)
  return language === 'en' || language === 'es' || language === 'ru' ? language : undefined
}

function qualityOf(parameters: readonly string[]): number {
  if (parameters.length === 0) return 1
  const match = /^\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*$/i.exec(parameters[0]!)
  return match ? Number(match[1]) : 0
}
