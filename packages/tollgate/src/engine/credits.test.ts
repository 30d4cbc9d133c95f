import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../stores/memory/index.ts'
import { type ControlledClock, controlledClock } from '../testing/clock.ts'
import { ScriptedStore } from '../testing/scripted-store.ts'
import { createTollgate } from './create.ts'
import { definePlans } from '../define/plans.ts'
import { capacity, concurrency, quota, slidingWindow } from '../define/limits.ts'
import { MemoryLedger } from '../ledger/memory.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { TollgateError } from '../errors/index.ts'

const START_AT = Date.UTC(2027, 0, 31, 12)
const DAY_MS = 86_400_000

const plans = definePlans({
  gift: { rank: 0, limits: { burst: slidingWindow({ limit: 10, window: '1m', per: ['operation'] }), own: quota({ limit: 60, every: 'day', meter: 'credits' }) }, credits: { grant: 100, every: 'month', requires: 'channel', softLimit: 0.8 } },
  pro: { rank: 1, limits: { burst: slidingWindow({ limit: 50, window: '1m', per: ['operation'] }), own: quota({ limit: Infinity, every: 'day', meter: 'credits' }), parallel: concurrency({ limit: 5 }), agents: capacity({ limit: 3, match: { operation: 'agent' } }) }, credits: { grant: 2000, every: 'month' } },
  pool: { rank: 2, limits: {}, credits: { grant: 1000, every: 'month' } },
})
const operations = { image: { credits: 10 }, chat: { credits: 5 }, agent: { credits: 7 }, look: {} }

/** Calls have reached the ledger: their deadlines are set. */
async function untilWaiting(clock: ControlledClock): Promise<void> {
  while (clock.nextTimerMs() === undefined) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
}

function engineOf(options: { ledger?: Ledger; rollout?: 'shadow' | 'off' } = {}) {
  const clock = controlledClock(START_AT)
  const ledger = options.ledger ?? new MemoryLedger(clock)
  const tollgate = createTollgate({ plans, operations, clock, ledger, defaultPlan: 'gift', ...(options.rollout && { rollout: { mode: options.rollout, percent: 100 } }) })
  return { clock, ledger, tollgate }
}

const user = 'user:1'

describe('credits', () => {
  it('are granted with the plan, spent, and told with the decision', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'pro')
    const decision = await tollgate.consume({ subject: user, operation: 'image' })
    expect(decision).toMatchObject({ allowed: true, credits: { cost: 10, balance: 1990, available: 1990, reserved: 0, spent: 10, deficit: 0 } })
    expect(await tollgate.refund(user, decision.reservation!.id, { amount: 1 })).toMatchObject({ refunded: 1 })
    await expect(tollgate.release(decision.reservation!.id)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect(await tollgate.balance(user)).toMatchObject({ balance: 1991, spent: 9, granted: 2000 })
    expect((await tollgate.usage(user)).credits).toEqual({ balance: 1991, available: 1991, reserved: 0, spent: 9 })
    const { entries } = await tollgate.ledger(user)
    expect(entries.map(({ kind, amount, operation }) => [kind, amount, operation])).toEqual([['refund', 1, 'image'], ['spend', -10, 'image'], ['grant', 2000, null]])
    expect(entries[1]!.reservation).toBe(decision.reservation!.id)
  })

  it('that are missing deny with cost, balance and deficit, and leave the limits as they were', async () => {
    const { tollgate } = engineOf()
    await tollgate.grant(user, { amount: 8, source: 'pack' })
    const decision = await tollgate.consume({ subject: user, operation: 'image' })
    expect(decision).toMatchObject({ allowed: false, credits: { cost: 10, balance: 8, available: 8, deficit: 2 }, retryAfterMs: null })
    expect(decision.violations).toMatchObject([{ limit: 'credits', kind: 'credits', code: 'INSUFFICIENT_CREDITS', remaining: 8, retryAfterMs: null, liftedBy: ['pro', 'pool'] }])
    expect(decision.violations[0]!.message).toContain('10')
    expect((await tollgate.usage(user)).limits.map(({ used }) => used)).toEqual([0])
    expect(await tollgate.balance(user)).toMatchObject({ balance: 8, spent: 0 })
    expect(await tollgate.check({ subject: user, operation: 'image' })).toMatchObject({ allowed: false, credits: { deficit: 2 } })
    expect(await tollgate.check({ subject: user, operation: 'chat' })).toMatchObject({ allowed: true, credits: { cost: 5, balance: 8 } })
  })

  it('say when the next period pays for what is denied now', async () => {
    const { tollgate, clock } = engineOf()
    await tollgate.setPlan(user, 'pro')
    await tollgate.consume({ subject: user, operation: 'look', amounts: { credits: 1995 } })
    const { retryAfterMs } = await tollgate.consume({ subject: user, operation: 'image' })
    expect(retryAfterMs).toBe(Date.UTC(2027, 1, 28, 12) - START_AT)
    clock.advance(retryAfterMs! - 1)
    expect((await tollgate.check({ subject: user, operation: 'image' })).allowed).toBe(false)
    clock.advance(1)
    expect((await tollgate.consume({ subject: user, operation: 'image' })).credits).toMatchObject({ balance: 1990 })
  })

  it('are not asked when a limit denies', async () => {
    const { tollgate } = engineOf()
    await tollgate.grant(user, { amount: 1000 })
    for (let i = 0; i < 10; i++) await tollgate.consume({ subject: user, operation: 'chat' })
    const decision = await tollgate.consume({ subject: user, operation: 'chat' })
    expect(decision.violations.map(({ limit }) => limit)).toEqual(['burst'])
    expect(decision.credits).toBeUndefined()
    expect(await tollgate.balance(user)).toMatchObject({ balance: 950 })
  })

  it('are held by a reservation, committed in part, and released whole', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'pro')
    const first = await tollgate.reserve({ subject: user, operation: 'image' })
    expect(first.credits).toMatchObject({ balance: 2000, available: 1990, reserved: 10 })
    await tollgate.commit(first.reservation!.id, { amounts: { credits: 4 } })
    expect(await tollgate.balance(user)).toMatchObject({ balance: 1996, available: 1996, reserved: 0 })
    const second = await tollgate.reserve({ subject: user, operation: 'image' })
    await tollgate.release(second.reservation!.id)
    expect(await tollgate.balance(user)).toMatchObject({ balance: 1996, reserved: 0, spent: 4 })
    await expect(tollgate.commit(first.reservation!.id)).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect(await tollgate.balance(user)).toMatchObject({ spent: 4 })
  })

  it('of an abandoned reservation come back at its expiry, and a late commit still takes them', async () => {
    const { tollgate, clock } = engineOf()
    await tollgate.setPlan(user, 'pro')
    const { reservation } = await tollgate.reserve({ subject: user, operation: 'image', ttlMs: 1000 })
    clock.advance(1000)
    expect(await tollgate.balance(user)).toMatchObject({ available: 2000, reserved: 0 })
    expect(await tollgate.commit(reservation!.id)).toMatchObject({ late: true })
    expect(await tollgate.balance(user)).toMatchObject({ available: 1990, spent: 10 })
  })

  it('come back when the work throws, and can be refunded after it', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'pro')
    await expect(tollgate.run({ subject: user, operation: 'image' }, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await tollgate.balance(user)).toMatchObject({ balance: 2000 })
    const { reservation } = await tollgate.consume({ subject: user, operation: 'image', idempotencyKey: 'k'.repeat(256) })
    expect(await tollgate.refund(user, reservation!.id, { amount: 4 })).toMatchObject({ refunded: 4, balance: { balance: 1994 } })
    // The ledger's own name of it does as well.
    const [{ reservation: id } = {}] = (await tollgate.ledger(user)).entries
    expect(await tollgate.refund(user, id!, { reason: 'the model failed' })).toMatchObject({ refunded: 6, balance: { balance: 2000, spent: 0 } })
    await expect(tollgate.refund(user, 'r_unknown')).rejects.toMatchObject({ code: 'UNKNOWN_RESERVATION' })
  })

  it('of a mistaken grant are taken back, as far as they are left', async () => {
    const { tollgate } = engineOf()
    const { grant } = await tollgate.grant(user, { amount: 50 })
    await tollgate.consume({ subject: user, operation: 'image' })
    expect(await tollgate.void(user, grant, { reason: 'wrong customer' })).toMatchObject({ balance: 0, spent: 10 })
    expect((await tollgate.ledger(user)).entries[0]).toMatchObject({ kind: 'void', amount: -40, reason: 'wrong customer' })
    await expect(tollgate.void(user, grant)).rejects.toMatchObject({ code: 'NOT_FOUND', field: 'lot' })
  })

  it('of the same idempotency key are charged once, and a denial is decided anew after an upgrade', async () => {
    const { tollgate } = engineOf()
    const request = { subject: user, operation: 'image', idempotencyKey: 'k' } as const
    expect((await tollgate.consume(request)).allowed).toBe(false)
    expect((await tollgate.consume(request)).allowed).toBe(false)
    await tollgate.setPlan(user, 'pro')
    expect((await tollgate.consume(request)).allowed).toBe(true)
    await tollgate.consume(request)
    expect(await tollgate.balance(user)).toMatchObject({ spent: 10 })
    // In another call the key is another one.
    const { reservation } = await tollgate.reserve(request)
    expect(await tollgate.balance(user)).toMatchObject({ spent: 10, reserved: 10 })
    await tollgate.commit(reservation!.id)
    expect(await tollgate.refund(user, reservation!.id)).toMatchObject({ refunded: 10, balance: { spent: 10 } })
  })

  it('of the same idempotency key are charged once by engines that remember nothing', async () => {
    const { clock, ledger } = engineOf()
    const forgetful = { once: async <T>(_key: string, _fingerprint: string, run: () => T | Promise<T>) => ({ answer: await run(), isReplay: false }) }
    const processOf = () => createTollgate({ plans, operations, clock, ledger, defaultPlan: 'gift', receipts: forgetful })
    await processOf().grant(user, { amount: 100 })
    const request = { subject: user, operation: 'image', idempotencyKey: 'k' } as const
    await processOf().consume(request)
    expect((await processOf().consume(request)).allowed).toBe(true)
    await processOf().reserve(request)
    const again = processOf()
    const { reservation } = await again.reserve(request)
    expect(await again.balance(user)).toMatchObject({ spent: 10, reserved: 10 })
    await again.commit(reservation!.id)
    expect(await again.balance(user)).toMatchObject({ spent: 20, reserved: 0 })
  })

  it('are granted only while the condition is met', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'gift')
    expect(await tollgate.balance(user)).toMatchObject({ balance: 0 })
    await tollgate.setPlan(user, 'gift', { attributes: { channel: true } })
    await tollgate.setPlan(user, 'gift', { attributes: { channel: true } })
    expect(await tollgate.balance(user)).toMatchObject({ balance: 100 })
  })

  it('warn once a period when most of the allowance is used', async () => {
    const { tollgate, clock } = engineOf()
    const warnings: unknown[] = []
    tollgate.on('warning', ({ limit }) => limit.kind === 'credits' && warnings.push(limit.remaining))
    await tollgate.setPlan(user, 'gift', { attributes: { channel: true }, overrides: { own: 1000 } })
    for (const credits of [79, 1, 1]) await tollgate.consume({ subject: user, operation: 'look', amounts: { credits } })
    expect(warnings).toEqual([20])
    clock.advance(31 * DAY_MS)
    await tollgate.consume({ subject: user, operation: 'look', amounts: { credits: 90 } })
    expect(warnings).toEqual([20, 10])
  })

  it('are paid by the team that a request names, within a cap of the member', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan('team:9', 'pool')
    const request = { subject: user, operation: 'image', also: ['team:9'] } as const
    for (let i = 0; i < 6; i++) expect((await tollgate.consume(request)).allowed).toBe(true)
    const denied = await tollgate.consume(request)
    expect(denied.violations.map(({ limit }) => limit)).toEqual(['own'])
    expect(await tollgate.balance('team:9')).toMatchObject({ balance: 940 })
    expect(await tollgate.balance(user)).toMatchObject({ balance: 0, spent: 0 })
  })

  it('of a team that are missing take the reservations of all subjects back', async () => {
    const { tollgate } = engineOf()
    const request = { subject: user, plan: 'pro', operation: 'chat', also: [{ subject: 'team:9', plan: 'pool' }] } as const
    expect(await tollgate.reserve(request)).toMatchObject({ allowed: false, violations: [{ kind: 'credits', subject: 'team:9' }] })
    expect((await tollgate.usage(user, { plan: 'pro' })).limits.map(({ used }) => used)).toEqual([0, 0, 0])
  })

  it('are shared by the team that is stored with a member, once it has a plan', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'pro', { team: 'team:9' })
    expect(await tollgate.consume({ subject: user, operation: 'image' })).toMatchObject({ allowed: true, credits: { balance: 1990 } })
    await tollgate.setPlan('team:9', 'pool')
    expect(await tollgate.consume({ subject: user, operation: 'image' })).toMatchObject({ allowed: true, credits: { balance: 990 } })
    expect(await tollgate.balance(user)).toMatchObject({ balance: 1990 })
  })

  it('of a team that was topped up are asked again by the key of a denial', async () => {
    const { tollgate } = engineOf()
    const request = { subject: user, plan: 'pro', operation: 'image', also: [{ subject: 'team:9', plan: 'pool' }], idempotencyKey: 'k' } as const
    expect((await tollgate.consume(request)).allowed).toBe(false)
    await tollgate.grant('team:9', { amount: 50 })
    expect((await tollgate.consume(request)).allowed).toBe(true)
  })

  it('cost what the operation costs, whatever less a request says', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'pro')
    for (const credits of [0, 10, 25]) await tollgate.consume({ subject: user, operation: 'image', amounts: { credits } })
    expect(await tollgate.balance(user)).toMatchObject({ spent: 45 })
  })

  it('warn when a commit takes them to the soft limit', async () => {
    const { tollgate } = engineOf()
    const warnings: unknown[] = []
    tollgate.on('warning', ({ limit }) => warnings.push(limit.kind))
    await tollgate.setPlan(user, 'gift', { attributes: { channel: true }, overrides: { own: 1000 } })
    const { reservation } = await tollgate.reserve({ subject: user, operation: 'look', amounts: { credits: 10 } })
    await tollgate.commit(reservation!.id, { amounts: { credits: 85 } })
    expect(warnings).toEqual(['credits'])
  })

  it('are spent by a commit of what was to cost nothing, once, into debt where they have to be', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'gift', { overrides: { own: 1000 } })
    await tollgate.grant(user, { amount: 100 })
    const { reservation } = await tollgate.reserve({ subject: user, operation: 'look' })
    await tollgate.extend(reservation!.id, { ttlMs: 60_000 })
    expect(await tollgate.commit(reservation!.id, { amounts: { credits: 30 } })).toMatchObject({ status: 'committed', amounts: { credits: 30 } })
    await expect(tollgate.commit(reservation!.id, { amounts: { credits: 30 } })).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    expect(await tollgate.balance(user)).toMatchObject({ spent: 30, available: 70 })
    await tollgate.run({ subject: user, operation: 'look' }, ({ set }) => set({ credits: 100 }))
    expect(await tollgate.balance(user)).toMatchObject({ spent: 130, balance: -30 })
    const free = await tollgate.reserve({ subject: user, operation: 'look' })
    await tollgate.commit(free.reservation!.id)
    const left = await tollgate.reserve({ subject: user, operation: 'look' })
    await tollgate.release(left.reservation!.id)
    expect(await tollgate.balance(user)).toMatchObject({ spent: 130 })
  })

  it('of a team are spent by a commit of what was to cost nothing', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan('team:1', 'pool')
    const { reservation } = await tollgate.reserve({ subject: user, operation: 'look', also: ['team:1'] })
    await tollgate.commit(reservation!.id, { amounts: { credits: 30 } })
    expect(await tollgate.balance('team:1')).toMatchObject({ spent: 30 })
    expect(await tollgate.balance(user)).toMatchObject({ spent: 0 })
  })

  it('have a rule of their own in an explanation', async () => {
    const { tollgate } = engineOf()
    await tollgate.grant(user, { amount: 12 })
    const rules = async () => (await tollgate.explain({ subject: user, operation: 'image' })).rules.at(-1)
    expect(await rules()).toEqual({ limit: 'credits', kind: 'credits', applies: true, passes: true, reason: 'it costs 10, and 12 are available' })
    await tollgate.consume({ subject: user, operation: 'image' })
    expect(await rules()).toMatchObject({ passes: false, reason: 'it costs 10, and 2 are available' })
    expect((await tollgate.explain({ subject: user, operation: 'look' })).rules.map(({ limit }) => limit)).toEqual(['burst', 'own'])
  })

  it('are not spent by a commit where limits are off, or where a request would have been denied', async () => {
    const { tollgate } = engineOf({ rollout: 'off' })
    await tollgate.grant(user, { amount: 100 })
    const off = await tollgate.reserve({ subject: user, operation: 'image', amounts: { credits: 12 } })
    await tollgate.commit(off.reservation!.id, { amounts: { credits: 12 } })
    const several = await tollgate.reserve({ subject: user, operation: 'look', also: ['team:1'] })
    await tollgate.commit(several.reservation!.id, { amounts: { credits: 12 } })
    tollgate.setRollout({ mode: 'shadow', percent: 100 })
    for (let i = 0; i < 10; i++) await tollgate.consume({ subject: user, operation: 'look' })
    const denied = await tollgate.reserve({ subject: user, operation: 'look' })
    expect(denied.violations).toHaveLength(1)
    await tollgate.commit(denied.reservation!.id, { amounts: { credits: 12 } })
    expect(await tollgate.balance(user)).toMatchObject({ spent: 0 })
  })

  it('of a commit that stands for capacity are spent once, however late it is repeated', async () => {
    const clock = controlledClock(START_AT)
    const tollgate = createTollgate({ plans: definePlans({ free: { rank: 0, limits: { agents: capacity({ limit: 3 }), own: quota({ limit: Infinity, every: 'day', meter: 'credits' }) } } }), operations, clock, defaultPlan: 'free' })
    await tollgate.grant(user, { amount: 100 })
    const { reservation } = await tollgate.reserve({ subject: user, operation: 'look' })
    await tollgate.commit(reservation!.id, { amounts: { credits: 5 } })
    for (const days of [0, 1, 4]) {
      clock.advance(days * DAY_MS)
      await expect(tollgate.commit(reservation!.id, { amounts: { credits: 5 } })).rejects.toMatchObject({ code: 'ALREADY_SETTLED' })
    }
    expect(await tollgate.balance(user)).toMatchObject({ spent: 5 })
  })

  it('that deny a request take its warnings back with it', async () => {
    const clock = controlledClock(START_AT)
    const limited = definePlans({ free: { rank: 0, limits: { daily: quota({ limit: 10, every: 'day', softLimit: 0.5 }) } } })
    const tollgate = createTollgate({ plans: limited, operations, clock, defaultPlan: 'free' })
    const warnings: unknown[] = []
    tollgate.on('warning', ({ subject, limit }) => warnings.push([subject, limit.used]))
    for (let i = 0; i < 4; i++) await tollgate.consume({ subject: user, operation: 'look' })
    expect((await tollgate.consume({ subject: user, operation: 'image' })).allowed).toBe(false)
    expect((await tollgate.consume({ subject: user, operation: 'image', also: ['team:1'] })).allowed).toBe(false)
    expect(warnings).toEqual([])
    await tollgate.grant(user, { amount: 10 })
    expect((await tollgate.consume({ subject: user, operation: 'image' })).allowed).toBe(true)
    expect(warnings).toEqual([[user, 5]])
  })

  it.each(['team:9', {}, [null], [5], ['x', 'x']])('are not asked for with the further subjects %j', async (also) => {
    const { tollgate } = engineOf()
    await expect(tollgate.consume({ subject: user, operation: 'image', also: also as never })).rejects.toMatchObject({ code: 'INVALID_REQUEST', field: expect.stringMatching(/^also/) as string })
  })

  it('that were spent stay spent when the counters cannot be told, and the decision says so', async () => {
    const store = new ScriptedStore(new MemoryStore())
    const clock = controlledClock(START_AT)
    const tollgate = createTollgate({ plans, operations, clock, store, ledger: new MemoryLedger(clock) })
    await tollgate.setPlan(user, 'pro')
    store.settle = () => Promise.reject(new Error('gone'))
    expect(await tollgate.consume({ subject: user, operation: 'image' })).toMatchObject({ allowed: true, degraded: true, credits: { balance: 1990 } })
  })

  it('that hang end at their deadline, reads too, and taking back survives an overload', async () => {
    const clock = controlledClock(START_AT)
    const ledger = new MemoryLedger(clock)
    ledger.run = ledger.balance = ledger.entries = () => new Promise<never>(() => {})
    const tollgate = createTollgate({ plans, operations, clock, ledger, defaultPlan: 'pro', maxInFlight: 2 })
    const codes = (calls: Promise<unknown>[]) => Promise.all(calls.map((call) => call.then(() => 'answered', (error: { code: string }) => error.code)))
    const hanging = codes([tollgate.consume({ subject: user, operation: 'image' }), tollgate.consume({ subject: user, operation: 'chat' })])
    await untilWaiting(clock)
    const more = codes([tollgate.balance(user), tollgate.usage(user), tollgate.check({ subject: user, operation: 'image' })])
    clock.advance(5000)
    expect(await hanging).toEqual(['STORE_UNAVAILABLE', 'STORE_UNAVAILABLE'])
    expect(await more).toEqual(['OVERLOADED', 'OVERLOADED', 'OVERLOADED'])
    // The attempts to take back find no room either: nothing is thrown where nobody could catch it.
    for (let i = 0; i < 5; i++) {
      clock.advance(60_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
  })

  it('in shadow mode are listed and not charged when they are missing', async () => {
    const { tollgate } = engineOf({ rollout: 'shadow' })
    const decision = await tollgate.reserve({ subject: user, operation: 'image' })
    expect(decision).toMatchObject({ allowed: true, retryAfterMs: 0, violations: [{ kind: 'credits' }], credits: { deficit: 10 } })
    await tollgate.commit(decision.reservation!.id)
    expect(await tollgate.balance(user)).toMatchObject({ balance: 0, spent: 0 })
  })

  it('are neither asked nor taken where limits are off', async () => {
    const { tollgate } = engineOf({ rollout: 'off' })
    expect(await tollgate.consume({ subject: user, operation: 'image' })).toMatchObject({ allowed: true, mode: 'off' })
  })

  it('that cannot be asked fail closed, and take the limits back', async () => {
    const ledger = new MemoryLedger()
    ledger.run = () => Promise.reject(new TollgateError('STORE_UNAVAILABLE', 'the database is down'))
    const { tollgate } = engineOf({ ledger })
    await expect(tollgate.consume({ subject: user, operation: 'image' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect((await tollgate.usage(user, { plan: 'gift' })).limits.map(({ used }) => used)).toEqual([0])
  })

  it('of an operation that takes capacity leave a reservation to give it back by', async () => {
    const { tollgate } = engineOf()
    await tollgate.setPlan(user, 'pro')
    const { reservation } = await tollgate.consume({ subject: user, operation: 'agent' })
    await tollgate.release(reservation!.id)
    expect((await tollgate.usage(user)).limits.find(({ limit }) => limit === 'agents')).toMatchObject({ used: 0 })
    expect(await tollgate.balance(user)).toMatchObject({ spent: 7 })
  })

  it('change with the plan at the end of the period', async () => {
    const { tollgate, clock } = engineOf()
    await expect(tollgate.setPlan(user, 'pro', {}, { at: 'periodEnd' })).rejects.toMatchObject({ field: 'at' })
    await tollgate.setPlan(user, 'pro')
    expect(await tollgate.setPlan(user, 'pool', {}, { at: 'periodEnd' })).toMatchObject({ plan: 'pro', nextPlan: { plan: 'pool', at: Date.UTC(2027, 1, 28, 12) } })
    clock.set(Date.UTC(2027, 1, 28, 12))
    expect(await tollgate.consume({ subject: user, operation: 'chat' })).toMatchObject({ plan: 'pool', credits: { balance: 995 } })
    expect(await tollgate.subject(user)).toEqual({ plan: 'pool' })
    // The next change waits under the plan that has come.
    expect(await tollgate.setPlan(user, 'gift', {}, { at: 'periodEnd' })).toMatchObject({ plan: 'pool', nextPlan: { plan: 'gift' } })
  })

  it('leave limits of its own to the plan that they were given for, also one that waits for the end of a period', async () => {
    const { tollgate, clock } = engineOf()
    const maxOf = async () => (await tollgate.usage(user)).limits.find(({ limit }) => limit === 'own')?.max
    await tollgate.setPlan(user, 'pro', { overrides: { own: 7 } })
    await tollgate.setPlan(user, 'pro', { attributes: { channel: true } })
    expect(await maxOf()).toBe(7)
    const { nextPlan } = await tollgate.setPlan(user, 'gift', { overrides: { own: 9 } }, { at: 'periodEnd' })
    expect([await maxOf(), (await tollgate.check({ subject: user, operation: 'look' })).limits[1]!.max]).toEqual([7, 7])
    clock.advanceTo(nextPlan!.at)
    expect([await maxOf(), (await tollgate.check({ subject: user, operation: 'look' })).limits[1]!.max]).toEqual([9, 9])
    await tollgate.setPlan(user, 'pro')
    expect(await maxOf()).toBe(Infinity)
    expect((await tollgate.subject(user))!.overrides).toBeUndefined()
  })

  it.each([
    [{ amount: 0 }, 'amount'],
    [{ amount: 1.5 }, 'amount'],
    [{ amount: 2 ** 53 }, 'amount'],
    [{ amount: -5 }, 'amount'],
    [{ amount: 5, source: 'plan' }, 'source'],
    [{ amount: 5, priority: 0.5 }, 'priority'],
    [{ amount: 5, expiresAt: START_AT }, 'expiresAt'],
    [{ amount: 5, effectiveAt: -1 }, 'effectiveAt'],
    [{ amount: 5, idempotencyKey: '' }, 'key'],
    [{ amount: 5, reason: 7 }, 'reason'],
  ])('refuse the grant %j', async (grant, field) => {
    const { tollgate } = engineOf()
    await expect(tollgate.grant(user, grant as never)).rejects.toMatchObject({ code: 'INVALID_REQUEST', field })
    expect(await tollgate.balance(user)).toMatchObject({ granted: 0 })
  })
})
