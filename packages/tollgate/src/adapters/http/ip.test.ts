import * as fc from 'fast-check'
import { isIPv4 as nodeIsIPv4, isIPv6 as nodeIsIPv6 } from 'node:net'
import { describe, expect, it } from 'vitest'
import { formatAddress, isInside, isIPv4, masked, parseAddress, parseNetwork } from './ip.ts'

const canonical = (text: string) => {
  const address = parseAddress(text)
  return address && formatAddress(address)
}

/** The URL standard writes IPv6 as RFC 5952 does, but for IPv4-mapped addresses. */
const asUrlWritesIt = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1)

const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
const groups = fc.array(group, { minLength: 8, maxLength: 8 })
const ipv6Groups = groups.filter((address) => !isIPv4(address))
/** Text that is often nearly an address. */
const nearly = fc.array(fc.constantFrom('0', '1', '9', '10', '255', '256', '01', 'f', 'FFFF', '10000', '.', ':', '::', '%', '/', ' ', '-', '1.2.3.4'), { maxLength: 16 }).map((parts) => parts.join(''))

describe('reading and writing addresses', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:0102:0304', '1.2.3.4'],
    ['0:0:0:0:0:ffff:102:304', '1.2.3.4'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:1.2.3.4%eth0', '1.2.3.4'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('%s is %s', (text, expected) => {
    expect(canonical(text)).toBe(expected)
  })

  it.each([
    '', ' ', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.04', '0x1.2.3.4', '1.2.3.4 ', '1.2.3.-4', '1e1.2.3.4', '١.2.3.4', '1.2.3.4%eth0', '16909060',
    ':', ':::', '1', '1:2', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '1:2:3:4:5:6:7:8::', ':1::', '1:::2', '12345::', 'g::', '::1%', '::1%%', '::1%a%b', '::1.2.3', '1.2.3.4::', '::1.2.3.4:5', '::ffff:01.2.3.4',
    '[::1]', '::1/64', 'unknown', 'localhost', `::1%${'x'.repeat(200)}`, '1'.repeat(1000),
  ])('%j is no address', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  it('accepts what Node accepts, and nothing else', () => {
    const isAddress = (text: string) => (nodeIsIPv4(text) || nodeIsIPv6(text)) && text.length <= 128
    fc.assert(fc.property(fc.oneof(nearly, fc.string(), fc.ipV4(), fc.ipV6()), (text) => {
      expect(parseAddress(text) !== undefined).toBe(isAddress(text))
    }), { numRuns: 5000 })
  })

  it('writes IPv6 as the URL standard does, and reads back what it wrote', () => {
    fc.assert(fc.property(groups, (address) => {
      expect(parseAddress(formatAddress(address))).toEqual(address)
    }))
    fc.assert(fc.property(ipv6Groups, (address) => {
      expect(formatAddress(address)).toBe(asUrlWritesIt(address.map((group) => group.toString(16)).join(':')))
    }))
  })

  it('gives one text to all spellings of an address', () => {
    fc.assert(fc.property(fc.ipV6().filter((text) => !isIPv4(parseAddress(text)!)), (text) => {
      expect(canonical(text)).toBe(asUrlWritesIt(text))
      expect(canonical(text.toUpperCase())).toBe(canonical(text))
    }))
    fc.assert(fc.property(fc.ipV4(), (text) => {
      expect(canonical(text)).toBe(text)
      expect(canonical(`::FFFF:${text}`)).toBe(text)
      expect(canonical(asUrlWritesIt(`::ffff:${text}`))).toBe(text)
    }))
  })
})

describe('networks', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', '11.0.0.0'],
    ['10.1.2.3/8', '10.0.0.0', '9.255.255.255'],
    ['0.0.0.0/0', '255.255.255.255', '::1'],
    ['192.0.2.1', '192.0.2.1', '192.0.2.2'],
    ['192.0.2.1/32', '::ffff:192.0.2.1', '192.0.2.0'],
    ['::ffff:10.0.0.0/104', '10.9.9.9', '11.0.0.0'],
    ['2001:db8::/33', '2001:db8:7fff::1', '2001:db8:8000::1'],
    ['fc00::/7', 'fdff::1', 'fe00::'],
    ['::/1', '7fff::', '8000::'],
  ])('%s holds %s and not %s', (text, inside, outside) => {
    const network = parseNetwork(text)!
    expect(isInside(parseAddress(inside)!, network)).toBe(true)
    expect(isInside(parseAddress(outside)!, network)).toBe(false)
  })

  it.each(['', '/', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8', '::/129', '::/-1', '::/1.5', '10.0.0/8', 'private'])('%j is no network', (text) => {
    expect(parseNetwork(text)).toBeUndefined()
  })

  it('masks bit by bit', () => {
    fc.assert(fc.property(groups, fc.integer({ min: 0, max: 128 }), (address, prefix) => {
      const bits = (all: readonly number[]) => all.map((group) => group.toString(2).padStart(16, '0')).join('')
      expect(bits(masked(address, prefix))).toBe(bits(address).slice(0, prefix).padEnd(128, '0'))
    }))
  })
})
