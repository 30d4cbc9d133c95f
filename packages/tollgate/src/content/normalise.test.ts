import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { normalise } from './normalise.ts'

describe('texts that are the same', () => {
  test.each([
    ['case', 'Straße ΟΔΟΣ İ', 'STRASSE οδος i'],
    ['spaces', 'see you at 10', '  see\tyou\u00a0at\n\n10 '],
    ['no spaces', 'free money', 'f r e e m o n e y'],
    ['punctuation', "Well, don't: wait...", 'well - don’t (wait)!'],
    ['Spanish opening marks', '¿Cuánto es?', 'Cuánto es'],
    ['dashes between numbers', 'pages 5-7', 'pages 5 – 7'],
    ['accents', 'El niño comió', 'el nino comio'],
    ['ё and й', 'Ёлка зелёный', 'елка зелены\u0438'],
    ['emoji', 'Good morning', '🔥 Good 👍🏽 morning 👨‍👩‍👧 ❤️ 🇪🇸'],
    ['Cyrillic for Latin', 'HEY Apple', 'НЕУ Аррlе'],
    ['Greek for Latin', 'NOW very', 'ΝΟW νεrу'],
    ['Latin for Cyrillic', 'Сколько стоит завтрак', 'Ckoльko cтoит 3aвтpak'],
    ['a zero for an o, and one capital for another', 'hello you', 'heIIo y0u'],
    ['digits for letters in words', 'this is free money, bro', '7h15 1s fr33 m0n3y, br0'],
    ['mathematical, circled and small capital letters', 'this is it', '𝓽𝓱𝓲𝓼 🅘🅢 ɪᴛ'],
    ['a Greek text in capitals', 'Αθήνα, ναι', 'ΑΘΗΝΑ ΝΑΙ'],
    ['tags', 'hi', 'h\u{e0061}\u{e0062}i'],
    ['half a surrogate pair', 'hi', 'h\ud800i'],
  ])('%s', (_, one, other) => {
    expect(normalise(other)).toBe(normalise(one))
  })
})

describe('texts that differ', () => {
  test.each([
    ['numbers', 'order 15', 'order 16'],
    ['digits that look like no letter', 'pay 10', 'pay 20'],
    ['numbers in words', 'gpt-4', 'gpt-5'],
    ['numbers in a row', '2 3 eggs', '23 eggs'],
    ['an o between numbers', 'dame 4 o 5', 'dame 405'],
    ['decimals', 'add 1.5 cups', 'add 15 cups'],
    ['times', 'at 10:30', 'at 10 30'],
    ['signs', 'set it to -5', 'set it to 5'],
    ['arithmetic', 'what is 6*3', 'what is 6-3'],
    ['a number and a letter that digits stand for', 'plan 4', 'plan a'],
    ['numbers of a word', 'mp3', 'mp4'],
    ['currencies', 'I have $5', 'I have €5'],
    ['programming languages', 'learn C', 'learn C++'],
    ['programming languages with a symbol', 'learn C#', 'learn C++'],
    ['Hindi vowels', 'कि', 'की'],
    ['Thai vowels', 'กิน', 'กัน'],
    ['Japanese voiced consonants', 'かき', 'がき'],
    ['punctuation alone', '!!!', '???'],
    ['emoji alone', '👍', '👎'],
    ['smileys', ':)', ':('],
  ])('%s', (_, one, other) => {
    expect(normalise(other)).not.toBe(normalise(one))
  })
})

describe('a text without words', () => {
  test.each([
    ['a run is shortened', '!!! !', '!'],
    ['an emoji keeps its kind', '❤️❤️', '❤'],
    ['emoji in several parts stay', '👍🏽👍🏽', '👍🏽👍🏽'],
    ['what shows nothing is nothing', ' \u200b\u00ad\u{e0041}\u0301\ud800\t', ''],
  ])('%s', (_, content, canonical) => {
    expect(normalise(content)).toBe(canonical)
  })
})

describe('any string', () => {
  const tricky = [...'aoOIl10 .,:*^-+#!?|', '−', 'й', 'ñ', 'λ', 'Ν', 'ν', 'Ω', '𝛀', 'ß', 'ﷺ', '\u00a8', '\u0301', '\u05b0', '\u05bc', '\u3099', '\u200b', '\ufe0f', '\u{e0041}', '\ud83d', '\ude00', '😀', '漢', 'ㅎ', '각', '½']
  const anyString = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom(...tricky) }),
    fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)) }),
  )

  test('becomes one that normalising leaves alone', () => {
    fc.assert(fc.property(anyString, (content) => {
      const canonical = normalise(content)
      expect(normalise(canonical)).toBe(canonical)
    }), { numRuns: 5_000 })
  })

  test('keeps its form with spaces around it', () => {
    fc.assert(fc.property(anyString, (content) => {
      expect(normalise(`\t${content}\u00a0`)).toBe(normalise(content))
    }), { numRuns: 5_000 })
  })

  test('of one character, any of planes 0, 1 and 14, alone and next to others', () => {
    const changed: string[] = []
    for (const plane of [0, 1, 14]) {
      for (let code = 0; code < 0x10000; code++) {
        const character = String.fromCodePoint(plane * 0x10000 + code)
        for (const content of [character, `a1 ${character}5λ`]) {
          const canonical = normalise(content)
          if (normalise(canonical) !== canonical) changed.push(content)
        }
      }
    }
    expect(changed).toEqual([])
  })
})

/** No time is asserted: work that grew with the square of the length would go on for minutes, past the test's limit. */
describe('a hostile text of 1 MiB is done in linear time', () => {
  test.each([
    ['accents out of order', 'a' + '\u0301\u0323'.repeat(1 << 18)],
    ['marks that are kept, out of order', '\u0e38\u0e48\u093c'.repeat(120_000)],
    ['one character that stands for eighteen', '\ufdfa'.repeat(1 << 14)],
    ['punctuation', '!?'.repeat(1 << 19)],
    ['a space', ' '.repeat(1 << 20)],
    ['numbers', '1 -'.repeat(350_000)],
    ['a wide gap between numbers', `1${' '.repeat(1 << 20)}-1`],
    ['emoji', '😀😁'.repeat(1 << 17)],
    ['halves of surrogate pairs', '\udc00\ud800'.repeat(170_000)],
    ['invisible characters', '\u200b\u{e0041}'.repeat(150_000)],
    ['Greek look-alikes', 'ο'.repeat(1 << 19)],
  ])('%s', (_, content) => {
    expect(normalise(content).length).toBeLessThanOrEqual(content.length * 18)
  })
})
