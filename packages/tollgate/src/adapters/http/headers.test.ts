import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Decision, LimitState, PlanView, Violation } from '../../engine/types.ts'
import { decisionHeaders } from './headers.ts'
import { statusOf } from './status.ts'
import { sfInteger, sfString } from './structured-fields.ts'

const NOW = Date.UTC(2026, 10, 21, 23, 0, 0)

const state = (more: Partial<LimitState> = {}): LimitState => ({
  limit: 'daily', kind: 'quota', code: 'QUOTA_EXCEEDED', max: 50, used: 1, remaining: 49, resetAt: NOW + 3_600_000, retryAfterMs: 0, ...more,
})
const violation = (more: Partial<Violation> = {}): Violation => ({ ...state(), message: '', liftedBy: [], ...more })
const decision = (more: Partial<Decision> = {}): Decision => ({
  allowed: true, subject: 'user:1', plan: 'free', mode: 'enforce', degraded: false, violations: [], limits: [state()], decidedAt: NOW, retryAfterMs: 0, ...more,
})
const denied = (violations: Partial<Violation>[], retryAfterMs: number | null = 4001) => decision({ allowed: false, violations: violations.map(violation), retryAfterMs })

const free: PlanView = {
  id: 'free',
  headline: 'daily',
  limits: [
    { name: 'daily', kind: 'quota', max: 50, windowMs: 86_400_000, meter: 'requests' },
    { name: 'tokens', kind: 'quota', max: 100_000, windowMs: 2_592_000_000, meter: 'tokens' },
    { name: 'burst', kind: 'tokenBucket', max: 3, windowMs: 500 },
    { name: 'parallel', kind: 'concurrency', max: 2, windowMs: null },
    { name: 'models', kind: 'allowOnly', max: 1, windowMs: null },
    { name: 'none', kind: 'quota', max: Infinity, windowMs: 86_400_000 },
  ],
}
const FREE_POLICY = '"daily";q=50;w=86400, "tokens";q=100000;w=2592000;qu="tokens", "burst";q=3;w=1, "parallel";q=2;qu="concurrent-requests"'

describe('statusOf', () => {
  it.each<[Decision, number]>([
    [decision(), 200],
    [decision({ mode: 'shadow', violations: [violation()] }), 200],
    [denied([{}]), 429],
    [denied([{ kind: 'cooldown' }, { kind: 'credits' }]), 402],
    [denied([{}, { kind: 'credits' }, { kind: 'allowOnly', code: 'MY_OWN' }]), 403],
    [denied([]), 429],
  ])('case %#', (given, expected) => {
    expect(statusOf(given)).toBe(expected)
  })
})

describe('RateLimit-Policy and RateLimit', () => {
  const rateLimit = (given: Decision, plan?: PlanView) => {
    const headers = decisionHeaders(given, plan)
    return [headers['RateLimit-Policy'], headers.RateLimit]
  }

  it('tell what the plan gives and what is left of it', () => {
    const limits = [state(), state({ limit: 'tokens', max: 100_000, remaining: 834, resetAt: NOW + 1 }), state({ limit: 'parallel', kind: 'concurrency', max: 2, remaining: 1, resetAt: null })]
    expect(rateLimit(decision({ limits }), free)).toEqual([FREE_POLICY, '"daily";r=49;t=3600, "tokens";r=834;t=1, "parallel";r=1'])
  })

  it('need no plan', () => {
    expect(rateLimit(decision())).toEqual(['"daily";q=50', '"daily";r=49;t=3600'])
  })

  it('tell of the subject’s own limits where they differ from the plan’s', () => {
    const limits = [state({ max: 70, remaining: 69 }), state({ limit: 'extra', kind: 'slidingWindow', max: 9, remaining: 8 }), state({ limit: 'burst', kind: 'tokenBucket', max: Infinity, remaining: Infinity })]
    expect(rateLimit(decision({ limits }), free)).toEqual([
      '"daily";q=70;w=86400, "tokens";q=100000;w=2592000;qu="tokens", "parallel";q=2;qu="concurrent-requests", "extra";q=9',
      '"daily";r=69;t=3600, "extra";r=8;t=3600',
    ])
    expect(rateLimit(decision(), free)[0]).toBe(FREE_POLICY)
  })

  it('leave out a limit of the plan that the subject does not have', () => {
    const limits = [state({ max: Infinity, remaining: Infinity }), state({ limit: 'tokens', max: 100_000, remaining: 834, resetAt: null })]
    expect(rateLimit(decision({ limits }), free)).toEqual([FREE_POLICY.replace('"daily";q=50;w=86400, ', ''), '"tokens";r=834'])
    expect(rateLimit(decision({ limits: limits.slice(0, 1) }))).toEqual([undefined, undefined])
  })

  it('leave out what has no number, and what belongs to another subject', () => {
    const limits = [
      state({ max: Infinity, remaining: Infinity, limit: 'none' }),
      state({ kind: 'allowOnly', limit: 'models', max: 1 }),
      state({ kind: 'credits', limit: 'credits', max: 100 }),
      state({ subject: 'ip:203.0.113.7' }),
    ]
    expect(rateLimit(decision({ limits }))).toEqual([undefined, undefined])
    expect(rateLimit(decision({ limits }), free)).toEqual([FREE_POLICY, undefined])
  })

  it('count a violated limit’s own wait, which is what Retry-After says', () => {
    const limits = [state({ limit: 'flood', kind: 'slidingWindow', max: 20, remaining: 0, retryAfterMs: 2001, resetAt: NOW + 60_000 })]
    const headers = decisionHeaders({ ...denied([{}], 2001), limits })
    expect([headers.RateLimit, headers['Retry-After']]).toEqual(['"flood";r=0;t=3', '3'])
  })

  it('never go below zero', () => {
    expect(rateLimit(decision({ limits: [state({ remaining: -1, resetAt: NOW - 5000 })] }))[1]).toBe('"daily";r=0;t=0')
  })

  it('say nothing that is not known: no numbers when degraded, nothing when switched off', () => {
    expect(Object.keys(decisionHeaders(decision({ degraded: true }), free))).toEqual(['RateLimit-Policy'])
    expect(decisionHeaders(decision({ mode: 'off' }), free)).toEqual({})
    expect(decisionHeaders({ ...denied([{}]), degraded: true }, free)['Retry-After']).toBe('5')
  })

  it('can be replaced', () => {
    const headers = decisionHeaders(decision(), free, { rateLimitHeaders: (given, plan) => ({ 'X-Plan': `${plan?.id} ${given.limits.length}` }) })
    expect(headers).toEqual({ 'X-Plan': 'free 1', 'X-RateLimit-Limit': '50', 'X-RateLimit-Remaining': '49', 'X-RateLimit-Reset': `${(NOW + 3_600_000) / 1000}` })
  })
})

describe('X-RateLimit', () => {
  const limits = [state({ limit: 'flood', kind: 'slidingWindow', max: 20 }), state({ resetAt: NOW + 1 }), state({ limit: 'tokens', max: 1000, remaining: 7, resetAt: null })]
  const xRateLimit = (headers: Record<string, string>) => [headers['X-RateLimit-Limit'], headers['X-RateLimit-Remaining'], headers['X-RateLimit-Reset']]

  it('speaks of the headline, in seconds rounded up', () => {
    expect(xRateLimit(decisionHeaders(decision({ limits }), free))).toEqual(['50', '49', `${NOW / 1000 + 1}`])
  })

  it('speaks of the first quota where no headline is named, of another limit where one is asked for', () => {
    expect(xRateLimit(decisionHeaders(decision({ limits })))).toEqual(['50', '49', `${NOW / 1000 + 1}`])
    expect(xRateLimit(decisionHeaders(decision({ limits }), free, { headline: 'tokens' }))).toEqual(['1000', '7', undefined])
  })

  it('counts in milliseconds where asked to', () => {
    expect(xRateLimit(decisionHeaders(decision({ limits }), free, { resetUnit: 'milliseconds' }))[2]).toBe(`${NOW + 1}`)
  })

  it('is left out where the headline is unlimited, or no part of the decision', () => {
    const nothing = [undefined, undefined, undefined]
    expect(xRateLimit(decisionHeaders(decision({ limits: [state({ max: Infinity, remaining: Infinity })] }), free))).toEqual(nothing)
    expect(xRateLimit(decisionHeaders(decision({ limits: limits.slice(0, 1) }), free))).toEqual(nothing)
    expect(xRateLimit(decisionHeaders(decision({ limits: [state({ subject: 'team:9' })] }), free))).toEqual(nothing)
  })
})

describe('Retry-After', () => {
  it.each<[Decision, string | undefined]>([
    [denied([{}], 1), '1'],
    [denied([{}], 4001), '5'],
    [denied([{}], null), undefined],
    [denied([{}, { kind: 'credits' }]), undefined],
    [denied([{}, { kind: 'allowOnly' }]), undefined],
    [decision(), undefined],
    [decision({ mode: 'shadow', violations: [violation()], retryAfterMs: 4001 }), undefined],
  ])('case %#', (given, expected) => {
    expect(decisionHeaders(given)['Retry-After']).toBe(expected)
  })
})

describe('structured fields', () => {
  it.each([
    ['daily', '"daily"'],
    ['a "b" \\ c', '"a \\"b\\" \\\\ c"'],
    ['límite', '"l%C3%ADmite"'],
    ['100%', '"100%25"'],
    ['a\r\nb', '"a%0D%0Ab"'],
    ['', '""'],
  ])('quotes %j', (name, expected) => {
    expect(sfString(name)).toBe(expected)
  })

  it('quotes every name as an RFC 9651 String, from which the name can be read back', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (name) => {
      const quoted = sfString(name)
      expect(quoted).toMatch(/^"(?:[ !#-[\]-~]|\\["\\])*"$/)
      expect(decodeURIComponent(quoted.slice(1, -1).replace(/\\(.)/g, '$1'))).toBe(name)
    }))
    expect(sfString('\ud800')).toBe('"%EF%BF%BD"')
  })

  it('keeps integers whole, positive and within 15 digits', () => {
    expect([-1, 0, 0.2, 5, 1e20, Number.NaN].map(sfInteger)).toEqual([0, 0, 1, 5, 999_999_999_999_999, 0])
  })
})
