import { randomBytes } from 'node:crypto'
import type { Clock } from '../engine/clock.ts'
import { TollgateError } from '../errors/index.ts'
import type { UsageEvent } from './event.ts'
import type { RecordStore } from './store.ts'

/** What is recorded is written after this long at the latest: what the death of process and counter store can cost. */
export const FLUSH_MS = 100
/** Or as soon as there are so many. */
export const MAX_BATCH = 256
/** Events that wait for a database that does not answer: about 20 MB. More are lost, and counted. */
const MAX_WAITING = 20_000
const LONGEST_WAIT_MS = 5000
/** Of events that are lost because too many wait, each so many is told of. */
const TELL_EVERY = 1000
/** Denials of one subject in a second that are recorded one by one. */
const DENIALS_PER_SECOND = 10

/** An event before it is written: it gets its id then, and `count` grows where denials go together. */
export type NewEvent = Omit<UsageEvent, 'id' | 'count'> & { id: string; count: number }

export interface Unrecorded {
  readonly error: unknown
  /** Events that wait to be written, and that were lost so far. */
  readonly waiting: number
  readonly lost: number
}

/**
 * Events on their way to the record: nobody who is answered waits for it. One batch is under way at a time; one whose
 * answer was lost is sent again as it was, and counts once.
 */
export class Recorder {
  readonly #store: RecordStore
  readonly #clock: Clock
  readonly #onFailure: (failure: Unrecorded) => void
  readonly #process = randomBytes(9).toString('base64url')
  /** Events that came, and of these how many are written or lost. */
  #came = 0
  #gone = 0
  readonly #waiting: NewEvent[] = []
  #batch: readonly UsageEvent[] = []
  #writing: Promise<void> | undefined
  #cancelTimer: (() => void) | undefined
  /** Attempts in a row that failed, and why the last did. */
  #failures = 0
  #lastError: unknown
  #lost = 0
  readonly #denials = new Denials()

  constructor(store: RecordStore, clock: Clock, onFailure: (failure: Unrecorded) => void) {
    this.#store = store
    this.#clock = clock
    this.#onFailure = onFailure
  }

  add(event: NewEvent): void {
    if (event.kind === 'denial' && this.#denials.isOneOfMany(event)) return
    if (this.#waiting.length >= MAX_WAITING) {
      if (this.#lost++ % TELL_EVERY === 0) this.#tell(new TollgateError('OVERLOADED', `${MAX_WAITING} events wait to be recorded; the database is too slow, or away`))
      return
    }
    this.#came++
    if (event.kind === 'denial') this.#denials.keep(event)
    this.#waiting.push(event)
    // After a failure the next attempt has its time.
    if (this.#waiting.length >= MAX_BATCH && this.#failures === 0) this.#start()
    else this.#startIn(FLUSH_MS)
  }

  /** Resolves when all that was added before is written. @throws what the store throws meanwhile */
  async flush(): Promise<void> {
    const last = this.#came
    while (this.#gone < last) {
      this.#start()
      await this.#writing
      if (this.#failures > 0) throw this.#lastError
    }
  }

  #startIn(ms: number): void {
    this.#cancelTimer ??= this.#clock.after(ms, () => this.#start())
  }

  #start(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined
      if (this.#gone === this.#came) return
      if (this.#failures > 0) this.#startIn(Math.min(FLUSH_MS * 2 ** this.#failures, LONGEST_WAIT_MS))
      else if (this.#waiting.length >= MAX_BATCH) this.#start()
      else this.#startIn(FLUSH_MS)
    })
  }

  async #write(): Promise<void> {
    if (this.#batch.length === 0) {
      // Events go in the order in which they came, so that each has its number without being told.
      const batch = this.#waiting.splice(0, MAX_BATCH)
      for (let i = 0; i < batch.length; i++) batch[i]!.id = `${this.#process}-${(this.#gone + i).toString(36)}`
      this.#batch = batch
      this.#denials.letGo()
    }
    try {
      await this.#writeAll(this.#batch)
      this.#gone += this.#batch.length
      this.#batch = []
      this.#failures = 0
    } catch (error) {
      this.#failures++
      this.#lastError = error
      this.#tell(error)
    }
  }

  /** What the database refuses of one event must not keep the others out. */
  async #writeAll(events: readonly UsageEvent[]): Promise<void> {
    try {
      await this.#store.write(events)
    } catch (error) {
      if (isUnavailable(error)) throw error
      if (events.length > 1) for (const event of events) await this.#writeAll([event])
      else {
        this.#lost++
        this.#tell(error)
      }
    }
  }

  #tell(error: unknown): void {
    this.#onFailure({ error, waiting: this.#came - this.#gone, lost: this.#lost })
  }
}

/** Denials of a second, so that those of a flood that say the same go into one which waits to be written. */
class Denials {
  #second = 0
  readonly #counts = new Map<string, number>()
  readonly #waiting = new Map<string, NewEvent>()

  isOneOfMany(event: NewEvent): boolean {
    const second = Math.floor(event.at / 1000)
    if (second !== this.#second) {
      this.#counts.clear()
      this.#waiting.clear()
      this.#second = second
    }
    const count = (this.#counts.get(event.subject) ?? 0) + 1
    this.#counts.set(event.subject, count)
    const same = count > DENIALS_PER_SECOND ? this.#waiting.get(keyOf(event)) : undefined
    if (same) same.count++
    return same !== undefined
  }

  keep(event: NewEvent): void {
    this.#waiting.set(keyOf(event), event)
  }

  /** They are about to be written. */
  letGo(): void {
    this.#waiting.clear()
  }
}

const keyOf = ({ subject, plan, operation, mode, violations = [] }: NewEvent): string => JSON.stringify([subject, plan, operation, mode, violations.map(({ limit }) => limit)])

function isUnavailable(error: unknown): boolean {
  return TollgateError.isInstance(error) && (error.code === 'STORE_UNAVAILABLE' || error.code === 'OVERLOADED' || error.code === 'CLOSED')
}
