import type { LimitDefinition, QuotaOptions } from '../../define/limits.ts'
import type { AuditHistory } from './history.ts'
import { metLimits } from './limits.ts'
import { type AuditPeriod, lengthBounds } from './periods.ts'

/**
 * Ends of the periods that subjects count from their own start. Only the store knows that start, so they are taken from
 * what the admitted were told, all of it together; whether they can be true is for the auditor to say.
 */
export class OwnPeriods {
  readonly #ends = new Map<string, { definition: QuotaOptions; ends: number[] }>()
  /** How often a subject was reset: it starts anew then. */
  readonly #starts = new Map<string, number>()

  constructor({ plans, events }: AuditHistory) {
    for (const event of events) {
      if (event.type === 'reset' && event.limit === undefined) this.restart(event.subject)
      if (event.type !== 'decision' || event.admitted !== true || event.action === 'check' || !event.decision) continue
      const { request, plan, decision } = event
      if (!Object.values(plans[plan]!.limits).some(isOwn)) continue
      for (const { key, name, definition } of metLimits(plan, plans[plan]!, request)) {
        if (!isOwn(definition)) continue
        const state = decision.limits.find(({ limit, subject }) => limit === name && (subject ?? decision.subject) === request.subject)
        if (state?.resetAt == null) continue
        const id = this.#id(request.subject, key)
        const known = this.#ends.get(id) ?? { definition, ends: [] }
        this.#ends.set(id, known)
        if (!known.ends.includes(state.resetAt)) known.ends.push(state.resetAt)
      }
    }
    for (const { ends } of this.#ends.values()) ends.sort((a, b) => a - b)
    this.#starts.clear()
  }

  restart(subject: string): void {
    this.#starts.set(subject, (this.#starts.get(subject) ?? 0) + 1)
  }

  /** Changes with every restart. */
  start(subject: string): number {
    return this.#starts.get(subject) ?? 0
  }

  at(subject: string, key: string, at: number): AuditPeriod | undefined {
    const known = this.#ends.get(this.#id(subject, key))
    const next = known?.ends.findIndex((end) => end > at) ?? -1
    if (!known || next < 0) return undefined
    const endAt = known.ends[next]!
    const longestMs = lengthBounds(known.definition)[1]
    // The period before may be one that nobody was told of.
    return { startAt: Math.max(known.ends[next - 1] ?? 0, endAt - longestMs), endAt }
  }

  #id(subject: string, key: string): string {
    return `${subject} ${this.start(subject)} ${key}`
  }
}

export function isOwn(definition: LimitDefinition): definition is Extract<LimitDefinition, { kind: 'quota' }> {
  return definition.kind === 'quota' && definition.anchor === 'subject'
}
