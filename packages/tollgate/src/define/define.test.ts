import { describe, expect, it } from 'vitest'
import { TollgateError } from '../errors/index.ts'
import { allowOnly, capacity, concurrency, cooldown, duplicates, fixedWindow, quota, slidingWindow, tokenBucket } from './limits.ts'
import { definePlans, type Plans } from './plans.ts'
import { validateOperations, validatePlans } from './validate.ts'

const daily = { kind: 'quota', limit: 50, every: 'day' }
const plan = { rank: 0, limits: { daily } }
const withPlan = (options: object) => ({ free: { ...plan, ...options } })
const withLimit = (limit: unknown) => ({ free: { rank: 0, limits: { it: limit } } })
const withOption = (options: object) => withLimit({ ...daily, ...options })
const many = <T>(count: number, value: T): Record<string, T> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, value]))
const names = (count: number): string[] => Object.keys(many(count, 0))

function errorOf(run: () => unknown): TollgateError {
  try {
    run()
  } catch (error) {
    if (error instanceof TollgateError) return error
    throw error
  }
  throw new Error('It was accepted')
}

/** What is refused, the field that the error names, and parts of its message: the value, the rule and the fix. */
type Refused = [input: unknown, field: string, ...parts: string[]]

const refusedPlans: Refused[] = [
  // The set.
  [undefined, 'plans', 'is missing', 'use a plain object of plans by name'],
  [null, 'plans', 'null is not a record of plans'],
  ['free', 'plans', "'free' is not a record of plans"],
  [[plan], 'plans', 'an array is not a record of plans'],
  [new Map([['free', plan]]), 'plans', 'an object is not a record of plans', 'plain object'],
  [{}, 'plans', 'has no plans', 'at least 1'],
  [many(1001, plan), 'plans', 'more than 1000 plans', 'at most 1000'],

  // Names.
  [{ '': plan }, 'plans.', "'' is not a name", '1 to 64 letters'],
  [{ 'worlds/free': plan }, 'plans.worlds/free', "'worlds/free' is not a name", "letters, digits, '_', '-' or '.'"],
  [{ 'free plan': plan }, 'plans.free plan', "'free plan' is not a name"],
  [{ бесплатный: plan }, 'plans.бесплатный', 'is not a name'],
  [{ ['a'.repeat(65)]: plan }, `plans.${'a'.repeat(64)}…`, 'is not a name', '1 to 64'],
  [{ 2026: plan }, 'plans.2026', "'2026' is not a name", 'not digits alone'],
  [JSON.parse('{"__proto__": {"rank": 0, "limits": {}}}'), 'plans.__proto__', 'JavaScript uses it', 'take another name'],
  [{ constructor: plan }, 'plans.constructor', "'constructor'", 'take another name'],
  [{ prototype: plan }, 'plans.prototype', "'prototype'", 'take another name'],
  [withPlan({ limits: { 'per day': daily } }), 'plans.free.limits.per day', "'per day' is not a name"],

  // A plan.
  [{ free: null }, 'plans.free', 'null is not a plan', 'use a plain object with rank, price, limits, headline, credits'],
  [{ free: undefined }, 'plans.free', 'is missing'],
  [withPlan({ ranc: 1 }), 'plans.free.ranc', "unknown option 'ranc'; did you mean 'rank'?"],
  [withPlan({ colour: 'red' }), 'plans.free.colour', "unknown option 'colour'; use one of rank, price, limits, headline, credits"],
  [{ free: { limits: {} } }, 'plans.free.rank', 'is missing; use an integer'],
  [withPlan({ rank: 1.5 }), 'plans.free.rank', '1.5 is not an integer'],
  [withPlan({ rank: '1' }), 'plans.free.rank', "'1' is not an integer"],
  [withPlan({ rank: 2 ** 31 }), 'plans.free.rank', '2147483648 is not an integer from -2147483647 to 2147483647'],
  [{ free: { rank: 0 } }, 'plans.free.limits', 'is missing; use a plain object of limits by name'],
  [withPlan({ limits: [daily] }), 'plans.free.limits', 'an array is not a record of limits'],
  [withPlan({ limits: many(65, daily) }), 'plans.free.limits', 'more than 64 limits', 'at most 64'],
  [withPlan({ headline: 'dayly' }), 'plans.free.headline', "'dayly' is not a counted limit of this plan; did you mean 'daily'?"],
  [withPlan({ headline: 'tokens' }), 'plans.free.headline', 'use one of daily'],
  [{ free: { rank: 0, limits: {}, headline: 'tokens' } }, 'plans.free.headline', "'tokens' is not a counted limit", 'there are none'],
  [withPlan({ limits: { daily, models: allowOnly({ model: ['a'] }) }, headline: 'models' }), 'plans.free.headline', "'models' is not a counted limit"],
  [withPlan({ headline: 'toString' }), 'plans.free.headline', "'toString' is not free"],
  [withPlan({ limits: many(21, daily), headline: 'x' }), 'plans.free.headline', 'use one of n0, n1,', 'n19, …'],
  [withPlan({ limits: many(20, daily), headline: 'x' }), 'plans.free.headline', 'n18, n19'],

  // Price and credits.
  [withPlan({ price: 5 }), 'plans.free.price', '5 is not a price', 'amount, currency, every'],
  [withPlan({ price: { amount: -1, currency: 'USD', every: 'month' } }), 'plans.free.price.amount', '-1 is not an amount of money', 'finite number from 0'],
  [withPlan({ price: { amount: Infinity, currency: 'USD', every: 'month' } }), 'plans.free.price.amount', 'Infinity is not an amount of money'],
  [withPlan({ price: { amount: '5', currency: 'USD', every: 'month' } }), 'plans.free.price.amount', "'5' is not an amount of money"],
  [withPlan({ price: { amount: 5, currency: 'usd', every: 'month' } }), 'plans.free.price.currency', "'usd' is not a currency", "'USD'"],
  [withPlan({ price: { amount: 5, currency: 'USDT', every: 'month' } }), 'plans.free.price.currency', "'USDT' is not a currency"],
  [withPlan({ price: { amount: 5, currency: 'AUSD', every: 'month' } }), 'plans.free.price.currency', "'AUSD' is not a currency"],
  [withPlan({ price: { amount: 5, currency: ['USD'], every: 'month' } }), 'plans.free.price.currency', 'an array is not a currency'],
  [withPlan({ price: { amount: 5, currency: 'USD' } }), 'plans.free.price.every', "is missing; use 'day', 'week', 'month' or a duration"],
  [withPlan({ price: { amount: 5, currency: 'USD', every: 'month', vat: 21 } }), 'plans.free.price.vat', "unknown option 'vat'"],
  [withPlan({ credits: { grant: -1, every: 'month' } }), 'plans.free.credits.grant', '-1 is not an integer from 0 to 2147483647'],
  [withPlan({ credits: { grant: Infinity, every: 'month' } }), 'plans.free.credits.grant', 'Infinity is not an integer'],
  [withPlan({ credits: { grant: 100 } }), 'plans.free.credits.every', 'is missing'],
  [withPlan({ credits: { grant: 100, every: 'monthly' } }), 'plans.free.credits.every', "'monthly' is not a period", "'month'"],

  // A limit's kind and options.
  [withLimit(50), 'plans.free.limits.it', '50 is not a limit', "quota({ limit: 50, every: 'day' })"],
  [withLimit(quota), 'plans.free.limits.it', 'a function is not a limit'],
  [withLimit({}), 'plans.free.limits.it.kind', 'is missing; use one of slidingWindow, fixedWindow'],
  [withLimit({ ...daily, kind: 'qouta' }), 'plans.free.limits.it.kind', "'qouta' is not a kind of limit; did you mean 'quota'?"],
  [withLimit({ ...daily, kind: 'constructor' }), 'plans.free.limits.it.kind', "'constructor' is not a kind of limit; use one of"],
  [withOption({ timezon: 'UTC' }), 'plans.free.limits.it.timezon', "unknown option 'timezon'; did you mean 'timezone'?"],
  [withOption({ window: '1d' }), 'plans.free.limits.it.window', "unknown option 'window'; use one of limit, every, timezone"],
  [withLimit({ ...cooldown({ wait: 1 }), meter: 'tokens' }), 'plans.free.limits.it.meter', "unknown option 'meter'; use one of wait, per, match, code, onFailure"],

  // Options that many kinds have.
  [withLimit({ kind: 'quota', every: 'day' }), 'plans.free.limits.it.limit', 'is missing; use an integer from 0 to 2147483647, or Infinity'],
  [withOption({ limit: -1 }), 'plans.free.limits.it.limit', '-1 is not an amount'],
  [withOption({ limit: 0.5 }), 'plans.free.limits.it.limit', '0.5 is not an amount'],
  [withOption({ limit: 2 ** 31 }), 'plans.free.limits.it.limit', '2147483648 is not an amount', 'or Infinity (null in JSON)'],
  [withOption({ limit: Number.NaN }), 'plans.free.limits.it.limit', 'NaN is not an amount'],
  [withOption({ limit: '50' }), 'plans.free.limits.it.limit', "'50' is not an amount"],
  [withOption({ limit: 50n }), 'plans.free.limits.it.limit', '50n is not an amount'],
  [withOption({ limit: -Infinity }), 'plans.free.limits.it.limit', '-Infinity is not an amount'],
  [withOption({ meter: 'LLM tokens' }), 'plans.free.limits.it.meter', "'LLM tokens' is not a name"],
  [withOption({ meter: null }), 'plans.free.limits.it.meter', 'null is not a name'],
  [withOption({ weight: 0 }), 'plans.free.limits.it.weight', '0 is not an integer from 1 to 2147483647'],
  [withOption({ weight: Infinity }), 'plans.free.limits.it.weight', 'Infinity is not an integer'],
  [withOption({ softLimit: 0 }), 'plans.free.limits.it.softLimit', '0 is not a share', 'such as 0.8'],
  [withOption({ softLimit: 80 }), 'plans.free.limits.it.softLimit', '80 is not a share', 'above 0 and up to 1'],
  [withOption({ softLimit: '0.8' }), 'plans.free.limits.it.softLimit', "'0.8' is not a share"],
  [withOption({ code: 'TOO MANY' }), 'plans.free.limits.it.code', "'TOO MANY' is not a name"],
  [withOption({ onFailure: 'close' }), 'plans.free.limits.it.onFailure', "'close' is not a failure policy; did you mean 'closed'?"],
  [withOption({ onFailure: true }), 'plans.free.limits.it.onFailure', 'true is not a failure policy; use one of open, closed, local'],
  [withOption({ per: 'world' }), 'plans.free.limits.it.per', "'world' is not a list of dimension names", 'use an array'],
  [withOption({ per: ['world', 'my room'] }), 'plans.free.limits.it.per[1]', "'my room' is not a name"],
  [withOption({ per: [undefined] }), 'plans.free.limits.it.per[0]', 'is missing'],
  [withOption({ per: ['world', 'room', 'world'] }), 'plans.free.limits.it.per', "'world' is there twice; name it once"],
  [withOption({ per: names(9) }), 'plans.free.limits.it.per', 'more than 8 dimension names', 'at most 8'],
  [withOption({ match: ['agent_create'] }), 'plans.free.limits.it.match', 'an array is not a record of dimensions'],
  [withOption({ match: { 'my model': 'a' } }), 'plans.free.limits.it.match.my model', "'my model' is not a name"],
  [withOption({ match: { model: '' } }), 'plans.free.limits.it.match.model', "'' is not a dimension value", '1 to 256 characters'],
  [withOption({ match: { model: 'a'.repeat(257) } }), 'plans.free.limits.it.match.model', '1 to 256 characters'],
  [withOption({ match: { model: 5 } }), 'plans.free.limits.it.match.model', '5 is not a list of dimension values'],
  [withOption({ match: { model: [] } }), 'plans.free.limits.it.match.model', 'has no dimension values', 'at least 1'],
  [withOption({ match: { model: ['a', 5] } }), 'plans.free.limits.it.match.model[1]', '5 is not a dimension value'],
  [withOption({ match: { model: [['a']] } }), 'plans.free.limits.it.match.model[0]', 'an array is not a dimension value'],
  [withOption({ match: { model: names(1001) } }), 'plans.free.limits.it.match.model', 'more than 1000 dimension values'],
  [withOption({ match: many(9, 'a') }), 'plans.free.limits.it.match', 'more than 8 dimensions'],

  // Options of one kind.
  [withOption({ every: 'fortnight' }), 'plans.free.limits.it.every', "'fortnight' is not a period", "'day', 'week', 'month' or a duration such as '30d'"],
  [withOption({ every: '0s' }), 'plans.free.limits.it.every', "'0s' is not a length of time"],
  [withOption({ every: ['1d'] }), 'plans.free.limits.it.every', 'an array is not a period'],
  [withOption({ every: 'P1D' }), 'plans.free.limits.it.every', "'P1D' is not a period"],
  [withOption({ timezone: 'Mars/Olympus' }), 'plans.free.limits.it.timezone', "'Mars/Olympus' is not a time zone", "'Europe/Madrid'"],
  [withOption({ timezone: 2 }), 'plans.free.limits.it.timezone', '2 is not a time zone'],
  [withOption({ timezone: ['UTC'] }), 'plans.free.limits.it.timezone', 'an array is not a time zone', "'Europe/Madrid'"],
  [withOption({ anchor: 'subjet' }), 'plans.free.limits.it.anchor', "'subjet' is not an anchor; did you mean 'subject'?"],
  [withLimit({ kind: 'fixedWindow', limit: 5 }), 'plans.free.limits.it.window', 'is missing; use milliseconds or a value such as'],
  [withLimit({ kind: 'fixedWindow', limit: 5, window: 0 }), 'plans.free.limits.it.window', '0 is not a length of time from 1 ms'],
  [withLimit({ kind: 'slidingWindow', limit: 5, window: '1 minute' }), 'plans.free.limits.it.window', "'1 minute' is not a length of time", "'1m'"],
  [withLimit({ kind: 'slidingWindow', limit: 5, window: '4000d' }), 'plans.free.limits.it.window', "'4000d'", '10 years'],
  [withLimit({ kind: 'slidingWindow', limit: 5, window: '1m', exact: 'yes' }), 'plans.free.limits.it.exact', "'yes' is not a boolean; use true or false"],
  [withLimit(slidingWindow({ limit: 10_001, window: '1m', exact: true })), 'plans.free.limits.it.limit', '10001', "leave 'exact' out", '10000'],
  [withLimit(slidingWindow({ limit: 2 ** 31 - 1, window: '3650d' })), 'plans.free.limits.it.limit', '2147483647 × 315360000000 ms', '2^53', 'shorter window'],
  [withLimit(slidingWindow({ limit: 2 ** 30, window: 2 ** 23 })), 'plans.free.limits.it.limit', '1073741824 × 8388608 ms', '2^53'],
  [withLimit(tokenBucket({ capacity: 2 ** 31 - 1, refill: 1, every: '365d' })), 'plans.free.limits.it.capacity', '2147483647 × 31536000000 ms', '2^53', 'smaller capacity'],
  [withLimit(tokenBucket({ capacity: 3.5, refill: 1, every: '1s' })), 'plans.free.limits.it.capacity', '3.5 is not an amount'],
  [withLimit(tokenBucket({ capacity: 3, refill: 0, every: '1s' })), 'plans.free.limits.it.refill', '0 is not an integer from 1 to 2147483647'],
  [withLimit(tokenBucket({ capacity: 3, refill: Infinity, every: '1s' })), 'plans.free.limits.it.refill', 'Infinity is not an integer'],
  [withLimit({ kind: 'tokenBucket', capacity: 3, refill: 1, every: 'day' }), 'plans.free.limits.it.every', "'day' is not a length of time", "'30d'"],
  [withLimit(cooldown({ wait: -1 })), 'plans.free.limits.it.wait', '-1 is not a length of time from 0 ms'],
  [withLimit(duplicates({ limit: 10_001, window: '1h' })), 'plans.free.limits.it.limit', '10001 is not an amount', 'from 0 to 10000'],
  [withLimit(concurrency({ limit: 1.5 })), 'plans.free.limits.it.limit', '1.5 is not an amount'],
  [withLimit({ kind: 'capacity' }), 'plans.free.limits.it.limit', 'is missing'],
  [withLimit({ kind: 'allowOnly' }), 'plans.free.limits.it.allow', 'is missing; use a plain object of dimensions by name'],
  [withLimit(allowOnly({})), 'plans.free.limits.it.allow', 'has no dimensions', 'at least 1'],
  [withLimit(allowOnly({ model: [] })), 'plans.free.limits.it.allow.model', 'has no dimension values', 'at least 1'],
  [withLimit({ kind: 'allowOnly', allow: { model: 'a' } }), 'plans.free.limits.it.allow.model', "'a' is not a list of dimension values", 'use an array'],

  // Limits of one name.
  [{ free: plan, plus: withPlan({ limits: { daily: concurrency({ limit: 2 }) } }).free }, 'plans.plus.limits.daily.kind', "'concurrency' differs from 'quota' in plan 'free'", 'give it another name'],
  [{ free: plan, plus: withPlan({ limits: { daily: { ...daily, meter: 'tokens' } } }).free }, 'plans.plus.limits.daily.meter', "'tokens' differs from 'requests' in plan 'free'"],
  [{ free: plan, plus: withPlan({ limits: { daily: { ...daily, per: ['world'] } } }).free }, 'plans.plus.limits.daily.per', "'world' differs from '(nothing)' in plan 'free'"],
  [{ free: withPlan({ limits: { rate: slidingWindow({ limit: 5, window: '1m', exact: true }) } }).free, plus: withPlan({ limits: { rate: slidingWindow({ limit: 9, window: '1m' }) } }).free }, 'plans.plus.limits.rate.exact', "'false' differs from 'true' in plan 'free'"],
]

const acceptedPlans: [what: string, input: unknown][] = [
  ['a plan without limits', { free: { rank: 0, limits: {} } }],
  ['plans of one rank, below zero too', { free: { rank: -1, limits: {} }, trial: { rank: -1, limits: {} } }],
  ['names with every allowed character', { 'Free-2.0_beta': { rank: 0, limits: { '3d': daily } } }],
  ['1,000 plans', many(1000, plan)],
  ['64 limits', withPlan({ limits: many(64, daily) })],
  ['a price in fractions, for a duration', withPlan({ price: { amount: 19.9, currency: 'EUR', every: '30d' } })],
  ['the largest allowance', withPlan({ credits: { grant: 2 ** 31 - 1, every: 'week' } })],
  ['the largest limit', withOption({ limit: 2 ** 31 - 1 })],
  ['a limit of zero', withOption({ limit: 0 })],
  ['every option of a quota', withOption({ every: 3_600_000, timezone: 'Europe/Madrid', anchor: 'subject', meter: 'tokens', weight: 2, softLimit: 1, code: 'OVER', onFailure: 'closed' })],
  ['eight dimensions', withOption({ per: names(8) })],
  ['the operation as a dimension', withOption({ per: ['operation'] })],
  ['1,000 dimension values', withOption({ match: { model: names(1000), region: 'a/b c:ü', long: 'a'.repeat(256) } })],
  ['an exact window of 10,000', withLimit(slidingWindow({ limit: 10_000, window: '3650d', exact: true }))],
  ['an exact window without a limit', withLimit(slidingWindow({ limit: Infinity, window: '1m', exact: true }))],
  ['a sliding window just within 2^53', withLimit(slidingWindow({ limit: 2 ** 30, window: 2 ** 23 - 1 }))],
  ['a bucket without a limit', withLimit(tokenBucket({ capacity: Infinity, refill: 1, every: '3650d' }))],
  ['a fixed window of any product', withLimit(fixedWindow({ limit: 2 ** 31 - 1, window: '3650d' }))],
  ['no cooldown', withLimit(cooldown({ wait: 0 }))],
  ['duplicates without a limit', withLimit(duplicates({ limit: Infinity, window: '1h' }))],
  ['shared limits of other sizes and windows', { free: plan, plus: withPlan({ limits: { daily: { ...daily, limit: 500, every: '12h', meter: 'requests', per: [] } } }).free }],
  ['objects without a prototype', Object.assign(Object.create(null), { free: plan })],
]

const refusedOperations: Refused[] = [
  [null, 'operations', 'null is not a record of operations', 'use a plain object of operations by name'],
  [['chat'], 'operations', 'an array is not a record of operations'],
  [many(1001, {}), 'operations', 'more than 1000 operations'],
  [{ 'agent create': {} }, 'operations.agent create', "'agent create' is not a name"],
  [{ agent_create: 5 }, 'operations.agent_create', '5 is not an operation', 'use a plain object with credits'],
  [{ agent_create: { credit: 5 } }, 'operations.agent_create.credit', "unknown option 'credit'; did you mean 'credits'?"],
  [{ agent_create: { credits: 0.5 } }, 'operations.agent_create.credits', '0.5 is not an integer from 0 to 2147483647'],
  [{ agent_craete: {}, chat: {} }, 'plans.free.limits.agents.match.operation', "'agent_create' is not declared in 'operations'; did you mean 'agent_craete'?"],
  [{ agent_create: {} }, 'plans.free.limits.included.allow.operation', "'chat' is not declared in 'operations'; use one of agent_create"],
  [{}, 'plans.free.limits.agents.match.operation', "'agent_create' is not declared in 'operations'; there are none"],
]

const refuses = ([input, field, ...parts]: Refused, define: (input: unknown) => unknown): void =>
  it(`refuses ${field}: ${parts.join(' … ')}`, () => {
    const error = errorOf(() => define(input))
    expect(error).toMatchObject({ code: 'INVALID_DEFINITION', field })
    for (const part of parts) expect(error.message).toContain(part)
  })

describe('definePlans', () => {
  for (const row of refusedPlans) refuses(row, validatePlans)

  it.each(acceptedPlans)('accepts %s', (_, input) => {
    expect(validatePlans(input)).toEqual(input)
  })

  const plans = definePlans({
    free: {
      rank: 0,
      price: { amount: 0, currency: 'USD', every: 'month' },
      limits: {
        dailyMessages: quota({ limit: 50, every: 'day', timezone: 'UTC', code: 'DAILY_MESSAGE_LIMIT_EXCEEDED' }),
        spam: duplicates({ limit: Infinity, window: '1h', per: ['world'] }),
        burst: tokenBucket({ capacity: Infinity, refill: 3, every: '1s', per: ['operation'] }),
        agents: capacity({ limit: 3, per: ['world'], match: { operation: ['agent_create'] } }),
        models: allowOnly({ model: ['gemini-2.0-flash'] }, { code: 'MODEL_NOT_IN_PLAN' }),
      },
      headline: 'dailyMessages',
      credits: { grant: 100, every: 'month' },
    },
  })

  it('comes back from JSON, where unlimited is null', () => {
    const json = JSON.stringify(plans)
    expect(json).toContain('"limit":null')
    expect(json).toContain('"capacity":null')
    expect(definePlans(JSON.parse(json) as Plans)).toEqual(plans)
  })

  it('keeps the order of plans and limits', () => {
    expect(Object.keys(plans.free.limits)).toEqual(['dailyMessages', 'spam', 'burst', 'agents', 'models'])
  })

  it('gives a frozen copy and leaves its input as it was', () => {
    const input = { free: { rank: 0, limits: { it: { kind: 'capacity', limit: null, per: ['world'], match: { model: ['a'] } } } } } as const
    const before = structuredClone(input)
    const output = definePlans(input)
    expectFrozen(output)
    expect(input).toEqual(before)
    expect(Object.isFrozen(input.free.limits.it)).toBe(false)
  })

  it('leaves out options that are undefined', () => {
    expect(validatePlans(withOption({ timezone: undefined }))).toStrictEqual(withLimit(daily))
  })

  it('reads each property once: what was checked is what is kept', () => {
    let limit = 5
    const changing = { kind: 'capacity', get limit() { return limit++ } }
    expect(validatePlans(withLimit(changing))).toEqual(withLimit({ kind: 'capacity', limit: 5 }))
  })
})

describe('validateOperations', () => {
  const plans = definePlans({
    free: {
      rank: 0,
      limits: { agents: capacity({ limit: 3, match: { operation: 'agent_create' } }), included: allowOnly({ operation: ['chat'] }) },
    },
  })

  for (const row of refusedOperations) refuses(row, (operations) => validateOperations(operations, plans))

  it('gives a frozen copy', () => {
    const operations = { chat: { credits: 5 }, agent_create: {} }
    expect(validateOperations(operations, plans)).toEqual(operations)
    expectFrozen(validateOperations(operations, plans))
    expect(Object.isFrozen(operations)).toBe(false)
  })

  it('leaves all operations open where none are declared', () => {
    expect(validateOperations(undefined, plans)).toBeUndefined()
  })
})

function expectFrozen(value: unknown): void {
  expect(Object.isFrozen(value)).toBe(true)
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(expectFrozen)
}
