import { describe, expect, it } from 'vitest'
import { CellKind } from '../decide/charge.ts'
import * as limit from '../define/limits.ts'
import type { LimitDefinition } from '../define/limits.ts'
import type { PlanDefinition } from '../define/plans.ts'
import { Catalog } from './catalog.ts'
import type { LimitProgram, Program } from './program.ts'

const DAY_MS = 86_400_000

const programOf = (limits: Record<string, LimitDefinition>, plan: Partial<PlanDefinition> = {}): Program => new Catalog([{ name: 'set', plans: { free: { rank: 0, limits, ...plan } } }], true).find('free')
const one = (definition: LimitDefinition): LimitProgram => programOf({ it: definition }).limits[0]!

describe('each kind of limit', () => {
  it.each([
    ['a quota', limit.quota({ limit: 5, every: 'day' }), 'QUOTA_EXCEEDED', 5, DAY_MS],
    ['a week\'s', limit.quota({ limit: 5, every: 'week' }), 'QUOTA_EXCEEDED', 5, 7 * DAY_MS],
    ['a month\'s', limit.quota({ limit: 5, every: 'month' }), 'QUOTA_EXCEEDED', 5, 30 * DAY_MS],
    ['a duration\'s', limit.quota({ limit: 5, every: '6h' }), 'QUOTA_EXCEEDED', 5, DAY_MS / 4],
    ['a sliding window', limit.slidingWindow({ limit: 5, window: '1m' }), 'RATE_LIMITED', 5, 60_000],
    ['an exact one', limit.slidingWindow({ limit: 5, window: '1m', exact: true }), 'RATE_LIMITED', 5, 60_000],
    ['a fixed window', limit.fixedWindow({ limit: 5, window: '1m' }), 'RATE_LIMITED', 5, 60_000],
    ['a token bucket', limit.tokenBucket({ capacity: 5, refill: 1, every: '1s' }), 'RATE_LIMITED', 5, 1000],
    ['a cooldown', limit.cooldown({ wait: '5s' }), 'COOLDOWN', 1, 5000],
    ['duplicates', limit.duplicates({ limit: 5, window: '1h' }), 'DUPLICATE_CONTENT', 5, 3_600_000],
    ['concurrency', limit.concurrency({ limit: 5 }), 'CONCURRENCY_EXCEEDED', 5, null],
    ['capacity', limit.capacity({ limit: 5 }), 'CAPACITY_EXCEEDED', 5, null],
    ['what a plan includes', limit.allowOnly({ model: ['a'] }), 'NOT_IN_PLAN', Infinity, null],
  ] as const)('%s has a code, an amount and a window for clients', (_, definition, code, max, windowMs) => {
    expect(one(definition)).toMatchObject({ name: 'it', kind: definition.kind, code, max, windowMs, onFailure: 'local', softLimit: null, meter: 'requests', isAnchored: false })
  })

  it('may say otherwise', () => {
    expect(one(limit.cooldown({ wait: '5s', code: 'SLOW_DOWN', onFailure: 'closed' }))).toMatchObject({ code: 'SLOW_DOWN', onFailure: 'closed' })
    expect(one(limit.quota({ limit: 5, every: 'day', softLimit: 0.8, meter: 'tokens', anchor: 'subject' }))).toMatchObject({ softLimit: 0.8, meter: 'tokens', isAnchored: true })
    expect(one(limit.quota({ limit: 5, every: 'day', anchor: 'calendar' })).isAnchored).toBe(false)
  })
})

describe('the identity of a cell', () => {
  // Databases keep it: a version that wrote another would count everybody anew.
  it.each([
    [limit.quota({ limit: 5, every: 'month' }), 'set/it:1:month@UTC@calendar:'],
    [limit.quota({ limit: 5, every: 'day', timezone: 'Europe/Madrid', anchor: 'subject', per: ['world', 'model'] }), 'set/it:1:day@Europe/Madrid@subject:world,model'],
    [limit.quota({ limit: 5, every: '6h' }), 'set/it:1:21600000@UTC@calendar:'],
    [limit.fixedWindow({ limit: 5, window: '1m' }), 'set/it:2:60000:'],
    [limit.slidingWindow({ limit: 5, window: '1m' }), 'set/it:3:60000:'],
    [limit.slidingWindow({ limit: 5, window: '1m', exact: true }), 'set/it:4:60000:'],
    [limit.duplicates({ limit: 5, window: '1h' }), 'set/it:4:3600000:'],
    [limit.tokenBucket({ capacity: 5, refill: 2, every: '1s' }), 'set/it:5:1000:'],
    [limit.cooldown({ wait: '5s', per: ['world'] }), 'set/it:6::world'],
    [limit.concurrency({ limit: 5 }), 'set/it:7::'],
    [limit.capacity({ limit: 5 }), 'set/it:8::'],
    [limit.allowOnly({ model: ['a'] }), 'set/it:9::'],
  ] as const)('of %j is %s', (definition, cell) => {
    const { charge, uncounted } = one(definition)
    expect([charge.cell, uncounted.cell, uncounted.kind]).toEqual([cell, cell, CellKind.stated])
  })
})

describe('a plan', () => {
  const day = limit.quota({ limit: 5, every: 'day' })
  const month = limit.quota({ limit: 5, every: 'month', anchor: 'subject' })
  const week = limit.quota({ limit: 5, every: 'week', anchor: 'subject' })
  const agents = limit.capacity({ limit: 5 })
  const pause = limit.cooldown({ wait: '5s' })

  it.each([
    ['none without a quota', { pause, agents }, {}, undefined],
    ['its first quota', { pause, day, month }, {}, 'day'],
    ['what it says', { pause, day, month }, { headline: 'pause' }, 'pause'],
  ] as const)('has a headline: %s', (_, limits, plan, headline) => {
    expect(programOf(limits, plan).headline).toBe(headline)
  })

  it.each([
    ['never, when nothing counts from it', { day, pause, agents }, false, 0],
    ['two of the only period', { day, pause, week, agents }, true, 16 * DAY_MS],
    ['two of the longest', { week, month, day }, true, 64 * DAY_MS],
    ['two of a duration', { it: limit.quota({ limit: 5, every: '6h', anchor: 'subject' }), yearly: limit.quota({ limit: 5, every: '365d' }) }, true, DAY_MS / 2],
  ] as const)('keeps a start that nobody stored: %s', (_, limits, isAnchored, anchorRetainMs) => {
    expect(programOf(limits)).toMatchObject({ isAnchored, anchorRetainMs })
  })

  it('knows whether any of it is capacity', () => {
    expect([{}, { day, pause }, { day, agents }, { agents }].map((limits) => programOf(limits).hasCapacity)).toEqual([false, false, true, true])
  })
})
