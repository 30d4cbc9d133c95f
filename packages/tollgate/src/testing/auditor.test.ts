import { describe, expect, it } from 'vitest'
import { capacity, concurrency, cooldown, duplicates, quota, slidingWindow, tokenBucket, fixedWindow, allowOnly } from '../define/limits.ts'
import { definePlans } from '../define/plans.ts'
import type { Decision, LimitState, Violation } from '../engine/types.ts'
import { audit, type AuditEvent, type AuditHistory, type DecisionEvent } from './auditor.ts'

const plans = definePlans({
  p: {
    rank: 0,
    limits: {
      daily: quota({ limit: 2, every: 'day' }),
      log: slidingWindow({ limit: 2, window: '10s', exact: true, match: { operation: 'log' } }),
      approximate: slidingWindow({ limit: 2, window: '10s', match: { operation: 'approximate' } }),
      grid: fixedWindow({ limit: 2, window: '10s', match: { operation: 'grid' } }),
      bucket: tokenBucket({ capacity: 2, refill: 1, every: '1s', match: { operation: 'bucket' } }),
      pause: cooldown({ wait: '5s', match: { operation: 'pause' } }),
      spam: duplicates({ limit: 1, window: '10s' }),
      parallel: concurrency({ limit: 1, match: { operation: 'parallel' } }),
      agents: capacity({ limit: 1, match: { operation: 'agent' } }),
      models: allowOnly({ model: ['small'] }, { match: { operation: 'model' } }),
      monthly: quota({ limit: 5, every: 'month', anchor: 'subject', match: { operation: 'own' } }),
    },
  },
})

const NOON = Date.UTC(2026, 0, 15, 12)
const MIDNIGHT = Date.UTC(2026, 0, 16)
const DAY_MS = 86_400_000

/** What somebody was told of limits by name: what is used, and for a quota when it resets. */
type Told = Readonly<Record<string, number>>

function decision(told: Told, denied: readonly string[], resetAt: number, subject = 'user:1'): Decision {
  const limits = Object.entries(told).map(([limit, used]): LimitState => ({ limit, kind: 'quota', code: '', max: 2, used, remaining: 0, resetAt, retryAfterMs: 0 }))
  const violations = denied.map((limit): Violation => ({ ...limits.find((state) => state.limit === limit)!, limit, message: '', liftedBy: [] }))
  return { allowed: denied.length === 0, subject, plan: 'p', mode: 'enforce', degraded: false, violations, limits, decidedAt: 0, retryAfterMs: 0 }
}

interface Part extends Partial<Omit<DecisionEvent, 'type' | 'reservation' | 'request'>> {
  operation?: string
  content?: string
  model?: string
  tell?: Told
  deny?: readonly string[]
  resetAt?: number
  /** Reserves for this long, under this id. */
  id?: string
  ttlMs?: number
}

function asked({ operation, content, model, tell, deny = [], resetAt = MIDNIGHT, id, ttlMs = 60_000, at = NOON, action = id === undefined ? 'consume' : 'reserve', ...rest }: Part): DecisionEvent {
  const request = { subject: 'user:1', ...(operation && { operation }), ...(content && { content }), ...(model && { dimensions: { model } }) }
  return { type: 'decision', at, action, request, plan: 'p', admitted: deny.length === 0, ...(id && { reservation: { id, expiresAt: at + ttlMs } }), ...(tell && { decision: decision(tell, deny, resetAt) }), ...rest }
}

const settled = (action: 'commit' | 'release' | 'extend' | 'undo', id: string, at = NOON, rest: object = {}): AuditEvent => ({ type: 'settlement', at, action, id, ...rest })
const historyOf = (...events: AuditEvent[]): AuditHistory => ({ plans, events })
const found = (...events: AuditEvent[]): [promise: number, event: number][] => audit(historyOf(...events)).map(({ promise, event }) => [promise, event])

describe('audit', () => {
  it('finds nothing in a history that keeps its promises', () => {
    const events = [
      asked({ tell: { daily: 1 }, action: 'check' }),
      asked({ tell: { daily: 1, spam: 1 }, content: 'a letter to nobody', id: 'r1' }),
      asked({ tell: { daily: 1, spam: 1 }, content: 'A letter to nobody.', deny: ['spam'] }),
      settled('commit', 'r1', NOON + 1000, { amounts: { requests: 3 } }),
      // The commit above its estimate shows.
      asked({ tell: { daily: 3 }, at: NOON + 2000, deny: ['daily'] }),
      asked({ tell: { daily: 1 }, at: MIDNIGHT, resetAt: MIDNIGHT + DAY_MS, id: 'r2', ttlMs: 5000 }),
      asked({ tell: { daily: 1 }, at: MIDNIGHT + 5000, resetAt: MIDNIGHT + DAY_MS }),
      asked({ tell: { daily: 2 }, at: MIDNIGHT + 5000, resetAt: MIDNIGHT + DAY_MS, id: 'r3' }),
      settled('release', 'r3', MIDNIGHT + 5000),
      asked({ tell: { daily: 2 }, at: MIDNIGHT + 5000, resetAt: MIDNIGHT + DAY_MS }),
      { type: 'usage', at: MIDNIGHT + 5000, subject: 'user:1', plan: 'p', limits: decision({ daily: 2 }, [], 0).limits },
      { type: 'reset', at: MIDNIGHT + 6000, subject: 'user:1', limit: 'daily' },
      asked({ tell: { daily: 1 }, at: MIDNIGHT + 6000, resetAt: MIDNIGHT + DAY_MS }),
    ] as const
    expect(audit(historyOf(...events))).toEqual([])
  })

  it('promise 1: an admission above an exact limit', () => {
    expect(found(asked({}), asked({}), asked({}))).toEqual([[1, 2]])
    const admitted: [operation: string, gapMs: number][] = [['log', 4999], ['grid', 3000], ['bucket', 300], ['pause', 4999], ['parallel', 0], ['agent', 0]]
    for (const [operation, gapMs] of admitted) {
      const events = [0, 1, 2].flatMap((i): AuditEvent[] => [asked({ operation, at: NOON + i * gapMs, id: `r${i}` }), { type: 'reset', at: NOON + i * gapMs, subject: 'user:1', limit: 'daily' }])
      expect({ operation, ...audit(historyOf(...events)).at(-1) }).toMatchObject({ operation, promise: 1, event: 4 })
    }
    expect(found(asked({ content: 'twice the same' }), asked({ content: 'twice the same' }))).toEqual([[1, 1]])
    expect(found(asked({ operation: 'model', model: 'large' }))).toEqual([[1, 0]])
  })

  it('promise 1: holds of reservations count as admissions', () => {
    expect(found(asked({ id: 'r1' }), asked({ id: 'r2' }), asked({}))).toEqual([[1, 2]])
    expect(found(asked({ id: 'r1' }), asked({ id: 'r2', ttlMs: 1000 }), asked({ at: NOON + 1000 }))).toEqual([])
  })

  it('promise 1: an approximate window beyond its bound', () => {
    // 2 × limit − 1 = 3 may pass in a window across two of the grid.
    const at = (second: number, tell?: Told): AuditEvent[] => [asked({ operation: 'approximate', at: NOON + second * 1000, ...(tell && { tell }) }), { type: 'reset', at: NOON + second * 1000, subject: 'user:1', limit: 'daily' }]
    expect(audit(historyOf(...at(9), ...at(9), ...at(18), ...at(18))).map(({ explanation }) => explanation).at(-1)).toMatch(/4 times within one window/)
    expect(found(...at(9), ...at(15))).toEqual([])
  })

  it('promise 1: a denial without a reason', () => {
    expect(found(asked({ tell: { daily: 1 } }), asked({ tell: { daily: 1 }, deny: ['daily'] }))).toEqual([[1, 1]])
  })

  it('promise 1: a commit above its estimate that is lost', () => {
    expect(found(asked({ id: 'r1' }), settled('commit', 'r1', NOON, { amounts: { requests: 5 } }), asked({ tell: { daily: 1 }, deny: ['daily'] }))).toEqual([[1, 2]])
  })

  it('promise 3: a hold that counts a second after its expiry', () => {
    const events = (ms: number) => [asked({ id: 'r1', ttlMs: 1000 }), asked({ at: NOON + 1000 + ms, tell: { daily: 2 } })]
    expect(found(...events(999))).toEqual([])
    expect(found(...events(1000))).toEqual([[3, 1]])
  })

  it('promise 3: use that is nobody’s, and a dead reservation that is extended', () => {
    expect(found(asked({ tell: { daily: 2 } }))).toEqual([[3, 0]])
    expect(found(asked({ id: 'r1', ttlMs: 1000 }), settled('extend', 'r1', NOON + 1000, { ttlMs: 1000 }))).toEqual([[3, 1]])
  })

  it('promise 5: a denial that is counted', () => {
    expect(found(asked({ operation: 'log', tell: { log: 1 }, id: 'r1' }), asked({ operation: 'log', tell: { daily: 1 }, admitted: false }), asked({ operation: 'log', tell: { log: 3 } }))).toEqual([[5, 2]])
  })

  it('promise 5: a refund of more than was taken, and a second one', () => {
    expect(found(asked({}), asked({ id: 'r1' }), settled('release', 'r1'), asked({ tell: { daily: 1 } }))).toEqual([[5, 3]])
    expect(found(asked({ id: 'r1' }), settled('release', 'r1'), settled('release', 'r1'))).toEqual([[5, 2]])
    expect(found(asked({ id: 'r1' }), settled('commit', 'r1'), settled('commit', 'r1'))).toEqual([[5, 2]])
  })

  it('promise 5: a refund into a period that it was not taken from', () => {
    const next = { resetAt: MIDNIGHT + DAY_MS }
    expect(found(asked({ id: 'r1', at: MIDNIGHT - 1 }), asked({ at: MIDNIGHT, ...next }), settled('release', 'r1', MIDNIGHT), asked({ at: MIDNIGHT, tell: { daily: 1 }, ...next }))).toEqual([[5, 3]])
  })

  it('promise 6: a quota that forgets within its period, or ends it elsewhere', () => {
    expect(found(asked({}), asked({ at: MIDNIGHT - 1, tell: { daily: 1 } }))).toEqual([[6, 1]])
    expect(found(asked({ tell: { daily: 1 }, resetAt: MIDNIGHT + 3_600_000 }))).toEqual([[6, 0]])
  })

  it('promise 6: a subject’s own month that comes again too early', () => {
    const own = (at: number, resetAt: number): AuditEvent => asked({ at, operation: 'own', tell: { monthly: 1 }, resetAt })
    const [first, second] = [Date.UTC(2026, 1, 15), Date.UTC(2026, 2, 15)]
    expect(found(own(NOON, first), own(first, second))).toEqual([])
    expect(audit(historyOf(own(NOON, first), own(first, first + 20 * DAY_MS))).map(({ promise }) => promise)).toEqual([6])
  })

  it('promise 8: content that leaves the engine, and what is another subject’s', () => {
    const content = 'my secret "diary"'
    expect(found(asked({ content }), { type: 'emitted', at: NOON, name: 'decision', value: { request: { content } } })).toEqual([[8, 1]])
    expect(found(asked({ content, decision: { ...decision({ daily: 1 }, [], MIDNIGHT), plan: content } }))).toEqual([[8, 0]])
    const settlement = { id: 'r1', subject: 'user:2', plan: 'p', status: 'committed', expiresAt: 0, settledAt: 0, amounts: {}, late: false }
    expect(found(asked({ id: 'r1' }), settled('commit', 'r1', NOON, { settlement }))).toEqual([[8, 1]])
    expect(found(asked({ decision: decision({ daily: 1 }, [], MIDNIGHT, 'user:2') }))).toEqual([[8, 0]])
  })

  it('promise 10: a check that predicts something else', () => {
    expect(found(asked({ action: 'check', tell: { daily: 1 } }), asked({ tell: { daily: 0 }, deny: ['daily'] })).map(([promise]) => promise)).toContain(10)
    expect(found(asked({ action: 'check', tell: { daily: 1 } }), asked({ tell: { daily: 1 } }))).toEqual([])
  })

  it('says nothing about what nobody can know', () => {
    // Of a lost reply both are possible: it counted, or it did not.
    expect(found(asked({ admitted: 'unknown' }), asked({ tell: { daily: 1 } }))).toEqual([])
    expect(found(asked({ admitted: 'unknown' }), asked({ tell: { daily: 2 } }))).toEqual([])
    // A clock that was set back: the store may let what lies ahead wait.
    expect(found(asked({ operation: 'log' }), asked({ operation: 'log', at: NOON - 5000, tell: { log: 2 } }), asked({ operation: 'log', at: NOON + 6000, tell: { log: 2 }, deny: ['log'] })).filter(([, event]) => event < 2)).toEqual([])
  })
})
