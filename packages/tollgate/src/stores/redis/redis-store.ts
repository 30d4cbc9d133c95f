import { CellKind, type Charge, isPartitioned, type Verdict } from '../../decide/charge.ts'
import { examine, isAhead, repair } from '../../decide/kernel.ts'
import type { Clock } from '../../engine/clock.ts'
import { invalidDefinition, show } from '../../errors/index.ts'
import { SeenAnchors } from '../anchors.ts'
import type { CounterStore, DecideCommand, Outcome, SettleCommand, SettleOutcome, UsageCommand, UsageEntry } from '../store.ts'
import { DecisionBatches } from './batches.ts'
import { connectionOf, type RedisClient, type RedisConnection } from './client.ts'
import { FOR_EVER_MS } from './layout.ts'
import { Layouts } from './layouts.ts'
import { cellNumber, limitPrefix, memberOf, memberPrefix, Names, partitionOf } from './names.ts'
import { examineLog, type LogState, outcomeOf } from './outcome.ts'
import { Presence } from './presence.ts'
import { readRecord, readUnsigned } from './record.ts'
import { decisionRequest } from './request.ts'
import { readReservation } from './reservation.ts'
import { SCRIPTS } from './scripts.generated.ts'

export interface RedisStoreOptions {
  /** What the names of all keys begin with: up to 64 characters, no braces. Default `tg`. */
  prefix?: string
  /** In place of Redis's own clock: a test's, or the demo's. */
  clock?: Pick<Clock, 'now'>
  /** Called by `close`, for a client that is the store's own. Default: the client is its owner's, and stays open. */
  onClose?: () => Promise<unknown>
  /** Scripts that this process lets Redis keep, one for each plan and set of limits that a request meets. Default 500. */
  maxScripts?: number
}

/** Anchors that a process remembers: about 10 MB. */
const MAX_ANCHORS = 100_000
const MAX_PARTITIONS_LISTED = 2000
/** Keys, so that nobody waits longer than a millisecond or two. */
const PROBE_MS = '60000'
const ERASED_AT_ONCE = '500'

/**
 * Counters in Redis, shared by all who use it: one server, or a cluster. Each decision, settlement or reading is one script
 * in one round trip, atomic as Redis is. The kernel's port is in `lua/`; what needs no state is worked out on this side.
 */
export class RedisStore implements CounterStore {
  readonly name = 'redis'
  readonly isRemote = true
  readonly keepsReceipts = true
  readonly #connection: RedisConnection
  readonly #names: Names
  readonly #clock: Pick<Clock, 'now'> | undefined
  readonly #layouts: Layouts
  readonly #batches: DecisionBatches
  readonly #anchors = new SeenAnchors(MAX_ANCHORS)
  readonly #presence: Presence
  #probes = 0
  readonly #onClose: () => Promise<unknown>

  /** @throws INVALID_DEFINITION, or TypeError for what is no client of Redis */
  constructor(client: RedisClient, { prefix = 'tg', clock, onClose = async () => {}, maxScripts = 500 }: RedisStoreOptions = {}) {
    if (typeof prefix !== 'string' || !/^[^{}]{0,64}$/.test(prefix)) throw invalidDefinition('prefix', `${show(prefix)} is not a prefix of keys; use up to 64 characters without braces`)
    this.#connection = connectionOf(client)
    this.#names = new Names(prefix)
    this.#clock = clock
    this.#layouts = new Layouts(maxScripts)
    this.#batches = new DecisionBatches(this.#connection)
    this.#presence = new Presence(this.#connection, this.#names.common('{processes}'))
    this.#onClose = onClose
  }

  async decide(command: DecideCommand): Promise<Outcome> {
    const { subject, action, charges } = command
    this.#presence.start()
    const anchor = charges.find(({ kind }) => kind === CellKind.anchor)
    const hint = anchor && this.#anchors.get(subject)
    const hintedAnchor = anchor && anchor.startAt === hint ? hint : undefined
    const layout = this.#layouts.find(command)
    // Until it is known that this Redis was in use all the time, nobody is taken to be new.
    const kept = command.recordedMs === undefined || this.#presence.isOlderThan(command.recordedMs) ? command : { ...command, recordedMs: Infinity }
    const reply = await this.#batches.ask(layout, decisionRequest(kept, layout, this.#names.of(subject), hintedAnchor !== undefined, this.#clock?.now()))
    const outcome = understood(() => outcomeOf(reply, layout, kept, hintedAnchor))
    if (outcome.stale?.anchorAt !== undefined) this.#correct(subject, outcome.stale.anchorAt, outcome.at)
    if (anchor && outcome.admitted && action !== 'check') this.#anchors.see(subject, anchor.startAt)
    return outcome
  }

  async settle({ id, action, keyPrefix = '', onlyOpen, amounts, isRecorded, ttlMs }: SettleCommand): Promise<SettleOutcome> {
    const key = this.#names.reservation(id)
    if (key === undefined) return { result: 'unknown' }
    const used = amounts ? JSON.stringify(amounts) : ''
    const [result, raw] = (await this.#connection.run(SCRIPTS.settle, [key], [this.#now(), ACTIONS[action], keyPrefix, used, String(ttlMs ?? 0), onlyOpen ? '1' : '', isRecorded ? '1' : ''])) as [Buffer, Buffer | undefined]
    const came = result.toString() as SettleOutcome['result']
    return came === 'unknown' ? { result: came } : { result: came, reservation: readReservation(raw!, came === 'settled-before') }
  }

  async usage({ subject, limits }: UsageCommand): Promise<UsageEntry[]> {
    const kept = limits.map(({ charge, isPartitioned: isCountedPer }) => ({ charge: { ...charge }, isCountedPer }))
    const names = this.#names.of(subject)
    const logs = kept.flatMap(({ charge, isCountedPer }, limit) => (!isCountedPer && isPartitioned(charge) ? [{ limit, charge }] : []))
    const counted = kept.flatMap(({ charge, isCountedPer }, limit) => (isCountedPer ? [{ limit, charge }] : []))
    const windows = logs.map(({ charge }) => String(charge.windowMs))
    const asked = counted.flatMap(({ charge }) => [memberPrefix(charge), charge.kind === CellKind.slidingLog ? String(charge.windowMs) : '0'])
    const answer = (await this.#connection.run(SCRIPTS.usage, [names.record, names.index, ...logs.map(({ charge }) => names.parts + memberOf(charge))], [this.#now(), String(MAX_PARTITIONS_LISTED), names.parts, ...windows, ...asked])) as Buffer[]
    const at = Number(answer[0]!.toString())
    const record = answer[1]!
    const entries: UsageEntry[] = []
    kept.forEach(({ charge, isCountedPer }, limit) => {
      if (!isCountedPer && !isPartitioned(charge)) entries.push({ limit, partition: '', verdict: look(charge, record, at) })
    })
    logs.forEach(({ limit, charge }, i) => entries.push({ limit, partition: '', verdict: lookAtLog(charge, answer[2 + i]!, at) }))
    const best = new Map<string, UsageEntry>()
    for (let i = 2 + logs.length; i < answer.length; i += 2) {
      const member = answer[i]!.toString()
      const partition = partitionOf(member)
      for (const { limit, charge } of counted) {
        if (!member.startsWith(memberPrefix(charge))) continue
        const verdict = charge.kind === CellKind.slidingLog ? lookAtLog(charge, answer[i + 1]!, at) : look(charge, answer[i + 1]!, at)
        const known = best.get(`${limit} ${partition}`)
        if (verdict.used > (known?.verdict.used ?? 0)) best.set(`${limit} ${partition}`, { limit, partition, verdict })
      }
    }
    return [...entries.toSorted((a, b) => a.limit - b.limit), ...best.values()]
  }

  async reset(subject: string, cells: readonly string[] | null): Promise<void> {
    const names = this.#names.of(subject)
    const named = (cells ?? []).flatMap((cell) => [String(cellNumber(cell)), limitPrefix(cell)])
    // Of no cell nothing is forgotten, where the script would take no name for all.
    if (cells?.length === 0) return
    await this.#connection.run(SCRIPTS.reset, [names.record, names.index], [this.#now(), names.parts, String(RESET_KEEPS_MS), ...named])
  }

  async erase(subject: string): Promise<void> {
    const names = this.#names.of(subject)
    while (Number(await this.#connection.run(SCRIPTS.erase, [names.record, names.index, names.reservations], [names.parts, names.sentinel, ERASED_AT_ONCE])) > 0);
    this.#anchors.forget(subject)
  }

  async lastPlan(subject: string): Promise<string | undefined> {
    const { record } = this.#names.of(subject)
    const kept = readRecord(((await this.#connection.command(['GET', record], record)) as Buffer | null) ?? NO_BYTES)
    // Who asks for the plan reads the subject's usage next, in periods of its own.
    const anchorAt = kept.cell(cellNumber('@anchor'), CellKind.anchor).w[0]!
    if (anchorAt !== -Infinity) this.#anchors.see(subject, anchorAt)
    return kept.plan === '' ? undefined : kept.plan
  }

  knownAnchor(subject: string): number | undefined {
    return this.#anchors.get(subject)
  }

  reservationId(subject: string, id: string): string {
    return this.#names.reservationId(subject, id)
  }

  /** As of a few seconds ago. */
  processes(): number {
    return this.#presence.count
  }

  /** Each time of another partition: on a cluster one node may be away. */
  async probe(): Promise<void> {
    const key = `${this.#names.of(`@probe ${this.#probes++}`).sentinel}p`
    await this.#connection.command(['SET', key, '', 'PX', PROBE_MS], key)
  }

  async close(): Promise<void> {
    this.#presence.stop()
    await this.#onClose()
  }

  #now(): string {
    return this.#clock ? String(this.#clock.now()) : ''
  }

  /** Now is what a subject is given that has no anchor: not one to remember. */
  #correct(subject: string, anchorAt: number, now: number): void {
    if (anchorAt === now) this.#anchors.forget(subject)
    else this.#anchors.see(subject, anchorAt)
  }
}

const ACTIONS = { commit: 'c', release: 'r', undo: 'u', extend: 'e' } as const
const NO_BYTES = Buffer.alloc(0)
/** What Redis says when it cannot serve anybody, whatever is asked. */
const AWAY = /\b(OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|NOREPLICAS|BUSY)\b/

/** An answer that says nothing good is an answer: whoever asked hears of it, and Redis is not taken to be away. */
function understood<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw Object.assign(error as Error, { isStoreThere: !AWAY.test((error as Error).message) })
  }
}

/** A record that was reset still says which plan its subject has, and when its own periods start. */
const RESET_KEEPS_MS = FOR_EVER_MS

function look(c: Charge, raw: Buffer, at: number): Verdict {
  const { holds, cell } = readRecord(raw)
  const found = cell(cellNumber(c.cell), c.kind)
  if (isAhead(c, found, holds, at)) repair(c, found, holds, at)
  const verdict: Verdict = { passes: false, used: 0, resetAt: 0, retryAt: 0 }
  examine(c, found, holds, at, verdict)
  return verdict
}

function lookAtLog(c: Charge, raw: Buffer, at: number): Verdict {
  const newestAt = raw.readUIntLE(7, 6)
  const log: LogState = { used: readUnsigned(raw, 0, 7), newestAt, freesAt: newestAt }
  const verdict: Verdict = { passes: false, used: 0, resetAt: 0, retryAt: 0 }
  examineLog(c, log, at, verdict)
  return verdict
}
