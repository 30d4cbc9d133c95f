import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TollgateError } from '../../errors/index.ts'
import { controlledClock } from '../../testing/clock.ts'
import { DIALECTS, type Fresh, freshDatabase } from '../../testing/databases.ts'
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
      const record = { plan: 'p/max', anchorAt: START_AT, team: 'team:1', attributes: { channel: true }, overrides: { daily: Infinity, other: 3 } }
      await new SqlSubjects(fresh.database).set('u1', record)
      expect(await new SqlSubjects(fresh.database).get('u1')).toEqual(record)
      expect(await new SqlSubjects(fresh.database, { namespace: 'other' }).get('u1')).toBeUndefined()
    })

    it('are read once a second, and changed at once where they are changed', async () => {
      const subjects = new SqlSubjects(fresh.database)
      expect(await subjects.get('u2')).toBeUndefined()
      await new SqlSubjects(fresh.database).set('u2', { plan: 'p/a' })
      expect(subjects.get('u2')).toBeUndefined()
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

    it('forget the oldest of too many, and read it again', async () => {
      const subjects = new SqlSubjects(fresh.database, { maxCached: 2 })
      for (const name of ['a', 'b', 'c']) await subjects.set(name, { plan: `p/${name}` })
      expect(subjects.get('a')).toBeInstanceOf(Promise)
      expect(await subjects.get('a')).toEqual({ plan: 'p/a' })
      expect(subjects.get('c')).toEqual({ plan: 'p/c' })
    })
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

    it('of a process that died are free when its time is up', async () => {
      const clock = controlledClock(START_AT)
      const receipts = new SqlReceipts<number>(fresh.database, { clock })
      const isRunning = new Promise<void>((started) => {
        void receipts.once('k3', 'f', () => new Promise<number>(() => started()))
      })
      await isRunning
      clock.advance(59_999)
      await expect(receipts.once('k3', 'f', () => 2)).rejects.toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS' })
      clock.advance(1)
      expect(await receipts.once('k3', 'f', () => 2)).toEqual({ answer: 2, isReplay: false })
    })
  })
})
