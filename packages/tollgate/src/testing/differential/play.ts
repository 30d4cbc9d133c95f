import { deepStrictEqual } from 'node:assert/strict'
import { CellKind, type Charge } from '../../decide/charge.ts'
import type { CounterStore, SettleOutcome, UsageEntry } from '../../stores/store.ts'
import { chargeOf, digestOf } from '../charges.ts'
import type { ControlledClock } from '../clock.ts'
import { StoreDriver } from '../driver.ts'
import { ReferenceStore } from '../reference/store.ts'
import { describeCharge, describeLimit } from './describe.ts'
import type { History, LimitShape, Step } from './history.ts'

const YEAR_MS = 366 * 86_400_000

/** Plays a history on a store and on the reference, and writes down what happened in lines that a person can follow. */
export class Play {
  readonly lines: string[] = []
  readonly #clock: ControlledClock
  readonly #store: StoreDriver
  readonly #model: StoreDriver
  readonly #reference = new ReferenceStore()
  readonly #limits: LimitShape[]
  readonly #max: [number, number][]
  readonly #isOwn: boolean[]
  readonly #largest: number[]
  readonly #prefix: string
  readonly #startAt: number
  readonly #reserved: { id: string; canUndo: boolean }[] = []
  /** What was taken back may have pushed out what came before: from then on the clock is not set back. */
  #hasUndone = false
  #latestAt: number
  #anchorAt: number

  /** @param prefix keeps this play's subjects apart from others' in a store that is used again. */
  constructor(history: History, store: CounterStore, clock: ControlledClock, prefix: string) {
    this.#clock = clock
    this.#prefix = prefix
    this.#store = new StoreDriver(store, clock, prefix)
    this.#model = new StoreDriver(this.#reference, clock, prefix)
    this.#limits = history.limits
    this.#max = history.limits.map(({ max }) => [...max])
    this.#isOwn = history.limits.map(() => false)
    // A bucket is kept until it would be full under any of its limits: one that was forgotten is full under all.
    this.#largest = history.limits.map(({ max }, i) => Math.max(...max, ...history.steps.flatMap((step) => (step.step === 'change' && step.limit % history.limits.length === i ? [step.max] : []))))
    this.#startAt = this.#latestAt = this.#anchorAt = clock.now()
    history.limits.forEach((limit, i) => this.lines.push(`limit ${i}: ${describeLimit(limit)}`))
  }

  /** @throws where store and reference differ. */
  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(step)
  }

  async #take(step: Step): Promise<void> {
    switch (step.step) {
      case 'ask':
        return this.#ask(step)
      case 'settle':
        return this.#settle(step)
      case 'usage':
        return this.#usage(step.subject)
      case 'reset':
        return this.#reset(step.subject, step.limits)
      case 'wait':
        return this.#moveTo(this.#clock.now() + step.ms, 'wait')
      case 'edge': {
        const edges = [0, 1].flatMap((subject) => this.#reference.edges(this.#subjectName(subject), this.#allCharges(), this.#clock.now()))
        const sorted = edges.toSorted((a, b) => a - b)
        const edge = sorted[step.edge % Math.max(1, sorted.length)]
        if (edge === undefined || edge - this.#clock.now() > YEAR_MS) return
        return this.#moveTo(Math.max(this.#clock.now(), edge + step.offsetMs), `edge${step.offsetMs === 0 ? '' : ` ${step.offsetMs}`}`)
      }
      case 'back': {
        const at = Math.max(this.#clock.now() - step.ms, this.#reference.revivalAt(this.#latestAt))
        if (at >= this.#clock.now() || this.#hasUndone) return
        for (const reserved of this.#reserved) reserved.canUndo = false
        return this.#moveTo(at, 'back')
      }
      case 'change': {
        const limit = step.limit % this.#max.length
        this.lines.push(`change limit ${limit} to ${step.max}`)
        this.#max[limit] = [step.max, step.max]
        this.#isOwn[limit] = step.max % 2 === 1
      }
    }
  }

  #moveTo(at: number, why: string): void {
    this.#clock.set(at)
    this.#latestAt = Math.max(this.#latestAt, at)
    this.lines.push(`at +${at - this.#startAt} ms (${why})`)
  }

  async #ask({ action, subject, plan, limits, amount, partition, digest, ttlMs }: Step & { step: 'ask' }): Promise<void> {
    const charges = this.#limits.flatMap((_, i) => ((limits >> i) & 1 ? [this.#charge(i, plan, amount, partition, digest)] : []))
    const id = this.#store.reservationId(this.#subjectName(subject), `${this.#prefix}-r${this.#reserved.length}`)
    const ask = (driver: StoreDriver) => driver.decide(action, this.#subjectName(subject), charges, { plan: `plan${plan}`, ttlMs, id })
    let [theirs, ours] = [await ask(this.#store), await ask(this.#model)]
    const asked = `${action} u${subject} ${charges.map(describeCharge).join(', ')}${action === 'reserve' ? ` for ${ttlMs} ms as r${this.#reserved.length}` : ''}`
    this.#compare(asked, theirs, ours)
    if (ours.stale?.anchorAt !== undefined) {
      this.lines.push(`${asked}: stale`)
      for (const c of charges) if (c.kind === CellKind.anchor) c.startAt = ours.stale.anchorAt
      ;[theirs, ours] = [await ask(this.#store), await ask(this.#model)]
      this.#compare(asked, theirs, ours)
    }
    this.lines.push(`${asked}: ${ours.admitted ? 'admitted' : 'denied'}, used ${ours.verdicts.map(({ used }) => used).join(' ')}`)
    if (action === 'reserve' && ours.admitted) this.#reserved.push({ id, canUndo: true })
  }

  async #settle({ action, which, amount, ttlMs }: Step & { step: 'settle' }): Promise<void> {
    const index = which % Math.max(1, this.#reserved.length)
    const reserved = this.#reserved[index]
    // Only a reservation of just now is ever taken back, so not across a step of the clock or a reset.
    if (!reserved || (action === 'undo' && !reserved.canUndo)) return
    if (action === 'commit' && this.#reference.isAstray(reserved.id, this.#clock.now())) return
    if (action === 'extend' && this.#reference.hasLapsed(reserved.id, this.#clock.now())) return
    const options = { ...(action === 'commit' && amount !== null && { amounts: { requests: amount } }), ...(action === 'extend' && { ttlMs }) }
    const [theirs, ours] = [await this.#store.settle(action, reserved.id, options), await this.#model.settle(action, reserved.id, options)]
    const settled = `${action} r${index}${JSON.stringify(options)}`
    this.#compare(settled, comparable(theirs), comparable(ours))
    this.lines.push(`${settled}: ${ours.result}`)
    this.#hasUndone ||= action === 'undo'
  }

  async #usage(subject: number): Promise<void> {
    for (const isPartitioned of [false, true]) {
      const charges = this.#allCharges().filter((_, i) => this.#isPartitioned(i) === isPartitioned)
      const usage = async (driver: StoreDriver): Promise<unknown[]> => sorted(await driver.usage(this.#subjectName(subject), charges.map((c) => ({ ...c, amount: 0 })), isPartitioned))
      this.#compare(`usage u${subject}`, await usage(this.#store), await usage(this.#model))
    }
    this.lines.push(`usage u${subject}`)
  }

  async #reset(subject: number, limits: number | null): Promise<void> {
    const cells = limits === null ? null : this.#allCharges().flatMap(({ cell }, i) => ((limits >> i) & 1 ? [cell] : []))
    await this.#store.reset(this.#subjectName(subject), cells)
    await this.#model.reset(this.#subjectName(subject), cells)
    for (const reserved of this.#reserved) reserved.canUndo = false
    this.lines.push(`reset u${subject} ${limits === null ? 'all' : `limits ${this.#allCharges().flatMap((_, i) => ((limits >> i) & 1 ? [i] : [])).join(' ')}`}`)
  }

  #compare(what: string, theirs: unknown, ours: unknown): void {
    try {
      deepStrictEqual(theirs, ours)
    } catch (error) {
      const { message } = error as Error
      throw new Error(`${[...this.lines, `${what}:`].join('\n')}\nthe store (+ actual) and the reference (- expected) differ:\n${message.split('\n').slice(1).join('\n')}`, { cause: error })
    }
  }

  #subjectName(subject: number): string {
    return `${this.#prefix}-u${subject}`
  }

  #allCharges(): Charge[] {
    return this.#limits.map((_, i) => this.#charge(i, 0, 1, 0, 0))
  }

  #isPartitioned(limit: number): boolean {
    const { kind, isPartitioned, hasDigest } = this.#limits[limit]!
    return kind !== CellKind.anchor && kind !== CellKind.stated && (isPartitioned || (hasDigest && kind === CellKind.slidingLog))
  }

  #charge(i: number, plan: 0 | 1, amount: number, partition: number, digest: number): Charge {
    const { kind, windowMs, refill, isPartitioned, hasDigest } = this.#limits[i]!
    const now = this.#clock.now()
    const startAt = kind === CellKind.anchor ? this.#anchorAt : kind === CellKind.quota ? now - (now % windowMs) : 0
    const isLogOfTexts = kind === CellKind.slidingLog && hasDigest
    // As in definitions: what is multiplied by the window stays an exact integer, and so do instants after that long a wait.
    const most = kind === CellKind.tokenBucket || kind === CellKind.slidingCounter ? Math.floor(2 ** 52 / windowMs) : Infinity
    return chargeOf({
      cell: kind === CellKind.anchor ? '@anchor' : `play/${i}:${kind}:${windowMs}`,
      kind,
      // What is not metered counts what happens.
      amount: kind >= CellKind.cooldown || isLogOfTexts ? (kind === CellKind.anchor ? 0 : 1) : amount,
      max: Math.min(most, this.#max[i]![plan]),
      // A store may tell limits of a subject's own from those of its plan.
      isOwn: this.#isOwn[i]!,
      ...(kind === CellKind.quota && { startAt, endAt: startAt + windowMs }),
      ...(kind === CellKind.anchor && { startAt }),
      windowMs: kind === CellKind.quota ? 0 : windowMs,
      refill,
      partition: this.#isPartitioned(i) && isPartitioned ? `w${partition}` : '',
      digest: isLogOfTexts ? digestOf(digest) : '',
      stated: kind === CellKind.stated ? amount : 0,
      retainMs: kind === CellKind.quota ? windowMs : kind === CellKind.capacity || kind === CellKind.anchor ? Infinity : kind === CellKind.tokenBucket ? Math.ceil((Math.min(most, this.#largest[i]!) * windowMs) / refill) : 2 * windowMs,
    })
  }
}

function comparable(outcome: SettleOutcome): unknown {
  if (outcome.result === 'unknown') return outcome
  const { id, subject, memo, chargedAt, expiresAt, status, settledAt, late } = outcome.reservation
  return { result: outcome.result, id, subject, memo, chargedAt, expiresAt, status, settledAt, late }
}

/** Of several texts that came equally often, any may be shown: only how often is compared. */
function sorted(entries: readonly UsageEntry[]): unknown[] {
  const lines = entries.map(({ limit, partition, verdict }) => ({ limit, partition, used: verdict.used }))
  return lines.toSorted((a, b) => a.limit - b.limit || (a.partition < b.partition ? -1 : 1))
}
