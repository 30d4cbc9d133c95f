/** IP addresses: read strictly, compared as numbers, written in one way only (RFC 5952). */

/** 128 bits as eight groups of 16. IPv4 is held as IPv4-mapped IPv6, so that both spellings of an address are one. */
export type Address = readonly number[]

export interface Network {
  readonly address: Address
  /** How many leading bits count, of 128. */
  readonly prefix: number
}

/** No address is longer than 45 characters; the rest is room for a zone id. */
const MAX_LENGTH = 128

/** The prefix ::ffff:0:0/96, under which IPv4 addresses are IPv6 addresses. */
const IPV4_PREFIX = [0, 0, 0, 0, 0, 0xffff]
const IPV4_PREFIX_BITS = 96

/** Undefined for what is not exactly one address: no octal, no leading zeros, no port. A zone id (`%eth0`) is dropped. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > MAX_LENGTH) return undefined
  return text.includes(':') ? parseIPv6(text) : parseIPv4(text)
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. */
export function parseNetwork(text: string): Network | undefined {
  const [base = '', length, more] = text.split('/', 3)
  const address = parseAddress(base)
  if (address === undefined || more !== undefined) return undefined
  if (length === undefined) return { address, prefix: 128 }
  const bits = parseDecimal(length, base.includes(':') ? 128 : 32)
  if (bits === undefined) return undefined
  const prefix = base.includes(':') ? bits : IPV4_PREFIX_BITS + bits
  return { address: masked(address, prefix), prefix }
}

export function isInside(address: Address, network: Network): boolean {
  return masked(address, network.prefix).every((group, i) => group === network.address[i])
}

/** The address with all but its first `prefix` bits cleared. */
export function masked(address: Address, prefix: number): Address {
  return address.map((group, i) => {
    const kept = Math.min(16, Math.max(0, prefix - 16 * i))
    return group & (0xffff << (16 - kept)) & 0xffff
  })
}

export function isIPv4(address: Address): boolean {
  return IPV4_PREFIX.every((group, i) => group === address[i])
}

/** IPv4 in dots; IPv6 in lower case with its longest run of zeros, the first of several, as `::`. */
export function formatAddress(address: Address): string {
  if (isIPv4(address)) return address.slice(6).flatMap((group) => [group >> 8, group & 0xff]).join('.')
  const hex = (groups: readonly number[]) => groups.map((group) => group.toString(16)).join(':')
  const { start, length } = longestZeros(address)
  if (length < 2) return hex(address)
  return `${hex(address.slice(0, start))}::${hex(address.slice(start + length))}`
}

function longestZeros(address: Address): { start: number; length: number } {
  let longest = { start: 0, length: 0 }
  let length = 0
  address.forEach((group, i) => {
    length = group === 0 ? length + 1 : 0
    if (length > longest.length) longest = { start: i - length + 1, length }
  })
  return longest
}

function parseIPv4(text: string): Address | undefined {
  const groups = ipv4Groups(text)
  return groups && [...IPV4_PREFIX, ...groups]
}

function parseIPv6(text: string): Address | undefined {
  const halves = withoutZone(text).split('::', 3)
  if (halves.length > 2) return undefined
  const [head = '', tail] = halves
  if (tail === undefined) return exactly(8, groupsOf(head, true))
  const left = groupsOf(head, false)
  const right = groupsOf(tail, true)
  if (left === undefined || right === undefined) return undefined
  const zeros = 8 - left.length - right.length
  return zeros < 1 ? undefined : [...left, ...Array<number>(zeros).fill(0), ...right]
}

/** `fe80::1%eth0` without `%eth0`, which only the host itself understands. */
const withoutZone = (text: string) => text.replace(/%[0-9a-z.:-]+$/i, '')

const exactly = (count: number, groups: number[] | undefined) => (groups?.length === count ? groups : undefined)

/** The groups between colons; the last may be an IPv4 address where `mayEndInIPv4`. */
function groupsOf(text: string, mayEndInIPv4: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':', 9)
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else {
      const embedded = mayEndInIPv4 && isLast ? ipv4Groups(part) : undefined
      if (embedded === undefined) return undefined
      groups.push(...embedded)
    }
  }
  return groups
}

function ipv4Groups(text: string): [number, number] | undefined {
  const [a, b, c, d, ...more] = text.split('.', 5).map((octet) => parseDecimal(octet, 255))
  if (a === undefined || b === undefined || c === undefined || d === undefined || more.length > 0) return undefined
  return [(a << 8) | b, (c << 8) | d]
}

/** Digits alone, without leading zeros: `010` is 8 to some parsers and 10 to others. */
function parseDecimal(text: string, max: number): number | undefined {
  if (!/^(?:0|[1-9]\d{0,2})$/.test(text)) return undefined
  const n = Number(text)
  return n <= max ? n : undefined
}
