import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clientIp, ipGroup, ipSubject } from './client-ip.ts'

const trusted = { trustedProxies: ['loopback', 'private', '198.51.100.9', '2001:db8:ffff::/48'] }

describe('clientIp', () => {
  it.each<[string | undefined, string, string | undefined]>([
    // Nobody trusted in between: the header is the client's own and is not read.
    ['203.0.113.7', '1.1.1.1', '203.0.113.7'],
    ['127.0.0.1', '', '127.0.0.1'],
    ['127.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['::ffff:127.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['2001:db8:ffff::1', '203.0.113.7', '203.0.113.7'],
    // What stands left of the first stranger is a claim.
    ['127.0.0.1', '1.1.1.1, 203.0.113.7', '203.0.113.7'],
    ['127.0.0.1', '1.1.1.1, 203.0.113.7, 10.0.0.2, 198.51.100.9', '203.0.113.7'],
    ['127.0.0.1', 'junk, 203.0.113.7', '203.0.113.7'],
    ['10.1.1.1', '10.0.0.5, 10.0.0.6', '10.0.0.5'],
    // Ports, brackets and spaces.
    ['127.0.0.1', '203.0.113.7:4711', '203.0.113.7'],
    ['127.0.0.1', '[2001:DB8::1]', '2001:db8::1'],
    ['127.0.0.1', ' [2001:db8::1]:443 ', '2001:db8::1'],
    ['127.0.0.1', '2001:db8::1', '2001:db8::1'],
    ['127.0.0.1', '[::ffff:203.0.113.7]:1', '203.0.113.7'],
    // A trusted proxy that does not say for whom it speaks is the last that is known.
    ['127.0.0.1', 'unknown', '127.0.0.1'],
    ['127.0.0.1', 'unknown, 10.0.0.2', '10.0.0.2'],
    ['127.0.0.1', '203.0.113.7, ', '127.0.0.1'],
    ['127.0.0.1', '[203.0.113.7]', '127.0.0.1'],
    ['127.0.0.1', '203.0.113.7:port', '127.0.0.1'],
    ['127.0.0.1', '_hidden, 203.0.113.999', '127.0.0.1'],
    [undefined, '203.0.113.7', undefined],
    ['', '203.0.113.7', undefined],
    ['/var/run/app.sock', '203.0.113.7', undefined],
  ])('peer %s, forwarded for %j: %s', (peer, forwarded, expected) => {
    expect(clientIp(new Headers({ 'X-Forwarded-For': forwarded }), peer, trusted)).toBe(expected)
    expect(clientIp({ 'x-forwarded-for': forwarded }, peer, trusted)).toBe(expected)
  })

  it('reads repeated headers as one list, and no header as none', () => {
    expect(clientIp({ 'x-forwarded-for': ['1.1.1.1', '203.0.113.7, 10.0.0.1'] }, '127.0.0.1', trusted)).toBe('203.0.113.7')
    expect(clientIp({}, '127.0.0.1', trusted)).toBe('127.0.0.1')
    expect(clientIp(new Headers(), '203.0.113.7', { trustedProxies: [] })).toBe('203.0.113.7')
  })

  it('cannot be moved by what a stranger puts in front', () => {
    fc.assert(fc.property(fc.string(), (spoofed) => {
      expect(clientIp({ 'x-forwarded-for': `${spoofed}, 203.0.113.7` }, '127.0.0.1', trusted)).toBe('203.0.113.7')
      expect(clientIp({ 'x-forwarded-for': spoofed }, '203.0.113.7', trusted)).toBe('203.0.113.7')
    }))
  })

  it.each(['10.0.0.0/33', 'privat', '', 'constructor'])('refuses to trust %j', (proxy) => {
    expect(() => clientIp({}, '127.0.0.1', { trustedProxies: [proxy] })).toThrow(/trustedProxies: '.*' is not an address or a network/)
  })
})

describe('ipGroup', () => {
  it.each<[string | undefined, string | undefined]>([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['2001:db8:0:ffff:1:2:3:4', '2001:db8:0:ff00::/56'],
    ['2001:DB8:0:FFAA::1%eth0', '2001:db8:0:ff00::/56'],
    ['::1', '::/56'],
    ['999.1.1.1', undefined],
    ['unknown', undefined],
    [undefined, undefined],
  ])('%s belongs to %s', (address, expected) => {
    expect(ipGroup(address)).toBe(expected)
    expect(ipSubject(address)).toBe(expected && `ip:${expected}`)
  })

  it('groups by as many bits as asked for', () => {
    const address = '2001:db8:1:2:3:4:5:6'
    expect([0, 32, 48, 64, 128].map((ipv6Prefix) => ipGroup(address, { ipv6Prefix }))).toEqual(['::/0', '2001:db8::/32', '2001:db8:1::/48', '2001:db8:1:2::/64', '2001:db8:1:2:3:4:5:6/128'])
    expect(ipGroup('203.0.113.7', { ipv6Prefix: 0 })).toBe('203.0.113.7')
    expect(() => ipGroup(address, { ipv6Prefix: 129 })).toThrow('ipv6Prefix: 129 is not a number of bits')
  })
})
