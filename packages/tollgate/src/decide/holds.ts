/**
 * Open holds of one record, six numbers each: cell id, serial of the reservation, amount,
 * expiry, start of the period it was taken in, when it was taken or last extended. A hold counts while
 * `now < expiresAt`: an abandoned reservation frees itself everywhere at the same instant, without anybody sweeping.
 */
export type Holds = number[]

const SIZE = 6

/** What is held of a cell now, taken in the period that starts at `startAt`. */
export function heldOf(holds: Holds, cell: number, startAt: number, now: number): number {
  let sum = 0
  for (let i = 0; i < holds.length; i += SIZE) {
    if (holds[i] === cell && holds[i + 3]! > now && holds[i + 4] === startAt) sum += holds[i + 2]!
  }
  return sum
}

/** The instant at which holds that amount to `needed` have expired; `Infinity` when they never free as much. */
export function heldUntil(holds: Holds, cell: number, startAt: number, now: number, needed: number): number {
  const live: [expiresAt: number, amount: number][] = []
  for (let i = 0; i < holds.length; i += SIZE) {
    if (holds[i] === cell && holds[i + 3]! > now && holds[i + 4] === startAt) live.push([holds[i + 3]!, holds[i + 2]!])
  }
  live.sort((a, b) => a[0] - b[0])
  let freed = 0
  for (const [expiresAt, amount] of live) {
    freed += amount
    if (freed >= needed) return expiresAt
  }
  return Infinity
}

export function addHold(holds: Holds, cell: number, serial: number, amount: number, now: number, expiresAt: number, startAt: number): void {
  holds.push(cell, serial, amount, expiresAt, startAt, now)
}

/** Removes the holds of a reservation. Returns whether there were any. */
export function dropHolds(holds: Holds, serial: number): boolean {
  return compact(holds, (i) => holds[i + 1] !== serial)
}

/** Whether any hold on a cell is open. */
export function isHeldNow(holds: Holds, cell: number, now: number): boolean {
  for (let i = 0; i < holds.length; i += SIZE) if (holds[i] === cell && holds[i + 3]! > now) return true
  return false
}

/** Removes every hold on the cells for which `isGone` says so. */
export function dropCells(holds: Holds, isGone: (cell: number) => boolean): void {
  compact(holds, (i) => !isGone(holds[i]!))
}

export function dropExpired(holds: Holds, now: number): void {
  compact(holds, (i) => holds[i + 3]! > now)
}

/** Makes the holds of a reservation last at least until `expiresAt`. One that the clock was set back behind is brought back first. */
export function extendHolds(holds: Holds, serial: number, now: number, expiresAt: number): void {
  for (let i = 0; i < holds.length; i += SIZE) {
    if (holds[i + 1] !== serial) continue
    bringBack(holds, i, now)
    if (holds[i + 3]! >= expiresAt) continue
    holds[i + 3] = expiresAt
    holds[i + 5] = now
  }
}

/** Whether the clock was set back behind a hold on a cell. */
export function isHeldAhead(holds: Holds, cell: number, now: number): boolean {
  for (let i = 0; i < holds.length; i += SIZE) if (holds[i] === cell && holds[i + 5]! > now) return true
  return false
}

/** Holds that were taken later than now were taken now, and last as long as they were to (see `repair`). */
export function repairHolds(holds: Holds, cell: number, now: number): void {
  for (let i = 0; i < holds.length; i += SIZE) if (holds[i] === cell) bringBack(holds, i, now)
}

function bringBack(holds: Holds, i: number, now: number): void {
  if (holds[i + 5]! <= now) return
  holds[i + 3]! -= holds[i + 5]! - now
  holds[i + 5] = now
}

/** Moves holds of a cell to another start of the same period (see `repair`). */
export function moveHolds(holds: Holds, cell: number, fromStartAt: number, toStartAt: number): void {
  for (let i = 0; i < holds.length; i += SIZE) if (holds[i] === cell && holds[i + 4] === fromStartAt) holds[i + 4] = toStartAt
}

function compact(holds: Holds, keep: (i: number) => boolean): boolean {
  let to = 0
  for (let i = 0; i < holds.length; i += SIZE) {
    if (!keep(i)) continue
    if (to !== i) holds.copyWithin(to, i, i + SIZE)
    to += SIZE
  }
  const changed = to !== holds.length
  holds.length = to
  return changed
}
