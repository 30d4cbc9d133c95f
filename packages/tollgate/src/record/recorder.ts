import { randomBytes } from 'node:crypto'
import type { Clock } from '../engine/clock.ts'
import { TollgateError } from '../errors/index.ts'
import type { UsageEvent } from './event.ts'
import { EventQueue, type NewEvent } from './queue.ts'
import type { RecordStore } from './store.ts'

/** How long an event waits before it is sent, at most: with the time of a write, what the death of the process can cost. */
const FLUSH_MS = 100
/** It is sent as soon as there are so many. */
const MAX_BATCH = 256
const LONGEST_WAIT_MS = 5000
/** Of events that are lost because too many wait, each so many is told of. */
const TELL_EVERY = 1000
/** After so many refusals, a batch of which nothing could be written is given up. */
const MAX_REFUSALS = 5
const ATTEMPTS_AT_CLOSE = 3

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
  readonly #queue = new EventQueue()
  /** Events that came, and of these how many are written or given up. */
  #came = 0
  #gone = 0
  #batch: readonly UsageEvent[] = []
  #writing: Promise<void> | undefined
  #cancelTimer: (() => void) | undefined
  /** The time has come while a batch was under way. */
  #isDue = false
  /** Attempts in a row that failed, and why the last did. */
  #failures = 0
  #lastError: unknown
  #lost = 0
  #isClosed = false

  constructor(store: RecordStore, clock: Clock, onFailure: (failure: Unrecorded) => void) {
    this.#store = store
    this.#clock = clock
    this.#onFailure = onFailure
  }

  add(event: NewEvent): void {
    const became = this.#isClosed ? 'lost' : this.#queue.add(event)
    if (became === 'joined') return
    if (became === 'lost') {
      if (this.#lost++ % TELL_EVERY === 0) this.#tell(new TollgateError('OVERLOADED', 'too many events wait to be recorded; the database is too slow, or away'))
      return
    }
    this.#came++
    // After a failure the next attempt has its time.
    if (this.#queue.length >= MAX_BATCH && this.#failures === 0) this.#start()
    else this.#startIn(FLUSH_MS)
  }

  /** Whether something of the subject waits to be written. */
  has(subject: string): boolean {
    return this.#queue.has(subject) || this.#batch.some((event) => event.subject === subject)
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

  /** Writes what waits, if the database lets it; what comes later is lost. */
  async close(): Promise<void> {
    try {
      for (let attempt = 1; this.#gone < this.#came; attempt++) {
        try {
          await this.flush()
        } catch (error) {
          if (attempt === ATTEMPTS_AT_CLOSE) throw error
        }
      }
    } finally {
      this.#isClosed = true
      this.#cancelTimer?.()
    }
  }

  #startIn(ms: number): void {
    this.#cancelTimer ??= this.#clock.after(ms, () => this.#start())
  }

  #start(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.#isClosed) return
    this.#isDue = this.#writing !== undefined
    this.#writing ??= this.#write().finally(() => this.#goOn())
  }

  #goOn(): void {
    this.#writing = undefined
    if (this.#gone === this.#came) return
    if (this.#failures > 0) this.#startIn(Math.min(FLUSH_MS * 2 ** this.#failures, LONGEST_WAIT_MS))
    else if (this.#isDue || this.#queue.length >= MAX_BATCH) this.#start()
    else this.#startIn(FLUSH_MS)
  }

  async #write(): Promise<void> {
    if (this.#batch.length === 0) this.#batch = this.#take()
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

  /** Events go in the order in which they came, so that each has its number without being told. */
  #take(): readonly UsageEvent[] {
    const batch = this.#queue.take(MAX_BATCH)
    for (let i = 0; i < batch.length; i++) if (batch[i]!.id === '') batch[i]!.id = `${this.#process}-${(this.#gone + i).toString(36)}`
    return batch
  }

  /** What the database refuses of one event must not keep the others out. */
  async #writeAll(events: readonly UsageEvent[]): Promise<void> {
    try {
      await this.#store.write(events)
    } catch (error) {
      if (isUnavailable(error)) throw error
      const refused = events.length === 1 ? 1 : await this.#writeEach(events)
      // Where nothing is accepted, it is not the event that is wrong.
      if (refused === events.length && this.#failures + 1 < MAX_REFUSALS) throw error
      this.#lost += refused
      if (refused > 0) this.#tell(error)
    }
  }

  async #writeEach(events: readonly UsageEvent[]): Promise<number> {
    let refused = 0
    for (const event of events) {
      try {
        await this.#store.write([event])
      } catch (error) {
        if (isUnavailable(error)) throw error
        refused++
      }
    }
    return refused
  }

  #tell(error: unknown): void {
    this.#onFailure({ error, waiting: this.#came - this.#gone, lost: this.#lost })
  }
}

function isUnavailable(error: unknown): boolean {
  return TollgateError.isInstance(error) && (error.code === 'STORE_UNAVAILABLE' || error.code === 'OVERLOADED' || error.code === 'CLOSED')
}
