import { json, noContent } from '../http/json.ts'
import * as schemas from '../schemas/administration.ts'
import type { RouteContext } from './context.ts'

/** `/v1/keys`: made, listed, rotated, revoked. */
export function addKeys({ router, needs, keys }: RouteContext): void {
  const path = '/v1/keys'
  const tag = 'Keys'
  // What one admin key was answered is not for another, which may manage other keys.
  const access = needs('admin', 'caller')
  const params = schemas.keyParams
  const once = 'An `Idempotency-Key` here belongs to the key that sends it, and a replay is the same answer without `key`: the secret is not kept. Whoever lost it rotates the key.'
  router.add({ method: 'get', path, tag, summary: 'The keys that this key manages', access, answers: { 200: { description: 'Without their secrets.', schema: schemas.keys } } }, ({ identity }) =>
    json({ keys: keys.list(identity.caller) }),
  )
  router.add(
    { method: 'post', path, tag, summary: 'Make a key', description: once, access, body: schemas.keyBody, secret: 'key', answers: { 201: { description: 'The key; its secret is shown this once.', schema: schemas.keyWithSecret } } },
    async ({ identity, body }) => {
      const { view, token } = await keys.create(identity.caller, body)
      return json({ ...view, key: token }, 201)
    },
  )
  router.add(
    {
      method: 'post',
      path: `${path}/{id}/rotate`,
      tag,
      summary: 'Give a key a new secret',
      description: `The old one stops at once, and its event streams end. To change over without a gap, make a second key and revoke the first. ${once}`,
      access,
      params,
      secret: 'key',
      answers: { 200: { description: 'The key; its secret is shown this once.', schema: schemas.keyWithSecret } },
    },
    async ({ identity, params }) => {
      const { view, token } = await keys.rotate(identity.caller, params.id)
      return json({ ...view, key: token })
    },
  )
  router.add({ method: 'delete', path: `${path}/{id}`, tag, summary: 'Revoke a key', description: 'Its event streams end.', access, params, answers: { 204: { description: 'It is worth nothing any more.' } } }, async ({ identity, params }) => {
    await keys.revoke(identity.caller, params.id)
    return noContent()
  })
}
