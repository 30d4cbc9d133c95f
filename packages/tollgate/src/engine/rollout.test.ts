import { describe, expect, it } from 'vitest'
import { concurrency, quota } from '../define/limits.ts'
import { createTollgate } from './create.ts'
import { modeFor, type Rollout, validateRollout } from './rollout.ts'

function make(rollout?: Rollout) {
  const limits = { daily: quota({ limit: 2, every: 'day' }), parallel: concurrency({ limit: 1 }) }
  return createTollgate({ plans: { free: { rank: 0, limits } }, defaultPlan: 'free', ...(rollout && { rollout }) })
}

describe('shadow', () => {
  it('decides and counts like enforcement, names what it would have denied, and denies nothing', async () => {
    const [shadow, enforced] = [make({ mode: 'shadow', percent: 100 }), make()]
    for (let i = 0; i < 4; i++) {
      const [dry, real] = [await shadow.consume({ subject: 'u' }), await enforced.consume({ subject: 'u' })]
      expect(dry).toMatchObject({ allowed: true, mode: 'shadow', retryAfterMs: 0 })
      expect(dry.violations.map(({ limit, code, retryAfterMs }) => [limit, code, retryAfterMs === 0])).toEqual(real.violations.map(({ limit, code, retryAfterMs }) => [limit, code, retryAfterMs === 0]))
      expect(dry.limits.map(({ used }) => used)).toEqual(real.limits.map(({ used }) => used))
    }
    // What it would have denied was not counted.
    expect((await shadow.usage('u')).limits[0]!.used).toBe(2)
  })

  it('gives a reservation in any case; one that it would have denied holds nothing', async () => {
    const tollgate = make({ mode: 'shadow', percent: 100 })
    const first = await tollgate.reserve({ subject: 'u' })
    const second = await tollgate.reserve({ subject: 'u' })
    expect(second.violations.map(({ limit }) => limit)).toEqual(['parallel'])
    expect((await tollgate.usage('u')).limits.map(({ used }) => used)).toEqual([1, 1])
    expect((await second.reservation!.commit()).status).toBe('committed')
    await first.reservation!.release()
    expect((await tollgate.usage('u')).limits.map(({ used }) => used)).toEqual([0, 0])
    const ran = await tollgate.run({ subject: 'u' }, () => 'done')
    expect(ran).toMatchObject({ allowed: true, value: 'done' })
  })

  it('its decisions are announced, so that they can be counted', async () => {
    const tollgate = make({ mode: 'shadow', percent: 100 })
    const seen: string[] = []
    tollgate.on('decision', ({ action, decision }) => seen.push(`${action} ${decision.violations.length}`))
    await tollgate.reserve({ subject: 'u' })
    await tollgate.reserve({ subject: 'u' })
    await tollgate.check({ subject: 'u' })
    expect(seen).toEqual(['reserve 0', 'reserve 1', 'check 1'])
  })
})

describe('off', () => {
  it('lets pass and counts nothing', async () => {
    const tollgate = make({ mode: 'off', percent: 100 })
    for (let i = 0; i < 5; i++) expect(await tollgate.consume({ subject: 'u' })).toMatchObject({ allowed: true, mode: 'off', limits: [], violations: [] })
    const { reservation } = await tollgate.reserve({ subject: 'u' })
    expect((await reservation!.commit()).status).toBe('committed')
    expect((await tollgate.usage('u')).limits[0]!.used).toBe(0)
    expect((await tollgate.explain({ subject: 'u' })).rules).toMatchObject([{ applies: false, passes: true, reason: 'limits are off for this subject' }, {}])
    // What is wrong with a request is wrong all the same.
    await expect(tollgate.consume({ subject: 'u', amounts: { requests: -1 } })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })

  it('takes effect with the next request, and so does its end', async () => {
    const tollgate = make()
    for (const allowed of [true, true, false]) expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(allowed)
    tollgate.setRollout({ mode: 'off', percent: 100 })
    expect(tollgate.rollout).toEqual({ mode: 'off', percent: 100 })
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(true)
    tollgate.setRollout({ mode: 'enforce', percent: 100 })
    expect((await tollgate.consume({ subject: 'u' })).allowed).toBe(false)
  })
})

describe('a share of subjects', () => {
  const subjects = Array.from({ length: 20_000 }, (_, i) => `user:${i}`)

  it.each([0, 1, 10, 50, 99, 100])('of %i percent is that share, to a percent', (percent) => {
    const enforced = subjects.filter((subject) => modeFor({ mode: 'enforce', percent }, subject) === 'enforce').length
    expect(Math.abs((enforced / subjects.length) * 100 - percent)).toBeLessThan(1)
    if (percent === 0) expect(enforced).toBe(0)
    if (percent === 100) expect(enforced).toBe(subjects.length)
  })

  it('holds every smaller one, and a subject stays where it is', () => {
    for (const subject of subjects.slice(0, 2000)) {
      const first = [1, 5, 20, 60, 100].find((percent) => modeFor({ mode: 'shadow', percent }, subject) === 'shadow')!
      for (let percent = 0; percent <= 100; percent += 5) expect(modeFor({ mode: 'shadow', percent }, subject)).toBe(percent >= first ? 'shadow' : modeFor({ mode: 'shadow', percent }, subject))
      expect(modeFor({ mode: 'shadow', percent: first }, subject)).toBe('shadow')
    }
  })

  it('is off for the others', async () => {
    const tollgate = make({ mode: 'enforce', percent: 30 })
    const modes = new Set<string>()
    for (const subject of subjects.slice(0, 50)) modes.add((await tollgate.check({ subject })).mode)
    expect([...modes].toSorted()).toEqual(['enforce', 'off'])
  })

  it('is a number from 0 to 100, of a mode there is', () => {
    for (const percent of [-1, 101, Number.NaN, '50']) expect(() => validateRollout({ mode: 'enforce', percent: percent as number })).toThrow(/^percent: /)
    expect(() => validateRollout({ mode: 'on' as 'off', percent: 5 })).toThrow("mode: 'on' is not a mode; use 'enforce', 'shadow' or 'off'")
    expect(() => make().setRollout({ mode: 'enforce', percent: 500 })).toThrow(/percent/)
  })
})
