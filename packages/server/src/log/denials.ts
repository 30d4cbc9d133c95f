import type { EngineEvents, Violation } from 'tollgate'
import { planSet as worlds, violationLog } from 'tollgate/presets/virtual-worlds'
import type { Log } from './log.ts'

/** The limits of the worlds, in the order in which the product tells of them. */
export const WORLD_LIMITS = ['dailyMessages', 'cooldown', 'spam', 'flood', 'agents'] as const

/** One line per denial. A `check` denies nobody, so it is not told. */
export function logDenial(log: Log, namespace: string, { request, action, decision }: EngineEvents['decision']): void {
  if (action === 'check' || decision.violations.length === 0) return
  const { allowed, subject, plan, violations } = decision
  const { operation, dimensions } = request
  const verb = allowed ? 'would be denied' : 'denied'
  log({
    level: 'info',
    message: `${verb}: ${violations.map(({ limit, code }) => `${limit} (${code})`).join(', ')}`,
    ...worldViolation(subject, plan, dimensions?.world ?? '', violations),
    event: allowed ? 'would-deny' : 'denial',
    namespace,
    subject,
    plan,
    action,
    ...(operation !== undefined && { operation }),
    ...(dimensions && { dimensions }),
    limits: violations.map(({ limit }) => limit),
    codes: violations.map(({ code }) => code),
    retryAfterMs: longestWait(violations),
  })
}

/** Until the same request passes; `null` where waiting does not help. Of a decision that let it pass it would be 0. */
function longestWait(violations: readonly Violation[]): number | null {
  const waits = violations.map(({ retryAfterMs }) => retryAfterMs)
  return waits.includes(null) ? null : Math.max(...(waits as number[]))
}

/** The line that the worlds' log queries look for, and its fields. */
function worldViolation(subject: string, plan: string, worldId: string, violations: readonly Violation[]): object | undefined {
  if (!plan.startsWith(`${worlds.name}/`)) return undefined
  const leading = leadingViolation(violations, WORLD_LIMITS)
  if (!leading) return undefined
  const { line, fields } = violationLog(leading, { userId: subject.replace(/^worlds:/, ''), worldId })
  return { ...fields, message: line }
}

/** Of several violations the one that comes first in `order`. */
export function leadingViolation(violations: readonly Violation[], order: readonly string[]): Violation | undefined {
  for (const name of order) {
    const violation = violations.find(({ limit }) => limit === name)
    if (violation) return violation
  }
  return undefined
}
