/**
 * How well the duplicate guard does: 1,000 chat messages in three languages, disguised in 14 ways. The disguises are
 * made from lists of their own, not from the tables of the normaliser, or they could only agree with it.
 */
import { describe, expect, test } from 'vitest'

import { createDigester } from './digest.ts'

const digest = createDigester('a secret of more than 16 bytes')

/** Mulberry32: small, seeded, good enough to pick words. */
function createRandom(seed: number) {
  const next = (): number => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number): number => Math.floor(next() * limit)
  const pick = <T>(from: ArrayLike<T>): T => from[below(from.length)]!
  return { below, pick, chance: (share: number): boolean => next() < share }
}
type Random = ReturnType<typeof createRandom>

const LANGUAGES = {
  en: {
    patterns: [
      'Can you help me write {a} for {who}, please?', 'Order {n} has not arrived. Where is it?', 'What is {n} + {n}?',
      'Remind me to call {who} at {h}:{m}', 'Please translate {a} into {b}', 'My budget is ${n}; is {a} worth it?',
      "I don't like {a}, show me another one!", 'How many calories are in {n} g of {b}?', 'Thanks, {who}!', 'Find {a} near me',
      'Explain {b} to a child of {h}... in {m} words', 'lol {who} is late again', 'Is {a} better than {b}?', 'Rate it {h}/10',
    ],
    who: ['Anna', 'Bill', 'my boss', 'Dr. Jill Moore', 'the landlord', 'Olivia', 'Tom', 'Tim'],
    a: ['a cover letter', 'a birthday poem', 'a short story', 'a fall recipe', 'a cheap flight', 'an office chair', 'a good film'],
    b: ['French', 'German', 'quantum physics', 'rice', 'ice', 'C++', 'C#', 'inflation', 'coffee'],
  },
  es: {
    patterns: [
      '¿Me ayudas a escribir {a} para {who}, por favor?', 'El pedido {n} no ha llegado. ¿Dónde está?', '¿Cuánto es {n} x {n}?',
      'Recuérdame llamar a {who} a las {h}:{m}', 'Traduce {a} al {b}', 'Tengo {n},50 €, ¿me alcanza para {a}?', '¡Gracias, {who}!',
      'No me gusta {a}, enséñame otra cosa', '¿Cuántas calorías tienen {n} g de {b}?', 'Busca {a} cerca de mí',
      'Explica {b} a un niño de {h} años', 'Dame {h} o {m} ideas sobre {b}', '¿Es mejor {a} que {b}?', 'Vale, {who} viene mañana',
    ],
    who: ['Ana', 'Íñigo', 'mi jefe', 'la señora Núñez', 'Begoña', 'José', 'el dueño', 'Julia', 'Julio'],
    a: ['una carta', 'un poema de cumpleaños', 'un cuento corto', 'una receta fácil', 'un vuelo barato', 'una silla', 'una película'],
    b: ['inglés', 'alemán', 'física cuántica', 'arroz', 'piña', 'inflación', 'café', 'té'],
  },
  ru: {
    patterns: [
      'Помоги мне написать {a} для {who}, пожалуйста', 'Заказ {n} не пришёл. Где он?', 'Сколько будет {n} * {n}?',
      'Напомни позвонить: {who}, в {h}:{m}', 'Переведи {a} на {b} язык', 'У меня {n} ₽ — хватит на {a}?', 'Спасибо, {who}!',
      'Мне не нравится {a}, покажи что-нибудь ещё', 'Сколько калорий в {n} г: {b}?', 'Найди {a} рядом со мной',
      'Объясни тему «{b}» ребёнку {h} лет', 'Дай {h} идей про {b}', 'Что лучше: {a} или {b}?', 'Хорошо, {who} приедет завтра в {h}',
    ],
    who: ['Анна', 'мой начальник', 'Сергей Юрьевич', 'Алёна', 'Олег', 'хозяйка', 'Юлия', 'Юлий'],
    a: ['письмо', 'стихи на день рождения', 'короткий рассказ', 'простой рецепт', 'дешёвый билет', 'кресло', 'хороший фильм'],
    b: ['английский', 'немецкий', 'квантовая физика', 'рис', 'лис', 'инфляция', 'кофе', 'чай'],
  },
} as const

/** 1,000 messages, a third in each language; most have siblings that differ in one word or one digit. */
function createTexts(random: Random): string[] {
  const languages = Object.values(LANGUAGES)
  const texts = new Set<string>()
  while (texts.size < 1_000) {
    const { patterns, who, a, b } = languages[texts.size % languages.length]!
    const fill = (slot: string): string => {
      if (slot === '{n}') return String(10 ** (1 + random.below(3)) + random.below(30))
      if (slot === '{h}') return String(1 + random.below(12))
      if (slot === '{m}') return String(10 + random.below(50))
      return random.pick(slot === '{who}' ? who : slot === '{a}' ? a : b)
    }
    texts.add(random.pick(patterns).replace(/\{\w+\}/g, fill))
  }
  return [...texts]
}

/** Puts one of `extras` after some of the characters of `text`, at least after one. */
function strew(text: string, random: Random, extras: readonly string[]): string {
  const sure = random.below(text.length)
  return Array.from(text, (each, at) => (at === sure || random.chance(0.3) ? each + random.pick(extras) : each)).join('')
}

const LOOKS_LIKE: Record<string, string> = {
  a: 'аα', c: 'сϲ', e: 'еҽ', i: 'іι', j: 'јϳ', k: 'κк', l: 'Iӏ', o: 'оο0', p: 'рρ', s: 'ѕ', u: 'υ', v: 'ѵν', x: 'хχ', y: 'уγ', h: 'һ', d: 'ԁ',
  A: 'АΑ', B: 'ВΒ', C: 'СϹ', E: 'ЕΕ', H: 'НΗ', I: 'ІΙ', J: 'Ј', K: 'КΚ', M: 'МΜ', N: 'Ν', O: 'ОΟ', P: 'РΡ', S: 'Ѕ', T: 'ТΤ', X: 'ХΧ', Y: 'УΥ', Z: 'Ζ',
  а: 'aα', в: 'ʙB', г: 'r', е: 'e', з: '3', к: 'kκ', м: 'ᴍM', н: 'H', о: 'oο', р: 'pρ', с: 'c', т: 'ᴛτT', у: 'yγ', х: 'xχ', ь: 'b', б: '6',
  А: 'AΑ', В: 'BΒ', Е: 'EΕ', З: '3', К: 'KΚ', М: 'MΜ', Н: 'HΗ', О: 'OΟ', Р: 'PΡ', С: 'CϹ', Т: 'TΤ', У: 'Y', Х: 'XΧ',
}
const LIGATURES: Record<string, string> = { ffi: 'ﬃ', ff: 'ﬀ', fi: 'ﬁ', fl: 'ﬂ', st: 'ﬆ', ae: 'æ', oe: 'œ', lj: 'ǉ', nj: 'ǌ', ij: 'ĳ', '...': '…', No: '№', ts: 'ʦ' }
const FANCY_ALPHABETS = [0xff21, 0x1d400, 0x1d468, 0x1d5a0, 0x1d5d4, 0x1d670]
const ORNAMENTS = ['!!!', '...', '??', ' 🔥', ' 😂😂😂', ' 👍🏽', ' ❤️', ' 👨‍👩‍👧', ' 🇪🇸', ' ★★', ' :)', ' ;-)', ' —', ' ~~', ' **', ' »', '。']

const MUTATIONS: Record<string, (text: string, random: Random) => string> = {
  'letter case': (text, random) =>
    random.pick([text.toUpperCase(), text.toLowerCase(), Array.from(text, (each) => (random.chance(0.5) ? each.toUpperCase() : each.toLowerCase())).join('')]),
  'kinds of spaces': (text, random) => ` ${text.replace(/ /g, () => random.pick(['\u00a0', '\t', '\r\n', '   ', '\u2009', '\u3000', '\u202f \n']))}\n`,
  'zero-width characters': (text, random) => strew(text, random, ['\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u180e']),
  'soft hyphens and variation selectors': (text, random) => strew(text, random, ['\u00ad', '\ufe0e', '\ufe0f', '\u{e0100}', '\u034f']),
  'combining marks': (text, random) => strew(text, random, ['\u0301', '\u0308\u0323', '\u0336', '\u20dd', '\u0489', '\u0306'.repeat(20)]),
  'normal forms': (text, random) => text.normalize(random.pick(['NFD', 'NFKD', 'NFC'])),
  'fullwidth and mathematical letters': (text, random) => {
    const first = random.pick(FANCY_ALPHABETS)
    const lower = first === 0xff21 ? 0xff41 : first + 26
    return text
      .replace(/[A-Z]/g, (each) => String.fromCodePoint(first + each.charCodeAt(0) - 65))
      .replace(/[a-z]/g, (each) => String.fromCodePoint(lower + each.charCodeAt(0) - 97).normalize(random.pick(['NFC', 'NFD'])))
      .replace(/\d/g, (each) => String.fromCodePoint(random.pick([0xff10, 0x1d7ce, 0x1d7f6]) + Number(each)))
  },
  'look-alikes of other scripts': (text, random) => {
    const share = random.pick([0.1, 1])
    return Array.from(text, (each) => (LOOKS_LIKE[each] && random.chance(share) ? random.pick(LOOKS_LIKE[each]) : each)).join('')
  },
  'runs of punctuation': (text, random) => text.replace(/[.,!?;:]/g, (each) => each.repeat(2 + random.below(5))),
  'punctuation and emoji around': (text, random) => random.pick(['', '!', '...', '¡¡', '🔥 ', '— ', '"', '- ', '✅']) + text + random.pick(ORNAMENTS),
  'bidi controls': (text, random) => `\u202e${strew(text, random, ['\u200e', '\u200f', '\u202a', '\u2066', '\u2069', '\u061c'])}\u202c`,
  'tag characters': (text, random) => strew(text, random, ['\u{e0001}', '\u{e0041}', '\u{e007f}\u{e0020}']),
  'ligatures': (text) => text.replace(/ffi|ff|fi|fl|st|ae|oe|lj|nj|ij|\.\.\.|No|ts/g, (each) => LIGATURES[each]!),
  // In the order of the table: a change of case after a change of script shows, for the capital of υ is Υ.
  'several at once': (text, random) => {
    const kinds = Object.keys(MUTATIONS).filter((kind) => kind !== 'several at once' && random.chance(0.3))
    return kinds.reduce((mutated, kind) => MUTATIONS[kind]!(mutated, random), text)
  },
}

describe('1,000 texts', () => {
  const texts = createTexts(createRandom(1))

  test('are caught in 99 of 100 disguises, of each of 14 kinds', () => {
    const random = createRandom(2)
    const rows = Object.entries(MUTATIONS).map(([kind, mutate]) => {
      const disguises = texts.map((text) => ({ text, disguise: mutate(text, random) })).filter(({ text, disguise }) => disguise !== text)
      const missed = disguises.filter(({ text, disguise }) => digest(disguise) !== digest(text))
      return { kind, disguises: disguises.length, missed, caught: 1 - missed.length / disguises.length }
    })
    console.table(rows.map(({ kind, disguises, caught }) => ({ kind, disguises, caught: `${(caught * 100).toFixed(1)} %` })))
    expect(rows).toHaveLength(14)
    for (const { kind, missed, caught } of rows) {
      expect(caught, `${kind}, such as ${JSON.stringify(missed.slice(0, 3))}`).toBeGreaterThanOrEqual(0.99)
    }
  })

  test('collide in at most one pair of 1,000', () => {
    const byDigest = new Map<string, string[]>()
    for (const text of texts) byDigest.set(digest(text), [...byDigest.get(digest(text)) ?? [], text])
    const pairsOf = (length: number): number => length * (length - 1) / 2
    const colliding = [...byDigest.values()].reduce((sum, { length }) => sum + pairsOf(length), 0)
    console.log(`${colliding} of ${pairsOf(texts.length)} pairs collide`)
    expect(colliding / pairsOf(texts.length)).toBeLessThanOrEqual(0.001)
  })
})
