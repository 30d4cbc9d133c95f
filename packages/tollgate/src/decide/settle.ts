import { type Cell, CellKind, type Charge, type Verdict } from './charge.ts'
import { apply, unknownKind } from './kernel.ts'

/**
 * What a settled reservation leaves in its cells. The charge is a copy of the one that was admitted;
 * holds are dropped by the store, in the same step.
 */

const unread: Verdict = { passes: true, used: 0, resetAt: 0, retryAt: 0 }

/** A commit: `actual` was used, `c.amount` was admitted. Recorded in full, above every limit if need be. */
export function commitCharge(c: Charge, cell: Cell, now: number, actual: number): void {
  const { w, at } = cell
  switch (c.kind) {
    case CellKind.quota:
      // Into the period it was reserved in. When that has gone, it is history and the live cell is left alone.
      if (w[at]! > c.startAt) return
      if (w[at] === -Infinity) w[at] = c.startAt
      w[at + 1]! += actual
      return
    case CellKind.capacity:
      w[at] = now
      w[at + 1]! += actual
      // A later release gives back what stands, not what was asked for.
      c.amount = actual
      return
    case CellKind.fixedWindow:
    case CellKind.slidingCounter:
    case CellKind.slidingLog:
    case CellKind.tokenBucket:
      // Guards keep what they counted; only what came on top is added.
      if (actual > c.amount) apply({ ...c, amount: actual - c.amount }, cell, now, unread)
      return
    case CellKind.cooldown:
    case CellKind.concurrency:
    case CellKind.stated:
    case CellKind.anchor:
      return
    default:
      throw unknownKind(c.kind)
  }
}

/** Gives back a unit of capacity whose reservation was committed. */
export function returnCapacity({ w, at }: Cell, now: number, amount: number): void {
  w[at] = now
  w[at + 1] = Math.max(0, w[at + 1]! - amount)
}

/** Takes back an admission as if it had never been, guards included: another store of the same request refused. */
export function undoCharge(c: Charge, cell: Cell, chargedAt: number): void {
  const { w, at } = cell
  switch (c.kind) {
    case CellKind.fixedWindow:
      if (w[at]! <= chargedAt) w[at + 1] = Math.max(0, w[at + 1]! - c.amount)
      return
    case CellKind.slidingCounter: {
      const word = w[at]! <= chargedAt ? at + 1 : w[at]! - c.windowMs <= chargedAt ? at + 2 : 0
      if (word > 0) w[word] = Math.max(0, w[word]! - c.amount)
      return
    }
    case CellKind.slidingLog:
      return undoEntry(cell, chargedAt, c.amount)
    case CellKind.tokenBucket: {
      // What flowed in since is not given again: a bucket that was full meanwhile would hold more than without the charge.
      const flowed = Math.max(0, w[at]! - chargedAt) * c.refill
      w[at + 1] = Math.min(c.max * c.windowMs, w[at + 1]! + Math.max(0, c.amount * c.windowMs - flowed))
      return
    }
    case CellKind.cooldown:
      if (w[at] === chargedAt) w[at] = -Infinity
      return
    case CellKind.quota:
    case CellKind.concurrency:
    case CellKind.capacity:
    case CellKind.stated:
    case CellKind.anchor:
      return
    default:
      throw unknownKind(c.kind)
  }
}

function undoEntry({ w, at, length }: Cell, chargedAt: number, amount: number): void {
  let entry = at + length - 2
  while (entry >= at && w[entry]! > chargedAt) entry -= 2
  if (entry < at || w[entry] !== chargedAt) return
  for (let i = entry; i < at + length; i += 2) w[i + 1]! -= amount
  const before = entry > at ? w[entry - 1]! : 0
  if (w[entry + 1] !== before) return
  w.copyWithin(at + 2, at, entry)
  w[at] = -Infinity
  w[at + 1] = 0
}
