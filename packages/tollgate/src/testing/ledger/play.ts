import type { AllowanceRule } from '../../ledger/account.ts'
import type { LedgerCommand } from '../../ledger/commands.ts'
import type { ControlledClock } from '../clock.ts'
import type { Asked, LedgerHistory, LedgerStep } from './history.ts'

const DAY_MS = 86_400_000
/** Histories end before so many periods have passed that some are passed over. */
const LONGEST_MS = 60 * DAY_MS

export interface Player {
  /** Asks, and compares what is answered and how the account stands then. */
  ask(subject: string, command: LedgerCommand): Promise<Heard>
  due(): Promise<void>
  look(subject: string, at: number): Promise<void>
  /** Instants at which something of a subject changes by itself. */
  edges(subject: string): readonly number[]
  /** The clock is not set back before this. */
  revivalAt(latestAt: number): number
}

export interface Heard {
  ok: boolean
  /** The answer in short. */
  words: string
}

/** Plays a history for a player to judge, and writes down what happened in lines that a person can follow. */
export class LedgerPlay {
  readonly lines: string[] = []
  readonly subjects: readonly string[]
  readonly #plans: LedgerHistory['plans']
  readonly #clock: ControlledClock
  readonly #player: Player
  readonly #startAt: number
  readonly #commands: { subject: string; command: LedgerCommand }[] = []
  /** Those that were admitted, how far they are, and for how long they will be known. */
  readonly #reservations: { subject: string; id: string; stage: 'open' | 'spent' | 'over'; until: number }[] = []
  #latestAt: number
  #names = 0

  /** @param prefix keeps this play's subjects apart from others' in a ledger that is used again. */
  constructor({ plans }: LedgerHistory, clock: ControlledClock, player: Player, prefix: string) {
    this.#plans = plans
    this.#clock = clock
    this.#player = player
    this.#startAt = this.#latestAt = clock.now()
    this.subjects = [`${prefix}-u0`, `${prefix}-u1`]
    for (const [i, plan] of plans.entries()) this.lines.push(`plan ${i}: ${JSON.stringify(plan)}`)
  }

  async run({ opening, plan, steps }: LedgerHistory): Promise<void> {
    const [subject] = this.subjects
    if (opening > 0) await this.#ask(subject!, { kind: 'grant', amount: opening, source: 'pack', key: 'opening' })
    if (plan !== null) await this.#ask(subject!, { kind: 'setAllowance', rule: this.#ruleOf(plan), at: 'now', proration: 'restart', leftover: 'keep' })
    for (const step of steps) await this.#take(step)
  }

  async #take(step: LedgerStep): Promise<void> {
    switch (step.step) {
      case 'ask': {
        const subject = this.subjects[step.subject]!
        const command = this.#named(step.asked, subject)
        return command && this.#ask(subject, command)
      }
      case 'repeat': {
        const earlier = this.#commands.at(-1 - (step.which % Math.max(1, this.#commands.length)))
        return earlier && this.#ask(earlier.subject, earlier.command)
      }
      case 'clash': {
        const earlier = this.#commands.at(-1 - (step.which % Math.max(1, this.#commands.length)))
        return earlier && this.#ask(earlier.subject, otherOf(earlier.command, step.amount))
      }
      case 'edge': {
        const now = this.#clock.now()
        const edges = [...new Set(this.subjects.flatMap((subject) => this.#player.edges(subject)))].filter((at) => at > now).toSorted((a, b) => a - b)
        const edge = edges[step.edge % Math.max(1, edges.length)]
        return edge === undefined ? undefined : this.#moveTo(Math.max(now, edge + step.offsetMs), `edge${step.offsetMs === 0 ? '' : ` ${step.offsetMs}`}`)
      }
      case 'wait':
        return this.#moveTo(this.#clock.now() + step.ms, 'wait')
      case 'back': {
        const at = Math.max(this.#clock.now() - step.ms, this.#player.revivalAt(this.#latestAt))
        return at < this.#clock.now() ? this.#moveTo(at, 'back') : undefined
      }
      case 'due':
        this.lines.push('due')
        return this.#player.due()
      case 'look':
        return this.#player.look(this.subjects[step.subject]!, Math.max(0, this.#clock.now() - step.agoMs))
    }
  }

  async #ask(subject: string, command: LedgerCommand): Promise<void> {
    this.lines.push(`${subject.slice(-2)} ${JSON.stringify(command)}`)
    this.#commands.push({ subject, command })
    const { ok, words } = await this.#player.ask(subject, command)
    this.lines.push(`${this.lines.pop()!}: ${words}`)
    if (ok && 'id' in command) this.#keepTrack(subject, command)
  }

  #keepTrack(subject: string, command: LedgerCommand & { id: string }): void {
    const { kind, id } = command
    let known = this.#reservations.find((each) => each.id === id)
    if (!known) this.#reservations.push((known = { subject, id, stage: 'open', until: 0 }))
    if (known.stage !== 'open' && kind !== 'cancel') return
    known.stage = kind === 'hold' || kind === 'extend' ? 'open' : kind === 'release' || kind === 'cancel' ? 'over' : 'spent'
    known.until = this.#clock.now() + ('ttlMs' in command ? command.ttlMs + DAY_MS : 3 * DAY_MS)
  }

  #moveTo(at: number, why: string): void {
    if (at > this.#startAt + LONGEST_MS) return
    this.#clock.set(at)
    this.#latestAt = Math.max(this.#latestAt, at)
    this.lines.push(`at ${new Date(at).toISOString()} (${why})`)
  }

  #ruleOf(plan: number): AllowanceRule {
    return { ...this.#plans[plan]!, plan: `set/${plan}`, isEligible: true }
  }

  /** Settlements mostly find a reservation that waits for them; `undefined` when there is none yet. */
  #named(asked: Asked, subject: string): LedgerCommand | undefined {
    const now = this.#clock.now()
    const key = `k${++this.#names}`
    switch (asked.kind) {
      case 'grant': {
        const { beginsInMs, lastsMs, ...rest } = asked
        const effectiveAt = beginsInMs === null ? undefined : now + beginsInMs
        return { ...rest, key, ...(effectiveAt !== undefined && { effectiveAt }), ...(lastsMs !== null && { expiresAt: (effectiveAt ?? now) + lastsMs }) }
      }
      case 'void':
        return { kind: 'void', lot: asked.which + 1, key }
      case 'hold':
      case 'deduct': {
        const { operation, ...rest } = asked
        return { ...rest, id: `r${this.#names}`, ...(operation && { operation: 'image' }) }
      }
      case 'setAllowance': {
        const { plan, isEligible, ...rest } = asked
        return { ...rest, rule: plan === null ? null : { ...this.#ruleOf(plan), isEligible } }
      }
      case 'touch':
        return asked
      default: {
        const stage = asked.kind === 'refund' || (asked.kind === 'cancel' && asked.which % 2 === 0) ? 'spent' : 'open'
        // Of what never came, too.
        if (asked.kind === 'cancel' && asked.which > 7) return { kind: 'cancel', id: key }
        // The last numbers are those of any reservation, be it another subject's.
        const candidates = this.#reservations.filter((each) => asked.which > 7 || (each.subject === subject && ((each.stage === stage && now < each.until) || asked.which > 5)))
        const id = candidates.at(-1 - (asked.which % Math.max(1, candidates.length)))?.id
        if (id === undefined) return undefined
        const { which: _, ...rest } = asked
        if (rest.kind === 'release' || rest.kind === 'cancel' || rest.kind === 'extend') return { ...rest, id }
        const { amount, ...others } = rest
        return { ...others, id, ...(amount !== null && { amount }), ...(rest.kind === 'refund' && { key }) } as LedgerCommand
      }
    }
  }
}

/** Another command of the same key or id. */
function otherOf(command: LedgerCommand, amount: number): LedgerCommand {
  if (command.kind === 'grant' || command.kind === 'refund') return { ...command, amount: amount + 1 }
  if (command.kind === 'hold') return { kind: 'deduct', id: command.id, amount }
  if (command.kind === 'deduct') return { kind: 'hold', id: command.id, amount, ttlMs: 1000 }
  if (command.kind === 'commit') return { kind: 'release', id: command.id }
  if (command.kind === 'release') return { kind: 'commit', id: command.id, amount, overage: { policy: 'deny' } }
  return command
}
