/** HOST: a list of addresses to listen on. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { isLoopback } from '../shared/address.ts'

export interface Host {
  readonly address: string
  /** Left out without an error where this machine does not have it. */
  readonly isOptional: boolean
}

export const MAX_HOSTS = 16

/** What tutorial clients connect to on their own machine; 127.0.0.4 is in one of them. */
export const LOOPBACK: readonly string[] = ['127.0.0.1', '::1', '127.0.0.4']

export const DEFAULT_HOSTS: readonly Host[] = LOOPBACK.map((address, index) => ({ address, isOptional: index > 0 }))

/** `192.0.2.1,::1` → both; anything else → null. A wildcard covers the other addresses of its family, `::` all. */
export function parseHosts (text: string): Host[] | null {
  const addresses = [...new Set(text.split(','))]
  if (addresses.length > MAX_HOSTS || !addresses.every((address) => isIP(address) !== 0)) return null
  const covered = (address: string) => address !== '::' &&
    (addresses.includes('::') || (addresses.includes('0.0.0.0') && address !== '0.0.0.0' && isIP(address) === 4))
  return addresses.filter((address) => !covered(address)).map((address) => ({ address, isOptional: false }))
}

/** How long the machine's own name may take: it is looked up in a file where all is well, and else asked of a server. */
const LOOKUP_MS = 500

export interface OwnName {
  readonly name: string
  /** Where the name leads; empty where it cannot be looked up. */
  readonly addresses: readonly string[]
}

/** Debian and Ubuntu map the machine's name to 127.0.1.1, and tutorial clients connect to `socket.gethostname()`. */
export async function ownName (name = hostname()): Promise<OwnName> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never[]>((resolve) => { timer = setTimeout(resolve, LOOKUP_MS, []) })
  const found = await Promise.race([lookup(name, { all: true }).catch(() => []), late])
  clearTimeout(timer)
  return { name, addresses: [...new Set(found.map(({ address }) => address))] }
}

/** The default hosts, with this machine's own name where that leads to loopback. */
export function withOwnName (hosts: readonly Host[], { addresses }: OwnName): Host[] {
  const own = addresses.filter((address) => isLoopback(address) && !hosts.some((host) => host.address === address))
  return [...hosts, ...own.map((address) => ({ address, isOptional: true }))]
}
