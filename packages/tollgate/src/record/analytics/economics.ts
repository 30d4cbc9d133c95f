import { durationMs } from '../../define/duration.ts'
import type { PlanDefinition, Price } from '../../define/plans.ts'
import { invalidRequest, show } from '../../errors/index.ts'
import { activeByMonth } from './active.ts'
import { exact, multiply, told } from './money.ts'
import { firstOfMonth, type Range, type RangeInput } from './range.ts'
import type { Source } from './source.ts'
import { type UsageRow, usageRows } from './usage.ts'

/** What requests cost the operator. */
export interface Costs {
  /** ISO 4217. Default `USD`. */
  readonly currency?: string | undefined
  /**
   * Of a request whose operation the plan's headline limit counts: a message, and not a world's new agent. Where the
   * headline counts every operation, or there is none: of any request. Default 0.0005.
   */
  readonly perRequest?: number | undefined
  /** By meter: of one unit, such as `{ tokens: 0.00000015 }`. Default none. */
  readonly perUnit?: Readonly<Record<string, number>> | undefined
  /** What one unit of another currency, in which a plan has its price, is worth in this one: `{ RUB: 0.0127 }`. */
  readonly rates?: Readonly<Record<string, number>> | undefined
}

/** A plan's definition, as far as it is about money. */
interface PricedPlan {
  readonly price?: Price | undefined
  readonly limits?: PlanDefinition['limits'] | undefined
  /** Default: the first quota among the limits. */
  readonly headline?: string | undefined
}

export interface EconomicsQuestion extends RangeInput {
  readonly costs?: Costs | undefined
  /** By full name. */
  readonly plans: Readonly<Record<string, PricedPlan>>
}

/** Money is in the currency of the costs. */
export interface EconomicsRow {
  readonly plan: string
  /** All that were admitted, also those that cost nothing. */
  readonly requests: number
  /** In the range, each once. */
  readonly activeSubjects: number
  /** In each month of which the range has a day, each once a month. */
  readonly subjectMonths: number
  readonly cost: number
  /** null where the plan has no price in this currency, and there is no rate. */
  readonly revenue: number | null
  readonly profit: number | null
  /** Profit by cost; null where either is not known, or nothing was spent. */
  readonly roi: number | null
}

export interface EconomicsReport extends Range {
  readonly currency: string
  readonly rows: readonly EconomicsRow[]
  /** Of all plans; null where one's is not known. */
  readonly total: Pick<EconomicsRow, 'requests' | 'cost' | 'revenue' | 'profit' | 'roi'>
}

/** 30 days. */
const MONTH_MS = 2_592_000_000
const EVERY_MS = { day: 86_400_000, week: 604_800_000, month: MONTH_MS } as const

interface Sums {
  readonly cost: bigint
  readonly revenue: bigint | null
}

/**
 * What plans cost and bring. The rule of revenue: a plan's price, once for each month of which the range has a day and
 * each subject that was admitted under the plan in that month, on whichever of its days. So a range that begins or ends
 * within a month sets the whole month's revenue against a part of its cost; by default it is the month of `to` (today's),
 * from its first day.
 * @throws INVALID_REQUEST; INVALID_DEFINITION for a price that no plan may have
 */
export async function economics(source: Source, { costs = {}, plans, ...input }: EconomicsQuestion): Promise<EconomicsReport> {
  const { currency = 'USD', rates = {} } = costs
  assertCurrency(currency)
  const costOf = pricing(costs)
  const incomeOf = income(currency, rates, plans)
  const range = await source.range(input, firstOfMonth)
  const [rows, operations, months] = await Promise.all([usageRows(source, range, ['plan']), usageRows(source, range, ['plan', 'operation']), activeByMonth(source, range)])
  const costly = costlyRequests(operations, plans)
  const subjectMonths = new Map<string, number>()
  for (const { plan, activeSubjects } of months) if (plan !== null) subjectMonths.set(plan, (subjectMonths.get(plan) ?? 0) + activeSubjects)

  // A plan may have been used in one of the months only, and not in the range.
  const used = new Map(rows.map((row) => [row.plan!, row]))
  const found = [...new Set([...used.keys(), ...subjectMonths.keys()])].toSorted().map((plan) => {
    const { requests = 0, amounts = {}, activeSubjects = 0 } = used.get(plan) ?? {}
    const count = subjectMonths.get(plan) ?? 0
    return { plan, requests, activeSubjects, subjectMonths: count, sums: { cost: costOf(costly.get(plan) ?? 0, amounts), revenue: incomeOf(plan, count) } }
  })
  const all = found.reduce<Sums>(({ cost, revenue }, { sums }) => ({ cost: cost + sums.cost, revenue: revenue === null || sums.revenue === null ? null : revenue + sums.revenue }), { cost: 0n, revenue: 0n })
  return {
    ...range,
    currency,
    rows: found.map(({ sums, ...row }) => ({ ...row, ...balanceOf(sums) })),
    total: { requests: found.reduce((sum, { requests }) => sum + requests, 0), ...balanceOf(all) },
  }
}

function balanceOf({ cost, revenue }: Sums): Pick<EconomicsRow, 'cost' | 'revenue' | 'profit' | 'roi'> {
  if (revenue === null) return { cost: told(cost), revenue, profit: null, roi: null }
  const profit = revenue - cost
  return { cost: told(cost), revenue: told(revenue), profit: told(profit), roi: cost === 0n ? null : Number(profit) / Number(cost) }
}

/** By plan. */
function costlyRequests(rows: readonly UsageRow[], plans: EconomicsQuestion['plans']): Map<string, number> {
  const counted = new Map(Object.entries(plans).map(([name, plan]) => [name, headlineOperations(plan)]))
  const costly = new Map<string, number>()
  for (const { plan = '', operation = '', requests = 0 } of rows) {
    if (counted.get(plan)?.has(operation) ?? true) costly.set(plan, (costly.get(plan) ?? 0) + requests)
  }
  return costly
}

/** What the headline is matched on; none where it counts every operation. */
function headlineOperations({ headline, limits = {} }: PricedPlan): ReadonlySet<string> | undefined {
  const name = headline ?? Object.keys(limits).find((limit) => limits[limit]!.kind === 'quota')
  const operations = name === undefined ? undefined : limits[name]?.match?.['operation']
  return operations === undefined ? undefined : new Set([operations].flat())
}

function pricing({ perRequest = 0.0005, perUnit = {} }: Costs): (requests: number, amounts: Readonly<Record<string, number>>) => bigint {
  const ofRequest = exact(perRequest, 'costs.perRequest')
  const ofUnits = Object.entries(perUnit).map(([meter, cost]) => ({ meter, cost: exact(cost, `costs.perUnit.${meter}`) }))
  return (requests, amounts) => ofUnits.reduce((sum, { meter, cost }) => sum + BigInt(Object.hasOwn(amounts, meter) ? amounts[meter]! : 0) * cost, BigInt(requests) * ofRequest)
}

/** What a plan brings, by the price of 30 days, or of a month. */
function income(currency: string, rates: Readonly<Record<string, number>>, plans: EconomicsQuestion['plans']): (plan: string, subjectMonths: number) => bigint | null {
  if (typeof plans !== 'object' || plans === null) throw invalidRequest('plans', `${show(plans)} are no plans; give their prices by full name, such as { 'worlds/plus': { price } }`)
  const worth = new Map(Object.entries(rates).map(([other, rate]) => [other, exact(rate, `costs.rates.${other}`)]))
  worth.set(currency, exact(1, 'costs.rates'))
  const perMonth = new Map<string, bigint>()
  for (const [plan, { price }] of Object.entries(plans)) {
    const rate = price && worth.get(price.currency)
    if (price === undefined || rate === undefined) continue
    const field = `plans.${plan}.price`
    perMonth.set(plan, (multiply(exact(price.amount, `${field}.amount`), rate) * BigInt(MONTH_MS)) / BigInt(lengthOf(price.every, `${field}.every`)))
  }
  return (plan, subjectMonths) => {
    const price = perMonth.get(plan)
    return price === undefined ? null : price * BigInt(subjectMonths)
  }
}

function lengthOf(every: Price['every'], field: string): number {
  return every === 'day' || every === 'week' || every === 'month' ? EVERY_MS[every] : durationMs(every, field)
}

function assertCurrency(currency: unknown): void {
  if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency)) throw invalidRequest('costs.currency', `${show(currency)} is not a currency; use three capital letters (ISO 4217), such as 'USD'`)
}
