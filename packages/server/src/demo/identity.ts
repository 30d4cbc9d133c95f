import { z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { type PlanSet, TollgateError } from 'tollgate'
import { clientIp, ipGroup } from 'tollgate/http'
import { show } from '../http/show.ts'
import type { Access, Env, Identity } from '../http/router.ts'
import type { Tenant } from '../tenants.ts'

/** A visitor of a demo route: who they say they are. */
export interface DemoIdentity extends Identity {
  /** As they call themselves; `undefined` for an anonymous visitor. */
  readonly user: string | undefined
  /** The plan they say they have, by full name: `virtual-worlds/free`. */
  readonly saidPlan: string | undefined
  /** Under which they are limited where nothing is said and none of the route's plans is stored. */
  readonly defaultPlan: string
  readonly planSet: string
  readonly isAdmin: boolean
}

/** Whose limits a visitor of this route meets. */
export interface DemoAudience {
  readonly planSet: PlanSet
  readonly defaultPlan: string
  /** Short name of the plan of visitors who do not say who they are; without one they are turned away. */
  readonly anonymousPlan?: string
}

/** Leaves room for `business:` and the like in the 256 characters of a subject. */
const MAX_USER = 200
/** Before the address of an anonymous visitor, so no user may be called so. */
const ANONYMOUS = 'anonymous:'
/** The demo is reached from this machine only: there is no proxy to believe. */
const NO_PROXIES: readonly string[] = []

export function demoAccess(tenant: () => Tenant, { planSet, defaultPlan, anonymousPlan }: DemoAudience): Access<DemoIdentity> {
  const names = Object.keys(planSet.plans)
  return {
    security: [],
    headers: z.object({
      'X-Demo-User': z.string().min(1).max(MAX_USER).optional().openapi({ description: `Who you are. Without it: ${anonymousPlan === undefined ? '401' : `plan '${anonymousPlan}', counted by address`}.` }),
      'X-Demo-Plan': z.enum(names as [string, ...string[]]).optional().openapi({ description: `It becomes the stored plan. Default: the stored one, else '${defaultPlan}'.` }),
      'X-Demo-Role': z.enum(['admin']).optional(),
    }),
    identify(c) {
      const user = userOf(c)
      const plan = c.req.header('X-Demo-Plan')
      if (plan !== undefined && !names.includes(plan)) throw new TollgateError('UNKNOWN_PLAN', `X-Demo-Plan: ${show(plan)} is not a plan of '${planSet.name}'; use ${names.join(', ')}`, { field: 'X-Demo-Plan' })
      const isAdmin = c.req.header('X-Demo-Role') === 'admin'
      const fullName = (name: string) => `${planSet.name}/${name}`
      if (user !== undefined) return { tenant: tenant(), owner: user, user, saidPlan: plan && fullName(plan), defaultPlan: fullName(defaultPlan), planSet: planSet.name, isAdmin }
      if (anonymousPlan === undefined) throw new TollgateError('UNAUTHENTICATED', 'X-Demo-User: say who you are', { field: 'X-Demo-User' })
      return { tenant: tenant(), owner: addressOf(c), user, saidPlan: undefined, defaultPlan: fullName(anonymousPlan), planSet: planSet.name, isAdmin: false }
    },
  }
}

/** The name under which a visitor is counted. */
export function nameOf({ user, owner }: DemoIdentity): string {
  return user ?? owner
}

/** The plan that limits a subject of this route. The one a visitor says they have becomes the stored one: `/v1` sees what the demo sees. */
export async function planFor(identity: DemoIdentity, subject: string): Promise<string> {
  const { tenant, saidPlan } = identity
  if (saidPlan === undefined) return storedPlanOf(identity, subject)
  if ((await tenant.tollgate.subject(subject))?.plan !== saidPlan) await tenant.tollgate.setPlan(subject, saidPlan)
  return saidPlan
}

/** The default is not stored: what an operator stores stays what was stored. */
export async function storedPlanOf({ tenant, planSet, defaultPlan }: DemoIdentity, subject: string): Promise<string> {
  const stored = (await tenant.tollgate.subject(subject))?.plan
  return stored?.startsWith(`${planSet}/`) ? stored : defaultPlan
}

function userOf(c: Context<Env>): string | undefined {
  const header = c.req.header('X-Demo-User')
  if (header === undefined) return undefined
  const user = textOf(header)
  if (user.length < 1 || user.length > MAX_USER) throw new TollgateError('INVALID_REQUEST', `X-Demo-User: use 1 to ${MAX_USER} characters`, { field: 'X-Demo-User' })
  if (user.startsWith(ANONYMOUS)) throw new TollgateError('INVALID_REQUEST', `X-Demo-User: names that begin with '${ANONYMOUS}' are those of anonymous visitors`, { field: 'X-Demo-User' })
  return user
}

/** A header comes as one character per byte. Most clients send UTF-8; `fetch` sends Latin-1, which as UTF-8 makes no sense. */
function textOf(header: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(header, 'latin1'))
  } catch {
    return header
  }
}

function addressOf(c: Context<Env>): string {
  const { incoming } = (c.env as Env['Bindings'] | undefined) ?? {}
  return ANONYMOUS + (ipGroup(clientIp(c.req.raw.headers, incoming?.socket.remoteAddress, { trustedProxies: NO_PROXIES })) ?? 'unknown')
}
