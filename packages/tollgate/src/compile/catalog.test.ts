import { beforeEach, describe, expect, it } from 'vitest'
import { allowOnly, cooldown, duplicates, quota, slidingWindow, tokenBucket } from '../define/limits.ts'
import { Catalog } from './catalog.ts'

const worlds = {
  name: 'worlds',
  plans: {
    premium: { rank: 2, limits: {} },
    free: { rank: 0, limits: { daily: quota({ limit: 50, every: 'day', meter: 'tokens' }), pause: cooldown({ wait: '5s', per: ['world', 'operation'] }) } },
    plus: { rank: 1, limits: { flood: slidingWindow({ limit: 5, window: '1m', match: { channel: 'web' } }) }, headline: 'flood' },
  },
  operations: { chat: { credits: 3 }, look: {} },
} as const

const chat = { name: 'chat', plans: { free: { rank: 0, limits: { models: allowOnly({ model: ['a'] }), daily: quota({ limit: 10, every: 'day' }), spam: duplicates({ limit: 1, window: '1h' }) } }, gold: { rank: 9, limits: {} } } }

describe('a catalog of one unnamed set', () => {
  // For each test, because mutation testing runs only what a test runs itself.
  let catalog: Catalog
  beforeEach(() => {
    catalog = new Catalog([{ ...worlds, name: 'default' }], true)
  })

  it('calls its plans by their own names, in order of definition', () => {
    expect(catalog.programs.map(({ id, set, name }) => [id, set, name])).toEqual([['premium', 'default', 'premium'], ['free', 'default', 'free'], ['plus', 'default', 'plus']])
    expect(catalog.find('free')).toBe(catalog.programs[1])
    expect(catalog.find('default/free')).toBe(catalog.programs[1])
  })

  it('knows which plans are above one, the lowest first', () => {
    expect(catalog.above(catalog.find('free')).map(({ id }) => id)).toEqual(['plus', 'premium'])
    expect(catalog.above(catalog.find('plus')).map(({ id }) => id)).toEqual(['premium'])
    expect(catalog.above(catalog.find('premium'))).toEqual([])
  })

  it('a headline is the plan\'s, else its first quota', () => {
    expect(['premium', 'free', 'plus'].map((name) => catalog.find(name).headline)).toEqual([undefined, 'daily', 'flood'])
  })
})

describe('a catalog of several sets', () => {
  let catalog: Catalog
  beforeEach(() => {
    catalog = new Catalog([worlds, chat], false)
  })

  it('finds plans by full name, and by a short one that only one set uses', () => {
    expect(catalog.find('worlds/free').set).toBe('worlds')
    expect(catalog.find('chat/free').id).toBe('chat/free')
    expect(catalog.find('gold').id).toBe('chat/gold')
    expect(() => catalog.find('free')).toThrow("plan: 'free' is in several plan sets; use the full name: worlds/free, chat/free")
    expect(() => catalog.find('free')).toThrow(expect.objectContaining({ code: 'UNKNOWN_PLAN', field: 'plan' }))
    expect(() => catalog.find('god')).toThrow(/'god' is not a plan; .*gold/)
    expect(() => catalog.find('__proto__')).toThrow(expect.objectContaining({ code: 'UNKNOWN_PLAN', field: 'plan' }))
  })

  it('looks one up without an error', () => {
    expect(catalog.lookup('gold')?.id).toBe('chat/gold')
    expect(catalog.lookup('free')).toBeUndefined()
    expect(catalog.lookup('none')).toBeUndefined()
  })

  it('compares ranks within a set', () => {
    expect(catalog.above(catalog.find('worlds/free')).map(({ id }) => id)).toEqual(['worlds/plus', 'worlds/premium'])
    expect(catalog.above(catalog.find('chat/free')).map(({ id }) => id)).toEqual(['chat/gold'])
  })

  it('limits of one name are the same cell in one set, and not across sets', () => {
    const cellOf = (plan: string) => catalog.find(plan).limits.find(({ name }) => name === 'daily')!.charge.cell
    expect(cellOf('worlds/free')).not.toBe(cellOf('chat/free'))
  })

  it('a cell that plans share is kept as long as the slowest of them needs', () => {
    const slow = { rank: 0, limits: { pause: cooldown({ wait: '1h' }), burst: tokenBucket({ capacity: 100, refill: 1, every: '1s' }), own: cooldown({ wait: 3 }) } }
    const fast = { rank: 1, limits: { pause: cooldown({ wait: '5s' }), burst: tokenBucket({ capacity: 5, refill: 5, every: '1s' }) } }
    const shared = new Catalog([{ name: 'a', plans: { slow, fast } }, { name: 'b', plans: { fast } }], false)
    const retained = (plan: string) => shared.find(plan).limits.map(({ charge, retainMs }) => [charge.retainMs, retainMs])
    expect(retained('a/slow')).toEqual([[3_600_000, 3_600_000], [100_000, 100_000], [3, 3]])
    expect(retained('a/fast')).toEqual([[3_600_000, 3_600_000], [100_000, 100_000]])
    expect(retained('b/fast')).toEqual([[5000, 5000], [1000, 1000]])
  })
})

describe('the vocabulary of a set', () => {
  it('has every dimension, meter and operation of all its plans', () => {
    const { vocabulary } = new Catalog([worlds, chat], false).find('worlds/premium')
    expect([...vocabulary.dimensions].toSorted()).toEqual(['channel', 'world'])
    expect([...vocabulary.meters]).toEqual(['requests', 'tokens', 'credits'])
    expect([...vocabulary.operations!]).toEqual(['chat', 'look'])
    expect([...vocabulary.costs]).toEqual([['chat', 3], ['look', 0]])
    expect([...vocabulary.limits]).toEqual(['daily', 'pause', 'flood'])
  })

  it('takes any operation where none is declared, and none of another set\'s words', () => {
    const { vocabulary } = new Catalog([worlds, chat], false).find('chat/free')
    expect(vocabulary.operations).toBeNull()
    expect([...vocabulary.dimensions]).toEqual(['model'])
    expect([...vocabulary.meters]).toEqual(['requests'])
    expect(vocabulary.costs.size).toBe(0)
  })

  it.each([
    ['what an operation costs', { chat: { credits: 3 }, look: {} }, undefined, true],
    ['what one plan grants', {}, { grant: 100, every: 'month' }, true],
    ['nothing, where all is free', { chat: { credits: 0 }, look: {} }, undefined, false],
    ['nothing, where there are no operations', undefined, undefined, false],
  ] as const)('has credits for %s', (_, operations, credits, has) => {
    const plans = { free: { rank: 0, limits: {} }, plus: { rank: 1, limits: {}, ...(credits && { credits }) } }
    expect(new Catalog([{ name: 'a', plans, ...(operations && { operations }) }], true).meters.has('credits')).toBe(has)
  })

  it('has the operation of requests that do not say, any where none is declared', () => {
    const { programs } = new Catalog([{ ...worlds, defaultOperation: 'chat' }, { ...chat, defaultOperation: 'anything' }], false)
    expect(programs.map(({ vocabulary }) => vocabulary.defaultOperation)).toEqual(['chat', 'chat', 'chat', 'anything', 'anything'])
  })

  it('the engine knows the meters of all sets', () => {
    expect([...new Catalog([chat, worlds], false).meters]).toEqual(['requests', 'tokens', 'credits'])
  })
})

describe('what a catalog refuses', () => {
  it.each([
    ['no sets', [], 'planSets: there is none; give at least one plan set'],
    ['a default operation that is none', [{ ...worlds, defaultOperation: 'chit' }], "defaultOperation: 'chit' is not declared; did you mean 'chat'?"],
    ['one name twice', [worlds, { ...chat, name: 'worlds' }], "planSets: 'worlds' is used twice; give each plan set a name of its own"],
  ] as const)('%s', (_, sets, message) => {
    expect(() => new Catalog(sets, false)).toThrow(message)
  })
})
