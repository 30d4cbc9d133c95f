import { createHash } from 'node:crypto'
import type { Catalog } from '../compile/catalog.ts'
import type { Charges } from '../compile/charges.ts'
import type { LimitProgram, Program } from '../compile/program.ts'
import { MAX_AMOUNT } from '../compile/request.ts'
import { anchorCharge, CellKind, type Charge, newCharge } from '../decide/charge.ts'
import { type QuotaUse, settlementId, type UsageEvent } from '../record/event.ts'
import type { NewEvent } from '../record/queue.ts'
import { Recorder, type Unrecorded } from '../record/recorder.ts'
import type { RecordedSubject, RecordStore } from '../record/store.ts'
import type { DecideCommand, SettleCommand, StoredReservation } from '../stores/store.ts'
import type { Clock } from './clock.ts'
import { LOCAL_ID } from './reservation.ts'
import type { Decision, TollgateRequest } from './types.ts'

/** Of subjects that the record does not know either: so long it is not asked about them again. */
const ABSENT_MS = 1000
const MAX_ABSENT = 10_000
/** After a failure of the record: so long it is not asked at all. */
const FAILED_MS = 1000
/** Reservations whose expiry is watched, and how often. */
const MAX_WATCHED = 100_000
const WATCH_EVERY_MS = 1000
/** Says when totals were loaded again, as long as they count: a second process must not add them a second time. */
const RESTORED = '@restored'

function restoredFor(windowMs: number): Charge {
  return { ...newCharge({ cell: RESTORED, kind: CellKind.cooldown, max: 1, windowMs, retainMs: windowMs }), amount: 1 }
}

/** A check of it passes unless totals were loaded again after `at`. The store counts back from its own time. */
export function notRestoredSince(at: number, now: number): Charge {
  return restoredFor(Math.max(1, now - at))
}

/** What brings a subject's totals back, and whether something was settled since they were read, which they then lack. */
export interface Lost {
  readonly command: DecideCommand | undefined
  isOutdated(): boolean
}

/** Of so many subjects it is known whether they were settled while they were loaded. */
const MAX_SETTLEMENTS = 10_000

const NO_USES: readonly QuotaUse[] = []
const NO_AMOUNTS: UsageEvent['amounts'] = {}

/** What the engine tells the record, and what it loads from it when a counter store has lost a subject. */
export class Recording {
  readonly #store: RecordStore
  readonly #recorder: Recorder
  readonly #catalog: Catalog
  readonly #clock: Clock
  readonly #keyPrefix: string
  readonly #limits: ReadonlyMap<string, LimitProgram>
  readonly #plans = new Map<Program, PlanFacts>()
  #last: PlanFacts | undefined
  readonly #absent = new Map<string, number>()
  readonly #loading = new Map<string, Promise<Lost>>()
  /** Settlements so far, and by subject the number of its last: counters that did not know it left them to the record. */
  #settlements = 0
  readonly #lastSettlement = new Map<string, number>()
  readonly #open = new Map<string, { readonly event: NewEvent; expiresAt: number }>()
  #isWatching = false
  #failure: Error | undefined

  constructor(store: RecordStore, catalog: Catalog, clock: Clock, keyPrefix: string, onFailure: (failure: Unrecorded) => void) {
    this.#store = store
    this.#recorder = new Recorder(store, clock, onFailure)
    this.#catalog = catalog
    this.#clock = clock
    this.#keyPrefix = keyPrefix
    this.#limits = new Map(catalog.programs.flatMap(({ limits }) => limits.map((limit) => [limit.charge.cell, limit])))
  }

  /**
   * `charges` is what was counted; none where nothing was. A receipt names the event, so that one which several attempts
   * tell of is on record once.
   */
  consumed(request: TollgateRequest, program: Program, decision: Decision, charges: Charges | undefined, isShared: boolean, receipt = ''): void {
    const event = this.#eventOf('consume', request, program, decision, charges, isShared, undefined)
    this.#recorder.add(receipt === '' ? event : { ...event, id: receipt })
  }

  reserved(request: TollgateRequest, program: Program, decision: Decision, charges: Charges | undefined, isShared: boolean, id: string, expiresAt: number): void {
    const event = this.#eventOf('reserve', request, program, decision, charges, isShared, id)
    this.#recorder.add(event)
    this.#watch(id, event, expiresAt)
  }

  /** Told again, it counts once: by the id that the reservation gives it. */
  settled({ id, subject, memo, charges, settledAt, expiresAt }: StoredReservation, action: SettleCommand['action']): void {
    if (action === 'extend') {
      const open = this.#open.get(id)
      if (open) open.expiresAt = expiresAt
      return
    }
    this.#open.delete(id)
    this.#noteSettlement(subject.slice(this.#keyPrefix.length))
    const kind = action === 'commit' ? 'commit' : 'release'
    const { plan, amounts, operation, dimensions, mode = 'enforce', isShared } = memo
    const program = this.#catalog.lookup(plan)
    this.#recorder.add({
      id: settlementId(id, kind), kind, at: settledAt!, subject: subject.slice(this.#keyPrefix.length), reservation: id, plan, planVersion: program ? this.#versionOf(program) : '', amounts, mode,
      uses: kind === 'commit' ? charges.flatMap((c) => this.#useOf(c, amounts[c.meter], id.startsWith(LOCAL_ID))) : NO_USES, operation, dimensions, isShared, count: 1,
    })
  }

  denied(request: TollgateRequest, program: Program, decision: Decision, digest: string | undefined): void {
    const violations = decision.violations.map(({ limit, kind, code }) => ({ limit, kind, code }))
    this.#recorder.add({ ...this.#eventOf('denial', request, program, decision, undefined, false, undefined), violations, digest })
  }

  planned(subject: string, fromPlan: string, program: Program, at: number, anchorAt: number | undefined): void {
    this.#recorder.add({ kind: 'plan', at, subject, plan: program.id, planVersion: this.#versionOf(program), fromPlan, amounts: NO_AMOUNTS, uses: NO_USES, mode: 'enforce', anchorAt, id: '', count: 1 })
  }

  reset(subject: string, program: Program, cells: readonly string[] | null): void {
    this.#recorder.add({ kind: 'reset', at: this.#clock.now(), subject, plan: program.id, planVersion: this.#versionOf(program), amounts: NO_AMOUNTS, uses: NO_USES, mode: 'enforce', cells, id: '', count: 1 })
  }

  /**
   * What brings the totals of a subject back that the counter store does not know: to be decided there before anything
   * else of it. Callers at one time share the question. `undefined` where nothing is recorded.
   * @param now the store's time, where that is known
   * @throws what the record throws; for a second after that at once
   */
  lost(subject: string, now = this.#clock.now()): Promise<Lost> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const absentSince = this.#absent.get(subject)
    if (absentSince !== undefined && performance.now() - absentSince < ABSENT_MS) return Promise.resolve(this.#lostSince(subject, this.#settlements, undefined))
    let loading = this.#loading.get(subject)
    if (!loading) {
      loading = this.#load(subject, now).finally(() => this.#loading.delete(subject))
      this.#loading.set(subject, loading)
    }
    return loading
  }

  /** The counters know the subject from now on: should they lose it, the record has something of it. */
  nowKnown(subject: string): void {
    this.#absent.delete(subject)
  }

  /** The record does not answer: whoever asks next should not wait for it too. */
  failed(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = error as Error
    this.#clock.after(FAILED_MS, () => (this.#failure = undefined))
  }

  async erase(subject: string): Promise<void> {
    for (const [id, { event }] of this.#open) if (event.subject === subject) this.#open.delete(id)
    await this.#recorder.flush()
    await this.#store.erase(subject)
  }

  flush(): Promise<void> {
    return this.#recorder.flush()
  }

  close(): Promise<void> {
    return this.#recorder.close()
  }

  #noteSettlement(subject: string): void {
    this.#absent.delete(subject)
    this.#lastSettlement.delete(subject)
    this.#lastSettlement.set(subject, ++this.#settlements)
    if (this.#lastSettlement.size > MAX_SETTLEMENTS) this.#lastSettlement.delete(this.#lastSettlement.keys().next().value!)
  }

  async #load(subject: string, now: number): Promise<Lost> {
    const before = this.#settlements
    // What is on its way to the record counts too.
    if (this.#recorder.has(subject)) await this.#recorder.flush()
    const recorded = await this.#store.totals(subject, now)
    const command = recorded && this.#restoring(this.#keyPrefix + subject, recorded, now)
    if (!command) {
      if (this.#absent.size >= MAX_ABSENT) this.#absent.clear()
      this.#absent.set(subject, performance.now())
    }
    return this.#lostSince(subject, before, command)
  }

  #lostSince(subject: string, settlements: number, command: DecideCommand | undefined): Lost {
    return { command, isOutdated: () => (this.#lastSettlement.get(subject) ?? 0) > settlements }
  }

  /** Totals, counted as one request: with a mark that lets it pass once. */
  #restoring(key: string, { anchorAt, lastPlan, totals }: RecordedSubject, now: number): DecideCommand | undefined {
    const known = totals.flatMap((total) => {
      const limit = this.#limits.get(total.cell)
      return limit ? [{ ...total, limit }] : []
    })
    if (known.length === 0 && anchorAt === undefined) return undefined
    const endAt = Math.max(now + 1, ...known.map((total) => total.endAt))
    const charges: Charge[] = [restoredFor(endAt - now)]
    for (const { limit, partition, startAt, endAt, used } of known) {
      // What one charge cannot add, several do.
      for (let left = used; left > 0; left -= MAX_AMOUNT) charges.push({ ...limit.charge, max: Infinity, partition, startAt, endAt, amount: Math.min(left, MAX_AMOUNT) })
    }
    if (anchorAt !== undefined) charges.push({ ...anchorCharge(), startAt: anchorAt, retainMs: Math.max(...this.#catalog.programs.map(({ anchorRetainMs }) => anchorRetainMs)) })
    return { subject: key, plan: lastPlan ?? this.#catalog.programs[0]!.id, charges, now, action: 'consume', isRare: true }
  }

  /** One literal, without spreads: this is made with every decision. */
  #eventOf(kind: 'consume' | 'reserve' | 'denial', request: TollgateRequest, program: Program, decision: Decision, charges: Charges | undefined, isShared: boolean, reservation: string | undefined): NewEvent {
    const { amounts, operation, dimensions } = request
    const { version, hasDigests } = this.#factsOf(program)
    const anchor = charges?.charges[charges.charges.length - 1]
    return {
      kind, at: decision.decidedAt, subject: decision.subject, plan: program.id, planVersion: version,
      anchorAt: anchor !== undefined && anchor.kind === CellKind.anchor ? anchor.startAt : undefined,
      operation, dimensions: dimensions && ({ ...dimensions } as Record<string, string>), amounts: amounts ? ({ ...amounts } as Record<string, number>) : NO_AMOUNTS,
      uses: kind === 'consume' && charges ? usesOf(charges, decision.degraded) : NO_USES, digest: hasDigests && charges ? digestOf(charges) : undefined, violations: undefined, reservation,
      mode: decision.mode, isDegraded: decision.degraded || undefined, isShared: isShared || undefined, id: '', count: 1,
    }
  }

  #useOf(c: Charge, actual: number | undefined, isDegraded: boolean): QuotaUse[] {
    const amount = actual === undefined ? c.amount : actual * c.weight
    if (c.kind !== CellKind.quota || amount === 0) return []
    const { cell, partition, startAt, endAt, max } = c
    const limit = this.#limits.get(cell)
    return [{ cell, limit: limit?.name ?? '', partition, startAt, endAt, max: isDegraded ? (limit?.max ?? max) : max, amount }]
  }

  #versionOf(program: Program): string {
    return this.#factsOf(program).version
  }

  /** Of most decisions the plan is that of the one before. */
  #factsOf(program: Program): PlanFacts {
    return program === this.#last?.program ? this.#last : (this.#last = this.#found(program))
  }

  #found(program: Program): PlanFacts {
    let facts = this.#plans.get(program)
    if (!facts) this.#plans.set(program, (facts = { program, version: versionOf(program), hasDigests: program.limits.some(({ kind }) => kind === 'duplicates') }))
    return facts
  }

  /** Nothing happens by itself to a hold that ends, so somebody has to look. */
  #watch(id: string, event: NewEvent, expiresAt: number): void {
    if (this.#open.size >= MAX_WATCHED) return
    this.#open.set(id, { event, expiresAt })
    if (this.#isWatching) return
    this.#isWatching = true
    this.#clock.after(WATCH_EVERY_MS, () => this.#look())
  }

  #look(): void {
    const now = this.#clock.now()
    for (const [id, { event, expiresAt }] of this.#open) {
      if (now < expiresAt) continue
      this.#open.delete(id)
      this.#recorder.add({ ...event, id: settlementId(id, 'expire'), kind: 'expire', at: expiresAt })
    }
    this.#isWatching = this.#open.size > 0
    if (this.#isWatching) this.#clock.after(WATCH_EVERY_MS, () => this.#look())
  }
}


interface PlanFacts {
  readonly program: Program
  readonly version: string
  readonly hasDigests: boolean
}

function versionOf({ definition }: Program): string {
  const text = JSON.stringify(definition, (_, value: unknown) => (value === Infinity ? 'Infinity' : value))
  return createHash('sha256').update(text).digest('base64url').slice(0, 8)
}

/** What was decided without the store was held against a share of each limit, or against none: on record is the whole. */
function usesOf({ limits, charges }: Charges, isDegraded: boolean): readonly QuotaUse[] {
  let uses: QuotaUse[] | undefined
  for (let i = 0; i < limits.length; i++) {
    const { kind, cell, partition, startAt, endAt, max, amount } = charges[i]!
    if (kind === CellKind.quota && amount > 0) (uses ??= []).push({ cell, limit: limits[i]!.name, partition, startAt, endAt, max: isDegraded ? limits[i]!.max : max, amount })
  }
  return uses ?? NO_USES
}

/** Of its content. */
export function digestOf({ charges }: Charges): string | undefined {
  for (const { digest } of charges) if (digest !== '') return digest
  return undefined
}
