import { assertInteger } from '../../compile/request.ts'
import { invalidRequest, show } from '../../errors/index.ts'
import { addDays, type Range, type RangeInput, rangeOf } from './range.ts'
import { ratio } from './shares.ts'
import type { Source } from './source.ts'

export interface ConversionQuestion extends RangeInput {
  /** How long after a denial an upgrade is taken for its effect: 1 … 400 days. Default 30. */
  readonly windowDays?: number | undefined
  /** After how long without use a subject is taken for lost: 1 … 400 days. Default 14. */
  readonly churnDays?: number | undefined
  /** Of each plan, by full name; plans are compared with those of their own set. */
  readonly ranks: Readonly<Record<string, number>>
}

export interface ConversionRow {
  /** Under which they were denied. */
  readonly plan: string
  /** Subjects that were denied in the range. */
  readonly denied: number
  /** Of these, who changed to a plan of a higher rank within the window after the last denial before the change. */
  readonly upgraded: number
  readonly upgradeShare: number
  /** From that denial to the upgrade; null where nobody upgraded. */
  readonly medianMs: number | null
  readonly meanMs: number | null
  /** Those denied whose time to come back is over. */
  readonly judged: number
  /** Of these, who had nothing admitted on the days after the day of their last denial in the range. */
  readonly churned: number
  readonly churnShare: number
}

export interface ConversionReport extends Range {
  readonly rows: readonly ConversionRow[]
}

const DAY_MS = 86_400_000

interface Change {
  readonly subject_id: number
  readonly at: number
  readonly to_plan: string
  readonly plan: string
  readonly denied_at: number
}

/** What follows a denial: an upgrade, or good-bye. @throws INVALID_REQUEST */
export async function conversion(source: Source, { windowDays = 30, churnDays = 14, ranks, ...input }: ConversionQuestion): Promise<ConversionReport> {
  assertInteger(windowDays, 'windowDays', 1, 400)
  assertInteger(churnDays, 'churnDays', 1, 400)
  assertRanks(ranks)
  const now = await source.now()
  const { from, to } = rangeOf(input, source.dayOf(now))
  const windowMs = windowDays * DAY_MS
  // Changes that are announced have their date already.
  const [startAt, endAt] = [source.startOf(from), Math.min(source.startOf(addDays(to, 1)) + windowMs, now + 1)]
  const [found, changes] = await Promise.all([
    source.ask<{ plan: string; denied: number; judged: number; churned: number }>('churned', from, to, churnDays, addDays(source.dayOf(now), -churnDays)),
    source.ask<Change>('changes', from, to, startAt, endAt),
  ])
  const times = firstUpgrades(changes.filter(({ at, denied_at, plan, to_plan }) => at - denied_at <= windowMs && isUpgrade(ranks, plan, to_plan)))
  const rows = found.map(({ plan, denied, judged, churned }) => {
    const own = (times.get(plan) ?? []).toSorted((a, b) => a - b)
    return { plan, denied, upgraded: own.length, upgradeShare: ratio(own.length, denied), medianMs: medianOf(own), meanMs: meanOf(own), judged, churned, churnShare: ratio(churned, judged) }
  })
  return { from, to, rows }
}

/** By plan: how long each subject took. */
function firstUpgrades(upgrades: readonly Change[]): Map<string, number[]> {
  const seen = new Set<string>()
  const times = new Map<string, number[]>()
  for (const { subject_id, plan, at, denied_at } of upgrades) {
    const key = JSON.stringify([subject_id, plan])
    if (seen.has(key)) continue
    seen.add(key)
    times.set(plan, [...(times.get(plan) ?? []), at - denied_at])
  }
  return times
}

function isUpgrade(ranks: Readonly<Record<string, number>>, from: string, to: string): boolean {
  return setOf(from) === setOf(to) && Object.hasOwn(ranks, from) && Object.hasOwn(ranks, to) && ranks[to]! > ranks[from]!
}

/** Of `worlds/free`, `worlds`. */
const setOf = (plan: string): string => plan.slice(0, plan.lastIndexOf('/') + 1)

function medianOf(sorted: readonly number[]): number | null {
  if (sorted.length === 0) return null
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

function meanOf(times: readonly number[]): number | null {
  return times.length === 0 ? null : times.reduce((sum, time) => sum + time, 0) / times.length
}

function assertRanks(ranks: unknown): asserts ranks is Record<string, number> {
  if (typeof ranks !== 'object' || ranks === null) throw invalidRequest('ranks', `${show(ranks)} are no ranks; give one for each plan, such as { 'worlds/free': 0, 'worlds/plus': 1 }`)
  const wrong = Object.entries(ranks).find(([, rank]) => !Number.isFinite(rank))
  if (wrong) throw invalidRequest(`ranks.${wrong[0]}`, `${show(wrong[1])} is not a rank; use a number, higher for a better plan`)
}
