import { randomBytes } from 'node:crypto'
import { MAX_AMOUNT } from '../compile/request.ts'
import { anchorCharge, CellKind, type Charge, newCharge } from '../decide/charge.ts'
import { TollgateError } from '../errors/index.ts'
import type { DecideCommand, MaybePromise, Outcome, StoredReservation } from '../stores/store.ts'
import type { Engine } from './engine.ts'
import { isPromise, type StoreGuard, untilAborted } from './guard.ts'
import { notRestoredSince } from './recording.ts'
import { type Batch, UnreplayedUse } from './unreplayed.ts'

/** Subjects whose use is replayed at a time, so that requests are not kept waiting. */
const AT_A_TIME = 16
/** How long until what could not be replayed is tried again. */
const RETRY_MS = 1000
/** After so many times as long, while the store answers, a call that it did not answer is taken for lost. */
const MAX_DOUBTS = 3
/** A store may first have to tell another anchor, or be in another period by its own clock. */
const MAX_ATTEMPTS = 4
/** What could not be replayed so long after the end is told instead. */
const CLOSE_MS = 5000
/** How far the clocks of process and store may be apart. */
const MAX_SKEW_MS = 86_400_000

export interface Unreplayed {
  /** `full`: too many sums wait. `closed`: the engine was closed, and the store did not answer. */
  readonly reason: 'full' | 'closed'
  /** `full`: uses that were not kept, so far. `closed`: sums that waited. */
  readonly lost: number
}

/** A call that was not answered in time: whoever hears that the store counted it must not count it again. */
interface Doubt {
  readonly subject: string
  readonly plan: string
  readonly charges: readonly Charge[]
  age: number
}

/**
 * What was admitted without the store, until the store has counted it: use of quotas, which outlasts the outage. Sums by
 * subject, limit and period go there as one request a subject, above every limit if need be, with a mark that lets it pass
 * once: a replay whose answer was lost is sent again as it was.
 */
export class Replay {
  readonly #engine: Engine
  readonly #guard: StoreGuard
  /** A cell of each subject that only this process writes. */
  readonly #mark = `@replayed:${randomBytes(6).toString('base64url')}`
  readonly #use: UnreplayedUse
  readonly #running = new Map<string, Promise<void>>()
  readonly #doubts = new Set<Doubt>()
  #lastMark = -Infinity
  #sweeping: Promise<void> | undefined
  #cancelTimer: (() => void) | undefined
  #isClosed = false

  constructor(engine: Engine, guard: StoreGuard) {
    this.#engine = engine
    this.#guard = guard
    const { clock, catalog } = engine.config
    this.#use = new UnreplayedUse(clock, catalog, (lost) => this.#tell({ reason: 'full', lost }))
  }

  /** Subjects that wait. */
  get size(): number {
    return this.#use.size
  }

  /** Until it is replayed, the store's counters lack what the subject used. */
  has(subject: string): boolean {
    return this.#use.has(subject)
  }

  /** @param call that the store did not answer in time, and may yet. */
  consumed(subject: string, plan: string, charges: readonly Charge[], call: Promise<Outcome> | undefined): void {
    if (!charges.some(({ kind, amount }) => kind === CellKind.quota && amount > 0)) return
    if (!call) return this.#add(subject, plan, charges)
    const doubt: Doubt = { subject, plan, charges, age: 0 }
    this.#doubts.add(doubt)
    const end = (isCounted: boolean): void => {
      if (this.#doubts.delete(doubt) && !isCounted) this.#add(subject, plan, charges)
    }
    void call.then(({ admitted, uncounted }) => end(admitted && !uncounted), () => end(false))
    this.#tryLater()
  }

  /** Of a reservation that this process's own counters held. */
  committed({ subject, memo, charges }: StoredReservation): void {
    this.#add(subject.slice(this.#engine.config.keyPrefix.length), memo.plan, charges, memo.amounts)
  }

  /**
   * Brings the store's counters of a subject up to date, before it is decided by them. Callers at one time share it.
   * @throws STORE_UNAVAILABLE, OVERLOADED, ABORTED
   */
  async before(subject: string, signal?: AbortSignal): Promise<void> {
    if (this.has(subject)) await untilAborted(this.#replay(subject), signal)
  }

  /** The store answers again. */
  start(): void {
    void this.#sweep()
    if (this.#doubts.size > 0) this.#tryLater()
  }

  /** Of a subject that is erased. */
  async forget(subject: string): Promise<void> {
    await this.#running.get(subject)?.catch(() => {})
    for (const doubt of this.#doubts) if (doubt.subject === subject) this.#doubts.delete(doubt)
    this.#use.forget(subject)
  }

  /** Replays what waits, if the store lets it. */
  async close(): Promise<void> {
    this.#settleDoubts(() => true)
    if (this.size > 0 && this.#guard.breaker?.isOpen) await this.#guard.breaker.look()
    const giveUp = this.#engine.config.clock.after(CLOSE_MS, () => (this.#isClosed = true))
    if (this.size > 0 && !this.#guard.breaker?.isOpen) await this.#sweep()
    giveUp()
    this.#isClosed = true
    this.#cancelTimer?.()
    if (this.#use.sums > 0) this.#tell({ reason: 'closed', lost: this.#use.sums })
  }

  #add(...use: Parameters<UnreplayedUse['add']>): void {
    this.#use.add(...use)
    if (this.size > 0) this.#tryLater()
  }

  #replay(subject: string): Promise<void> {
    let running = this.#running.get(subject)
    if (!running) {
      running = this.#replayAll(subject).finally(() => this.#running.delete(subject))
      this.#running.set(subject, running)
      // All who waited for it may have given up.
      running.catch(() => {})
    }
    return running
  }

  async #replayAll(subject: string): Promise<void> {
    for (let batch = this.#use.oldest(subject); batch; batch = this.#use.oldest(subject)) {
      if (!(await this.#send(subject, batch))) return
      this.#use.remove(subject, batch)
    }
  }

  /** Whether the store has it now, or need not. Not so where a period has not begun yet by the store's clock. */
  async #send(subject: string, batch: Batch): Promise<boolean> {
    const { clock } = this.#engine.config
    batch.markedAt ??= this.#newMark()
    const key = this.#engine.keyOf(subject)
    let at = clock.now()
    let anchorAt = batch.anchor?.startAt
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const charges = this.#chargesOf(batch, anchorAt, at)
      if (charges.length === 0) return true
      if (charges.some(({ startAt }) => startAt > at)) return false
      const command = { subject: key, plan: batch.plan, now: at, isRare: true, unlessUnknown: this.#engine.record !== undefined, recordedMs: this.#engine.config.catalog.recordedMs }
      if (this.#engine.record && (await this.#isOnRecord(subject, command, batch))) return true
      // That it does not pass means that it did before.
      const counted = await this.#ask({ ...command, charges, action: 'consume' })
      if (!counted.stale) return true
      at = counted.at
      anchorAt = counted.stale.anchorAt ?? anchorAt
    }
    throw new TollgateError('OVERLOADED', 'what was used without the store could not be counted there: the clocks of this process and its store are too far apart', { retryAfterMs: 1000 })
  }

  /** Instants, because stores forget by them; each later than those before, because a cell goes only forwards. */
  #newMark(): number {
    return (this.#lastMark = Math.max(this.#lastMark + 1, this.#engine.config.clock.now() - MAX_SKEW_MS))
  }

  /** The mark, what was used in periods that go on at `at`, and the anchor. Nothing where all is over. */
  #chargesOf({ sums, anchor, markedAt }: Batch, anchorAt: number | undefined, at: number): Charge[] {
    const charges: Charge[] = []
    for (const { limit, partition, usedAt, amount, ...assumed } of sums.values()) {
      // Where the store has another anchor, the use belongs to another period.
      const { startAt, endAt } = limit.isAnchored && anchorAt !== undefined ? limit.periods!(Math.max(usedAt, anchorAt), anchorAt) : assumed
      if (endAt <= at) continue
      // What one charge cannot add, several do.
      for (let left = amount; left > 0; left -= MAX_AMOUNT) charges.push({ ...limit.charge, max: Infinity, partition, startAt, endAt, amount: Math.min(left, MAX_AMOUNT) })
    }
    if (charges.length === 0) return charges
    const endAt = Math.max(...charges.map((c) => c.endAt))
    charges.unshift({ ...newCharge({ cell: this.#mark, kind: CellKind.quota, max: 1, endAt, retainMs: endAt - markedAt! }), startAt: markedAt!, amount: 1 })
    if (anchor && anchorAt !== undefined) charges.push({ ...anchorCharge(), startAt: anchorAt, retainMs: anchor.retainMs })
    return charges
  }

  /**
   * A store that lost the subject has its totals brought back from the record, which has this use too. Where another
   * process did that since the first use, it stands in the store already.
   */
  async #isOnRecord(subject: string, command: Omit<DecideCommand, 'action' | 'charges'>, { firstAt }: Batch): Promise<boolean> {
    const charges = [notRestoredSince(firstAt, this.#engine.config.clock.now())]
    const { stale, admitted } = await this.#ask({ ...command, charges, action: 'check' })
    if (!stale?.isUnknown) return !admitted
    this.#engine.record!.nowKnown(subject)
    await this.#engine.restoring!.restore(subject)
    return true
  }

  #ask(command: DecideCommand): MaybePromise<Pick<Outcome, 'at' | 'admitted' | 'stale'>> {
    return this.#engine.askStore((store) => {
      const answer = store.decide(command)
      // What a store in this process answers is read at once: it uses it again.
      return isPromise(answer) ? answer : { ...answer }
    })
  }

  /** All that waits, until the store is away again. */
  #sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepOnce().finally(() => {
      this.#sweeping = undefined
      if (this.size > 0) this.#tryLater()
    })
    return this.#sweeping
  }

  async #sweepOnce(): Promise<void> {
    const subjects = this.#use.subjects()
    const work = async (): Promise<void> => {
      for (const subject of subjects) {
        if (this.#guard.breaker?.isOpen || this.#isClosed) return
        await this.#replay(subject).catch(() => {})
      }
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, work))
  }

  /** While the breaker is open, it says when. */
  #tryLater(): void {
    if (this.#isClosed || this.#guard.breaker?.isOpen) return
    this.#cancelTimer ??= this.#engine.config.clock.after(RETRY_MS, () => {
      this.#cancelTimer = undefined
      if (this.#guard.breaker?.isOpen) return
      this.#settleDoubts((doubt) => ++doubt.age === MAX_DOUBTS)
      if (this.#doubts.size > 0) this.#tryLater()
      void this.#sweep()
    })
  }

  /** What is not answered by now was not counted. */
  #settleDoubts(isOver: (doubt: Doubt) => boolean): void {
    for (const doubt of this.#doubts) {
      if (!isOver(doubt)) continue
      this.#doubts.delete(doubt)
      this.#add(doubt.subject, doubt.plan, doubt.charges)
    }
  }

  #tell(unreplayed: Unreplayed): void {
    this.#engine.events.emit('unreplayed', unreplayed)
  }
}
