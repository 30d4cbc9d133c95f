import * as fc from 'fast-check'
import type { AllowanceRule } from '../../ledger/account.ts'
import type { Overage, SetAllowance } from '../../ledger/commands.ts'

/** What is asked for, with things of earlier steps by number: they get their names as the history is played. */
export type Asked =
  | { kind: 'grant'; amount: number; source: 'pack' | 'admin' | 'promo'; priority: number; beginsInMs: number | null; lastsMs: number | null }
  | { kind: 'void'; which: number }
  | { kind: 'hold'; amount: number; ttlMs: number; operation: boolean }
  | { kind: 'deduct'; amount: number; operation: boolean }
  | { kind: 'commit'; which: number; amount: number | null; overage: Overage }
  | { kind: 'release'; which: number }
  | { kind: 'cancel'; which: number }
  | { kind: 'extend'; which: number; ttlMs: number }
  | { kind: 'refund'; which: number; amount: number | null }
  | ({ kind: 'setAllowance'; plan: number | null; isEligible: boolean } & Pick<SetAllowance, 'at' | 'proration' | 'leftover'>)
  | { kind: 'touch' }

export type LedgerStep =
  | { step: 'ask'; subject: number; asked: Asked }
  /** An earlier command once more, word for word. */
  | { step: 'repeat'; which: number }
  /** Another command of an earlier one's key or id. */
  | { step: 'clash'; which: number; amount: number }
  /** To the `edge`-th instant from now at which something happens by itself, or a millisecond off it. */
  | { step: 'edge'; edge: number; offsetMs: -1 | 0 | 1 }
  | { step: 'wait'; ms: number }
  | { step: 'back'; ms: number }
  | { step: 'due' }
  | { step: 'look'; subject: number; agoMs: number }

export interface LedgerHistory {
  plans: Omit<AllowanceRule, 'plan' | 'isEligible'>[]
  /** What the first subject has. */
  opening: number
  plan: number | null
  steps: LedgerStep[]
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const every = fc.constantFrom<AllowanceRule['every']>(6 * HOUR_MS, 'day', 'day', 10 * DAY_MS, 'week', 'month', 'month')

/** Mostly of periods of one length, so that changes between them can be prorated. */
const plans: fc.Arbitrary<LedgerHistory['plans']> = every.chain((common) =>
  fc.array(
    fc.record({
      amount: fc.constantFrom(0, 5, 10, 20, 40, 80),
      every: fc.oneof({ weight: 4, arbitrary: fc.constant(common) }, { weight: 1, arbitrary: every }),
      timezone: fc.constant('UTC'),
      anchor: fc.constantFrom('subject' as const, 'calendar' as const),
      priority: fc.constantFrom(0, 0, -1, 1),
      rolloverMax: fc.constantFrom(0, 0, 5, 1000),
      softLimit: fc.constantFrom(null, 0.07, 0.5, 0.8, 1),
    }),
    { minLength: 3, maxLength: 3 },
  ),
)

const amount = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }) }, { weight: 2, arbitrary: fc.integer({ min: 0, max: 25 }) })
/** Mostly one of the last. */
const which = fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(9) })
const overage = fc.constantFrom<Overage>({ policy: 'deny' }, { policy: 'clamp' }, { policy: 'overdraft', floor: -10 }, { policy: 'overdraft', floor: -10 }, { policy: 'overdraft', floor: -3 }, { policy: 'overdraft', floor: 0 })
const ttlMs = fc.constantFrom(1, 1000, 60_000, HOUR_MS, 12 * HOUR_MS, DAY_MS)
const lastsMs = fc.constantFrom(1, 1000, HOUR_MS, DAY_MS, 2 * DAY_MS, 20 * DAY_MS)

const asked: fc.Arbitrary<Asked> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('grant' as const), amount: fc.integer({ min: 1, max: 20 }), source: fc.constantFrom('pack' as const, 'admin' as const, 'promo' as const), priority: fc.constantFrom(0, 0, 0, 1, -1), beginsInMs: fc.option(fc.constantFrom(-1000, 0, 1, 1000, HOUR_MS, DAY_MS), { freq: 3 }), lastsMs: fc.option(lastsMs, { freq: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('void' as const), which }) },
  { weight: 7, arbitrary: fc.record({ kind: fc.constant('hold' as const), amount, ttlMs, operation: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('deduct' as const), amount, operation: fc.boolean() }) },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant('commit' as const), which, amount: fc.option(fc.oneof(amount, fc.integer({ min: 5, max: 30 }), fc.integer({ min: 30, max: 90 })), { freq: 4 }), overage }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('extend' as const), which, ttlMs }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('refund' as const), which, amount: fc.option(fc.integer({ min: 1, max: 8 })) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('setAllowance' as const),
      plan: fc.option(fc.nat(2), { freq: 8 }),
      isEligible: fc.constantFrom(true, true, true, true, true, false),
      at: fc.constantFrom('now' as const, 'now' as const, 'periodEnd' as const),
      proration: fc.constantFrom('prorate' as const, 'prorate' as const, 'restart' as const),
      leftover: fc.constantFrom('keep' as const, 'keep' as const, 'void' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'touch' as const }) },
)

const subject = fc.constantFrom(0, 0, 0, 1)

const step: fc.Arbitrary<LedgerStep> = fc.oneof(
  { weight: 28, arbitrary: fc.record({ step: fc.constant('ask' as const), subject, asked }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('repeat' as const), which }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('clash' as const), which, amount }) },
  { weight: 6, arbitrary: fc.record({ step: fc.constant('edge' as const), edge: fc.oneof({ weight: 3, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(5) }), offsetMs: fc.constantFrom(-1 as const, -1 as const, 0 as const, 0 as const, 1 as const) }) },
  { weight: 3, arbitrary: fc.record({ step: fc.constant('wait' as const), ms: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.constantFrom(HOUR_MS, 5 * HOUR_MS, DAY_MS, 6 * DAY_MS)) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('back' as const), ms: fc.oneof(fc.integer({ min: 1, max: 2000 }), fc.constantFrom(HOUR_MS, DAY_MS, 40 * DAY_MS)) }) },
  { weight: 1, arbitrary: fc.constant({ step: 'due' as const }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('look' as const), subject, agoMs: fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.constantFrom(HOUR_MS, DAY_MS, 10 * DAY_MS)) }) },
)

export const ledgerHistories: fc.Arbitrary<LedgerHistory> = fc.record({
  plans,
  opening: fc.integer({ min: 0, max: 40 }),
  plan: fc.option(fc.nat(2), { freq: 2 }),
  steps: fc.array(step, { minLength: 1, maxLength: 100, size: 'max' }),
})
