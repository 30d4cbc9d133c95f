import type { LimitKind } from '../../define/limits.ts'

/** What the headers need to know of a plan; `tollgate.plan(id)` gives it, the same object each time. */
export interface PlanView {
  readonly id: string
  /** The limit that `X-RateLimit-*` speaks of. Default: the first quota. */
  readonly headline?: string
  /** In the plan's order. */
  readonly limits: readonly PlanLimit[]
}

export interface PlanLimit {
  readonly name: string
  readonly kind: LimitKind
  /** `Infinity` is unlimited. */
  readonly max: number
  /** `null` where there is no window. */
  readonly windowMs: number | null
  /** What is counted. Default: `requests`. */
  readonly meter?: string
}
