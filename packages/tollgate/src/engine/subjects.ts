import { TollgateError } from '../errors/index.ts'
import type { MaybePromise } from '../stores/store.ts'

/** What is stored of a subject, apart from its counters. */
export interface SubjectRecord {
  /** Full name of its plan. */
  plan?: string
  /** The plan from an instant on, with limits of its own: a change that waits for the end of a period. */
  nextPlan?: { plan: string; at: number; overrides?: Overrides }
  /** Epoch ms from which its own periods count. */
  anchorAt?: number
  /** The team whose limits, and credits, it shares, as if each request named it in `also`; from when on a plan of the team is stored. */
  team?: string
  /** The operator's own facts; never interpreted. */
  attributes?: Readonly<Record<string, string | number | boolean | null>>
  /** Limits of its own, by name, in place of the plan's: 0 … 2^31−1, or `Infinity`. */
  overrides?: Overrides
}

type Overrides = Readonly<Record<string, number>>

/** A record as it holds at `now`: a change that waited for the end of a period has come by then. */
export function recordAt(record: SubjectRecord | undefined, now: number): SubjectRecord | undefined {
  if (!record?.nextPlan || now < record.nextPlan.at) return record
  const { nextPlan: { plan, overrides }, overrides: _, ...rest } = record
  return { ...rest, plan, ...(overrides && { overrides }) }
}

/** Where subjects are stored. The one in this process is a `Map`; a database's answers later. */
export interface SubjectStore {
  /** `isFresh`: as it is now, where others may have changed it; what is about to be changed must not be an old copy. */
  get(subject: string, isFresh?: boolean): MaybePromise<SubjectRecord | undefined>
  /** What was read, or stored, here last, however long ago: for when the store is away. `undefined` where that is nothing. */
  lastKnown?(subject: string): { readonly record: SubjectRecord | undefined } | undefined
  set(subject: string, record: SubjectRecord): MaybePromise<void>
  delete(subject: string): MaybePromise<void>
}

/** Subjects of this process: at most `max`, 1,000,000 by default. Nothing is forgotten to make room. */
export class MemorySubjects implements SubjectStore {
  readonly #max: number
  readonly #records = new Map<string, SubjectRecord>()

  constructor({ max = 1_000_000 }: { max?: number } = {}) {
    this.#max = max
  }

  get(subject: string): SubjectRecord | undefined {
    return this.#records.size === 0 ? undefined : this.#records.get(subject)
  }

  /** @throws OVERLOADED */
  set(subject: string, record: SubjectRecord): void {
    if (this.#records.size >= this.#max && !this.#records.has(subject)) {
      throw new TollgateError('OVERLOADED', `${this.#max} subjects are stored in memory; raise MemorySubjects' max, or erase some`, { retryAfterMs: 1000 })
    }
    this.#records.set(subject, record)
  }

  delete(subject: string): void {
    this.#records.delete(subject)
  }
}
