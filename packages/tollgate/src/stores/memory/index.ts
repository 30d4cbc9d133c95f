import { anchorCharge, type Cell, CellKind, type Charge, isHeld, type Verdict } from '../../decide/charge.ts'
import { addHold, type Holds } from '../../decide/holds.ts'
import { apply, examine, hasRoom, isAhead, repair } from '../../decide/kernel.ts'
import { reserveCharge } from '../../decide/reserve.ts'
import { slotOf } from '../../decide/slots.ts'
import { stalenessOf } from '../../decide/stale.ts'
import { objectOf, oneOf, optional } from '../../define/rules.ts'
import { integer, MAX_AMOUNT } from '../../define/values.ts'
import { TollgateError } from '../../errors/index.ts'
import { forgottenAt, settle } from '../settlement.ts'
import type { CounterStore, DecideCommand, NewReservation, Outcome, SettleCommand, SettleOutcome, UsageCommand, UsageEntry } from '../store.ts'
import { CellsInMemory } from './cells.ts'
import { keptText, readKept } from './keeping.ts'
import { Records } from './records.ts'
import { type MemoryReservation, Reservations } from './reservations.ts'

export interface MemoryStoreOptions {
  /** Subjects kept at a time: an integer from 1. Default 1,000,000 (about 200 bytes each). */
  maxSubjects?: number
  /** Cells of worlds, texts and logs kept at a time: an integer from 1. Default 4,000,000 (about 50 bytes each). */
  maxPartitions?: number
  /** Open reservations at a time, and as many settled ones to answer repeats from: an integer from 1. Default 1,000,000. */
  maxReservations?: number
  /**
   * What happens to a subject or partition that finds no room. Nothing live is ever evicted for it: an attacker who
   * invents subjects must not make the store forget what they used. `refuse` (default) raises OVERLOADED;
   * `admit` lets the request pass uncounted and marks the decision `degraded`.
   */
  whenFull?: 'refuse' | 'admit'
}

const size = optional(integer(1, MAX_AMOUNT))

const validOptions = objectOf<MemoryStoreOptions>('options', {
  maxSubjects: size,
  maxPartitions: size,
  maxReservations: size,
  whenFull: optional(oneOf('a policy', ['refuse', 'admit'])),
})

const NO_HOLDS: Holds = []
const NO_PLAN = -1
/** Expired records looked at with each call, and when the store is full. */
const TIDY_STEPS = 2
const TIDY_STEPS_WHEN_FULL = 1000

/** Counters in this process: exact, synchronous, bounded, gone when the process ends. */
export class MemoryStore implements CounterStore {
  readonly name = 'memory'
  readonly #maxSubjects: number
  readonly #maxPartitions: number
  readonly #whenFull: 'refuse' | 'admit'
  readonly #records = new Records()
  readonly #reservations: Reservations
  /** Scratch, used again with every call. */
  readonly #cells: Cell[] = []
  readonly #verdicts: Verdict[] = []
  readonly #anchor = newCell()
  readonly #outcome: Outcome = { at: 0, admitted: false, verdicts: this.#verdicts, uncounted: false }
  /** Names of plans, which records keep as an index. */
  readonly #plans: string[] = []
  #serial = 0
  /** No instant in the store is later. */
  #latestAt = -Infinity

  /** @throws INVALID_DEFINITION */
  constructor(unchecked: MemoryStoreOptions = {}) {
    const options = validOptions(unchecked, 'MemoryStore')
    this.#maxSubjects = options.maxSubjects ?? 1_000_000
    this.#maxPartitions = options.maxPartitions ?? 4_000_000
    this.#whenFull = options.whenFull ?? 'refuse'
    this.#reservations = new Reservations(options.maxReservations ?? 1_000_000)
  }

  decide(command: DecideCommand): Outcome {
    const { charges, now, action } = command
    const isSetBack = this.#isSetBack(now)
    this.#records.tidy(now, TIDY_STEPS)
    if (action === 'reserve') this.#reservations.assertRoom(now)
    const row = this.#records.find(command.subject)
    if (command.unlessUnknown && !this.#isKnown(row)) return { at: now, admitted: false, verdicts: [], stale: { isUnknown: true } }
    this.#fitScratch(charges.length)
    const missing = this.#records.locateAll(row, charges, this.#cells)
    const stale = stalenessOf(charges, this.#cells, now)
    if (stale) return { at: now, admitted: false, verdicts: [], stale }
    let holds = this.#records.holds(row, NO_HOLDS)
    if (isSetBack) holds = this.#repair(charges, holds, now, action)
    const outcome = this.#outcome
    outcome.at = now
    outcome.admitted = this.#examine(charges, holds, now)
    outcome.uncounted = false
    if (outcome.admitted && action !== 'check') this.#write(command, row, missing)
    return outcome
  }

  settle(command: SettleCommand): SettleOutcome {
    const { now, action } = command
    this.#isSetBack(now)
    const reservation = this.#reservations.get(command.id, now)
    if (!reservation?.subject.startsWith(command.keyPrefix ?? '')) return { result: 'unknown' }
    // Of a subject that is lost, what is on record comes back later, with what this settles.
    const isOnRecord = command.isRecorded === true && !this.#isKnown(this.#records.find(reservation.subject))
    const charged = isOnRecord ? reservation.charges.filter(({ kind }) => kind !== CellKind.quota) : reservation.charges
    const outcome = settle(reservation, command, now, new CellsInMemory(this.#records, reservation, charged, () => this.#rowOf(reservation, now, isOnRecord)))
    if (outcome.result === 'settled') this.#reservations.changes++
    if (outcome.result !== 'settled' || action === 'extend') return outcome
    // Of what is filed the charges are gone.
    const { charges } = reservation
    if (action === 'undo') this.#reservations.remove(reservation.id)
    else this.#reservations.settle(reservation, now)
    return { result: 'settled', reservation: { ...reservation, charges } }
  }

  usage({ subject, limits, now }: UsageCommand): UsageEntry[] {
    const row = this.#records.find(subject)
    const own = this.#records.holds(row, NO_HOLDS)
    const look = (limit: number, partition: string, cell: Cell): UsageEntry => {
      const { charge } = limits[limit]!
      const verdict = newVerdict()
      const isBehind = isAhead(charge, cell, own, now)
      const holds = isBehind ? copyInto(cell, own) : own
      if (isBehind) repair(charge, cell, holds, now)
      examine(charge, cell, holds, now, verdict)
      return { limit, partition, verdict }
    }
    const entries: UsageEntry[] = []
    limits.forEach(({ charge, isPartitioned }, i) => {
      const cell = newCell()
      this.#records.locate(row, charge, cell)
      if (!isPartitioned) entries.push(look(i, '', cell))
    })
    if (row < 0) return entries
    const bySlot = new Map(limits.map(({ charge, isPartitioned }, i) => [charge.slot, isPartitioned ? i : -1]))
    const byScope = new Map<number, UsageEntry>()
    for (const entry of this.#records.entries(row)) {
      const scope = this.#records.partitions.scope(entry)
      const limit = bySlot.get(scope.slot) ?? -1
      if (limit < 0) continue
      const found = look(limit, scope.partition, this.#records.partitions.cell(entry, newCell()))
      if (found.verdict.used > (byScope.get(scope.id)?.verdict.used ?? 0)) byScope.set(scope.id, found)
    }
    return [...entries, ...byScope.values()]
  }

  reset(subject: string, cells: readonly string[] | null): void {
    const named = cells && new Set(cells.map(slotOf))
    this.#clear(subject, (slot) => slot !== ANCHOR.slot && (named === null || named.has(slot)))
  }

  erase(subject: string): void {
    this.#clear(subject, () => true)
    this.#reservations.erase(subject)
    const row = this.#records.find(subject)
    // The wheel collects the record; until then it names no plan.
    if (row >= 0) this.#records.setPlan(row, NO_PLAN)
  }

  lastPlan(subject: string): string | undefined {
    const row = this.#records.find(subject)
    return row < 0 ? undefined : this.#plans[this.#records.plan(row)]
  }

  knownAnchor(subject: string): number | undefined {
    const row = this.#records.find(subject)
    if (row < 0 || !this.#records.locate(row, ANCHOR, this.#anchor)) return undefined
    const at = this.#anchor.w[this.#anchor.at]!
    return at === -Infinity ? undefined : at
  }

  /** Grows with every change of what `keep` gives. */
  get changes(): number {
    return this.#reservations.changes
  }

  /**
   * Reservations that are open, and those that stand for capacity, as JSON: for a process that ends, or may end at any
   * time, and the one that comes after it.
   */
  keep(now: number): string {
    return keptText(this.#reservations.live(now))
  }

  /**
   * Takes up what a store of an earlier process kept: reservations can be settled, what they hold is held, and what
   * stands is counted. Rates and pauses begin anew; what quotas counted comes from the record.
   * @throws Error for a text that is not of `keep`
   */
  resume(kept: string, now: number): void {
    for (const each of readKept(kept)) {
      const reservation: MemoryReservation = { ...each, serial: ++this.#serial }
      if (forgottenAt(reservation) <= now || this.#reservations.get(each.id, now)) continue
      this.#holdAgain(reservation, now)
      this.#reservations.add(reservation)
      if (reservation.isStanding) this.#reservations.settle(reservation, now)
    }
  }

  close(): void {}

  /** What a reservation holds, or stands for, in cells of its own subject, of which nothing else is known. */
  #holdAgain({ subject, serial, charges, chargedAt, expiresAt, isStanding }: MemoryReservation, now: number): void {
    const held = charges.filter(({ kind, amount }) => isHeld(kind) && amount > 0)
    if (held.length === 0) return
    let row = this.#records.find(subject)
    if (row < 0) {
      row = this.#records.add(subject, now)
      this.#records.setPlan(row, NO_PLAN)
    }
    this.#records.extend(row, held)
    const cell = newCell()
    for (const c of held) {
      this.#records.locate(row, c, cell)
      if (!isStanding) addHold(this.#records.ownHolds(row), cell.id, serial, c.amount, Math.min(chargedAt, now), expiresAt - Math.max(0, chargedAt - now), c.kind === CellKind.quota ? c.startAt : 0)
      else if (c.kind === CellKind.capacity) apply(c, cell, now, newVerdict())
    }
  }

  /** The subject was admitted here; of one that only has reservations of an earlier process, the record may have more. */
  #isKnown(row: number): boolean {
    return row >= 0 && this.#records.plan(row) !== NO_PLAN
  }

  #clear(subject: string, isNamed: (slot: number) => boolean): void {
    const row = this.#records.find(subject)
    if (row >= 0) this.#records.clear(row, isNamed)
    this.#reservations.disown(subject, isNamed)
  }

  /** Whether the clock was set back behind an earlier call: only then can a cell be ahead of it. */
  #isSetBack(now: number): boolean {
    if (now < this.#latestAt) return true
    this.#latestAt = now
    return false
  }

  /** A cell and a verdict for each charge. */
  #fitScratch(count: number): void {
    while (this.#cells.length < count) this.#cells.push(newCell())
    while (this.#verdicts.length < count) this.#verdicts.push(newVerdict())
    if (this.#verdicts.length > count) this.#verdicts.length = count
  }

  /** Brings cells back that are ahead of the clock; returns the holds as they are then. */
  #repair(charges: readonly Charge[], found: Holds, now: number, action: DecideCommand['action']): Holds {
    let holds = found
    for (let i = 0; i < charges.length; i++) {
      const c = charges[i]!
      const cell = this.#cells[i]!
      if (!isAhead(c, cell, holds, now)) continue
      // A denied request notices the step too, or its wait would begin anew with each attempt. A check writes nothing.
      if (action === 'check') holds = copyInto(cell, holds)
      repair(c, cell, holds, now)
    }
    return holds
  }

  /** Whether all charges pass. */
  #examine(charges: readonly Charge[], holds: Holds, now: number): boolean {
    const cells = this.#cells
    const verdicts = this.#verdicts
    let admitted = true
    for (let i = 0; i < charges.length; i++) {
      if (!examine(charges[i]!, cells[i]!, holds, now, verdicts[i]!)) admitted = false
    }
    return admitted
  }

  #write(command: DecideCommand, found: number, missing: number): void {
    const { charges, now, reservation } = command
    // One of nothing brings no record with it.
    if (charges.length === 0) {
      if (reservation) this.#keep(command, reservation, [], 0)
      return
    }
    let row = found
    if (row < 0 || missing > 0) {
      row = this.#makeRoom(command.subject, found, charges, now)
      if (row < 0) {
        this.#outcome.uncounted = true
        // The caller settles it like any other.
        if (reservation) this.#keep(command, reservation, [], 0)
        return
      }
      this.#records.extend(row, charges)
      this.#records.locateAll(row, charges, this.#cells)
    }
    if (this.#plans[this.#records.plan(row)] !== command.plan) this.#records.setPlan(row, this.#planIndex(command.plan))
    for (let i = 0; i < charges.length; i++) {
      const c = charges[i]!
      this.#records.retain(c)
      if (!hasRoom(c, this.#cells[i]!, now)) this.#records.grow(row, c, this.#cells[i]!)
    }
    if (reservation) this.#hold(command, reservation, row)
    else for (let i = 0; i < charges.length; i++) apply(charges[i]!, this.#cells[i]!, now, this.#verdicts[i]!)
  }

  #hold(command: DecideCommand, reservation: NewReservation, row: number): void {
    const { charges, now } = command
    const holds = this.#records.openHolds(row, now)
    const serial = ++this.#serial
    const expiresAt = now + reservation.ttlMs
    const kept = charges.map((c, i) => reserveCharge(c, this.#cells[i]!, holds, serial, now, expiresAt, this.#verdicts[i]!))
    this.#keep(command, reservation, kept, serial)
  }

  #keep({ subject, now }: DecideCommand, { id, memo, ttlMs }: NewReservation, charges: Charge[], serial: number): void {
    this.#reservations.add({ id, serial, subject, memo, charges, chargedAt: now, expiresAt: now + ttlMs, status: 'open', settledAt: null, late: false, isStanding: false })
  }

  #planIndex(plan: string): number {
    const index = this.#plans.indexOf(plan)
    return index < 0 ? this.#plans.push(plan) - 1 : index
  }

  /** The row of a subject that is about to be written to; -1 when the store is full and admits uncounted. */
  #makeRoom(subject: string, row: number, charges: readonly Charge[], now: number): number {
    const isFull = (): boolean => (row < 0 && this.#records.size >= this.#maxSubjects) || this.#records.partitions.size + this.#records.missingPartitions(row, charges) > this.#maxPartitions
    if (isFull()) this.#records.tidy(now, TIDY_STEPS_WHEN_FULL)
    if (!isFull()) return row < 0 ? this.#records.add(subject, now) : row
    if (this.#whenFull === 'admit') return -1
    throw new TollgateError(
      'OVERLOADED',
      `the memory store is full (${this.#records.size} subjects of ${this.#maxSubjects}, ${this.#records.partitions.size} partitions of ${this.#maxPartitions}); raise maxSubjects or maxPartitions, or move the counters to Redis`,
      { retryAfterMs: 1000 },
    )
  }

  /** What is settled is recorded even when the store is full. */
  #rowOf(reservation: MemoryReservation, now: number, isOnRecord: boolean): number {
    let row = this.#records.find(reservation.subject)
    if (row < 0) {
      row = this.#records.add(reservation.subject, now)
      this.#records.setPlan(row, isOnRecord ? NO_PLAN : this.#planIndex(reservation.memo.plan))
    }
    this.#records.extend(row, reservation.charges)
    return row
  }
}

const newCell = (): Cell => ({ w: new Float64Array(0), at: 0, length: 0, id: 0 })
const newVerdict = (): Verdict => ({ passes: false, used: 0, resetAt: 0, retryAt: 0 })

/** Gives `cell` words of its own, and a copy of the holds, so that a read-only call leaves the store's alone. */
function copyInto(cell: Cell, holds: Holds): Holds {
  cell.w = cell.w.slice(cell.at, cell.at + cell.length)
  cell.at = 0
  return holds.slice()
}

const ANCHOR = anchorCharge()
