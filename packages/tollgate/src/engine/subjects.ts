import type { MaybePromise } from '../stores/store.ts'

/** What is stored of a subject, apart from its counters. */
export interface SubjectRecord {
  /** Full name of its plan. */
  plan?: string
  /** Epoch ms from which its own periods count. */
  anchorAt?: number
  /** The team whose limits it shares. */
  team?: string
  /** The operator's own facts; never interpreted. */
  attributes?: Readonly<Record<string, string | number | boolean | null>>
  /** Limits of its own, by name, in place of the plan's: 0 … 2^31−1, or `Infinity`. */
  overrides?: Readonly<Record<string, number>>
}

/** Where subjects are stored. The one in this process is a `Map`; a database's answers later. */
export interface SubjectStore {
  get(subject: string): MaybePromise<SubjectRecord | undefined>
  set(subject: string, record: SubjectRecord): MaybePromise<void>
  delete(subject: string): MaybePromise<void>
}

/** Subjects of this process. */
export class MemorySubjects implements SubjectStore {
  readonly #records = new Map<string, SubjectRecord>()

  get(subject: string): SubjectRecord | undefined {
    return this.#records.size === 0 ? undefined : this.#records.get(subject)
  }

  set(subject: string, record: SubjectRecord): void {
    this.#records.set(subject, record)
  }

  delete(subject: string): void {
    this.#records.delete(subject)
  }
}
