import type { LimitKind } from '../define/limits.ts'

export type Locale = 'en' | 'es' | 'ru'

/** One wording per plural category of the language; `other` stands in for those that are not named. */
export type Forms = { readonly [Category in Intl.LDMLPluralRule]?: string } & { readonly other: string }

/** What a text can say. */
export interface MessageFacts {
  limit: string
  kind: LimitKind | 'credits'
  code: string
  /** `Infinity` is unlimited. */
  max: number
  used: number
  remaining: number
  resetAt: number | null
  retryAfterMs: number | null
  /** What the request asks for, in units of `max`. */
  amount?: number
  /** The period of a quota; the length in milliseconds of a window. */
  every?: 'day' | 'week' | 'month' | number
  /** What is counted: `requests`, `tokens`, or a meter of your own. */
  meter: string
  plan: string
  partition?: Readonly<Record<string, string>>
  /**
   * Plans that give more of this limit, the lowest rank first, whether or not that would have let this request pass:
   * `liftedBy` tells that. `waitMs`: a cooldown's pause in that plan.
   */
  better: readonly { plan: string; max: number; waitMs?: number }[]
  /** What the request costs, for `credits`. */
  cost?: number
  now: number
}

/** The parts of a sentence, already in words: `50 requests`, `1 minute`. */
export interface Phrases {
  /** The limit's name, in the language's quotation marks. */
  readonly limit: string
  readonly plan: string
  /** `50 requests`, `100,000 tokens`. */
  readonly allowance: string
  /** `10 times`. */
  readonly times: string
  /** What remains although it is too little, such as `3 requests`. */
  readonly left?: string
  readonly every?: 'day' | 'week' | 'month'
  /** The length of a window, `1 hour`. */
  readonly span?: string
  readonly used: string
  readonly max: string
  readonly remaining: string
  readonly cost?: string
  /** What the request asks for, a number. */
  readonly needed?: string
}

/** The words of one language. A message is: what was reached, when it frees, what better plans give. */
export interface Language {
  readonly units: Readonly<Record<'second' | 'minute' | 'hour' | 'day' | 'time', Forms>>
  /** In place of `units` where the time is the subject of a sentence, in languages that then say it another way: «пауза 1 секунда». */
  readonly subjectUnits?: Readonly<Partial<Language['units']>>
  /** Nouns of the meters that Tollgate knows; others are quoted as they are. */
  readonly meters: Readonly<Record<string, Forms>>
  readonly unlimited: string
  quote(name: string): string
  readonly reached: Readonly<Record<MessageFacts['kind'], (say: Phrases) => string>>
  /** In place of `reached` where the request alone asks for more than the limit ever gives: waiting does not help. */
  readonly tooLarge: Readonly<Partial<Record<MessageFacts['kind'], (say: Phrases) => string>>>
  /** In place of `reached` where the plan's amount is 0. */
  notIncluded(say: Phrases): string
  tryAgain(wait: string, at: string | undefined): string
  /** Half sentences about one better plan. */
  readonly better: {
    gives(plan: string, max: string): string
    unlimited(plan: string): string
    includes(plan: string): string
    pause(plan: string, wait: string): string
    noPause(plan: string): string
  }
}
