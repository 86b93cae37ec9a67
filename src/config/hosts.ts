/** HOST: a list of addresses to listen on. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { isLoopback } from '../shared/address.ts'

export interface Host {
  readonly address: string
  /** Left out without an error if this machine does not have it. */
  readonly isOptional: boolean
}

export const MAX_HOSTS = 16

/** The addresses that tutorial clients connect to on their own machine; one of them uses 127.0.0.4. */
export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', '127.0.0.4']

export const DEFAULT_HOSTS: readonly Host[] = LOOPBACK.map((address, index) => ({ address, isOptional: index > 0 }))

/** `192.0.2.1,::1` → both; anything else → null. 0.0.0.0 covers all IPv4 addresses, `::` covers all addresses. */
export function parseHosts (text: string): Host[] | null {
  const addresses = [...new Set(text.split(','))]
  if (addresses.length > MAX_HOSTS || !addresses.every((address) => isIP(address) !== 0)) return null
  const covered = (address: string) => address !== '::' &&
    (addresses.includes('::') || (addresses.includes('0.0.0.0') && address !== '0.0.0.0' && isIP(address) === 4))
  return addresses.filter((address) => !covered(address)).map((address) => ({ address, isOptional: false }))
}

/** Longest look-up of the machine's own name: usually a file has it, otherwise a name server is asked. */
const LOOKUP_MS = 500

export interface OwnName {
  readonly name: string
  /** The addresses of the name; empty if it cannot be looked up. */
  readonly addresses: readonly string[]
}

/** Looks up this machine's name: tutorial clients connect to `socket.gethostname()`, which Debian and Ubuntu map to 127.0.1.1. */
export async function ownName (name = hostname()): Promise<OwnName> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never[]>((resolve) => { timer = setTimeout(resolve, LOOKUP_MS, []) })
  const found = await Promise.race([lookup(name, { all: true }).catch(() => []), late])
  clearTimeout(timer)
  return { name, addresses: [...new Set(found.map(({ address }) => address))] }
}

/** Adds the loopback addresses of this machine's own name to the hosts. */
export function withOwnName (hosts: readonly Host[], { addresses }: OwnName): Host[] {
  const own = addresses.filter((address) => isLoopback(address) && !hosts.some((host) => host.address === address))
  return [...hosts, ...own.map((address) => ({ address, isOptional: true }))]
}
