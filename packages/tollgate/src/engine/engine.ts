import { randomUUID } from 'node:crypto'
import type { Catalog } from '../compile/catalog.ts'
import { type Charges, compileCharges, type SubjectFacts } from '../compile/charges.ts'
import type { Program } from '../compile/program.ts'
import { CellKind, type Charge } from '../decide/charge.ts'
import { assertText, DEFAULT_TTL_MS, validateRequest } from '../compile/request.ts'
import type { Digester } from '../content/digest.ts'
import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import type { Locale, MessageFacts } from '../messages/index.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import type { CounterStore, DecideCommand, MaybePromise, Outcome, ReservationMemo } from '../stores/store.ts'
import { Breaker } from './breaker.ts'
import type { Clock } from './clock.ts'
import { costOf, decideWithCredits } from './credits.ts'
import { decisionOf, isNear } from './decision.ts'
import { Events } from './events.ts'
import { aborted, isLate, isPromise, isUnavailable, StoreGuard } from './guard.ts'
import { fingerprintOf, type ReceiptStore } from './receipts.ts'
import type { LedgerAnswer, LedgerCommand, Overage } from '../ledger/commands.ts'
import type { BalanceNow, Ledger } from '../ledger/ledger.ts'
import { digestOf, Recording } from './recording.ts'
import type { RecordStore } from '../record/store.ts'
import { Replay } from './replay.ts'
import { OpenReservation } from './reservation.ts'
import { isOfRecord, Restoring } from './restoring.ts'
import { LOCAL_ID, Settling } from './settling.ts'
import { Shares, unlimited } from './shares.ts'
import { modeFor, type Rollout } from './rollout.ts'
import { decideTogether } from './together.ts'
import { recordAt, type SubjectRecord, type SubjectStore } from './subjects.ts'
import { Warnings } from './warnings.ts'
import type { CommitOptions, Decision, LimitState, Settlement, TollgateRequest } from './types.ts'

export type Action = 'check' | 'consume' | 'reserve'

export interface EngineConfig {
  catalog: Catalog
  store: CounterStore
  subjects: SubjectStore
  clock: Clock
  digest: Digester
  message: (facts: MessageFacts, locale: Locale) => string
  localeOf: (locale: string | undefined) => Locale
  defaultPlanOf: (subject: string) => string | undefined
  /** Goes before every subject in the store, so that namespaces never meet there. */
  keyPrefix: string
  secret: string | Uint8Array
  newId: () => string
  /** 0 … 1. */
  random: () => number
  rollout: Rollout
  storeTimeoutMs: number
  ledgerTimeoutMs: number
  recordTimeoutMs: number
  maxInFlight: number
  receipts: ReceiptStore<Decision>
  localShare: number | undefined
  ledger: Ledger
  record: RecordStore | undefined
  /** Of a commit that takes more credits than were held. */
  overage: Exclude<Overage, { policy: 'deny' }>
  /** Names a subject's account in a ledger that others use too. */
  accountOf: (subject: string) => string
}

/** Of the oldest, a repeated denial is repeated. */
const MAX_IMPROVED = 10_000
/** A plan changes, or a period ends, at most this often while one request is decided. */
const MAX_COMPILATIONS = 4

/** A subject that is only asked for to see whether the store answers. */
const PROBED = '@probe'

/** The facts of most subjects: shared, since what is made for each decision is most of its cost. */
const NOTHING_KNOWN: SubjectFacts = { anchorAt: 0, isAssumed: true, overrides: undefined }

/** One request under way to its decision. */
interface Inquiry {
  readonly request: TollgateRequest
  readonly program: Program
  readonly mode: Decision['mode']
  readonly action: Action
  /** What the caller asked for, where it is done another way. */
  readonly asked?: Action
  /** Set for one subject of several. */
  readonly part: Part | undefined
  readonly facts: SubjectFacts
  /** The store knows the subject, or the record has nothing of it. */
  readonly isKnown?: boolean
  /** What the subject used without the store is counted there, as far as it can be by now. */
  readonly isReplayed?: boolean
}

/** Why and how a decision is made without the store. */
interface Outage {
  readonly error: unknown
  readonly policy: 'open' | 'local'
  /** It was not answered in time, and the store may count it yet. */
  readonly call: Promise<Outcome> | undefined
}

/** One subject's decision is a part of a request's: it is not announced by itself. */
export interface Part {
  /** Reservations that are settled with its own. */
  readonly linked: readonly string[]
  /** Of the subject that the request is about. */
  readonly own?: OwnPart | undefined
  /** It is about another subject than the request. */
  readonly isShared?: boolean
}

export interface OwnPart {
  /** The id that its reservation gets. */
  readonly reservation?: string
  /** Credits that will be held for it. */
  readonly credits?: HeldCredits
}

export interface HeldCredits {
  readonly account: string
  readonly id: string
}

/** From a request to a decision. */
export class Engine {
  readonly events = new Events()
  readonly config: EngineConfig
  /** `undefined` where nothing is recorded. */
  readonly record: Recording | undefined
  readonly restoring: Restoring | undefined
  readonly settling: Settling
  readonly replay: Replay
  rollout: Rollout
  readonly #breaker: Breaker
  readonly #guard: StoreGuard
  readonly #ledgerGuard: StoreGuard
  readonly #recordGuard: StoreGuard
  readonly #scratch: Charges = { limits: [], charges: [] }
  /** When subjects were last given something, the latest last. */
  readonly #improvedAt = new Map<string, number>()
  readonly #shares: Shares
  #local: MemoryStore | undefined
  readonly #warned = new Warnings()
  #isClosed = false

  constructor(config: EngineConfig) {
    this.config = config
    this.rollout = config.rollout
    this.record = config.record && new Recording(config.record, config.catalog, config.clock, config.keyPrefix, (failure) => this.events.emit('unrecorded', failure))
    this.#breaker = new Breaker(config.clock, () => this.#probe(), config.random, (awayMs) => this.#recovered(awayMs))
    this.#guard = new StoreGuard(config.clock, config.storeTimeoutMs, config.maxInFlight, this.#breaker)
    this.#ledgerGuard = new StoreGuard(config.clock, config.ledgerTimeoutMs, config.maxInFlight)
    this.#recordGuard = new StoreGuard(config.clock, config.recordTimeoutMs, config.maxInFlight)
    this.#shares = new Shares(config.localShare, config.store)
    this.replay = new Replay(this, this.#guard)
    this.settling = new Settling(this, this.#guard, () => this.#localStore())
    this.restoring = this.record && new Restoring(this, this.record, this.#recordGuard)
  }

  decide(request: TollgateRequest, action: Action): MaybePromise<Decision> {
    this.assertOpen()
    if (typeof request !== 'object' || request === null) throw invalidRequest('request', `${show(request)} is not a request; use an object with a subject`)
    assertText(request.subject, 'subject')
    if (request.locale !== undefined) assertText(request.locale, 'locale')
    if (request.signal?.aborted) throw aborted()
    if (request.idempotencyKey === undefined || action === 'check') return this.#decideAll(request, action)
    return this.#decideOnce(request, action)
  }

  #decideOnce(request: TollgateRequest, action: Action): Promise<Decision> {
    const { signal: _, idempotencyKey, ...body } = request
    assertText(idempotencyKey, 'idempotencyKey')
    return this.config.receipts.once(`${action} ${idempotencyKey}`, fingerprintOf(body, this.config.secret), () => this.#decideAll(request, action), (denial) => this.#isOutdated(denial), request.subject).then(({ answer }) => answer)
  }

  /** A denied subject was given a better plan, or credits: a repeat of its request is decided anew, not denied again. */
  improve(subject: string): void {
    this.#improvedAt.delete(subject)
    this.#improvedAt.set(subject, this.config.clock.now())
    if (this.#improvedAt.size > MAX_IMPROVED) this.#improvedAt.delete(this.#improvedAt.keys().next().value!)
  }

  #isOutdated({ allowed, subject, violations, decidedAt }: Decision): boolean {
    return !allowed && [subject, ...violations.map((violation) => violation.subject ?? subject)].some((each) => (this.#improvedAt.get(each) ?? -Infinity) >= decidedAt)
  }

  /** The plan a request is decided under: the one it names, else the subject's, else the default. */
  programOf(subject: string, named: string | undefined, record: SubjectRecord | undefined): Program {
    const name = named ?? this.storedPlan(record) ?? this.config.defaultPlanOf(subject)
    if (name !== undefined) return this.config.catalog.find(name)
    throw new TollgateError('UNKNOWN_PLAN', `plan: ${show(subject)} has no plan; name one in the request, store one with setPlan, or set defaultPlan`, { field: 'plan' })
  }

  storedPlan(record: SubjectRecord | undefined): string | undefined {
    return record?.nextPlan ? recordAt(record, this.config.clock.now())!.plan : record?.plan
  }

  /** What is known of a subject's own start and limits. */
  factsOf(subject: string, record: SubjectRecord | undefined, program: Program, now: number): SubjectFacts {
    if (!record && !program.isAnchored) return NOTHING_KNOWN
    const known = record?.anchorAt ?? (program.isAnchored ? this.config.store.knownAnchor(this.keyOf(subject)) : undefined)
    return { anchorAt: known ?? now, isAssumed: record?.anchorAt === undefined, overrides: record?.overrides }
  }

  keyOf(subject: string): string {
    return this.config.keyPrefix === '' ? subject : this.config.keyPrefix + subject
  }

  assertOpen(): void {
    if (this.#isClosed) throw new TollgateError('CLOSED', 'this Tollgate was closed; create a new one')
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([this.#guard.idle(), this.#ledgerGuard.idle()])
    await this.replay.close()
    this.#breaker.stop()
    // What cannot be written now was told of as `unrecorded`.
    if (this.record) await this.#recordGuard.within(this.record.close()).catch(() => {})
    await this.config.store.close()
    await this.config.ledger.close()
  }

  #decideAll(request: TollgateRequest, action: Action): MaybePromise<Decision> {
    if (request.also !== undefined) return this.#decideSeveral(request, action)
    return this.decideOne(request, action)
  }

  async #decideSeveral(request: TollgateRequest, action: Action): Promise<Decision> {
    const program = this.programOf(request.subject, request.plan, await this.config.subjects.get(request.subject))
    const cost = costOf(program, request)
    if (cost > 0 && modeFor(this.rollout, request.subject) !== 'off') return decideWithCredits(this, request, action, program, cost)
    const decision = await decideTogether(this, request, action)
    this.announce(request, action, decision)
    return decision
  }

  /** All but the credits of a request that costs some; not announced, as it is only a part. */
  decideLimits(request: TollgateRequest, action: Action, own?: OwnPart): MaybePromise<Decision> {
    return request.also === undefined ? this.decideOne(request, action, { linked: [], own }) : decideTogether(this, request, action, own)
  }

  /** @throws STORE_UNAVAILABLE at the deadline, OVERLOADED, ABORTED */
  askLedger(subject: string, command: LedgerCommand, signal?: AbortSignal): Promise<LedgerAnswer> {
    return this.withAccount(subject, (ledger, account) => ledger.run(account, command), signal)
  }

  balanceOf(subject: string, amount?: number, signal?: AbortSignal): Promise<BalanceNow> {
    return this.withAccount(subject, (ledger, account) => ledger.balance(account, amount), signal)
  }

  /** A call of the ledger, within the same bounds as one of the store. */
  async withAccount<T>(subject: string, ask: (ledger: Ledger, account: string) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#ledgerGuard.assertRoom()
    return this.#ledgerGuard.within(ask(this.config.ledger, this.config.accountOf(subject)), signal)
  }

  decideOne(request: TollgateRequest, action: Action, part?: Part): MaybePromise<Decision> {
    const record = this.config.subjects.get(request.subject)
    if (isPromise(record)) return this.#decideLater(record, request, action, part)
    return this.#decideFor(record, request, action, part)
  }

  async #decideLater(record: Promise<SubjectRecord | undefined>, request: TollgateRequest, action: Action, part: Part | undefined): Promise<Decision> {
    return this.#decideFor(await record, request, action, part)
  }

  /** The team that is stored with a subject shares its limits, and its credits, as if each request named it: once a plan is stored of it. */
  async #decideWithTeam(request: TollgateRequest, team: string, action: Action): Promise<Decision> {
    const hasPlan = this.storedPlan(await this.config.subjects.get(team)) !== undefined
    return this.#decideAll({ ...request, also: hasPlan ? [team] : [] }, action)
  }

  #decideFor(record: SubjectRecord | undefined, asked: TollgateRequest, action: Action, part: Part | undefined): MaybePromise<Decision> {
    const program = this.programOf(asked.subject, asked.plan, record)
    const { defaultOperation } = program.vocabulary
    const request = asked.operation === undefined && defaultOperation !== undefined ? { ...asked, operation: defaultOperation } : asked
    validateRequest(request, program.vocabulary)
    if (part === undefined && record?.team !== undefined && request.also === undefined) return this.#decideWithTeam(request, record.team, action)
    const mode = modeFor(this.rollout, request.subject)
    const cost = part === undefined ? costOf(program, request) : 0
    if (cost > 0 && mode !== 'off') return decideWithCredits(this, request, action, program, cost)
    if (mode === 'off') return this.#passUnlimited({ request, program, mode, action, part })
    const now = this.config.clock.now()
    const facts = this.factsOf(request.subject, record, program, now)
    const charges = compileCharges(program, request, now, facts, this.config.digest, this.#scratch)
    // A unit of capacity is given back by its reservation's id, so it needs one even when it is consumed at once.
    const isStanding = action === 'consume' && program.hasCapacity && charges.charges.some(({ kind }) => kind === CellKind.capacity)
    if (isStanding) return this.#consumeStanding({ request, program, mode, action: 'reserve', asked: 'consume', facts, part }, charges, now)
    return this.#ask({ request, program, mode, action, facts, part }, charges, now)
  }

  async #consumeStanding(inquiry: Inquiry, charges: Charges, now: number): Promise<Decision> {
    const decision = await this.#ask(inquiry, charges, now)
    if (decision.reservation) await this.settling.settle(decision.reservation.id, 'commit')
    return decision
  }

  #ask(inquiry: Inquiry, compiled: Charges, now: number, compilation = 1): MaybePromise<Decision> {
    const charges = this.config.store.isRemote ? copied(compiled) : compiled
    const command = this.#command(inquiry, charges.charges, now)
    if (this.#breaker.isOpen) return this.#decideWithoutStore(inquiry, command, charges, this.#breaker.refusal())
    if (this.replay.size > 0 && !inquiry.isReplayed && this.replay.has(inquiry.request.subject)) return this.#replayFirst(inquiry, command, charges)
    this.#guard.assertRoom()
    const answer = this.config.store.decide(command)
    if (isPromise(answer)) return this.#hearLater(answer, inquiry, command, charges, compilation)
    return this.#hear(answer, inquiry, command, charges, compilation)
  }

  async #hearLater(answer: Promise<Outcome>, inquiry: Inquiry, command: DecideCommand, charges: Charges, compilation: number): Promise<Decision> {
    // The scratch is used again before the answer comes.
    const kept = this.config.store.isRemote ? charges : copied(charges)
    let outcome: Outcome
    try {
      outcome = await this.#guard.within(answer, inquiry.request.signal)
    } catch (error) {
      // What the store was given it may still be reading.
      const own = copied(kept)
      return this.#decideWithoutStore(inquiry, { ...command, charges: own.charges }, own, error, isLate(error) ? answer : undefined)
    }
    return this.#hear(outcome, inquiry, command, kept, compilation)
  }

  #hear(outcome: Outcome, inquiry: Inquiry, command: DecideCommand, charges: Charges, compilation: number): MaybePromise<Decision> {
    if (!outcome.stale) return this.#conclude(inquiry, command, charges, outcome)
    if (outcome.stale.isUnknown) return this.#restoreFirst(inquiry, command, charges)
    if (compilation === MAX_COMPILATIONS) throw new TollgateError('OVERLOADED', 'the clocks of this process and its store are too far apart to agree on a period', { retryAfterMs: 1000 })
    const { program, request, facts } = inquiry
    const known: SubjectFacts = { ...facts, anchorAt: outcome.stale.anchorAt ?? facts.anchorAt }
    const again = compileCharges(program, request, outcome.at, known, this.config.digest, this.#scratch)
    return this.#ask({ ...inquiry, facts: known }, again, outcome.at, compilation + 1)
  }

  /** The store knows nothing of the subject: new, or lost. Its totals come from the record, once. */
  #restoreFirst(inquiry: Inquiry, command: DecideCommand, charges: Charges): Promise<Decision> {
    const { subject, signal } = inquiry.request
    return this.#askAfter(this.restoring!.restore(subject, signal), inquiry, command, charges, { isKnown: true })
  }

  /** The store's counters lack what the subject used while it was away. */
  #replayFirst(inquiry: Inquiry, command: DecideCommand, charges: Charges): Promise<Decision> {
    const { subject, signal } = inquiry.request
    return this.#askAfter(this.replay.before(subject, signal), inquiry, command, charges, { isReplayed: true })
  }

  async #askAfter(done: Promise<void>, inquiry: Inquiry, command: DecideCommand, { limits, charges }: Charges, then: Partial<Inquiry>): Promise<Decision> {
    const { program, request, facts } = inquiry
    // The scratch is used again meanwhile.
    const kept: Charges = { limits: [...limits], charges: charges.map((c) => ({ ...c })) }
    try {
      await done
    } catch (error) {
      return this.#decideWithoutStore(inquiry, { ...command, charges: kept.charges }, kept, error)
    }
    const now = this.config.clock.now()
    const again = compileCharges(program, request, now, facts, this.config.digest, this.#scratch)
    return this.#ask({ ...inquiry, ...then }, again, now)
  }

  #command({ request, program, mode, action, asked, part, isKnown }: Omit<Inquiry, 'facts'>, charges: readonly Charge[], now: number): DecideCommand {
    const command: DecideCommand = { subject: this.keyOf(request.subject), plan: program.id, charges, now, action }
    if (this.record && !isKnown) {
      command.unlessUnknown = true
      command.recordedMs = this.config.catalog.recordedMs
    }
    const { store } = this.config
    // Of several subjects, and of credits, each attempt takes back what it was given itself.
    if (store.keepsReceipts && request.idempotencyKey !== undefined && part === undefined && asked === undefined) command.receipt = this.#receiptOf(request, action)
    if (action === 'reserve') {
      const { reservation = command.receipt ?? this.config.newId(), credits } = part?.own ?? {}
      const id = store.reservationId?.(command.subject, reservation) ?? reservation
      command.reservation = { id, ttlMs: request.ttlMs ?? DEFAULT_TTL_MS, memo: { plan: program.id, amounts: { ...(request.amounts as Record<string, number>) }, ...(part && part.linked.length > 0 && { linked: part.linked }), ...(credits && { credits }), ...(this.record && this.#memoOf(request, mode, part)) } }
    }
    return command
  }

  /** The same for every attempt at a request with this key, and no other's. */
  #receiptOf(request: TollgateRequest, action: Action): string {
    return `i_${fingerprintOf({ ...request, signal: undefined, action, namespace: this.config.keyPrefix }, this.config.secret)}`
  }

  /** What the record wants to know when the reservation is settled. */
  #memoOf({ operation, dimensions }: TollgateRequest, mode: Decision['mode'], part: Part | undefined): Partial<ReservationMemo> {
    return { ...(operation !== undefined && { operation }), ...(dimensions && { dimensions: { ...dimensions } as Record<string, string> }), ...(mode !== 'enforce' && { mode }), ...(part?.isShared && { isShared: true }) }
  }

  #conclude(inquiry: Inquiry, command: DecideCommand, charges: Charges, outcome: Outcome, policy?: Outage['policy']): MaybePromise<Decision> {
    const { request, program, mode, facts } = inquiry
    // Whoever listens may ask the engine again, which uses charges and outcome again: all is read before.
    const { admitted, at } = outcome
    const decision = decisionOf(program, request, mode, charges, outcome, facts.overrides, this.config, policy === 'local' ? this.#shares : undefined)
    decision.degraded = policy !== undefined || outcome.uncounted === true
    // Nobody knows how they stand.
    if (policy === 'open') decision.limits = []
    if (inquiry.isKnown && admitted && command.action !== 'check') this.record?.nowKnown(request.subject)
    const warnings = admitted && command.action !== 'check' ? this.#warnings(decision, charges) : []
    const isShared = inquiry.part?.isShared === true
    if (command.reservation && admitted) {
      decision.reservation = new OpenReservation(this.#settler, command.reservation.id, at + command.reservation.ttlMs)
      this.record?.reserved(request, program, decision, charges, isShared, command.reservation.id, at + command.reservation.ttlMs)
    } else if (command.reservation && decision.allowed) {
      // Shadow mode would have denied: the caller still gets a reservation to settle, of nothing.
      return this.#reserveNothing(inquiry, command, decision)
    } else if (decision.allowed && command.action === 'consume') {
      this.record?.consumed(request, program, decision, admitted ? charges : undefined, isShared, command.receipt)
    }
    for (const limit of warnings) this.events.emit('warning', { subject: decision.subject, plan: decision.plan, limit })
    this.#announce(inquiry, decision, violated(decision) ? digestOf(charges) : undefined)
    return decision
  }

  readonly #settler = {
    commit: (id: string, options: CommitOptions = {}): Promise<Settlement> => this.settling.settle(id, 'commit', options as { amounts?: Record<string, number> }),
    release: (id: string, options: { onlyOpen?: boolean } = {}): Promise<Settlement> => this.settling.settle(id, 'release', options),
  }

  /** A decision that nothing was asked for: limits are off, or the store is away, the policy is `open`, and there is no room to count here. */
  #passUnlimited(inquiry: Omit<Inquiry, 'facts'>, isDegraded = false): MaybePromise<Decision> {
    const { request, program, mode, action, part } = inquiry
    const now = this.config.clock.now()
    const decision: Decision = { allowed: true, subject: request.subject, plan: program.id, mode, degraded: isDegraded, violations: [], limits: [], decidedAt: now, retryAfterMs: 0 }
    const command = this.#command(inquiry, [], now)
    if (command.reservation) return this.#reserveNothing(inquiry, command, decision)
    if (action === 'consume') this.record?.consumed(request, program, decision, undefined, part?.isShared === true)
    this.#announce(inquiry, decision)
    return decision
  }

  /** Nothing is held, so this process's own counters can keep the reservation when the store cannot. */
  async #reserveNothing(inquiry: Omit<Inquiry, 'facts'>, command: DecideCommand, decision: Decision): Promise<Decision> {
    const reservation = { ...command.reservation! }
    const nothing = { ...command, charges: [], reservation, unlessUnknown: false }
    try {
      if (!decision.degraded) await this.askStore((store) => store.decide(nothing), inquiry.request.signal)
    } catch (error) {
      if (!isUnavailable(error)) throw error
      decision.degraded = true
    }
    if (decision.degraded) {
      if (!reservation.id.startsWith(LOCAL_ID)) reservation.id = LOCAL_ID + reservation.id
      this.#localStore().decide(nothing)
    }
    this.record?.reserved(inquiry.request, inquiry.program, decision, undefined, inquiry.part?.isShared === true, reservation.id, command.now + reservation.ttlMs)
    this.#announce(inquiry, decision)
    return { ...decision, reservation: new OpenReservation(this.#settler, reservation.id, command.now + reservation.ttlMs) }
  }

  /** A request that went ahead although it would have been denied: nothing was counted of it. */
  recordUncounted(request: TollgateRequest, decision: Decision): void {
    this.record?.consumed(request, this.config.catalog.find(decision.plan), decision, undefined, false)
  }

  /** A reservation that holds nothing, for a request that passes although it would have been denied. */
  async emptyReservation(request: TollgateRequest, plan: string): Promise<OpenReservation> {
    const inquiry = { request, program: this.config.catalog.find(plan), mode: 'shadow', action: 'reserve', part: { linked: [] } } as const
    const decision = await this.#passUnlimited(inquiry)
    return decision.reservation as OpenReservation
  }

  /** The store failed: the strictest policy of the request's limits decides. */
  #decideWithoutStore(inquiry: Inquiry, command: DecideCommand, charges: Charges, error: unknown, call?: Promise<Outcome>): MaybePromise<Decision> {
    if (!isUnavailable(error)) throw error
    const policy = this.#shares.policyFor(charges)
    this.events.emit('degraded', { error, policy })
    if (policy === 'closed') throw error
    return this.#decideHere(inquiry, command, charges, { error, policy, call })
  }

  /**
   * This process counts by itself: under `local` by its share of each limit, under `open` what is to be replayed; and from
   * its own first use where it knows no anchor.
   */
  #decideHere(inquiry: Inquiry, command: DecideCommand, asked: Charges, outage: Outage): MaybePromise<Decision> {
    const { program, request } = inquiry
    const { error, policy, call } = outage
    const charges = policy === 'open' ? unlimited(asked) : this.#shares.within(asked)
    const local = { ...command, unlessUnknown: false, charges: charges.charges, ...(command.reservation && { reservation: { ...command.reservation, id: LOCAL_ID + command.reservation.id } }) }
    let outcome: Outcome
    try {
      outcome = this.#localStore().decide(local)
    } catch (full) {
      if (policy === 'open') return this.#passUnlimited(inquiry, true)
      throw full
    }
    if (outcome.stale) {
      const known: SubjectFacts = { ...inquiry.facts, anchorAt: outcome.stale.anchorAt ?? inquiry.facts.anchorAt }
      const again = compileCharges(program, request, command.now, known, this.config.digest, this.#scratch)
      return this.#decideHere({ ...inquiry, facts: known }, command, again, outage)
    }
    // What the record did not answer for, it has itself: it comes with the subject's totals.
    if (outcome.admitted && command.action === 'consume' && !isOfRecord(error)) this.replay.consumed(request.subject, program.id, charges.charges, call)
    return this.#conclude(inquiry, local, charges, outcome, policy)
  }

  async #probe(): Promise<void> {
    const { store } = this.config
    await this.#guard.within(Promise.resolve(store.probe ? store.probe() : store.lastPlan(this.keyOf(PROBED))))
  }

  #recovered(awayMs: number): void {
    this.replay.start()
    this.events.emit('recovered', { awayMs })
  }

  /**
   * What is neither decided nor settled, within the same bounds.
   * @throws STORE_UNAVAILABLE, OVERLOADED, ABORTED
   */
  askStore<T>(ask: (store: CounterStore) => MaybePromise<T>, signal?: AbortSignal): MaybePromise<T> {
    this.#guard.assertRoom()
    const answer = ask(this.config.store)
    return isPromise(answer) ? this.#guard.within(answer, signal) : answer
  }

  /** Of a subject that is erased, or about to be: what this process keeps of it. */
  async forget(subject: string): Promise<void> {
    await this.replay.forget(subject)
    this.#local?.erase(this.keyOf(subject))
  }

  #localStore(): MemoryStore {
    return (this.#local ??= new MemoryStore())
  }

  /** Limits that this admission took to their `softLimit`. */
  #warnings({ subject, limits }: Decision, { limits: programs, charges }: Charges): LimitState[] {
    if (!this.events.hasListeners('warning')) return []
    return limits.filter((limit, i) => limit.warning && !isNear(limit.used - charges[i]!.amount, programs[i]!.softLimit!, limit.max) && this.#warned.isFirst(subject, limit))
  }

  #announce({ request, action, asked, part }: Omit<Inquiry, 'facts'>, decision: Decision, digest?: string): void {
    if (!part) this.announce(request, asked ?? action, decision, digest)
  }

  announce(request: TollgateRequest, action: Action, decision: Decision, digest?: string): void {
    if (this.record && action !== 'check' && violated(decision)) this.record.denied(request, this.config.catalog.find(decision.plan), decision, digest)
    if (!this.events.hasListeners('decision')) return
    // Listeners write logs, and content is kept nowhere.
    const { content: _, ...rest } = request
    this.events.emit('decision', { request: rest, action, decision })
  }
}

function copied({ limits, charges }: Charges): Charges {
  return { limits: [...limits], charges: charges.map((c) => ({ ...c })) }
}

export const newReservationId = (): string => `r_${randomUUID().replaceAll('-', '')}`

const violated = ({ violations }: Decision): boolean => violations.length > 0
