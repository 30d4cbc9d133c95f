import type { AllowanceRule } from '../../ledger/account.ts'

const DAY_MS = 86_400_000
/** 1970-01-05. */
const MONDAY = 4 * DAY_MS

/** The period of UTC that an instant lies in, found by counting from the first. */
export function periodIn({ every, anchor }: Pick<AllowanceRule, 'every' | 'anchor'>, at: number, anchorAt: number | null): { startAt: number; endAt: number } {
  const from = anchor === 'subject' ? (anchorAt ?? at) : every === 'week' ? MONDAY : 0
  const startOf = (n: number): number => (every === 'month' ? monthsAfter(from, n) : from + n * (every === 'day' ? DAY_MS : every === 'week' ? 7 * DAY_MS : every))
  let n = every === 'month' ? Math.floor((at - from) / (31 * DAY_MS)) - 1 : Math.floor((at - from) / (startOf(1) - from))
  while (startOf(n + 1) <= at) n++
  return { startAt: startOf(n), endAt: startOf(n + 1) }
}

/** The same day and time of a later month, or its last day. */
function monthsAfter(from: number, n: number): number {
  const date = new Date(from)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + n]
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  return Date.UTC(year, month, Math.min(date.getUTCDate(), lastDay)) + (from % DAY_MS)
}
