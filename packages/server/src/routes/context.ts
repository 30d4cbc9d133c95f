import type { Readiness } from '../data/readiness.ts'
import type { KeyIdentity, ReceiptsOf } from '../auth/access.ts'
import type { KeyRing, Scope } from '../auth/keys.ts'
import type { Access, Identity, Router } from '../http/router.ts'
import type { Log } from '../log/log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Tenants } from '../tenants.ts'
import type { PlanSet } from 'tollgate'
import type { Costs } from 'tollgate/sqlite'

/** What routes are made of. */
export interface RouteContext {
  readonly router: Router
  /** For whoever has a key with this scope. */
  readonly needs: (scope: Scope, receiptsOf?: ReceiptsOf) => Access<KeyIdentity>
  readonly anybody: Access<Identity>
  readonly tenants: Tenants
  readonly keys: KeyRing
  readonly planSets: readonly PlanSet[]
  readonly costs: Costs
  readonly metrics: Metrics
  readonly log: Log
  readonly heartbeatMs: number
  readonly isDemo: boolean
  /** `unavailable` while what everything is kept in does not answer. */
  readonly readiness: () => Promise<Readiness>
}
