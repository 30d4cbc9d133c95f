import type { MiddlewareHandler } from 'hono'
import { TollgateError } from 'tollgate'
import type { Env } from '../http/router.ts'

/**
 * The demo believes whoever says who they are, so only this machine may talk to it. A page of another site that had its name
 * point here (DNS rebinding) shows by the Host it asks for; one that posts here anyway, by its Origin.
 */
export const localOnly: MiddlewareHandler<Env> = (c, next) => {
  const host = c.req.header('Host') ?? new URL(c.req.url).host
  if (!isLocal(host)) throw new TollgateError('FORBIDDEN', 'Host: the demo answers to localhost, 127.0.0.1 and [::1] only', { field: 'Host' })
  const origin = c.req.header('Origin')
  if (origin !== undefined && !isLocal(origin.replace(/^https?:\/\//, ''))) throw new TollgateError('FORBIDDEN', 'Origin: the demo does not answer to pages of other sites', { field: 'Origin' })
  return next()
}

/** `localhost:4400`, without user, path or a name that only begins so. */
function isLocal(host: string): boolean {
  return /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i.test(host)
}

/** Addresses that only this machine reaches. */
export const isLoopback = (hostname: string) => /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/i.test(hostname)
