import { randomBytes } from 'node:crypto'
import { Catalog, type PlanSet } from '../compile/catalog.ts'
import { MAX_AMOUNT } from '../compile/request.ts'
import { createDigester } from '../content/digest.ts'
import type { MatchedOperations, NamesOf } from '../define/names.ts'
import type { Operations, Plans } from '../define/plans.ts'
import { invalidDefinition } from '../errors/index.ts'
import { createMessages, type Locale, type MessageOverrides, negotiateLocale } from '../messages/index.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { RecordStore } from '../record/store.ts'
import { MemoryLedger } from '../ledger/memory.ts'
import { MemoryStore } from '../stores/memory/index.ts'
import type { CounterStore } from '../stores/store.ts'
import { type Clock, systemClock } from './clock.ts'
import { Engine, newReservationId } from './engine.ts'
import { validateOptions } from './options.ts'
import { Receipts, type ReceiptStore } from './receipts.ts'
import { ENFORCED, type Rollout, validateRollout } from './rollout.ts'
import { MemorySubjects, type SubjectStore } from './subjects.ts'
import { Tollgate } from './tollgate.ts'
import type { Decision } from './types.ts'

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
  /** Where credits are kept. Default: this process's memory, which forgets them when it ends. */
  ledger?: Ledger
  /** Where usage is recorded: quotas survive a lost counter store, and analytics read it. Default: nowhere. */
  record?: RecordStore
  /**
   * Of a commit that takes more credits than were held and are available: the rest is a debt, which the next grants pay
   * back, down to `floor` (default −2^31+1: what was used is never given away), or nobody's (`clamp`).
   */
  overage?: { policy: 'clamp' } | { policy: 'overdraft'; floor: number }
  clock?: Clock | (() => number)
  /** Keys the digests of the duplicate guard: at least 16 bytes. Default `TOLLGATE_SECRET`, else random. */
  secret?: string | Uint8Array
  /** Language of messages where the request names none. Default `en`. */
  locale?: Locale
  messages?: MessageOverrides
  rollout?: Rollout
  /** Deadline of a call to a remote store: an integer 1 … 60,000 ms. Default: the store's own, 50 where it has none. */
  storeTimeoutMs?: number
  /** Deadline of a call to the ledger: an integer 1 … 60,000 ms. Default 5000, as a commit waits for a disk. */
  ledgerTimeoutMs?: number
  /** What a decision may wait for what is stored of its subject, and for the record of one that the counters do not know: an integer 1 … 60,000 ms. Default 1000. */
  recordTimeoutMs?: number
  /** Calls to a remote store under way at a time: an integer 1 … 1,000,000. Default 10,000. */
  maxInFlight?: number
  /** In place of this process's memory: for callers that keep answers themselves. Idempotency keys still charge once. */
  receipts?: ReceiptStore<Decision>
  /** Idempotency keys remembered at a time: an integer 1 … 10,000,000. Default 100,000. */
  maxReceipts?: number
  /**
   * Share of each limit that this process admits by itself while the store is down, above 0 and up to 1. Default: 1 / the
   * processes that the store last knew of. Rounded down, so that all processes together never admit more than the limit;
   * a limit that leaves a process less than 1 is decided as `closed` would, 503 and not a denial, because nobody used it up.
   * Pauses, and what the caller counts, have no share.
   */
  localShare?: number
  /** Makes the ids of reservations: never the same twice in one store. Default random; a simulation makes its own. */
  newId?: () => string
  /** Gives 0 … 1, and spreads what processes would do at the same moment. Default `Math.random`; a simulation has its own. */
  random?: () => number
}

/** Every option there is, as they come at run time: `plans` or `planSets`. */
export interface AnyOptions extends CommonOptions {
  plans?: Plans
  operations?: Operations
  planSets?: readonly PlanSet[]
  defaultPlan?: string | Readonly<Record<string, string>>
}

/** An engine for several sets of plans: `virtual-worlds/free`. */
export function createTollgate(options: { planSets: readonly PlanSet[]; defaultPlan?: string | Readonly<Record<string, string>> } & CommonOptions): Tollgate
// Last, because the compiler's errors are about the last: they name what is misspelt in it.
/** An engine for one set of plans, whose names are checked when your code is compiled. */
export function createTollgate<const P extends Plans, const O extends Operations = Record<never, never>>(options: TollgateOptions<P, O> & CommonOptions): Tollgate<NamesOf<P, O>>
export function createTollgate(unchecked: AnyOptions): Tollgate {
  const options = validateOptions(unchecked)
  const { namespace = 'default', locale = 'en', secret = process.env.TOLLGATE_SECRET ?? randomBytes(32) } = options
  const catalog = catalogOf(options)
  const clock = typeof options.clock === 'function' ? { ...systemClock, now: options.clock } : (options.clock ?? systemClock)
  const engine = new Engine({
    catalog,
    store: options.store ?? new MemoryStore(),
    subjects: options.subjects ?? new MemorySubjects(),
    clock,
    digest: createDigester(secret),
    message: createMessages(options.messages),
    localeOf: (wanted) => (wanted === undefined ? locale : negotiateLocale(wanted, locale)),
    defaultPlanOf: defaultPlans(options.defaultPlan, catalog),
    // A store of the engine's own holds nobody else's subjects.
    keyPrefix: options.store ? `${namespace}\0` : '',
    secret,
    newId: options.newId ?? newReservationId,
    rollout: options.rollout ? validateRollout(options.rollout) : ENFORCED,
    storeTimeoutMs: options.storeTimeoutMs ?? options.store?.timeoutMs ?? 50,
    ledgerTimeoutMs: options.ledgerTimeoutMs ?? 5000,
    recordTimeoutMs: options.recordTimeoutMs ?? 1000,
    maxInFlight: options.maxInFlight ?? 10_000,
    receipts: options.receipts ?? new Receipts<Decision>(clock, options.maxReceipts ?? 100_000),
    random: options.random ?? Math.random,
    localShare: options.localShare,
    ledger: options.ledger ?? new MemoryLedger(clock),
    record: options.record,
    overage: options.overage ?? { policy: 'overdraft', floor: -MAX_AMOUNT },
    accountOf: (subject) => `${namespace}/${subject}`,
  })
  return new Tollgate(engine)
}

function catalogOf({ plans, operations, planSets }: AnyOptions): Catalog {
  if (!planSets) return new Catalog([{ name: 'default', plans: plans!, ...(operations && { operations }) }], true)
  if (plans) throw invalidDefinition('plans', 'is given beside planSets; use one of the two')
  if (operations) throw invalidDefinition('operations', 'is given beside planSets; give each plan set its own')
  return new Catalog(planSets, false)
}

function defaultPlans(option: AnyOptions['defaultPlan'], catalog: Catalog): (subject: string) => string | undefined {
  if (option === undefined) return () => undefined
  const plans = typeof option === 'string' ? { '*': option } : option
  for (const name of Object.values(plans)) catalog.find(name)
  if (Object.keys(plans).length === 1 && '*' in plans) return () => plans['*']
  const byKind = new Map(Object.entries(plans))
  return (subject) => byKind.get(subject.slice(0, Math.max(0, subject.indexOf(':')))) ?? byKind.get('*')
}
