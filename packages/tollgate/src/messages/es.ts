import type { Language, Phrases } from './language.ts'

const PERIOD = { day: 'diario', week: 'semanal', month: 'mensual' } as const
const PER = { day: 'al día', week: 'a la semana', month: 'al mes' } as const

const quota = (say: Phrases) => {
  const title = say.every ? `Límite ${PERIOD[say.every]}` : 'Límite'
  const period = say.every ? ` ${PER[say.every]}` : within(say)
  return say.left
    ? `${title} casi alcanzado: ${say.limit} permite ${say.allowance}${period}. Disponible: ${say.left}, menos de lo que necesita esta solicitud.`
    : `${title} alcanzado: ${say.limit} permite ${say.allowance}${period}.`
}

const tooLarge = (size: (say: Phrases) => string) => (say: Phrases) => `Esta solicitud es mayor que todo el ${size(say)}${say.needed ? `: necesita ${say.needed}` : ''}.`

const limitOf = (say: Phrases) => `límite ${say.every ? `${PERIOD[say.every]} ` : ''}de ${say.allowance}${within(say)}`

const rate = (say: Phrases) => `Un poco más despacio: ${say.limit} permite ${say.allowance}${within(say)}.`

const within = (say: Phrases) => (say.span ? ` en ${say.span}` : '')

export const es: Language = {
  // `many` is the form after a million: «1.000.000 de solicitudes».
  units: {
    second: { one: 'segundo', many: 'de segundos', other: 'segundos' },
    minute: { one: 'minuto', many: 'de minutos', other: 'minutos' },
    hour: { one: 'hora', many: 'de horas', other: 'horas' },
    day: { one: 'día', many: 'de días', other: 'días' },
    time: { one: 'vez', many: 'de veces', other: 'veces' },
  },
  meters: {
    requests: { one: 'solicitud', many: 'de solicitudes', other: 'solicitudes' },
    tokens: { one: 'token', many: 'de tokens', other: 'tokens' },
  },
  unlimited: 'ilimitado',
  quote: (name) => `«${name}»`,
  reached: {
    quota,
    slidingWindow: rate,
    fixedWindow: rate,
    tokenBucket: (say) => `Un poco más despacio: ${say.limit} permite ráfagas de hasta ${say.allowance}.`,
    cooldown: (say) => `Un momento: ${say.limit} pide una pausa entre solicitudes.`,
    duplicates: (say) => `Otra vez el mismo texto: ${say.limit} lo permite ${say.times}${within(say)}. Un texto nuevo puedes enviarlo ya.`,
    concurrency: (say) => `Aún en curso: ${say.limit} permite ${say.allowance} a la vez. Espera a que termine una.`,
    capacity: (say) => `No queda sitio: ${say.limit} tiene ${say.used} de ${say.max} en uso. Elimina uno para hacer sitio.`,
    allowOnly: (say) => `El plan ${say.plan} no incluye esta opción (${say.limit}).`,
    credits: (say) => `Créditos insuficientes: ${say.cost ? `esto cuesta ${say.cost} y ` : ''}tienes ${say.remaining}.`,
  },
  tooLarge: {
    quota: tooLarge(limitOf),
    slidingWindow: tooLarge(limitOf),
    fixedWindow: tooLarge(limitOf),
    tokenBucket: tooLarge((say) => `límite de ${say.allowance} a la vez`),
  },
  notIncluded: (say) => `El plan ${say.plan} no incluye ${say.limit}.`,
  tryAgain: (wait, at) => `Inténtalo de nuevo en ${wait}${at ? ` (${at})` : ''}.`,
  better: {
    gives: (plan, max) => `el plan ${plan} da ${max}`,
    unlimited: (plan) => `el plan ${plan} no tiene límite`,
    includes: (plan) => `el plan ${plan} lo incluye`,
    pause: (plan, wait) => `con el plan ${plan} la pausa es de solo ${wait}`,
    noPause: (plan) => `con el plan ${plan} no hay pausa`,
  },
}
