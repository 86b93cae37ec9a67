/** The addresses that a wildcard stands for on this machine. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Most addresses that get a UDP socket of their own. */
export const MAX_INTERFACE_ADDRESSES = 64
export const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::'

/** Whether this machine can listen on IPv6 at all. */
export async function hasIPv6 (): Promise<boolean> {
  const probe = createServer().listen({ host: '::', port: 0 })
  try {
    await once(probe, 'listening')
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return false
    throw error
  } finally {
    probe.close()
  }
}

/**
 * The addresses for UDP: all current addresses of the machine's interfaces. A socket bound to the wildcard itself would answer
 * from an address that the system chooses.
 * @param loopback further addresses, which no interface lists.
 */
export function interfaceAddresses (wildcard: string, loopback: readonly string[]): string[] {
  const all = Object.entries(networkInterfaces()).flatMap(([name, list = []]) =>
    list.map(({ address, scopeid }) => scopeid ? `${address}%${name}` : address))
  const wanted = wildcard === '::' ? () => true : (address: string) => !address.includes(':')
  return [...new Set([...loopback, ...all])].filter(wanted).slice(0, MAX_INTERFACE_ADDRESSES)
}
