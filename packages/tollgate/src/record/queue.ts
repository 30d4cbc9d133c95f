import type { QuotaUse, UsageEvent } from './event.ts'

/** An event before it is written: it gets its id then, unless what happened has a name of its own. */
export type NewEvent = Omit<UsageEvent, 'id' | 'count' | 'amounts' | 'uses'> & { id: string; count: number; amounts: UsageEvent['amounts']; uses: readonly QuotaUse[] }

/** Events that wait one by one: about 20 MB. When there are more, use is summed up by subject, and the rest is lost. */
const MAX_WAITING = 20_000
/** Sums beside them. */
const MAX_SUMMED = 100_000
/** Denials must not take the room of what was used. */
const MAX_DENIALS = 5000
/** Denials of one subject in a second that are recorded one by one. */
const DENIALS_PER_SECOND = 10

/** What waits to be written, in the order in which it came; bounded. */
export class EventQueue {
  readonly #events: NewEvent[] = []
  #denials = 0
  /** Denials of this second: how many of each subject, and those that wait, for others that say the same. */
  #second = 0
  readonly #denied = new Map<string, number>()
  readonly #same = new Map<string, NewEvent>()
  readonly #summed = new Map<string, NewEvent>()

  get length(): number {
    return this.#events.length
  }

  /** Whether it is an event of its own now, a part of one that waits, or lost. */
  add(event: NewEvent): 'waits' | 'joined' | 'lost' {
    if (event.kind === 'denial') return this.#addDenial(event)
    if (this.#events.length >= MAX_WAITING) return this.#sumUp(event)
    this.#events.push(event)
    return 'waits'
  }

  take(count: number): NewEvent[] {
    // What is about to be written grows no more.
    this.#same.clear()
    this.#summed.clear()
    const taken = this.#events.splice(0, count)
    for (const { kind } of taken) if (kind === 'denial') this.#denials--
    return taken
  }

  has(subject: string): boolean {
    return this.#events.some((event) => event.subject === subject)
  }

  #addDenial(event: NewEvent): 'waits' | 'joined' | 'lost' {
    const second = Math.floor(event.at / 1000)
    if (second !== this.#second) {
      this.#denied.clear()
      this.#same.clear()
      this.#second = second
    }
    const count = (this.#denied.get(event.subject) ?? 0) + 1
    this.#denied.set(event.subject, count)
    const key = denialKey(event)
    const same = count > DENIALS_PER_SECOND ? this.#same.get(key) : undefined
    if (same) {
      same.count++
      return 'joined'
    }
    if (this.#denials >= MAX_DENIALS || this.#events.length >= MAX_WAITING) return 'lost'
    this.#denials++
    this.#same.set(key, event)
    this.#events.push(event)
    return 'waits'
  }

  /** In the place of many events of a subject: one, with their sums. */
  #sumUp(event: NewEvent): 'waits' | 'joined' | 'lost' {
    if (event.kind !== 'consume' && event.kind !== 'commit') return 'lost'
    const key = sumKey(event)
    const sum = this.#summed.get(key)
    if (sum) {
      sum.count += event.count
      sum.amounts = added(sum.amounts, event.amounts)
      sum.uses = sum.uses.map((use, i) => ({ ...use, amount: use.amount + event.uses[i]!.amount }))
      return 'joined'
    }
    if (this.#summed.size >= MAX_SUMMED) return 'lost'
    this.#summed.set(key, event)
    this.#events.push(event)
    return 'waits'
  }
}

const denialKey = ({ subject, plan, operation, mode, violations = [] }: NewEvent): string => JSON.stringify([subject, plan, operation, mode, violations.map(({ limit }) => limit)])

/** Of one subject, day and kind of use. */
function sumKey({ kind, subject, at, plan, operation, dimensions, mode, isShared, uses }: NewEvent): string {
  return JSON.stringify([kind, subject, Math.floor(at / QUARTER_MS), plan, operation, dimensions, mode, isShared, uses.map(({ cell, partition, startAt }) => [cell, partition, startAt])])
}

/** Days of every zone begin at a multiple of a quarter of an hour. */
const QUARTER_MS = 900_000

function added(a: UsageEvent['amounts'], b: UsageEvent['amounts']): UsageEvent['amounts'] {
  const sum = { ...a }
  for (const [meter, amount] of Object.entries(b)) sum[meter] = (sum[meter] ?? 0) + amount
  return sum
}
