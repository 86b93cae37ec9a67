/** File descriptors: how many this process may have, how many it has, and the connection limits that fit into them. */
import { closeSync, openSync, readdirSync } from 'node:fs'
import type { Config } from './config.ts'
import { SOCKETS_PER_PORT } from './plugins/tcp-port.ts'
import { rawServices } from './sockets/index.ts'
import { StartError } from './start-error.ts'

/** Of the limit, what connections may take. */
const SHARE = 0.8
/** For the probe, the log, files that are read. */
const RESERVE = 16

/** The soft limit (RLIMIT_NOFILE, which Node.js raises to the hard one at its start); Infinity where there is none. */
export function descriptorLimit (): number {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  const soft = report.userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Infinity
}

/** How many are open; undefined where the system does not tell. */
export function openDescriptors (): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/** Whether one more can be opened. Node.js does not tell when it closes a connection for want of one. */
export function canOpenOneMore (): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== 'EMFILE' && code !== 'ENFILE'
  }
}

export interface Fitted {
  readonly config: Config
  /** The limits that were lowered, with what they are now. */
  readonly lowered: Readonly<Record<string, number>>
}

/**
 * Lowers the connection limits that nobody set until all connections together fit into 80 % of the descriptors, less what the
 * server needs itself. Throws a StartError where those that somebody set do not fit.
 */
export function fitConnections (config: Config, limit: number, open: number): Fitted {
  const udpServices = new Set(rawServices.filter(({ transport }) => transport === 'udp').map(({ name }) => name))
  const sockets = Object.entries(config.ports).reduce((sum, [name, { ports }]) => sum + ports.length * (udpServices.has(name) ? 1 : SOCKETS_PER_PORT), 0)
  const tcpServices = rawServices.filter(({ name, transport }) => transport === 'tcp' && config.ports[name]?.ports.length).length
  const caps = [
    { name: 'HTTP_MAX_CONNECTIONS', value: config.http.maxConnections, times: 1 },
    { name: 'WS_MAX_CONNECTIONS', value: config.websocket.maxConnections, times: 1 },
    { name: 'TCP_MAX_CONNECTIONS', value: config.tcp.maxConnections, times: tcpServices }
  ]
  const budget = Math.floor(Math.min(limit * SHARE, limit - open - sockets - RESERVE))
  const sum = (list: typeof caps) => list.reduce((total, { value, times }) => total + value * times, 0)
  if (sum(caps) <= budget) return { config, lowered: {} }

  const free = caps.filter(({ name }) => !config.given.has(name))
  const left = budget - (sum(caps) - sum(free))
  const factor = left / sum(free)
  const fitted = free.map((cap) => ({ ...cap, value: Math.floor(cap.value * factor) }))
  if (free.length === 0 || fitted.some(({ value, times }) => value < 1 && times > 0)) {
    throw new StartError([`${caps.map(({ name, value, times }) => `${name}=${value}${times > 1 ? ` × ${times} services` : ''}`).join(', ')}: ` +
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
