/** Fits the connection limits into the process's file descriptors. */
import { rawServices } from '../sockets/index.ts'
import type { Config } from './config.ts'
import { cannotStart } from './start-error.ts'

/** The share of the descriptors that connections may take. */
const SHARE = 0.8
/** Descriptors kept for the probe, the log and files. */
const RESERVE = 16

export interface Fitted {
  readonly config: Config
  /** The lowered limits and their new values. */
  readonly lowered: Readonly<Record<string, number>>
}

/**
 * Lowers the connection limits that nobody set, until all connections together fit into 80 % of the descriptors and leave
 * enough for the server itself. Throws a StartError if the limits that somebody set do not fit.
 * @param addresses number of addresses that each port is opened on.
 */
export function fitConnections (config: Config, limit: number, open: number, addresses = config.hosts.length): Fitted {
  const ports = Object.values(config.ports).reduce((sum, { ports }) => sum + ports.length, 0)
  const tcpServices = rawServices.filter(({ name, transport }) => transport === 'tcp' && config.ports[name]?.ports.length).length
  const caps = [
    { name: 'HTTP_MAX_CONNECTIONS', value: config.http.maxConnections, times: 1 },
    { name: 'WS_MAX_CONNECTIONS', value: config.websocket.maxConnections, times: 1 },
    { name: 'TCP_MAX_CONNECTIONS', value: config.tcp.maxConnections, times: tcpServices }
  ]
  const budget = Math.floor(Math.min(limit * SHARE, limit - open - ports * addresses - RESERVE))
  const sum = (list: typeof caps) => list.reduce((total, { value, times }) => total + value * times, 0)
  if (sum(caps) <= budget) return { config, lowered: {} }

  const free = caps.filter(({ name }) => !config.given.has(name))
  const left = budget - (sum(caps) - sum(free))
  const factor = left / sum(free)
  const fitted = free.map((cap) => ({ ...cap, value: Math.floor(cap.value * factor) }))
  if (free.length === 0 || fitted.some(({ value, times }) => value < 1 && times > 0)) {
    throw cannotStart([`${caps.map(({ name, value, times }) => `${name}=${value}${times > 1 ? ` × ${times} services` : ''}`).join(', ')}: ` +
      `this process may have ${limit} file descriptors open, of which ${Math.max(budget, 0)} are for connections. Lower these, or allow more with ulimit -n`])
  }
  const lowered = Object.fromEntries(fitted.map(({ name, value }) => [name, value]))
  const fit = <T extends { readonly maxConnections: number }>(name: string, group: T): T => ({ ...group, maxConnections: lowered[name] ?? group.maxConnections })
  return {
    config: {
      ...config,
      http: fit('HTTP_MAX_CONNECTIONS', config.http),
      websocket: fit('WS_MAX_CONNECTIONS', config.websocket),
      tcp: fit('TCP_MAX_CONNECTIONS', config.tcp)
    },
    lowered
  }
}
