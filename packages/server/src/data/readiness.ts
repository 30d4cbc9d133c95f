import type { Problem } from 'tollgate/redis'

/** What `/readyz` says. Only with `ready` and `degraded` should requests come. */
export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'misconfigured' | 'unavailable' | 'stopping'
  readonly problems: readonly Problem[]
}

/** Without the database nothing is answered; without Redis, limits do what their failure policy says. */
export function readinessOf(isDatabaseAlive: boolean, problems: readonly Problem[]): Readiness {
  const errors = problems.filter(({ level }) => level === 'error')
  const status = !isDatabaseAlive ? 'unavailable' : errors.some(({ check }) => check !== 'reachable') ? 'misconfigured' : errors.length > 0 ? 'degraded' : 'ready'
  return { status, problems }
}
