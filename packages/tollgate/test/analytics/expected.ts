// What analytics should answer, by going through the list of events: nothing of the code that is tested is used.
import type { QuotaUse, UsageEvent } from '../../src/record/event.ts'

export const DAY_MS = 86_400_000

export function dayIn(timezone: string): (at: number) => string {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, year: 'numeric', month: '2-digit', day: '2-digit' })
  return (at) => format.format(at)
}

export const isUse = ({ kind, isShared }: UsageEvent): boolean => (kind === 'consume' || kind === 'commit') && !isShared

export const isDenied = ({ kind, mode }: UsageEvent): boolean => kind === 'denial' && mode === 'enforce'

export const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

export const distinct = (events: readonly UsageEvent[]): number => new Set(events.map(({ subject }) => subject)).size

/** Items by the JSON of their key, in order of keys. */
export function groups<T>(items: readonly T[], keyOf: (item: T) => unknown): [string, T[]][] {
  const found = new Map<string, T[]>()
  for (const item of items) {
    const key = JSON.stringify(keyOf(item))
    found.set(key, [...(found.get(key) ?? []), item])
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

export const byKey = (rows: readonly object[], keyOf: (row: never) => unknown): object[] => groups(rows, keyOf as (row: object) => unknown).flatMap(([, of]) => of)

/** Of each subject, quota and period. */
export function totalsOf(events: readonly UsageEvent[]): (QuotaUse & { subject: string; plan: string; used: number })[] {
  const uses = events.filter(({ kind }) => kind === 'consume' || kind === 'commit').flatMap(({ subject, plan, uses }) => uses.map((use) => ({ ...use, subject, plan })))
  return groups(uses, ({ subject, cell, startAt }) => [subject, cell, startAt]).map(([, of]) => ({ ...of.at(-1)!, used: sum(of.map(({ amount }) => amount)) }))
}
