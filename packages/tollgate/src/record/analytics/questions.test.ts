import { describe, expect, it } from 'vitest'
import type { Database } from '../../stores/sql/database.ts'
import { Analytics } from './analytics.ts'
import { exact, multiply, told } from './money.ts'

/** Asked of nothing: what is wrong is found before. */
const database = { dialect: 'sqlite' } as Database
const analytics = new Analytics(database, { clock: { now: () => Date.UTC(2026, 2, 15) } })
const price = (more: object) => ({ free: { price: { amount: 1, currency: 'USD', every: 'month', ...more } } })

describe('what is wrong with a question names field, value, rule and fix', () => {
  it.each<[() => Promise<unknown>, string, string]>([
    [() => analytics.usage({ from: '2026-02-30' }), 'from', "from: '2026-02-30' is not a day; write one as YYYY-MM-DD, such as '2026-02-28'"],
    [() => analytics.usage({ to: '2026-2-3' }), 'to', "to: '2026-2-3' is not a day; write one"],
    [() => analytics.usage({ to: 20260203 as never }), 'to', 'to: 20260203 is not a day'],
    [() => analytics.usage({ to: '' }), 'to', "to: '' is not a day"],
    [() => analytics.averageUse({ from: '2026-03-02', to: '2026-03-01' }), 'from', "from: '2026-03-02' is after 'to', '2026-03-01'; let it be that day or an earlier one"],
    [() => analytics.denials({ from: '2025-02-08', to: '2026-03-15' }), 'from', "'2025-02-08' to '2026-03-15' are 401 days; ask for at most 400 at once"],
    [() => analytics.usage({ by: 'month' as never }), 'by', "by: 'month' is nothing to group by; use one of day, plan, limit, operation, model"],
    [() => analytics.usage({ by: ['plan', 'modle' as never] }), 'by', "did you mean 'model'?"],
    [() => analytics.usage({ by: [] }), 'by', 'says nothing to group by; use one or several of day, plan, limit, operation, model'],
    [() => analytics.usage({ by: 7 as never }), 'by', 'by: 7 says nothing to group by'],
    [() => analytics.denials({ by: ['day', 'day'] }), 'by', "by: 'day' is there twice; name each once"],
    [() => analytics.denials({ by: 'model' as never }), 'by', "'model' is nothing to group by; did you mean 'mode'?"],
    [() => analytics.deniedSubjects({ limit: 0 }), 'limit', 'limit: 0 is out of range; use an integer from 1 to 1000'],
    [() => analytics.deniedSubjects({ after: 'x' }), 'after', "after: 'x' is not the 'next' of a page; give that of the page before, or leave it out"],
    [() => analytics.deniedSubjects({ after: Buffer.from('[1,2]').toString('base64url') }), 'after', "is not the 'next' of a page"],
    [() => analytics.deniedSubjects({ after: Buffer.from('["1","a"]').toString('base64url') }), 'after', "is not the 'next' of a page"],
    [() => analytics.deniedSubjects({ after: Buffer.from('[1,"\\u0000"]').toString('base64url') }), 'after', "is not the 'next' of a page"],
    [() => analytics.nearLimits({ share: 0 }), 'share', 'share: 0 is not a share of a limit; use a number above 0 and up to 1, such as 0.8'],
    [() => analytics.nearLimits({ share: Number.NaN }), 'share', 'share: NaN is not a share'],
    [() => analytics.nearLimits({ limit: 'a\0' }), 'limit', 'is not the name of a limit; use one of a plan, or leave it out for all'],
    [() => analytics.nearLimits({ page: { limit: 1001 } }), 'limit', 'limit: 1001 is out of range'],
    [() => analytics.fullDays({ days: 401 }), 'days', 'days: 401 is out of range; use an integer from 1 to 400'],
    [() => analytics.economics({ costs: { perRequest: -1 }, plans: {} }), 'costs.perRequest', 'costs.perRequest: -1 is not an amount of money; use a number from 0 to 1000000000, such as 0.0005'],
    [() => analytics.economics({ costs: { perUnit: { tokens: Infinity } }, plans: {} }), 'costs.perUnit.tokens', 'Infinity is not an amount of money'],
    [() => analytics.economics({ costs: { currency: 'usd' }, plans: {} }), 'costs.currency', "'usd' is not a currency; use three capital letters (ISO 4217), such as 'USD'"],
    [() => analytics.economics({ costs: { rates: { RUB: '1' as never } }, plans: {} }), 'costs.rates.RUB', "'1' is not an amount of money"],
    [() => analytics.economics({ plans: null as never }), 'plans', 'null are no plans; give their prices by full name'],
    [() => analytics.economics({ plans: price({ amount: -1 }) as never }), 'plans.free.price.amount', '-1 is not an amount of money'],
    [() => analytics.conversion({ windowDays: 0, ranks: {} }), 'windowDays', 'windowDays: 0 is out of range; use an integer from 1 to 400'],
    [() => analytics.conversion({ churnDays: 1.5, ranks: {} }), 'churnDays', 'churnDays: 1.5 is out of range'],
    [() => analytics.conversion({ ranks: undefined as never }), 'ranks', 'undefined are no ranks; give one for each plan'],
    [() => analytics.conversion({ ranks: { free: '0' as never } }), 'ranks.free', "'0' is not a rank; use a number, higher for a better plan"],
  ])('%s', async (ask, field, message) => {
    await expect(ask()).rejects.toMatchObject({ code: 'INVALID_REQUEST', field, message: expect.stringContaining(message) })
  })

  it('and with a price that no plan may have', async () => {
    await expect(analytics.economics({ plans: price({ every: 'year' }) as never })).rejects.toMatchObject({ code: 'INVALID_DEFINITION', field: 'plans.free.price.every' })
  })

  it('and with options, when it is made', () => {
    expect(() => new Analytics(database, { timezone: 'Mars/Base' })).toThrow("'Mars/Base' is not a time zone; use an IANA name")
    expect(() => new Analytics(database, { tablePrefix: 'a-b' })).toThrow('tablePrefix')
  })
})

describe('questions that come at once', () => {
  it('wait for one another, so that decisions have the connections, and are refused when too many do', async () => {
    let [running, most] = [0, 0]
    const letGo: (() => void)[] = []
    const slow = { dialect: 'sqlite', query: () => new Promise((resolve) => (running++, (most = Math.max(most, running)), letGo.push(() => (running--, resolve([]))))) } as unknown as Database
    const busy = new Analytics(slow, { clock: { now: () => 0 } })
    const asked = Array.from({ length: 100 }, () => busy.deniedSubjects())
    await expect(busy.deniedSubjects()).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 })
    const all = Promise.all(asked)
    for (let i = 0; i < 100; i++) {
      while (letGo.length === 0) await Promise.resolve()
      letGo.pop()!()
    }
    expect(await all).toHaveLength(100)
    expect(most).toBe(1)
    const next = busy.deniedSubjects()
    while (letGo.length === 0) await Promise.resolve()
    letGo.pop()!()
    expect(await next).toEqual({ rows: [], next: null })
  })

  it('go on after one that failed', async () => {
    let fails = true
    const broken = { dialect: 'sqlite', query: async () => { if (fails) throw new Error('lost'); return [] } } as unknown as Database
    const busy = new Analytics(broken, { clock: { now: () => 0 } })
    await expect(busy.usage()).rejects.toThrow('lost')
    fails = false
    expect((await busy.usage()).rows).toEqual([])
  })
})

describe('money', () => {
  it('adds up without an error of floating point', () => {
    const cent = exact(0.1, 'a')
    let sum = 0n
    for (let i = 0; i < 1000; i++) sum += cent
    expect(told(sum)).toBe(100)
    expect(told(exact(0.0005, 'a') * 1500n)).toBe(0.75)
    expect(told(exact(0.0005, 'a') * 50_000n)).toBe(25)
    expect(told(exact(0.000_000_15, 'a') * 1_000_000_000_000n)).toBe(150_000)
    expect(told(multiply(exact(490, 'a'), exact(0.0127, 'b')))).toBe(6.223)
  })

  it('is told in millionths, a half away from nothing', () => {
    expect([0.000_000_4, 0.000_000_5, 1.000_001_5].map((amount) => told(exact(amount, 'a')))).toEqual([0, 0.000_001, 1.000_002])
    expect([0.000_000_4, 0.000_000_5].map((amount) => told(-exact(amount, 'a')))).toEqual([0, -0.000_001])
  })
})
