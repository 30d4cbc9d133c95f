import { describe, expect, it } from 'vitest'
import { ipOf as ofExpress } from './express.ts'
import { ipOf as ofFastify } from './fastify.ts'
import { type HonoContext, ipOf as ofHono } from './hono.ts'
import { ipOf as ofNext } from './next.ts'

const options = { trustedProxies: ['loopback', 'private'] }
const forwarded = (list: string) => new Request('http://localhost/', { headers: { 'X-Forwarded-For': list } })
const honoContext = (list: string, env: unknown) => ({ req: { raw: forwarded(list) }, env }) as HonoContext

describe('ipOf', () => {
  it.each([ofExpress, ofFastify])('asks the socket, then trusted proxies: %#', (ipOf) => {
    const from = (remoteAddress: string) => ipOf({ headers: { 'x-forwarded-for': '1.1.1.1, 203.0.113.7' }, socket: { remoteAddress } }, options)
    expect([from('::ffff:127.0.0.1'), from('198.51.100.1')]).toEqual(['203.0.113.7', '198.51.100.1'])
  })

  it('knows no client of Hono where there is no socket', () => {
    const from = (remoteAddress: string) => ofHono(honoContext('1.1.1.1, 203.0.113.7', { incoming: { socket: { remoteAddress } } }), options)
    expect([from('10.0.0.1'), from('198.51.100.1')]).toEqual(['203.0.113.7', '198.51.100.1'])
    expect(ofHono(honoContext('203.0.113.7', {}), options)).toBeUndefined()
    expect(ofHono(honoContext('203.0.113.7', undefined), options)).toBeUndefined()
  })

  it('takes the last hop of Next’s header for the peer', () => {
    expect(ofNext(forwarded('203.0.113.7'), options)).toBe('203.0.113.7')
    expect(ofNext(forwarded('1.1.1.1, 203.0.113.7'), options)).toBe('203.0.113.7')
    expect(ofNext(forwarded('1.1.1.1, 203.0.113.7, 10.0.0.1'), options)).toBe('203.0.113.7')
    expect(ofNext(new Request('http://localhost/'), options)).toBeUndefined()
  })
})
