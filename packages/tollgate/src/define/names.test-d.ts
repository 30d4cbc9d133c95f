/** Compiled, never run: every line under `@ts-expect-error` must not compile, every other line must. */
import { createTollgate as createEngine } from '../engine/create.ts'
import type { TollgateRequest } from '../engine/types.ts'
import { allowOnly, capacity, concurrency, cooldown, duplicates, quota, slidingWindow, tokenBucket } from './limits.ts'
import type { Headlines, IsOpen, MatchedOperations, NamesOf } from './names.ts'
import { definePlans, type Operations, type PlanDefinition, type Plans } from './plans.ts'

declare function createTollgate<const P extends Plans, const O extends Operations = {}>(options: {
  plans: P
  operations?: O & MatchedOperations<P>
}): { reserve(request: TollgateRequest<NamesOf<P, O>>): void }

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function assertType<T extends true>(): T

// The example of the design, as it is there.
const plans = definePlans({
  free: {
    rank: 0,
    price: { amount: 0, currency: 'USD', every: 'month' },
    limits: {
      dailyMessages: quota({ limit: 50, every: 'day', timezone: 'UTC', code: 'DAILY_MESSAGE_LIMIT_EXCEEDED' }),
      tokens:        quota({ limit: 100_000, every: 'month', meter: 'tokens', anchor: 'subject' }),
      cooldown:      cooldown({ wait: '5s', per: ['world'] }),
      spam:          duplicates({ limit: 10, window: '1h', per: ['world'] }),
      flood:         slidingWindow({ limit: 20, window: '1m', per: ['world'], exact: true }),
      burst:         tokenBucket({ capacity: 3, refill: 3, every: '1s', per: ['operation'] }),
      agents:        capacity({ limit: 3, per: ['world'], match: { operation: 'agent_create' } }),
      parallel:      concurrency({ limit: 2 }),
      models:        allowOnly({ model: ['gemini-2.0-flash'] }),
    },
    headline: 'dailyMessages',
    credits: { grant: 100, every: 'month' },
  },
})
const tollgate = createTollgate({ plans, operations: { image_generation: { credits: 10 }, agent_create: {} } })

tollgate.reserve({
  subject: 'user:42', plan: 'free', operation: 'image_generation',
  dimensions: { world: 'w1', model: 'claude-opus-4' }, content: 'hello', amounts: { tokens: 1200 },
  idempotencyKey: 'req-1', ttlMs: 60_000,
})

// Names in requests.
tollgate.reserve({ subject: 'user:42', current: { agents: 2 }, amounts: { requests: 1 }, also: [{ subject: 'team:9', plan: 'free' }] })
// @ts-expect-error a misspelt plan
tollgate.reserve({ subject: 'user:42', plan: 'fre' })
// @ts-expect-error a misspelt plan of another subject
tollgate.reserve({ subject: 'user:42', also: [{ subject: 'team:9', plan: 'fre' }] })
// @ts-expect-error a misspelt limit
tollgate.reserve({ subject: 'user:42', current: { agent: 2 } })
// @ts-expect-error a misspelt meter
tollgate.reserve({ subject: 'user:42', amounts: { token: 1200 } })
// @ts-expect-error a misspelt dimension
tollgate.reserve({ subject: 'user:42', dimensions: { word: 'w1' } })
// @ts-expect-error the operation is a part of the request, not of its dimensions
tollgate.reserve({ subject: 'user:42', dimensions: { operation: 'agent_create' } })
// @ts-expect-error a misspelt operation
tollgate.reserve({ subject: 'user:42', operation: 'image_generatoin' })

assertType<Equal<NamesOf<typeof plans, { chat: {} }>['limit'], keyof (typeof plans)['free']['limits']>>()
assertType<Equal<NamesOf<typeof plans, { chat: {} }>['meter'], 'tokens' | 'requests'>>()
assertType<Equal<NamesOf<typeof plans, { chat: {} }>['dimension'], 'world' | 'model'>>()
assertType<Equal<NamesOf<typeof plans, { chat: {} }>['operation'], 'chat'>>()
assertType<Equal<IsOpen<typeof plans>, false>>()

// Names are those of all plans, of factories as of plain data, and of a match as of `per`.
const twoPlans = definePlans({
  free: { rank: 0, limits: { daily: { kind: 'quota', limit: 5, every: 'day', meter: 'pages', match: { region: ['eu', 'us'] } } } },
  plus: { rank: 1, limits: { hourly: slidingWindow({ limit: 5, window: '1h', per: ['room'] }) }, headline: 'hourly' },
})
assertType<Equal<NamesOf<typeof twoPlans, {}>['plan'], 'free' | 'plus'>>()
assertType<Equal<NamesOf<typeof twoPlans, {}>['limit'], 'daily' | 'hourly'>>()
assertType<Equal<NamesOf<typeof twoPlans, {}>['meter'], 'pages' | 'requests'>>()
assertType<Equal<NamesOf<typeof twoPlans, {}>['dimension'], 'region' | 'room'>>()

// Operations: any where none are declared; those that limits are about must be, once one is.
createTollgate({ plans }).reserve({ subject: 'user:42', operation: 'anything' })
createTollgate({ plans: twoPlans, operations: { chat: {} } }).reserve({ subject: 'user:42', operation: 'chat' })
// @ts-expect-error 'agent_create' is missing
createTollgate({ plans, operations: { agent_craete: {} } })
// @ts-expect-error a misspelt option of an operation
createTollgate({ plans: twoPlans, operations: { chat: { credit: 5 } } })

// No names at all is not any name.
const bare = createTollgate({ plans: definePlans({ free: { rank: 0, limits: { daily: quota({ limit: 5, every: 'day' }) } } }) })
bare.reserve({ subject: 'user:42', dimensions: {} })
// @ts-expect-error no limit has a dimension
bare.reserve({ subject: 'user:42', dimensions: { world: 'x' } })
// @ts-expect-error there is no limit
createTollgate({ plans: definePlans({ free: { rank: 0, limits: {} } }) }).reserve({ subject: 'user:42', current: { agents: 1 } })

// The engine's other methods.
const engine = createEngine({ plans: twoPlans, operations: { chat: {} }, defaultPlan: { ip: 'free', '*': 'plus' } })
void engine.setPlan('user:42', 'free', { overrides: { daily: 5 }, anchorAt: 1 })
// @ts-expect-error a misspelt limit
void engine.setPlan('user:42', 'free', { overrides: { dialy: 5 } })
engine.plan('free')
// @ts-expect-error a misspelt plan
engine.plan('fre')
// @ts-expect-error a misspelt default plan
createEngine({ plans: twoPlans, defaultPlan: 'fre' })
// @ts-expect-error a misspelt default plan of a kind of subject
createEngine({ plans: twoPlans, defaultPlan: { ip: 'fre' } })
// @ts-expect-error a misspelt option
createEngine({ plans: twoPlans, defualtPlan: 'free' })
// @ts-expect-error 'agent_create' is missing
createEngine({ plans, operations: { agent_craete: {} } })
const ofSets = createEngine({ planSets: [{ name: 'a', plans: twoPlans }], defaultPlan: 'a/free' })
void ofSets.setPlan('user:42', 'a/free', { overrides: { any: 5 } })
ofSets.plan('any')

// Plans that are read at run time take any name.
declare const readPlans: Plans
declare const readOperations: Operations
const open = createTollgate({ plans: definePlans(readPlans), operations: readOperations })
open.reserve({
  subject: 'user:42', plan: 'any', operation: 'any',
  dimensions: { any: 'w1' }, amounts: { any: 1 }, current: { any: 1 },
})
assertType<Equal<NamesOf<Plans, Operations>, { plan: string; limit: string; meter: string; dimension: string; operation: string }>>()
assertType<Equal<IsOpen<Plans>, true>>()

// A plan may be read while the others are literal.
declare const readPlan: PlanDefinition
createTollgate({ plans: definePlans({ free: readPlan }) }).reserve({ subject: 'user:42', plan: 'free', dimensions: { any: 'w1' } })

// Names inside plans.
const messages = quota({ limit: 50, every: 'day' })
const models = allowOnly({ model: ['gemini-2.0-flash'] })
definePlans({ free: { rank: 0, limits: { messages, models }, headline: 'messages' }, plus: { rank: 1, limits: { messages } } })
// @ts-expect-error a misspelt headline
definePlans({ free: { rank: 0, limits: { messages, models }, headline: 'mesages' } })
// @ts-expect-error a limit of another plan as the headline
definePlans({ free: { rank: 0, limits: { messages }, headline: 'tokens' }, plus: { rank: 1, limits: { tokens: messages } } })
// @ts-expect-error a limit that counts nothing as the headline
definePlans({ free: { rank: 0, limits: { messages, models }, headline: 'models' } })
assertType<Equal<Headlines<Plans>, { readonly [x: string]: unknown }>>()

// Options.
// @ts-expect-error a misspelt option
quota({ limit: 50, every: 'day', timezon: 'UTC' })
// @ts-expect-error a missing option
quota({ limit: 50 })
// @ts-expect-error an option of another kind
tokenBucket({ limit: 3, capacity: 3, refill: 3, every: '1s' })
// @ts-expect-error not a length of time
cooldown({ wait: '5 seconds' })
// @ts-expect-error a misspelt option of allowOnly
allowOnly({ model: ['gemini-2.0-flash'] }, { code: 'NOT_YOURS', onFailures: 'open' })
