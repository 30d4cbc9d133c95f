import { describe, expect, it } from 'vitest'
import { createMessages, formatCount, formatInstant, formatSpan, formatWait, plural, type Locale, type MessageFacts, type MessageOverrides } from './index.ts'

const NOW = Date.UTC(2026, 10, 21, 18, 0, 0)
const MIDNIGHT = Date.UTC(2026, 10, 22)
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

const daily: MessageFacts = {
  limit: 'dailyMessages', kind: 'quota', code: 'QUOTA_EXCEEDED', max: 50, used: 50, remaining: 0, every: 'day', meter: 'requests',
  plan: 'free', better: [], resetAt: NOW + 6 * HOUR_MS, retryAfterMs: 6 * HOUR_MS, now: NOW,
}

const say = (facts: Partial<MessageFacts>, locale: Locale, overrides?: MessageOverrides) => createMessages(overrides)({ ...daily, ...facts }, locale)

describe('what is said, by kind and language', () => {
  const soon = { retryAfterMs: 12_000, resetAt: NOW + 12_000 }
  const never = { retryAfterMs: null, resetAt: null }
  const cases: [Partial<MessageFacts>, string, string, string][] = [
    [
      { better: [{ plan: 'plus', max: 500 }, { plan: 'ultra', max: Infinity }] },
      `Daily limit reached: “dailyMessages” allows 50 requests a day. Please try again in 6 hours (${formatInstant(MIDNIGHT, 'en')}). The plus plan gives 500; the ultra plan has no limit.`,
      `Límite diario alcanzado: «dailyMessages» permite 50 solicitudes al día. Inténtalo de nuevo en 6 horas (${formatInstant(MIDNIGHT, 'es')}). El plan plus da 500; el plan ultra no tiene límite.`,
      `Дневной лимит исчерпан: «dailyMessages» допускает 50 запросов в день. Попробуйте снова через 6 часов (${formatInstant(MIDNIGHT, 'ru')}). План plus даёт 500; план ultra не имеет лимита.`,
    ],
    [
      { limit: 'tokens', every: 'month', meter: 'tokens', max: 100_000, used: 99_999, remaining: 1, amount: 2, ...soon },
      'Monthly limit almost reached: “tokens” allows 100,000 tokens a month. That leaves 1 token, less than this request needs. Please try again in 12 seconds.',
      'Límite mensual casi alcanzado: «tokens» permite 100.000 tokens al mes. Disponible: 1 token, menos de lo que necesita esta solicitud. Inténtalo de nuevo en 12 segundos.',
      'Месячный лимит почти исчерпан: «tokens» допускает 100\u00a0000 токенов в месяц. В остатке 1 токен, а этому запросу нужно больше. Попробуйте снова через 12 секунд.',
    ],
    [
      { limit: 'tokens', every: 'month', meter: 'tokens', max: 100, used: 0, remaining: 100, ...never, better: [{ plan: 'plus', max: 500 }] },
      'This request is larger than the whole monthly limit of 100 tokens. The plus plan gives 500.',
      'Esta solicitud es mayor que todo el límite mensual de 100 tokens. El plan plus da 500.',
      'Этот запрос больше, чем весь месячный лимит (100 токенов). План plus даёт 500.',
    ],
    [
      { limit: 'tokens', every: 'day', meter: 'tokens', max: 100, used: 40, remaining: 60, amount: 300, ...never, better: [{ plan: 'plus', max: 200 }, { plan: 'ultra', max: 500 }] },
      'This request is larger than the whole daily limit of 100 tokens: it needs 300. The ultra plan gives 500.',
      'Esta solicitud es mayor que todo el límite diario de 100 tokens: necesita 300. El plan ultra da 500.',
      'Этот запрос больше, чем весь дневной лимит (100 токенов): ему нужно 300. План ultra даёт 500.',
    ],
    [
      { kind: 'slidingWindow', limit: 'flood', max: 20, used: 0, remaining: 20, every: MINUTE_MS, amount: 21, ...never },
      'This request is larger than the whole limit of 20 requests in 1 minute: it needs 21.',
      'Esta solicitud es mayor que todo el límite de 20 solicitudes en 1 minuto: necesita 21.',
      'Этот запрос больше, чем весь лимит (20 запросов за 1 минуту): ему нужно 21.',
    ],
    [
      { kind: 'tokenBucket', limit: 'burst', max: 3, used: 0, remaining: 3, every: 1000, ...never },
      'This request is larger than the whole limit of 3 requests at once.',
      'Esta solicitud es mayor que todo el límite de 3 solicitudes a la vez.',
      'Этот запрос больше, чем весь лимит (3 запроса подряд).',
    ],
    [
      { every: 'week', max: 1, ...soon },
      'Weekly limit reached: “dailyMessages” allows 1 request a week. Please try again in 12 seconds.',
      'Límite semanal alcanzado: «dailyMessages» permite 1 solicitud a la semana. Inténtalo de nuevo en 12 segundos.',
      'Недельный лимит исчерпан: «dailyMessages» допускает 1 запрос в неделю. Попробуйте снова через 12 секунд.',
    ],
    [
      { every: 30 * 24 * HOUR_MS, meter: 'images', max: 3, ...soon },
      'Limit reached: “dailyMessages” allows 3 “images” in 30 days. Please try again in 12 seconds.',
      'Límite alcanzado: «dailyMessages» permite 3 «images» en 30 días. Inténtalo de nuevo en 12 segundos.',
      'Лимит исчерпан: «dailyMessages» допускает 3 «images» за 30 дней. Попробуйте снова через 12 секунд.',
    ],
    [
      { max: 0, used: 0, limit: 'tokens', ...never, better: [{ plan: 'TRIAL', max: 100_000 }] },
      'The free plan does not include “tokens”. The TRIAL plan gives 100,000.',
      'El plan free no incluye «tokens». El plan TRIAL da 100.000.',
      'План free не включает «tokens». План TRIAL даёт 100\u00a0000.',
    ],
    [
      { kind: 'slidingWindow', limit: 'flood', max: 20, every: MINUTE_MS, ...soon },
      'A little too fast: “flood” allows 20 requests in 1 minute. Please try again in 12 seconds.',
      'Un poco más despacio: «flood» permite 20 solicitudes en 1 minuto. Inténtalo de nuevo en 12 segundos.',
      'Чуть помедленнее: «flood» допускает 20 запросов за 1 минуту. Попробуйте снова через 12 секунд.',
    ],
    [
      { kind: 'fixedWindow', limit: 'flood', max: 21, every: 90_000, ...soon },
      'A little too fast: “flood” allows 21 requests in 90 seconds. Please try again in 12 seconds.',
      'Un poco más despacio: «flood» permite 21 solicitudes en 90 segundos. Inténtalo de nuevo en 12 segundos.',
      'Чуть помедленнее: «flood» допускает 21 запрос за 90 секунд. Попробуйте снова через 12 секунд.',
    ],
    [
      { kind: 'tokenBucket', limit: 'burst', max: 3, retryAfterMs: 334, resetAt: NOW + 1000, better: [{ plan: 'Professional', max: 10 }] },
      'A little too fast: “burst” allows bursts of up to 3 requests. Please try again in 1 second. The Professional plan gives 10.',
      'Un poco más despacio: «burst» permite ráfagas de hasta 3 solicitudes. Inténtalo de nuevo en 1 segundo. El plan Professional da 10.',
      'Чуть помедленнее: «burst» допускает подряд не больше, чем 3 запроса. Попробуйте снова через 1 секунду. План Professional даёт 10.',
    ],
    [
      { kind: 'cooldown', limit: 'cooldown', max: 1, retryAfterMs: 4001, better: [{ plan: 'plus', max: 1, waitMs: 2000 }, { plan: 'ultra', max: Infinity, waitMs: 0 }] },
      'One moment: “cooldown” asks for a pause between requests. Please try again in 5 seconds. With the plus plan the pause is only 2 seconds; with the ultra plan there is no pause.',
      'Un momento: «cooldown» pide una pausa entre solicitudes. Inténtalo de nuevo en 5 segundos. Con el plan plus la pausa es de solo 2 segundos; con el plan ultra no hay pausa.',
      'Минутку: «cooldown» просит паузу между запросами. Попробуйте снова через 5 секунд. С планом plus пауза всего 2 секунды; с планом ultra паузы нет.',
    ],
    [
      { kind: 'duplicates', limit: 'spam', max: 10, every: HOUR_MS, retryAfterMs: 25 * MINUTE_MS },
      'The same text again: “spam” allows it 10 times in 1 hour. A new text is welcome at once. Please try again in 25 minutes.',
      'Otra vez el mismo texto: «spam» lo permite 10 veces en 1 hora. Un texto nuevo puedes enviarlo ya. Inténtalo de nuevo en 25 minutos.',
      'Снова тот же текст: «spam» допускает его 10 раз за 1 час. Новый текст можно отправить сразу. Попробуйте снова через 25 минут.',
    ],
    [
      { kind: 'concurrency', limit: 'parallel', max: 2, ...never },
      'Still busy: “parallel” allows 2 requests at a time. Wait until one has finished.',
      'Aún en curso: «parallel» permite 2 solicitudes a la vez. Espera a que termine una.',
      'Ещё выполняется: «parallel» допускает одновременно 2 запроса. Дождитесь завершения.',
    ],
    [
      { kind: 'capacity', limit: 'agents', max: 3, used: 3, ...never, better: [{ plan: 'plus', max: 10 }] },
      'No room left: “agents” has 3 of 3 in use. Remove one to make room. The plus plan gives 10.',
      'No queda sitio: «agents» tiene 3 de 3 en uso. Elimina uno para hacer sitio. El plan plus da 10.',
      'Мест не осталось: «agents», занято 3 из 3. Освободите одно место. План plus даёт 10.',
    ],
    [
      { kind: 'allowOnly', limit: 'models', max: Infinity, ...never, better: [{ plan: 'user', max: Infinity }] },
      'The free plan does not include this choice (“models”). The user plan includes it.',
      'El plan free no incluye esta opción («models»). El plan user lo incluye.',
      'План free не включает этот вариант («models»). План user включает его.',
    ],
    [
      { kind: 'credits', limit: 'credits', max: 0, remaining: 4, cost: 10, ...never },
      'Not enough credits: this costs 10 and you have 4.',
      'Créditos insuficientes: esto cuesta 10 y tienes 4.',
      'Недостаточно кредитов: нужно 10, доступно 4.',
    ],
  ]

  it.each(cases)('%j', (facts, en, es, ru) => {
    expect({ en: say(facts, 'en'), es: say(facts, 'es'), ru: say(facts, 'ru') }).toEqual({ en, es, ru })
  })

  it.each<[number, string, string, string]>([
    [1000, '1 second', '1 segundo', '1 секунда'],
    [21_000, '21 seconds', '21 segundos', '21 секунда'],
    [MINUTE_MS, '1 minute', '1 minuto', '1 минута'],
    [2 * MINUTE_MS, '2 minutes', '2 minutos', '2 минуты'],
    [HOUR_MS, '1 hour', '1 hora', '1 час'],
  ])('says a pause of %d ms as the subject of its sentence', (waitMs, en, es, ru) => {
    const facts = { kind: 'cooldown', limit: 'cooldown', max: 1, ...never, better: [{ plan: 'plus', max: 1, waitMs }] } as const
    expect(say(facts, 'en')).toContain(`With the plus plan the pause is only ${en}.`)
    expect(say(facts, 'es')).toContain(`Con el plan plus la pausa es de solo ${es}.`)
    expect(say(facts, 'ru')).toContain(`С планом plus пауза всего ${ru}.`)
  })

  it('lists at most three better plans', () => {
    const better = ['a', 'b', 'c', 'd'].map((plan, i) => ({ plan, max: 100 * (i + 1) }))
    expect(say({ better }, 'en')).toMatch(/The a plan gives 100; the b plan gives 200; the c plan gives 300\.$/)
  })

  it('takes a meter for a name, whatever it is called', () => {
    expect(say({ meter: 'constructor', retryAfterMs: 1000 }, 'en')).toBe('Daily limit reached: “dailyMessages” allows 50 “constructor” a day. Please try again in 1 second.')
  })
})

describe('texts of one’s own', () => {
  const overrides: MessageOverrides = {
    en: {
      dailyMessages: 'by limit',
      QUOTA_EXCEEDED: 'by code',
      quota: (facts) => `by kind, ${facts.used} used`,
    },
  }

  it('are found by limit, then code, then kind, each in its language', () => {
    expect(say({}, 'en', overrides)).toBe('by limit')
    expect(say({ limit: 'other' }, 'en', overrides)).toBe('by code')
    expect(say({ limit: 'other', code: 'MINE' }, 'en', overrides)).toBe('by kind, 50 used')
    expect(say({}, 'es', overrides)).toMatch(/^Límite diario/)
    expect(say({ limit: 'constructor', code: 'toString', kind: 'capacity' }, 'en', overrides)).toMatch(/^No room left/)
  })

  it('fill every placeholder once', () => {
    const text = '{limit}|{max}|{used}|{remaining}|{wait}|{reset}|{plan}|{better}|{constructor}|{unknown}'
    const facts = { limit: '{plan}', max: Infinity, better: [{ plan: 'plus', max: 500 }] }
    expect(say(facts, 'en', { en: { quota: text } })).toBe(`{plan}|unlimited|50|0|6 hours|${formatInstant(MIDNIGHT, 'en')}|free|The plus plan gives 500.|{constructor}|{unknown}`)
    expect(say({ resetAt: null, retryAfterMs: null }, 'en', { en: { quota: '<{wait}{reset}{better}>' } })).toBe('<>')
  })
})

describe('numbers and lengths of time', () => {
  it.each<[number, string, string, string]>([
    [0, '0 seconds', '0 segundos', '0 секунд'],
    [-5, '0 seconds', '0 segundos', '0 секунд'],
    [1, '1 second', '1 segundo', '1 секунду'],
    [2000, '2 seconds', '2 segundos', '2 секунды'],
    [4001, '5 seconds', '5 segundos', '5 секунд'],
    [21_000, '21 seconds', '21 segundos', '21 секунду'],
    [59_001, '1 minute', '1 minuto', '1 минуту'],
    [60_001, '2 minutes', '2 minutos', '2 минуты'],
    [HOUR_MS, '1 hour', '1 hora', '1 час'],
    [HOUR_MS + 1, '2 hours', '2 horas', '2 часа'],
    [47 * HOUR_MS, '47 hours', '47 horas', '47 часов'],
    [47 * HOUR_MS + 1, '2 days', '2 días', '2 дня'],
    [30 * 24 * HOUR_MS, '30 days', '30 días', '30 дней'],
  ])('waits %d ms', (ms, en, es, ru) => {
    expect([formatWait(ms, 'en'), formatWait(ms, 'es'), formatWait(ms, 'ru')]).toEqual([en, es, ru])
  })

  it('measures spans exactly', () => {
    expect([500, 1000, 90_000, HOUR_MS, 36 * HOUR_MS, 24 * HOUR_MS].map((ms) => formatSpan(ms, 'en'))).toEqual(['0.5 seconds', '1 second', '90 seconds', '1 hour', '36 hours', '1 day'])
    expect(formatSpan(500, 'ru')).toBe('0,5 секунды')
  })

  it('tells instants in UTC, on a clock of 24 hours', () => {
    expect(formatInstant(MIDNIGHT, 'en')).toBe('Nov 22, 2026, 00:00 UTC')
    expect(formatInstant(MIDNIGHT + 13 * HOUR_MS, 'ru')).toMatch(/^22 нояб.* 2026.* 13:00 UTC$/)
  })

  it('counts', () => {
    expect([formatCount(100_000, 'en'), formatCount(100_000, 'es'), formatCount(100_000, 'ru')]).toEqual(['100,000', '100.000', '100\u00a0000'])
    expect([formatCount(Infinity, 'en'), formatCount(Infinity, 'es'), formatCount(Infinity, 'ru')]).toEqual(['unlimited', 'ilimitado', 'без ограничений'])
    expect(say({ max: 1_000_000, retryAfterMs: null }, 'es')).toContain('1.000.000 de solicitudes')
  })

  it('takes the plural form, or `other` where a form is not given', () => {
    const forms = { one: 'яблоко', few: 'яблока', many: 'яблок', other: 'яблока' }
    expect([1, 2, 5, 11, 21, 22, 111, 1.5].map((n) => plural('ru', n, forms))).toEqual(['яблоко', 'яблока', 'яблок', 'яблок', 'яблоко', 'яблока', 'яблок', 'яблока'])
    expect(plural('es', 1_000_000, { one: 'uno', other: 'varios' })).toBe('varios')
  })
})
