import type { Digester } from '../content/digest.ts'
import { anchorCharge, CellKind, type Charge } from '../decide/charge.ts'
import type { TollgateRequest } from '../engine/types.ts'
import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import { MAX_AMOUNT } from './request.ts'
import type { LimitProgram, Program } from './program.ts'

/** A request turned into charges. Both lists run parallel; an anchor's charge comes last and has no limit. */
export interface Charges {
  readonly limits: LimitProgram[]
  readonly charges: Charge[]
}

/** What is known of the subject when a request is compiled. */
export interface SubjectFacts {
  /** Where its own periods start; `isAssumed` when that is only what this process believes. */
  anchorAt: number
  isAssumed: boolean
  /** Limits of its own, by name. */
  overrides: Readonly<Record<string, number>> | undefined
}

/**
 * The limits of a plan that a request meets, as flat numbers. Everything that is not arithmetic is decided here:
 * what matches, which period it is, which partition. The result is used again by the next call.
 * @throws MISSING_DIMENSION, INVALID_REQUEST
 */
export function compileCharges(program: Program, request: TollgateRequest, now: number, facts: SubjectFacts, digest: Digester, out: Charges): Charges {
  let count = 0
  for (const limit of program.limits) {
    if (limit.match.length > 0 && !matches(limit, request)) continue
    out.limits[count] = limit
    out.charges[count] = compileCharge(limit, request, now, facts, digest)
    count++
  }
  cutTo(out.limits, count)
  if (program.isAnchored && facts.isAssumed) {
    ANCHOR.startAt = facts.anchorAt
    ANCHOR.retainMs = program.anchorRetainMs
    out.charges[count++] = ANCHOR
  }
  cutTo(out.charges, count)
  return out
}

/** Setting a length costs as much as a limit does, even to what it is. */
function cutTo(list: unknown[], length: number): void {
  if (list.length !== length) list.length = length
}

function compileCharge(limit: LimitProgram, request: TollgateRequest, now: number, facts: SubjectFacts, digest: Digester): Charge {
  const max = maxOf(limit, facts.overrides)
  const { charge, kind } = limit
  if (kind === 'allowOnly') return stated(limit, isAllowed(limit, request) ? Infinity : 0, 0)
  if (kind === 'capacity' && request.current?.[limit.name] !== undefined) return stated(limit, max, currentOf(limit.name, request))
  const isTracked = max !== Infinity || kind === 'quota' || kind === 'capacity'
  if (!isTracked || (kind === 'duplicates' && request.content === undefined)) return stated(limit, Infinity, 0)
  charge.max = max
  charge.isOwn = facts.overrides?.[limit.name] !== undefined
  // A larger bucket takes longer to fill; forgotten earlier, it would refill at once.
  if (charge.kind === CellKind.tokenBucket) charge.retainMs = Math.max(limit.retainMs, Math.ceil((max * charge.windowMs) / charge.refill))
  charge.amount = amountOf(limit, request)
  charge.partition = limit.per.length === 0 ? '' : partitionOf(limit, request)
  if (kind === 'duplicates') charge.digest = digest(request.content!, request.subject)
  // Most often it is still the period that the charge was compiled for last.
  if (limit.periods && (limit.isAnchored || now < charge.startAt || now >= charge.endAt)) {
    const period = limit.periods(now, limit.isAnchored ? facts.anchorAt : undefined)
    charge.startAt = period.startAt
    charge.endAt = period.endAt
  }
  return charge
}

/**
 * The limit as the subject has it. Its own may be stored for another window, or by whoever knows no bounds: what lies
 * above them is not counted exactly, so it is cut to them. Without a limit nothing is counted.
 */
export function maxOf(limit: LimitProgram, overrides: SubjectFacts['overrides']): number {
  const own = overrides?.[limit.name]
  if (own === undefined) return limit.max
  return own === Infinity ? own : Math.min(own, limit.ceiling)
}

/** A charge that is decided without a cell: `count` there are, `max` are allowed. */
function stated(limit: LimitProgram, max: number, count: number): Charge {
  limit.uncounted.max = max
  limit.uncounted.stated = count
  limit.uncounted.amount = max === Infinity ? 0 : 1
  return limit.uncounted
}

/** What a limit is matched on. */
export interface Matchable {
  readonly operation?: string | undefined
  readonly dimensions?: Readonly<Record<string, string | undefined>> | undefined
}

export function matches(limit: LimitProgram, request: Matchable): boolean {
  for (const [dimension, values] of limit.match) {
    const value = valueOf(dimension, request)
    if (value === undefined || !values.has(value)) return false
  }
  return true
}

/** What happens counts 1, and so do requests by default; another meter counts what the request says, and nothing when it does not. */
function amountOf({ charge: { meter, weight } }: LimitProgram, request: TollgateRequest): number {
  if (meter === '') return 1
  // The meter of most limits is read by its name, which V8 finds at once, others by a lookup.
  const amount = (meter === 'requests' ? (request.amounts?.requests ?? 1) : (request.amounts?.[meter] ?? 0)) * weight
  if (amount <= MAX_AMOUNT) return amount
  throw invalidRequest(`amounts.${meter}`, `${amount / weight} × weight ${weight} is more than ${MAX_AMOUNT}; ask for less at a time`)
}

function currentOf(name: string, request: TollgateRequest): number {
  const current = request.current![name]!
  if (Number.isInteger(current) && current >= 0 && current <= MAX_AMOUNT) return current
  throw invalidRequest(`current.${name}`, `${show(current)} is out of range; use an integer from 0 to ${MAX_AMOUNT}`)
}

export function isAllowed({ definition }: LimitProgram, request: Matchable): boolean {
  if (definition.kind !== 'allowOnly') return true
  return Object.entries(definition.allow).every(([dimension, values]) => {
    const value = valueOf(dimension, request)
    return value !== undefined && values.includes(value)
  })
}

/** A limit's dimensions are few and fixed: one is its value, several are a JSON array, which no value can imitate. */
function partitionOf(limit: LimitProgram, request: TollgateRequest): string {
  if (limit.per.length === 1) return required(limit, limit.per[0]!, request)
  return JSON.stringify(limit.per.map((dimension) => required(limit, dimension, request)))
}

/** The inverse of `partitionOf`. */
export function partitionValues({ per }: LimitProgram, partition: string): Record<string, string> {
  const values = per.length === 1 ? [partition] : (JSON.parse(partition) as string[])
  return Object.fromEntries(per.map((dimension, i) => [dimension, values[i]!]))
}

function required(limit: LimitProgram, dimension: string, request: TollgateRequest): string {
  const value = valueOf(dimension, request)
  if (value !== undefined) return value
  const field = dimension === 'operation' ? 'operation' : `dimensions.${dimension}`
  throw new TollgateError('MISSING_DIMENSION', `${field}: limit '${limit.name}' is counted per '${dimension}', and the request does not say which`, { field })
}

function valueOf(dimension: string, request: Matchable): string | undefined {
  return dimension === 'operation' ? request.operation : request.dimensions?.[dimension]
}

const ANCHOR = anchorCharge()
