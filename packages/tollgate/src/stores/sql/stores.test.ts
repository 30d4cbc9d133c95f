import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quota } from '../../define/limits.ts'
import { createTollgate } from '../../engine/create.ts'
import { TollgateError } from '../../errors/index.ts'
import { controlledClock } from '../../testing/clock.ts'
import { DIALECTS, type Fresh, freshDatabase } from '../../testing/databases.ts'
import { SqlCounterStore } from './counters.ts'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { SqlReceipts } from './receipts.ts'
import { SqlSubjects } from './subjects.ts'

const START_AT = 1_800_000_000_000
const DAY_MS = 86_400_000

describe.each(DIALECTS)('%s', (dialect) => {
  let fresh: Fresh & { database: Database }
  beforeAll(async () => {
    fresh = await freshDatabase(dialect)
    await migrate(fresh.database)
  })
  afterAll(() => fresh.drop())

  describe('subjects', () => {
    it('are kept with all their facts, and with unlimited limits', async () => {
      const record = { plan: 'p/max', anchorAt: START_AT, team: 'team:1', attributes: { channel: true }, overrides: { daily: Infinity, other: 3 }, nextPlan: { plan: 'p/free', at: START_AT + 1, overrides: { daily: Infinity } } }
      await new SqlSubjects(fresh.database).set('u1', record)
      expect(await new SqlSubjects(fresh.database).get('u1')).toEqual(record)
      expect(await new SqlSubjects(fresh.database, { namespace: 'other' }).get('u1')).toBeUndefined()
    })

    it('are read once a second, and changed at once where they are changed', async () => {
      const subjects = new SqlSubjects(fresh.database)
      expect(await subjects.get('u2')).toBeUndefined()
      await new SqlSubjects(fresh.database).set('u2', { plan: 'p/a' })
      expect(subjects.get('u2')).toBeUndefined()
      expect(await subjects.get('u2', true)).toEqual({ plan: 'p/a' })
      expect(subjects.get('u2')).toEqual({ plan: 'p/a' })
      await subjects.set('u2', { plan: 'p/b' })
      expect(subjects.get('u2')).toEqual({ plan: 'p/b' })
      expect(await new SqlSubjects(fresh.database, { maxAgeMs: 0 }).get('u2')).toEqual({ plan: 'p/b' })
    })

    it('remember which plan they had when, until they are forgotten', async () => {
      const clock = controlledClock(START_AT)
      const subjects = new SqlSubjects(fresh.database, { clock })
      await subjects.set('u3', { plan: 'p/a' })
      clock.advance(10)
      await subjects.set('u3', { plan: 'p/a', team: 't' })
      clock.advance(10)
      await subjects.set('u3', { plan: 'p/b' })
      expect(await subjects.history('u3')).toEqual([{ at: START_AT, plan: 'p/a' }, { at: START_AT + 20, plan: 'p/b' }])
      await subjects.delete('u3')
      expect([await subjects.get('u3'), await subjects.history('u3')]).toEqual([undefined, []])
    })

    it('remember a change that waited, from its instant on', async () => {
      const clock = controlledClock(START_AT)
      const subjects = new SqlSubjects(fresh.database, { clock })
      const history = async () => (await subjects.history('u4')).map(({ at, plan }) => [at - START_AT, plan])
      const waits = { plan: 'p/a', nextPlan: { plan: 'p/b', at: START_AT + 100 } }
      await subjects.set('u4', waits)
      clock.advance(99)
      expect(await history()).toEqual([[0, 'p/a']])
      clock.advance(1)
      expect(await history()).toEqual([[0, 'p/a'], [100, 'p/b']])
      // Other facts may change while it is still in the record.
      await subjects.set('u4', { ...waits, team: 't' })
      expect(await history()).toEqual([[0, 'p/a'], [100, 'p/b']])
      clock.advance(10)
      await subjects.set('u4', { plan: 'p/b', team: 't' })
      expect(await history()).toEqual([[0, 'p/a'], [100, 'p/b']])
      await subjects.set('u4', { plan: 'p/b', nextPlan: { plan: 'p/c', at: START_AT + 200 } })
      clock.advance(190)
      await subjects.set('u4', { plan: 'p/d' })
      expect(await history()).toEqual([[0, 'p/a'], [100, 'p/b'], [200, 'p/c'], [300, 'p/d']])
      await subjects.delete('u4')
      expect(await history()).toEqual([])
    })

    it('remember no change that was taken back before its instant', async () => {
      const clock = controlledClock(START_AT)
      const subjects = new SqlSubjects(fresh.database, { clock })
      await subjects.set('u5', { plan: 'p/a', nextPlan: { plan: 'p/b', at: START_AT + 100 } })
      clock.advance(99)
      await subjects.set('u5', { plan: 'p/a' })
      clock.advance(50)
      await subjects.set('u5', { plan: 'p/a', team: 't' })
      expect(await subjects.history('u5')).toEqual([{ at: START_AT, plan: 'p/a' }])
    })

    it("go by the database's clock where there is no other", async () => {
      const subjects = new SqlSubjects(fresh.database)
      await subjects.set('u6', { plan: 'p/a', nextPlan: { plan: 'p/b', at: 1000 } })
      await subjects.set('u7', { plan: 'p/a', nextPlan: { plan: 'p/b', at: 9e12 } })
      const plansOf = async (subject: string) => (await subjects.history(subject)).map(({ plan }) => plan)
      expect([await plansOf('u6'), await plansOf('u7')]).toEqual([['p/a', 'p/b'], ['p/a']])
      await subjects.set('u6', { plan: 'p/c' })
      await subjects.set('u7', { plan: 'p/c' })
      expect([await plansOf('u6'), await plansOf('u7')]).toEqual([['p/a', 'p/b', 'p/c'], ['p/a', 'p/c']])
    })

    it('forget the oldest of too many, and read it again', async () => {
      const subjects = new SqlSubjects(fresh.database, { maxCached: 2 })
      for (const name of ['a', 'b', 'c']) await subjects.set(name, { plan: `p/${name}` })
      expect(subjects.get('a')).toBeInstanceOf(Promise)
      expect(await subjects.get('a')).toEqual({ plan: 'p/a' })
      expect(subjects.get('c')).toEqual({ plan: 'p/c' })
    })
  })

  it('usage in a process that never saw the subject knows where its own months start', async () => {
    const clock = controlledClock(START_AT)
    const engineOf = () => createTollgate({ plans: { free: { rank: 0, limits: { tokens: quota({ limit: 100, every: 'month', anchor: 'subject', meter: 'tokens' }) } } }, store: new SqlCounterStore(fresh.database, { clock }), clock, defaultPlan: 'free', storeTimeoutMs: 5000 })
    await engineOf().consume({ subject: 'months', amounts: { tokens: 30 } })
    clock.advance(20 * DAY_MS)
    const [state] = (await engineOf().usage('months', { plan: 'free' })).limits
    expect([state!.used, state!.resetAt]).toEqual([30, Date.UTC(2027, 1, 15, 8)])
  })

  describe('receipts', () => {
    it('give the first answer again, over restarts, and refuse another request', async () => {
      const clock = controlledClock(START_AT)
      const receiptsOf = () => new SqlReceipts<{ n: number }>(fresh.database, { clock })
      expect(await receiptsOf().once('k1', 'f', () => ({ n: 1 }))).toEqual({ answer: { n: 1 }, isReplay: false })
      expect(await receiptsOf().once('k1', 'f', () => ({ n: 2 }))).toEqual({ answer: { n: 1 }, isReplay: true })
      await expect(receiptsOf().once('k1', 'g', () => ({ n: 3 }))).rejects.toMatchObject({ code: 'IDEMPOTENCY_CONFLICT' })
      clock.advance(DAY_MS)
      expect(await receiptsOf().once('k1', 'g', () => ({ n: 4 }))).toEqual({ answer: { n: 4 }, isReplay: false })
    })

    it('are free again after an error, and taken while the first is under way', async () => {
      const receipts = new SqlReceipts<number>(fresh.database)
      await expect(receipts.once('k2', 'f', () => Promise.reject(new TollgateError('ABORTED', 'no')))).rejects.toMatchObject({ code: 'ABORTED' })
      let finish = (() => {}) as (answer: number) => void
      const isRunning = new Promise<void>((started) => {
        void receipts.once('k2', 'f', () => new Promise<number>((resolve) => {
          finish = resolve
          started()
        }))
      })
      await isRunning
      await expect(receipts.once('k2', 'f', () => 2)).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' })
      finish(1)
    })

    const died = () => fresh.database.query('UPDATE ' + table + ' SET leased_until = 1 WHERE answer IS NULL')
    const table = dialect === 'postgres' ? 'tollgate.receipts' : 'receipts'

    it('of a process that died are free when its time is up, and name the effect as before', async () => {
      const receipts = new SqlReceipts<string>(fresh.database)
      const effectOf = (key: string, fingerprint = 'f') =>
        new Promise<string>((started) => {
          void receipts.once(key, fingerprint, (effect) => new Promise(() => started(effect)))
        })
      const effect = await effectOf('k3')
      await expect(receipts.once('k3', 'f', () => '')).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' })
      await died()
      expect(await receipts.once('k3', 'f', (again) => again)).toEqual({ answer: effect, isReplay: false })
      // Another request is another effect, and so is the same one under another key.
      const others = [await effectOf('k4'), await effectOf('k5')]
      await receipts.reclaim()
      others.push(await effectOf('k4', 'g'))
      expect(new Set([effect, ...others]).size).toBe(4)
    })

    it('name the same effect after an error, until they expire', async () => {
      const clock = controlledClock(START_AT)
      const receipts = new SqlReceipts<string>(fresh.database, { clock })
      const effects: string[] = []
      const fail = () => receipts.once('k6', 'f', (effect) => {
        effects.push(effect)
        throw new Error('no')
      })
      await expect(fail()).rejects.toThrow('no')
      clock.advance(DAY_MS - 1)
      await expect(fail()).rejects.toThrow('no')
      clock.advance(DAY_MS)
      await expect(fail()).rejects.toThrow('no')
      expect(effects[1]).toBe(effects[0])
      expect(effects[2]).not.toBe(effects[0])
    })

    it('are forgotten with the subject that they name, and no others', async () => {
      const receipts = new SqlReceipts<{ subject: string; message: string }>(fresh.database)
      const other = new SqlReceipts<{ subject: string; message: string }>(fresh.database, { namespace: 'other' })
      const keep = (from: typeof receipts, key: string, subject: string | undefined) => from.once(key, 'f', () => ({ subject: 'Ada', message: 'hello' }), undefined, subject)
      await keep(receipts, 'k8', 'Ada')
      await keep(receipts, 'k9', 'Eve')
      await keep(receipts, 'k10', undefined)
      await keep(other, 'k8', 'Ada')
      let finish = (() => {}) as () => void
      const running = receipts.once('k11', 'f', () => new Promise((resolve) => (finish = () => resolve({ subject: 'Ada', message: 'late' }))), undefined, 'Ada')
      await expect.poll(async () => (await fresh.database.query('SELECT count(*) AS n FROM ' + table + ' WHERE answer IS NULL AND subject_digest IS NOT NULL'))[0]!['n']).toBe(1)
      await receipts.erase('Ada')
      await expect(keep(receipts, 'k11', 'Ada')).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' })
      finish()
      expect((await running).isReplay).toBe(false)
      const replays = await Promise.all([keep(receipts, 'k8', 'Ada'), keep(receipts, 'k9', 'Eve'), keep(receipts, 'k10', undefined), keep(other, 'k8', 'Ada'), keep(receipts, 'k11', 'Ada')])
      expect(replays.map(({ isReplay }) => isReplay)).toEqual([false, true, true, true, true])
    })

    it('are held for as long as the answer takes', async () => {
      const leasedUntil = async () => (await fresh.database.query('SELECT max(leased_until) AS at FROM ' + table + " WHERE fingerprint = 'long'"))[0]!['at'] as number
      const receipts = new SqlReceipts<number>(fresh.database, { leaseMs: 300 })
      let finish = (() => {}) as (answer: number) => void
      const answer = receipts.once('k7', 'long', () => new Promise<number>((resolve) => (finish = resolve)))
      await expect.poll(leasedUntil).toBeTruthy()
      const first = await leasedUntil()
      await expect.poll(leasedUntil).toBeGreaterThan(first)
      finish(7)
      expect(await answer).toEqual({ answer: 7, isReplay: false })
    })
  })
})
