import type { UsageEvent } from './event.ts'

/** Where the record is written to. */
export interface RecordStore {
  /** Writes events, each once by its id, with all sums that they change: everything, or nothing. */
  write(events: readonly UsageEvent[]): Promise<void>
  /** What a counter store has to know again of a subject when it was lost: totals of periods that are not over. */
  totals(subject: string, now: number): Promise<RecordedSubject | undefined>
  /** Removes what is personal; sums stay, of nobody. */
  erase(subject: string): Promise<void>
}

export interface RecordedSubject {
  readonly anchorAt?: number
  readonly lastPlan?: string
  readonly totals: readonly RecordedTotal[]
}

export interface RecordedTotal {
  readonly cell: string
  readonly partition: string
  readonly startAt: number
  readonly endAt: number
  readonly used: number
}
