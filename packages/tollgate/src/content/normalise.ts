import { toPlainCodes, visiblePart } from './plain.ts'

/**
 * The canonical form of `content`: texts that a reader takes for the same have the same one. It is for comparing,
 * not for showing: 'Hello, order 15!' becomes 'he1100rder 15'.
 *
 * - Dropped: case, accents, emoji, what shows nothing, and what only stands between words.
 * - Made alike: what looks alike. A Cyrillic о, a Greek ο, a fullwidth Ｏ and a 0 are 0; I, l and 1 are 1. In a word,
 *   3, 4, 5 and 7 are e, a, s and t; by themselves they are numbers, for 'plan 4' is not 'plan a'.
 * - Kept: numbers, symbols, and what sets numbers apart. '1.5' is not '15', '2 3' not '23', 'C++' neither 'C' nor 'C#'.
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

/** The words, numbers and symbols of `codes` in a row, with a separator where a number is next to a word or number. */
function joinWords(codes: number[]): number[] {
  const joined: number[] = []
  let end = 0
  let endsIn: 'symbol' | 'word' | 'number' = 'symbol'
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at]!
    if (isWordPart(code)) {
      const start = at
      while (isWordPart(codes[at + 1] ?? 0)) at++
      const isNumber = areDigits(codes, start, at)
      if (endsIn === 'number' || (endsIn === 'word' && isNumber)) {
        joined.push(separator(codes.slice(end, start), endsIn === 'number', isNumber))
      }
      for (let i = start; i <= at; i++) joined.push(isNumber ? codes[i]! : inWord(codes[i]!))
      endsIn = isNumber ? 'number' : 'word'
    } else if (SYMBOLS.has(code)) {
      // A run of one symbol is that symbol: '>>>' is '>'.
      if (joined.at(-1) !== code) joined.push(code)
      endsIn = 'symbol'
    } else {
      continue
    }
    end = at + 1
  }
  return joined
}

/** What of `gap` tells a number from another: '1.5', '10:30', '2*3', 'to -5'. */
function separator(gap: number[], isAfterNumber: boolean, isBeforeNumber: boolean): number {
  if (isAfterNumber && isBeforeNumber) return gap.find((code) => BETWEEN_NUMBERS.has(code)) ?? SPACE
  return isBeforeNumber && gap.at(-1) === MINUS ? MINUS : SPACE
}

const SPACE = 0x20
const MINUS = 0x2d
const BETWEEN_NUMBERS = toCodes('.,:*^-')
const SYMBOLS = toCodes('#$%+/<=>')

function toCodes(characters: string): Set<number> {
  return new Set(Array.from(characters, (each) => each.charCodeAt(0)))
}

function isWordPart(code: number): boolean {
  return isDigit(code) || (code >= 0x61 && code <= 0x7a) || code > 127
}

function areDigits(codes: number[], first: number, last: number): boolean {
  let at = first
  while (at <= last && isDigit(codes[at]!)) at++
  return at > last
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

/** The code of what `code` looks like, as a part of a word. */
function inWord(code: number): number {
  return code < 128 ? IN_WORD[code]! : code
}

const IN_WORD = Uint8Array.from({ length: 128 }, (_, code) => code)
for (const [character, target] of Object.entries({ o: '0', i: '1', l: '1', 3: 'e', 4: 'a', 5: 's', 7: 't' })) {
  IN_WORD[character.charCodeAt(0)] = target.charCodeAt(0)
}

function toText(codes: number[]): string {
  let text = ''
  // In pieces, for a call takes some 100,000 arguments at most.
  for (let at = 0; at < codes.length; at += 4096) text += String.fromCharCode(...codes.slice(at, at + 4096))
  return text
}
