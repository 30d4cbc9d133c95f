import { beforeEach, describe, expect, it } from 'vitest'
import { CellKind, type Charge } from '../../../decide/charge.ts'
import { chargeOf } from '../../../testing/charges.ts'
import { KeptRows } from '../../../testing/kept-rows.ts'
import { LATE_COMMIT_MS } from '../../settlement.ts'
import type { SettleCommand, SettleOutcome } from '../../store.ts'
import { decideCommand, eraseCommand, lastPlanCommand, resetCommand, settleCommand } from './commands.ts'
import { CounterRows } from './rows.ts'
import { readReservation, writeReservation } from './reservation.ts'

const NOW = 1_800_000_000_000
const HOUR_MS = 3_600_000

const quota = chargeOf({ cell: 'set/quota', kind: CellKind.quota, max: 50, startAt: NOW, endAt: NOW + HOUR_MS, amount: 3 })
const log = chargeOf({ cell: 'set/log', kind: CellKind.slidingLog, max: 50, windowMs: 60_000, amount: 3 })
const parallel = chargeOf({ cell: 'set/parallel', kind: CellKind.concurrency, max: 2, partition: 'w1' })
const capacity = chargeOf({ cell: 'set/capacity', kind: CellKind.capacity, max: Infinity })
const anchor = chargeOf({ cell: '@anchor', kind: CellKind.anchor, amount: 0, startAt: NOW })
const ALL = [quota, log, parallel, capacity]

let rows: KeptRows
beforeEach(() => {
  rows = new KeptRows()
})

function reserve(charges: readonly Charge[], id = 'r_1', at = NOW): void {
  rows.run(decideCommand({ subject: 'u', plan: 'p', charges, now: 0, action: 'reserve', reservation: { id, ttlMs: 1000, memo: { plan: 'p', amounts: {}, linked: ['r_9'] } } }, undefined), at)
}

const settle = (action: SettleCommand['action'], at = NOW, rest: Partial<SettleCommand> = {}): SettleOutcome => rows.run(settleCommand({ id: 'r_1', action, now: 0, ...rest }), at)
const written = (): string[] => [...rows.written.counters.map(({ cell, body }) => `${cell || 'record'}${body === '' ? ' gone' : ''}`), ...rows.written.reservations.map(({ id, body }) => `${id}${body === '' ? ' gone' : ''}`)]
const used = (charges: readonly Charge[] = ALL, at = NOW): number[] => rows.run(decideCommand({ subject: 'u', plan: 'p', charges, now: 0, action: 'check' }, undefined), at).verdicts.map(({ used: count }) => count)

describe('what a settlement leaves', () => {
  it.each<[what: string, settlement: [SettleCommand['action'], number?, Partial<SettleCommand>?], used: number[], written: string[]]>([
    ['a commit of what was estimated', ['commit'], [3, 3, 0, 1], ['"set/parallel" 7 ["w1"] gone', 'record', 'r_1']],
    ['a commit of more', ['commit', NOW, { amounts: { requests: 5 } }], [5, 5, 0, 5], ['"set/log" 4 [""]', '"set/parallel" 7 ["w1"] gone', 'record', 'r_1']],
    ['a release', ['release'], [0, 3, 0, 0], ['"set/parallel" 7 ["w1"] gone', 'record', 'r_1']],
    ['an undo', ['undo'], [0, 0, 0, 0], ['"set/log" 4 [""] gone', '"set/parallel" 7 ["w1"] gone', 'record', 'r_1 gone']],
    ['an extension', ['extend', NOW, { ttlMs: 5000 }], [3, 3, 1, 1], ['"set/parallel" 7 ["w1"]', 'record', 'r_1']],
    ['an extension that adds nothing', ['extend', NOW, { ttlMs: 1 }], [3, 3, 1, 1], ['r_1']],
    ['an extension that comes late', ['extend', NOW + 1000, { ttlMs: 5000 }], [3, 3, 1, 1], []],
    ['a late commit', ['commit', NOW + LATE_COMMIT_MS + 999], [3, 3, 1, 1], ['"set/parallel" 7 ["w1"] gone', 'record', 'r_1']],
    ['one that nobody may settle any more', ['commit', NOW + LATE_COMMIT_MS + 1000], [3, 3, 1, 1], []],
    ['one of another namespace', ['commit', NOW, { keyPrefix: 'n\0' }], [3, 3, 1, 1], []],
    ['one that was never made', ['commit', NOW, { id: 'r_2' }], [3, 3, 1, 1], []],
  ])('%s', (_, settlement, left, rowsWritten) => {
    reserve(ALL)
    settle(...settlement)
    const what = written()
    if (settlement[1] === undefined || settlement[1] === NOW) expect(used()).toEqual(left)
    expect(what).toEqual(rowsWritten)
  })

  it('is told again, and nothing is written', () => {
    reserve([quota, log])
    const first = settle('commit', NOW + 1, { amounts: { requests: 5 } })
    for (const action of ['commit', 'release', 'undo', 'extend'] as const) {
      const again = settle(action, NOW + 2, { amounts: { requests: 9 }, ttlMs: 1 })
      expect(again).toMatchObject({ result: 'settled-before', reservation: { status: 'committed', settledAt: NOW + 1, memo: { plan: 'p', amounts: { requests: 5 }, linked: ['r_9'] } } })
      expect(written()).toEqual([])
    }
    expect(first.result).toBe('settled')
    expect(settle('commit', NOW + 1 + LATE_COMMIT_MS).result).toBe('unknown')
  })

  it('of one of nothing is itself', () => {
    reserve([])
    settle('commit')
    expect(written()).toEqual(['r_1'])
  })

  it('keeps what a second command of the batch makes of it apart', () => {
    reserve([capacity])
    const [committed, released] = rows.batch([settleCommand({ id: 'r_1', action: 'commit', now: 0 }), settleCommand({ id: 'r_1', action: 'release', now: 0 })], NOW) as [SettleOutcome, SettleOutcome]
    expect(committed).toMatchObject({ result: 'settled', reservation: { status: 'committed' } })
    expect(released).toMatchObject({ result: 'settled', reservation: { status: 'released' } })
  })

  it('is unknown while its subject is not locked: nobody can have been told its id', () => {
    reserve(ALL)
    const reservations = [...rows.reservations.values()]
    expect(settleCommand({ id: 'r_1', action: 'commit', now: 0 }).run(new CounterRows({ at: NOW, counters: [], reservations }), { has: () => false })).toEqual({ result: 'unknown' })
  })
})

describe('standing capacity', () => {
  beforeEach(() => {
    reserve([capacity, quota])
    settle('commit')
  })

  it('is known for ever', () => {
    expect(rows.reservations.get('r_1')).toMatchObject({ is_standing: 1, forget_at: Number.MAX_SAFE_INTEGER })
    expect(settle('release', NOW + 1000 * LATE_COMMIT_MS).result).toBe('settled')
    expect(rows.reservations.get('r_1')).toMatchObject({ is_standing: 0, cells: '[]' })
  })

  it.each<[what: string, limits: string[] | null, left: number]>([
    ['all', null, 2],
    ['the limit', [capacity.cell], 2],
    ['another', [quota.cell], 2],
  ])('gives back what it was after a reset of %s', (_, limits, left) => {
    rows.run(resetCommand('u', limits), NOW)
    reserve([{ ...capacity, amount: 2 }], 'r_2')
    expect(settle('release')).toMatchObject({ result: 'settled', reservation: { status: 'released' } })
    expect(used([capacity])).toEqual([left])
  })

  it('is forgotten with its subject', () => {
    rows.run(eraseCommand('u'), NOW)
    expect([rows.counters.size, rows.reservations.size]).toEqual([0, 0])
    reserve([capacity], 'r_2', NOW)
    expect(settle('release').result).toBe('unknown')
    expect(used([capacity])).toEqual([1])
  })
})

describe('a reset', () => {
  it('keeps the anchor and the plan, and rows of other limits', () => {
    reserve([...ALL, anchor])
    rows.run(resetCommand('u', [log.cell, quota.cell]), NOW)
    expect(used()).toEqual([0, 0, 1, 1])
    rows.run(resetCommand('u', null), NOW)
    expect(used()).toEqual([0, 0, 0, 0])
    expect(rows.run(lastPlanCommand('u'), NOW)).toEqual({ plan: 'p', anchorAt: NOW })
    expect(rows.body('u')!['cells']).toMatchObject([{ n: '@anchor' }])
  })

  it('of a subject that was never seen writes nothing', () => {
    rows.run(resetCommand('u', null), NOW)
    expect(written()).toEqual([])
  })

  it('is no end to what is still open: its commit is recorded, and holds nothing', () => {
    reserve(ALL)
    rows.run(resetCommand('u', null), NOW)
    settle('commit')
    expect(used()).toEqual([3, 0, 0, 1])
  })
})

describe('an erasure', () => {
  it('forgets plan and anchor too, and needs to read nothing of it', () => {
    reserve([...ALL, anchor])
    rows.put('u', '', 'damaged')
    rows.run(eraseCommand('u'), NOW)
    expect(rows.counters.size).toBe(0)
    expect(rows.run(lastPlanCommand('u'), NOW)).toEqual({ plan: undefined, anchorAt: undefined })
  })

  it('brings nothing back by a commit that comes later', () => {
    reserve(ALL)
    rows.run(eraseCommand('u'), NOW)
    expect(settle('commit').result).toBe('unknown')
    expect([rows.counters.size, rows.reservations.size]).toEqual([0, 0])
  })

  it('has no part in what comes after it in the same batch', () => {
    reserve([quota])
    reserve([quota], 'r_2')
    const again = decideCommand({ subject: 'u', plan: 'p', charges: [quota], now: 0, action: 'reserve', reservation: { id: 'r_3', ttlMs: 1000, memo: { plan: 'p', amounts: {}, linked: [] } } }, undefined)
    rows.batch([settleCommand({ id: 'r_2', action: 'commit', now: 0 }), eraseCommand('u'), again, settleCommand({ id: 'r_1', action: 'commit', now: 0 })], NOW)
    expect([...rows.reservations.keys()]).toEqual(['r_3'])
    expect(used([quota])).toEqual([3])
  })
})

describe('a stored reservation', () => {
  it('comes back as it was, infinities included, with the slots of the process that reads it', () => {
    const charges = [quota, capacity, anchor, { ...log, partition: 'w\0', digest: 'd', meter: 'tokens', weight: 3 }]
    const reservation = { id: 'r_1', subject: 'u\0\ud800', memo: { plan: 'p', amounts: { tokens: 7 } }, charges, chargedAt: NOW, expiresAt: NOW + 1, status: 'open', settledAt: null, late: false, isStanding: false } as const
    const body = writeReservation(reservation)
    expect(readReservation(body, 'it')).toEqual(reservation)
    expect(body).not.toContain('slot')
  })

  it.each([['{"v":1}'], ['{"v":1,"id":"r","subject":"u","charges":{},"expiresAt":1}'], ['[]']])('%s is refused', (body) => {
    expect(() => readReservation(body, 'reservation r_1')).toThrow(/reservation r_1 is damaged/)
  })
})
