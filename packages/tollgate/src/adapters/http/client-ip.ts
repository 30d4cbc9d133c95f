/** Whose address a request comes from, and which addresses count as one visitor. */
import { invalidDefinition, show } from '../../errors/index.ts'
import { type Address, formatAddress, isInside, isIPv4, masked, type Network, parseAddress, parseNetwork } from './ip.ts'

export interface ClientIpOptions {
  /**
   * Who may say in `X-Forwarded-For` for whom it speaks: addresses, networks such as `10.0.0.0/8`, `loopback`, `private`.
   * Keep the array: it is read once.
   */
  readonly trustedProxies: readonly string[]
}

export interface IpGroupOptions {
  /** How many bits of an IPv6 address make one visitor: 0 … 128. Default 56, what providers hand to one household. */
  readonly ipv6Prefix?: number
}

/** Of Node, with names in lower case, or of the Fetch API. */
export type HeaderSource = Headers | Readonly<Record<string, string | string[] | undefined>>

const NAMED_NETWORKS: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
])

/**
 * The address of the client, in canonical text. `X-Forwarded-For` is believed only as far as trusted proxies wrote it: from
 * the right, the first hop that is not trusted is the client, and what it claims to its left is not read.
 */
export function clientIp(headers: HeaderSource, remoteAddress: string | undefined, options: ClientIpOptions): string | undefined {
  let client = remoteAddress === undefined ? undefined : parseAddress(remoteAddress)
  if (client === undefined) return undefined
  const trusted = networksOf(options.trustedProxies)
  let unread = headerOf(headers, 'x-forwarded-for')
  while (unread !== '' && isTrusted(client, trusted)) {
    const comma = unread.lastIndexOf(',')
    const hop = parseHop(unread.slice(comma + 1).trim())
    // A trusted proxy that does not know its client ('unknown', or junk): the proxy itself is all that is known.
    if (hop === undefined) break
    client = hop
    unread = comma === -1 ? '' : unread.slice(0, comma)
  }
  return formatAddress(client)
}

/** What counts as one visitor: an IPv4 address, or a network of IPv6, whose owner has its addresses for the asking. */
export function ipGroup(address: string | undefined, options: IpGroupOptions = {}): string | undefined {
  const { ipv6Prefix = 56 } = options
  if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 0 || ipv6Prefix > 128) {
    throw invalidDefinition('ipv6Prefix', `${show(ipv6Prefix)} is not a number of bits; use an integer from 0 to 128, such as 56`)
  }
  const parsed = address === undefined ? undefined : parseAddress(address)
  if (parsed === undefined) return undefined
  return isIPv4(parsed) ? formatAddress(parsed) : `${formatAddress(masked(parsed, ipv6Prefix))}/${ipv6Prefix}`
}

/** The subject of a visitor: `ip:203.0.113.7`, `ip:2001:db8:0:ff00::/56`. */
export function ipSubject(address: string | undefined, options: IpGroupOptions = {}): string | undefined {
  const group = ipGroup(address, options)
  return group === undefined ? undefined : `ip:${group}`
}

/** The value of a header; '' where there is none. Several of one name are one list. */
export function headerOf(headers: HeaderSource, name: string): string {
  const value = isHeaders(headers) ? headers.get(name) : headers[name]
  return Array.isArray(value) ? value.join(',') : (value ?? '')
}

function isHeaders(headers: HeaderSource): headers is Headers {
  return typeof (headers as Headers).get === 'function'
}

/** An address as proxies write it: bare, `1.2.3.4:8080`, `[::1]`, `[::1]:8080`. */
function parseHop(text: string): Address | undefined {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)
  if (bracketed) return bracketed[1]!.includes(':') ? parseAddress(bracketed[1]!) : undefined
  const withPort = /^([\d.]+):\d{1,5}$/.exec(text)
  return parseAddress(withPort ? withPort[1]! : text)
}

function isTrusted(address: Address, trusted: readonly Network[]): boolean {
  return trusted.some((network) => isInside(address, network))
}

const parsedNetworks = new WeakMap<readonly string[], readonly Network[]>()

function networksOf(trustedProxies: readonly string[]): readonly Network[] {
  let networks = parsedNetworks.get(trustedProxies)
  if (networks === undefined) {
    networks = trustedProxies.flatMap((text) => NAMED_NETWORKS.get(text) ?? [text]).map(networkOf)
    parsedNetworks.set(trustedProxies, networks)
  }
  return networks
}

function networkOf(text: string): Network {
  const network = parseNetwork(text)
  if (network === undefined) {
    throw invalidDefinition('trustedProxies', `${show(text)} is not an address or a network; use '10.0.0.7', '10.0.0.0/8', '2001:db8::/32', 'loopback' or 'private'`)
  }
  return network
}
