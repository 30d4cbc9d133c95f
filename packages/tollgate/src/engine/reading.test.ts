import { describe, expect, it } from 'vitest'
import { allowOnly, capacity, concurrency, cooldown, duplicates, quota, slidingWindow, tokenBucket } from '../define/limits.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import { controlledClock } from '../testing/clock.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { createTollgate } from './create.ts'

const START_AT = Date.UTC(2026, 4, 20, 12)

function make() {
  const clock = controlledClock(START_AT)
  const store = new ScriptedStore(new MemoryStore())
  const free = {
    daily: quota({ limit: 3, every: 'day', code: 'NO_MORE_TODAY', softLimit: 0.6 }),
    premium: quota({ limit: 1, every: 'day', match: { model: ['opus', 'gpt'] } }),
    pause: cooldown({ wait: '5s', per: ['world'] }),
    spam: duplicates({ limit: 2, window: '1h' }),
    agents: capacity({ limit: 2, per: ['world'], match: { operation: 'agent' } }),
    parallel: concurrency({ limit: Infinity }),
    models: allowOnly({ model: ['haiku', 'opus'] }),
  }
  const plus = { ...free, daily: quota({ limit: 30, every: 'day' }), pause: cooldown({ wait: '1s', per: ['world'] }) }
  const tollgate = createTollgate({ plans: { free: { rank: 0, limits: free }, plus: { rank: 1, limits: plus }, max: { rank: 2, limits: {} } }, clock, store, defaultPlan: 'free' })
  const ask = (world: string, facts: object = {}) => ({ subject: 'u', dimensions: { world, model: 'haiku' }, ...facts })
  return { clock, store, tollgate, ask }
}

describe('a decision', () => {
  it('can be told and sent whatever the wait: a debt may last longer than there are dates', async () => {
    const clock = controlledClock(START_AT)
    const limits = { bucket: tokenBucket({ capacity: 1000, refill: 1, every: '1d', meter: 'tokens' }) }
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits }, max: { rank: 1, limits: { bucket: tokenBucket({ capacity: Infinity, refill: 1, every: '1d', meter: 'tokens' }) } } }, clock, defaultPlan: 'free' })
    const { reservation } = await tollgate.reserve({ subject: 'u', amounts: { tokens: 1 } })
    await tollgate.commit(reservation!.id, { amounts: { tokens: 200_000_000 } })
    const denied = await tollgate.consume({ subject: 'u', amounts: { tokens: 1 } })
    expect(denied.retryAfterMs).toBeGreaterThan(1e16)
    expect(JSON.parse(JSON.stringify(denied))).toMatchObject({ violations: [{ limit: 'bucket', liftedBy: ['max'], message: expect.any(String) as string }] })
  })

  it('names every violated limit in the plan\'s order, when each frees, and who would let it pass', async () => {
    const { tollgate, ask, clock } = make()
    for (const world of ['w1', 'w2', 'w3']) expect((await tollgate.consume(ask(world, { content: 'hello' }))).allowed).toBe(world !== 'w3')
    await tollgate.consume(ask('w3', { content: 'other' }))
    clock.advance(2000)
    const denied = await tollgate.consume({ ...ask('w2', { content: 'Hello!' }), dimensions: { world: 'w2', model: 'gpt' } })
    expect(denied).toMatchObject({ allowed: false, mode: 'enforce', decidedAt: START_AT + 2000, retryAfterMs: null })
    expect(denied.violations.map(({ limit, kind, code, used, max, remaining, retryAfterMs, resetAt, liftedBy }) => ({ limit, kind, code, used, max, remaining, retryAfterMs, resetAt, liftedBy }))).toEqual([
      { limit: 'daily', kind: 'quota', code: 'NO_MORE_TODAY', used: 3, max: 3, remaining: 0, retryAfterMs: 12 * 3_600_000 - 2000, resetAt: Date.UTC(2026, 4, 21), liftedBy: ['plus', 'max'] },
      { limit: 'pause', kind: 'cooldown', code: 'COOLDOWN', used: 1, max: 1, remaining: 0, retryAfterMs: 3000, resetAt: START_AT + 5000, liftedBy: ['plus', 'max'] },
      { limit: 'spam', kind: 'duplicates', code: 'DUPLICATE_CONTENT', used: 2, max: 2, remaining: 0, retryAfterMs: 3_598_000, resetAt: START_AT + 3_600_000, liftedBy: ['max'] },
      { limit: 'models', kind: 'allowOnly', code: 'NOT_IN_PLAN', used: 0, max: 0, remaining: 0, retryAfterMs: null, resetAt: null, liftedBy: ['max'] },
    ])
    expect(denied.limits.map(({ limit }) => limit)).toEqual(['daily', 'premium', 'pause', 'spam', 'parallel', 'models'])
    expect(denied.limits[2]!.partition).toEqual({ world: 'w2' })
    expect(JSON.parse(JSON.stringify(denied.violations[0]))).toMatchObject({ message: expect.any(String) as string, liftedBy: ['plus', 'max'] })
  })

  it('waits: that long later the same request passes', async () => {
    const { tollgate, ask, clock } = make()
    await tollgate.consume(ask('w1'))
    const { retryAfterMs } = await tollgate.check(ask('w1'))
    clock.advance(retryAfterMs! - 1)
    expect((await tollgate.check(ask('w1'))).allowed).toBe(false)
    clock.advance(1)
    expect((await tollgate.consume(ask('w1'))).allowed).toBe(true)
  })

  it('warns from the soft limit on, and the engine says so once', async () => {
    const { tollgate, ask } = make()
    const warned: number[] = []
    tollgate.on('warning', ({ limit }) => warned.push(limit.used))
    const warnings: unknown[] = []
    for (const world of ['w1', 'w2', 'w3']) warnings.push((await tollgate.consume(ask(world))).limits[0]!.warning)
    expect(warnings).toEqual([undefined, true, true])
    expect(warned).toEqual([2])
  })

  it('warns once a period, also when some of it was given back and used again', async () => {
    const clock = controlledClock(Date.UTC(2027, 0, 1))
    const tollgate = createTollgate({ plans: { free: { rank: 0, limits: { tokens: quota({ limit: 100, every: 'day', meter: 'tokens', softLimit: 0.8 }) } } }, clock, defaultPlan: 'free' })
    const warned: number[] = []
    tollgate.on('warning', ({ limit }) => warned.push(limit.used))
    const reserve = async (tokens: number) => (await tollgate.reserve({ subject: 'u', amounts: { tokens } })).reservation!
    await (await reserve(85)).release()
    await (await reserve(90)).commit()
    expect(warned).toEqual([85])
    clock.advance(86_400_000)
    await reserve(80)
    expect(warned).toEqual([85, 80])
  })
})

describe('usage', () => {
  it('tells how every limit stands, of partitioned ones each live partition', async () => {
    const { tollgate, ask } = make()
    await tollgate.consume(ask('w1', { content: 'a', operation: 'agent' }))
    await tollgate.consume(ask('w2', { content: 'a', operation: 'agent' }))
    const { subject, plan, limits } = await tollgate.usage('u')
    expect([subject, plan]).toEqual(['u', 'free'])
    const states = limits.map(({ limit, used, partition, retryAfterMs }) => `${limit} ${used} ${partition?.world ?? ''} ${retryAfterMs}`)
    expect(states.toSorted()).toEqual(['agents 1 w1 0', 'agents 1 w2 0', 'daily 2  0', 'parallel 0  0', 'pause 1 w1 0', 'pause 1 w2 0', 'premium 0  0', 'spam 2  0'])
    expect(limits.map(({ limit }) => limit).filter((limit, i, all) => all.indexOf(limit) === i)).toEqual(['daily', 'premium', 'pause', 'spam', 'agents', 'parallel'])
  })

  it('is read under the plan named, else the subject\'s, else the one it was last admitted under', async () => {
    const { tollgate, ask } = make()
    expect((await tollgate.usage('u')).plan).toBe('free')
    await tollgate.consume(ask('w1', { plan: 'plus' }))
    expect(await tollgate.usage('u')).toMatchObject({ plan: 'plus', limits: [{ used: 1, max: 30 }, {}, {}, {}] })
    expect(await tollgate.usage('u', { plan: 'free' })).toMatchObject({ plan: 'free', limits: [{ used: 1, max: 3 }, {}, {}, {}] })
    await tollgate.setPlan('u', 'max')
    expect(await tollgate.usage('u')).toEqual({ subject: 'u', plan: 'max', limits: [], credits: null })
    await expect(tollgate.usage('')).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: 'subject' })
  })

  it('shows a subject\'s own limits', async () => {
    const { tollgate } = make()
    await tollgate.setPlan('u', 'free', { overrides: { daily: 100, premium: Infinity } })
    expect((await tollgate.usage('u')).limits.slice(0, 2)).toMatchObject([{ max: 100, remaining: 100 }, { max: Infinity, remaining: Infinity }])
  })
})

describe('explain', () => {
  it('goes through a decision rule by rule, and writes nothing', async () => {
    const { tollgate, ask, store } = make()
    await tollgate.consume(ask('w1', { content: 'x' }))
    store.calls.length = 0
    const { decision, planSource, rules } = await tollgate.explain({ ...ask('w1'), dimensions: { world: 'w1', model: 'sonnet' } })
    expect(decision.allowed).toBe(false)
    expect(planSource).toBe('default')
    expect(rules.map(({ limit, applies, passes, reason }) => [limit, applies, passes, reason])).toEqual([
      ['daily', true, true, '1 of 3 used'],
      ['premium', false, true, 'only for model opus, gpt; the request has sonnet'],
      ['pause', true, false, '1 of 1 used, and this request does not fit'],
      ['spam', true, true, 'no content to compare; the same text is admitted up to 2 times'],
      ['agents', false, true, 'only for operation agent; the request has none'],
      ['parallel', true, true, 'unlimited'],
      ['models', true, false, 'not in the plan'],
    ])
    expect(store.calls).toEqual(['decide check'])
    expect((await tollgate.explain({ ...ask('w2'), plan: 'plus' })).planSource).toBe('request')
    await tollgate.setPlan('u', 'plus')
    expect((await tollgate.explain(ask('w2'))).planSource).toBe('subject')
  })
})

describe('reset', () => {
  it('forgets one limit, or all, and says how it stands then', async () => {
    const { tollgate, ask } = make()
    for (const world of ['w1', 'w2']) await tollgate.consume(ask(world, { content: 'a' }))
    const one = await tollgate.reset('u', { limit: 'pause' })
    expect(one.limits.map(({ limit, used }) => `${limit} ${used}`)).toEqual(['daily 2', 'premium 0', 'parallel 0', 'spam 2'].toSorted((a, b) => order(a) - order(b)))
    expect((await tollgate.consume(ask('w1'))).allowed).toBe(true)
    const all = await tollgate.reset('u')
    expect(all.limits.every(({ used }) => used === 0)).toBe(true)
    await expect(tollgate.reset('u', { limit: 'dialy' as 'daily' })).rejects.toMatchObject({ code: 'UNKNOWN_LIMIT', field: 'limit' })
  })

  it('of another subject leaves this one alone; an erasure forgets what is stored too', async () => {
    const { tollgate, ask } = make()
    await tollgate.setPlan('u', 'plus', { team: 'red' })
    await tollgate.consume(ask('w1'))
    await tollgate.reset('v')
    expect((await tollgate.usage('u')).limits[0]!.used).toBe(1)
    await tollgate.erase('u')
    expect(await tollgate.subject('u')).toBeUndefined()
    expect((await tollgate.usage('u', { plan: 'plus' })).limits[0]!.used).toBe(0)
  })
})

describe('namespaces', () => {
  it('share a store and never meet', async () => {
    const store = new MemoryStore()
    const plans = { free: { rank: 0, limits: { daily: quota({ limit: 1, every: 'day' }), flood: slidingWindow({ limit: 1, window: '1m', per: ['world'] }) } } }
    const [red, blue] = ['red', 'blue'].map((namespace) => createTollgate({ plans, defaultPlan: 'free', store, namespace }))
    const request = { subject: 'u', dimensions: { world: 'w' } }
    const first = await red!.reserve(request)
    expect(first.allowed).toBe(true)
    expect((await blue!.consume(request)).allowed).toBe(true)
    expect((await red!.consume(request)).allowed).toBe(false)
    await expect(blue!.commit(first.reservation!.id)).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION' })
    expect(await red!.commit(first.reservation!.id)).toMatchObject({ subject: 'u' })
    await red!.reset('u')
    expect([(await red!.usage('u')).limits[0]!.used, (await blue!.usage('u')).limits[0]!.used]).toEqual([0, 1])
  })
})

describe('events', () => {
  it('tell decisions and settlements, without content, until one unsubscribes', async () => {
    const { tollgate, ask } = make()
    const seen: string[] = []
    const stop = tollgate.on('decision', ({ action, request, decision }) => seen.push(`${action} ${decision.allowed} ${JSON.stringify(request)}`))
    tollgate.on('settled', ({ settlement }) => seen.push(settlement.status))
    const { reservation } = await tollgate.reserve(ask('w1', { content: 'a secret text' }))
    await tollgate.extend(reservation!.id, { ttlMs: 90_000 })
    await reservation!.commit()
    stop()
    await tollgate.consume(ask('w2'))
    expect(seen).toEqual(['reserve true {"subject":"u","dimensions":{"world":"w1","model":"haiku"}}', 'committed'])
  })

  it('a listener that throws disturbs nobody', async () => {
    const { tollgate, ask } = make()
    const warned = new Promise<string>((resolve) => process.once('warning', ({ message }) => resolve(message)))
    tollgate.on('decision', () => {
      throw new Error('listener')
    })
    expect((await tollgate.consume(ask('w1'))).allowed).toBe(true)
    expect(await warned).toContain("a 'decision' listener of Tollgate threw: Error: listener")
  })
})

function order(state: string): number {
  return ['daily', 'premium', 'pause', 'spam', 'agents', 'parallel'].indexOf(state.split(' ')[0]!)
}
