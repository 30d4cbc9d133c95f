/** The two kinds of values of RFC 9651 (Structured Field Values) that the rate limit fields are made of. */

const MAX_INTEGER = 999_999_999_999_999
const QUOTE = 0x22
const PERCENT = 0x25
const BACKSLASH = 0x5c

/**
 * A quoted String. Such a string is ASCII: quotes and backslashes are escaped; names with other characters are percent-encoded
 * as UTF-8, as is `%` itself, so that two names never look the same and `decodeURIComponent` gives the name back.
 */
export function sfString(text: string): string {
  return isPlain(text) ? `"${text}"` : escaped(text)
}

function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH || code === PERCENT) return false
  }
  return true
}

function escaped(text: string): string {
  let quoted = '"'
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte)
    if (byte < 0x20 || byte > 0x7e || byte === PERCENT) quoted += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    else quoted += byte === QUOTE || byte === BACKSLASH ? `\\${char}` : char
  }
  return `${quoted}"`
}

/** A whole number from 0 to the 15 digits that an Integer has. */
export function sfInteger(n: number): number {
  return n > 0 ? Math.min(Math.ceil(n), MAX_INTEGER) : 0
}
