import type { Clock } from '../../engine/clock.ts'
import { isUnavailable, StoreGuard } from '../../engine/guard.ts'
import { isOfRecord } from '../../engine/restoring.ts'
import type { Tollgate } from '../../engine/tollgate.ts'
import type { Decision, LimitState, TollgateRequest, Violation } from '../../engine/types.ts'
import { TollgateError } from '../../errors/index.ts'
import type { MessageFacts } from '../../messages/index.ts'
import type { RecordStore } from '../../record/store.ts'
import { planSet } from './plans.ts'

/** Users of whom it is known what the record says: about 20 MB. */
const MAX_USERS = 100_000
const MAX_READS = 1000
/** After a failure of the record: so long it is not asked. */
const FAILED_MS = 1000

/** A limit of a user's month, as it was on record when the counters went away. */
interface Room {
  readonly limit: string
  readonly max: number
  readonly recorded: number
  /** This process's share of what was left. */
  readonly share: number
  /** Admitted by this process since then. */
  taken: number
}

interface Month {
  readonly endAt: number
  readonly rooms: readonly Room[]
}

export interface OutageOptions {
  readonly tollgate: Tollgate
  readonly record: RecordStore
  readonly clock: Clock
  /** How long the record is waited for. */
  readonly timeoutMs: number
  /** What this process may admit of what is left of a limit: above 0 and up to 1. */
  readonly share: () => number
  readonly write: (facts: MessageFacts) => string
}

/**
 * Decisions, and what they go by while the counters are away: the engine counts in this process then, from zero, and what
 * the record says of the user's month holds beside that. Where the record is away too, the engine's count is all there is.
 *
 * The record is read once a user and outage. What was reserved then and is never settled counts until the outage ends.
 */
export class Outage {
  readonly #options: OutageOptions
  readonly #guard: StoreGuard
  #isAway = false
  #failedAt = -Infinity
  readonly #months = new Map<string, Promise<Month | undefined>>()
  /** By reservation. */
  readonly #held = new Map<string, readonly Room[]>()

  constructor(options: OutageOptions) {
    this.#options = options
    const { tollgate, clock, timeoutMs } = options
    this.#guard = new StoreGuard(clock, timeoutMs, MAX_READS, undefined, 'the record')
    tollgate.on('degraded', ({ error }) => {
      this.#isAway = true
      if (isOfRecord(error)) this.#failedAt = performance.now()
    })
    tollgate.on('recovered', () => this.#end())
    tollgate.on('settled', ({ settlement: { id, status } }) => {
      if (status === 'released') giveBack(this.#held.get(id) ?? [])
      this.#held.delete(id)
    })
  }

  async check(request: TollgateRequest): Promise<Decision> {
    const decision = await this.#options.tollgate.check(request)
    if (!decision.degraded) this.#end()
    if (!isDecidedHere(decision)) return decision
    const full = roomsOf(decision, await this.#month(decision)).filter(isFull)
    return full.length > 0 ? this.#denied(decision, full) : decision
  }

  async consume(request: TollgateRequest): Promise<Decision> {
    if (this.#isAway) {
      // Nothing is to be remembered under the key but the answer.
      const { idempotencyKey: _, ...asked } = request
      const looked = await this.check(asked)
      if (!looked.allowed) return looked
      if (isDecidedHere(looked)) return this.#take(looked, () => this.#options.tollgate.consume(request))
    }
    const decision = await this.#options.tollgate.consume(request)
    if (!isDecidedHere(decision)) return decision
    // The counters went away with this very message. It is counted, so it is on record by now, and stays there if denied.
    const full = roomsOf(decision, await this.#read(decision)).filter(({ recorded, max }) => recorded > max)
    return full.length > 0 ? this.#denied(decision, full) : decision
  }

  async reserve(request: TollgateRequest): Promise<Decision> {
    const decision = await this.#options.tollgate.reserve(request)
    if (!decision.degraded) this.#end()
    if (!isDecidedHere(decision)) return decision
    let taken: Decision | undefined
    try {
      return (taken = await this.#take(decision, async () => decision))
    } finally {
      if (!taken?.allowed) await decision.reservation!.release()
    }
  }

  /** What is on record of the user's month, by limit. @throws what the record throws, STORE_UNAVAILABLE where that takes too long */
  async recorded(subject: string): Promise<ReadonlyMap<string, number>> {
    const { tollgate, record, clock } = this.#options
    const read = async () => {
      await tollgate.flush()
      const { totals = [] } = (await record.totals(subject, clock.now())) ?? {}
      return new Map(totals.map(({ cell, used }) => [limitOf(cell), used]))
    }
    this.#guard.assertRoom()
    return this.#guard.within(read())
  }

  /** Of a user who was reset. */
  forget(subject: string): void {
    this.#months.delete(subject)
  }

  async #take(decision: Decision, admit: () => Promise<Decision>): Promise<Decision> {
    const rooms = roomsOf(decision, await this.#month(decision))
    const full = rooms.filter(isFull)
    if (full.length > 0) return this.#denied(decision, full)
    for (const room of rooms) room.taken++
    const admitted = await admit()
    if (!isDecidedHere(admitted)) giveBack(rooms)
    else if (admitted.reservation) this.#held.set(admitted.reservation.id, rooms)
    return admitted
  }

  /** Shared by all who ask at one time. */
  async #month(decision: Decision): Promise<Month | undefined> {
    const { subject, decidedAt } = decision
    const found = this.#months.get(subject)
    const known = await found
    if (known && decidedAt < known.endAt) return known
    if (this.#months.get(subject) === found) {
      if (this.#months.size >= MAX_USERS) this.#months.clear()
      this.#months.set(subject, this.#read(decision))
    }
    return this.#months.get(subject)
  }

  /** `undefined` where the record does not answer. */
  async #read({ subject, plan, limits }: Decision): Promise<Month | undefined> {
    if (performance.now() - this.#failedAt < FAILED_MS) return undefined
    const { tollgate, share } = this.#options
    try {
      const [recorded, stored] = await Promise.all([this.recorded(subject), tollgate.subject(subject)])
      const rooms = (tollgate.plan(plan)?.limits ?? []).map(({ name, max: plans }) => {
        const [max, used] = [stored?.overrides?.[name] ?? plans, recorded.get(name) ?? 0]
        return { limit: name, max, recorded: used, share: Math.floor(Math.max(0, max - used) * share()), taken: 0 }
      })
      return { endAt: Math.min(...limits.map(({ resetAt }) => resetAt ?? Infinity)), rooms }
    } catch (error) {
      if (!isUnavailable(error)) throw error
      this.#failedAt = performance.now()
      return undefined
    }
  }

  #denied(decision: Decision, full: readonly Room[]): Decision {
    const { reservation: _, ...facts } = decision
    const { plan, decidedAt } = facts
    const limits = facts.limits.map((state) => {
      const room = full.find(({ limit }) => limit === state.limit)
      return room ? stateOf(room, state, decidedAt) : state
    })
    const violations = limits
      .filter(({ limit }) => full.some((room) => room.limit === limit))
      // No plan has more.
      .map((state): Violation => ({ ...state, message: this.#options.write({ ...state, meter: 'requests', plan: plan.slice(plan.indexOf('/') + 1), every: 'month', better: [], now: decidedAt }), liftedBy: [] }))
    return { ...facts, allowed: false, limits, violations, retryAfterMs: violations[0]!.retryAfterMs }
  }

  #end(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#months.clear()
    this.#held.clear()
  }
}

/** Admitted by what this process has counted. */
function isDecidedHere({ degraded, allowed, mode }: Decision): boolean {
  return degraded && allowed && mode === 'enforce'
}

/** Of the limits that the request meets. */
function roomsOf({ limits }: Decision, month: Month | undefined): readonly Room[] {
  return month?.rooms.filter(({ limit }) => limits.some((state) => state.limit === limit)) ?? []
}

function isFull({ taken, share }: Room): boolean {
  return taken >= share
}

/** @throws STORE_UNAVAILABLE where nobody used up what is left: as under the engine's policy, that is no denial. */
function stateOf({ limit, max, recorded, share, taken }: Room, { kind, code, resetAt }: LimitState, now: number): LimitState {
  if (share === 0 && recorded < max) throw new TollgateError('STORE_UNAVAILABLE', `the counter store is unavailable, and less is left of ${limit} than there are processes; try again when it is back`, { retryAfterMs: 1000 })
  return { limit, kind, code, max: share === 0 ? max : recorded + share, used: recorded + taken, remaining: 0, resetAt, retryAfterMs: resetAt === null ? null : resetAt - now }
}

function giveBack(rooms: readonly Room[]): void {
  for (const room of rooms) room.taken--
}

/** A cell begins with its limit: `chat-models/monthlyMessages:…`. */
function limitOf(cell: string): string {
  return cell.slice(planSet.name.length + 1, cell.indexOf(':'))
}
