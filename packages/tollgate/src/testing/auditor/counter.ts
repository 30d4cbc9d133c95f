import type { MetLimit } from './limits.ts'

/** One thing that counts, or did. */
interface Entry {
  id: string | undefined
  at: number
  amount: number
  /** Start of the quota's period it counts in; 0 for other kinds. */
  label: number
  /** When a hold frees itself; `null` once it is settled, and for guards. */
  until: number | null
  isCertain: boolean
  /** Came on top with a commit: counted, but not admitted. */
  isExtra: boolean
}

export interface Bounds {
  /** Counts for certain. */
  low: number
  /** The most that may count; `Infinity` where a clock that was set back leaves the store a choice. */
  high: number
}

/** A hold may count this long after its expiry (promise 3). */
const GRACE_MS = 1000
/** Of an amount that may count in whatever period it is. */
const ANY_LABEL = Infinity

/**
 * All that is counted of one limit of one subject, as a list. When the clock steps back, the auditor assumes what is best
 * for the subject: what lies in the future moves to now, what had gone stays gone. So `low` is never too high.
 */
export class Counter {
  #entries: Entry[] = []
  #label = -Infinity
  #endAt = -Infinity
  #isStepped = false
  /** Of a token bucket, in tokens × window. */
  #level: number | undefined
  #levelAt = 0
  /** Units that denied requests asked for, and what ended, since the store's count was last seen to be right. */
  denied = 0
  refunds = 0
  hasOverspent = false

  /** @param label start of the period that the clock is in. */
  bounds(limit: MetLimit, at: number, label: number): Bounds {
    const bounds = this.#count(limit, at, Math.max(this.#label, label))
    if (this.#isStepped) bounds.high = Infinity
    return bounds
  }

  /** Held longer than allowed, if the store still counts it. */
  expired(at: number): number {
    return sum(this.#entries.filter(({ until }) => until !== null && until + GRACE_MS <= at))
  }

  /** Admissions in the window that ends now, this one included; of an approximate window more than the limit may be there. */
  admittedInWindow({ windowMs }: MetLimit, at: number): number {
    return sum(this.#entries.filter((entry) => !entry.isExtra && entry.isCertain && entry.at > at - windowMs))
  }

  /** A request, also one that is denied, finds that what was counted more than a period ahead counts in the clock's. */
  see(at: number, label: number, lengthMs: number): void {
    if (this.#label - at <= lengthMs) return
    for (const entry of this.#entries) if (entry.label === this.#label) entry.label = label
    this.#label = label
  }

  admit(limit: MetLimit, at: number, label: number, lengthMs: number, isCertain: boolean, hold?: { id: string; expiresAt: number }): number {
    if (label > this.#label) {
      // A period that is over is history, also if the clock comes back to it.
      if (limit.kind === 'quota') this.#drop((entry) => entry.label < label)
      this.#label = label
    }
    this.#endAt = this.#label + lengthMs
    // Nobody will ask for it again.
    this.#drop((entry) => (entry.until !== null ? entry.until + 2 * GRACE_MS < at : limit.windowMs > 0 && entry.at <= at - 2 * limit.windowMs))
    const isHeld = isHeldKind(limit.kind)
    if (limit.kind === 'concurrency' && !hold) return this.#label
    if (limit.kind === 'tokenBucket' && isCertain) this.#take(limit, at, limit.amount)
    // Nobody knows whether it was taken.
    else if (limit.kind === 'tokenBucket') this.#isStepped = true
    this.#entries.push({ id: hold?.id, at, amount: limit.amount, label: this.#label, until: isHeld && hold ? hold.expiresAt : null, isCertain, isExtra: false })
    return this.#label
  }

  /** @param isCertain whether the period that it was reserved in is one of this counter's. */
  commit(limit: MetLimit, id: string, at: number, label: number, actual: number, isCertain: boolean): void {
    const isKept = limit.kind === 'quota' || limit.kind === 'capacity'
    if (isHeldKind(limit.kind)) this.#drop((entry) => entry.id === id)
    if (limit.kind === 'quota' && isCertain && label < this.#label) return
    if (limit.kind === 'quota' && isCertain && this.#label === -Infinity) this.#label = label
    if (isKept) this.#entries.push({ id, at, amount: actual, label: limit.kind !== 'quota' ? 0 : isCertain ? this.#label : ANY_LABEL, until: null, isCertain, isExtra: false })
    else if (limit.kind !== 'cooldown' && limit.kind !== 'concurrency' && actual > limit.amount) {
      if (limit.kind === 'tokenBucket') this.#take(limit, at, actual - limit.amount)
      this.#entries.push({ id, at, amount: actual - limit.amount, label: 0, until: null, isCertain: true, isExtra: true })
    }
    if (actual > limit.amount) this.hasOverspent = true
  }

  release(limit: MetLimit, id: string): void {
    if (!isHeldKind(limit.kind)) return
    this.#drop((entry) => entry.id === id)
    this.refunds++
  }

  undo(limit: MetLimit, id: string): void {
    this.#drop((entry) => entry.id === id)
    this.refunds++
    if (limit.kind !== 'tokenBucket' || this.#level === undefined) return
    this.#level += limit.amount * limit.windowMs
    // A bucket that was full meanwhile gives less back: how much is the store's to know.
    this.#isStepped = true
  }

  extend(id: string, at: number, until: number): void {
    for (const entry of this.#entries) if (entry.id === id && entry.until !== null && until > entry.until) Object.assign(entry, { at, until })
  }

  /** The clock was `from` and is `to`, earlier. */
  stepBack(limit: MetLimit, from: number, to: number): void {
    const { windowMs } = limit
    if (limit.kind === 'tokenBucket' && this.#level !== undefined) {
      this.#flow(limit, from)
      this.#levelAt = to
    }
    if (limit.kind === 'quota' && this.#endAt <= from) this.#drop(() => true)
    this.#drop(({ at, until }) => (until !== null ? until <= from : windowMs > 0 && at <= from - windowMs))
    for (const entry of this.#entries) {
      if (entry.at <= to) continue
      if (entry.until !== null) entry.until -= entry.at - to
      entry.at = to
    }
    this.#isStepped = true
  }

  #count(limit: MetLimit, at: number, label: number): Bounds {
    const { windowMs } = limit
    switch (limit.kind) {
      case 'quota':
        return boundsOf(this.#entries.filter((entry) => entry.label === label || entry.label === ANY_LABEL), at)
      case 'concurrency':
      case 'capacity':
        return boundsOf(this.#entries, at)
      case 'duplicates':
        return this.#since(at - windowMs)
      case 'cooldown':
        return { low: Math.min(1, this.#since(at - windowMs).low), high: Math.min(1, this.#since(at - windowMs).high) }
      case 'tokenBucket':
        this.#flow(limit, at)
        return same(limit.max - Math.floor((this.#level ?? limit.max * windowMs) / windowMs))
      case 'fixedWindow':
        return this.#isStepped ? { low: 0, high: Infinity } : this.#since(gridStart(at, windowMs) - 1)
      case 'slidingWindow': {
        if (limit.definition.kind === 'slidingWindow' && limit.definition.exact) return this.#since(at - windowMs)
        if (this.#isStepped) return { low: 0, high: Infinity }
        const startAt = gridStart(at, windowMs)
        const current = this.#since(startAt - 1)
        const both = this.#since(startAt - windowMs - 1)
        const weighted = (k: keyof Bounds): number => current[k] + Math.ceil(((both[k] - current[k]) * (startAt + windowMs - at)) / windowMs)
        return { low: weighted('low'), high: weighted('high') }
      }
      case 'allowOnly':
        return same(0)
    }
  }

  #since(cutoffAt: number): Bounds {
    const live = this.#entries.filter((entry) => entry.at > cutoffAt)
    return { low: sum(live.filter(({ isCertain }) => isCertain)), high: sum(live) }
  }

  #take(limit: MetLimit, at: number, amount: number): void {
    this.#level ??= limit.max * limit.windowMs
    this.#flow(limit, at)
    this.#level -= amount * limit.windowMs
    this.#levelAt = at
  }

  #flow({ definition, max, windowMs }: MetLimit, at: number): void {
    if (this.#level === undefined || definition.kind !== 'tokenBucket') return
    this.#level = Math.min(max * windowMs, this.#level + Math.max(0, at - this.#levelAt) * definition.refill)
    this.#levelAt = Math.max(this.#levelAt, at)
  }

  #drop(isGone: (entry: Entry) => boolean): void {
    this.#entries = this.#entries.filter((entry) => !isGone(entry))
  }
}

/** Limits whose reservations are holds: given back on release, freed at expiry. */
export function isHeldKind(kind: MetLimit['kind']): boolean {
  return kind === 'quota' || kind === 'concurrency' || kind === 'capacity'
}

function boundsOf(entries: readonly Entry[], at: number): Bounds {
  return {
    low: sum(entries.filter(({ until, isCertain }) => isCertain && (until === null || at < until))),
    high: sum(entries.filter(({ until }) => until === null || at < until + GRACE_MS)),
  }
}

const gridStart = (at: number, windowMs: number): number => Math.floor(at / windowMs) * windowMs
const same = (used: number): Bounds => ({ low: used, high: used })
const sum = (entries: readonly Entry[]): number => entries.reduce((total, { amount }) => total + amount, 0)
