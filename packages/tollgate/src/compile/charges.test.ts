import { describe, expect, it } from 'vitest'
import { createDigester } from '../content/digest.ts'
import { CellKind, type Charge } from '../decide/charge.ts'
import * as limit from '../define/limits.ts'
import type { LimitDefinition } from '../define/limits.ts'
import type { TollgateRequest } from '../engine/types.ts'
import { Catalog } from './catalog.ts'
import { type Charges, compileCharges, isAllowed, partitionValues, type SubjectFacts } from './charges.ts'

const NOW = Date.UTC(2026, 4, 20, 13, 37)
const DAY_MS = 86_400_000
const digest = createDigester('0123456789abcdef')
const unknownSubject: SubjectFacts = { anchorAt: NOW, isAssumed: true, overrides: undefined }

const programOf = (limits: Record<string, LimitDefinition>) => new Catalog([{ name: 'set', plans: { free: { rank: 0, limits } } }], true).find('free')

/** The charges of a request under a plan of these limits, copied: the compiler uses its own again. */
function compile(limits: Record<string, LimitDefinition>, request: Partial<TollgateRequest> = {}, facts: Partial<SubjectFacts> = {}, now = NOW): { charges: Charge[]; names: string[] } {
  const out: Charges = { limits: [], charges: [] }
  compileCharges(programOf(limits), { subject: 'user:1', ...request }, now, { ...unknownSubject, ...facts }, digest, out)
  return { charges: out.charges.map((c) => ({ ...c })), names: out.limits.map(({ name }) => name) }
}

const one = (definition: LimitDefinition, request: Partial<TollgateRequest> = {}, facts: Partial<SubjectFacts> = {}, now = NOW): Charge => compile({ it: definition }, request, facts, now).charges[0]!

describe('each kind of limit is one kind of cell', () => {
  it.each([
    ['a day\'s quota', limit.quota({ limit: 50, every: 'day' }), { kind: CellKind.quota, max: 50, startAt: Date.UTC(2026, 4, 20), endAt: Date.UTC(2026, 4, 21), retainMs: 2 * DAY_MS }],
    ['a week\'s', limit.quota({ limit: 50, every: 'week' }), { kind: CellKind.quota, startAt: Date.UTC(2026, 4, 18), endAt: Date.UTC(2026, 4, 25), retainMs: 8 * DAY_MS }],
    ['a month\'s', limit.quota({ limit: 50, every: 'month' }), { kind: CellKind.quota, startAt: Date.UTC(2026, 4, 1), endAt: Date.UTC(2026, 5, 1), retainMs: 32 * DAY_MS }],
    ['a duration\'s', limit.quota({ limit: 50, every: '6h' }), { kind: CellKind.quota, startAt: Date.UTC(2026, 4, 20, 12), endAt: Date.UTC(2026, 4, 20, 18), retainMs: DAY_MS / 4 }],
    ['a day in its zone', limit.quota({ limit: 50, every: 'day', timezone: 'Asia/Tokyo' }), { startAt: Date.UTC(2026, 4, 19, 15), endAt: Date.UTC(2026, 4, 20, 15) }],
    ['a fixed window', limit.fixedWindow({ limit: 5, window: '1m' }), { kind: CellKind.fixedWindow, max: 5, windowMs: 60_000, retainMs: 60_000 }],
    ['a sliding window', limit.slidingWindow({ limit: 5, window: '1m' }), { kind: CellKind.slidingCounter, max: 5, windowMs: 60_000, retainMs: 120_000 }],
    ['an exact one', limit.slidingWindow({ limit: 5, window: '1m', exact: true }), { kind: CellKind.slidingLog, max: 5, windowMs: 60_000, retainMs: 60_000, digest: '' }],
    ['a token bucket', limit.tokenBucket({ capacity: 10, refill: 3, every: '1s' }), { kind: CellKind.tokenBucket, max: 10, windowMs: 1000, refill: 3, retainMs: 3334 }],
    ['a cooldown', limit.cooldown({ wait: '5s' }), { kind: CellKind.cooldown, max: 1, windowMs: 5000, retainMs: 5000, meter: '' }],
    ['concurrency', limit.concurrency({ limit: 2 }), { kind: CellKind.concurrency, max: 2, meter: '', retainMs: 0 }],
    ['capacity', limit.capacity({ limit: 3 }), { kind: CellKind.capacity, max: 3, meter: '', retainMs: Infinity }],
  ] as const)('%s', (_, definition, expected) => {
    expect(one(definition)).toMatchObject({ amount: 1, partition: '', stated: 0, ...expected })
  })

  it('a text is a log of its own, keyed by its digest', () => {
    const spam = limit.duplicates({ limit: 10, window: '1h' })
    const c = one(spam, { content: 'Hello!' })
    expect(c).toMatchObject({ kind: CellKind.slidingLog, max: 10, windowMs: 3_600_000, amount: 1, meter: '' })
    expect(c.digest).toMatch(/^[\w-]{22}$/)
    expect(one(spam, { content: 'hello' }).digest).toBe(c.digest)
    expect(one(spam, { content: 'hello', subject: 'user:2' }).digest).not.toBe(c.digest)
    // Without a text there is nothing to compare.
    expect(one(spam)).toMatchObject({ kind: CellKind.stated, max: Infinity, amount: 0 })
  })

  it('what is not counted is stated', () => {
    expect(one(limit.allowOnly({ model: ['a', 'b'] }), { dimensions: { model: 'b' } })).toMatchObject({ kind: CellKind.stated, max: Infinity, stated: 0, amount: 0 })
    expect(one(limit.allowOnly({ model: ['a', 'b'] }), { dimensions: { model: 'c' } })).toMatchObject({ kind: CellKind.stated, max: 0, amount: 1 })
    expect(one(limit.allowOnly({ model: ['a'] }))).toMatchObject({ kind: CellKind.stated, max: 0, amount: 1 })
    expect(one(limit.allowOnly({ operation: ['chat'] }), { operation: 'chat' })).toMatchObject({ max: Infinity })
    for (const unlimited of [limit.slidingWindow({ limit: Infinity, window: '1m' }), limit.fixedWindow({ limit: null, window: '1m' }), limit.tokenBucket({ capacity: Infinity, refill: 1, every: '1s' }), limit.cooldown({ wait: 0 }), limit.concurrency({ limit: null })]) {
      expect(one(unlimited)).toMatchObject({ kind: CellKind.stated, max: Infinity, amount: 0 })
    }
    // These are counted also without a limit: somebody may want to know.
    expect(one(limit.quota({ limit: Infinity, every: 'day' }))).toMatchObject({ kind: CellKind.quota, max: Infinity, amount: 1 })
    expect(one(limit.capacity({ limit: Infinity }))).toMatchObject({ kind: CellKind.capacity, max: Infinity, amount: 1 })
  })
})

describe('which limits a request meets', () => {
  const limits = {
    all: limit.quota({ limit: 100, every: 'month' }),
    premium: limit.quota({ limit: 20, every: 'month', match: { model: ['opus', 'gpt'] } }),
    chat: limit.fixedWindow({ limit: 5, window: '1m', match: { operation: 'chat', model: 'opus' } }),
  }

  it.each([
    [{}, ['all']],
    [{ dimensions: { model: 'haiku' } }, ['all']],
    [{ dimensions: { model: 'opus' } }, ['all', 'premium']],
    [{ dimensions: { model: 'gpt' }, operation: 'chat' }, ['all', 'premium']],
    [{ dimensions: { model: 'opus' }, operation: 'chat' }, ['all', 'premium', 'chat']],
    [{ operation: 'chat' }, ['all']],
  ])('%j meets %j', (request, expected) => {
    const { names, charges } = compile(limits, request)
    expect(names).toEqual(expected)
    expect(charges.length).toBe(expected.length)
  })

  it('what a longer request left behind is gone', () => {
    const program = programOf(limits)
    const out: Charges = { limits: [], charges: [] }
    compileCharges(program, { subject: 's', operation: 'chat', dimensions: { model: 'opus' } }, NOW, unknownSubject, digest, out)
    expect(out.charges.length).toBe(3)
    compileCharges(program, { subject: 's' }, NOW, unknownSubject, digest, out)
    expect([out.charges.length, out.limits.length]).toEqual([1, 1])
  })

  it('allowOnly looks at every dimension that it lists', () => {
    const { limits: [both] } = programOf({ it: limit.allowOnly({ model: ['a'], region: ['eu', 'us'] }) })
    expect(isAllowed(both!, { dimensions: { model: 'a', region: 'us' } })).toBe(true)
    expect(isAllowed(both!, { dimensions: { model: 'a', region: 'asia' } })).toBe(false)
    expect(isAllowed(both!, { dimensions: { model: 'a' } })).toBe(false)
    expect(isAllowed(programOf({ it: limit.concurrency({ limit: 1 }) }).limits[0]!, {})).toBe(true)
  })
})

describe('amounts', () => {
  const tokens = limit.quota({ limit: 1000, every: 'month', meter: 'tokens', weight: 3 })

  it.each([
    ['requests count 1', limit.quota({ limit: 9, every: 'day' }), {}, 1],
    ['or what they say', limit.quota({ limit: 9, every: 'day' }), { amounts: { requests: 4 } }, 4],
    ['or nothing', limit.quota({ limit: 9, every: 'day' }), { amounts: { requests: 0 } }, 0],
    ['times their weight', limit.fixedWindow({ limit: 9, window: '1m', weight: 5 }), {}, 5],
    ['another meter counts what the request says', tokens, { amounts: { tokens: 7 } }, 21],
    ['and nothing when it does not', tokens, {}, 0],
    ['so do a sliding window', limit.slidingWindow({ limit: 9, window: '1m' }), { amounts: { requests: 4 } }, 4],
    ['and a token bucket', limit.tokenBucket({ capacity: 9, refill: 1, every: '1s', meter: 'tokens' }), { amounts: { tokens: 4 } }, 4],
    ['a cooldown counts what happens', limit.cooldown({ wait: '1s' }), { amounts: { requests: 4 } }, 1],
    ['so does concurrency', limit.concurrency({ limit: 5 }), { amounts: { requests: 4 } }, 1],
    ['and capacity', limit.capacity({ limit: 5 }), { amounts: { requests: 4 } }, 1],
    ['and a text', limit.duplicates({ limit: 5, window: '1m' }), { amounts: { requests: 4 }, content: 'x' }, 1],
    ['the largest', tokens, { amounts: { tokens: 715_827_882 } }, 2_147_483_646],
    ['the largest of all', limit.quota({ limit: 1, every: 'day' }), { amounts: { requests: 2 ** 31 - 1 } }, 2 ** 31 - 1],
  ])('%s', (_, definition, request, amount) => {
    expect(one(definition, request).amount).toBe(amount)
  })

  it('that are too large with their weight are refused, and the message says what to do', () => {
    expect(() => one(tokens, { amounts: { tokens: 715_827_883 } })).toThrow('amounts.tokens: 715827883 × weight 3 is more than 2147483647; ask for less at a time')
  })

  it('capacity takes the caller\'s own count', () => {
    const agents = limit.capacity({ limit: 3 })
    expect(one(agents, { current: { it: 2 } })).toMatchObject({ kind: CellKind.stated, stated: 2, max: 3, amount: 1 })
    expect(one(agents, { current: { it: 0 } })).toMatchObject({ kind: CellKind.stated, stated: 0 })
    expect(one(agents, { current: { it: 2 ** 31 - 1 } })).toMatchObject({ kind: CellKind.stated, stated: 2 ** 31 - 1 })
    expect(one(agents, { current: {} })).toMatchObject({ kind: CellKind.capacity })
    expect(one(limit.quota({ limit: 3, every: 'day' }), { current: { it: 2 } })).toMatchObject({ kind: CellKind.quota, stated: 0 })
    for (const current of [-1, 1.5, 2 ** 31, Number.NaN, '2']) expect(() => one(agents, { current: { it: current as number } })).toThrow(/^current\.it: .* is out of range; use an integer from 0 to 2147483647$/)
  })
})

describe('a subject\'s own limits', () => {
  it('take the place of the plan\'s', () => {
    expect(one(limit.quota({ limit: 5, every: 'day' }), {}, { overrides: { it: 50 } }).max).toBe(50)
    expect(one(limit.quota({ limit: 5, every: 'day' }), {}, { overrides: { it: 0 } }).max).toBe(0)
    expect(one(limit.quota({ limit: 5, every: 'day' }), {}, { overrides: { other: 50 } }).max).toBe(5)
    expect(one(limit.fixedWindow({ limit: 5, window: '1m' }), {}, { overrides: { it: Infinity } })).toMatchObject({ kind: CellKind.stated, max: Infinity })
    expect(one(limit.slidingWindow({ limit: 5, window: '1m' }), {}, { overrides: { it: Infinity } })).toMatchObject({ kind: CellKind.stated, max: Infinity })
    expect(one(limit.fixedWindow({ limit: Infinity, window: '1m' }), {}, { overrides: { it: 5 } })).toMatchObject({ kind: CellKind.fixedWindow, max: 5 })
  })

  it('are cut to what can be counted exactly', () => {
    const largest = 2 ** 31 - 1
    expect(one(limit.slidingWindow({ limit: 5, window: '1m', exact: true }), {}, { overrides: { it: largest } }).max).toBe(10_000)
    expect(one(limit.slidingWindow({ limit: 5, window: '365d' }), {}, { overrides: { it: largest } }).max).toBe(Math.floor((2 ** 53 - 1) / (365 * DAY_MS)))
    expect(one(limit.tokenBucket({ capacity: 5, refill: 1, every: '365d' }), {}, { overrides: { it: largest } }).max).toBe(Math.floor((2 ** 53 - 1) / (365 * DAY_MS)))
    expect(one(limit.fixedWindow({ limit: 5, window: '365d' }), {}, { overrides: { it: largest } }).max).toBe(largest)
  })

  it('a larger bucket is kept until it is full', () => {
    const bucket = limit.tokenBucket({ capacity: 10, refill: 1, every: '1s' })
    expect(one(bucket, {}, { overrides: { it: 1000 } }).retainMs).toBe(1_000_000)
    expect(one(bucket, {}, { overrides: { it: 5 } }).retainMs).toBe(10_000)
    expect(one(bucket).retainMs).toBe(10_000)
  })
})

describe('partitions', () => {
  const per = (...names: string[]) => limit.cooldown({ wait: '5s', per: names })

  it('are the values of the dimensions that a limit is counted per', () => {
    expect(one(per('world'), { dimensions: { world: 'w1' } }).partition).toBe('w1')
    expect(one(per('operation'), { operation: 'chat' }).partition).toBe('chat')
    expect(one(per('world', 'operation'), { operation: 'chat', dimensions: { world: 'w1' } }).partition).toBe('["w1","chat"]')
  })

  it('of two requests are the same only when every value is', () => {
    const values = ['a', 'b', 'a,b', '","', 'a"', '"b', '["a","b"]', '\\', '\\"', ' ', 'a\0'.slice(0, 1), '\u2028']
    const seen = new Map<string, string>()
    for (const world of values) {
      for (const model of values) {
        const { partition } = one(per('world', 'model'), { dimensions: { world, model } })
        const what = `${world.length} ${world} ${model}`
        expect(seen.get(partition) ?? what).toBe(what)
        seen.set(partition, what)
        expect(partitionValues(programOf({ it: per('world', 'model') }).limits[0]!, partition)).toEqual({ world, model })
      }
      expect(partitionValues(programOf({ it: per('world') }).limits[0]!, world)).toEqual({ world })
    }
  })

  it('need a value, and the error says which', () => {
    expect(() => one(per('world', 'operation'), { dimensions: { world: 'w1' } })).toThrow(/^operation: limit 'it' is counted per 'operation', and the request does not say which$/)
    expect(() => one(per('operation'))).toThrow(expect.objectContaining({ code: 'MISSING_DIMENSION', field: 'operation' }))
    expect(() => one(per('world'), {})).toThrow(expect.objectContaining({ code: 'MISSING_DIMENSION', field: 'dimensions.world' }))
  })
})

describe('a subject\'s own periods', () => {
  const limits = { monthly: limit.quota({ limit: 9, every: 'month', anchor: 'subject' }), daily: limit.quota({ limit: 9, every: 'day' }) }

  it('start at its anchor', () => {
    const { charges } = compile(limits, {}, { anchorAt: Date.UTC(2026, 0, 31, 12), isAssumed: false })
    expect(charges[0]).toMatchObject({ startAt: Date.UTC(2026, 3, 30, 12), endAt: Date.UTC(2026, 4, 31, 12) })
    expect(charges[1]).toMatchObject({ startAt: Date.UTC(2026, 4, 20) })
    expect(charges.length).toBe(2)
  })

  it('are checked by the store when the anchor is only assumed', () => {
    const { charges, names } = compile(limits, {}, { anchorAt: NOW - 5, isAssumed: true })
    expect(names).toEqual(['monthly', 'daily'])
    expect(charges[2]).toMatchObject({ kind: CellKind.anchor, startAt: NOW - 5, amount: 0, retainMs: 64 * DAY_MS })
    expect(compile({ daily: limits.daily }, {}, { isAssumed: true }).charges.length).toBe(1)
  })

  it('of one subject are not those of the next', () => {
    const program = programOf({ monthly: limits.monthly })
    const out: Charges = { limits: [], charges: [] }
    const startOf = (anchorAt: number): number => compileCharges(program, { subject: 's' }, NOW, { anchorAt, isAssumed: false, overrides: undefined }, digest, out).charges[0]!.startAt
    expect(startOf(Date.UTC(2026, 0, 5))).toBe(Date.UTC(2026, 4, 5))
    expect(startOf(Date.UTC(2026, 0, 7))).toBe(Date.UTC(2026, 4, 7))
  })

  it('and the calendar\'s change when their time comes, also backwards', () => {
    const program = programOf({ daily: limits.daily })
    const out: Charges = { limits: [], charges: [] }
    const startOf = (now: number): number => compileCharges(program, { subject: 's' }, now, unknownSubject, digest, out).charges[0]!.startAt
    const midnight = Date.UTC(2026, 4, 21)
    expect([midnight - 1, midnight, midnight - 1, midnight + DAY_MS].map(startOf)).toEqual([midnight - DAY_MS, midnight, midnight - DAY_MS, midnight + DAY_MS])
  })
})

describe('the identity of a cell', () => {
  const cellOf = (definition: LimitDefinition, name = 'it', set = 'set'): string => new Catalog([{ name: set, plans: { free: { rank: 0, limits: { [name]: definition } } } }], true).find('free').limits[0]!.charge.cell

  it('is the same while only the amount, the code or the match differs', () => {
    expect(cellOf(limit.quota({ limit: 5, every: 'day', code: 'X', match: { model: 'a' }, softLimit: 0.5 }))).toBe(cellOf(limit.quota({ limit: 50, every: 'day' })))
    expect(cellOf(limit.cooldown({ wait: '5s' }))).toBe(cellOf(limit.cooldown({ wait: '1m' })))
    expect(cellOf(limit.tokenBucket({ capacity: 5, refill: 1, every: '1s' }))).toBe(cellOf(limit.tokenBucket({ capacity: 9, refill: 2, every: '1s' })))
  })

  it('differs by set, name, kind, window, zone, anchor and dimensions', () => {
    const cells = [
      cellOf(limit.quota({ limit: 5, every: 'day' })),
      cellOf(limit.quota({ limit: 5, every: 'day' }), 'it', 'other'),
      cellOf(limit.quota({ limit: 5, every: 'day' }), 'other'),
      cellOf(limit.quota({ limit: 5, every: 'week' })),
      cellOf(limit.quota({ limit: 5, every: '1d' })),
      cellOf(limit.quota({ limit: 5, every: 'day', timezone: 'Europe/Madrid' })),
      cellOf(limit.quota({ limit: 5, every: 'day', anchor: 'subject' })),
      cellOf(limit.quota({ limit: 5, every: 'day', per: ['world'] })),
      cellOf(limit.quota({ limit: 5, every: 'day', per: ['world', 'model'] })),
      cellOf(limit.fixedWindow({ limit: 5, window: '1d' })),
      cellOf(limit.fixedWindow({ limit: 5, window: '1h' })),
      cellOf(limit.slidingWindow({ limit: 5, window: '1d' })),
      cellOf(limit.slidingWindow({ limit: 5, window: '1d', exact: true })),
      cellOf(limit.tokenBucket({ capacity: 5, refill: 1, every: '1s' })),
      cellOf(limit.tokenBucket({ capacity: 5, refill: 1, every: '2s' })),
      cellOf(limit.concurrency({ limit: 5 })),
      cellOf(limit.capacity({ limit: 5 })),
      cellOf(limit.cooldown({ wait: 5 })),
    ]
    expect(new Set(cells).size).toBe(cells.length)
  })
})
