import { describe, expect, it } from 'vitest'
import type { Decision, Violation } from '../../engine/types.ts'
import { TollgateError, type TollgateErrorCode } from '../../errors/index.ts'
import { problemOf, problemOfError, problemResponse } from './problem.ts'

const violation = (more: Partial<Violation>): Violation => ({
  limit: 'daily', kind: 'quota', code: 'QUOTA_EXCEEDED', max: 50, used: 50, remaining: 0, resetAt: 1_800_000_000_000, retryAfterMs: 4001, message: 'Daily limit reached.', liftedBy: ['plus'], ...more,
})
const credits = violation({ limit: 'credits', kind: 'credits', code: 'INSUFFICIENT_CREDITS', message: 'Not enough credits.', retryAfterMs: null })
const notInPlan = violation({ limit: 'models', kind: 'allowOnly', code: 'MODEL_NOT_IN_PLAN', max: Infinity, message: 'Not in your plan.', retryAfterMs: null })

const denied = (...violations: Violation[]): Decision => ({
  allowed: false, subject: 'user:1', plan: 'free', mode: 'enforce', degraded: false, violations, limits: [], decidedAt: 1_790_000_000_000,
  retryAfterMs: violations.some((each) => each.retryAfterMs === null) ? null : 4001,
})

describe('problemOf', () => {
  it('tells of a limit', () => {
    expect(problemOf(denied(violation({})), { instance: '/v1/consume/42' })).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Quota Exceeded',
      status: 429,
      detail: 'Daily limit reached.',
      instance: '/v1/consume/42',
      code: 'QUOTA_EXCEEDED',
      codes: ['QUOTA_EXCEEDED'],
      'violated-policies': ['daily'],
      violations: [violation({})],
      retryAfterMs: 4001,
    })
  })

  it('tells of credits: cost, balance, deficit', () => {
    const account = { cost: 10, balance: 7, available: 4, reserved: 3, spent: 93, deficit: 6 }
    expect(problemOf({ ...denied(credits), credits: account })).toMatchObject({
      type: 'about:blank', title: 'Payment Required', status: 402, code: 'INSUFFICIENT_CREDITS', detail: 'Not enough credits.', cost: 10, balance: 7, deficit: 6,
    })
  })

  it('speaks first of the violation that gives the status, and of all others too', () => {
    expect(problemOf(denied(violation({}), credits, notInPlan))).toMatchObject({
      type: 'about:blank', title: 'Forbidden', status: 403, code: 'MODEL_NOT_IN_PLAN', detail: 'Not in your plan.',
      codes: ['QUOTA_EXCEEDED', 'INSUFFICIENT_CREDITS', 'MODEL_NOT_IN_PLAN'],
      'violated-policies': ['daily', 'credits', 'models'],
      violations: [{ limit: 'daily' }, { limit: 'credits' }, { limit: 'models' }],
      retryAfterMs: null,
    })
  })

  it('writes unlimited as null', () => {
    expect(JSON.parse(JSON.stringify(problemOf(denied(notInPlan)))).violations[0].max).toBeNull()
  })

  it('refuses a decision that allows', () => {
    expect(() => problemOf({ ...denied(violation({})), allowed: true })).toThrow('ask decision.allowed first')
  })
})

describe('problemOfError', () => {
  const error = (code: TollgateErrorCode, options = {}) => problemOfError(new TollgateError(code, 'what is wrong', options))

  it('passes on what is wrong with a request', () => {
    expect(error('INVALID_REQUEST', { field: 'amounts.tokens', details: { max: 5 } })).toEqual({
      type: 'about:blank', title: 'Unprocessable Content', status: 422, detail: 'what is wrong', code: 'INVALID_REQUEST', field: 'amounts.tokens', details: { max: 5 },
    })
    expect(error('MALFORMED_BODY')).toMatchObject({ title: 'Bad Request', status: 400 })
    expect(error('ALREADY_SETTLED')).toMatchObject({ title: 'Conflict', status: 409 })
    expect(error('ABORTED')).toMatchObject({ title: 'Client Closed Request', status: 499 })
  })

  it('tells when to come back to a service that is down, and not why it is', () => {
    expect(error('STORE_UNAVAILABLE', { retryAfterMs: 2500, details: { host: '10.0.0.5' } })).toEqual({
      type: 'about:blank', title: 'Service Unavailable', status: 503, detail: 'The service cannot answer right now. Please try again shortly.', code: 'STORE_UNAVAILABLE', retryAfterMs: 2500,
    })
    expect(error('OVERLOADED')).toMatchObject({ type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity', retryAfterMs: 1000 })
  })

  it.each([[new Error('password=hunter2')], ['password=hunter2'], [undefined], [new TollgateError('INVALID_DEFINITION', 'password=hunter2')]])('tells nothing of %s', (thrown) => {
    expect(problemOfError(thrown, { instance: '/a' })).toEqual({ type: 'about:blank', title: 'Internal Server Error', status: 500, detail: 'Something went wrong on our side.', instance: '/a', code: 'INTERNAL_ERROR' })
  })
})

describe('problemResponse', () => {
  it('is a problem that no cache keeps', async () => {
    const response = problemResponse(problemOf(denied(violation({}))), { RateLimit: '"daily";r=0;t=5', 'Retry-After': '5' })
    expect(response.status).toBe(429)
    expect(Object.fromEntries(response.headers)).toEqual({ 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'retry-after': '5', ratelimit: '"daily";r=0;t=5' })
    expect(await response.json()).toMatchObject({ status: 429, code: 'QUOTA_EXCEEDED' })
  })

  it.each([
    [problemOfError(new TollgateError('OVERLOADED', '')), '1'],
    [problemOfError(new TollgateError('STORE_UNAVAILABLE', '', { retryAfterMs: 2001 })), '3'],
    [problemOf(denied(violation({}), credits)), null],
    [problemOfError(new TollgateError('NOT_FOUND', '')), null],
  ])('says when to try again only where it helps: %#', (problem, expected) => {
    expect(problemResponse(problem).headers.get('retry-after')).toBe(expected)
  })
})
