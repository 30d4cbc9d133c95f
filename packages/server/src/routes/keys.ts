import { json, noContent } from '../http/json.ts'
import * as schemas from '../schemas/administration.ts'
import type { RouteContext } from './context.ts'

/** `/v1/keys`: made, listed, rotated, revoked. */
export function addKeys({ router, needs, keys }: RouteContext): void {
  const path = '/v1/keys'
  const tag = 'Keys'
  const access = needs('admin')
  const params = schemas.keyParams
  router.add({ method: 'get', path, tag, summary: 'The keys that this key manages', access, answers: { 200: { description: 'Without their secrets.', schema: schemas.keys } } }, ({ identity }) =>
    json({ keys: keys.list(identity.caller) }),
  )
  router.add({ method: 'post', path, tag, summary: 'Make a key', access, body: schemas.keyBody, answers: { 201: { description: 'The key; its secret is shown this once.', schema: schemas.keyWithSecret } } }, ({ identity, body }) => {
    const { view, token } = keys.create(identity.caller, body)
    return json({ ...view, key: token }, 201)
  })
  router.add(
    { method: 'post', path: `${path}/{id}/rotate`, tag, summary: 'Give a key a new secret', description: 'The old one stops at once. To change over without a gap, make a second key and revoke the first.', access, params, answers: { 200: { description: 'The key; its secret is shown this once.', schema: schemas.keyWithSecret } } },
    ({ identity, params }) => {
      const { view, token } = keys.rotate(identity.caller, params.id)
      return json({ ...view, key: token })
    },
  )
  router.add({ method: 'delete', path: `${path}/{id}`, tag, summary: 'Revoke a key', access, params, answers: { 204: { description: 'It is worth nothing any more.' } } }, ({ identity, params }) => {
    keys.revoke(identity.caller, params.id)
    return noContent()
  })
}
