import { CONFUSABLES } from './confusables.generated.ts'

/**
 * `content` in lower case, in ASCII as far as it looks like it, with a space for whatever is not a part of the text.
 * As UTF-16 codes: a string of 64 KiB that grows by the character keeps the garbage collector busy for 10 to 100 ms.
 */
export function toPlainCodes(content: string): number[] {
  const text = ONLY_GREEK.test(content) ? content.toLowerCase() : content
  const codes: number[] = []
  for (let at = 0; at < text.length; at++) {
    const codePoint = text.codePointAt(at)!
    if (codePoint > 0xffff) at++
    const plain = plainForm(codePoint)
    for (let i = 0; i < plain.length; i++) codes.push(plain.charCodeAt(i))
  }
  return codes
}

/** `content` without what nobody sees. */
export function visiblePart(content: string): string {
  return decompose(content.replace(HIDDEN, ''))
}

/**
 * Zero-width characters, bidi controls, soft hyphens, variation selectors, tags, halves of surrogate pairs; and
 * marks, but for those of scripts where they are letters, such as Hindi, Thai and Japanese. So й is и and ñ is n:
 * many people write without accents, spammers strew them, and two messages hardly ever differ in one accent
 * and nothing else.
 */
const HIDDEN =
  /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cs}]|(?=\p{M})(?![\u3099\u309a])[\p{Script=Inherited}\p{Script=Cyrillic}\p{Script=Hebrew}\p{Script=Arabic}]/gu

/** Letters, numbers and symbols beyond ASCII. What Unicode has from U+02B9 to U+02FF are mostly apostrophes. */
const MEANINGFUL = /(?![\u02b9-\u02ff])[\p{L}\p{M}\p{N}\p{Sc}\p{Sm}]/u

const LOOKALIKES = new Map<string, string>()
for (const [ascii, lookalikes] of Object.entries({ ...CONFUSABLES, '-': '‐‒–—―−', '/': '⁄∕' })) {
  for (const character of lookalikes) LOOKALIKES.set(character, ascii)
}

/** Letters that make a text Greek. Ν is then the capital of ν, which looks like v; in other texts it is an N. */
const ONLY_GREEK = /[ΓΔΘΛΞΠΣΦΨΩδζθλξπςφψ]/

/** The plain forms of 16-bit codes, found as they turn up: finding one takes 50 times as long as looking it up. */
const plainForms = Array.from<string | undefined>({ length: 0x10000 })

function plainForm(codePoint: number): string {
  // Beyond 16 bits there is little but emoji, and the table (half a megabyte, empty) would be 16 times as large.
  return codePoint > 0xffff ? findPlainForm(codePoint) : plainForms[codePoint] ??= findPlainForm(codePoint)
}

function findPlainForm(codePoint: number): string {
  const character = String.fromCodePoint(codePoint)
  return LOOKALIKES.get(character) ?? Array.from(decompose(character), findPlainPart).join('')
}

function findPlainPart(part: string): string {
  const isMeaningful = part < '\x80' || MEANINGFUL.test(part)
  return LOOKALIKES.get(part) ?? (isMeaningful ? part.toLowerCase() : ' ')
}

/** Not for a long run of marks, which NFKD would sort in quadratic time: a second of work in 64 KiB. */
function decompose(text: string): string {
  return text.normalize('NFKD').replace(HIDDEN, '')
}
