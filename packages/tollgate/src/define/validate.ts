import { invalidDefinition, show } from '../errors/index.ts'
import type { LimitDefinition } from './limits.ts'
import type { CreditAllowance, OperationDefinition, Operations, PlanDefinition, Plans, Price } from './plans.ts'
import { objectOf, oneOf, optional, recordOf, type Rule } from './rules.ts'
import { suggest } from './suggest.ts'
import { limit } from './validate-limit.ts'
import { currency, integer, MAX_AMOUNT, name, period, priceAmount, share, timezone } from './values.ts'

const MAX_PLANS = 1000
const MAX_LIMITS = 64
const MAX_OPERATIONS = 1000

const plan = objectOf<PlanDefinition>('a plan', {
  rank: integer(-MAX_AMOUNT, MAX_AMOUNT),
  price: optional(objectOf<Price>('a price', { amount: priceAmount, currency, every: period })),
  limits: recordOf('limits', 0, MAX_LIMITS, name, limit),
  headline: optional(name),
  credits: optional(objectOf<CreditAllowance>('a credit allowance', {
    grant: integer(0, MAX_AMOUNT),
    every: period,
    timezone: optional(timezone),
    anchor: optional(oneOf('an anchor', ['subject', 'calendar'])),
    rollover: optional(objectOf('a rollover', { max: integer(0, MAX_AMOUNT) })),
    requires: optional(name),
    softLimit: optional(share),
    priority: optional(integer(-MAX_AMOUNT, MAX_AMOUNT)),
  })),
})

const planSet: Rule<Plans> = recordOf('plans', 1, MAX_PLANS, name, plan)

const operationSet: Rule<Operations> = recordOf('operations', 0, MAX_OPERATIONS, name, objectOf<OperationDefinition>('an operation', {
  credits: optional(integer(0, MAX_AMOUNT)),
}))

/**
 * A checked, frozen copy, in which unlimited is `Infinity` also where JSON had `null`.
 * @throws INVALID_DEFINITION
 */
export function validatePlans(plans: unknown): Plans {
  const valid = planSet(plans, 'plans')
  assertHeadlines(valid)
  assertSharedLimits(valid)
  return valid
}

/**
 * A checked, frozen copy; `undefined` where no operations are declared, so that any may be asked for.
 * @throws INVALID_DEFINITION also where a limit of `plans` is about an operation that is not declared.
 */
export function validateOperations(operations: unknown, plans: Plans): Operations | undefined {
  if (operations === undefined) return undefined
  const valid = operationSet(operations, 'operations')
  assertDeclared(plans, Object.keys(valid))
  return valid
}

function assertHeadlines(plans: Plans): void {
  for (const [planName, { headline, limits }] of Object.entries(plans)) {
    if (headline === undefined) continue
    const counted = Object.keys(limits).filter((limitName) => limits[limitName]!.kind !== 'allowOnly')
    if (!counted.includes(headline)) {
      throw invalidDefinition(`plans.${planName}.headline`, `${show(headline)} is not a counted limit of this plan; ${suggest(headline, counted)}`)
    }
  }
}

/** Limits of one name share one counter across the plans, so they must count the same thing. */
function assertSharedLimits(plans: Plans): void {
  const seen = new Map<string, LimitOfPlan>()
  for (const current of limitsOf(plans)) {
    const earlier = seen.get(current.name)
    if (earlier === undefined) {
      seen.set(current.name, current)
      continue
    }
    const theirs = counterOf(earlier.limit)
    for (const [option, ours] of Object.entries(counterOf(current.limit))) {
      if (ours === theirs[option]) continue
      throw invalidDefinition(
        `${current.field}.${option}`,
        `'${ours}' differs from '${theirs[option]}' in plan '${earlier.plan}', and limits of one name share one counter; give it another name`,
      )
    }
  }
}

/** What tells the counters of limits apart. */
function counterOf(limit: LimitDefinition): Record<string, string> {
  const meter = 'meter' in limit ? limit.meter : undefined
  const exact = limit.kind === 'slidingWindow' ? { exact: String(limit.exact ?? false) } : {}
  return { kind: limit.kind, meter: meter ?? 'requests', per: limit.per?.join(', ') || '(nothing)', ...exact }
}

function assertDeclared(plans: Plans, declared: readonly string[]): void {
  for (const { field, limit } of limitsOf(plans)) {
    assertEachDeclared(limit.match?.operation, `${field}.match.operation`, declared)
    if (limit.kind === 'allowOnly') assertEachDeclared(limit.allow.operation, `${field}.allow.operation`, declared)
  }
}

function assertEachDeclared(operations: string | readonly string[] = [], field: string, declared: readonly string[]): void {
  const unknown = [operations].flat().find((operation) => !declared.includes(operation))
  if (unknown !== undefined) throw invalidDefinition(field, `${show(unknown)} is not declared in 'operations'; ${suggest(unknown, declared)}`)
}

interface LimitOfPlan {
  readonly plan: string
  readonly name: string
  readonly field: string
  readonly limit: LimitDefinition
}

function limitsOf(plans: Plans): LimitOfPlan[] {
  return Object.entries(plans).flatMap(([plan, { limits }]) =>
    Object.entries(limits).map(([name, limit]) => ({ plan, name, field: `plans.${plan}.limits.${name}`, limit })),
  )
}
