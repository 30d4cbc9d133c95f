import { createHash, type Hash } from 'node:crypto'
import { type CounterStore, createTollgate, MemoryStore, MemorySubjects, type Tollgate, TollgateError } from '../../index.ts'
import type { Decision } from '../../engine/types.ts'
import { audit, type AuditFinding, type AuditHistory } from '../auditor.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { Random } from '../random.ts'
import { caller, type Stage, WorkError } from './callers.ts'
import { type Faults, type FaultyStore, faultyStore, NO_FAULTS } from './faulty-store.ts'
import { DEFAULT_PLAN, PLAN_SET, PLANS, REPLAYED } from './plans.ts'
import { type Call, Recorder } from './recorder.ts'

export interface SimulationOptions {
  /** The same seed gives the same trace. */
  seed: number
  callers: number
  /** The store under test; it goes by `clock`, and outlives engines that crash. Default: memory. */
  makeStore?: (clock: ControlledClock) => CounterStore | Promise<CounterStore>
}

export interface SimulationResult {
  seed: number
  calls: number
  /** How often each thing came of a call: `allowed`, `denied`, `degraded`, a code of an error … */
  outcomes: Readonly<Record<string, number>>
  history: AuditHistory
  /** Broken promises. */
  findings: AuditFinding[]
  /** Calls that hung, or threw what is no `TollgateError`. */
  failures: string[]
  /** Of all that callers were told, and when. */
  traceHash: string
}

/** Store calls have 50 ms; the longest call makes some 30 of them in a row: three subjects, four compilations, retries. */
const DEADLINE_MS = 2000
const WORK_MS = 500
/** What a settlement has to say to whoever asked for it. */
const STATUS_AFTER: Readonly<Record<string, string>> = { commit: 'committed', release: 'released', extend: 'open' }
const START_AT = Date.UTC(2026, 0, 30, 23, 58)

/** Runs the whole engine among interleaved callers, in virtual time, over a store that misbehaves. */
export async function simulate({ seed, callers, makeStore = () => new MemoryStore() }: SimulationOptions): Promise<SimulationResult> {
  const clock = controlledClock(START_AT)
  const inner = await makeStore(clock)
  const simulation = new Simulation(seed, clock, inner)
  await simulation.run(callers)
  await inner.close()
  return simulation.result()
}

class Simulation implements Stage {
  readonly #seed: number
  readonly #clock: ControlledClock
  readonly #random: Random
  readonly #recorder: Recorder
  readonly #store: CounterStore
  readonly #faults: Faults | null
  readonly #subjects = new MemorySubjects()
  readonly #trace: Hash = createHash('sha256')
  readonly #outcomes: Record<string, number> = {}
  readonly #failures: string[] = []
  readonly #underWay = new Set<Call>()
  /** First answers by idempotency key, of the engine that runs now. */
  #answers = new Map<string, { said: string; at: number }>()
  /** When a plan was last stored: whoever was denied before is answered anew. */
  #planSetAt = -Infinity
  #tollgate!: Tollgate
  #link: FaultyStore | undefined
  #steppedMs = 0
  #calls = 0
  #ids = 0

  constructor(seed: number, clock: ControlledClock, inner: CounterStore) {
    this.#seed = seed
    this.#clock = clock
    this.#random = new Random(seed)
    this.#recorder = new Recorder(() => clock.now())
    this.#store = this.#recorder.watch(inner)
    this.#faults = faultsOf(this.#random, seed)
    this.#start()
  }

  async run(callers: number): Promise<void> {
    const spanMs = callers * this.#random.integer(60, 240)
    const all = Array.from({ length: callers }, async (_, i) => {
      const random = new Random(Math.imul(this.#seed, 0x9e3779b1) + i)
      await this.sleep(random.integer(0, spanMs))
      await caller(this, random, i)
    })
    this.#planMishaps(spanMs)
    await this.#untilDone(Promise.all(all))
    const call: Call = { name: 'close' }
    await this.#untilDone(this.call(call, (tollgate) => tollgate.close()))
  }

  result(): SimulationResult {
    const plans = Object.fromEntries(Object.entries({ ...PLANS, ...REPLAYED }).map(([name, plan]) => [`${PLAN_SET}/${name}`, plan]))
    const history = { plans, events: this.#recorder.events() }
    return { seed: this.#seed, calls: this.#calls, outcomes: this.#outcomes, history, findings: audit(history), failures: this.#failures, traceHash: this.#trace.digest('hex') }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve))
  }

  async call<T>(call: Call, ask: (tollgate: Tollgate) => Promise<T>): Promise<T | undefined> {
    const tollgate = this.#tollgate
    const number = ++this.#calls
    const startedMs = this.#elapsedMs()
    this.#underWay.add(call)
    let answer: T | undefined
    let said: string
    try {
      answer = await this.#recorder.within(call, () => ask(tollgate))
      if (call.name === 'setPlan') this.#planSetAt = Math.max(this.#planSetAt, this.#clock.now())
      said = summaryOf(answer)
      this.#count(outcomeOf(answer))
      const wanted = STATUS_AFTER[call.name]
      if (wanted !== undefined && outcomeOf(answer) !== wanted) this.#failures.push(`call ${number} (${call.name}) says it is done, and the reservation is ${outcomeOf(answer)}`)
    } catch (error) {
      said = String(TollgateError.isInstance(error) ? error.code : error)
      this.#count(said)
      if (!TollgateError.isInstance(error) && !(error instanceof WorkError)) this.#failures.push(`call ${number} (${call.name}) threw ${error instanceof Error ? error.stack : String(error)}`)
    }
    this.#underWay.delete(call)
    const tookMs = this.#elapsedMs() - startedMs
    if (tookMs > DEADLINE_MS + (call.name === 'run' ? WORK_MS : 0)) this.#failures.push(`call ${number} (${call.name}) took ${tookMs} ms`)
    this.#trace.update(`${number} ${call.name} ${startedMs} ${tookMs} ${said}\n`)
    if (tollgate === this.#tollgate || call.name === 'close') {
      this.#compareReplay(call, number, answer === undefined ? undefined : { said, at: (answer as { decidedAt?: number }).decidedAt ?? 0 })
      return answer
    }
    // The process that was asked is gone, and with it whoever was waiting for the answer.
    Object.assign(call, { decision: undefined, settlement: undefined, usage: undefined })
    return undefined
  }

  #compareReplay({ name, request }: Call, number: number, answer: { said: string; at: number } | undefined): void {
    if (!answer || request?.idempotencyKey === undefined || name === 'check') return
    const { signal: _, ...body } = request
    const key = JSON.stringify([name, body])
    const first = this.#answers.get(key)
    const isOutdated = first?.said.startsWith('[false') === true && first.at <= this.#planSetAt
    if (first !== undefined && first.said !== answer.said && !isOutdated) this.#failures.push(`call ${number} (${name}) has the idempotency key of an earlier one, and another answer: ${first.said} and ${answer.said}`)
    this.#answers.set(key, answer)
  }

  /** Time passes only when nobody has anything left to do in the present. */
  async #untilDone(work: Promise<unknown>): Promise<void> {
    let isDone = false
    void work.then(() => { isDone = true })
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      await this.#recorder.idle()
      if (isDone) return
      const nextMs = this.#clock.nextTimerMs()
      if (nextMs === undefined) {
        this.#failures.push(`nothing will ever happen again, and still under way: ${[...this.#underWay].map(({ name }) => name).join(', ') || 'nothing'}`)
        return
      }
      this.#clock.advance(nextMs)
    }
  }

  #planMishaps(spanMs: number): void {
    const random = this.#random
    const at = (run: () => void): void => void this.#clock.after(random.integer(0, spanMs), run)
    if (this.#faults) for (let crashes = random.integer(0, 3); crashes > 0; crashes--) at(() => this.#crash())
    // A third of the seeds has a clock that only runs, a third one that is put forward as well, a third any.
    for (let steps = this.#seed % 3 === 0 ? 0 : random.integer(1, 4); steps > 0; steps--) {
      const isBack = this.#seed % 3 === 2 && random.chance(0.6)
      const stepMs = random.pick([20, 1000, 30_000, 3_600_000, 90_000_000])
      at(() => this.#step((isBack ? -1 : 1) * random.integer(1, stepMs)))
    }
  }

  #step(ms: number): void {
    this.#steppedMs += ms
    this.#clock.set(this.#clock.now() + ms)
  }

  /** The process ends between two steps: its memory is gone, what it had sent arrives. */
  #crash(): void {
    this.#link?.disconnect()
    this.#answers = new Map()
    this.#start()
  }

  #start(): void {
    this.#link = this.#faults ? faultyStore(this.#store, this.#clock, new Random(this.#random.integer(0, 2 ** 31)), this.#faults) : undefined
    this.#tollgate = createTollgate({
      planSets: [{ name: PLAN_SET, plans: PLANS }],
      defaultPlan: DEFAULT_PLAN,
      store: this.#link ?? this.#store,
      subjects: this.#subjects,
      clock: this.#clock,
      secret: 'of the simulation',
      newId: () => `r${++this.#ids}`,
      random: () => this.#random.next(),
    })
    for (const name of ['decision', 'settled', 'warning', 'degraded'] as const) this.#tollgate.on(name, (event) => this.#recorder.emitted(name, event))
  }

  /** Time that passed, whatever the clock shows. */
  #elapsedMs(): number {
    return this.#clock.now() - this.#steppedMs - START_AT
  }

  #count(outcome: string): void {
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1
  }
}

/** From a store in the same process, `null`, to one that is hardly there. */
function faultsOf(random: Random, seed: number): Faults | null {
  const profile = seed % 4
  if (profile === 0) return null
  if (profile === 1) return { ...NO_FAULTS, delayMs: random.integer(0, 20) }
  const share = (most: number): number => random.next() * most * (profile === 2 ? 1 : 4)
  return { delayMs: random.integer(0, 24), late: share(0.03), failBefore: share(0.03), failAfter: share(0.03), repeat: share(0.1), hang: share(0.02) }
}

/** An answer for the trace, without the texts, which follow from the rest and take most of the time. */
function summaryOf(answer: unknown): string {
  if (typeof answer !== 'object' || answer === null) return String(answer)
  if ('decision' in answer) return summaryOf(answer.decision) + ('settlement' in answer ? summaryOf(answer.settlement) : '')
  if (!('allowed' in answer)) return JSON.stringify(answer)
  const { allowed, degraded, plan, decidedAt, retryAfterMs, reservation, limits, violations } = answer as Decision
  return JSON.stringify([allowed, degraded, plan, decidedAt, retryAfterMs, reservation?.id, reservation?.expiresAt, limits.map(({ limit, used, max, resetAt }) => [limit, used, max, resetAt]), violations.map((v) => [v.limit, v.retryAfterMs])])
}

function outcomeOf(answer: unknown): string {
  if (typeof answer !== 'object' || answer === null) return 'done'
  if ('degraded' in answer && answer.degraded) return 'degraded'
  if ('allowed' in answer) return answer.allowed ? 'allowed' : 'denied'
  return 'status' in answer ? String(answer.status) : 'done'
}
