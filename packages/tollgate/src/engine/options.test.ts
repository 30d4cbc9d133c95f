import { describe, expect, it } from 'vitest'
import { createTollgate, definePlans, MemoryStore, quota, TollgateError } from '../index.ts'

const plans = definePlans({ free: { rank: 0, limits: { daily: quota({ limit: 5, every: 'day' }) } } })
const create = createTollgate as (options?: unknown) => unknown

function errorOf(run: () => unknown): TollgateError {
  try {
    run()
  } catch (error) {
    if (error instanceof TollgateError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('createTollgate refuses', () => {
  it.each<[unknown, string, string]>([
    [undefined, 'options', 'options: is missing; use an object with plans or planSets'],
    [null, 'options', 'null is not an object'],
    [[], 'options', 'an array is not an object'],
    [{}, 'plans', 'plans: is missing; give plans, or planSets'],
    [{ plans, defualtPlan: 'free' }, 'defualtPlan', "defualtPlan: unknown option 'defualtPlan'; did you mean 'defaultPlan'?"],
    [{ plans, ['x'.repeat(5_000_000)]: 1 }, `${'x'.repeat(64)}…`, 'unknown option'],
    [{ plans, defaultPlan: null }, 'defaultPlan', "null is not a plan; use a plan's name, or one per kind of subject"],
    [{ plans, defaultPlan: { ip: 5 } }, 'defaultPlan.ip', '5 is not a plan'],
    [{ plans, planSets: [{ name: 'a', plans }] }, 'plans', 'use one of the two'],
    [{ operations: {}, planSets: [{ name: 'a', plans }] }, 'operations', 'give each plan set its own'],
    [{ planSets: 5 }, 'planSets', '5 is not a list of plan sets; use an array of plan sets'],
    [{ planSets: [] }, 'planSets', 'has no plan sets'],
    [{ planSets: [{ name: 'a/b', plans }] }, 'planSets[0].name', "'a/b' is not a name"],
    [{ planSets: [{ name: 'a b', plans }] }, 'planSets[0].name', "'a b' is not a name"],
    [{ planSets: [{ plans }] }, 'planSets[0].name', 'is missing'],
    [{ planSets: [{ name: 'a' }] }, 'plans', 'is missing'],
    [{ plans, secret: 5 }, 'secret', '5 is not a secret; use a string or bytes'],
    [{ plans, secret: 'short' }, 'secret', '5 bytes is too short'],
    [{ plans, locale: 'fr' }, 'locale', "'fr' is not a language; use one of en, es, ru"],
    [{ plans, namespace: 'a/b' }, 'namespace', "'a/b' is not a namespace"],
    [{ plans, store: {} }, 'store', 'an object is not a store'],
    [{ plans, subjects: [] }, 'subjects', 'an array is not a store of subjects'],
    [{ plans, clock: 5 }, 'clock', '5 is not a clock'],
    [{ plans, messages: { fr: {} } }, 'messages.fr', 'unknown option'],
    [{ plans, messages: { en: { daily: 5 } } }, 'messages.en.daily', '5 is not a text'],
    [{ plans, rollout: 'off' }, 'rollout', "'off' is not a rollout"],
    [{ plans, storeTimeoutMs: 1.5 }, 'storeTimeoutMs', '1.5 is not an integer from 1 to 60000'],
    [{ plans, maxInFlight: 0.5 }, 'maxInFlight', '0.5 is not an integer'],
    [{ plans, maxReceipts: NaN }, 'maxReceipts', 'NaN is not an integer'],
    [{ plans, localShare: 0 }, 'localShare', '0 is not a share of the limit; use a number above 0 and up to 1'],
    [{ plans, newId: 'r1' }, 'newId', "'r1' is not a function"],
  ])('%#: %s', (options, field, text) => {
    const error = errorOf(() => create(options))
    expect([error.code, error.field]).toEqual(['INVALID_DEFINITION', field])
    expect(error.message).toContain(text)
    expect(error.message.length).toBeLessThan(400)
  })

  it('a default plan that is none', () => {
    expect(() => create({ plans, defaultPlan: 'fre' })).toThrow("'fre' is not a plan; did you mean 'free'?")
  })

  it('nothing that is left out or undefined', () => {
    expect(() => create({ plans, defaultPlan: undefined, store: undefined, locale: undefined, operations: undefined })).not.toThrow()
  })
})

describe('MemoryStore refuses', () => {
  it.each([
    [{ maxSubjects: NaN }, 'MemoryStore.maxSubjects', 'NaN is not an integer from 1'],
    [{ maxPartitions: 0 }, 'MemoryStore.maxPartitions', '0 is not an integer'],
    [{ maxReservations: 1.5 }, 'MemoryStore.maxReservations', '1.5 is not an integer'],
    [{ whenFull: 'evict' }, 'MemoryStore.whenFull', "'evict' is not a policy; use one of refuse, admit"],
    [{ maxSubject: 5 }, 'MemoryStore.maxSubject', "did you mean 'maxSubjects'?"],
  ])('%j', (options, field, text) => {
    const error = errorOf(() => new MemoryStore(options as object))
    expect([error.code, error.field]).toEqual(['INVALID_DEFINITION', field])
    expect(error.message).toContain(text)
  })
})

describe('an engine', () => {
  it('refuses an event that never comes', () => {
    const tollgate = createTollgate({ plans })
    expect(() => tollgate.on('decisoin' as 'decision', () => {})).toThrow("event: 'decisoin' is not an event; did you mean 'decision'?")
    expect(() => tollgate.on('toString' as 'decision', () => {})).toThrow('is not an event')
    expect(() => tollgate.on('decision', undefined!)).toThrow('listener: undefined cannot be called')
  })

  it('keeps errors short, whatever names of megabytes they are about', async () => {
    const tollgate = createTollgate({ plans })
    const long = 'x'.repeat(5_000_000)
    const request = { subject: 'user:1', plan: 'free' } as const
    const asked = [
      () => tollgate.check({ ...request, dimensions: { [long]: 'a' } as never }),
      () => tollgate.check({ ...request, amounts: { [long]: 1 } as never }),
      () => tollgate.check({ ...request, operation: long }),
      () => tollgate.check({ ...request, plan: long as 'free' }),
      () => tollgate.check({ ...request, current: { daily: long } as never, also: [long] }),
      () => tollgate.setPlan('user:1', 'free', { overrides: { [long]: 1 } as never }),
      () => tollgate.setPlan('user:1', long as 'free'),
      () => tollgate.reset('user:1', { limit: long as 'daily' }),
      () => tollgate.usage(long),
    ]
    await tollgate.consume(request)
    for (const ask of asked) {
      const error = await ask().then(() => undefined, (error: unknown) => error)
      expect(error).toBeInstanceOf(TollgateError)
      expect((error as TollgateError).message.length).toBeLessThan(400)
      expect((error as TollgateError).field!.length).toBeLessThan(100)
    }
  })
})

describe('explain', () => {
  it('says of a guard against duplicates that there is nothing to compare, and what it admits', async () => {
    const spam = { kind: 'duplicates', limit: 3, window: '1h' } as const
    const tollgate = createTollgate({ plans: definePlans({ free: { rank: 0, limits: { spam } }, ultra: { rank: 1, limits: { spam: { ...spam, limit: Infinity } } } }) })
    const reason = async (request: { plan: 'free' | 'ultra'; content?: string }) => (await tollgate.explain({ subject: 'user:1', ...request })).rules[0]!.reason
    expect(await reason({ plan: 'free' })).toBe('no content to compare; the same text is admitted up to 3 times')
    expect(await reason({ plan: 'free', content: 'hello' })).toBe('0 of 3 used')
    expect(await reason({ plan: 'ultra' })).toBe('unlimited')
    await tollgate.setPlan('user:1', 'free', { overrides: { spam: 5 } })
    expect(await reason({ plan: 'free' })).toBe('no content to compare; the same text is admitted up to 5 times')
  })
})
