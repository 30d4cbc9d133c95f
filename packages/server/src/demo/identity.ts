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
  /** Full name: `virtual-worlds/free`. */
  readonly plan: string
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
      'X-Demo-Plan': z.enum(names as [string, ...string[]]).optional().openapi({ description: `Default '${defaultPlan}'.` }),
      'X-Demo-Role': z.enum(['admin']).optional(),
    }),
    identify(c) {
      const user = userOf(c)
      const plan = c.req.header('X-Demo-Plan') ?? defaultPlan
      if (!names.includes(plan)) throw new TollgateError('UNKNOWN_PLAN', `X-Demo-Plan: ${show(plan)} is not a plan of '${planSet.name}'; use ${names.join(', ')}`, { field: 'X-Demo-Plan' })
      const isAdmin = c.req.header('X-Demo-Role') === 'admin'
      if (user !== undefined) return { tenant: tenant(), owner: user, user, plan: `${planSet.name}/${plan}`, isAdmin }
      if (anonymousPlan === undefined) throw new TollgateError('UNAUTHENTICATED', 'X-Demo-User: say who you are', { field: 'X-Demo-User' })
      return { tenant: tenant(), owner: addressOf(c), user, plan: `${planSet.name}/${anonymousPlan}`, isAdmin: false }
    },
  }
}

/** The name under which a visitor is counted. */
export function nameOf({ user, owner }: DemoIdentity): string {
  return user ?? owner
}

/** The plan a visitor says they have becomes the stored one, so that `/v1` sees what the demo sees. */
export async function storePlan({ tollgate }: Tenant, subject: string, plan: string): Promise<void> {
  const record = await tollgate.subject(subject)
  if (record?.plan !== plan) await tollgate.setPlan(subject, plan)
}

function userOf(c: Context<Env>): string | undefined {
  const user = c.req.header('X-Demo-User')
  if (user === undefined) return undefined
  if (user.length < 1 || user.length > MAX_USER) throw new TollgateError('INVALID_REQUEST', `X-Demo-User: use 1 to ${MAX_USER} characters`, { field: 'X-Demo-User' })
  if (user.startsWith(ANONYMOUS)) throw new TollgateError('INVALID_REQUEST', `X-Demo-User: names that begin with '${ANONYMOUS}' are those of anonymous visitors`, { field: 'X-Demo-User' })
  return user
}

function addressOf(c: Context<Env>): string {
  const { incoming } = (c.env as Env['Bindings'] | undefined) ?? {}
  return ANONYMOUS + (ipGroup(clientIp(c.req.raw.headers, incoming?.socket.remoteAddress, { trustedProxies: NO_PROXIES })) ?? 'unknown')
}
