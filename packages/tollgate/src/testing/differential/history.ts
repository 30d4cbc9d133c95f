import * as fc from 'fast-check'
import { CellKind } from '../../decide/charge.ts'

/** A limit of a history's plans: the two plans share its cell and may differ in how much they allow. */
export interface LimitShape {
  kind: CellKind
  windowMs: number
  refill: number
  max: readonly [number, number]
  isPartitioned: boolean
  hasDigest: boolean
}

export type Step =
  | { step: 'ask'; action: 'check' | 'consume' | 'reserve'; subject: number; plan: 0 | 1; limits: number; amount: number; partition: number; digest: number; ttlMs: number }
  | { step: 'settle'; action: 'commit' | 'release' | 'undo' | 'extend'; which: number; amount: number | null; ttlMs: number }
  /** To the `edge`-th instant from now at which something changes by itself, or a millisecond off it. */
  | { step: 'edge'; edge: number; offsetMs: -1 | 0 | 1 }
  | { step: 'wait'; ms: number }
  | { step: 'back'; ms: number }
  | { step: 'usage'; subject: number }
  | { step: 'reset'; subject: number; limits: number | null }
  /** The operator changes a limit. */
  | { step: 'change'; limit: number; max: number }

export interface History {
  limits: LimitShape[]
  steps: Step[]
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

const windowMs = fc.constantFrom(1, 7, 10, 100, 1000, MINUTE_MS, DAY_MS)
const max = fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 1, max: 6 }) }, { weight: 1, arbitrary: fc.constantFrom(0, 2 ** 31 - 1) })
const kind = fc.constantFrom<CellKind>(
  CellKind.quota,
  CellKind.quota,
  CellKind.fixedWindow,
  CellKind.slidingCounter,
  CellKind.slidingLog,
  CellKind.slidingLog,
  CellKind.tokenBucket,
  CellKind.cooldown,
  CellKind.concurrency,
  CellKind.capacity,
  CellKind.stated,
  CellKind.anchor,
)

const limitShape: fc.Arbitrary<LimitShape> = fc.record({
  kind,
  windowMs,
  refill: fc.integer({ min: 1, max: 5 }),
  max: fc.tuple(max, max),
  isPartitioned: fc.boolean(),
  hasDigest: fc.boolean(),
})

const subject = fc.integer({ min: 0, max: 1 })
const ttlMs = fc.constantFrom(1, 5, 10, 100, 1500, MINUTE_MS, DAY_MS)

const ask: fc.Arbitrary<Step> = fc.record({
  step: fc.constant('ask' as const),
  action: fc.constantFrom('consume' as const, 'consume' as const, 'reserve' as const, 'reserve' as const, 'check' as const),
  subject,
  plan: fc.constantFrom(0 as const, 1 as const),
  limits: fc.integer({ min: 1, max: 31 }),
  amount: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, { weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }) }),
  partition: fc.integer({ min: 0, max: 2 }),
  digest: fc.integer({ min: 0, max: 1 }),
  ttlMs,
})

const settle: fc.Arbitrary<Step> = fc.record({
  step: fc.constant('settle' as const),
  action: fc.constantFrom('commit' as const, 'commit' as const, 'release' as const, 'release' as const, 'undo' as const, 'extend' as const),
  which: fc.nat(7),
  amount: fc.option(fc.integer({ min: 0, max: 6 }), { nil: null }),
  ttlMs,
})

const edge: fc.Arbitrary<Step> = fc.record({ step: fc.constant('edge' as const), edge: fc.nat(5), offsetMs: fc.constantFrom(-1 as const, -1 as const, 0 as const, 0 as const, 1 as const) })
const wait: fc.Arbitrary<Step> = fc.record({ step: fc.constant('wait' as const), ms: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(500, 1000, 4096, 61_000, 700_000, DAY_MS, 30 * DAY_MS)) })
const back: fc.Arbitrary<Step> = fc.record({ step: fc.constant('back' as const), ms: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constantFrom(1000, 59_000, 3_600_000, DAY_MS + 1, 366 * DAY_MS)) })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: ask },
  { weight: 5, arbitrary: settle },
  { weight: 6, arbitrary: edge },
  { weight: 2, arbitrary: wait },
  { weight: 1, arbitrary: back },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('usage' as const), subject }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('reset' as const), subject, limits: fc.option(fc.integer({ min: 1, max: 31 })) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('change' as const), limit: fc.nat(4), max }) },
)

export const histories: fc.Arbitrary<History> = fc.record({
  limits: fc.array(limitShape, { minLength: 1, maxLength: 5 }),
  steps: fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }),
})
