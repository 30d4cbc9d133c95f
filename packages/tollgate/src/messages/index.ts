/** Why a request was denied, in the words of its sender: the limit, when it frees, what better plans give. */
import { counted, formatCount, formatInstant, formatSpan, formatWait, LANGUAGES } from './format.ts'
import type { Language, Locale, MessageFacts, Phrases } from './language.ts'

export { formatCount, formatInstant, formatSpan, formatWait, plural } from './format.ts'
export type { Forms, Locale, MessageFacts } from './language.ts'
export { negotiateLocale } from './negotiate.ts'

export type MessageTemplate = (facts: MessageFacts) => string

/**
 * Texts of your own by locale, then by limit name, code or kind; the first that is found in this order wins.
 * A string may hold `{limit}` `{max}` `{used}` `{remaining}` `{wait}` `{reset}` `{plan}` `{better}`.
 */
export type MessageOverrides = { readonly [L in Locale]?: Readonly<Record<string, MessageTemplate | string>> }

/** From an hour on, the clock time is told beside the wait. */
const TELL_INSTANT_FROM_MS = 3_600_000
/** A message is read in passing: more plans than this are not listed. */
const MAX_BETTER_PLANS = 3

/** Writes the `message` of violations. */
export function createMessages(overrides: MessageOverrides = {}): (facts: MessageFacts, locale: Locale) => string {
  return (facts, locale) => {
    const own = ownText(overrides[locale], facts)
    if (own === undefined) return sentences(facts, locale)
    return typeof own === 'string' ? fill(own, facts, locale) : own(facts)
  }
}

function ownText(texts: Readonly<Record<string, MessageTemplate | string>> | undefined, facts: MessageFacts): MessageTemplate | string | undefined {
  if (texts === undefined) return undefined
  const key = [facts.limit, facts.code, facts.kind].find((name) => Object.hasOwn(texts, name))
  return key === undefined ? undefined : texts[key]
}

/** One pass: what a value contains is never taken for a placeholder; an unknown one stays as it is. */
function fill(text: string, facts: MessageFacts, locale: Locale): string {
  const values = {
    limit: facts.limit,
    max: formatCount(facts.max, locale),
    used: formatCount(facts.used, locale),
    remaining: formatCount(facts.remaining, locale),
    wait: facts.retryAfterMs === null ? '' : formatWait(facts.retryAfterMs, locale),
    reset: facts.resetAt === null ? '' : formatInstant(facts.resetAt, locale),
    plan: facts.plan,
    better: betterPlans(facts, locale),
  }
  return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => (Object.hasOwn(values, name) ? values[name as keyof typeof values] : placeholder))
}

function sentences(facts: MessageFacts, locale: Locale): string {
  const language = LANGUAGES[locale]
  const say = phrases(facts, language, locale)
  const isExcluded = facts.max === 0 && facts.kind !== 'credits'
  const reached = (isTooLarge(facts) && language.tooLarge[facts.kind]) || language.reached[facts.kind]
  const what = isExcluded ? language.notIncluded(say) : reached(say)
  return [what, tryAgain(facts, language, locale), betterPlans(facts, locale)].filter(Boolean).join(' ')
}

/** Whether even an unused limit has no room for the request. Languages have a text for the kinds that measure its size. */
function isTooLarge({ amount, max, retryAfterMs }: MessageFacts): boolean {
  return max > 0 && (amount === undefined ? retryAfterMs === null : amount > max)
}

function phrases(facts: MessageFacts, language: Language, locale: Locale): Phrases {
  const { every } = facts
  const noun = Object.hasOwn(language.meters, facts.meter) ? language.meters[facts.meter] : undefined
  const amount = (n: number) => (noun ? counted(n, noun, locale) : `${formatCount(n, locale)} ${language.quote(facts.meter)}`)
  return {
    limit: language.quote(facts.limit),
    plan: facts.plan,
    allowance: amount(facts.max),
    times: counted(facts.max, language.units.time, locale),
    used: formatCount(facts.used, locale),
    max: formatCount(facts.max, locale),
    remaining: formatCount(facts.remaining, locale),
    ...(facts.remaining > 0 && { left: amount(facts.remaining) }),
    ...(typeof every === 'string' && { every }),
    ...(typeof every === 'number' && { span: formatSpan(every, locale) }),
    ...(facts.amount !== undefined && { needed: formatCount(facts.amount, locale) }),
    ...(facts.cost !== undefined && { cost: formatCount(facts.cost, locale) }),
  }
}

function tryAgain(facts: MessageFacts, language: Language, locale: Locale): string {
  if (facts.retryAfterMs === null) return ''
  const at = facts.retryAfterMs < TELL_INSTANT_FROM_MS ? undefined : formatInstant(facts.now + facts.retryAfterMs, locale)
  return language.tryAgain(formatWait(facts.retryAfterMs, locale), at)
}

/** What they give, never that it would help now: a larger bucket is not a fuller one, and a used quota stays used. */
function betterPlans(facts: MessageFacts, locale: Locale): string {
  const { better } = LANGUAGES[locale]
  // A plan that gives more, but not enough for this request, is no help.
  const helpful = facts.better.filter(({ max }) => facts.amount === undefined || max >= facts.amount)
  const clauses = helpful.slice(0, MAX_BETTER_PLANS).map(({ plan, max, waitMs }) => {
    if (waitMs !== undefined) return waitMs === 0 ? better.noPause(plan) : better.pause(plan, formatWait(waitMs, locale, 'subject'))
    if (facts.kind === 'allowOnly') return better.includes(plan)
    return max === Infinity ? better.unlimited(plan) : better.gives(plan, formatCount(max, locale))
  })
  const text = clauses.join('; ')
  return text && `${text[0]!.toUpperCase()}${text.slice(1)}.`
}
