/** The table that a terminal shows at the start: what to do next, and a line to try each service. */
import { fileURLToPath } from 'node:url'
import { pasteLine, pythonClient } from '../clients/paste-line.ts'
import type { OwnName } from '../config/hosts.ts'
import { formatAddress, isLoopback, reachable } from '../shared/address.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { columns } from './table.ts'

/** The package's folder; the path is right from src/commands and dist/commands. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '')
/** Services whose answer one recv() returns. */
const TALKED_TO = ['echo', 'echo-once']

/**
 * @param own this machine's name, to which tutorial clients may connect.
 * @param isLab whether the page has the lab's buttons.
 */
export function startTable (endpoints: readonly Endpoint[], own: OwnName, isLab: boolean): string {
  const addresses = endpoints.find(({ state }) => state === 'open')?.addresses ?? []
  const off = new Set(endpoints.filter(({ state }) => state === 'off').map(({ name }) => name))
  const talked = endpoints.find(({ name, state }) => TALKED_TO.includes(name) && state === 'open')
  const paragraphs = [
    `oneloop is running. ${reach(addresses)}`,
    [page(endpoints, isLab), ...(talked ? ['  Talk   paste this into another terminal:'] : [])].join('\n'),
    ...(talked ? [pythonClient(talked, reachable(talked.address))] : []),
    columns(endpoints.filter(({ state }) => state !== 'off').map(row)),
    [...(off.size > 0 ? [`Off: ${[...off].join(', ')}.`] : []), ...ownNameHint(addresses, own), 'Stop it with Ctrl-C.'].join('\n')
  ]
  return `\n${paragraphs.join('\n\n')}\n`
}

function page (endpoints: readonly Endpoint[], isLab: boolean): string {
  const http = endpoints.find(({ transport }) => transport === 'http')
  if (http?.state === 'open') return `  Open   http://${formatAddress(reachable(http.address), http.port ?? 0)}/${isLab ? '   press Block and see who waits' : ''}`
  return `  There is no page: ${http?.state === 'busy' ? `port ${http.port} is in use by another program. Choose another with HTTP_PORT` : 'HTTP_PORT is off'}.`
}

function row (endpoint: Endpoint): string[] {
  const { name, transport, address, port, state, location: { origin: { variable } } } = endpoint
  const line = state === 'busy' ? `in use by another program; tried again every few seconds. Or set ${variable}` : pasteLine(endpoint, reachable(address))
  const where = transport === 'websocket' && state !== 'busy' ? `  in ${process.cwd() === ROOT ? 'this folder' : ROOT}` : ''
  return [name, transport === 'websocket' ? 'ws' : transport, String(port), `${line}${where}`]
}

function reach (addresses: readonly string[]): string {
  if (addresses.every(isLoopback)) return `Only this machine can reach it, at ${addresses.join(', ')}.`
  const all = addresses.includes('::') ? 'every address' : addresses.map((address) => address === '0.0.0.0' ? 'every IPv4 address' : address).join(', ')
  return `It listens on ${all}: other machines can reach it too.`
}

/** For clients that connect to socket.gethostname(). */
function ownNameHint (addresses: readonly string[], { name, addresses: own }: OwnName): string[] {
  if (!addresses.every(isLoopback) || (own.length > 0 && own.every((address) => addresses.includes(address)))) return []
  const elsewhere = own.find((address) => !addresses.includes(address))
  if (elsewhere === undefined) return [`This machine's name, ${name}, cannot be resolved: clients that connect to socket.gethostname() do not reach it.`]
  return [
    `This machine's name, ${name}, resolves to ${elsewhere}. Clients that use socket.gethostname() need`,
    `HOST=${addresses[0]},${elsewhere} npm start${isLoopback(elsewhere) ? '' : '   (other machines can reach it then, too)'}`
  ]
}
