import type { CounterCommand, Wanted } from '../stores/sql/counters/commands.ts'
import { type Changes, type CounterRow, CounterRows, type ReservationRow } from '../stores/sql/counters/rows.ts'

/** Counters' rows as a database keeps them, in a Map: what the functions of `stores/sql/counters` are tested over. */
export class KeptRows {
  readonly counters = new Map<string, CounterRow>()
  readonly reservations = new Map<string, ReservationRow>()
  /** What the last batch wrote. */
  written: Changes = { counters: [], reservations: [], cleared: [], erased: [] }

  /** @throws what the command does. */
  run<A>(command: CounterCommand<A>, at: number): A {
    let answer: A | undefined
    this.batch([{ ...command, run: (rows, locks) => (answer = command.run(rows, locks)) }], at)
    return answer as A
  }

  batch(commands: readonly CounterCommand[], at: number): unknown[] {
    const wanted: Wanted = { locks: new Set(), cells: [], limits: [], reservations: new Set(), standing: new Set() }
    for (const command of commands) command.want(wanted)
    const rows = this.#load(wanted, at)
    const answers = commands.map((command) => command.run(rows, { has: () => true }))
    this.#save(rows.changes())
    return answers
  }

  /** A row's body, parsed. */
  body(subject: string, cell = ''): Record<string, unknown> | undefined {
    const row = this.counters.get(keyOf(subject, cell))
    return row && (JSON.parse(row.body) as Record<string, unknown>)
  }

  put(subject: string, cell: string, body: string): void {
    this.counters.set(keyOf(subject, cell), { subject, cell, body, expires_at: 0 })
  }

  #load(wanted: Wanted, at: number): CounterRows {
    const reservations = [...this.reservations.values()].filter(({ id, subject, is_standing: isStanding }) => wanted.reservations.has(id) || (isStanding === 1 && wanted.standing.has(subject)))
    const theirs = reservations.flatMap(({ subject, cells }) => (JSON.parse(cells) as string[]).map((cell) => ({ subject, cell })))
    const keys = new Set([...wanted.cells, ...theirs].map(({ subject, cell }) => keyOf(subject, cell)))
    const counters = [...this.counters.values()].filter(({ subject, cell }) => keys.has(keyOf(subject, cell)) || wanted.limits.some((limit) => limit.subject === subject && cell.startsWith(limit.prefix)))
    return new CounterRows({ at, counters, reservations })
  }

  #save(changes: Changes): void {
    this.written = changes
    for (const { subject, prefix } of changes.cleared) for (const [key, row] of this.counters) if (row.subject === subject && row.cell.startsWith(prefix)) this.counters.delete(key)
    for (const [id, { subject }] of this.reservations) if (changes.erased.includes(subject)) this.reservations.delete(id)
    for (const row of changes.counters) this.counters.set(keyOf(row.subject, row.cell), row)
    for (const row of changes.reservations) this.reservations.set(row.id, row)
  }
}

const keyOf = (subject: string, cell: string): string => JSON.stringify([subject, cell])
