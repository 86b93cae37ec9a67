/** What a terminal shows at the start: where the page is, and a line to try each service. */
import { pasteLine } from '../clients/paste-line.ts'
import type { OwnName } from '../config/hosts.ts'
import { formatAddress, isLoopback, reachable } from '../shared/address.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { table } from './table.ts'

/** @param own this machine's name, where tutorial clients may connect to. */
export function startTable (endpoints: readonly Endpoint[], own: OwnName): string {
  const http = endpoints.find(({ transport }) => transport === 'http')
  const page = http?.state === 'open'
    ? `oneloop is running. The page: http://${formatAddress(reachable(http.address), http.port ?? 0)}/`
    : `oneloop is running, without its page: ${http?.state === 'busy' ? `port ${http.port} is in use by another program. Choose another with HTTP_PORT` : 'HTTP_PORT is off'}`
  const rows = endpoints.filter(({ state }) => state !== 'off').map((endpoint) => {
    const { name, transport, address, port, path = '' } = endpoint
    return endpoint.state === 'busy'
      ? [name, transport, String(port), `in use by another program, and tried again; choose another with ${endpoint.location.origin.variable}`]
      : [name, transport, `${formatAddress(address, port ?? 0)}${path}`, pasteLine(endpoint, reachable(address))]
  })
  const addresses = endpoints.find(({ state }) => state === 'open')?.addresses ?? []
  return `\n${page}\n\n${table(['service', 'protocol', 'address', 'try it'], rows)}\n\n${reach(addresses, own)}\nStop it with Ctrl-C.\n`
}

function reach (addresses: readonly string[], { name, addresses: own }: OwnName): string {
  if (!addresses.every(isLoopback)) return `It listens on ${addresses.join(', ')}: other machines reach it too.`
  const only = `Only this machine reaches it, at ${addresses.join(', ')}.`
  const elsewhere = own.find((address) => !addresses.includes(address))
  if (own.length > 0 && own.every((address) => addresses.includes(address))) return only
  if (elsewhere === undefined) return `${only} This machine's name, ${name}, leads nowhere: clients that connect to socket.gethostname() do not reach it.`
  return `${only} This machine's name, ${name}, leads to ${elsewhere}.\n` +
    `For clients that connect to socket.gethostname(), which other machines reach then too: HOST=${addresses[0]},${elsewhere} npm start`
}
