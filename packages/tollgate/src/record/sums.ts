import type { Days } from './days.ts'
import type { UsageEvent } from './event.ts'

/** What events add to the tables, as rows: one per key, in the order of keys, so that processes lock them in one order. */
export interface Sums {
  readonly resets: { subject_id: number; at: number; cells: readonly string[] | null }[]
  readonly totals: { subject_id: number; cell: string; partition: string; start_at: number; end_at: number; plan: string; lim: string; max: number | null; used: number }[]
  readonly daily: { subject_id: number; day: string; plan: string; operation: string; model: string; meter: string; amount: number }[]
  readonly summary: { namespace: string; day: string; plan: string; lim: string; operation: string; model: string; meter: string; amount: number }[]
  readonly denials: { namespace: string; subject_id: number; day: string; plan: string; lim: string; kind: string; code: string; operation: string; mode: string; amount: number; first_at: number; last_at: number }[]
  readonly denialSummary: { namespace: string; day: string; plan: string; lim: string; kind: string; code: string; operation: string; mode: string; amount: number }[]
  readonly active: { namespace: string; span: string; plan: string; subject_id: number }[]
  readonly changes: { id: string; namespace: string; at: number; subject_id: number; from_plan: string; to_plan: string }[]
}

const MONTH = 'YYYY-MM'.length

export function sumsOf(events: readonly UsageEvent[], namespace: string, idOf: (subject: string) => number, days: Days): Sums {
  const resets: Sums['resets'] = []
  const changes: Sums['changes'] = []
  const totals = new Rows<Sums['totals'][number]>()
  const daily = new Rows<Sums['daily'][number]>()
  const summary = new Rows<Sums['summary'][number]>()
  const denials = new Rows<Sums['denials'][number]>()
  const denialSummary = new Rows<Sums['denialSummary'][number]>()
  const active = new Rows<Sums['active'][number]>()

  const used = (event: UsageEvent): void => {
    const { at, plan, amounts, uses, isShared, count } = event
    const subject_id = idOf(event.subject)
    const day = days.of(at)
    const { operation, model } = columnsOf(event)
    const add = (lim: string, meter: string, amount: number): void => {
      if (amount === 0) return
      const key = { day, plan, operation, model, meter }
      if (lim === '') daily.at([subject_id, ...Object.values(key)], () => ({ subject_id, ...key, amount: 0 })).amount += amount
      if (!isShared) summary.at([lim, ...Object.values(key)], () => ({ namespace, ...key, lim, amount: 0 })).amount += amount
    }
    add('', 'requests', count)
    for (const [meter, amount] of Object.entries(amounts)) if (meter !== 'requests') add('', meter, amount)
    // A limit that no plan has any more is only in the totals.
    for (const use of uses) if (use.limit !== '') add(use.limit, '', use.amount)
    for (const { cell, partition, startAt, endAt, limit, max, amount } of uses) {
      const total = totals.at([subject_id, cell, partition, startAt], () => ({ subject_id, cell, partition: JSON.stringify(partition), start_at: startAt, end_at: endAt, plan, lim: limit, max: null, used: 0 }))
      total.used += amount
      total.max = max === Infinity ? null : max
      total.plan = plan
    }
    if (isShared) return
    for (const span of [day, day.slice(0, MONTH)]) for (const of of ['', plan]) active.at([span, of, subject_id], () => ({ namespace, span, plan: of, subject_id }))
  }

  const denied = (event: UsageEvent): void => {
    const { at, plan, mode, count, violations = [] } = event
    const subject_id = idOf(event.subject)
    const day = days.of(at)
    const { operation } = columnsOf(event)
    for (const { limit: lim, kind, code } of [{ limit: '', kind: '', code: '' }, ...violations]) {
      const key = { day, plan, lim, kind, code, operation, mode }
      const own = denials.at([subject_id, ...Object.values(key)], () => ({ namespace, subject_id, ...key, amount: 0, first_at: at, last_at: at }))
      own.amount += count
      own.first_at = Math.min(own.first_at, at)
      own.last_at = Math.max(own.last_at, at)
      denialSummary.at(Object.values(key), () => ({ namespace, ...key, amount: 0 })).amount += count
    }
  }

  for (const event of events) {
    const { id, kind, at, plan, fromPlan = '', cells = null } = event
    if (kind === 'consume' || kind === 'commit') used(event)
    if (kind === 'denial') denied(event)
    if (kind === 'plan') changes.push({ id, namespace, at, subject_id: idOf(event.subject), from_plan: fromPlan, to_plan: plan })
    if (kind !== 'reset') continue
    const subject_id = idOf(event.subject)
    resets.push({ subject_id, at, cells })
    totals.remove((total) => total.subject_id === subject_id && (cells?.includes(total.cell) ?? true))
  }
  return { resets, changes, totals: totals.sorted(), daily: daily.sorted(), summary: summary.sorted(), denials: denials.sorted(), denialSummary: denialSummary.sorted(), active: active.sorted() }
}

/** PostgreSQL's text holds no NUL, and no half of a surrogate pair. */
const clean = (text: string): string => text.replace(/[\0\p{Surrogate}]/gu, '\u{FFFD}')

export function columnsOf({ operation = '', dimensions }: UsageEvent): { operation: string; model: string } {
  return { operation: clean(operation), model: clean(dimensions?.['model'] ?? '') }
}

/** Rows by key. */
class Rows<R> {
  readonly #byKey = new Map<string, R>()

  at(key: readonly (string | number)[], make: () => R): R {
    const name = JSON.stringify(key)
    let row = this.#byKey.get(name)
    if (row === undefined) this.#byKey.set(name, (row = make()))
    return row
  }

  remove(isGone: (row: R) => boolean): void {
    for (const [name, row] of this.#byKey) if (isGone(row)) this.#byKey.delete(name)
  }

  sorted(): R[] {
    return [...this.#byKey].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  }
}
