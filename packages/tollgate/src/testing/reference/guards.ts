import type { Charge } from '../../decide/charge.ts'
import { type Entry, once } from './entries.ts'

/**
 * Admissions with the instants they count from: none is later than the clock was when it was next looked at. What had
 * left the window when the next one came stays out of it.
 */
export const dated = once((entries) => {
  let list: { at: number; amount: number; isUndone: boolean }[] = []
  for (const { at, amount, isUndone, charge } of entries) {
    if (list.length > 0 && list.at(-1)!.at > at) list = list.map((earlier) => ({ ...earlier, at: Math.min(earlier.at, at) }))
    if (amount === 0) continue
    if (list.length > 0 && list[0]!.at <= at - charge.windowMs) list = list.filter((earlier) => earlier.at > at - charge.windowMs)
    list.push({ at, amount: isUndone ? 0 : amount, isUndone })
  }
  return list
})

interface Window {
  startAt: number
  count: number
  previous: number
}

/** Windows follow one another; each lasts its full length from where it began, and begins on the grid after a pause. */
function moved(window: Window, windowMs: number, at: number): Window {
  if (at < window.startAt + windowMs) return window
  const isNext = at < window.startAt + 2 * windowMs
  return { startAt: isNext ? window.startAt + windowMs : Math.floor(at / windowMs) * windowMs, count: 0, previous: isNext ? window.count : 0 }
}

const lastWindow = once((entries): Window => {
  let current: Window = { startAt: -Infinity, count: 0, previous: 0 }
  for (const { what, at, charge, amount, isUndone } of entries) {
    if (at < current.startAt) current = { ...current, startAt: at }
    if (what === 'seen') continue
    current = { ...moved(current, charge.windowMs, at) }
    if (!isUndone) current.count += amount
  }
  return current
})

export const windowAt = (windowMs: number, entries: readonly Entry[], at: number): Window => moved(lastWindow(entries), windowMs, at)

export const fullLevel = (c: Charge): bigint => BigInt(c.max) * BigInt(c.windowMs)

/** A bucket's tokens in parts of 1/windowMs, and since when; `null` before the first use, when it is full. */
type Level = { level: bigint; since: number } | null

function flowed(bucket: Level, c: Charge, at: number): bigint {
  if (bucket === null) return fullLevel(c)
  const level = bucket.level + BigInt(Math.max(0, at - bucket.since)) * BigInt(c.refill)
  return level < fullLevel(c) ? level : fullLevel(c)
}

const lastLevel = once((entries): Level => {
  let bucket: Level = null
  for (const { what, at, amount, charge, since } of entries) {
    const tokens = BigInt(amount) * BigInt(charge.windowMs)
    if (what === 'used') bucket = { level: flowed(bucket, charge, at) - tokens, since: at }
    else if (bucket === null) continue
    else if (what === 'seen') bucket.since = Math.min(bucket.since, at)
    else {
      // Given back: but not a second time what has flowed in since it was taken.
      const refilled = BigInt(Math.max(0, bucket.since - since)) * BigInt(charge.refill)
      if (tokens > refilled) bucket.level += tokens - refilled
      bucket.level = flowed(bucket, charge, bucket.since)
    }
  }
  return bucket
})

export const levelAt = (c: Charge, entries: readonly Entry[], at: number): bigint => flowed(lastLevel(entries), c, at)
