/** Any other server, by its URLs: it is measured from outside, so without its CPU time and memory. */
import { lookup } from 'node:dns/promises'
import { OptionError } from './load/options.ts'
import type { EndpointName } from './scenarios.ts'
import type { Endpoint, Endpoints, Target } from './targets.ts'

const PROTOCOLS: Readonly<Record<string, { endpoint: EndpointName, port?: number }>> = {
  'http:': { endpoint: 'http', port: 80 },
  'ws:': { endpoint: 'ws', port: 80 },
  'tcp:': { endpoint: 'echo' },
  'udp:': { endpoint: 'udp' }
}

/** Throws an OptionError for a URL that cannot be measured. */
export async function targetAgainst (urls: readonly string[]): Promise<Target> {
  const endpoints: Endpoints = {}
  for (const text of urls) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    const protocol = PROTOCOLS[url?.protocol ?? '']
    const port = Number(url?.port || protocol?.port)
    if (!url || !protocol || !(port > 0)) throw new OptionError(`--against takes http://, ws://, tcp:// or udp:// with a host and a port, not ${text}`)
    let address: string
    try {
      address = (await lookup(url.hostname, { family: 4 })).address
    } catch {
      throw new OptionError(`--against ${text}: there is no IPv4 address of ${url.hostname}`)
    }
    endpoints[protocol.endpoint] = { host: address, port, path: `${url.pathname || '/'}${url.search}` } satisfies Endpoint
  }
  return {
    name: 'against',
    description: urls.join(' '),
    provides: Object.keys(endpoints) as EndpointName[],
    missing: () => undefined,
    version: () => 'unknown',
    start: async () => ({ pid: 0, endpoints, isAlive: () => true, stop: async () => {} })
  }
}
