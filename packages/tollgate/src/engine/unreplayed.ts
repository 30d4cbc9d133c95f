import type { Catalog } from '../compile/catalog.ts'
import type { LimitProgram } from '../compile/program.ts'
import { CellKind, type Charge } from '../decide/charge.ts'
import type { Clock } from './clock.ts'

/** Sums of one subject, limit and period that are kept: about 40 MB. */
const MAX_SUMS = 100_000
/** Of use that finds no room, each so many is told of. */
const TELL_EVERY = 1000
/** What is over makes room at most so often. */
const TIDY_EVERY_MS = 60_000

/** What a subject used of one quota in one of its periods. */
export interface Sum {
  readonly limit: LimitProgram
  readonly partition: string
  readonly startAt: number
  readonly endAt: number
  /** The last use. */
  usedAt: number
  amount: number
}

/** What goes to the store as one request. */
export interface Batch {
  /** Of the last use. */
  plan: string
  /** The first use. */
  readonly firstAt: number
  /** Where this process believed the subject's own periods to start; `undefined` where that is stored of it. */
  anchor: { readonly startAt: number; readonly retainMs: number } | undefined
  readonly sums: Map<string, Sum>
  /** Set when it is sent first: from then on it is what it is, whatever is used meanwhile. */
  markedAt: number | undefined
}

/** What was admitted without the store and waits for it, by subject; bounded. */
export class UnreplayedUse {
  readonly #clock: Clock
  readonly #onLost: (lost: number) => void
  readonly #limits: ReadonlyMap<string, LimitProgram>
  /** The oldest batch first; only the last one still grows. */
  readonly #batches = new Map<string, Batch[]>()
  #sums = 0
  #lost = 0
  #tidiedAt = -Infinity

  constructor(clock: Clock, catalog: Catalog, onLost: (lost: number) => void) {
    this.#clock = clock
    this.#onLost = onLost
    this.#limits = new Map(catalog.programs.flatMap(({ limits }) => limits.map((limit) => [limit.charge.cell, limit])))
  }

  get sums(): number {
    return this.#sums
  }

  /** Of subjects. */
  get size(): number {
    return this.#batches.size
  }

  has(subject: string): boolean {
    return this.#batches.has(subject)
  }

  subjects(): IterableIterator<string> {
    return this.#batches.keys()
  }

  oldest(subject: string): Batch | undefined {
    return this.#batches.get(subject)?.[0]
  }

  /** @param amounts of a commit, by meter: what is not named keeps its reserved amount. */
  add(subject: string, plan: string, charges: readonly Charge[], amounts: Readonly<Record<string, number>> = NO_AMOUNTS): void {
    const now = this.#clock.now()
    const batches = this.#batches.get(subject) ?? []
    const last = batches.at(-1)
    const isNew = last === undefined || last.markedAt !== undefined
    const batch: Batch = isNew ? { plan, firstAt: now, anchor: undefined, sums: new Map(), markedAt: undefined } : last
    for (const c of charges) {
      if (c.kind === CellKind.anchor) batch.anchor = { startAt: c.startAt, retainMs: c.retainMs }
      const actual = amounts[c.meter]
      const amount = actual === undefined ? c.amount : actual * c.weight
      if (c.kind === CellKind.quota && amount > 0) this.#count(batch, c, amount, now)
    }
    if (batch.sums.size === 0) return
    batch.plan = plan
    if (isNew) batches.push(batch)
    this.#batches.set(subject, batches)
  }

  /** The store has it, or need not. */
  remove(subject: string, batch: Batch): void {
    const batches = this.#batches.get(subject)
    if (batches?.[0] !== batch) return
    batches.shift()
    this.#sums -= batch.sums.size
    if (batches.length === 0) this.#batches.delete(subject)
  }

  forget(subject: string): void {
    for (const { sums } of this.#batches.get(subject) ?? []) this.#sums -= sums.size
    this.#batches.delete(subject)
  }

  #count({ sums }: Batch, { cell, partition, startAt, endAt }: Charge, amount: number, now: number): void {
    const key = JSON.stringify([cell, partition, startAt])
    const sum = sums.get(key)
    if (sum) {
      sum.amount += amount
      sum.usedAt = now
      return
    }
    if (this.#sums >= MAX_SUMS) this.#tidy(now)
    if (this.#sums >= MAX_SUMS) {
      if (this.#lost++ % TELL_EVERY === 0) this.#onLost(this.#lost)
      return
    }
    this.#sums++
    sums.set(key, { limit: this.#limits.get(cell)!, partition, startAt, endAt, usedAt: now, amount })
  }

  /** Removes what is over. */
  #tidy(now: number): void {
    if (now - this.#tidiedAt < TIDY_EVERY_MS) return
    this.#tidiedAt = now
    for (const batches of this.#batches.values()) {
      for (const { sums, markedAt } of batches) {
        if (markedAt !== undefined) continue
        for (const [key, { endAt }] of sums) if (endAt <= now && sums.delete(key)) this.#sums--
      }
    }
  }
}

const NO_AMOUNTS: Readonly<Record<string, number>> = {}
