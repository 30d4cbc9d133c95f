import type { CounterStore, DecideCommand, MaybePromise, Outcome, SettleCommand, SettleOutcome, UsageCommand, UsageEntry } from '../stores/store.ts'
import { keptOutcome, keptSettlement } from './driver.ts'

/** What becomes of the next calls. `loses`: done, and the reply is lost. */
export type Behaviour = 'answers' | 'fails' | 'hangs' | 'loses'

/** A store that answers with promises, as a remote one does, and goes wrong when it is told to. */
export class ScriptedStore implements CounterStore {
  readonly name = 'scripted'
  behaviour: Behaviour = 'answers'
  /** Behaviours of single calls to come, before `behaviour` holds again. */
  readonly script: Behaviour[] = []
  /** What was asked for, such as `decide reserve`. */
  readonly calls: string[] = []
  readonly #store: CounterStore
  readonly #hanging: (() => void)[] = []

  constructor(store: CounterStore) {
    this.#store = store
  }

  decide(command: DecideCommand): Promise<Outcome> {
    const kept = { ...command, charges: command.charges.map((c) => ({ ...c })) }
    return this.#answer(`decide ${command.action}`, () => now(this.#store.decide(kept), keptOutcome))
  }

  settle(command: SettleCommand): Promise<SettleOutcome> {
    return this.#answer(`settle ${command.action}`, () => now(this.#store.settle(command), keptSettlement))
  }

  usage(command: UsageCommand): Promise<UsageEntry[]> {
    return this.#answer('usage', () => this.#store.usage(command))
  }

  reset(subject: string, cells: readonly string[] | null): Promise<void> {
    return this.#answer('reset', () => this.#store.reset(subject, cells))
  }

  erase(subject: string): Promise<void> {
    return this.#answer('erase', () => this.#store.erase(subject))
  }

  lastPlan(subject: string): Promise<string | undefined> {
    return this.#answer('lastPlan', () => this.#store.lastPlan(subject))
  }

  knownAnchor(): undefined {
    return undefined
  }

  close(): Promise<void> {
    return this.#answer('close', () => this.#store.close())
  }

  /** Answers what hangs. */
  wake(): void {
    for (const wake of this.#hanging.splice(0)) wake()
  }

  async #answer<T>(call: string, run: () => MaybePromise<T>): Promise<T> {
    this.calls.push(call)
    const behaviour = this.script.shift() ?? this.behaviour
    if (behaviour === 'fails') throw new Error('connection refused')
    if (behaviour === 'hangs') await new Promise<void>((wake) => this.#hanging.push(wake))
    const answer = await run()
    if (behaviour === 'loses') throw new Error('connection reset')
    return answer
  }
}

/** An answer that is there at once is read at once: the store uses it again. */
function now<T, R>(answer: MaybePromise<T>, read: (value: T) => R): MaybePromise<R> {
  return answer instanceof Promise ? answer.then(read) : read(answer)
}
