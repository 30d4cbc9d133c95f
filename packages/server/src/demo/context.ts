import type { StateStore } from '../data/state.ts'
import type { Access } from '../http/router.ts'
import type { ChatModel } from '../models/model.ts'
import type { RouteContext } from '../routes/context.ts'
import type { Tenant } from '../tenants.ts'
import type { DemoClock } from './clock.ts'
import type { DemoAudience, DemoIdentity } from './identity.ts'
import type { WorldReplies } from './replies.ts'

/** What the routes of the presets are made of. */
export interface DemoContext extends RouteContext {
  readonly clock: DemoClock
  readonly state: StateStore
  readonly tenant: () => Tenant
  readonly visitors: (audience: DemoAudience) => Access<DemoIdentity>
  readonly model: ChatModel
  /** Asked of the endpoint for businesses, which choose no model. */
  readonly businessModel: string
  readonly worldReplies: WorldReplies
  /** The flag of the business chat: off, no limit is applied and chat works. */
  readonly isBusinessLimited: boolean
  /** Work that goes on after its answer: a server that stops waits for it. */
  readonly inBackground: (work: Promise<unknown>) => void
}
