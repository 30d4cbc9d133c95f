/** Denials in the voice of the product: friendly, and they tell what the better plans give. */
import { counted, formatCount, formatInstant, formatSpan, formatWait } from '../../messages/format.ts'
import type { Forms, Locale, MessageFacts, MessageOverrides, MessageTemplate } from '../../messages/index.ts'
import type { plans } from './plans.ts'

type LimitName = keyof (typeof plans)['free']['limits']
type Noun = 'message' | 'time' | 'agent'

/** As they are said after a number. Spanish `many` is the form after a million; the Russian words are in the accusative. */
const NOUNS: Readonly<Record<Locale, Readonly<Record<Noun, Forms>>>> = {
  es: {
    message: { one: 'mensaje', many: 'de mensajes', other: 'mensajes' },
    time: { one: 'vez', many: 'de veces', other: 'veces' },
    agent: { one: 'agente', many: 'de agentes', other: 'agentes' },
  },
  en: {
    message: { one: 'message', other: 'messages' },
    time: { one: 'time', other: 'times' },
    agent: { one: 'agent', other: 'agents' },
  },
  ru: {
    message: { one: 'сообщение', few: 'сообщения', many: 'сообщений', other: 'сообщения' },
    time: { one: 'раз', few: 'раза', many: 'раз', other: 'раза' },
    agent: { one: 'агента', few: 'агента', many: 'агентов', other: 'агента' },
  },
}

/** The product's front end looks for `Límite diario`. */
const es = texts('es', {
  dailyMessages: (say) => [
    `Límite diario alcanzado: el plan ${say.plan} da ${say.max('message')} al día.`,
    say.wait && `Podrás seguir en ${say.wait}.`,
    say.better(({ plan, max }) => (max ? `con ${plan} tienes ${max}` : `con ${plan} no hay límite`)),
  ],
  cooldown: (say) => [
    'Un momento: entre un mensaje y el siguiente hay una pequeña pausa.',
    say.wait && `Podrás escribir en ${say.wait}.`,
    say.better(({ plan, pause }) => (pause ? `con ${plan} la pausa es de ${pause}` : `con ${plan} no hay pausa`)),
  ],
  spam: (say) => [`Ya has enviado este mensaje ${say.max('time')} en ${say.window}.`, 'Prueba a decirlo de otra manera.'],
  flood: (say) => [`Vas muy rápido: en cada mundo caben ${say.max('message')} en ${say.window}.`, say.wait && `Podrás seguir en ${say.wait}.`],
  agents: (say) => [
    `Este mundo está completo: el plan ${say.plan} admite ${say.max('agent')} por mundo.`,
    say.better(({ plan, max }) => (max ? `con ${plan} caben ${max}` : `con ${plan} no hay límite`)),
  ],
})

const en = texts('en', {
  dailyMessages: (say) => [
    `Daily limit reached: the ${say.plan} plan gives ${say.max('message')} a day.`,
    say.wait && `You can go on in ${say.wait}.`,
    say.better(({ plan, max }) => (max ? `with ${plan} you have ${max}` : `with ${plan} there is no limit`)),
  ],
  cooldown: (say) => [
    'One moment: there is a short pause between messages.',
    say.wait && `You can write in ${say.wait}.`,
    say.better(({ plan, pause }) => (pause ? `with ${plan} the pause is ${pause}` : `with ${plan} there is no pause`)),
  ],
  spam: (say) => [`You have sent this message ${say.max('time')} in ${say.window}.`, 'Try to say it another way.'],
  flood: (say) => [`You are going very fast: each world takes ${say.max('message')} in ${say.window}.`, say.wait && `You can go on in ${say.wait}.`],
  agents: (say) => [
    `This world is full: the ${say.plan} plan has room for ${say.max('agent')} per world.`,
    say.better(({ plan, max }) => (max ? `with ${plan} there is room for ${max}` : `with ${plan} there is no limit`)),
  ],
})

const ru = texts('ru', {
  dailyMessages: (say) => [
    `Дневной лимит исчерпан: план ${say.plan} даёт ${say.max('message')} в день.`,
    say.wait && `Продолжить можно через ${say.wait}.`,
    say.better(({ plan, max }) => (max ? `с ${plan} их ${max}` : `с ${plan} лимита нет`)),
  ],
  cooldown: (say) => [
    'Минутку: между сообщениями нужна небольшая пауза.',
    say.wait && `Написать можно через ${say.wait}.`,
    say.better(({ plan, pause }) => (pause ? `с ${plan} пауза всего ${pause}` : `с ${plan} паузы нет`)),
  ],
  spam: (say) => [`Вы уже отправили это сообщение ${say.max('time')} за ${say.window}.`, 'Попробуйте сказать по-другому.'],
  flood: (say) => [`Слишком быстро: каждый мир принимает ${say.max('message')} за ${say.window}.`, say.wait && `Продолжить можно через ${say.wait}.`],
  agents: (say) => [
    `В этом мире больше нет места: план ${say.plan} допускает ${say.max('agent')} на мир.`,
    say.better(({ plan, max }) => (max ? `с ${plan} их ${max}` : `с ${plan} лимита нет`)),
  ],
})

/**
 * For the option `messages` of `createTollgate`. The texts go by limit name: in an engine of several plan sets the daily
 * one also speaks for `business-chat`, where it is as true.
 */
export const messages: MessageOverrides = { es, en, ru }

/** The facts of a denial in the words of one language. */
interface Say {
  readonly plan: string
  /** What this plan gives: `50 messages`. */
  max(noun: Noun): string
  /** `6 hours`, and from an hour on the clock time beside it; nothing where waiting does not help. */
  readonly wait: string | undefined
  /** The length of the limit's window: `1 hour`. */
  readonly window: string
  /** A sentence about the plans that would have let the request pass; nothing where there are none. */
  better(clause: (offer: { plan: string; max: string | undefined; pause: string | undefined }) => string): string | undefined
}

const TELL_INSTANT_FROM_MS = 3_600_000

function texts(locale: Locale, write: Readonly<Record<LimitName, (say: Say) => (string | undefined)[]>>): Record<string, MessageTemplate> {
  return Object.fromEntries(Object.entries(write).map(([limit, sentencesOf]) => [limit, (facts) => sentencesOf(sayOf(facts, locale)).filter(Boolean).join(' ')]))
}

function sayOf({ plan, max, every, retryAfterMs, now, better }: MessageFacts, locale: Locale): Say {
  return {
    plan,
    max: (noun) => counted(max, NOUNS[locale][noun], locale),
    wait: retryAfterMs === null ? undefined : formatWait(retryAfterMs, locale) + (retryAfterMs < TELL_INSTANT_FROM_MS ? '' : ` (${formatInstant(now + retryAfterMs, locale)})`),
    window: typeof every === 'number' ? formatSpan(every, locale) : '',
    better(clause) {
      const clauses = better.map(({ plan, max, waitMs }) =>
        clause({ plan, max: max === Infinity ? undefined : formatCount(max, locale), pause: waitMs ? formatSpan(waitMs, locale, 'subject') : undefined }),
      )
      const sentence = clauses.join('; ')
      return sentence && `${sentence[0]!.toUpperCase()}${sentence.slice(1)}.`
    },
  }
}
