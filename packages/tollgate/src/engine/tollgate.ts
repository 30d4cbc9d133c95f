import { randomBytes } from 'node:crypto'
import { Catalog, type PlanSet } from '../compile/catalog.ts'
import type { Program } from '../compile/program.ts'
import { assertInteger, assertText, MAX_AMOUNT } from '../compile/request.ts'
import { createDigester } from '../content/digest.ts'
import type { MatchedOperations, NamesOf } from '../define/names.ts'
import type { Operations, Plans } from '../define/plans.ts'
import { suggest } from '../define/suggest.ts'
import { invalidDefinition, show, TollgateError } from '../errors/index.ts'
import { createMessages, type Locale, type MessageOverrides, negotiateLocale } from '../messages/index.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import type { CounterStore } from '../stores/store.ts'
import { type Clock, systemClock } from './clock.ts'
import { Engine, isPromise, newReservationId } from './engine.ts'
import type { EngineEvents, Listener } from './events.ts'
import { ENFORCED, type Rollout, validateRollout } from './rollout.ts'
import { MemorySubjects, type SubjectRecord, type SubjectStore } from './subjects.ts'
import type { CommitOptions, Decision, Names, PlanView, Settlement, TollgateRequest, Usage } from './types.ts'
import { type Explanation, explain, usageOf } from './usage.ts'

export interface TollgateOptions<P extends Plans, O extends Operations> {
  plans: P
  /** What can be asked for. When given, a request for anything else is an error. */
  operations?: O & MatchedOperations<P>
  /** For subjects without a stored plan: one plan, or one per kind of subject (`{ ip: 'per-ip', '*': 'free' }`). */
  defaultPlan?: (keyof P & string) | Readonly<Record<string, keyof P & string>>
}

export interface CommonOptions {
  /** Keeps this engine's subjects apart from others' in a shared store: 1 … 64 characters. Default `default`. */
  namespace?: string
  /** Default: counters in this process's memory. */
  store?: CounterStore
  subjects?: SubjectStore
  clock?: Clock | (() => number)
  /** Keys the digests of the duplicate guard: at least 16 bytes. Default `TOLLGATE_SECRET`, else random. */
  secret?: string | Uint8Array
  /** Language of messages where the request names none. Default `en`. */
  locale?: Locale
  messages?: MessageOverrides
  rollout?: Rollout
  /** Deadline of a call to a remote store: 1 … 60,000 ms. Default 50. */
  storeTimeoutMs?: number
  /** Calls to a remote store under way at a time, from 1. Default 10,000. */
  maxInFlight?: number
  /** Idempotency keys remembered at a time, from 1. Default 100,000. */
  maxReceipts?: number
  /** Share of each limit that this process admits by itself while the store is down, above 0 and up to 1. Default 1. */
  localShare?: number
  /** Makes the ids of reservations: never the same twice in one store. Default random; a simulation makes its own. */
  newId?: () => string
}

/** `spend.set({ tokens: 834 })` says what a run used; without it the estimate is committed. */
export interface Spend<N extends Names = Names> {
  readonly decision: Decision<N>
  set(amounts: { readonly [M in N['meter']]?: number }): void
}

export type RunResult<T, N extends Names = Names> =
  | { allowed: true; decision: Decision<N>; value: T; settlement: Settlement }
  | { allowed: false; decision: Decision<N> }

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
  commit(id: string, { amounts, signal }: CommitOptions<N> = {}): Promise<Settlement> {
    return this.#engine.settle(id, 'commit', { ...(amounts && { amounts: amounts as Record<string, number> }), ...(signal && { signal }) })
  }

  /** Gives quotas back; guards such as cooldowns and windows keep what they counted. */
  release(id: string): Promise<Settlement> {
    return this.#engine.settle(id, 'release')
  }

  /** Holds on until at least `ttlMs` (1 … 86,400,000) from now. */
  extend(id: string, { ttlMs }: { ttlMs: number }): Promise<Settlement> {
    return this.#engine.settle(id, 'extend', { ttlMs })
  }

  /** Reserves, runs `work`, and commits when it returns or releases when it throws. A denied request does not run. */
  async run<T>(request: TollgateRequest<N>, work: (spend: Spend<N>) => T | Promise<T>): Promise<RunResult<T, N>> {
    const decision = await this.reserve(request)
    if (!decision.allowed) return { allowed: false, decision }
    const { id } = decision.reservation!
    let amounts: CommitOptions<N>['amounts']
    let value: T
    try {
      value = await work({ decision, set: (actual) => { amounts = { ...amounts, ...actual } } })
    } catch (error) {
      // The work's own error matters more; a hold that cannot be released now expires.
      await this.release(id).catch(() => {})
      throw error
    }
    return { allowed: true, decision, value, settlement: await this.commit(id, amounts ? { amounts } : {}) }
  }

  /** How every limit stands under the plan named, else the subject's, else the one it was last admitted under. */
  async usage(subject: string, { plan }: { plan?: N['plan'] } = {}): Promise<Usage> {
    this.#assertSubject(subject)
    const record = await this.#subjects.get(subject)
    return usageOf(this.#engine, await this.#programFor(subject, plan, record), subject, record)
  }

  /** What `check` would decide, rule by rule and with reasons. */
  async explain(request: TollgateRequest<N>): Promise<Explanation> {
    this.#assertSubject(request?.subject)
    return explain(this.#engine, request as TollgateRequest, await this.#subjects.get(request.subject))
  }

  /** Forgets what the subject used, of one limit or of all. Open reservations stay open and hold nothing. */
  async reset(subject: string, { limit }: { limit?: N['limit'] } = {}): Promise<Usage> {
    this.#assertSubject(subject)
    const record = await this.#subjects.get(subject)
    const program = await this.#programFor(subject, undefined, record)
    let cells: string[] | null = null
    if (limit !== undefined) {
      const { limits } = program
      cells = limits.filter(({ name }) => name === limit).map(({ charge }) => charge.cell)
      if (cells.length === 0) throw new TollgateError('UNKNOWN_LIMIT', `limit: ${show(limit)} is not a limit of the subject's plan; ${suggest(limit, limits.map(({ name }) => name))}`, { field: 'limit' })
    }
    await this.#engine.config.store.reset(this.#engine.keyOf(subject), cells)
    return usageOf(this.#engine, program, subject, record)
  }

  /** What is stored of a subject. */
  async subject(subject: string): Promise<SubjectRecord | undefined> {
    this.#assertSubject(subject)
    return this.#subjects.get(subject)
  }

  /** Stores the subject's plan, from now on; what it used counts on. Other facts stay as they are unless given. */
  async setPlan(subject: string, plan: N['plan'], facts: Omit<SubjectRecord, 'plan'> = {}): Promise<SubjectRecord> {
    this.#assertSubject(subject)
    const program = this.#engine.config.catalog.find(plan)
    const record = { ...(await this.#subjects.get(subject)), ...validateFacts(facts, this.#engine.config.catalog.limitsOf(program.set)), plan: program.id }
    await this.#subjects.set(subject, record)
    return record
  }

  /** Forgets a subject: what is stored of it and what it used. */
  async erase(subject: string): Promise<void> {
    this.#assertSubject(subject)
    await this.#subjects.delete(subject)
    await this.#engine.config.store.reset(this.#engine.keyOf(subject), null)
  }

  get rollout(): Rollout {
    return { ...this.#engine.rollout }
  }

  /** Takes effect with the next request. */
  setRollout(rollout: Rollout): void {
    this.#engine.rollout = validateRollout(rollout)
  }

  /** A plan by full name, or by a short name that only one set uses. */
  plan(name: string): PlanView | undefined {
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
    const last = named ?? record?.plan ?? (await this.#engine.config.store.lastPlan(this.#engine.keyOf(subject)))
    return this.#engine.programOf(subject, last, record)
  }

  #assertSubject(subject: unknown): asserts subject is string {
    this.#engine.assertOpen()
    assertText(subject, 'subject')
  }
}

/** An engine for one set of plans, whose names are checked when your code is compiled. */
export function createTollgate<const P extends Plans, const O extends Operations = Record<never, never>>(options: TollgateOptions<P, O> & CommonOptions): Tollgate<NamesOf<P, O>>
/** An engine for several sets of plans: `virtual-worlds/free`. */
export function createTollgate(options: { planSets: readonly PlanSet[]; defaultPlan?: string | Readonly<Record<string, string>> } & CommonOptions): Tollgate
export function createTollgate(options: { plans?: Plans; operations?: Operations; planSets?: readonly PlanSet[]; defaultPlan?: string | Readonly<Record<string, string>> } & CommonOptions): Tollgate {
  const { planSets, plans, operations, namespace = 'default' } = options
  if (!/^[\w.-]{1,64}$/.test(namespace)) throw invalidDefinition('namespace', `${show(namespace)} is not a namespace; use 1 to 64 letters, digits, '_', '-' or '.'`)
  const catalog = planSets ? new Catalog(planSets, false) : new Catalog([{ name: 'default', plans: plans!, ...(operations && { operations }) }], true)
  const secret = options.secret ?? process.env.TOLLGATE_SECRET ?? randomBytes(32)
  const locale = options.locale ?? 'en'
  const engine = new Engine({
    catalog,
    store: options.store ?? new MemoryStore(),
    subjects: options.subjects ?? new MemorySubjects(),
    clock: typeof options.clock === 'function' ? { ...systemClock, now: options.clock } : (options.clock ?? systemClock),
    digest: createDigester(secret),
    message: createMessages(options.messages),
    localeOf: (wanted) => (wanted === undefined ? locale : negotiateLocale(wanted, locale)),
    defaultPlanOf: defaultPlans(options.defaultPlan, catalog),
    // A store of the engine's own holds nobody else's subjects.
    keyPrefix: options.store ? `${namespace}\0` : '',
    secret,
    newId: options.newId ?? newReservationId,
    rollout: options.rollout ? validateRollout(options.rollout) : ENFORCED,
    storeTimeoutMs: bounded('storeTimeoutMs', options.storeTimeoutMs, 50, 1, 60_000),
    maxInFlight: bounded('maxInFlight', options.maxInFlight, 10_000, 1, 1_000_000),
    maxReceipts: bounded('maxReceipts', options.maxReceipts, 100_000, 1, 10_000_000),
    localShare: bounded('localShare', options.localShare, 1, 0, 1),
  })
  return new Tollgate(engine)
}

function bounded(field: string, value: number | undefined, fallback: number, min: number, max: number): number {
  if (value === undefined) return fallback
  if (typeof value !== 'number' || !(value >= min && value <= max)) throw invalidDefinition(field, `${show(value)} is out of range; use a number from ${min} to ${max}`)
  return value
}

function defaultPlans(option: string | Readonly<Record<string, string>> | undefined, catalog: Catalog): (subject: string) => string | undefined {
  if (option === undefined) return () => undefined
  const plans = typeof option === 'string' ? { '*': option } : option
  for (const name of Object.values(plans)) catalog.find(name)
  if (Object.keys(plans).length === 1 && '*' in plans) return () => plans['*']
  const byKind = new Map(Object.entries(plans))
  return (subject) => byKind.get(subject.slice(0, Math.max(0, subject.indexOf(':')))) ?? byKind.get('*')
}

function viewOf({ id, headline, limits }: Program): PlanView {
  const view = { id, limits: limits.map(({ name, kind, max, windowMs, charge }) => ({ name, kind, max, windowMs, meter: charge.meter })) }
  return headline === undefined ? view : { ...view, headline }
}

/** The latest anchor, in the year 2096: later ones are seconds taken for milliseconds, or worse. */
const MAX_ANCHOR_AT = 4e12

function validateFacts({ anchorAt, team, attributes, overrides }: Omit<SubjectRecord, 'plan'>, limits: ReadonlySet<string>): Omit<SubjectRecord, 'plan'> {
  if (anchorAt !== undefined) assertInteger(anchorAt, 'anchorAt', 0, MAX_ANCHOR_AT)
  if (team !== undefined) assertText(team, 'team')
  for (const [limit, max] of Object.entries(overrides ?? {})) {
    if (!limits.has(limit)) throw new TollgateError('UNKNOWN_LIMIT', `overrides.${limit}: no plan of the set has this limit; ${suggest(limit, [...limits])}`, { field: `overrides.${limit}` })
    if (max !== Infinity) assertInteger(max, `overrides.${limit}`, 0, MAX_AMOUNT)
  }
  return { ...(anchorAt !== undefined && { anchorAt }), ...(team !== undefined && { team }), ...(attributes && { attributes: { ...attributes } }), ...(overrides && { overrides: { ...overrides } }) }
}
