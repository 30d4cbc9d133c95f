import { anchorCharge, isPartitioned } from '../../../decide/charge.ts'
import type { DecideCommand, Outcome, SettleCommand, SettleOutcome, UsageCommand, UsageEntry } from '../../store.ts'
import { decide } from './decide.ts'
import { cellKey, limitKey, RECORD, textKey } from './keys.ts'
import type { CounterRows } from './rows.ts'
import { erase, reset, settle } from './settle.ts'
import { usage } from './usage.ts'

/** What a batch loads: everything by key, nothing by searching. */
export interface Wanted {
  /** Subjects that are written to. */
  locks: Set<string>
  cells: { subject: string; cell: string }[]
  /** All rows of a limit. */
  limits: { subject: string; prefix: string }[]
  /** Reservations, with the cells that they were counted in. */
  reservations: Set<string>
  /** Subjects whose standing reservations are wanted. */
  standing: Set<string>
}

/** What is known when a command runs, beside the rows. */
export interface Locks {
  has(subject: string): boolean
}

export interface CounterCommand<A = unknown> {
  /** Commands of one key never run in two transactions at a time. */
  readonly key: string
  readonly isRead: boolean
  want(wanted: Wanted): void
  run(rows: CounterRows, locks: Locks): A
}

export function decideCommand(command: DecideCommand, hintedAnchor: number | undefined): CounterCommand<Outcome> {
  const subject = textKey(command.subject)
  const isRead = command.action === 'check'
  return {
    key: subject,
    isRead,
    want({ locks, cells }) {
      if (!isRead) locks.add(subject)
      cells.push({ subject, cell: RECORD })
      for (const c of command.charges) if (isPartitioned(c)) cells.push({ subject, cell: cellKey(c) })
    },
    run: (rows) => decide(rows, command, hintedAnchor),
  }
}

/** Its subject is known when the reservation is loaded; until then it is its id that goes one at a time. */
export function settleCommand(command: SettleCommand): CounterCommand<SettleOutcome> {
  const id = textKey(command.id)
  return {
    key: `"${id}`,
    isRead: false,
    want: ({ reservations }) => void reservations.add(id),
    run: (rows, locks) => settle(rows, command, (subject) => locks.has(textKey(subject))),
  }
}

export function usageCommand(command: UsageCommand): CounterCommand<UsageEntry[]> {
  const subject = textKey(command.subject)
  return {
    key: subject,
    isRead: true,
    want({ cells, limits }) {
      cells.push({ subject, cell: RECORD })
      for (const { charge, isPartitioned: isCountedPer } of command.limits) {
        if (isCountedPer) limits.push({ subject, prefix: limitKey(charge.cell) })
        else if (isPartitioned(charge)) cells.push({ subject, cell: cellKey(charge) })
      }
    },
    run: (rows) => usage(rows, command),
  }
}

export function lastPlanCommand(subject: string): CounterCommand<{ plan: string | undefined; anchorAt: number | undefined }> {
  const key = textKey(subject)
  return {
    key,
    isRead: true,
    want: ({ cells }) => void cells.push({ subject: key, cell: RECORD }),
    run(rows) {
      const own = rows.of(subject)
      const anchorAt = own.cell(ANCHOR).words[0]!
      return { plan: own.record.plan, anchorAt: anchorAt === -Infinity ? undefined : anchorAt }
    },
  }
}

export function resetCommand(subject: string, limits: readonly string[] | null): CounterCommand<void> {
  const key = textKey(subject)
  return {
    key,
    isRead: false,
    want({ locks, cells, standing }) {
      locks.add(key)
      standing.add(key)
      cells.push({ subject: key, cell: RECORD })
    },
    run: (rows) => reset(rows, subject, limits),
  }
}

export function eraseCommand(subject: string): CounterCommand<void> {
  const key = textKey(subject)
  return {
    key,
    isRead: false,
    want: ({ locks }) => void locks.add(key),
    run: (rows) => erase(rows, subject),
  }
}

const ANCHOR = anchorCharge()
