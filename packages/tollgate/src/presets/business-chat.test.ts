import { afterEach, describe, expect, it } from 'vitest'
import { createTollgate } from '../index.ts'
import { anchorOf, type BusinessPlan, defaultPlan, operations, planOf, plans, rolloutFromEnv } from './business-chat.ts'

const DAY_MS = 86_400_000

function setup(start: string) {
  const clock = { now: Date.parse(start) }
  const tollgate = createTollgate({ plans, operations, defaultPlan, clock: () => clock.now })
  return { clock, tollgate, send: (plan?: BusinessPlan) => tollgate.consume({ subject: 'business:7', operation: 'message', ...(plan && { plan }) }) }
}

async function countAdmitted(times: number, send: () => Promise<{ allowed: boolean }>): Promise<number> {
  let admitted = 0
  for (let i = 0; i < times; i++) if ((await send()).allowed) admitted++
  return admitted
}

describe('the plans', () => {
  it.each([
    ['FREE', Infinity, 0],
    ['TRIAL', 200, 100_000],
    ['PAYG', 1000, 1_000_000],
    ['STARTER', 2000, 2_000_000],
    ['PRO', 5000, 5_000_000],
    ['ENTERPRISE', 10_000, 10_000_000],
  ] as const)('%s: %d messages a day, %d tokens a month', (plan, messages, tokens) => {
    const { dailyMessages, monthlyTokens } = plans[plan].limits
    expect(dailyMessages).toMatchObject({ kind: 'quota', limit: messages, every: 'day', timezone: 'UTC', code: 'DAILY_MESSAGE_LIMIT_EXCEEDED' })
    expect(monthlyTokens).toMatchObject({ kind: 'quota', limit: tokens, every: 'month', anchor: 'subject', meter: 'tokens', code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED' })
  })

  it('are ranked in their order', () => {
    const order = Object.entries(plans).toSorted(([, a], [, b]) => a.rank - b.rank)
    expect(order.map(([name]) => name)).toEqual(['FREE', 'TRIAL', 'PAYG', 'STARTER', 'PRO', 'ENTERPRISE'])
  })
})

describe('messages a day', () => {
  it('are 200 on TRIAL, until midnight in UTC', async () => {
    const { clock, send } = setup('2026-03-10T23:00:00Z')
    expect(await countAdmitted(200, send)).toBe(200)
    const denied = await send()
    expect(denied.violations).toMatchObject([{ code: 'DAILY_MESSAGE_LIMIT_EXCEEDED', used: 200, remaining: 0, resetAt: Date.parse('2026-03-11T00:00:00Z'), retryAfterMs: 3_600_000 }])
    expect(denied.violations[0]!.liftedBy).toEqual(['PAYG', 'STARTER', 'PRO', 'ENTERPRISE'])

    clock.now = Date.parse('2026-03-10T23:59:59.999Z')
    expect((await send()).allowed).toBe(false)
    clock.now += 1
    expect(await countAdmitted(201, send)).toBe(200)
  })

  it('can be a business’ own number', async () => {
    const { tollgate, send } = setup('2026-03-10T12:00:00Z')
    await tollgate.setPlan('business:7', 'ENTERPRISE', { overrides: { dailyMessages: 3 } })
    expect(await countAdmitted(5, send)).toBe(3)
  })

  it('never pass their limit, however many come at once', async () => {
    const { tollgate, send } = setup('2026-03-10T12:00:00Z')
    await tollgate.setPlan('business:7', 'PRO', { overrides: { dailyMessages: 166 } })
    const decisions = await Promise.all(Array.from({ length: 400 }, () => send()))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(166)
    expect((await tollgate.usage('business:7')).limits[0]).toMatchObject({ limit: 'dailyMessages', used: 166, remaining: 0 })
  })
})

describe('days have nothing to do with local clocks', () => {
  const { TZ } = process.env
  afterEach(() => {
    if (TZ === undefined) delete process.env.TZ
    else process.env.TZ = TZ
  })

  // Clocks went forward in New York on March 8 and in Madrid on March 29, and back on November 1 and October 25.
  it.each([
    ['America/New_York', '2026-03-08'],
    ['America/New_York', '2026-11-01'],
    ['Europe/Madrid', '2026-03-29'],
    ['Europe/Madrid', '2026-10-25'],
  ])('in %s on %s', async (zone, date) => {
    process.env.TZ = zone
    expect(new Date(date).getTimezoneOffset()).not.toBe(0)
    const { clock, send } = setup(`${date}T00:00:00Z`)
    const { resetAt } = (await send()).limits[0]!
    expect(resetAt).toBe(clock.now + DAY_MS)
  })
})

describe('tokens a month', () => {
  it('are known after the answer: the last admitted one may pass the limit, and the next is denied', async () => {
    const { tollgate } = setup('2026-03-10T12:00:00Z')
    const request = { subject: 'business:7', operation: 'message' } as const
    for (const tokens of [60_000, 39_999, 5000]) {
      const { allowed, reservation } = await tollgate.reserve(request)
      expect(allowed).toBe(true)
      await tollgate.commit(reservation!.id, { amounts: { tokens } })
    }
    const denied = await tollgate.reserve(request)
    expect(denied.violations).toMatchObject([{ limit: 'monthlyTokens', code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', max: 100_000, used: 104_999, remaining: 0 }])
    // Nothing of the denied message counts: not the message either.
    expect((await tollgate.usage('business:7')).limits[0]).toMatchObject({ limit: 'dailyMessages', used: 3 })
  })

  it('deny at exactly the limit, and what a reservation does not fit into', async () => {
    const { tollgate } = setup('2026-03-10T12:00:00Z')
    const ask = (tokens: number) => tollgate.consume({ subject: 'business:7', operation: 'message', amounts: { tokens } })
    expect((await ask(99_999)).allowed).toBe(true)
    expect((await ask(2)).violations).toMatchObject([{ code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', used: 99_999, remaining: 1 }])
    expect((await ask(1)).allowed).toBe(true)
    expect((await ask(0)).violations).toMatchObject([{ code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', used: 100_000, remaining: 0 }])
  })

  it('are none on FREE, and that is the one reason', async () => {
    const { send } = setup('2026-03-10T12:00:00Z')
    const denied = await send('FREE')
    expect(denied.violations).toMatchObject([{ code: 'MONTHLY_TOKEN_LIMIT_EXCEEDED', max: 0, retryAfterMs: null }])
    expect(denied.violations[0]!.liftedBy).toEqual(['TRIAL', 'PAYG', 'STARTER', 'PRO', 'ENTERPRISE'])
  })

  it('are none on FREE either after a number of its own on ENTERPRISE', async () => {
    const { tollgate } = setup('2026-03-10T12:00:00Z')
    await tollgate.setPlan('business:7', 'ENTERPRISE', { overrides: { monthlyTokens: 50_000_000 } })
    await tollgate.setPlan('business:7', 'FREE')
    expect((await tollgate.consume({ subject: 'business:7', operation: 'message' })).violations).toMatchObject([{ limit: 'monthlyTokens', max: 0 }])
  })

  it('reset on the 31st, or where a month has none on its last day', async () => {
    const { clock, tollgate } = setup('2026-01-31T10:00:00Z')
    await tollgate.setPlan('business:7', 'TRIAL', { anchorAt: clock.now })
    const resets = []
    for (let i = 0; i < 4; i++) {
      const { limits, allowed } = await tollgate.consume({ subject: 'business:7', operation: 'message', amounts: { tokens: 100_000 } })
      expect(allowed).toBe(true)
      const { resetAt } = limits[1]!
      resets.push(new Date(resetAt!).toISOString())
      clock.now = resetAt! - 1
      expect((await tollgate.consume({ subject: 'business:7', operation: 'message' })).allowed).toBe(false)
      clock.now = resetAt!
    }
    expect(resets).toEqual(['2026-02-28T10:00:00.000Z', '2026-03-31T10:00:00.000Z', '2026-04-30T10:00:00.000Z', '2026-05-31T10:00:00.000Z'])
  })
})

describe('anchorOf', () => {
  const backfilledAt = Date.parse('2026-04-10T08:00:00Z')
  const in30Days = Date.parse('2026-05-10T08:00:00Z')

  it.each([
    ['the end of the paid period', '2026-04-25T00:00:00Z', Date.parse('2026-04-25T00:00:00Z')],
    ['30 days after the backfill without one', null, in30Days],
    ['30 days after the backfill where the period had ended', '2026-04-09T00:00:00Z', in30Days],
    ['30 days after the backfill where it ended just then', '2026-04-10T08:00:00Z', in30Days],
  ])('is %s', (_, currentPeriodEnd, expected) => {
    expect(anchorOf({ currentPeriodEnd: currentPeriodEnd === null ? null : new Date(currentPeriodEnd), backfilledAt })).toBe(expected)
    expect(anchorOf({ currentPeriodEnd: currentPeriodEnd === null ? null : Date.parse(currentPeriodEnd), backfilledAt: new Date(backfilledAt) })).toBe(expected)
  })

  it('reads dates, texts and epoch milliseconds alike', () => {
    const end = Date.parse('2026-04-25T00:00:00Z')
    for (const currentPeriodEnd of [new Date(end), end, '2026-04-25', '2026-04-25T00:00:00Z', '2026-04-25T02:00:00.000+02:00']) expect(anchorOf({ currentPeriodEnd, backfilledAt: '2026-04-10T08:00:00Z' })).toBe(end)
  })

  it.each([
    ['tomorrow', "'tomorrow'"],
    ['', "''"],
    ['2026-04-25T00:00:00', "'2026-04-25T00:00:00'"],
    ['2026-02-30', "'2026-02-30'"],
    [new Date(Number.NaN), 'Invalid Date'],
    [Number.NaN, 'NaN'],
    [1.5, '1.5'],
    [1e18, '1000000000000000000'],
    [{}, 'an object'],
  ])('refuses %j', (value, shown) => {
    const refusal = (field: string) => `${field}: ${shown} is not an instant of 1970 to 2096; use a Date, a text such as '2026-11-22T00:00:00Z', or epoch milliseconds`
    expect(() => anchorOf({ currentPeriodEnd: value as string, backfilledAt })).toThrow(refusal('currentPeriodEnd'))
    expect(() => anchorOf({ backfilledAt: value as string })).toThrow(refusal('backfilledAt'))
  })

  it.each([
    ['at the end of the paid period', '2026-04-10T08:00:00Z', '2026-04-25T00:00:00Z', ['2026-04-25T00:00:00.000Z', '2026-05-25T00:00:00.000Z']],
    ['at the end of a period of a month', '2026-01-31T12:00:00Z', '2026-02-28T12:00:00Z', ['2026-02-28T12:00:00.000Z', '2026-03-28T12:00:00.000Z']],
    ['on the day on which a longer period ends', '2026-01-30T12:00:00Z', '2026-08-18T12:00:00Z', ['2026-02-18T12:00:00.000Z', '2026-03-18T12:00:00.000Z']],
    ['30 days after the backfill', '2026-04-10T08:00:00Z', null, ['2026-05-10T08:00:00.000Z', '2026-06-10T08:00:00.000Z']],
    ['30 days after the backfill, of a month with 31', '2026-01-10T08:00:00Z', null, ['2026-02-09T08:00:00.000Z', '2026-03-09T08:00:00.000Z']],
    ['a month after the backfill where February ends in between', '2026-01-30T12:00:00Z', null, ['2026-02-28T12:00:00.000Z', '2026-03-30T12:00:00.000Z']],
    ['a month after the backfill in a leap February', '2028-02-01T00:00:00Z', null, ['2028-03-01T00:00:00.000Z', '2028-04-01T00:00:00.000Z']],
  ])('resets the tokens %s, and each month from then', async (_, backfilledAt, currentPeriodEnd, expected) => {
    const { clock, tollgate, send } = setup(backfilledAt)
    await tollgate.setPlan('business:7', 'TRIAL', { anchorAt: anchorOf({ currentPeriodEnd, backfilledAt }) })
    const resets = []
    for (let i = 0; i < 2; i++) {
      clock.now = (await send()).limits[1]!.resetAt!
      resets.push(new Date(clock.now).toISOString())
    }
    expect(resets).toEqual(expected)
  })

  it('never lets the first month be shorter than the 28 days of a February', async () => {
    for (let day = 0; day < 3 * 365; day++) {
      const backfilledAt = Date.parse('2026-01-01T12:00:00Z') + day * DAY_MS
      const { tollgate, send } = setup(new Date(backfilledAt).toISOString())
      await tollgate.setPlan('business:7', 'TRIAL', { anchorAt: anchorOf({ backfilledAt }) })
      const days = ((await send()).limits[1]!.resetAt! - backfilledAt) / DAY_MS
      expect(days === 30 || [28, 29].includes(days), `${days} days from day ${day}`).toBe(true)
    }
  })
})

describe('planOf', () => {
  it.each(Object.keys(plans))('knows %s', (name) => {
    expect(planOf(name)).toEqual({ plan: name })
  })

  it.each([
    ['pro', "'pro'"],
    ['GOLD', "'GOLD'"],
    ['', "''"],
    ['__proto__', "'__proto__'"],
    ['toString', "'toString'"],
    [null, 'null'],
    [undefined, 'undefined'],
  ])('counts %j as ENTERPRISE and says so', (name, shown) => {
    expect(planOf(name)).toEqual({
      plan: 'ENTERPRISE',
      warning: `${shown} is not a plan and counts as ENTERPRISE; use one of FREE, TRIAL, PAYG, STARTER, PRO, ENTERPRISE`,
    })
  })
})

describe('rolloutFromEnv', () => {
  it.each([
    [{}, { mode: 'off', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'false' }, { mode: 'off', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'TRUE' }, { mode: 'off', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: '1' }, { mode: 'off', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: ' true' }, { mode: 'off', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'true' }, { mode: 'enforce', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'true', CHAT_RATE_LIMITING_PERCENT: '' }, { mode: 'enforce', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'true', CHAT_RATE_LIMITING_PERCENT: '10' }, { mode: 'enforce', percent: 10 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'true', CHAT_RATE_LIMITING_PERCENT: '0' }, { mode: 'enforce', percent: 0 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'true', CHAT_RATE_LIMITING_PERCENT: '2.5' }, { mode: 'enforce', percent: 2.5 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'false', CHAT_RATE_LIMITING_PERCENT: '50' }, { mode: 'off', percent: 100 }],
    [{ CHAT_RATE_LIMITING_ENABLED: 'false', CHAT_RATE_LIMITING_PERCENT: 'half' }, { mode: 'off', percent: 100 }],
  ])('%j is %j', (env, rollout) => {
    expect(rolloutFromEnv(env)).toEqual(rollout)
  })

  it.each(['half', '101', '-1', '1e2', '10%', ' 10'])('refuses %j percent', (percent) => {
    expect(() => rolloutFromEnv({ CHAT_RATE_LIMITING_ENABLED: 'true', CHAT_RATE_LIMITING_PERCENT: percent })).toThrow(/CHAT_RATE_LIMITING_PERCENT: .* use a number from 0 to 100/)
  })

  it('off lets everybody chat, and forgets nothing', async () => {
    const { tollgate, send } = setup('2026-03-10T12:00:00Z')
    expect(await countAdmitted(200, send)).toBe(200)
    tollgate.setRollout(rolloutFromEnv({}))
    expect(await send()).toMatchObject({ allowed: true, mode: 'off' })
    tollgate.setRollout(rolloutFromEnv({ CHAT_RATE_LIMITING_ENABLED: 'true' }))
    expect((await send()).allowed).toBe(false)
  })
})
