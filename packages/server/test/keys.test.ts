import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ADMIN_KEY, jsonOf, message, startServer, temporaryFolder } from './helpers.ts'

describe('API keys', () => {
  it('are made, listed, rotated and revoked', async () => {
    const { ask } = await startServer()
    const response = await ask('POST', '/v1/keys', { body: { name: 'dashboard', scopes: ['read'] } })
    expect(response.status).toBe(201)
    const { key, ...view } = await jsonOf(response)
    expect(key).toMatch(/^tg_[0-9a-f]{16}_[\w-]{43}$/)
    expect(view).toMatchObject({ name: 'dashboard', namespace: 'default', scopes: ['read'] })
    expect(await jsonOf(ask('GET', '/v1/keys'))).toEqual({ keys: [view] })
    expect((await ask('GET', '/v1/plans', { key })).status).toBe(200)

    const { key: next } = await jsonOf(ask('POST', `/v1/keys/${view.id}/rotate`))
    expect((await ask('GET', '/v1/plans', { key })).status).toBe(401)
    expect((await ask('GET', '/v1/plans', { key: next })).status).toBe(200)

    expect((await ask('DELETE', `/v1/keys/${view.id}`)).status).toBe(204)
    expect((await ask('GET', '/v1/plans', { key: next })).status).toBe(401)
    expect((await ask('DELETE', `/v1/keys/${view.id}`)).status).toBe(404)
  })

  it('do what their scopes say', async () => {
    const { ask } = await startServer()
    const make = async (scope: string) => (await jsonOf(ask('POST', '/v1/keys', { body: { scopes: [scope] } }))).key as string
    const keys = { read: await make('read'), consume: await make('consume'), admin: await make('admin') }
    const asked = async (method: string, path: string, body?: unknown) => {
      const statuses: Record<string, number> = {}
      for (const [scope, key] of Object.entries(keys)) statuses[scope] = (await ask(method, path, { body, key })).status
      return statuses
    }
    const all = { read: 200, consume: 200, admin: 200 }
    expect(await asked('GET', '/v1/plans')).toEqual(all)
    expect(await asked('POST', '/v1/check', message)).toEqual(all)
    expect(await asked('POST', '/v1/explain', message)).toEqual(all)
    expect(await asked('POST', '/v1/consume', message)).toEqual({ ...all, read: 403 })
    expect(await asked('GET', '/v1/subjects/business:1/usage')).toEqual(all)
    expect(await asked('GET', '/v1/rollout')).toEqual(all)
    const admins = { read: 403, consume: 403, admin: 200 }
    expect(await asked('PUT', '/v1/subjects/business:1', { plan: 'TRIAL' })).toEqual(admins)
    expect(await asked('POST', '/v1/subjects/business:1/reset')).toEqual(admins)
    expect(await asked('PUT', '/v1/rollout', { mode: 'enforce', percent: 100 })).toEqual(admins)
    expect(await asked('GET', '/v1/keys')).toEqual(admins)
  })

  it.each([null, 'nope', '', 'tg_0123456789abcdef_' + 'a'.repeat(43), `${ADMIN_KEY} `.repeat(2)])('turn %j away', async (key) => {
    const { ask } = await startServer()
    const response = await ask('GET', '/v1/plans', { key })
    expect(response.status).toBe(401)
    expect(response.headers.get('WWW-Authenticate')).toBe('Bearer realm="tollgate"')
    expect((await jsonOf(response)).code).toBe('UNAUTHENTICATED')
  })

  it('keep namespaces apart', async () => {
    const { ask } = await startServer()
    const { key } = await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['admin'], namespace: 'acme' } }))
    await ask('PUT', '/v1/subjects/business:1', { body: { plan: 'PRO' } })
    const { reservation } = await jsonOf(ask('POST', '/v1/reserve', { body: message }))

    expect((await ask('GET', '/v1/subjects/business:1', { key })).status).toBe(404)
    expect((await jsonOf(ask('POST', '/v1/consume', { body: message, key }))).limits[0].used).toBe(1)
    expect((await ask('POST', `/v1/reservations/${reservation.id}/release`, { key })).status).toBe(404)
    await ask('PUT', '/v1/rollout', { body: { mode: 'off', percent: 100 }, key })
    expect(await jsonOf(ask('GET', '/v1/rollout'))).toEqual({ mode: 'enforce', percent: 100 })
  })

  it('manage the keys of their own namespace only', async () => {
    const { ask } = await startServer()
    const other = await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['admin'], namespace: 'acme' } }))
    const own = await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['read'] } }))
    const { key } = other
    expect((await jsonOf(ask('GET', '/v1/keys', { key }))).keys.map(({ id }: { id: string }) => id)).toEqual([other.id])
    expect((await ask('POST', `/v1/keys/${own.id}/rotate`, { key })).status).toBe(404)
    expect((await ask('DELETE', `/v1/keys/${own.id}`, { key })).status).toBe(404)
    expect((await ask('POST', '/v1/keys', { body: { scopes: ['read'], namespace: 'default' }, key })).status).toBe(403)
    expect((await jsonOf(ask('POST', '/v1/keys', { body: { scopes: ['read'] }, key }))).namespace).toBe('acme')
  })

  it('are at most a thousand', async () => {
    const dataDir = temporaryFolder()
    const keys = Array.from({ length: 999 }, (_, i) => ({ id: `${i}`.padStart(16, '0'), namespace: 'default', name: null, scopes: ['read'], hash: 'h'.repeat(43), createdAt: 0 }))
    writeFileSync(join(dataDir, 'state.json'), JSON.stringify({ version: 1, keys }))
    const { ask } = await startServer({ dataDir })
    expect((await ask('POST', '/v1/keys', { body: { scopes: ['read'] } })).status).toBe(201)
    const response = await ask('POST', '/v1/keys', { body: { scopes: ['read'] } })
    expect(response.status).toBe(422)
    expect((await jsonOf(response)).detail).toContain('1000')
  })
})
