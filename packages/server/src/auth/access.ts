import type { Context } from 'hono'
import { TollgateError } from 'tollgate'
import type { Access, Identity } from '../http/router.ts'
import type { Tenant, Tenants } from '../tenants.ts'
import type { Caller, KeyRing, Scope } from './keys.ts'

export interface KeyIdentity extends Identity {
  readonly caller: Caller
}

/** The name of the scheme in the API's description. */
export const KEY_SCHEME = 'apiKey'

/** Whose an `Idempotency-Key` is: of everybody in the namespace, or of the API key that sent it. */
export type ReceiptsOf = 'namespace' | 'caller'

/** Endpoints for whoever has a key with a scope. */
export function keyAccess(keys: KeyRing, tenants: Tenants): (scope: Scope, receiptsOf?: ReceiptsOf) => Access<KeyIdentity> {
  return (scope, receiptsOf = 'namespace') => ({
    // Scopes in the description's own sense are OAuth's; ours are told in words.
    security: [{ [KEY_SCHEME]: [] }],
    identify(c) {
      const caller = callerOf(keys, c)
      if (caller.scopes.has(scope)) return { caller, tenant: tenants.of(caller.namespace), owner: receiptsOf === 'caller' ? caller.id : '' }
      throw new TollgateError('FORBIDDEN', `Authorization: this needs a key with the scope '${scope}'`, { field: 'Authorization' })
    },
  })
}

/** Endpoints for everybody. */
export function openAccess(tenant: () => Tenant): Access<Identity> {
  return { security: [], identify: () => ({ tenant: tenant(), owner: '' }) }
}

function callerOf(keys: KeyRing, c: Context): Caller {
  const [, token] = /^Bearer +(\S+) *$/i.exec(c.req.header('Authorization') ?? '') ?? []
  const caller = token === undefined ? undefined : keys.find(token)
  if (caller) return caller
  const message = token === undefined ? 'Authorization: send an API key as `Authorization: Bearer <key>`' : 'Authorization: the key is not known; it may have been rotated or revoked'
  throw new TollgateError('UNAUTHENTICATED', message, { field: 'Authorization' })
}
