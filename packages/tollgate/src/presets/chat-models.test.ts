import { describe, expect, it } from 'vitest'
import { createTollgate } from '../index.ts'
import { ANONYMOUS_MODELS, type ChatPlan, defaultPlan, isPremium, MODELS, operations, plans, PREMIUM_MODELS } from './chat-models.ts'

function setup(start = '2026-01-31T12:00:00Z') {
  const clock = { now: Date.parse(start) }
  const tollgate = createTollgate({ plans, operations, defaultPlan, clock: () => clock.now })
  const send = (model: string, plan?: ChatPlan) => tollgate.consume({ subject: 'chat:ada', operation: 'message', dimensions: { model }, ...(plan && { plan }) })
  const countAdmitted = async (times: number, model: string, plan?: ChatPlan): Promise<number> => {
    let admitted = 0
    for (let i = 0; i < times; i++) if ((await send(model, plan)).allowed) admitted++
    return admitted
  }
  return { clock, tollgate, send, countAdmitted }
}

describe('the models', () => {
  it('are premium as listed', () => {
    expect(PREMIUM_MODELS).toEqual(['claude-3.5-sonnet', 'claude-3-haiku', 'claude-3-opus', 'claude-3.7-sonnet', 'claude-sonnet-4', 'claude-opus-4'])
    expect(MODELS.filter(isPremium)).toEqual(PREMIUM_MODELS)
    expect(MODELS).toContain('gemini-2.0-flash')
    expect(new Set(MODELS).size).toBe(MODELS.length)
    expect(isPremium('gemini-2.0-flash')).toBe(false)
  })
})

describe('a signed-in user', () => {
  it.each(PREMIUM_MODELS)('has 20 messages a month on %s', async (model) => {
    const { send, countAdmitted } = setup()
    expect(await countAdmitted(21, model)).toBe(20)
    expect((await send(model)).violations).toMatchObject([{ limit: 'premiumMessages', max: 20, used: 20, resetAt: Date.parse('2026-02-01T00:00:00Z') }])
  })

  it('shares the 20 among the premium models, and they count in the 100', async () => {
    const { send, countAdmitted } = setup()
    for (const model of PREMIUM_MODELS) await countAdmitted(3, model)
    expect(await countAdmitted(10, 'claude-opus-4')).toBe(2)
    expect(await countAdmitted(100, 'gemini-2.0-flash')).toBe(80)
    expect((await send('gemini-2.0-flash')).violations).toMatchObject([{ limit: 'monthlyMessages', max: 100, used: 100 }])
    expect((await send('claude-opus-4')).violations.map(({ limit }) => limit)).toEqual(['monthlyMessages', 'premiumMessages'])
  })

  it('has no room on premium models either when the 100 are used up', async () => {
    const { send, countAdmitted } = setup()
    expect(await countAdmitted(101, 'a-model-of-tomorrow')).toBe(100)
    expect((await send('claude-opus-4')).violations.map(({ limit }) => limit)).toEqual(['monthlyMessages'])
  })

  it('has an ordinary message where the request names no model', async () => {
    const { tollgate } = setup()
    const { allowed, limits } = await tollgate.consume({ subject: 'chat:ada', operation: 'message' })
    expect([allowed, limits.map(({ limit }) => limit)]).toEqual([true, ['monthlyMessages']])
  })

  it('starts anew on the 1st at 00:00 UTC', async () => {
    const { clock, countAdmitted } = setup()
    await countAdmitted(20, 'claude-opus-4')
    await countAdmitted(80, 'gemini-2.0-flash')
    clock.now = Date.parse('2026-01-31T23:59:59.999Z')
    expect(await countAdmitted(1, 'gemini-2.0-flash')).toBe(0)
    clock.now = Date.parse('2026-02-01T00:00:00Z')
    expect(await countAdmitted(21, 'claude-opus-4')).toBe(20)
    expect(await countAdmitted(81, 'gemini-2.0-flash')).toBe(80)
    clock.now = Date.parse('2026-03-01T00:00:00Z')
    expect(await countAdmitted(1, 'claude-opus-4')).toBe(1)
  })

  it('is not let through by asking in parallel', async () => {
    const { send } = setup()
    const decisions = await Promise.all(Array.from({ length: 50 }, () => send('claude-opus-4')))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(20)
  })
})

describe('a visitor', () => {
  it('may use the one model, as often as they like', async () => {
    const { countAdmitted } = setup()
    expect(ANONYMOUS_MODELS).toEqual(['gemini-2.0-flash'])
    expect(await countAdmitted(300, 'gemini-2.0-flash', 'anonymous')).toBe(300)
  })

  it.each([...MODELS.filter((model) => model !== 'gemini-2.0-flash'), 'a-model-of-tomorrow'])('may not use %s', async (model) => {
    const { send } = setup()
    const { allowed, violations } = await send(model, 'anonymous')
    expect(allowed).toBe(false)
    expect(violations).toMatchObject([{ limit: 'models', kind: 'allowOnly', code: 'NOT_IN_PLAN', retryAfterMs: null }])
    expect(violations[0]!.liftedBy).toEqual(['user'])
  })

  it('may use no model without saying which', async () => {
    const { tollgate } = setup()
    expect((await tollgate.consume({ subject: 'chat:anonymous:203.0.113.0', plan: 'anonymous', operation: 'message' })).allowed).toBe(false)
  })
})
