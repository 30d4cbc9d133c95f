import type { Range } from './range.ts'
import type { Source } from './source.ts'

/** What part of the requests went to a model, or was counted by a limit. */
export interface Share {
  /** null: of all plans. */
  readonly plan: string | null
  readonly name: string
  /** Of a limit, what it counted: it is a part of the requests where the limit counts requests. */
  readonly requests: number
  readonly share: number
}

export async function shares(source: Source, { from, to }: Range): Promise<{ models: Share[]; limits: Share[] }> {
  const found = await source.ask<{ plan: string; lim: string; of_model: string; amount: number }>('shares', from, to)
  const [requests, models, limits] = [new Sums(), new Sums(), new Sums()]
  for (const { plan, lim, of_model: model, amount } of found) {
    for (const of of [null, plan]) {
      if (lim !== '') limits.add(of, lim, amount)
      else {
        requests.add(of, '', amount)
        if (model !== '') models.add(of, model, amount)
      }
    }
  }
  const wholes = new Map(requests.all().map(({ plan, amount }) => [plan, amount]))
  const sharesOf = (sums: Sums): Share[] => sums.all().map(({ plan, name, amount }) => ({ plan, name, requests: amount, share: ratio(amount, wholes.get(plan) ?? 0) }))
  return { models: sharesOf(models), limits: sharesOf(limits) }
}

export const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)

/** Amounts by plan and name. */
class Sums {
  readonly #byKey = new Map<string, { readonly plan: string | null; readonly name: string; amount: number }>()

  add(plan: string | null, name: string, amount: number): void {
    const key = JSON.stringify([plan, name])
    const sum = this.#byKey.get(key)
    if (sum) sum.amount += amount
    else this.#byKey.set(key, { plan, name, amount })
  }

  /** All plans together first. */
  all() {
    return [...this.#byKey.values()].toSorted((a, b) => compare(a.plan ?? '', b.plan ?? '') || compare(a.name, b.name))
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
