import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TollgateError } from '../errors/index.ts'
import { allowOnly, capacity, concurrency, cooldown, duplicates, fixedWindow, quota, slidingWindow, tokenBucket } from './limits.ts'
import type { Plans } from './plans.ts'
import { validateOperations, validatePlans } from './validate.ts'

/** Every option there is; tests replace a part of it. */
const complete = {
  plans: {
    free: {
      rank: 0,
      price: { amount: 19.9, currency: 'USD', every: 'month' },
      limits: {
        messages: quota({ limit: 50, every: 'day', timezone: 'UTC', anchor: 'subject', meter: 'tokens', weight: 2, softLimit: 0.8, code: 'OVER', onFailure: 'open' }),
        flood: slidingWindow({ limit: 20, window: '1m', exact: true, per: ['world', 'operation'] }),
        daily: fixedWindow({ limit: 20, window: '1d', match: { model: ['a', 'b'], operation: 'chat' } }),
        burst: tokenBucket({ capacity: 3, refill: 3, every: '1s' }),
        wait: cooldown({ wait: '5s' }),
        spam: duplicates({ limit: 10, window: '1h' }),
        parallel: concurrency({ limit: null }),
        agents: capacity({ limit: Infinity }),
        models: allowOnly({ model: ['gemini-2.0-flash'] }),
      },
      headline: 'messages',
      credits: { grant: 100, every: 'month' },
    },
    plus: { rank: 1, limits: { wait: cooldown({ wait: '2s' }) } },
  },
  operations: { chat: { credits: 5 } },
}

const objectMembers = Object.getOwnPropertyNames(Object.prototype)

type Path = readonly string[]

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, item]) => pathsOf(item, [...path, key]))]
}

/** The plans' and the operations' own, and all below. */
const paths = pathsOf(complete).slice(1)

/** `whole` with `part` at `path`; as it is where another replacement has taken the path away. */
function replace(whole: unknown, [key, ...rest]: Path, part: unknown): unknown {
  if (key === undefined) return part
  if (typeof whole !== 'object' || whole === null || !Object.hasOwn(whole, key)) return whole
  const copy: Record<string, unknown> = Array.isArray(whole) ? ([...whole] as never) : { ...whole }
  copy[key] = replace(copy[key], rest, part)
  return copy
}

/** The checked plans, or `undefined` where they are refused as they should be; throws what is no such refusal. */
function define(definition: unknown): Plans | undefined {
  const { plans, operations } = definition as Record<string, unknown>
  try {
    const checked = validatePlans(plans)
    validateOperations(operations, checked)
    return checked
  } catch (error) {
    if (isRefusal(error)) return undefined
    throw error
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof TollgateError && error.code === 'INVALID_DEFINITION' && /^(plans|operations)/.test(error.field!) && error.message.length < 1000
}

describe('any definition is accepted or refused with a typed error', () => {
  it('with up to three parts replaced by chance, and what is accepted survives JSON', () => {
    const words = fc.constantFrom('world', 'wait', 'chat', 'tokens', 'day', '30d', '0s', 'subject', 'local', 'quota', 'a/b', '', '7', '__proto__')
    const numbers = fc.constantFrom(0, 1, 10_000, 10_001, 2 ** 31 - 1, 2 ** 31, 0.5, -1, -0, Number.NaN, Infinity, null)
    const anything = fc.anything({ key: words, withNullPrototype: true, withBigInt: true, withDate: true, withMap: true, withSparseArray: true })
    const replacement = fc.tuple(fc.constantFrom(...paths), fc.oneof(words, numbers, fc.array(words), anything))
    let accepted = 0

    fc.assert(
      fc.property(fc.array(replacement, { maxLength: 3 }), (replacements) => {
        const plans = define(replacements.reduce<unknown>((whole, [path, part]) => replace(whole, path, part), complete))
        if (plans === undefined) return
        accepted += 1
        const json = JSON.stringify(plans)
        expect(JSON.stringify(validatePlans(JSON.parse(json)))).toBe(json)
      }),
      { numRuns: 3000 },
    )
    // Were it fewer, chance would test little more than the first rule that it breaks.
    expect(accepted).toBeGreaterThan(500)
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(objectMembers)
  })

  it.each(hostileValues())('with %s, which is refused in any place', (_, hostile) => {
    expect(paths.filter((path) => define(replace(complete, path, hostile)) !== undefined)).toEqual([])
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(objectMembers)
  })
})

function hostileValues(): [what: string, value: unknown][] {
  const fail = (): never => {
    throw new Error('hostile')
  }
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  const cyclic: Record<string, unknown> = { rank: 0 }
  cyclic.limits = cyclic.match = cyclic.per = cyclic
  const cyclicArray: unknown[] = []
  cyclicArray.push(cyclicArray)
  const bottomless: object = new Proxy({}, {
    get: () => bottomless,
    ownKeys: () => ['rank', 'limits', 'kind'],
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  })
  return [
    ['a symbol', Symbol('free')],
    ['a function', fail],
    ['an instance of a class', new (class Plan { rank = 0; limits = {} })()],
    ['inherited options', Object.create({ rank: 0, limits: {} })],
    ['an own __proto__', JSON.parse('{"__proto__": {"rank": 0, "limits": {}, "limit": 5}, "constructor": {"prototype": {"limit": 5}}}')],
    ['a cycle', cyclic],
    ['a cycle of arrays', cyclicArray],
    ['an object without end', bottomless],
    ['an array without end', Object.assign([''], { *[Symbol.iterator]() { for (;;) yield '' } })],
    ['an array of four billion', Object.assign([], { length: 2 ** 32 - 1 })],
    ['an object of 10,000', Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`n${i}`, i]))],
    ['a name of a million letters', { ['x'.repeat(1_000_000)]: 1 }],
    ['a string of a million letters', 'x'.repeat(1_000_000)],
    ['a getter that throws', { get rank() { return fail() } }],
    ['a getter that throws a revoked proxy', { get rank() { throw revoked } }],
    ['a proxy that throws', new Proxy({}, { getPrototypeOf: fail, ownKeys: fail, get: fail })],
    ['an array that throws', new Proxy([], { get: fail })],
    ['a revoked proxy', revoked],
  ]
}
