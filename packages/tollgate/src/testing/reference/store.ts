import { CellKind, type Charge, isHeld, type Verdict } from '../../decide/charge.ts'
import type { CounterStore, DecideCommand, Outcome, SettleCommand, SettleOutcome, StoredReservation, UsageCommand, UsageEntry } from '../../stores/store.ts'
import { type Entry, entryOf, type Hold } from './entries.ts'
import { levelAt } from './guards.ts'
import { holdsAfter, look, quotaOf } from './tally.ts'

const DAY_MS = 86_400_000

interface HeldAmount extends Hold {
  reservation: string
}

interface Subject {
  plan: string
  anchorAt: number | undefined
  cells: Map<string, Cell>
}

interface Cell {
  charge: Charge
  entries: Entry[]
  holds: HeldAmount[]
}

/** The reference that stores are compared with: it keeps the list of all that happened, and forgets nothing. */
export class ReferenceStore implements CounterStore {
  readonly name = 'reference'
  readonly #subjects = new Map<string, Subject>()
  readonly #reservations = new Map<string, StoredReservation>()
  /** Ids of reservations whose units of capacity were forgotten by a reset: released, they give nothing back. */
  readonly #disowned = new Map<string, Set<string>>()

  decide({ subject, plan, charges, now, action, reservation, unlessUnknown }: DecideCommand): Outcome {
    const known = this.#subject(subject)
    if (unlessUnknown && known.plan === '') return { at: now, admitted: false, verdicts: [], stale: { isUnknown: true } }
    for (const c of charges) {
      if (c.kind === CellKind.anchor && known.anchorAt !== undefined && known.anchorAt !== c.startAt) return { at: now, admitted: false, verdicts: [], stale: { anchorAt: known.anchorAt } }
      if (c.kind === CellKind.quota && (now < c.startAt || now >= c.endAt)) return { at: now, admitted: false, verdicts: [], stale: {} }
    }
    let verdicts = charges.map((c) => this.#look(known, c, now))
    const admitted = verdicts.every((v) => v.passes)
    if (action !== 'check') {
      for (const c of charges) this.#see(this.#cell(known, c), c, now)
      if (admitted) {
        for (const c of charges) this.#record(known, c, now, reservation)
        verdicts = charges.map((c, i) => this.#afterwards(known, c, now, verdicts[i]!))
        known.plan = plan
        if (reservation) this.#keep(known, subject, charges, now, reservation)
      }
    }
    return { at: now, admitted, verdicts }
  }

  settle(command: SettleCommand): SettleOutcome {
    const { id, action, now } = command
    const reservation = this.#reservations.get(id)
    if (!reservation || isForgotten(reservation, now) || !reservation.subject.startsWith(command.keyPrefix ?? '')) return { result: 'unknown' }
    const subject = this.#subject(reservation.subject)
    if (action === 'release' && !command.onlyOpen && isStanding(reservation)) {
      for (const c of reservation.charges) {
        if (c.kind === CellKind.capacity && !this.#disowned.get(id)?.has(c.cell)) this.#cell(subject, c).entries.push(entryOf('given', now, c, c.amount))
      }
      return this.#settled(reservation, { status: 'released', settledAt: now })
    }
    if (reservation.status !== 'open') return { result: 'settled-before', reservation }
    const hasExpired = now >= reservation.expiresAt
    if (action === 'extend') {
      if (hasExpired) return { result: 'expired', reservation }
      this.#extend(subject, id, now, now + command.ttlMs!)
      return this.#settled(reservation, { expiresAt: Math.max(reservation.expiresAt, now + command.ttlMs!) })
    }
    for (const cell of subject.cells.values()) cell.holds = cell.holds.filter((hold) => hold.reservation !== id)
    if (action === 'commit') this.#commit(subject, reservation, now, command.amounts ?? {})
    if (action === 'undo') {
      for (const c of reservation.charges) this.#undo(this.#cell(subject, c), c, reservation.chargedAt, now)
      this.#reservations.delete(id)
    }
    const outcome = this.#settled(reservation, { status: action === 'commit' ? 'committed' : 'released', settledAt: now, late: hasExpired })
    return outcome
  }

  usage({ subject, limits, now }: UsageCommand): UsageEntry[] {
    const known = this.#subject(subject)
    return limits.flatMap(({ charge, isPartitioned }, limit): UsageEntry[] => {
      if (!isPartitioned) return [{ limit, partition: '', verdict: this.#look(known, charge, now) }]
      const best = new Map<string, UsageEntry>()
      for (const { charge: c } of known.cells.values()) {
        if (c.cell !== charge.cell) continue
        const verdict = this.#look(known, { ...charge, partition: c.partition, digest: c.digest }, now)
        if (verdict.used > (best.get(c.partition)?.verdict.used ?? 0)) best.set(c.partition, { limit, partition: c.partition, verdict })
      }
      return [...best.values()]
    })
  }

  reset(subject: string, cells: readonly string[] | null): void {
    const known = this.#subject(subject)
    for (const [key, { charge }] of known.cells) if (cells === null || cells.includes(charge.cell)) known.cells.delete(key)
    for (const reservation of this.#reservations.values()) {
      if (reservation.subject !== subject || reservation.status !== 'committed') continue
      const gone = reservation.charges.map(({ cell }) => cell).filter((cell) => cells === null || cells.includes(cell))
      this.#disowned.set(reservation.id, new Set([...(this.#disowned.get(reservation.id) ?? []), ...gone]))
    }
  }

  erase(subject: string): void {
    this.reset(subject, null)
    Object.assign(this.#subject(subject), { anchorAt: undefined, plan: '' })
    for (const [id, reservation] of this.#reservations) if (reservation.subject === subject) this.#reservations.delete(id)
  }

  lastPlan(subject: string): string | undefined {
    return this.#subjects.get(subject)?.plan || undefined
  }

  knownAnchor(subject: string): number | undefined {
    return this.#subjects.get(subject)?.anchorAt
  }

  close(): void {}

  /** Instants at which something of a charge's cell changes by itself: where mistakes by one are made. */
  edges(subject: string, charges: readonly Charge[], now: number): number[] {
    const known = this.#subject(subject)
    const verdicts = charges.flatMap((c) => [look({ ...c, amount: Math.max(1, c.max) }, ...this.#parts(known, c), now), this.#look(known, c, now)])
    const holds = [...known.cells.values()].flatMap((cell) => cell.holds.map(({ until }) => until))
    const instants = [...verdicts.flatMap(({ resetAt, retryAt }) => [resetAt, retryAt]), ...charges.map(({ endAt }) => endAt), ...holds]
    return [...new Set(instants)].filter((at) => at > now && at < Infinity).toSorted((a, b) => a - b)
  }

  /**
   * The earliest instant that the clock may be set back to without reviving what was over at `latestAt`: whether a
   * store still remembers what no longer counted is its own business.
   */
  revivalAt(latestAt: number): number {
    let floor = -Infinity
    const mayBeForgotten = (fromAt: number, untilAt: number): void => {
      if (fromAt <= latestAt) floor = Math.max(floor, Math.min(latestAt, untilAt))
    }
    for (const { cells } of this.#subjects.values()) {
      for (const { charge, entries, holds } of cells.values()) {
        const newest = charge.kind === CellKind.quota ? quotaOf(entries).period : newestOf(entries)
        if (charge.retainMs < Infinity) mayBeForgotten(newest - charge.windowMs + charge.retainMs, newest + charge.retainMs + owedMs(charge, entries, newest))
        for (const { until } of holds) mayBeForgotten(until, until)
      }
    }
    for (const reservation of this.#reservations.values()) mayBeForgotten(forgottenAt(reservation), forgottenAt(reservation))
    return floor
  }

  /**
   * Whether a commit would go to a period that has not begun, as the clock was set back since, of a cell that a store may
   * have forgotten: it may then count in the current one.
   */
  isAstray(id: string, now: number): boolean {
    const reservation = this.#reservations.get(id)
    return reservation !== undefined && reservation.charges.some((c) => {
      const entries = this.#parts(this.#subject(reservation.subject), c)[0]
      return c.kind === CellKind.quota && c.startAt > now && quotaOf(entries).period + c.retainMs <= now
    })
  }

  /**
   * Whether something of an open reservation is held no longer: a hold that was brought back with the clock ends before
   * the reservation does. A store may have forgotten it, and then has nothing to extend.
   */
  hasLapsed(id: string, now: number): boolean {
    const reservation = this.#reservations.get(id)
    if (!reservation || now >= reservation.expiresAt) return false
    return [...this.#subject(reservation.subject).cells.values()].some(({ holds }) => holds.some((hold) => hold.reservation === id && hold.until <= now))
  }

  #subject(name: string): Subject {
    let subject = this.#subjects.get(name)
    if (!subject) this.#subjects.set(name, (subject = { plan: '', anchorAt: undefined, cells: new Map() }))
    return subject
  }

  #cell(subject: Subject, c: Charge): Cell {
    const key = keyOf(c)
    let cell = subject.cells.get(key)
    if (!cell) subject.cells.set(key, (cell = { charge: { ...c }, entries: [], holds: [] }))
    cell.charge.retainMs = Math.max(cell.charge.retainMs, c.retainMs)
    return cell
  }

  #parts(subject: Subject, c: Charge): [Entry[], HeldAmount[]] {
    const cell = subject.cells.get(keyOf(c))
    return cell ? [cell.entries, cell.holds] : [[], []]
  }

  #look(subject: Subject, c: Charge, now: number): Verdict {
    return look(c, ...this.#parts(subject, c), now)
  }

  #see(cell: Cell, c: Charge, now: number): void {
    holdsAfter(c, cell.entries, cell.holds, now).forEach((hold, i) => Object.assign(cell.holds[i]!, hold))
    cell.entries.push(entryOf('seen', now, c))
  }

  #record(subject: Subject, c: Charge, now: number, reservation: DecideCommand['reservation']): void {
    if (c.kind === CellKind.anchor) subject.anchorAt ??= c.startAt
    if (c.kind === CellKind.anchor || c.kind === CellKind.stated) return
    const cell = this.#cell(subject, c)
    const isOnHold = reservation !== undefined && isHeld(c.kind)
    if (c.kind !== CellKind.concurrency) cell.entries.push(entryOf('used', now, c, isOnHold ? 0 : c.amount))
    if (!isOnHold || c.amount === 0) return
    const period = c.kind === CellKind.quota ? quotaOf(cell.entries).period : 0
    cell.holds.push({ reservation: reservation.id, amount: c.amount, period, takenAt: now, until: now + reservation.ttlMs })
  }

  /** What the admitted are told: how it stands with them. */
  #afterwards(subject: Subject, c: Charge, now: number, before: Verdict): Verdict {
    const { used, resetAt } = c.kind !== CellKind.stated ? this.#look(subject, c, now) : { used: before.used + c.amount, resetAt: before.resetAt }
    return { passes: true, used, resetAt, retryAt: 0 }
  }

  #keep(subject: Subject, name: string, charges: readonly Charge[], now: number, { id, ttlMs, memo }: NonNullable<DecideCommand['reservation']>): void {
    const kept = charges.map((c) => ({ ...c, startAt: c.kind === CellKind.quota ? quotaOf(this.#cell(subject, c).entries).period : c.startAt }))
    this.#reservations.set(id, { id, subject: name, memo, charges: kept, chargedAt: now, expiresAt: now + ttlMs, status: 'open', settledAt: null, late: false })
  }

  #commit(subject: Subject, reservation: StoredReservation, now: number, amounts: Readonly<Record<string, number>>): void {
    for (const c of reservation.charges) {
      const given = amounts[c.meter]
      const actual = given === undefined ? c.amount : given * c.weight
      if (c.kind === CellKind.anchor || c.kind === CellKind.stated || c.kind === CellKind.concurrency) continue
      const { entries } = this.#cell(subject, c)
      if (c.kind !== CellKind.quota) entries.push(entryOf('seen', now, c))
      if (c.kind === CellKind.quota) entries.push(entryOf('recorded', now, c, actual, c.startAt))
      else if (c.kind === CellKind.capacity) entries.push(entryOf('used', now, c, (c.amount = actual)))
      // Guards keep what they counted, so only what came on top is new.
      else if (c.kind !== CellKind.cooldown && actual > c.amount) entries.push(entryOf('used', now, c, actual - c.amount))
    }
    reservation.memo = { ...reservation.memo, amounts: { ...reservation.memo.amounts, ...amounts } }
  }

  #undo(cell: Cell, c: Charge, chargedAt: number, now: number): void {
    if (isHeld(c.kind)) return
    if (c.kind === CellKind.tokenBucket) cell.entries.push(entryOf('given', now, c, c.amount, chargedAt))
    else {
      const entry = cell.entries.findLast((e) => e.what === 'used' && e.at === chargedAt && e.amount === c.amount && !e.isUndone)
      if (entry) entry.isUndone = true
    }
  }

  #extend(subject: Subject, id: string, now: number, until: number): void {
    for (const { holds } of subject.cells.values()) {
      for (const hold of holds) {
        if (hold.reservation !== id) continue
        const late = Math.max(0, hold.takenAt - now)
        Object.assign(hold, { until: hold.until - late, takenAt: hold.takenAt - late })
        if (until > hold.until) Object.assign(hold, { until, takenAt: now })
      }
    }
  }

  #settled(reservation: StoredReservation, changes: Partial<StoredReservation>): SettleOutcome {
    Object.assign(reservation, changes)
    return { result: 'settled', reservation }
  }
}

function isStanding({ status, charges }: StoredReservation): boolean {
  return status === 'committed' && charges.some(({ kind, amount }) => kind === CellKind.capacity && amount > 0)
}

/** An open one can be settled, and a settled one is known, for a day; one that stands for capacity until it is given back. */
function forgottenAt(reservation: StoredReservation): number {
  if (isStanding(reservation)) return Infinity
  return (reservation.settledAt ?? reservation.expiresAt) + DAY_MS
}

function isForgotten(reservation: StoredReservation, now: number): boolean {
  return now >= forgottenAt(reservation)
}

/** The instant of the last admission, as far as the clock has not been set back behind it. */
function newestOf(entries: readonly Entry[]): number {
  return entries.reduce((newest, { what, at, amount, charge }) => {
    const isCounted = what === 'used' && (amount > 0 || (charge.kind !== CellKind.slidingLog && charge.kind !== CellKind.cooldown))
    return isCounted ? at : Math.min(newest, at)
  }, -Infinity)
}

/** What a bucket took above its estimate has to flow back in before it fills. */
function owedMs(charge: Charge, entries: readonly Entry[], newest: number): number {
  const level = charge.kind === CellKind.tokenBucket && newest > -Infinity ? Number(levelAt(charge, entries, newest)) : 0
  return Math.ceil(Math.max(0, -level) / charge.refill)
}

const keyOf = ({ cell, partition, digest }: Charge): string => JSON.stringify([cell, partition, digest])
