import { beforeEach, describe, expect, it } from 'vitest'
import { CellKind, type Charge } from '../../../decide/charge.ts'
import { chargeOf, digestOf } from '../../../testing/charges.ts'
import { KeptRows } from '../../../testing/kept-rows.ts'
import type { DecideCommand, Outcome } from '../../store.ts'
import { decideCommand, lastPlanCommand, resetCommand, usageCommand } from './commands.ts'

const NOW = 1_800_000_000_000
const HOUR_MS = 3_600_000

const quota = chargeOf({ cell: 'set/quota', kind: CellKind.quota, max: 5, startAt: NOW, endAt: NOW + HOUR_MS })
const cooldown = chargeOf({ cell: 'set/cooldown', kind: CellKind.cooldown, max: 1, windowMs: 5000, partition: 'w1' })
const log = chargeOf({ cell: 'set/log', kind: CellKind.slidingLog, max: 5, windowMs: 60_000 })
const texts = chargeOf({ cell: 'set/texts', kind: CellKind.slidingLog, max: 5, windowMs: 60_000, partition: 'w1', digest: digestOf(1) })
const parallel = chargeOf({ cell: 'set/parallel', kind: CellKind.concurrency, max: 2 })
const capacity = chargeOf({ cell: 'set/capacity', kind: CellKind.capacity, max: 2, partition: 'w1' })
const anchor = chargeOf({ cell: '@anchor', kind: CellKind.anchor, amount: 0, startAt: NOW })
const stated = chargeOf({ cell: 'set/stated', kind: CellKind.stated, max: 2, stated: 1 })
const unlimited = chargeOf({ cell: 'set/unlimited', kind: CellKind.stated, amount: 0 })

let rows: KeptRows
beforeEach(() => {
  rows = new KeptRows()
})

interface Asked {
  action?: DecideCommand['action']
  at?: number
  plan?: string
  id?: string
  hint?: number
}

function ask(charges: readonly Charge[], { action = 'consume', at = NOW, plan = 'set/free', id = 'r_1', hint }: Asked = {}): Outcome {
  const reservation = action === 'reserve' ? { reservation: { id, ttlMs: 1000, memo: { plan, amounts: {} } } } : {}
  return rows.run(decideCommand({ subject: 'u', plan, charges, now: 0, action, ...reservation }, hint), at)
}

const written = (): string[] => [...rows.written.counters.map(({ cell }) => cell || 'record'), ...rows.written.reservations.map(({ id }) => id)]

describe('what is written', () => {
  const full = { ...quota, amount: 5 }
  it.each<[what: string, before: Charge[][], charges: Charge[], asked: Asked, rows: string[]]>([
    ['a check: nothing', [], [quota, cooldown], { action: 'check' }, []],
    ['a denial: nothing', [[full]], [quota, cooldown, log], {}, []],
    ['a denied reservation: nothing', [[full]], [quota, parallel], { action: 'reserve' }, []],
    ['what is stale: nothing', [], [quota, cooldown], { at: NOW + HOUR_MS }, []],
    ['limits of the subject: its record', [], [quota, parallel, anchor], {}, ['record']],
    ['a new world: its row, and the record with the plan', [], [cooldown], {}, ['"set/cooldown" 6 ["w1"]', 'record']],
    ['a known world: its row', [[cooldown]], [cooldown], { at: NOW + 5000 }, ['"set/cooldown" 6 ["w1"]']],
    ['a known world that outlives the record: both', [[cooldown]], [cooldown], { at: NOW + 599_000 }, ['"set/cooldown" 6 ["w1"]', 'record']],
    ['a log: its row', [[log]], [log], {}, ['"set/log" 4 [""]']],
    ['a text: its row', [[log]], [texts], {}, [`"set/texts" 4 ["w1","${digestOf(1)}"]`]],
    ['another plan: the record', [[cooldown]], [cooldown], { at: NOW + 5000, plan: 'set/plus' }, ['"set/cooldown" 6 ["w1"]', 'record']],
    ['a reservation: its cells and itself', [], [quota, log], { action: 'reserve' }, ['"set/log" 4 [""]', 'record', 'r_1']],
    ['a hold in a world: its row and the reservation', [[cooldown]], [capacity], { action: 'reserve' }, ['"set/capacity" 8 ["w1"]', 'r_1']],
    ['a reservation of nothing: itself', [], [], { action: 'reserve' }, ['r_1']],
    ['what the caller counted: the plan', [], [stated, unlimited], {}, ['record']],
    ['what the caller counted, again: nothing', [[stated]], [stated, unlimited], { at: NOW + 1 }, []],
    ['what counts 0: nothing', [[quota]], [{ ...log, amount: 0 }, { ...cooldown, amount: 0 }], {}, []],
  ])('%s', (_, before, charges, asked, expected) => {
    for (const each of before) ask(each)
    ask(charges, asked)
    expect(written()).toEqual(expected)
  })

  it('a denial after a step of the clock: what was brought back, without the plan', () => {
    ask([{ ...quota, amount: 5 }, { ...log, amount: 5 }])
    const back = { ...quota, startAt: NOW - 10 * HOUR_MS, endAt: NOW - 9 * HOUR_MS }
    expect(ask([back, log], { at: NOW - 10 * HOUR_MS, plan: 'set/plus' }).admitted).toBe(false)
    expect(written()).toEqual(['"set/log" 4 [""]', 'record'])
    expect(rows.run(lastPlanCommand('u'), NOW).plan).toBe('set/free')
    ask([back, log], { at: NOW - 10 * HOUR_MS })
    expect(written()).toEqual([])
  })
})

describe('a row may be deleted', () => {
  const TEN_MINUTES_MS = 600_000
  it.each<[what: string, charges: Charge[], cell: string, at: number]>([
    ['of a quota, after its period', [quota], '', NOW + HOUR_MS],
    ['of a world, after its wait, rounded up', [cooldown], '"set/cooldown" 6 ["w1"]', NOW + TEN_MINUTES_MS],
    ['of a subject not before that of its world', [{ ...cooldown, retainMs: HOUR_MS }], '', NOW + HOUR_MS],
    ['of what the caller counted, after ten minutes', [stated], '', NOW + TEN_MINUTES_MS],
    ['of standing capacity, never', [capacity], '"set/capacity" 8 ["w1"]', Number.MAX_SAFE_INTEGER],
    ['of its subject, in a year', [capacity], '', NOW + 366 * 24 * HOUR_MS],
  ])('%s', (_, charges, cell, at) => {
    ask(charges)
    expect(rows.counters.get(JSON.stringify(['u', cell]))!.expires_at).toBe(at)
  })
})

describe('commands of one batch', () => {
  const command = (charges: Charge[], subject = 'u', id?: string) =>
    decideCommand({ subject, plan: 'p', charges, now: 0, action: id === undefined ? 'consume' : 'reserve', ...(id !== undefined && { reservation: { id, ttlMs: 1000, memo: { plan: 'p', amounts: {} } } }) }, undefined)

  it('see one another', () => {
    const outcomes = rows.batch(Array.from({ length: 8 }, () => command([quota, log])), NOW) as Outcome[]
    expect(outcomes.map(({ admitted }) => admitted)).toEqual([true, true, true, true, true, false, false, false])
    expect(outcomes.map(({ verdicts }) => verdicts[0]!.used)).toEqual([1, 2, 3, 4, 5, 5, 5, 5])
    expect(written()).toEqual(['"set/log" 4 [""]', 'record'])
  })

  it('see what a reset between them has cleared', () => {
    ask([{ ...log, amount: 5 }, { ...quota, amount: 2 }])
    const [denied, , admitted] = rows.batch([command([log]), resetCommand('u', ['set/log']), command([log, quota])], NOW) as [Outcome, void, Outcome]
    expect([denied.admitted, admitted.admitted, admitted.verdicts.map(({ used }) => used)]).toEqual([false, true, [1, 3]])
    expect(ask([log, quota], { action: 'check' }).verdicts.map(({ used }) => used)).toEqual([1, 3])
  })

  it('charges of the same cell in one request share it', () => {
    ask([quota, { ...quota, amount: 2 }])
    expect(ask([quota], { action: 'check' }).verdicts[0]!.used).toBe(3)
  })
})

describe('a command that fails leaves nothing', () => {
  const unknown = { ...quota, cell: 'set/new', kind: 77 as CellKind }
  it.each<[what: string, charges: Charge[], message: RegExp]>([
    ['of a kind that this version does not know', [quota, cooldown, unknown], /Cell kind 77 is not one this version of Tollgate knows/],
    ['over a damaged cell', [cooldown, texts], /a cell of subject u is damaged/],
  ])('%s', (_, charges, message) => {
    rows.put('u', `"set/texts" 4 ["w1","${digestOf(1)}"]`, '{"v":1,"n":"set/texts","k":4,"w":["x",1]}')
    expect(() => ask(charges, { action: 'reserve' })).toThrow(message)
    expect([rows.counters.size, rows.reservations.size]).toEqual([1, 0])
  })

  it('over a damaged record', () => {
    rows.put('u', '', 'not JSON')
    expect(() => ask([cooldown], { action: 'reserve' })).toThrow(/the record of subject u is damaged/)
    expect([rows.counters.size, rows.reservations.size]).toEqual([1, 0])
  })
})

describe('versions side by side', () => {
  it('share the cell of a limit whose amount differs', () => {
    for (const max of [5, 3, 5, 3]) ask([{ ...quota, max }])
    expect(ask([{ ...quota, max: 3 }]).verdicts).toMatchObject([{ used: 3, passes: false }])
    expect(ask([{ ...quota, max: 5 }]).verdicts).toMatchObject([{ used: 4, passes: true }])
  })

  it('leave alone what only the other knows', () => {
    ask([quota])
    const body = rows.body('u')!
    const foreign = { n: 'set/quota', k: 99, u: NOW + HOUR_MS, w: { of: 'another kind' } }
    rows.put('u', '', JSON.stringify({ ...body, cells: [foreign, ...(body['cells'] as unknown[])] }))
    ask([quota, parallel], { action: 'reserve' })
    expect(rows.body('u')!['cells']).toMatchObject([foreign, { n: 'set/quota', w: [NOW, 1] }, { n: 'set/parallel', h: ['r_1', 1, NOW + 1000, 0, NOW] }])
  })

  it('are not mixed up where one identity counts in two ways', () => {
    const window = chargeOf({ cell: 'set/quota', kind: CellKind.fixedWindow, max: 5, windowMs: 60_000 })
    ask([quota, window])
    ask([quota])
    expect(ask([quota, window], { action: 'check' }).verdicts.map(({ used }) => used)).toEqual([2, 1])
  })
})

describe('an anchor', () => {
  it('that a hint brings back after it was forgotten is refused', () => {
    expect(ask([anchor], { at: NOW + 7, hint: NOW }).stale).toEqual({ anchorAt: NOW + 7 })
    expect(ask([{ ...anchor, startAt: NOW + 7 }], { at: NOW + 8 }).admitted).toBe(true)
    expect(ask([anchor], { at: NOW + 8, hint: NOW }).stale).toEqual({ anchorAt: NOW + 7 })
  })

  it('that a hint rightly names is kept', () => {
    ask([anchor])
    expect(ask([anchor], { hint: NOW, at: NOW + 1 }).admitted).toBe(true)
  })
})

describe('usage', () => {
  const usage = (charge: Charge, isPartitioned = false) => rows.run(usageCommand({ subject: 'u', limits: [{ charge: { ...charge, amount: 0, partition: '', digest: '' }, isPartitioned }], now: 0 }), NOW).map(({ partition, verdict }) => [partition, verdict.used])

  it('lists a limit as a whole, or by partition with the text that came most often', () => {
    ask([quota, log, cooldown])
    for (const [n, times] of [[1, 1], [2, 3], [3, 2]] as const) for (let i = 0; i < times; i++) ask([{ ...texts, digest: digestOf(n) }, { ...texts, partition: 'w2', digest: digestOf(9) }])
    expect(usage(quota)).toEqual([['', 1]])
    expect(usage(log)).toEqual([['', 1]])
    expect(usage(cooldown, true)).toEqual([['w1', 1]])
    expect(Object.fromEntries(usage(texts, true))).toEqual({ w1: 3, w2: 5 })
    expect(usage(capacity, true)).toEqual([])
  })
})
