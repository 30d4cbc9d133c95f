import { describe, expect, it } from 'vitest'
import { CellKind } from '../../decide/charge.ts'
import { chargeOf, digestOf } from '../../testing/charges.ts'
import { controlledClock } from '../../testing/clock.ts'
import { StoreDriver } from '../../testing/driver.ts'
import { MemoryStore, type MemoryStoreOptions } from './index.ts'

const HOUR_MS = 3_600_000

const flood = chargeOf({ cell: 'room/flood', kind: CellKind.fixedWindow, max: 3, windowMs: HOUR_MS })
const world = (n: number) => chargeOf({ cell: 'room/world', kind: CellKind.cooldown, windowMs: HOUR_MS, partition: `w${n}` })
const parallel = chargeOf({ cell: 'room/parallel', kind: CellKind.concurrency, max: 1000 })

function make(options: MemoryStoreOptions) {
  const clock = controlledClock(1_800_000_000_000)
  const driver = new StoreDriver(new MemoryStore(options), clock)
  return { clock, driver }
}

describe('a store that is full of subjects', () => {
  it('refuses new ones, serves the others, and forgets nobody who is live', async () => {
    const { clock, driver } = make({ maxSubjects: 50 })
    for (let i = 0; i < 3; i++) await driver.consume('offender', flood)
    for (let i = 1; i < 50; i++) expect((await driver.consume(`user${i}`, flood)).admitted).toBe(true)
    // A flood of invented subjects finds no room, and the offender stays denied.
    for (let i = 0; i < 500; i++) {
      await expect(driver.consume(`invented${i}`, flood)).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1000 })
      clock.advance(1000)
    }
    expect((await driver.consume('offender', flood)).admitted).toBe(false)
    expect((await driver.consume('user7', flood)).admitted).toBe(true)
    await expect(driver.consume('one more', flood)).rejects.toThrow(/the memory store is full \(50 subjects of 50, 0 partitions of 4000000\); raise maxSubjects/)
  })

  it('has room again when the windows of others have ended', async () => {
    const { clock, driver } = make({ maxSubjects: 50 })
    for (let i = 0; i < 50; i++) await driver.consume(`user${i}`, flood)
    clock.advance(HOUR_MS)
    await driver.consume('user0', flood)
    // The wheel's look at them is due within its turn of 70 minutes.
    clock.advance(70 * 60_000)
    for (let i = 0; i < 50; i++) expect((await driver.consume(`new${i}`, flood)).admitted).toBe(true)
  })

  it('denies and checks without room: neither is written', async () => {
    const { driver } = make({ maxSubjects: 1 })
    await driver.consume('first', flood)
    expect((await driver.check('second', flood)).admitted).toBe(true)
    expect((await driver.consume('second', { ...flood, amount: 4 })).admitted).toBe(false)
  })

  it('admits uncounted where that is the policy, and what it reserves can be settled', async () => {
    const { driver } = make({ maxSubjects: 1, whenFull: 'admit' })
    await driver.consume('first', flood)
    for (let i = 0; i < 10; i++) expect(await driver.consume('second', flood)).toMatchObject({ admitted: true, uncounted: true })
    for (const action of ['commit', 'release', 'undo'] as const) {
      const { id, uncounted } = await driver.reserve('second', 1000, flood, parallel)
      expect(uncounted).toBe(true)
      expect(await driver.settle(action, id)).toMatchObject({ result: 'settled' })
    }
    expect((await driver.consume('first', flood)).uncounted).toBeUndefined()
  })
})

describe('a store that is full of partitions', () => {
  it('refuses new ones of any subject, and nothing that needs none', async () => {
    const { driver } = make({ maxPartitions: 10 })
    for (let i = 0; i < 10; i++) await driver.consume('user', world(i))
    await expect(driver.consume('user', world(10))).rejects.toMatchObject({ code: 'OVERLOADED' })
    await expect(driver.consume('other', world(0), flood)).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect((await driver.consume('user', world(3))).admitted).toBe(false)
    expect((await driver.consume('other', flood, parallel)).admitted).toBe(true)
    expect((await driver.consume('other', flood)).verdicts[0]!.used).toBe(2)
  })

  it('gives texts and worlds back when they are over', async () => {
    const { clock, driver } = make({ maxPartitions: 1000 })
    const text = (n: number) => chargeOf({ cell: 'room/text', kind: CellKind.slidingLog, max: 3, windowMs: 60_000, digest: digestOf(n) })
    for (let n = 0; n < 5000; n++) {
      expect((await driver.consume(`user${n % 7}`, text(n))).admitted).toBe(true)
      clock.advance(2000)
    }
  })

  it('keeps a log that is live while others come and go', async () => {
    const { clock, driver } = make({ maxPartitions: 300 })
    const log = (name: string, windowMs: number) => chargeOf({ cell: `room/${name}`, kind: CellKind.slidingLog, max: 100, windowMs })
    for (let i = 0; i < 100; i++) {
      await driver.consume('user', log('long', 100 * HOUR_MS))
      clock.advance(10)
    }
    for (let i = 0; i < 3000; i++) {
      await driver.consume(`user${i}`, log('short', 1000))
      clock.advance(60_000)
    }
    expect((await driver.consume('user', log('long', 100 * HOUR_MS))).verdicts[0]).toMatchObject({ passes: false, used: 100 })
    clock.advance(50 * HOUR_MS)
    expect((await driver.consume('user', log('long', 100 * HOUR_MS))).verdicts[0]!.used).toBe(1)
  })
})

describe('a store that is full of reservations', () => {
  it('refuses new ones until some are settled, or a day after they expired', async () => {
    const { clock, driver } = make({ maxReservations: 5 })
    const ids: string[] = []
    for (let i = 0; i < 5; i++) ids.push((await driver.reserve('user', 1000, parallel)).id)
    await expect(driver.reserve('user', 1000, parallel)).rejects.toThrow(/5 reservations are open; settle them/)
    expect((await driver.consume('user', flood)).admitted).toBe(true)
    await driver.settle('release', ids[0]!)
    await driver.reserve('user', 1000, parallel)
    clock.advance(1000 + 24 * HOUR_MS - 1)
    await expect(driver.reserve('user', 1000, parallel)).rejects.toMatchObject({ code: 'OVERLOADED' })
    clock.advance(1)
    for (let i = 0; i < 5; i++) await driver.reserve('user', 1000, parallel)
  })

  it('forgets the oldest outcomes first, and settles nothing twice for it', async () => {
    const { driver } = make({ maxReservations: 3 })
    const ids: string[] = []
    for (let i = 0; i < 5; i++) {
      const { id } = await driver.reserve('user', 1000, parallel)
      await driver.settle('commit', id)
      ids.push(id)
    }
    const results = await Promise.all(ids.map(async (id) => (await driver.settle('commit', id)).result))
    expect(results).toEqual(['unknown', 'unknown', 'settled-before', 'settled-before', 'settled-before'])
  })
})

describe('what is kept', () => {
  it('lasts as long as the longest wait of the plans that share a cell', async () => {
    const { clock, driver } = make({})
    const pause = (windowMs: number) => chargeOf({ cell: 'room/pause', kind: CellKind.cooldown, windowMs })
    await driver.consume('user', pause(60_000))
    clock.advance(500_000)
    await driver.consume('other', flood, pause(HOUR_MS))
    for (let i = 0; i < 30; i++) {
      clock.advance(60_000)
      await driver.consume('other', parallel)
    }
    expect((await driver.consume('user', pause(HOUR_MS))).admitted).toBe(false)
  })

  it('of a debt lasts until it has flowed back', async () => {
    const { clock, driver } = make({})
    const bucket = chargeOf({ cell: 'room/bucket', kind: CellKind.tokenBucket, max: 10, windowMs: 60_000, refill: 10 })
    const { id } = await driver.reserve('user', 60_000, bucket)
    await driver.settle('commit', id, { amounts: { requests: 610 } })
    for (let minute = 0; minute < 60; minute++) {
      clock.advance(60_000)
      await driver.consume(`other${minute}`, flood)
    }
    expect((await driver.check('user', bucket)).verdicts[0]).toMatchObject({ passes: false, used: 10 })
    clock.advance(60_000)
    expect((await driver.check('user', bucket)).verdicts[0]).toMatchObject({ passes: true, used: 0 })
  })

  it('of one subject says nothing of the next that gets its place', async () => {
    const { clock, driver } = make({ maxSubjects: 3 })
    await driver.decide('consume', 'first', [flood], { plan: 'first' })
    const { id } = await driver.decide('reserve', 'late', [parallel], { plan: 'late', ttlMs: 1 })
    clock.advance(10 * HOUR_MS)
    for (let i = 0; i < 10; i++) await driver.check('nobody', flood)
    expect([driver.store.lastPlan('first'), driver.store.lastPlan('late')]).toEqual([undefined, undefined])
    // A late commit brings its subject back, with its own plan.
    await driver.settle('commit', id)
    expect(driver.store.lastPlan('late')).toBe('late')
  })

  it('is collected also after the clock once stood years ahead', async () => {
    const { clock, driver } = make({ maxSubjects: 20 })
    await driver.consume('user', flood)
    clock.set(clock.now() + 10 * 366 * 24 * HOUR_MS)
    await driver.consume('user', flood)
    clock.set(1_800_000_000_000 + 1000)
    for (let hour = 0; hour < 20; hour++) {
      for (let i = 0; i < 9; i++) expect((await driver.consume(`user${hour}.${i}`, flood)).admitted).toBe(true)
      clock.advance(3 * HOUR_MS)
    }
  })
})
