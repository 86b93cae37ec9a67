/** Formats addresses and ports, and parses them from the command line. */
import { isIPv6 } from 'node:net'

/** `127.0.0.1:9999`, `[::1]:9999`. */
export function formatAddress (address: string, port: number): string {
  // Not isIPv6(): it is too slow for every connection.
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** `::ffff:127.0.0.1` → `127.0.0.1`: a dual-stack socket maps IPv4 peers. */
export function unmapped (address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/**
 * What the limits count as one address: an IPv4 address, or the first four groups of an IPv6 address. They are its /64, which
 * one subscriber is given (RFC 6177).
 */
export function network (address: string): string {
  if (!address.includes(':')) return address
  const [before = '', after] = address.split('::')
  const groups = before === '' ? [] : before.split(':')
  if (after !== undefined) {
    const rest = after === '' ? [] : after.split(':')
    while (groups.length + rest.length < 8) groups.push('0')
    groups.push(...rest)
  }
  return groups.slice(0, 4).join(':')
}

/** `fe80::1%eth0` → `fe80::1`: the zone means nothing to the other end (RFC 6874, section 2). */
export const withoutZone = (address: string): string => address.split('%', 1)[0] ?? address

export const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

/** The address at which a client on this machine reaches a server bound to `address`: a wildcard becomes loopback. */
export function reachable (address: string): string {
  if (address === '0.0.0.0' || address === '::') return '127.0.0.1'
  return address
}

export interface Target {
  readonly host: string
  readonly port: number
}

/**
 * Reads `HOST`, `HOST:PORT`, `:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address.
 * Throws a RangeError that names the valid forms.
 */
export function parseTarget (text: string, defaults: Target): Target {
  if (isIPv6(text)) return { host: text, port: defaults.port }
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s/]*))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? (match?.[2] || defaults.host)
  const port = match?.[3] === undefined ? defaults.port : Number(match[3])
  if (!match || text === '' || (match[1] !== undefined && !isIPv6(match[1])) || port < 1 || port > 65535) {
    throw new RangeError(`'${text}' is not an address: write HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535`)
  }
  return { host, port }
}
