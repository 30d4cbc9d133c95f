import { createTollgate, type Decision, type Ledger, MemoryLedger, MemoryStore, MemorySubjects, type Tollgate, TollgateError } from '../../index.ts'
import { definePlans } from '../../define/plans.ts'
import { concurrency, quota, slidingWindow } from '../../define/limits.ts'
import { ledgerIdOf } from '../../engine/credits.ts'
import { type ControlledClock, controlledClock } from '../clock.ts'
import { Random } from '../random.ts'
import { type Faults, faultyStore, NO_FAULTS } from './faulty-store.ts'
import { type FaultyLedger, faultyLedger } from './faulty-ledger.ts'

export interface CreditSimulationOptions {
  /** The same seed gives the same run. */
  seed: number
  callers: number
  /** The ledger under test; it goes by `clock`, and outlives engines that crash. Default: memory. */
  makeLedger?: (clock: ControlledClock) => Ledger | Promise<Ledger>
}

export interface CreditSimulationResult {
  /** Broken promises, in words. */
  findings: string[]
  outcomes: Readonly<Record<string, number>>
}

/** What callers were told about one reservation, against which the ledger is held. */
interface Claim {
  readonly account: string
  /** What it may have cost at most, and at least: they are the same where the caller heard the answer. */
  least: number
  most: number
}

const PLANS = definePlans({
  gift: { rank: 0, limits: { flood: slidingWindow({ limit: 30, window: '10s' }), own: quota({ limit: 400, every: 'day', meter: 'credits' }) }, credits: { grant: 150, every: 'day' } },
  pro: { rank: 1, limits: { parallel: concurrency({ limit: 20 }), own: quota({ limit: Infinity, every: 'day', meter: 'credits' }) }, credits: { grant: 600, every: 'day', rollover: { max: 100 } } },
  pool: { rank: 2, limits: {}, credits: { grant: 1000, every: 'day' } },
})
const OPERATIONS = { image: { credits: 10 }, chat: { credits: 3 } }
const USERS = ['user:1', 'user:2', 'user:3']
const TEAM = 'team:1'
const START_AT = Date.UTC(2026, 0, 30, 23, 59)
/** Longer than any hold, any deadline, and the last attempt to cancel. */
const AFTERWARDS_MS = 600_000
/** By then a living process has taken back what nobody heard of. */
const CANCELLED_MS = 61_000

/** Runs an engine that charges credits, over counters and a ledger that both misbehave, in virtual time. */
export async function simulateCredits({ seed, callers, makeLedger = (clock) => new MemoryLedger(clock) }: CreditSimulationOptions): Promise<CreditSimulationResult> {
  const clock = controlledClock(START_AT)
  const simulation = new CreditSimulation(seed, clock, await makeLedger(clock))
  return simulation.run(callers)
}

class CreditSimulation {
  readonly #clock: ControlledClock
  readonly #random: Random
  readonly #ledger: Ledger
  readonly #store = new MemoryStore()
  readonly #subjects = new MemorySubjects()
  readonly #faults: Faults
  readonly #claims = new Map<string, Claim>()
  readonly #findings: string[] = []
  readonly #outcomes: Record<string, number> = {}
  #tollgate!: Tollgate
  #links: { disconnect(): void }[] = []
  #ids = 0

  constructor(seed: number, clock: ControlledClock, ledger: Ledger) {
    this.#clock = clock
    this.#random = new Random(seed)
    this.#ledger = ledger
    const share = (most: number): number => (seed % 3 === 0 ? 0 : this.#random.next() * most)
    this.#faults = { ...NO_FAULTS, delayMs: this.#random.integer(0, 20), late: share(0.04), failBefore: share(0.05), failAfter: share(0.05), repeat: share(0.1), hang: share(0.02) }
    this.#start()
  }

  async run(callers: number): Promise<CreditSimulationResult> {
    const spanMs = callers * 60
    await this.#during(Promise.all(USERS.map((user, i) => this.#ledger.run(`default/${user}`, { kind: 'grant', key: `start ${i}`, amount: 200, source: 'pack' }))))
    const all = Array.from({ length: callers }, async (_, i) => {
      const random = new Random(Math.imul(this.#random.integer(0, 2 ** 31), i + 1))
      await this.#sleep(random.integer(0, spanMs))
      await this.#call(random, i)
    })
    for (let crashes = this.#random.integer(0, 2); crashes > 0; crashes--) this.#clock.after(this.#random.integer(0, spanMs), () => this.#crash())
    await this.#during(Promise.all(all))
    await this.#during(this.#sleep(AFTERWARDS_MS))
    await this.#compare()
    return { findings: this.#findings, outcomes: this.#outcomes }
  }

  async #call(random: Random, caller: number): Promise<void> {
    const user = random.pick(USERS)
    const act = random.integer(0, 11)
    const tollgate = this.#tollgate
    if (act === 0) return void (await this.#ask(tollgate, 'grant', () => tollgate.grant(user, { amount: random.integer(1, 60), source: 'pack', idempotencyKey: `grant ${caller}` })))
    if (act === 1) return void (await this.#ask(tollgate, 'setPlan', () => tollgate.setPlan(random.chance(0.2) ? TEAM : user, random.pick(['gift', 'pro', 'pool'] as const))))
    const withTeam = random.chance(0.2)
    const key = random.chance(0.3) ? `key ${caller}` : undefined
    const request = { subject: user, plan: 'pro', operation: random.pick(['image', 'chat'] as const), ttlMs: random.pick([200, 5000]), ...(withTeam && { also: [{ subject: TEAM, plan: 'pool' }] }), ...(key && { idempotencyKey: key }) } as const
    const cost = OPERATIONS[request.operation].credits
    const account = withTeam ? TEAM : user
    if (act < 6) return this.#consume(tollgate, request, account, cost, random)
    return this.#reserve(tollgate, request, account, cost, random)
  }

  async #consume(tollgate: Tollgate, request: Parameters<Tollgate['consume']>[0], account: string, cost: number, random: Random): Promise<void> {
    const before = this.#ids
    const decision = await this.#ask(tollgate, 'consume', () => tollgate.consume(request))
    if (!decision) return this.#unheard(tollgate, request, account, cost, before)
    if (!decision.allowed) return
    const id = ledgerIdOf(decision.reservation!.id)
    this.#claims.set(id, { account, least: cost, most: cost })
    // Whoever repeats a request with its key hears the first answer, also from another process.
    if (request.idempotencyKey !== undefined && random.chance(0.5)) await this.#ask(this.#tollgate, 'repeat', () => this.#tollgate.consume(request))
    if (!random.chance(0.2)) return
    const refund = await this.#ask(tollgate, 'refund', () => tollgate.refund(account, id, { idempotencyKey: `refund ${id}` }))
    this.#claims.set(id, { account, least: 0, most: refund ? 0 : cost })
  }

  async #reserve(tollgate: Tollgate, request: Parameters<Tollgate['consume']>[0], account: string, cost: number, random: Random): Promise<void> {
    const before = this.#ids
    const decision: Decision | undefined = await this.#ask(tollgate, 'reserve', () => tollgate.reserve(request))
    if (!decision) return this.#unheard(tollgate, request, account, 0, before)
    if (!decision.allowed) return
    const id = ledgerIdOf(decision.reservation!.id)
    this.#claims.set(id, { account, least: 0, most: 0 })
    await this.#sleep(random.integer(0, 400))
    const what = random.integer(0, 2)
    if (what === 0) return
    const used = random.pick([undefined, 0, cost - 1, cost + 4])
    const claim = what === 1 ? (used ?? cost) : 0
    this.#claims.set(id, { account, least: 0, most: claim })
    const settle = () => (what === 1 ? tollgate.commit(decision.reservation!.id, used === undefined ? {} : { amounts: { credits: used } }) : tollgate.release(decision.reservation!.id))
    const settlement = await this.#ask(tollgate, what === 1 ? 'commit' : 'release', settle)
    if (settlement) this.#claims.set(id, { account, least: claim, most: claim })
  }

  /**
   * Nobody heard the answer, or it was an error: it costs nothing, as long as the process lives to take it back. With a
   * key, or where the process died, it may cost once.
   */
  #unheard(tollgate: Tollgate, { idempotencyKey }: { idempotencyKey?: string }, account: string, cost: number, before: number): void {
    const doubt = (): void => {
      // Its id is one of those made meanwhile, some of which are others'.
      for (let id = before + 1; id <= last; id++) {
        const { least = 0, most = 0, account: whose = account } = this.#claims.get(`r${id}`) ?? {}
        if (least === 0) this.#claims.set(`r${id}`, { account: whose, least, most: Math.max(most, cost) })
      }
    }
    const last = this.#ids
    if (idempotencyKey !== undefined || tollgate !== this.#tollgate) doubt()
    else this.#clock.after(CANCELLED_MS, () => tollgate !== this.#tollgate && doubt())
  }

  async #ask<T>(tollgate: Tollgate, name: string, ask: () => Promise<T>): Promise<T | undefined> {
    let said = `${name} done`
    try {
      const answer = await ask()
      if (tollgate === this.#tollgate) return answer
      said = `${name} unheard`
    } catch (error) {
      said = `${name} ${TollgateError.isInstance(error) ? error.code : 'threw'}`
      if (!TollgateError.isInstance(error)) this.#findings.push(`${name} threw ${String(error)}`)
    } finally {
      this.#outcomes[said] = (this.#outcomes[said] ?? 0) + 1
    }
    return undefined
  }

  /** Every reservation's entries against what its caller was told. */
  async #compare(): Promise<void> {
    this.#findings.push(...(await this.#ledger.verify(null)))
    const spent = new Map<string, number>()
    for (const account of [...USERS, TEAM]) {
      const { reserved } = await this.#ledger.balance(`default/${account}`)
      if (reserved !== 0) this.#findings.push(`${account} still has ${reserved} reserved`)
      for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null; ) {
        const page = await this.#ledger.entries(`default/${account}`, { before, limit: 1000 })
        for (const { reservation, kind, amount } of page.entries) {
          if (reservation !== null && (kind === 'spend' || kind === 'refund')) spent.set(reservation, (spent.get(reservation) ?? 0) - amount)
        }
        before = page.next
      }
    }
    for (const [id, { account, least, most }] of this.#claims) {
      const cost = spent.get(id) ?? 0
      if (cost < least || cost > most) this.#findings.push(`${id} of ${account} cost ${cost}, and by what callers heard it is ${least} to ${most}`)
      spent.delete(id)
    }
    for (const [id, cost] of spent) if (cost !== 0 && !id.startsWith('k_')) this.#findings.push(`${id} cost ${cost}, and nobody was told`)
  }

  #start(): void {
    const random = (): Random => new Random(this.#random.integer(0, 2 ** 31))
    const store = faultyStore(this.#store, this.#clock, random(), this.#faults)
    const ledger: FaultyLedger = faultyLedger(this.#ledger, this.#clock, random(), this.#faults)
    this.#links = [store, ledger]
    this.#tollgate = createTollgate({ plans: PLANS, operations: OPERATIONS, store, ledger, subjects: this.#subjects, clock: this.#clock, secret: 'of the simulation', overage: { policy: 'overdraft', floor: -1_000_000 }, newId: () => `r${++this.#ids}` }) as unknown as Tollgate
  }

  /** The process ends between two steps: what it had sent arrives, and nobody hears the answer. */
  #crash(): void {
    for (const link of this.#links) link.disconnect()
    this.#start()
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve))
  }

  /** Time passes only when nobody has anything left to do in the present. */
  async #during(work: Promise<unknown>): Promise<void> {
    let isDone = false
    void work.then(() => { isDone = true })
    for (let idle = 0; ; ) {
      await new Promise((resolve) => setImmediate(resolve))
      if (isDone) return
      const nextMs = this.#clock.nextTimerMs()
      if (nextMs !== undefined) this.#clock.advance(nextMs)
      // A ledger on a real database answers in real time.
      else if (++idle > 100_000) return void this.#findings.push('nothing will ever happen again, and calls are under way')
    }
  }
}
