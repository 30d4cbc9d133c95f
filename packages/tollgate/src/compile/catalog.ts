import type { Operations, Plans } from '../define/plans.ts'
import { suggest } from '../define/suggest.ts'
import { validateOperations, validatePlans } from '../define/validate.ts'
import { invalidDefinition, show, TollgateError } from '../errors/index.ts'
import { compilePlan, type Program, type Vocabulary } from './program.ts'

/** Plans that belong together: their ranks are compared, and their limits of one name share a counter. */
export interface PlanSet {
  /** Letters, digits, `_`, `-`, `.`; the first part of a plan's full name. */
  readonly name: string
  readonly plans: Plans
  readonly operations?: Operations
}

/** Every plan of an engine, compiled once, found by full name or by a short name that only one set uses. */
export class Catalog {
  readonly programs: readonly Program[]
  /** Every meter of every plan set. */
  readonly meters: ReadonlySet<string>
  readonly #byName = new Map<string, Program | null>()

  constructor(sets: readonly PlanSet[], isSingle: boolean) {
    if (sets.length === 0) throw invalidDefinition('planSets', 'there is none; give at least one plan set')
    const twice = sets.find(({ name }, i) => sets.findIndex((other) => other.name === name) < i)
    if (twice) throw invalidDefinition('planSets', `${show(twice.name)} is used twice; give each plan set a name of its own`)
    this.programs = sets.flatMap((set) => compileSet(set, isSingle))
    this.meters = new Set(this.programs.flatMap(({ vocabulary }) => [...vocabulary.meters]))
    for (const program of this.programs) {
      // null: the short name is ambiguous.
      this.#byName.set(program.name, this.#byName.has(program.name) ? null : program)
    }
    for (const program of this.programs) {
      this.#byName.set(`${program.set}/${program.name}`, program)
    }
  }

  lookup(name: string): Program | undefined {
    return this.#byName.get(name) ?? undefined
  }

  /** Names of all limits of a plan set. */
  limitsOf(set: string): ReadonlySet<string> {
    return new Set(this.programs.filter((program) => program.set === set).flatMap(({ limits }) => limits.map(({ name }) => name)))
  }

  /** @throws UNKNOWN_PLAN that names the nearest known plan. */
  find(name: string): Program {
    const program = this.#byName.get(name)
    if (program) return program
    if (program === null) {
      const full = this.programs.filter((p) => p.name === name).map((p) => p.id)
      throw new TollgateError('UNKNOWN_PLAN', `plan: ${show(name)} is in several plan sets; use the full name: ${full.join(', ')}`, { field: 'plan' })
    }
    throw new TollgateError('UNKNOWN_PLAN', `plan: ${show(name)} is not a plan; ${suggest(name, this.programs.map((p) => p.id))}`, { field: 'plan' })
  }

  /** The plans above `program`, the lowest rank first. */
  above(program: Program): Program[] {
    return this.programs
      .filter((p) => p.set === program.set && p.definition.rank > program.definition.rank)
      .toSorted((a, b) => a.definition.rank - b.definition.rank)
  }
}

function compileSet({ name: set, plans: unchecked, operations: declared }: PlanSet, isSingle: boolean): Program[] {
  const plans = validatePlans(unchecked)
  const vocabulary = vocabularyOf(plans, validateOperations(declared, plans))
  return Object.entries(plans).map(([name, plan]) => compilePlan(isSingle ? name : `${set}/${name}`, set, name, plan, vocabulary))
}

function vocabularyOf(plans: Plans, operations: Operations | undefined): Vocabulary {
  const limits = Object.values(plans).flatMap((plan) => Object.values(plan.limits))
  const dimensions = new Set<string>()
  const meters = new Set(['requests'])
  for (const limit of limits) {
    for (const name of [...(limit.per ?? []), ...Object.keys(limit.match ?? {}), ...('allow' in limit ? Object.keys(limit.allow) : [])]) dimensions.add(name)
    if ('meter' in limit && limit.meter) meters.add(limit.meter)
  }
  dimensions.delete('operation')
  return {
    operations: operations ? new Set(Object.keys(operations)) : null,
    dimensions,
    meters,
    costs: new Map(Object.entries(operations ?? {}).map(([name, { credits = 0 }]) => [name, credits])),
  }
}
