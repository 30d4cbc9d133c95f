import { CellKind, type Charge, type Verdict } from '../../decide/charge.ts'
import { type Entry, entryOf, type Hold } from './entries.ts'
import { dated, fullLevel, levelAt, windowAt } from './guards.ts'

/**
 * What limits mean, written as plainly as can be: every question is answered from the whole list of what happened to a
 * cell, the first instant of anything is found by trying, and nothing is shared with the kernel. Slow on purpose.
 */

/** What a charge finds now. */
export function look(c: Charge, entries: readonly Entry[], holds: readonly Hold[], now: number): Verdict {
  const known = [...entries, entryOf('seen', now, c)]
  const held = holdsAfter(c, entries, holds, now)
  const fits = (at: number): boolean => passes(c, known, held, now, at)
  const isFree = (at: number): boolean => usedAt(c, known, held, now, at) <= 0
  const result = { passes: fits(now), used: usedAt(c, known, held, now, now), retryAt: 0, resetAt: Infinity }
  if (!result.passes) result.retryAt = firstInstant(now + 1, fits)
  if (c.kind === CellKind.quota) result.resetAt = periodEnd(c, known, now)
  else if (c.kind === CellKind.fixedWindow) result.resetAt = windowAt(c.windowMs, known, now).startAt + c.windowMs
  else if (c.kind === CellKind.tokenBucket) result.resetAt = firstInstant(now, (at) => levelAt(c, known, at) === fullLevel(c))
  else if (c.kind !== CellKind.capacity && c.kind !== CellKind.stated && c.kind !== CellKind.anchor) result.resetAt = firstInstant(now, isFree)
  return result
}

/** The holds of a cell after a request looked at it: none was taken later than now, all are of the cell's period. */
export function holdsAfter(c: Charge, entries: readonly Entry[], holds: readonly Hold[], now: number): Hold[] {
  const from = quotaOf(entries).period
  const to = quotaOf([...entries, entryOf('seen', now, c)]).period
  return holds.map((hold) => {
    const late = Math.max(0, hold.takenAt - now)
    const period = c.kind === CellKind.quota && hold.period === from ? to : hold.period
    return { ...hold, period, takenAt: hold.takenAt - late, until: hold.until - late }
  })
}

/** The period that a quota's cell counts in, and what is settled in it. */
export function quotaOf(entries: readonly Entry[]): { period: number; settled: number } {
  let period = -Infinity
  let settled = 0
  for (const { what, at, charge, amount, since } of entries) {
    if (what === 'seen') {
      // More than a whole period ahead of the clock: counted in the clock's period instead.
      if (period - at > charge.endAt - charge.startAt) period = charge.startAt
    } else if (what === 'recorded') {
      if (period > since) continue
      if (period === -Infinity) period = since
      settled += amount
    } else {
      if (charge.startAt > period) [period, settled] = [charge.startAt, 0]
      settled += amount
    }
  }
  return { period, settled }
}

function passes(c: Charge, entries: readonly Entry[], holds: readonly Hold[], now: number, at: number): boolean {
  if (c.kind === CellKind.anchor) return true
  if (c.kind === CellKind.tokenBucket) return levelAt(c, entries, at) >= BigInt(c.amount) * BigInt(c.windowMs)
  const used = usedAt(c, entries, holds, now, at)
  if (c.kind === CellKind.cooldown) return used === 0 || c.amount === 0
  // A request of unknown size needs a quota that is not used up.
  return used + c.amount <= c.max && (c.kind !== CellKind.quota || used < c.max)
}

/** How much is used at an instant from now on, if nothing else happens. */
function usedAt(c: Charge, entries: readonly Entry[], holds: readonly Hold[], now: number, at: number): number {
  switch (c.kind) {
    case CellKind.quota: {
      if (at >= periodEnd(c, entries, now)) return 0
      const { period, settled } = quotaOf(entries)
      const current = Math.max(period, c.startAt)
      return (current === period ? settled : 0) + heldAt(holds.filter((hold) => hold.period === current), at)
    }
    case CellKind.fixedWindow:
      return windowAt(c.windowMs, entries, at).count
    case CellKind.slidingCounter: {
      const { startAt, count, previous } = windowAt(c.windowMs, entries, at)
      const weighted = BigInt(previous) * BigInt(startAt + c.windowMs - at)
      return count + Number((weighted + BigInt(c.windowMs) - 1n) / BigInt(c.windowMs))
    }
    case CellKind.slidingLog:
      return dated(entries).reduce((sum, entry) => sum + (entry.at > at - c.windowMs ? entry.amount : 0), 0)
    case CellKind.tokenBucket:
      return Number(BigInt(c.max) - floorDivided(levelAt(c, entries, at), BigInt(c.windowMs)))
    case CellKind.cooldown: {
      const last = dated(entries).at(-1)
      return last && !last.isUndone && at < last.at + c.windowMs ? 1 : 0
    }
    case CellKind.concurrency:
      return heldAt(holds, at)
    case CellKind.capacity:
      return entries.reduce((count, { what, amount }) => (what === 'given' ? Math.max(0, count - amount) : count + amount), 0) + heldAt(holds, at)
    case CellKind.stated:
      return c.stated
    case CellKind.anchor:
      return 0
  }
}

function heldAt(holds: readonly Hold[], at: number): number {
  return holds.reduce((sum, { amount, until }) => sum + (at < until ? amount : 0), 0)
}

function periodEnd(c: Charge, entries: readonly Entry[], now: number): number {
  const { period } = quotaOf(entries)
  return period > now ? period + (c.endAt - c.startAt) : c.endAt
}

function floorDivided(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b < 0n ? quotient - 1n : quotient
}

/** The first instant from `from` on at which something holds that then holds for good; `Infinity` when it never does. */
function firstInstant(from: number, holds: (at: number) => boolean): number {
  let low = from
  let high = Number.MAX_SAFE_INTEGER
  if (!holds(high)) return Infinity
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
