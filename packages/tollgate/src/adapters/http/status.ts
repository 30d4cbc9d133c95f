import type { Decision, Violation } from '../../engine/types.ts'

/** 200 when allowed; else the first present of 403 (not in the plan), 402 (not enough credits), 429 (a limit). */
export function statusOf(decision: Decision): 200 | 402 | 403 | 429 {
  if (decision.allowed) return 200
  let status: 402 | 429 = 429
  for (const violation of decision.violations) {
    const own = statusOfViolation(violation)
    if (own === 403) return 403
    if (own === 402) status = 402
  }
  return status
}

/** The status that one violation asks for. */
export function statusOfViolation(violation: Violation): 402 | 403 | 429 {
  if (violation.kind === 'allowOnly') return 403
  return violation.kind === 'credits' ? 402 : 429
}
