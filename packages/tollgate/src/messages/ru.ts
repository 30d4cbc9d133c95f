import type { Language, Phrases } from './language.ts'

const PERIOD = { day: 'Дневной', week: 'Недельный', month: 'Месячный' } as const
const PER = { day: 'в день', week: 'в неделю', month: 'в месяц' } as const

const quota = (say: Phrases) => {
  const title = say.every ? `${PERIOD[say.every]} лимит` : 'Лимит'
  const period = say.every ? ` ${PER[say.every]}` : within(say)
  return say.left
    ? `${title} почти исчерпан: ${say.limit} допускает ${say.allowance}${period}. В остатке ${say.left}, а этому запросу нужно больше.`
    : `${title} исчерпан: ${say.limit} допускает ${say.allowance}${period}.`
}

// The amount stands in brackets, where it needs no other case.
const tooLarge = (size: (say: Phrases) => string) => (say: Phrases) => `Этот запрос больше, чем весь ${size(say)}${say.needed ? `: ему нужно ${say.needed}` : ''}.`

const limitOf = (say: Phrases) => `${say.every ? `${PERIOD[say.every].toLowerCase()} ` : ''}лимит (${say.allowance}${within(say)})`

const rate = (say: Phrases) => `Чуть помедленнее: ${say.limit} допускает ${say.allowance}${within(say)}.`

const within = (say: Phrases) => (say.span ? ` за ${say.span}` : '')

export const ru: Language = {
  // In the accusative, as they stand after «через» and «за»: «через 1 минуту».
  units: {
    second: { one: 'секунду', few: 'секунды', many: 'секунд', other: 'секунды' },
    minute: { one: 'минуту', few: 'минуты', many: 'минут', other: 'минуты' },
    hour: { one: 'час', few: 'часа', many: 'часов', other: 'часа' },
    day: { one: 'день', few: 'дня', many: 'дней', other: 'дня' },
    time: { one: 'раз', few: 'раза', many: 'раз', other: 'раза' },
  },
  subjectUnits: {
    second: { one: 'секунда', few: 'секунды', many: 'секунд', other: 'секунды' },
    minute: { one: 'минута', few: 'минуты', many: 'минут', other: 'минуты' },
  },
  meters: {
    requests: { one: 'запрос', few: 'запроса', many: 'запросов', other: 'запроса' },
    tokens: { one: 'токен', few: 'токена', many: 'токенов', other: 'токена' },
  },
  unlimited: 'без ограничений',
  quote: (name) => `«${name}»`,
  reached: {
    quota,
    slidingWindow: rate,
    fixedWindow: rate,
    tokenBucket: (say) => `Чуть помедленнее: ${say.limit} допускает подряд не больше, чем ${say.allowance}.`,
    cooldown: (say) => `Минутку: ${say.limit} просит паузу между запросами.`,
    duplicates: (say) => `Снова тот же текст: ${say.limit} допускает его ${say.times}${within(say)}. Новый текст можно отправить сразу.`,
    concurrency: (say) => `Ещё выполняется: ${say.limit} допускает одновременно ${say.allowance}. Дождитесь завершения.`,
    capacity: (say) => `Мест не осталось: ${say.limit}, занято ${say.used} из ${say.max}. Освободите одно место.`,
    allowOnly: (say) => `План ${say.plan} не включает этот вариант (${say.limit}).`,
    credits: (say) => `Недостаточно кредитов: ${say.cost ? `нужно ${say.cost}, ` : ''}доступно ${say.remaining}.`,
  },
  tooLarge: {
    quota: tooLarge(limitOf),
    slidingWindow: tooLarge(limitOf),
    fixedWindow: tooLarge(limitOf),
    tokenBucket: tooLarge((say) => `лимит (${say.allowance} подряд)`),
  },
  notIncluded: (say) => `План ${say.plan} не включает ${say.limit}.`,
  tryAgain: (wait, at) => `Попробуйте снова через ${wait}${at ? ` (${at})` : ''}.`,
  better: {
    gives: (plan, max) => `план ${plan} даёт ${max}`,
    unlimited: (plan) => `план ${plan} не имеет лимита`,
    includes: (plan) => `план ${plan} включает его`,
    pause: (plan, wait) => `с планом ${plan} пауза всего ${wait}`,
    noPause: (plan) => `с планом ${plan} паузы нет`,
  },
}
