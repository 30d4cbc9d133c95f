import type { Program } from '../compile/program.ts'
import { assertInteger, assertText, MAX_AMOUNT } from '../compile/request.ts'
import type { Balance } from '../ledger/account.ts'
import type { EntryList, EntryPage } from '../ledger/ledger.ts'
import { at } from '../define/rules.ts'
import { suggest } from '../define/suggest.ts'
import { invalidRequest, show, TollgateError } from '../errors/index.ts'
import { changeCredits, type Granted, grantCredits, type NewGrant, type NewRefund, type PlanChange, refundCredits, validateChange, voidGrant } from './account.ts'
import type { Engine } from './engine.ts'
import { isPromise } from './guard.ts'
import type { EngineEvents, Listener } from './events.ts'
import { run, type RunResult, type Spend } from './run.ts'
import { type Rollout, validateRollout } from './rollout.ts'
import { recordAt, type SubjectRecord, type SubjectStore } from './subjects.ts'
import type { CommitOptions, Decision, Names, PlanFacts, PlanView, Settlement, TollgateRequest, Usage } from './types.ts'
import { type Explanation, explain, usageOf } from './usage.ts'

/**
 * One engine: plans, a store and the state of its subjects. Denials are values; what is thrown is a `TollgateError`.
 */
export class Tollgate<N extends Names = Names> {
  readonly #engine: Engine
  readonly #subjects: SubjectStore
  /** Made once: adapters keep texts by the view's identity. */
  #views: ReadonlyMap<string, PlanView> | undefined

  /** @internal Use `createTollgate`. */
  constructor(engine: Engine) {
    this.#engine = engine
    this.#subjects = engine.config.subjects
  }

  /** Decides and writes nothing. */
  check(request: TollgateRequest<N>): Promise<Decision<N>> {
    return this.#decide(request, 'check')
  }

  /** Decides and counts at once. */
  consume(request: TollgateRequest<N>): Promise<Decision<N>> {
    return this.#decide(request, 'consume')
  }

  /** Decides and holds the estimate until `commit`, `release` or expiry. */
  reserve(request: TollgateRequest<N>): Promise<Decision<N>> {
    return this.#decide(request, 'reserve')
  }

  /** Counts what was used, in full even where it passes a limit. Accepted up to 24 h after the hold expired. */
  async commit(id: string, options?: CommitOptions<N>): Promise<Settlement> {
    return this.#engine.settling.commit(id, (options ?? {}) as CommitOptions)
  }

  /** Gives quotas back; guards such as cooldowns and windows keep what they counted. */
  release(id: string): Promise<Settlement> {
    return this.#engine.settling.release(id)
  }

  /** Holds on until at least `ttlMs` (1 … 86,400,000) from now. */
  async extend(id: string, options: { ttlMs: number }): Promise<Settlement> {
    return this.#engine.settling.settle(id, 'extend', { ttlMs: options?.ttlMs })
  }

  /** Reserves, runs `work`, and commits when it returns or releases when it throws. A denied request does not run. */
  run<T>(request: TollgateRequest<N>, work: (spend: Spend<N>) => T | Promise<T>): Promise<RunResult<T, N>> {
    return run(this.#engine, request as TollgateRequest, work as (spend: Spend) => T | Promise<T>) as Promise<RunResult<T, N>>
  }

  /** How every limit stands under the plan named, else the subject's, else the one it was last admitted under. */
  async usage(subject: string, options?: { plan?: N['plan'] }): Promise<Usage> {
    this.#assertSubject(subject)
    const plan = options?.plan
    await this.#engine.replay.before(subject)
    await this.#engine.restoring?.restoreToLook(subject)
    const record = await this.#engine.subjectOf(subject)
    return usageOf(this.#engine, await this.#programFor(subject, plan, record), subject, record)
  }

  /** What `check` would decide, rule by rule and with reasons. */
  async explain(request: TollgateRequest<N>): Promise<Explanation> {
    this.#assertSubject(request?.subject)
    await this.#engine.restoring?.restoreToLook(request.subject)
    return explain(this.#engine, request as TollgateRequest, await this.#engine.recordOf(request.subject, request.signal, false))
  }

  /** Forgets what the subject used, of one limit or of all. Open reservations stay open and hold nothing. */
  async reset(subject: string, options?: { limit?: N['limit'] }): Promise<Usage> {
    this.#assertSubject(subject)
    const limit = options?.limit
    // What is reset must not come back from here.
    await this.#engine.replay.before(subject)
    await this.#engine.restoring?.restoreIfUnknown(subject)
    const record = await this.#engine.subjectOf(subject)
    const program = await this.#programFor(subject, undefined, record)
    let cells: string[] | null = null
    if (limit !== undefined) {
      const { limits } = program
      cells = limits.filter(({ name }) => name === limit).map(({ charge }) => charge.cell)
      if (cells.length === 0) throw new TollgateError('UNKNOWN_LIMIT', `limit: ${show(limit)} is not a limit of the subject's plan; ${suggest(limit, limits.map(({ name }) => name))}`, { field: 'limit' })
    }
    await this.#engine.askStore((store) => store.reset(this.#engine.keyOf(subject), cells))
    this.#engine.record?.reset(subject, program, cells)
    // Else it could come back with a process that is killed now.
    await this.#engine.record?.flush()
    return usageOf(this.#engine, program, subject, record)
  }

  /** What is stored of a subject, as it holds now. */
  async subject(subject: string): Promise<SubjectRecord | undefined> {
    this.#assertSubject(subject)
    return recordAt(await this.#engine.subjectOf(subject), this.#engine.config.clock.now())
  }

  /**
   * Stores the subject's plan, from now on; what it used counts on. Other facts stay as they are unless given; `null`
   * removes one. Limits of its own go with the plan that they were given for, unless new ones are given.
   * The plan's credits are granted at once; `change` says what becomes of those of the plan before.
   * @throws INVALID_REQUEST where the change is to wait for the end of a period, and the plan now has none
   */
  async setPlan(subject: string, plan: N['plan'], facts?: PlanFacts<N>, change: PlanChange = {}): Promise<SubjectRecord> {
    this.#assertSubject(subject)
    const { catalog } = this.#engine.config
    const program = catalog.find(plan)
    const { overrides: former, nextPlan: _, ...known } = recordAt(await this.#engine.subjectOf(subject, undefined, true), this.#engine.config.clock.now()) ?? {}
    const isSamePlan = known.plan !== undefined && catalog.lookup(known.plan)?.id === program.id
    const merged = { ...known, ...(isSamePlan && former && { overrides: former }), ...validateFacts(facts ?? {}, program.vocabulary.limits, subject), plan: program.id }
    const record = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null)) as SubjectRecord
    // Credits first: should the record not be stored after that, whoever tries again is not granted twice.
    const next = await changeCredits(this.#engine, subject, program, record, validateChange(change))
    const stored = next === null || known.plan === undefined ? record : waiting(record, { plan: known.plan, ...(former && { overrides: former }) }, next)
    await this.#subjects.set(subject, stored)
    if (known.plan !== program.id) this.#engine.record?.planned(subject, known.plan ?? '', program, next ?? this.#engine.config.clock.now(), record.anchorAt)
    this.#engine.improve(subject)
    return stored
  }

  /** Gives credits. The same `idempotencyKey` gives them once. */
  async grant(subject: string, grant: NewGrant): Promise<Granted> {
    this.#assertSubject(subject)
    const granted = await grantCredits(this.#engine, subject, grant)
    this.#engine.improve(subject)
    return granted
  }

  /** Takes back what is left of a grant that was a mistake; what is held of it may still be spent. `grant` is its number, as `grant` and `ledger` tell it. */
  async void(subject: string, grant: number, note: Omit<NewRefund, 'amount'> = {}): Promise<Balance> {
    this.#assertSubject(subject)
    return voidGrant(this.#engine, subject, grant, note)
  }

  /** Gives back what an operation cost, to the grants it came from: `id` is the reservation's. All of it, or `amount`. */
  refund(subject: string, id: string, refund: NewRefund = {}): Promise<{ refunded: number; balance: Balance }> {
    this.#assertSubject(subject)
    return refundCredits(this.#engine, subject, id, refund)
  }

  /** The subject's credits; all zeros where it has no account. */
  async balance(subject: string): Promise<Balance> {
    this.#assertSubject(subject)
    return this.#engine.balanceOf(subject)
  }

  /** What the ledger calls the subject's account, for commands of your own, such as a grant within your transaction. */
  accountOf(subject: string): string {
    this.#assertSubject(subject)
    return this.#engine.config.accountOf(subject)
  }

  /** What moved the balance, the newest first. */
  async ledger(subject: string, page?: EntryPage): Promise<EntryList> {
    this.#assertSubject(subject)
    return this.#engine.withAccount(subject, (ledger, account) => ledger.entries(account, page))
  }

  /** Forgets a subject: what is stored of it and what it used. Its credits' entries and sums stay, of nobody. */
  async erase(subject: string): Promise<void> {
    this.#assertSubject(subject)
    // First: what the counters forget must not come back from there.
    await this.#engine.record?.erase(subject)
    await this.#subjects.delete(subject)
    await this.#engine.withAccount(subject, (ledger, account) => ledger.erase(account))
    await this.#engine.forget(subject)
    await this.#engine.askStore((store) => store.erase(this.#engine.keyOf(subject)))
    await this.#engine.forget(subject)
    await this.#engine.config.receipts.erase?.(subject)
    // And of what came meanwhile.
    await this.#engine.record?.erase(subject)
  }

  get rollout(): Rollout {
    return { ...this.#engine.rollout }
  }

  /** Takes effect with the next request. */
  setRollout(rollout: Rollout): void {
    this.#engine.rollout = validateRollout(rollout)
  }

  /** A plan by full name, or by a short name that only one set uses. */
  plan(name: N['plan']): PlanView | undefined {
    const views = this.#plans()
    return views.get(name) ?? views.get(this.#engine.config.catalog.lookup(name)?.id ?? '')
  }

  /** Every plan, in order of definition. */
  plans(): readonly PlanView[] {
    return [...this.#plans().values()]
  }

  /** Calls `listener` on every event of a kind; the result unsubscribes. */
  on<E extends keyof EngineEvents>(event: E, listener: Listener<E>): () => void {
    return this.#engine.events.on(event, listener)
  }

  /** Waits until what was recorded is written. */
  async flush(): Promise<void> {
    this.#engine.assertOpen()
    await this.#engine.record?.flush()
  }

  /** Waits for calls under way, then closes the store. */
  close(): Promise<void> {
    return this.#engine.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #decide(request: TollgateRequest<N>, action: 'check' | 'consume' | 'reserve'): Promise<Decision<N>> {
    try {
      const decision = this.#engine.decide(request as TollgateRequest, action)
      return (isPromise(decision) ? decision : Promise.resolve(decision)) as Promise<Decision<N>>
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  #plans(): ReadonlyMap<string, PlanView> {
    return (this.#views ??= new Map(this.#engine.config.catalog.programs.map((program) => [program.id, viewOf(program)])))
  }

  async #programFor(subject: string, named: string | undefined, record: SubjectRecord | undefined): Promise<Program> {
    const last = named ?? this.#engine.storedPlan(record) ?? (await this.#engine.askStore((store) => store.lastPlan(this.#engine.keyOf(subject))))
    return this.#engine.programOf(subject, last, record)
  }

  #assertSubject(subject: unknown): asserts subject is string {
    this.#engine.assertOpen()
    assertText(subject, 'subject')
  }
}

/** A record that is to come at an instant: until then plan, and limits of its own, are what they were. */
function waiting({ overrides, ...record }: SubjectRecord, former: Pick<SubjectRecord, 'plan' | 'overrides'>, at: number): SubjectRecord {
  return { ...record, ...former, nextPlan: { plan: record.plan!, at, ...(overrides && { overrides }) } }
}

function viewOf({ id, headline, limits }: Program): PlanView {
  const view = { id, limits: limits.map(({ name, kind, max, windowMs, meter }) => ({ name, kind, max, windowMs, meter })) }
  return headline === undefined ? view : { ...view, headline }
}

/** The latest anchor, in the year 2096: later ones are seconds taken for milliseconds, or worse. */
const MAX_ANCHOR_AT = 4e12

function validateFacts({ anchorAt, team, attributes, overrides }: PlanFacts, limits: ReadonlySet<string>, subject: string): PlanFacts {
  if (anchorAt !== undefined && anchorAt !== null) assertInteger(anchorAt, 'anchorAt', 0, MAX_ANCHOR_AT)
  if (team !== undefined && team !== null) assertText(team, 'team')
  if (team === subject) throw invalidRequest('team', `${show(team)} is the subject itself; name another one`)
  for (const [limit, max] of Object.entries(overrides ?? {})) {
    if (!limits.has(limit)) throw new TollgateError('UNKNOWN_LIMIT', `${at('overrides', limit)}: no plan of the set has this limit; ${suggest(limit, [...limits])}`, { field: at('overrides', limit) })
    if (max !== Infinity) assertInteger(max, `overrides.${limit}`, 0, MAX_AMOUNT)
  }
  return {
    ...(anchorAt !== undefined && { anchorAt }),
    ...(team !== undefined && { team }),
    ...(attributes !== undefined && { attributes: attributes && { ...attributes } }),
    ...(overrides !== undefined && { overrides: overrides && { ...overrides } }),
  }
}
