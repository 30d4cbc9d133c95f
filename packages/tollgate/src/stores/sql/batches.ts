import { TollgateError } from '../../errors/index.ts'
import type { Answer } from '../answer.ts'
import { isLocked } from './unavailable.ts'

export interface BatchOptions<C, A> {
  /** Runs commands in one transaction; answers in their order. It rejects when nothing of it was written. */
  run: (commands: readonly C[]) => Promise<readonly Answer<A>[]>
  /** Commands of one key never run in two transactions at a time. */
  keyOf: (command: C) => string
  /** Commands in one transaction. Default 100: a larger one makes its first caller wait for the last. */
  maxBatch?: number
  /** Transactions at a time. Default 2: while one waits for the disk, the next is made. */
  maxInFlight?: number
  /** Commands that wait. Default 10,000. */
  maxWaiting?: number
}

interface Waiting<C, A> {
  readonly command: C
  readonly key: string
  resolve(value: A): void
  reject(error: unknown): void
}

/**
 * Gathers commands while transactions are under way, and sends them together as soon as one ends: no timer, so a lone
 * command goes at once.
 */
export class Batches<C, A> {
  readonly #options: BatchOptions<C, A>
  readonly #maxBatch: number
  readonly #maxInFlight: number
  readonly #maxWaiting: number
  readonly #busy = new Set<string>()
  #waiting: Waiting<C, A>[] = []
  #inFlight = 0
  #isScheduled = false
  #onIdle: (() => void)[] = []

  constructor(options: BatchOptions<C, A>) {
    this.#options = options
    this.#maxBatch = options.maxBatch ?? 100
    this.#maxInFlight = options.maxInFlight ?? 2
    this.#maxWaiting = options.maxWaiting ?? 10_000
  }

  /** @throws OVERLOADED when too many wait already */
  submit(command: C): Promise<A> {
    if (this.#waiting.length >= this.#maxWaiting) {
      return Promise.reject(new TollgateError('OVERLOADED', `${this.#maxWaiting} commands wait for the database; slow down`, { retryAfterMs: 1000 }))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, key: this.#options.keyOf(command), resolve, reject })
      this.#schedule()
    })
  }

  /** When nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#inFlight > 0 || this.#waiting.length > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  /** What is submitted in one turn goes together. */
  #schedule(): void {
    if (this.#isScheduled || this.#inFlight >= this.#maxInFlight) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.#start()
    })
  }

  #start(): void {
    while (this.#inFlight < this.#maxInFlight) {
      const batch = this.#take()
      if (batch.length === 0) return
      this.#inFlight++
      void this.#finish(batch)
    }
  }

  /** The oldest commands whose keys are free; the others keep their place. */
  #take(): Waiting<C, A>[] {
    const batch: Waiting<C, A>[] = []
    const left: Waiting<C, A>[] = []
    const blocked = new Set<string>()
    for (const each of this.#waiting) {
      // A command never overtakes an earlier one of its key.
      if (batch.length < this.#maxBatch && !this.#busy.has(each.key) && !blocked.has(each.key)) batch.push(each)
      else {
        left.push(each)
        blocked.add(each.key)
      }
    }
    this.#waiting = left
    for (const { key } of batch) this.#busy.add(key)
    return batch
  }

  async #finish(batch: Waiting<C, A>[]): Promise<void> {
    await this.#run(batch)
    for (const { key } of batch) this.#busy.delete(key)
    this.#inFlight--
    this.#start()
    if (this.#inFlight > 0 || this.#waiting.length > 0) return
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  async #run(batch: Waiting<C, A>[]): Promise<void> {
    try {
      const answers = await this.#options.run(batch.map(({ command }) => command))
      batch.forEach((each, i) => settle(each, answers[i]!))
    } catch (error) {
      // Nothing was written. What the database refuses of one command must not fail the others, nor hold them up.
      if (batch.length === 1 || !isOfOne(error)) for (const each of batch) each.reject(error)
      else await Promise.all([...new Set(batch.map(({ key }) => key))].map((key) => this.#runEach(batch.filter((each) => each.key === key))))
    }
  }

  async #runEach(commands: readonly Waiting<C, A>[]): Promise<void> {
    for (const each of commands) await this.#run([each])
  }
}

function settle<C, A>({ resolve, reject }: Waiting<C, A>, answer: Answer<A>): void {
  if ('error' in answer) reject(answer.error)
  else resolve(answer.value)
}

/** An error of the data, or a row that somebody keeps locked; not of the connection: that would only repeat. */
function isOfOne(error: unknown): boolean {
  if (!TollgateError.isInstance(error)) return true
  return isLocked(error) || (error.code !== 'STORE_UNAVAILABLE' && error.code !== 'OVERLOADED' && error.code !== 'CLOSED')
}
