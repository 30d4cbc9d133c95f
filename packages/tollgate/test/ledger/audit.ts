import type { Entry, Ledger } from '../../src/ledger/index.ts'
import type { Step } from './witness.mjs'

/** What is wrong with a subject's books, by all that was acknowledged to it; nothing when all is well. */
export async function audit(ledger: Ledger, subject: string, steps: readonly Step[]): Promise<string[]> {
  const entries = await entriesOf(ledger, subject)
  const faults = [...(await ledger.verify(subject)), ...effectFaults(steps, entries), ...periodFaults(steps, entries), ...answerFaults(steps)]
  return faults.map((fault) => `${subject}: ${fault}`)
}

/** The oldest first. */
async function entriesOf(ledger: Ledger, subject: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null; ) {
    const page = await ledger.entries(subject, { before, limit: 1000 })
    entries.push(...page.entries)
    before = page.next
  }
  return entries.toReversed()
}

const isPeriods = ({ key }: Entry): boolean => key === null || key.includes(' ')

/** Everything that was acknowledged is there once, and nothing else is. */
function effectFaults(steps: readonly Step[], entries: readonly Entry[]): string[] {
  const acknowledged = new Effects()
  const written = new Effects()
  /** Whether they were done is unknown, so that what came back is compared with what was spent. */
  const notHeard = new Set<string>()
  const faults: string[] = []
  for (const { command, answer, error } of steps) {
    if (!answer && error === undefined) faults.push(`never answered: ${JSON.stringify(command)}`)
    if (error === NOT_HEARD && 'id' in command) notHeard.add(command.id)
    if (!answer?.ok) continue
    if (command.kind === 'grant') acknowledged.add(`grant ${command.key}`, command.amount)
    if (command.kind === 'deduct' || command.kind === 'commit') acknowledged.add(`spend ${command.id}`, -answer.reservation!.amount, command.id)
    if (command.kind === 'refund') acknowledged.add(`refund ${command.key}`, answer.refunded!, command.id)
    if (command.kind === 'cancel') acknowledged.add(`cancel ${command.id}`, -acknowledged.spentBy(command.id), command.id)
  }
  for (const entry of entries) {
    const reservation = entry.reservation ?? ''
    if (entry.kind === 'grant' && !isPeriods(entry)) written.add(`grant ${entry.key}`, entry.amount)
    if (entry.kind === 'spend') written.add(`spend ${reservation}`, entry.amount, reservation)
    if (entry.kind === 'refund') written.add(entry.key === null ? `cancel ${reservation}` : `refund ${entry.key}`, entry.amount, reservation)
    if (entry.kind === 'void') faults.push(`entry ${entry.seq} takes a grant back, which nobody asked for`)
  }
  const isUnknown = (effect: string) => notHeard.has(effect.replace(/^(spend|cancel) /, ''))
  for (const effect of new Set([...acknowledged.names(), ...written.names()])) {
    const [should, is] = [acknowledged.of(effect), written.of(effect)]
    if (should !== is && !isUnknown(effect)) faults.push(`${effect}: ${should} was acknowledged, ${is} is in the entries`)
  }
  for (const id of notHeard) if (written.spentBy(id) !== 0) faults.push(`${id} was taken back, and ${written.spentBy(id)} of it is in the entries`)
  return faults
}

const NOT_HEARD = 'not heard'

/** Amounts by what caused them, and by reservation. */
class Effects {
  readonly #amounts = new Map<string, number>()
  readonly #reservations = new Map<string, number>()

  add(effect: string, amount: number, reservation?: string): void {
    this.#amounts.set(effect, this.of(effect) + amount)
    if (reservation !== undefined) this.#reservations.set(reservation, this.spentBy(reservation) + amount)
  }

  names(): Iterable<string> {
    return this.#amounts.keys()
  }

  of(effect: string): number {
    return this.#amounts.get(effect) ?? 0
  }

  spentBy(reservation: string): number {
    return this.#reservations.get(reservation) ?? 0
  }
}

/** The plan's periods follow each other, each granted once, with at most one grant of what the one before left over. */
function periodFaults(steps: readonly Step[], entries: readonly Entry[]): string[] {
  const [every] = steps.flatMap(({ command }) => (command.kind === 'setAllowance' && command.rule ? [command.rule.every as number] : []))
  const grants = entries.filter((entry) => entry.kind === 'grant' && isPeriods(entry))
  const starts = grants.flatMap(({ key }) => (key === null ? [] : [Number(key.split(' ')[1])]))
  const faults = starts.flatMap((startAt, i) => (i > 0 && startAt !== starts[i - 1]! + every! ? [`period ${startAt} was granted after period ${starts[i - 1]}`] : []))
  if (starts.length === 0) faults.push('no period was granted')
  grants.forEach(({ key, seq, amount }, i) => {
    if (key === null && (grants[i + 1]?.key ?? null) === null) faults.push(`entry ${seq} carries ${amount} over into no period`)
  })
  return faults
}

/** Every answer adds up, and counts the holds that are open at its time: no other, and none after its expiry. */
function answerFaults(steps: readonly Step[]): string[] {
  const holds = new Map<string, Hold>()
  let lastAt = 0
  return steps.flatMap(({ command, answer }) => {
    if (!answer) return []
    follow(holds, { command, answer })
    // One that repeats what was done long ago says what the balance was then.
    if (answer.isReplay && answer.at < lastAt) return []
    lastAt = answer.at
    const { balance, available, reserved, granted, spent, expired } = answer.balance
    const about = `${JSON.stringify(command)} at ${answer.at}`
    return [
      ...(granted - expired - spent === balance && balance === available + reserved ? [] : [`${about}: the balance does not add up: ${JSON.stringify(answer.balance)}`]),
      ...(reserved === sumAt(holds, answer.at) ? [] : [`${about}: ${reserved} is reserved, where open holds are ${sumAt(holds, answer.at)}`]),
    ]
  })
}

export interface Hold {
  readonly amount: number
  readonly expiresAt: number
}

/** Holds that were not settled. */
export function unsettled(steps: readonly Step[]): Map<string, Hold> {
  const holds = new Map<string, Hold>()
  for (const step of steps) follow(holds, step)
  return holds
}

function follow(holds: Map<string, Hold>, { command, answer }: Step): void {
  if (!answer?.ok) return
  if (command.kind === 'hold') holds.set(command.id, answer.reservation!)
  if (command.kind === 'commit' || command.kind === 'release' || command.kind === 'cancel') holds.delete(command.id)
}

export function sumAt(holds: ReadonlyMap<string, Hold>, at: number): number {
  return [...holds.values()].reduce((sum, { amount, expiresAt }) => sum + (expiresAt > at ? amount : 0), 0)
}
