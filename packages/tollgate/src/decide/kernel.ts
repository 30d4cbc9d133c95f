import { type Cell, CellKind, type Charge, type Verdict } from './charge.ts'
import { heldOf, heldUntil, isHeldAhead, moveHolds, repairHolds, type Holds } from './holds.ts'

/**
 * The kernel: what a charge finds in its cell, and what it leaves there. Pure arithmetic on integers;
 * time is an argument. This is the specification that every store runs or ports.
 *
 * The first word of a cell is an instant, `-Infinity` in a cell never used.
 * `examine` reads only, so a denied request leaves no trace.
 */

/** Fills in the verdict of one charge; returns whether it passes. */
export function examine(c: Charge, cell: Cell, holds: Holds, now: number, v: Verdict): boolean {
  const { w, at } = cell
  switch (c.kind) {
    case CellKind.quota: {
      const startAt = Math.max(w[at]!, c.startAt)
      const settled = startAt === w[at] ? w[at + 1]! : 0
      v.used = settled + (holds.length > 0 ? heldOf(holds, cell.id, startAt, now) : 0)
      // A cell ahead of the clock, after a step back, waits for the end of its own period.
      v.resetAt = startAt > now ? startAt + (c.endAt - c.startAt) : c.endAt
      // The second test denies a request of unknown size (amount 0) once the quota is used up.
      v.passes = v.used + c.amount <= c.max && v.used < c.max
      if (v.passes) break
      v.retryAt = c.amount > c.max || c.max === 0 ? Infinity : Math.min(v.resetAt, heldUntil(holds, cell.id, startAt, now, v.used + Math.max(c.amount, 1) - c.max))
      break
    }
    case CellKind.fixedWindow: {
      const startAt = windowStart(c.windowMs, w[at]!, now)
      v.used = startAt === w[at] ? w[at + 1]! : 0
      v.resetAt = startAt + c.windowMs
      v.passes = v.used + c.amount <= c.max
      v.retryAt = c.amount > c.max ? Infinity : v.resetAt
      break
    }
    case CellKind.slidingCounter: {
      const startAt = windowStart(c.windowMs, w[at]!, now)
      const current = startAt === w[at] ? w[at + 1]! : 0
      const previous = startAt === w[at] ? w[at + 2]! : startAt === w[at]! + c.windowMs ? w[at + 1]! : 0
      v.used = current + Math.ceil((previous * (startAt + c.windowMs - now)) / c.windowMs)
      v.resetAt = current > 0 ? startAt + 2 * c.windowMs : previous > 0 ? startAt + c.windowMs : now
      v.passes = v.used + c.amount <= c.max
      if (!v.passes) v.retryAt = c.amount > c.max ? Infinity : slidingRetryAt(c, startAt, current, previous)
      break
    }
    case CellKind.slidingLog: {
      const live = firstLive(cell, now - c.windowMs)
      const before = totalBefore(cell, live)
      const end = at + cell.length
      v.used = live < end ? w[end - 1]! - before : 0
      v.resetAt = live < end ? w[end - 2]! + c.windowMs : now
      v.passes = v.used + c.amount <= c.max
      if (v.passes) break
      v.retryAt = c.amount > c.max ? Infinity : w[firstReaching(cell, before + v.used + c.amount - c.max)]! + c.windowMs
      break
    }
    case CellKind.tokenBucket: {
      const level = bucketLevel(c, w[at]!, w[at + 1]!, now)
      v.used = c.max - Math.floor(level / c.windowMs)
      v.resetAt = now + Math.ceil((c.max * c.windowMs - level) / c.refill)
      v.passes = level >= c.amount * c.windowMs
      if (!v.passes) v.retryAt = c.amount > c.max ? Infinity : now + Math.ceil((c.amount * c.windowMs - level) / c.refill)
      break
    }
    case CellKind.cooldown: {
      const freeAt = w[at]! + c.windowMs
      v.passes = now >= freeAt || c.amount === 0
      v.used = now >= freeAt ? 0 : 1
      v.resetAt = now >= freeAt ? now : freeAt
      v.retryAt = freeAt
      break
    }
    case CellKind.concurrency: {
      v.used = heldOf(holds, cell.id, 0, now)
      v.resetAt = v.used > 0 ? heldUntil(holds, cell.id, 0, now, v.used) : now
      v.passes = v.used + c.amount <= c.max
      if (!v.passes) v.retryAt = c.amount > c.max ? Infinity : heldUntil(holds, cell.id, 0, now, v.used + c.amount - c.max)
      break
    }
    case CellKind.capacity: {
      v.used = w[at + 1]! + heldOf(holds, cell.id, 0, now)
      v.resetAt = Infinity
      v.passes = v.used + c.amount <= c.max
      if (!v.passes) v.retryAt = heldUntil(holds, cell.id, 0, now, v.used + c.amount - c.max)
      break
    }
    case CellKind.stated: {
      v.used = c.stated
      v.resetAt = Infinity
      v.passes = v.used + c.amount <= c.max
      v.retryAt = Infinity
      break
    }
    case CellKind.anchor: {
      v.used = 0
      v.resetAt = Infinity
      v.passes = true
      break
    }
    default:
      throw unknownKind(c.kind)
  }
  if (v.passes) v.retryAt = 0
  return v.passes
}

/** Counts an admitted charge as used, and brings the verdict up to date. A log has room for one more entry, or `MAX_LOGGED`. */
export function apply(c: Charge, cell: Cell, now: number, v: Verdict): void {
  const { w, at } = cell
  switch (c.kind) {
    case CellKind.quota:
      roll(w, at, Math.max(w[at]!, c.startAt))
      w[at + 1]! += c.amount
      break
    case CellKind.fixedWindow:
      roll(w, at, windowStart(c.windowMs, w[at]!, now))
      w[at + 1]! += c.amount
      break
    case CellKind.slidingCounter: {
      const startAt = windowStart(c.windowMs, w[at]!, now)
      if (startAt !== w[at]) {
        w[at + 2] = startAt === w[at]! + c.windowMs ? w[at + 1]! : 0
        w[at + 1] = 0
        w[at] = startAt
      }
      w[at + 1]! += c.amount
      v.resetAt = w[at + 1]! > 0 ? startAt + 2 * c.windowMs : v.resetAt
      break
    }
    case CellKind.slidingLog:
      if (c.amount === 0) break
      append(cell, now, now - c.windowMs, c.amount)
      v.resetAt = now + c.windowMs
      break
    case CellKind.tokenBucket: {
      const level = bucketLevel(c, w[at]!, w[at + 1]!, now) - c.amount * c.windowMs
      w[at] = now
      w[at + 1] = level
      v.resetAt = now + Math.ceil((c.max * c.windowMs - level) / c.refill)
      break
    }
    case CellKind.cooldown:
      if (c.amount === 0) break
      w[at] = now
      v.used = 1
      v.resetAt = now + c.windowMs
      return
    case CellKind.capacity:
      w[at] = now
      w[at + 1]! += c.amount
      break
    case CellKind.anchor:
      if (w[at] === -Infinity) w[at] = c.startAt
      w[at + 1] = now
      return
    case CellKind.concurrency:
      // What is used at once is held no longer.
      return
    case CellKind.stated:
      break
    default:
      throw unknownKind(c.kind)
  }
  v.used += c.amount
}

/** As `apply` for an admitted charge whose amount is a hold: the cell only moves to the period of the hold. */
export function applyHold(c: Charge, cell: Cell, expiresAt: number, v: Verdict): void {
  if (c.kind === CellKind.quota) roll(cell.w, cell.at, Math.max(cell.w[cell.at]!, c.startAt))
  if (c.kind === CellKind.concurrency) v.resetAt = Math.max(v.resetAt, expiresAt)
  v.used += c.amount
}

/** The newest instant in a cell. */
export function newestAt(c: Charge, { w, at, length }: Cell): number {
  if (length === 0) return -Infinity
  if (c.kind === CellKind.anchor) return w[at] === -Infinity ? -Infinity : w[at + 1]!
  return c.kind === CellKind.slidingLog ? w[at + length - 2]! : w[at]!
}

/** Whether anything in a cell, or held of it, is later than now: the clock was set back. */
export function isAhead(c: Charge, cell: Cell, holds: Holds, now: number): boolean {
  return newestAt(c, cell) > now || (holds.length > 0 && isHeldAhead(holds, cell.id, now))
}

/**
 * Brings a cell that lies in the future back, after the clock was set back. What was used stays used, so nothing
 * refills twice; and the cell waits at most one window from now, a hold as long as it was to last. Periods of a quota
 * have no fixed length: theirs wait for the end of the period they were counted in, unless the clock went back by more
 * than a whole one.
 */
export function repair(c: Charge, cell: Cell, holds: Holds, now: number): void {
  const { w, at, length } = cell
  repairHolds(holds, cell.id, now)
  if (newestAt(c, cell) <= now) return
  switch (c.kind) {
    case CellKind.quota:
      if (w[at]! - now <= c.endAt - c.startAt) return
      moveHolds(holds, cell.id, w[at]!, c.startAt)
      w[at] = c.startAt
      return
    case CellKind.slidingLog: {
      // What had left the window when the newest entry came stays out of it, whether or not it was overwritten since.
      const live = firstLive(cell, newestAt(c, cell) - c.windowMs)
      for (let i = at; i < live; i += 2) w[i] = -Infinity
      for (let i = at + length - 2; i >= live && w[i]! > now; i -= 2) w[i] = now
      return
    }
    case CellKind.anchor:
      w[at + 1] = now
      return
    default:
      w[at] = now
  }
}

/** Whether an admission fits into the cell's words; only a log can be full. */
export function hasRoom(c: Charge, { w, at, length }: Cell, now: number): boolean {
  return c.kind !== CellKind.slidingLog || w[at]! <= now - c.windowMs || w[at + length - 2] === now
}

/** Moves a log into a longer cell: the entries to its end, unused ones before them. */
export function growLog(from: Cell, to: Cell): void {
  const start = to.at + to.length - from.length
  to.w.set(from.w.subarray(from.at, from.at + from.length), start)
}

/**
 * From when on the cell says the same as one never used; an anchor, from when on it may be forgotten.
 * @param refill of a token bucket, the slowest that fills it.
 */
export function forgottenAt(kind: CellKind, { w, at, length }: Cell, retainMs: number, refill: number): number {
  switch (kind) {
    case CellKind.anchor:
      return w[at] === -Infinity ? -Infinity : w[at + 1]! + retainMs
    case CellKind.tokenBucket:
      // A commit above its estimate leaves a debt, which has to flow back in first.
      return w[at]! + retainMs + (w[at + 1]! < 0 ? Math.ceil(-w[at + 1]! / refill) : 0)
    case CellKind.capacity:
      return w[at + 1]! > 0 ? Infinity : -Infinity
    case CellKind.slidingLog:
      return w[at + length - 2]! + retainMs
    default:
      return length > 0 ? w[at]! + retainMs : -Infinity
  }
}

export function unknownKind(kind: never): Error {
  return new Error(`Cell kind ${String(kind)} is not one this version of Tollgate knows; upgrade this process before you use the kind`)
}

function roll(w: Float64Array, at: number, startAt: number): void {
  if (startAt === w[at]) return
  w[at] = startAt
  w[at + 1] = 0
}

/**
 * A window lasts its full length from where it began, which is off the grid after a step back. The next one follows
 * without a gap or an overlap, so that its predecessor weighs in and no three of them meet; after a pause it is the grid's.
 */
export function windowStart(windowMs: number, startAt: number, now: number): number {
  const age = now - startAt
  if (age < windowMs) return startAt
  return age < 2 * windowMs ? startAt + windowMs : now - (now % windowMs)
}

/** The first instant at which the weighted count leaves room for the amount. */
function slidingRetryAt(c: Charge, startAt: number, current: number, previous: number): number {
  const room = c.max - c.amount - current
  if (room >= 0) return startAt + c.windowMs - Math.floor((room * c.windowMs) / previous)
  return startAt + 2 * c.windowMs - Math.floor(((c.max - c.amount) * c.windowMs) / current)
}

/** Units of 1/everyMs tokens: a millisecond adds `refill` of them, so nothing is ever rounded. */
export function bucketLevel(c: Charge, updatedAt: number, level: number, now: number): number {
  const full = c.max * c.windowMs
  // Into a bucket never used, since for ever; one with more than a smaller limit holds is full too.
  const flowed = (now - updatedAt) * c.refill
  return flowed >= full - level ? full : level + flowed
}

/** Index of the first log entry later than `cutoffAt`; the cell's end when there is none. */
export function firstLive({ w, at, length }: Cell, cutoffAt: number): number {
  return lowerBound(at, length, (i) => w[i]! > cutoffAt)
}

function firstReaching({ w, at, length }: Cell, total: number): number {
  return lowerBound(at, length, (i) => w[i + 1]! >= total)
}

/** The running total just before an entry; entries count from 0 where nothing precedes them. */
function totalBefore({ w, at }: Cell, entry: number): number {
  return entry > at ? w[entry - 1]! : 0
}

function lowerBound(at: number, length: number, isBeyond: (i: number) => boolean): number {
  let low = 0
  let high = length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBeyond(at + 2 * middle)) high = middle
    else low = middle + 1
  }
  return at + 2 * low
}

/**
 * Adds one admission at the end; what is live moves forward over an entry that has left the window. A log that is full
 * of live entries takes it into its newest: commits of what nobody estimated pass every limit, so only this bounds it.
 * The count stays exact, and what was in that entry counts a little longer, never shorter.
 */
function append(cell: Cell, now: number, cutoffAt: number, amount: number): void {
  const { w, at, length } = cell
  const last = at + length - 2
  if (w[last] === now) {
    w[last + 1]! += amount
    return
  }
  const live = firstLive(cell, cutoffAt)
  if (live === at) {
    w[last] = now
    w[last + 1]! += amount
    return
  }
  const base = totalBefore(cell, live)
  w.copyWithin(live - 2, live, at + length)
  w[last] = now
  w[last + 1] = (live > last ? base : w[last - 1]!) + amount
  // The entry that held the base is overwritten: its predecessor takes it on, or totals count from 0 again.
  if (live - 2 > at) w[live - 3] = base
  else if (base !== 0) for (let i = at; i <= last; i += 2) w[i + 1]! -= base
}
