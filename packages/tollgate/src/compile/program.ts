import { CellKind, type Charge, MAX_LOGGED, newCharge } from '../decide/charge.ts'
import { slotOf } from '../decide/slots.ts'
import { durationMs } from '../define/duration.ts'
import type { FailurePolicy, LimitDefinition, LimitKind, Match } from '../define/limits.ts'
import type { PlanDefinition } from '../define/plans.ts'
import { createPeriods, type Periods } from './calendar.ts'

/** One limit of one plan, ready to be turned into charges. */
export interface LimitProgram {
  readonly name: string
  readonly kind: LimitKind
  readonly code: string
  readonly definition: LimitDefinition
  /** The most it admits; `Infinity` is unlimited. */
  readonly max: number
  /** The most that a subject's own limit can be: what the cell counts exactly. */
  readonly ceiling: number
  /** What it counts, for people. `charge.meter` is `''` where that is what happens, not how much of it. */
  readonly meter: string
  readonly per: readonly string[]
  readonly match: readonly (readonly [dimension: string, values: ReadonlySet<string>])[]
  readonly onFailure: FailurePolicy
  /** The share of the limit from which a warning is given. */
  readonly softLimit: number | null
  /** Length of the window a client should know of; a period's is its nominal one. `null` where there is none. */
  readonly windowMs: number | null
  /** Set for quotas; `isAnchored` ones count from the subject's own start. */
  readonly periods: Periods | null
  readonly isAnchored: boolean
  /** How long its cell is kept: as long as any of the plans that share it needs it. */
  retainMs: number
  /** Filled in anew for each request. */
  readonly charge: Charge
  /** Used instead of `charge` where nothing has to be counted. */
  readonly uncounted: Charge
}

export interface Program {
  /** `set/plan`, or the plan's name alone in an engine of one unnamed set. */
  readonly id: string
  readonly set: string
  readonly name: string
  readonly definition: PlanDefinition
  readonly limits: readonly LimitProgram[]
  /** The limit that `X-RateLimit-*` headers speak of. */
  readonly headline: string | undefined
  readonly isAnchored: boolean
  /** How long a start that nobody stored is kept after its last use: two of the longest periods counted from it. */
  readonly anchorRetainMs: number
  readonly hasCapacity: boolean
  readonly vocabulary: Vocabulary
}

/** Names that requests of one plan set may use. */
export interface Vocabulary {
  /** `null`: any. */
  readonly operations: ReadonlySet<string> | null
  readonly defaultOperation: string | undefined
  readonly limits: ReadonlySet<string>
  readonly dimensions: ReadonlySet<string>
  readonly meters: ReadonlySet<string>
  /** Credits that an operation costs. */
  readonly costs: ReadonlyMap<string, number>
}

const DEFAULT_CODES: Record<LimitKind, string> = {
  quota: 'QUOTA_EXCEEDED',
  slidingWindow: 'RATE_LIMITED',
  fixedWindow: 'RATE_LIMITED',
  tokenBucket: 'RATE_LIMITED',
  cooldown: 'COOLDOWN',
  duplicates: 'DUPLICATE_CONTENT',
  concurrency: 'CONCURRENCY_EXCEEDED',
  capacity: 'CAPACITY_EXCEEDED',
  allowOnly: 'NOT_IN_PLAN',
}

const HOUR_MS = 3_600_000
const NOMINAL_MS = { day: 24 * HOUR_MS, week: 168 * HOUR_MS, month: 720 * HOUR_MS }
/** The longest a period can be: a month of 31 days, and a few hours for a zone that changes its clock. */
const LONGEST_MS = { day: 48 * HOUR_MS, week: 192 * HOUR_MS, month: 768 * HOUR_MS }

export function compilePlan(id: string, set: string, name: string, definition: PlanDefinition, vocabulary: Vocabulary): Program {
  const limits = Object.entries(definition.limits).map(([limitName, limit]) => compileLimit(set, limitName, limit))
  return {
    id,
    set,
    name,
    definition,
    limits,
    headline: definition.headline ?? limits.find((limit) => limit.kind === 'quota')?.name,
    isAnchored: limits.some((limit) => limit.isAnchored),
    anchorRetainMs: 2 * Math.max(0, ...limits.filter((limit) => limit.isAnchored).map(({ charge }) => charge.retainMs)),
    hasCapacity: limits.some((limit) => limit.kind === 'capacity'),
    vocabulary,
  }
}

function compileLimit(set: string, name: string, definition: LimitDefinition): LimitProgram {
  const counting = countingOf(definition)
  const per = 'per' in definition && definition.per ? definition.per : []
  // Plans of one set share the cell of a limit's name; another window, or other dimensions, is another cell.
  const cell = `${set}/${name}:${counting.kind}:${counting.signature}:${per.join(',')}`
  const meter = ('meter' in definition && definition.meter) || 'requests'
  const weight = ('weight' in definition && definition.weight) || 1
  return {
    name,
    kind: definition.kind,
    code: definition.code ?? DEFAULT_CODES[definition.kind],
    definition,
    max: counting.max,
    ceiling: ceilingOf(counting),
    meter,
    per,
    match: matchOf(definition.match),
    onFailure: definition.onFailure ?? 'local',
    softLimit: 'softLimit' in definition && definition.softLimit !== undefined ? definition.softLimit : null,
    windowMs: counting.nominalMs,
    periods: counting.periods,
    isAnchored: definition.kind === 'quota' && definition.anchor === 'subject',
    retainMs: counting.retainMs,
    // A quota has no period yet.
    charge: newCharge({ cell, kind: counting.kind, max: counting.max, endAt: counting.periods ? 0 : Infinity, calendar: counting.periods ? 1 + slotOf(`@calendar ${counting.signature}`) : 0, windowMs: counting.windowMs, refill: counting.refill, meter: isMetered(definition.kind) ? meter : '', weight, retainMs: counting.retainMs }),
    uncounted: newCharge({ cell, kind: CellKind.stated, meter: '', weight }),
  }
}

/** The others count what happens, not how much of it. */
function isMetered(kind: LimitKind): boolean {
  return kind === 'quota' || kind === 'slidingWindow' || kind === 'fixedWindow' || kind === 'tokenBucket'
}

/** The bounds that definitions obey (see define/validate-limit.ts). */
function ceilingOf({ kind, windowMs }: Counting): number {
  if (kind === CellKind.slidingLog) return MAX_LOGGED
  if (kind === CellKind.slidingCounter || kind === CellKind.tokenBucket) return Math.floor(Number.MAX_SAFE_INTEGER / windowMs)
  return Infinity
}

interface Counting {
  kind: CellKind
  max: number
  signature: string
  windowMs: number
  refill: number
  retainMs: number
  nominalMs: number | null
  periods: Periods | null
}

/** What a limit counts like; the only place that maps a kind of limit to a kind of cell. */
function countingOf(d: LimitDefinition): Counting {
  const base = { signature: '', windowMs: 0, refill: 0, retainMs: 0, nominalMs: null, periods: null }
  switch (d.kind) {
    case 'quota': {
      const every = typeof d.every === 'string' && d.every in NOMINAL_MS ? (d.every as keyof typeof NOMINAL_MS) : durationMs(d.every, 'every')
      const timezone = d.timezone ?? 'UTC'
      return {
        ...base,
        kind: CellKind.quota,
        max: d.limit ?? Infinity,
        signature: `${every}@${timezone}@${d.anchor ?? 'calendar'}`,
        retainMs: typeof every === 'number' ? every : LONGEST_MS[every],
        nominalMs: typeof every === 'number' ? every : NOMINAL_MS[every],
        periods: createPeriods({ every, timezone }),
      }
    }
    case 'slidingWindow': {
      const windowMs = durationMs(d.window, 'window')
      if (d.exact) return { ...base, kind: CellKind.slidingLog, max: d.limit ?? Infinity, signature: `${windowMs}`, windowMs, retainMs: windowMs, nominalMs: windowMs }
      return { ...base, kind: CellKind.slidingCounter, max: d.limit ?? Infinity, signature: `${windowMs}`, windowMs, retainMs: 2 * windowMs, nominalMs: windowMs }
    }
    case 'fixedWindow': {
      const windowMs = durationMs(d.window, 'window')
      return { ...base, kind: CellKind.fixedWindow, max: d.limit ?? Infinity, signature: `${windowMs}`, windowMs, retainMs: windowMs, nominalMs: windowMs }
    }
    case 'tokenBucket': {
      const windowMs = durationMs(d.every, 'every')
      const max = d.capacity ?? Infinity
      return { ...base, kind: CellKind.tokenBucket, max, signature: `${windowMs}`, windowMs, refill: d.refill, retainMs: Math.ceil((max * windowMs) / d.refill), nominalMs: windowMs }
    }
    case 'cooldown': {
      const windowMs = durationMs(d.wait, 'wait', 0)
      return { ...base, kind: CellKind.cooldown, max: windowMs === 0 ? Infinity : 1, windowMs, retainMs: windowMs, nominalMs: windowMs }
    }
    case 'duplicates': {
      const windowMs = durationMs(d.window, 'window')
      return { ...base, kind: CellKind.slidingLog, max: d.limit ?? Infinity, signature: `${windowMs}`, windowMs, retainMs: windowMs, nominalMs: windowMs }
    }
    case 'concurrency':
      return { ...base, kind: CellKind.concurrency, max: d.limit ?? Infinity }
    case 'capacity':
      return { ...base, kind: CellKind.capacity, max: d.limit ?? Infinity, retainMs: Infinity }
    case 'allowOnly':
      return { ...base, kind: CellKind.stated, max: Infinity }
  }
}

function matchOf(match: Match | undefined): LimitProgram['match'] {
  return Object.entries(match ?? {}).map(([dimension, values]) => [dimension, new Set(typeof values === 'string' ? [values] : values)] as const)
}
