import type { Language, Phrases } from './language.ts'

const PERIOD = { day: 'Daily', week: 'Weekly', month: 'Monthly' } as const

const quota = (say: Phrases) => {
  const title = say.every ? `${PERIOD[say.every]} limit` : 'Limit'
  const period = say.every ? ` a ${say.every}` : within(say)
  return say.left
    ? `${title} almost reached: ${say.limit} allows ${say.allowance}${period}. That leaves ${say.left}, less than this request needs.`
    : `${title} reached: ${say.limit} allows ${say.allowance}${period}.`
}

const tooLarge = (size: (say: Phrases) => string) => (say: Phrases) => `This request is larger than the whole ${size(say)}${say.needed ? `: it needs ${say.needed}` : ''}.`

const limitOf = (say: Phrases) => `${say.every ? `${PERIOD[say.every].toLowerCase()} ` : ''}limit of ${say.allowance}${within(say)}`

const rate = (say: Phrases) => `A little too fast: ${say.limit} allows ${say.allowance}${within(say)}.`

const within = (say: Phrases) => (say.span ? ` in ${say.span}` : '')

export const en: Language = {
  units: {
    second: { one: 'second', other: 'seconds' },
    minute: { one: 'minute', other: 'minutes' },
    hour: { one: 'hour', other: 'hours' },
    day: { one: 'day', other: 'days' },
    time: { one: 'time', other: 'times' },
  },
  meters: {
    requests: { one: 'request', other: 'requests' },
    tokens: { one: 'token', other: 'tokens' },
  },
  unlimited: 'unlimited',
  quote: (name) => `“${name}”`,
  reached: {
    quota,
    slidingWindow: rate,
    fixedWindow: rate,
    tokenBucket: (say) => `A little too fast: ${say.limit} allows bursts of up to ${say.allowance}.`,
    cooldown: (say) => `One moment: ${say.limit} asks for a pause between requests.`,
    duplicates: (say) => `The same text again: ${say.limit} allows it ${say.times}${within(say)}. A new text is welcome at once.`,
    concurrency: (say) => `Still busy: ${say.limit} allows ${say.allowance} at a time. Wait until one has finished.`,
    capacity: (say) => `No room left: ${say.limit} has ${say.used} of ${say.max} in use. Remove one to make room.`,
    allowOnly: (say) => `The ${say.plan} plan does not include this choice (${say.limit}).`,
    credits: (say) => `Not enough credits: ${say.cost ? `this costs ${say.cost} and ` : ''}you have ${say.remaining}.`,
  },
  tooLarge: {
    quota: tooLarge(limitOf),
    slidingWindow: tooLarge(limitOf),
    fixedWindow: tooLarge(limitOf),
    tokenBucket: tooLarge((say) => `limit of ${say.allowance} at once`),
  },
  notIncluded: (say) => `The ${say.plan} plan does not include ${say.limit}.`,
  tryAgain: (wait, at) => `Please try again in ${wait}${at ? ` (${at})` : ''}.`,
  better: {
    gives: (plan, max) => `the ${plan} plan gives ${max}`,
    unlimited: (plan) => `the ${plan} plan has no limit`,
    includes: (plan) => `the ${plan} plan includes it`,
    pause: (plan, wait) => `with the ${plan} plan the pause is only ${wait}`,
    noPause: (plan) => `with the ${plan} plan there is no pause`,
  },
}
