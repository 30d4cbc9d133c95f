import { randomUUID } from 'node:crypto'
import type { Catalog } from '../compile/catalog.ts'
import type { SubjectFacts } from '../compile/charges.ts'
import type { Program } from '../compile/program.ts'
import { assertText, validateRequest } from '../compile/request.ts'
import type { Digester } from '../content/digest.ts'
import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import type { LedgerAnswer, LedgerCommand, Overage } from '../ledger/commands.ts'
import type { BalanceNow, Ledger } from '../ledger/ledger.ts'
import type { Locale, MessageFacts } from '../messages/index.ts'
import type { RecordStore } from '../record/store.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import type { CounterStore, MaybePromise } from '../stores/store.ts'
import { Breaker } from './breaker.ts'
import type { Clock } from './clock.ts'
import { costOf, decideWithCredits, freeCredits } from './credits.ts'
import { Deciding } from './deciding.ts'
import { Events } from './events.ts'
import { aborted, isPromise, isUnavailable, StoreGuard, untilAborted } from './guard.ts'
import type { Action, Inquiry, OwnPart, Part } from './inquiry.ts'
import { fingerprintOf, type ReceiptStore } from './receipts.ts'
import { Recording } from './recording.ts'
import { Replay } from './replay.ts'
import { Restoring } from './restoring.ts'
import { revived } from './revived.ts'
import { modeFor, type Rollout } from './rollout.ts'
import { Settling } from './settling.ts'
import { recordAt, type SubjectRecord, type SubjectStore } from './subjects.ts'
import { decideTogether } from './together.ts'
import type { Decision, TollgateRequest } from './types.ts'
import { passUnlimited } from './uncounted.ts'

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

/** A subject that is only asked for to see whether the store answers. */
const PROBED = '@probe'

const SUBJECTS = 'the store of subjects'

/** The facts of most subjects: shared, since what is made for each decision is most of its cost. */
const NOTHING_KNOWN: SubjectFacts = { anchorAt: 0, isAssumed: true, overrides: undefined }

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
  readonly deciding: Deciding
  readonly #breaker: Breaker
  readonly #guard: StoreGuard
  readonly #subjectsBreaker: Breaker
  readonly #subjectsGuard: StoreGuard
  readonly #ledgerGuard: StoreGuard
  readonly #recordGuard: StoreGuard
  /** When subjects were last given something, the latest last. */
  readonly #improvedAt = new Map<string, number>()
  #local: MemoryStore | undefined
  #isClosed = false

  constructor(config: EngineConfig) {
    this.config = config
    this.rollout = config.rollout
    this.record = config.record && new Recording(config.record, config.catalog, config.clock, config.keyPrefix, (failure) => this.events.emit('unrecorded', failure))
    this.#breaker = new Breaker(config.clock, () => this.#probe(), config.random, (awayMs) => this.#recovered(awayMs))
    this.#guard = new StoreGuard(config.clock, config.storeTimeoutMs, config.maxInFlight, this.#breaker)
    this.#ledgerGuard = new StoreGuard(config.clock, config.ledgerTimeoutMs, config.maxInFlight, undefined, 'the ledger')
    this.#recordGuard = new StoreGuard(config.clock, config.recordTimeoutMs, config.maxInFlight, undefined, 'the record')
    this.#subjectsBreaker = new Breaker(config.clock, async () => this.#subjectsGuard.within(Promise.resolve(config.subjects.get(PROBED, true))), config.random, () => {}, SUBJECTS)
    this.#subjectsGuard = new StoreGuard(config.clock, config.recordTimeoutMs, config.maxInFlight, this.#subjectsBreaker, SUBJECTS)
    this.deciding = new Deciding(this, this.#guard, this.#breaker)
    this.replay = new Replay(this, this.#guard)
    this.settling = new Settling(this, this.#guard)
    this.restoring = this.record && new Restoring(this, this.record, this.#recordGuard)
  }

  decide(request: TollgateRequest, action: Action): MaybePromise<Decision> {
    this.#assertAsked(request)
    if (request.idempotencyKey === undefined || action === 'check') return this.#decideAll(request, action)
    return this.decideOnce(request, action).then(({ decision }) => decision)
  }

  /** @throws CLOSED, INVALID_REQUEST, ABORTED */
  #assertAsked(request: TollgateRequest): void {
    this.assertOpen()
    if (typeof request !== 'object' || request === null) throw invalidRequest('request', `${show(request)} is not a request; use an object with a subject`)
    assertText(request.subject, 'subject')
    if (request.locale !== undefined) assertText(request.locale, 'locale')
    if (request.signal?.aborted) throw aborted()
  }

  /** Of a request with an idempotency key, and whether its answer was given before. */
  async decideOnce(request: TollgateRequest, action: Action): Promise<{ decision: Decision; isRepeat: boolean }> {
    this.#assertAsked(request)
    const { signal, idempotencyKey, ...body } = request
    assertText(idempotencyKey, 'idempotencyKey')
    const key = `${this.config.keyPrefix}${action} ${idempotencyKey}`
    const found = this.config.receipts.once(key, fingerprintOf(body, this.config.secret), () => this.#decideAll(request, action), (denial) => this.#isOutdated(denial), request.subject)
    const { answer, isReplay } = await untilAborted(found, signal)
    return { decision: isReplay ? revived(answer, this.settling) : answer, isRepeat: isReplay || this.deciding.isRepeat(answer) }
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

  #decideAll(request: TollgateRequest, action: Action): MaybePromise<Decision> {
    if (request.also !== undefined) return this.#decideSeveral(request, action)
    return this.decideOne(request, action)
  }

  async #decideSeveral(request: TollgateRequest, action: Action): Promise<Decision> {
    const program = await this.programFor(request.subject, request.plan, request.signal)
    const cost = costOf(program, request)
    const isOff = modeFor(this.rollout, request.subject) === 'off'
    if (cost > 0 && !isOff) return decideWithCredits(this, request, action, program, cost)
    const credits = isOff ? undefined : freeCredits(this, request, program, action)
    const decision = await decideTogether(this, request, action, credits && { credits })
    if (decision.violations.length === 0) this.deciding.warn(decision)
    this.announce(request, action, decision)
    return decision
  }

  /** All but the credits of a request that costs some; not announced, as it is only a part. */
  decideLimits(request: TollgateRequest, action: Action, own?: OwnPart): MaybePromise<Decision> {
    return request.also === undefined ? this.decideOne(request, action, { linked: [], own }) : decideTogether(this, request, action, own)
  }

  decideOne(request: TollgateRequest, action: Action, part?: Part): MaybePromise<Decision> {
    let record: MaybePromise<SubjectRecord | undefined>
    try {
      record = this.subjectOf(request.subject, request.signal)
    } catch (error) {
      return this.#decideUnread(error, request, action, part)
    }
    if (isPromise(record)) return this.#decideLater(record, request, action, part)
    return this.#decideFor(record, request, action, part)
  }

  async #decideLater(reading: Promise<SubjectRecord | undefined>, request: TollgateRequest, action: Action, part: Part | undefined): Promise<Decision> {
    let record: SubjectRecord | undefined
    try {
      record = await reading
    } catch (error) {
      return this.#decideUnread(error, request, action, part)
    }
    return this.#decideFor(record, request, action, part)
  }

  /** What is stored of the subject cannot be read: what was known last counts, and of whom nothing was, the plan that is named, or the default. */
  #decideUnread(error: unknown, request: TollgateRequest, action: Action, part: Part | undefined): MaybePromise<Decision> {
    if (!isUnavailable(error)) throw error
    const last = this.config.subjects.lastKnown?.(request.subject)
    if (last) return this.#decideFor(last.record, request, action, part)
    if (!this.#hasPlanAnyway(request.subject, request.plan)) throw error
    return this.#decideFor(undefined, request, action, part, error)
  }

  /** The team that is stored with a subject shares its limits, and its credits, as if each request named it: once a plan is stored of it. */
  async #decideWithTeam(request: TollgateRequest, team: string, action: Action): Promise<Decision> {
    const hasPlan = this.storedPlan(await this.recordOf(team, request.signal, true)) !== undefined
    return this.#decideAll({ ...request, also: hasPlan ? [team] : [] }, action)
  }

  #decideFor(record: SubjectRecord | undefined, asked: TollgateRequest, action: Action, part: Part | undefined, unread?: unknown): MaybePromise<Decision> {
    const program = this.programOf(asked.subject, asked.plan, record)
    const { defaultOperation } = program.vocabulary
    const request = asked.operation === undefined && defaultOperation !== undefined ? { ...asked, operation: defaultOperation } : asked
    validateRequest(request, program.vocabulary)
    if (part === undefined && record?.team !== undefined && request.also === undefined) return this.#decideWithTeam(request, record.team, action)
    const mode = modeFor(this.rollout, request.subject)
    const cost = part === undefined ? costOf(program, request) : 0
    if (cost > 0 && mode !== 'off') return decideWithCredits(this, request, action, program, cost)
    const credits = part === undefined && mode !== 'off' ? freeCredits(this, request, program, action) : undefined
    const inquiry: Inquiry = { request, program, mode, action, asked: undefined, part, credits, unread }
    return mode === 'off' ? passUnlimited(this, inquiry) : this.deciding.decide(inquiry, record)
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
  factsOf(subject: string, stored: SubjectRecord | undefined, program: Program, now: number): SubjectFacts {
    if (!stored && !program.isAnchored) return NOTHING_KNOWN
    const record = recordAt(stored, now)
    const known = record?.anchorAt ?? (program.isAnchored ? this.config.store.knownAnchor(this.keyOf(subject)) : undefined)
    return { anchorAt: known ?? now, isAssumed: record?.anchorAt === undefined, overrides: record?.overrides }
  }

  keyOf(subject: string): string {
    return this.config.keyPrefix === '' ? subject : this.config.keyPrefix + subject
  }

  assertOpen(): void {
    if (this.#isClosed) throw new TollgateError('CLOSED', 'this Tollgate was closed; create a new one')
  }

  /**
   * What is stored of a subject.
   * @param isFresh as it is now, where others may have changed it
   * @throws STORE_UNAVAILABLE, OVERLOADED, ABORTED
   */
  subjectOf(subject: string, signal?: AbortSignal, isFresh?: boolean): MaybePromise<SubjectRecord | undefined> {
    if (this.#subjectsBreaker.isOpen) throw this.#subjectsBreaker.refusal()
    const found = this.config.subjects.get(subject, isFresh)
    if (!isPromise(found)) return found
    try {
      this.#subjectsGuard.assertRoom()
    } catch (error) {
      // What was asked already is heard by nobody.
      found.catch(() => {})
      throw error
    }
    return this.#subjectsGuard.within(found, signal)
  }

  /**
   * The same for a decision: what was known last, where the store is away.
   * @param isNeeded whether it matters that nothing may be known
   * @throws STORE_UNAVAILABLE where it is needed, ABORTED
   */
  async recordOf(subject: string, signal: AbortSignal | undefined, isNeeded: boolean): Promise<SubjectRecord | undefined> {
    try {
      return await this.subjectOf(subject, signal)
    } catch (error) {
      const last = this.config.subjects.lastKnown?.(subject)
      if (!isUnavailable(error) || (isNeeded && !last)) throw error
      return last?.record
    }
  }

  /** `programOf`, whatever is stored: what was known last counts where that cannot be read. */
  async programFor(subject: string, named: string | undefined, signal: AbortSignal | undefined): Promise<Program> {
    return this.programOf(subject, named, await this.recordOf(subject, signal, !this.#hasPlanAnyway(subject, named)))
  }

  #hasPlanAnyway(subject: string, named: string | undefined): boolean {
    return (named ?? this.config.defaultPlanOf(subject)) !== undefined
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

  /** Counters of this process: what is decided, and held, while the store is away. */
  localStore(): MemoryStore {
    return (this.#local ??= new MemoryStore())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([this.#guard.idle(), this.#ledgerGuard.idle()])
    await this.replay.close()
    this.#breaker.stop()
    this.#subjectsBreaker.stop()
    // What cannot be written now was told of as `unrecorded`.
    if (this.record) await this.#recordGuard.within(this.record.close()).catch(() => {})
    await this.config.store.close()
    await this.config.ledger.close()
  }

  async #probe(): Promise<void> {
    const { store } = this.config
    await this.#guard.within(Promise.resolve(store.probe ? store.probe() : store.lastPlan(this.keyOf(PROBED))))
  }

  #recovered(awayMs: number): void {
    this.replay.start()
    this.events.emit('recovered', { awayMs })
  }

  /** Of one subject's decision, unless it is a part of a request's. */
  announceOne({ request, action, asked, part }: Inquiry, decision: Decision, digest?: string): void {
    if (!part) this.announce(request, asked ?? action, decision, digest)
  }

  announce(request: TollgateRequest, action: Action, decision: Decision, digest?: string): void {
    if (this.record && action !== 'check' && decision.violations.length > 0) this.record.denied(request, this.config.catalog.find(decision.plan), decision, digest)
    if (!this.events.hasListeners('decision')) return
    // Listeners write logs, and content is kept nowhere.
    const { content: _, ...rest } = request
    this.events.emit('decision', { request: rest, action, decision })
  }
}

export const newReservationId = (): string => `r_${randomUUID().replaceAll('-', '')}`
