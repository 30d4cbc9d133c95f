import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type CommonOptions, createTollgate, MemoryStore } from '../index.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import * as preset from './virtual-worlds.ts'
import { NamedPlans } from './virtual-worlds/named-plans.ts'
import { createWorldLimits, planSet, type WorldLimits, type WorldPlan } from './virtual-worlds.ts'

const START = Date.parse('2026-03-10T12:00:00Z')
const MIDNIGHT = Date.parse('2026-03-11T00:00:00Z')
const MINUTE_MS = 60_000

function setup(options: CommonOptions = {}) {
  const clock = { now: START }
  const limits = createWorldLimits({ clock: () => clock.now, ...options })
  const message = (content: string, plan: WorldPlan = 'free', worldId = 'w1') => ({ userId: 'ada', worldId, plan, content })
  /** A message as a route decides it, whose work succeeds. */
  const send = async (content: string, plan?: WorldPlan, worldId?: string) => {
    const check = await limits.checkAllWorldLimits(message(content, plan, worldId))
    if (check.allowed) await limits.trackWorldMessageUsage('ada')
    return check
  }
  return { clock, limits, message, send }
}

/** A message as the product's documents decide it, up to the work. */
async function checkOneByOne(limits: WorldLimits, plan: WorldPlan, content: string, userId = 'ada', worldId = 'w1') {
  for (const check of [
    () => limits.checkWorldMessageLimit(userId, plan),
    () => limits.checkWorldCooldown(worldId, userId, plan),
    () => limits.checkSpamProtection(worldId, userId, content),
    () => limits.checkFloodProtection(worldId, userId),
  ]) {
    const result = await check()
    if (!result.allowed) return result
  }
  return { allowed: true }
}

describe('what a plan gives', () => {
  it.each([
    ['free', 0, 50, 3, 5, 'plus'],
    ['plus', 5, 500, 10, 2, 'ultra'],
    ['ultra', 15, Infinity, 50, 0, null],
  ] as const)('%s', (plan, price, messagesPerDay, agentsPerWorld, cooldownSeconds, next) => {
    const limits = { messagesPerDay, agentsPerWorld, cooldownSeconds, identicalMessagesPerHour: 10, messagesPerMinute: 20 }
    expect(preset.getWorldMessageLimits(plan)).toEqual(limits)
    const info = preset.getWorldLimitsInfo(plan)
    expect(info).toMatchObject({ plan, price: { amount: price, currency: 'USD', every: 'month' }, limits })
    expect(info.next?.plan ?? null).toBe(next)
  })

  it('is null in JSON where it is unlimited', () => {
    expect(JSON.parse(JSON.stringify(preset.getWorldMessageLimits('ultra')))).toMatchObject({ messagesPerDay: null })
  })

  it('is asked with a plan that exists', () => {
    for (const ask of [preset.getWorldMessageLimits, preset.getWorldLimitsInfo, (plan: WorldPlan) => preset.checkWorldAgentLimit(1, plan)]) {
      expect(() => ask('pluss' as WorldPlan)).toThrow("plan: 'pluss' is not a plan; did you mean 'plus'?")
      expect(() => ask('toString' as WorldPlan)).toThrow(/'toString' is not a plan/)
    }
  })
})

describe('checkAllWorldLimits', () => {
  it('holds the message in the day until it is tracked, released, or given up', async () => {
    const { clock, limits, message } = setup()
    const remaining = async (): Promise<number> => (await limits.checkWorldMessageLimit('ada', 'free')).remaining
    expect(await limits.checkAllWorldLimits(message('one'))).toMatchObject({ allowed: true, limit: 50, remaining: 49, resetAt: MIDNIGHT })
    expect(await remaining()).toBe(49)
    expect(await limits.trackWorldMessageUsage('ada')).toEqual({ userId: 'ada', date: '2026-03-10', worldMessagesCount: 1 })
    expect(await remaining()).toBe(49)

    clock.now += 5000
    const failed = await limits.checkAllWorldLimits(message('two'))
    expect(failed.remaining).toBe(48)
    await failed.decision.reservation!.release()
    expect(await remaining()).toBe(49)

    clock.now += 5000
    await limits.checkAllWorldLimits(message('three'))
    expect(await remaining()).toBe(48)
    clock.now += MINUTE_MS
    expect(await remaining()).toBe(49)
  })

  it('tells the first violation, in the order daily, cooldown, spam, flood', async () => {
    const { clock, limits, message, send } = setup()
    for (let i = 0; i < 10; i++) await send('x', 'ultra')
    for (let i = 0; i < 10; i++) await send(`${i}`, 'ultra')
    const told = async (plan: WorldPlan) => {
      const { error, decision, ...facts } = await limits.checkAllWorldLimits(message('x', plan))
      expect(error).toBe(decision.violations[0]!.message)
      return { ...facts, violated: decision.violations.map(({ limit }) => limit) }
    }
    expect(await told('ultra')).toEqual({ allowed: false, retryAfter: 3600, limit: Infinity, remaining: Infinity, resetAt: MIDNIGHT, violated: ['spam', 'flood'] })

    await send('x', 'plus', 'w2')
    for (let i = 0; i < 29; i++) await send('y', 'plus', `other${i}`)
    clock.now += 400
    expect(await told('plus')).toMatchObject({ allowed: false, violated: ['spam', 'flood'] })
    const cooling = await limits.checkAllWorldLimits(message('x', 'plus', 'w2'))
    expect(cooling).toMatchObject({ allowed: false, retryAfter: 2, remaining: 450 })
    expect(cooling.error).toMatch(/^Un momento: .* en 2 segundos\./)

    const overTheDay = await limits.checkAllWorldLimits(message('x', 'free'))
    expect(overTheDay).toMatchObject({ allowed: false, limit: 50, remaining: 0, resetAt: MIDNIGHT, retryAfter: 43_200 })
    expect(overTheDay.error).toContain('Límite diario')
    expect(overTheDay.decision.violations.map(({ limit }) => limit)).toEqual(['dailyMessages', 'spam', 'flood'])
  })

  it('speaks Spanish, or what it is asked to', async () => {
    const { limits, message, send } = setup()
    await send('one')
    expect((await limits.checkAllWorldLimits({ ...message('two'), locale: 'en' })).error).toMatch(/^One moment/)
    expect((await setup({ locale: 'ru' }).limits.checkWorldAgentLimit(3, 'free')).error).toMatch(/^В этом мире/)
  })

  it('lets the second of two at once wait 5 seconds', async () => {
    const { limits, message } = setup()
    const checks = await Promise.all([limits.checkAllWorldLimits(message('one')), limits.checkAllWorldLimits(message('two'))])
    expect(checks.map(({ allowed, retryAfter }) => [allowed, retryAfter])).toEqual([[true, undefined], [false, 5]])
  })

  it('admits exactly 50 of 400 at once', async () => {
    const { limits, message } = setup()
    const checks = await Promise.all(Array.from({ length: 400 }, (_, i) => limits.checkAllWorldLimits(message('hello', 'free', `w${i}`))))
    expect(checks.filter(({ allowed }) => allowed)).toHaveLength(50)
    await Promise.all(checks.filter(({ allowed }) => allowed).map(() => limits.trackWorldMessageUsage('ada')))
    expect(await limits.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: false, remaining: 0 })
    expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(50)
  })

  it('counts nothing and denies nothing while limits are off', async () => {
    const { limits, message, send } = setup({ rollout: { mode: 'off', percent: 100 } })
    for (let i = 0; i < 60; i++) expect((await send('x')).allowed).toBe(true)
    expect(await limits.checkAllWorldLimits(message('x'))).toMatchObject({ limit: Infinity, remaining: Infinity, resetAt: null })
    expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(60)
  })
})

describe('the checks one by one', () => {
  it('let 50 messages of a day pass and deny the 51st, which is denied before it counts anywhere', async () => {
    const { clock, limits } = setup()
    for (let i = 1; i <= 50; i++) {
      expect(await checkOneByOne(limits, 'free', `message ${i}`)).toEqual({ allowed: true })
      await limits.trackWorldMessageUsage('ada')
      clock.now += 6000
    }
    const denied = await checkOneByOne(limits, 'free', 'one more')
    expect(denied).toMatchObject({ allowed: false, limit: 50, remaining: 0, resetAt: MIDNIGHT })
    expect(denied).toHaveProperty('error', expect.stringContaining('Límite diario'))
    expect(await limits.checkWorldCooldown('w1', 'ada', 'free')).toEqual({ allowed: true })

    clock.now = MIDNIGHT
    expect(await checkOneByOne(limits, 'free', 'a new day')).toEqual({ allowed: true })
  })

  it('let the second of two at once wait 5 seconds', async () => {
    const { clock, limits } = setup()
    const [first, second] = await Promise.all([checkOneByOne(limits, 'free', 'one'), checkOneByOne(limits, 'free', 'two')])
    expect(first).toEqual({ allowed: true })
    expect(second).toMatchObject({ allowed: false, retryAfter: 5 })
    clock.now += 5000
    expect(await checkOneByOne(limits, 'free', 'two')).toEqual({ allowed: true })
  })

  it('deny the 11th identical text', async () => {
    const { clock, limits } = setup()
    for (let i = 1; i <= 10; i++) {
      expect(await checkOneByOne(limits, 'ultra', 'Buy now!')).toEqual({ allowed: true })
      clock.now += 6000
    }
    expect(await checkOneByOne(limits, 'ultra', 'Buy now!')).toMatchObject({ allowed: false, error: expect.stringContaining('10 veces') })
    expect(await limits.checkSpamProtection('w1', 'ada', 'Something else')).toEqual({ allowed: true })
    expect(await limits.checkSpamProtection('w2', 'ada', 'Buy now!')).toEqual({ allowed: true })
  })

  it('deny the 21st in a minute', async () => {
    const { clock, limits } = setup()
    for (let i = 1; i <= 20; i++) expect(await checkOneByOne(limits, 'ultra', `message ${i}`)).toEqual({ allowed: true })
    expect(await checkOneByOne(limits, 'ultra', 'one more')).toMatchObject({ allowed: false, retryAfter: 60 })
    expect(await limits.checkFloodProtection('w2', 'ada')).toEqual({ allowed: true })
    clock.now += MINUTE_MS
    expect(await limits.checkFloodProtection('w1', 'ada')).toEqual({ allowed: true })
  })

  it('count nothing of what they deny', async () => {
    const { clock, limits } = setup()
    for (let i = 0; i < 20; i++) await limits.checkFloodProtection('w1', 'ada')
    clock.now += 30_000
    for (let i = 0; i < 50; i++) expect((await limits.checkFloodProtection('w1', 'ada')).allowed).toBe(false)
    clock.now += 30_000
    expect((await limits.checkFloodProtection('w1', 'ada')).allowed).toBe(true)
  })

  it('count in the same place as all at once', async () => {
    const { limits, message, send } = setup()
    await limits.checkWorldCooldown('w1', 'ada', 'free')
    expect(await limits.checkAllWorldLimits(message('one'))).toMatchObject({ allowed: false, retryAfter: 5 })
    await send('one', 'free', 'w2')
    expect(await limits.checkWorldCooldown('w2', 'ada', 'free')).toMatchObject({ allowed: false, retryAfter: 5 })
  })
})

describe('checkWorldAgentLimit', () => {
  it.each([
    ['free', 3],
    ['plus', 10],
    ['ultra', 50],
  ] as const)('on %s admits the %dth agent and no more', (plan, limit) => {
    const { limits } = setup()
    expect(limits.checkWorldAgentLimit(0, plan)).toEqual({ allowed: true, limit, remaining: limit })
    expect(limits.checkWorldAgentLimit(limit - 1, plan)).toEqual({ allowed: true, limit, remaining: 1 })
    for (const count of [limit, limit + 1, 1000]) expect(limits.checkWorldAgentLimit(count, plan)).toEqual({ allowed: false, error: expect.any(String), limit, remaining: 0 })
  })

  it('names the plans that have room', () => {
    const { limits } = setup()
    expect(limits.checkWorldAgentLimit(3, 'free').error).toContain('Con plus caben 10; con ultra caben 50.')
    expect(limits.checkWorldAgentLimit(12, 'free').error).toContain('Con ultra caben 50.')
    expect(limits.checkWorldAgentLimit(50, 'ultra').error).toBe('Este mundo está completo: el plan ultra admite 50 agentes por mundo.')
  })

  it.each([-1, 1.5, Number.NaN, '3'])('refuses a count of %s', (count) => {
    expect(() => setup().limits.checkWorldAgentLimit(count as number, 'free')).toThrow(/currentCount: .* use an integer/)
  })
})

describe('trackWorldMessageUsage', () => {
  it('counts above the limit what was already sent', async () => {
    const { limits } = setup()
    for (let i = 0; i < 49; i++) await limits.trackWorldMessageUsage('ada')
    expect(await limits.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: true, remaining: 1 })
    await Promise.all(Array.from({ length: 3 }, () => limits.trackWorldMessageUsage('ada')))
    expect(await limits.checkWorldMessageLimit('ada', 'free')).toMatchObject({ allowed: false, remaining: 0 })
    expect(await limits.checkWorldMessageLimit('ada', 'plus')).toMatchObject({ allowed: true, remaining: 448 })
  })

  it('tells how many there are today, of all processes with the counters', async () => {
    const store = new MemoryStore()
    const [one, two] = [setup({ store }), setup({ store })]
    await one.limits.trackWorldMessageUsage('ada')
    await two.send('two')
    await one.send('three', 'free', 'w2')
    expect(await two.limits.trackWorldMessageUsage('ada')).toEqual({ userId: 'ada', date: '2026-03-10', worldMessagesCount: 4 })
  })

  it('tells those of this process while limits are off', async () => {
    const { limits, message } = setup({ rollout: { mode: 'off', percent: 100 } })
    await limits.trackWorldMessageUsage('ada')
    await limits.checkAllWorldLimits(message('two'))
    expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: 2 })
  })

  it('does not throw what comes after a message was counted', async () => {
    const store = new ScriptedStore(new MemoryStore())
    const { limits, send, message } = setup({ store, maxInFlight: 1 })
    await send('one', 'free', 'w2')
    await limits.checkAllWorldLimits(message('two'))
    // The commit is asked for twice, and the first call takes all the room.
    store.script.push('hangs')
    expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: 2 })
    await expect(limits.checkWorldMessageLimit('ada', 'free')).rejects.toMatchObject({ code: 'OVERLOADED' })
    store.wake()
    await new Promise((resolve) => setImmediate(resolve))
    expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(48)
  })

  it('counts above the limit in shadow mode too', async () => {
    const { limits } = setup({ rollout: { mode: 'shadow', percent: 100 } })
    for (let i = 1; i <= 52; i++) expect(await limits.trackWorldMessageUsage('ada')).toMatchObject({ worldMessagesCount: i })
  })

  it('counts a message once, however late', async () => {
    const { clock, limits, message } = setup()
    await limits.checkAllWorldLimits(message('one'))
    clock.now += 10 * MINUTE_MS
    await limits.trackWorldMessageUsage('ada')
    expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(49)
  })

  it('counts on the day of the message that succeeded, not of one that was given up', async () => {
    const { clock, limits, message } = setup()
    clock.now = MIDNIGHT - 10_000
    await limits.checkAllWorldLimits(message('given up'))
    clock.now = MIDNIGHT
    await limits.checkAllWorldLimits(message('succeeds'))
    await limits.trackWorldMessageUsage('ada')
    clock.now += MINUTE_MS
    expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(49)
  })

  it('does not mistake another user’s message, or one that was released, for this one', async () => {
    const { limits, message } = setup()
    const bob = await limits.checkAllWorldLimits({ ...message('hi'), userId: 'bob' })
    const ada = await limits.checkAllWorldLimits(message('hi'))
    await ada.decision.reservation!.release()
    await limits.trackWorldMessageUsage('ada')
    expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(49)
    expect(await bob.decision.reservation!.commit()).toMatchObject({ status: 'committed' })
  })
})

describe('the plans that checks named', () => {
  it('are forgotten when there are too many, the longest unnamed first', () => {
    const plans = new NamedPlans()
    plans.remember('first', 'plus')
    plans.remember('second', 'plus')
    plans.remember('first', 'ultra')
    for (let i = 0; i < 99_999; i++) plans.remember(`${i}`, 'free')
    expect([plans.of('first'), plans.of('second'), plans.of('0')]).toEqual(['ultra', undefined, 'free'])
    plans.remember('first', undefined)
    expect(plans.of('first')).toBeUndefined()
  })

  it('decide what is asked without one', async () => {
    const store = new MemoryStore()
    const { limits } = setup({ store })
    const lastPlan = () => createTollgate({ store, planSets: [planSet], defaultPlan: 'free' }).usage('worlds:ada').then(({ plan }) => plan)
    await limits.checkFloodProtection('w1', 'ada')
    expect(await lastPlan()).toBe('virtual-worlds/free')
    await limits.checkWorldMessageLimit('ada', 'plus')
    await limits.checkFloodProtection('w1', 'ada')
    expect(await lastPlan()).toBe('virtual-worlds/plus')
    await limits.checkWorldMessageLimit('ada', 'ultra')
    await limits.trackWorldMessageUsage('ada')
    expect(await lastPlan()).toBe('virtual-worlds/ultra')
  })
})

describe('getUserUsageStats', () => {
  it('counts the day and the month, and is up to five minutes old', async () => {
    const { clock, limits, send } = setup()
    const stats = async () => {
      const { daily, monthly } = await limits.getUserUsageStats('ada')
      return [daily.worldMessages, monthly.worldMessages]
    }
    await send('one', 'ultra')
    await limits.trackWorldMessageUsage('ada')
    const { reservation } = (await limits.checkAllWorldLimits({ userId: 'ada', worldId: 'w1', plan: 'ultra', content: 'three' })).decision
    await reservation!.commit()
    expect(await limits.getUserUsageStats('ada')).toEqual({ daily: { worldMessages: 3 }, monthly: { worldMessages: 3 }, since: START })
    expect((await limits.getUserUsageStats('bob')).daily.worldMessages).toBe(0)

    await send('four', 'ultra')
    clock.now += 5 * MINUTE_MS - 1
    expect(await stats()).toEqual([3, 3])
    clock.now += 1
    expect(await stats()).toEqual([4, 4])

    clock.now = MIDNIGHT - 1
    expect(await stats()).toEqual([4, 4])
    clock.now = MIDNIGHT
    expect(await stats()).toEqual([0, 4])
    await send('five', 'ultra')
    clock.now = Date.parse('2026-03-31T23:59:59.999Z')
    expect(await stats()).toEqual([0, 5])
    clock.now += 1
    expect(await stats()).toEqual([0, 0])
  })

  it('does not count what was denied or failed', async () => {
    const { limits, message, send } = setup()
    await send('one')
    expect((await send('two')).allowed).toBe(false)
    const { decision } = await limits.checkAllWorldLimits(message('three', 'free', 'w2'))
    await decision.reservation!.release()
    expect((await limits.getUserUsageStats('ada')).daily.worldMessages).toBe(1)
  })
})

describe('createWorldLimits', () => {
  it('shares the counters of an engine with the same store, namespace and secret', async () => {
    const clock = () => START
    const shared = { store: new MemoryStore(), namespace: 'shop', secret: 'a secret of 16 bytes or more', clock }
    const limits = createWorldLimits(shared)
    const tollgate = createTollgate({ ...shared, planSets: [planSet] })
    const request = { subject: 'worlds:ada', plan: 'free', operation: 'message', dimensions: { world: 'w1' }, content: 'hello' }
    await limits.checkAllWorldLimits({ userId: 'ada', worldId: 'w1', plan: 'free', content: 'Hello' })
    await limits.trackWorldMessageUsage('ada')
    expect((await tollgate.check(request)).limits.map(({ limit, used }) => [limit, used])).toEqual([['dailyMessages', 1], ['cooldown', 1], ['spam', 1], ['flood', 1]])

    await tollgate.consume({ ...request, dimensions: { world: 'w2' } })
    expect(await limits.checkWorldCooldown('w2', 'ada', 'free')).toMatchObject({ allowed: false, retryAfter: 5 })
    expect((await limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(48)
  })

  it('keeps two instances apart otherwise', async () => {
    const [one, two] = [setup(), setup()]
    await one.send('hello')
    expect((await two.limits.checkWorldMessageLimit('ada', 'free')).remaining).toBe(50)
  })

  it('gives functions that work on their own', async () => {
    const { checkWorldCooldown, checkWorldMessageLimit } = setup().limits
    expect((await checkWorldCooldown('w1', 'ada', 'free')).allowed).toBe(true)
    expect((await checkWorldMessageLimit('ada', 'free')).allowed).toBe(true)
  })

  it.each([undefined, '', 7, 'x'.repeat(257)])('refuses the user %j', async (userId) => {
    const { limits, message } = setup()
    const refusal = { code: 'INVALID_REQUEST', field: 'userId' }
    await expect(limits.checkAllWorldLimits({ ...message('hi'), userId: userId as string })).rejects.toMatchObject(refusal)
    await expect(limits.trackWorldMessageUsage(userId as string)).rejects.toMatchObject(refusal)
    await expect(limits.getUserUsageStats(userId as string)).rejects.toMatchObject(refusal)
    await expect(limits.checkWorldMessageLimit(userId as string, 'free')).rejects.toMatchObject(refusal)
  })

  it.each([[undefined, 'undefined'], [null, 'null'], [7, '7']])('refuses the content %j', async (content, shown) => {
    const { limits, message } = setup()
    const refusal = { code: 'INVALID_REQUEST', field: 'content', message: `content: ${shown} is not text; use a string, as it is compared with the user's other messages` }
    await expect(limits.checkSpamProtection('w1', 'ada', content as unknown as string)).rejects.toMatchObject(refusal)
    await expect(limits.checkAllWorldLimits(message(content as unknown as string))).rejects.toMatchObject(refusal)
    expect(await limits.checkAllWorldLimits(message(''))).toMatchObject({ allowed: true, remaining: 49 })
  })

  it('refuses a store that is none', () => {
    for (const store of [null, 7, {}]) expect(() => setup({ store: store as unknown as MemoryStore })).toThrow(/^store: .* is not a store/)
  })

  it('refuses an unknown plan and a missing world', async () => {
    const { limits, message } = setup()
    await expect(limits.checkAllWorldLimits(message('hi', 'pluss' as WorldPlan))).rejects.toMatchObject({ code: 'UNKNOWN_PLAN' })
    await expect(limits.checkWorldCooldown(undefined as unknown as string, 'ada', 'free')).rejects.toMatchObject({ code: 'MISSING_DIMENSION' })
  })
})

describe('the functions of the module', () => {
  it('share one instance', async () => {
    vi.stubEnv('REDIS_URL', '')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(await preset.checkWorldMessageLimit('module', 'free')).toMatchObject({ allowed: true, limit: 50, remaining: 50 })
    expect(await preset.checkWorldCooldown('w1', 'module', 'free')).toEqual({ allowed: true })
    expect(await preset.checkSpamProtection('w1', 'module', 'hello')).toEqual({ allowed: true })
    expect(await preset.checkFloodProtection('w1', 'module')).toEqual({ allowed: true })
    expect(await preset.trackWorldMessageUsage('module')).toMatchObject({ worldMessagesCount: 1 })
    expect(await preset.checkAllWorldLimits({ userId: 'module', worldId: 'w2', plan: 'free', content: 'hello' })).toMatchObject({ allowed: true, remaining: 48 })
    expect(await preset.getUserUsageStats('module')).toMatchObject({ daily: { worldMessages: 1 }, monthly: { worldMessages: 1 } })
    expect(preset.checkWorldAgentLimit(3, 'free')).toMatchObject({ allowed: false, limit: 3, remaining: 0 })
  })
})
