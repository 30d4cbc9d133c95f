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
  /** What a request asks for that does not say: otherwise it would meet none of the limits that match an operation. */
  readonly defaultOperation?: string
}

/** Every plan of an engine, compiled once, found by full name or by a short name that only one set uses. */
export class Catalog {
  readonly programs: readonly Program[]
  /** Every meter of every plan set. */
  readonly meters: ReadonlySet<string>
  /** How long a quota, or the start of a subject's own periods, matters after it was last used: the longest of all plans. */
  readonly recordedMs: number
  readonly #byName = new Map<string, Program | null>()

  constructor(sets: readonly PlanSet[], isSingle: boolean) {
    if (sets.length === 0) throw invalidDefinition('planSets', 'there is none; give at least one plan set')
    const twice = sets.find(({ name }, i) => sets.findIndex((other) => other.name === name) < i)
    if (twice) throw invalidDefinition('planSets', `${show(twice.name)} is used twice; give each plan set a name of its own`)
    this.programs = sets.flatMap((set) => compileSet(set, isSingle))
    keepShared(this.programs)
    this.meters = new Set(this.programs.flatMap(({ vocabulary }) => [...vocabulary.meters]))
    this.recordedMs = Math.max(0, ...this.programs.flatMap(({ limits, anchorRetainMs }) => [anchorRetainMs, ...limits.filter(({ kind }) => kind === 'quota').map(({ retainMs }) => retainMs)]))
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

function compileSet({ name: set, plans: unchecked, operations: declared, defaultOperation }: PlanSet, isSingle: boolean): Program[] {
  const plans = validatePlans(unchecked)
  const operations = validateOperations(declared, plans)
  if (defaultOperation !== undefined && operations && !Object.hasOwn(operations, defaultOperation)) {
    throw invalidDefinition('defaultOperation', `${show(defaultOperation)} is not declared; ${suggest(defaultOperation, Object.keys(operations))}`)
  }
  const vocabulary = vocabularyOf(plans, operations, defaultOperation)
  return Object.entries(plans).map(([name, plan]) => compilePlan(isSingle ? name : `${set}/${name}`, set, name, plan, vocabulary))
}

/** What was counted under one plan is asked about under another: a cell is kept as long as the slowest of them needs. */
function keepShared(programs: readonly Program[]): void {
  const limits = programs.flatMap((program) => program.limits)
  const longestMs = new Map<number, number>()
  for (const { charge, retainMs } of limits) longestMs.set(charge.slot, Math.max(retainMs, longestMs.get(charge.slot) ?? 0))
  for (const limit of limits) limit.retainMs = limit.charge.retainMs = longestMs.get(limit.charge.slot)!
}

function vocabularyOf(plans: Plans, operations: Operations | undefined, defaultOperation: string | undefined): Vocabulary {
  const limits = Object.values(plans).flatMap((plan) => Object.values(plan.limits))
  const dimensions = new Set<string>()
  const meters = new Set(['requests'])
  for (const limit of limits) {
    for (const name of [...(limit.per ?? []), ...Object.keys(limit.match ?? {}), ...('allow' in limit ? Object.keys(limit.allow) : [])]) dimensions.add(name)
    if ('meter' in limit && limit.meter) meters.add(limit.meter)
  }
  dimensions.delete('operation')
  // So that limits can count what operations cost, and commits say what they really did.
  if (Object.values(operations ?? {}).some(({ credits = 0 }) => credits > 0) || Object.values(plans).some(({ credits }) => credits)) meters.add('credits')
  return {
    operations: operations ? new Set(Object.keys(operations)) : null,
    defaultOperation,
    limits: new Set(Object.values(plans).flatMap((plan) => Object.keys(plan.limits))),
    dimensions,
    meters,
    costs: new Map(Object.entries(operations ?? {}).map(([name, { credits = 0 }]) => [name, credits])),
  }
}
