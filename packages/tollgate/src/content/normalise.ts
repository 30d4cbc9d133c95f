import { toPlainCodes, visiblePart } from './plain.ts'

/**
 * The canonical form of `content`: texts that a reader takes for the same have the same one. It is for comparing,
 * not for showing: 'Hello, order 15!' becomes 'he1100rder 15'.
 *
 * - Dropped: case, accents, emoji, what shows nothing, and what only stands between words.
 * - Made alike: what looks alike. A Cyrillic о, a Greek ο, a fullwidth Ｏ and a 0 are 0; I, l and 1 are 1. That is all
 *   the leetspeak undone here: with 4 for a and 3 for e, 'plan 4' would be 'plan a'.
 * - Kept: digits, symbols, and what sets numbers apart. '1.5' is not '15', '2 3' not '23', 'C++' neither 'C' nor 'C#'.
 *
 * Takes time linear in the length, and changes nothing when applied again. A text without words ('👍', '???') is
 * kept, its runs shortened; a text that shows nothing is ''.
 */
export function normalise(content: string): string {
  return toText(joinWords(toPlainCodes(content))) || withoutWords(content)
}

/** The canonical form of a text of punctuation or emoji alone. */
function withoutWords(content: string): string {
  return visiblePart(content).replace(/[\p{Z}\p{Cc}]+/gu, '').replace(/(.)\1+/gu, '$1')
}

/** The words and symbols of `codes` in a row, with a separator where a number begins or ends. */
function joinWords(codes: number[]): number[] {
  const joined: number[] = []
  let last = 0
  let lastAt = -1
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!
    const kept = code < 128 ? KEPT[code]! : code
    if (kept === 0) continue
    if (at > lastAt + 1 && isAtNumber(last, code)) joined.push(...separator(last, codes.slice(lastAt + 1, at), code))
    // A run of one symbol is that symbol: '>>>' is '>'.
    if (code !== last || isWord(code)) joined.push(kept)
    last = code
    lastAt = at
  }
  return joined
}

const [SPACE, MINUS, ZERO, ONE] = [0x20, 0x2d, 0x30, 0x31]

/** By ASCII code, the code of what it becomes; 0 when it only stands between words. */
const KEPT = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code)
  if (/o/i.test(character)) return ZERO
  if (/[il]/i.test(character)) return ONE
  return /[a-z0-9#$%+/<=>]/.test(character) ? code : 0
})

function isAtNumber(before: number, after: number): boolean {
  return isDigit(before) ? isWord(after) : isDigit(after) && isWord(before)
}

/** What of `gap` tells the number at one or both of its ends from another: '10:30', '2*3', 'at -5'. */
function separator(before: number, gap: number[], after: number): number[] {
  if (!isDigit(after)) return [SPACE]
  if (!isDigit(before)) return gap.at(-1) === MINUS && gap.at(-2) === SPACE ? [SPACE, MINUS] : [SPACE]
  return [gap.find((code) => BETWEEN_DIGITS.has(code)) ?? SPACE]
}

const BETWEEN_DIGITS = new Set(Array.from('.,:*^-', (character) => character.charCodeAt(0)))

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function isWord(code: number): boolean {
  return isDigit(code) || (code >= 0x61 && code <= 0x7a) || code > 127
}

function toText(codes: number[]): string {
  let text = ''
  // In pieces, for a call takes some 100,000 arguments at most.
  for (let at = 0; at < codes.length; at += 4096) text += String.fromCharCode(...codes.slice(at, at + 4096))
  return text
}
