/** Starts the server from the settings, and ends it on signals. Before that, cli.ts handles signals. */
import closeWithGrace from 'close-with-grace'
import type { FastifyBaseLogger } from 'fastify'
import { type App, buildApp } from './app.ts'
import type { Config } from './config/config.ts'
import { fitConnections } from './config/fit-connections.ts'
import { DEFAULT_HOSTS, LOOPBACK, ownName, withOwnName, type Host } from './config/hosts.ts'
import { cannotStart } from './config/start-error.ts'
import { adoptZone } from './config/zone.ts'
import type { Logger } from './log/logger.ts'
import type { Endpoint } from './traffic/endpoint.ts'
import { descriptorLimit, openDescriptors } from './traffic/resources.ts'
import { hasIPv6, interfaceAddresses, isWildcard } from './wire/addresses.ts'

/** A generous guess at the descriptors of a new process, for systems that do not report them. */
const UNKNOWN_DESCRIPTORS = 32

/** Starts everything. Throws a StartError after closing every port. */
export async function start (config: Config, logger: FastifyBaseLogger): Promise<App> {
  const [hosts, zoneProblem] = await Promise.all([usableHosts(config, logger), adoptZone()])
  if (zoneProblem) logger.warn(zoneProblem)
  const { config: fitted, lowered } = fitConnections({ ...config, hosts }, descriptorLimit(), openDescriptors() ?? UNKNOWN_DESCRIPTORS, addressesOf(hosts))
  if (Object.keys(lowered).length > 0) logger.warn({ ...lowered, descriptors: descriptorLimit() }, 'connection limits lowered to what the file descriptors allow. Allow more with ulimit -n')
  if (config.isBench) logger.warn('PROFILE=bench: every limit is raised, for measurements. Do not let strangers reach this server')
  if (config.ignored.length > 0) logger.warn({ ignored: config.ignored }, 'ignored settings that Kubernetes made for a Service of that name. Set enableServiceLinks: false')
  const app = await buildApp(fitted, logger)
  await app.ready()
  const problems = app.endpoints.filter(({ transport, location }) => transport !== 'websocket' && location.isFatal).map(describe)
  if (problems.length === 0 && !app.endpoints.some(({ state }) => state === 'open')) {
    problems.push('there is nothing to serve: every service is off, or its port is in use. Is oneloop running already?')
  }
  if (problems.length > 0) {
    await app.close()
    throw cannotStart([...new Set(problems)])
  }
  return app
}

/** Logs a line for each port; a terminal gets a table instead. */
export function logPorts (endpoints: readonly Endpoint[], logger: FastifyBaseLogger): void {
  for (const { state, transport, location: { origin } } of endpoints) {
    if (state !== 'busy' || transport === 'websocket') continue
    logger.warn(`${transport} port ${origin.port} is in use by another program: skipped, and tried again every few seconds. Set ${origin.variable} to choose another`)
  }
  for (const { name, transport, addresses, port, state, path } of endpoints) {
    if (state === 'open') logger.info({ service: name, transport, addresses, port, path }, 'listening')
  }
}

/**
 * Events that close-with-grace must not handle. 'beforeExit' would turn the exit code of a failed start into 0. The signals are
 * faults of the process itself: a handler in JavaScript would return to the fault, and the process would take the same signal
 * for ever, as happens on Node.js 20 when its terminal has gone.
 */
const NOT_GRACEFUL = ['beforeExit', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const

/**
 * Starts everything and runs until SIGTERM or SIGINT; a second signal exits at once, with 1.
 * @param takeOver removes the earlier signal handlers.
 */
export async function serve (config: Config, logger: Logger, takeOver = () => {}): Promise<App> {
  const starting = start(config, logger)
  const options = { delay: config.drainMs, logger, skip: [...NOT_GRACEFUL] }
  // Installed before the start is over: a container's first process ignores signals that have no handler.
  closeWithGrace(options, async ({ err, signal }) => {
    if (err) logger.fatal({ err }, 'uncaught error: exiting')
    else logger.info({ signal }, 'draining')
    const app = await starting.catch(() => undefined)
    await app?.close()
    logger.info('stopped')
    await logger.flush()
  })
  takeOver()
  const app = await starting
  followParent()
  return app
}

const PARENT_CHECK_MS = 500

/**
 * npm sends its SIGTERM to the shell that runs this process. The shell dies without passing it on, and the ports would stay
 * taken. So under npm, the loss of the parent counts as a SIGTERM.
 */
function followParent (): void {
  if (!['start', 'npx'].includes(process.env.npm_lifecycle_event ?? '')) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, PARENT_CHECK_MS).unref()
}

/** Most addresses a service listens on: for a wildcard, UDP has a socket for each address of each interface. */
function addressesOf (hosts: readonly Host[]): number {
  return hosts.reduce((sum, { address }) => sum + (isWildcard(address) ? interfaceAddresses(address, LOOPBACK).length : 1), 0)
}

/** Adds this machine's own name if nobody set HOST; replaces `::` by 0.0.0.0 on a machine without IPv6. */
async function usableHosts ({ hosts }: Config, logger: FastifyBaseLogger): Promise<readonly Host[]> {
  if (hosts === DEFAULT_HOSTS) return withOwnName(hosts, await ownName())
  if (hosts.some(({ address }) => address === '::') && !await hasIPv6()) {
    logger.warn({ wanted: '::', host: '0.0.0.0' }, 'this machine has no IPv6: listening on IPv4 only')
    return [{ address: '0.0.0.0', isOptional: false }]
  }
  return hosts
}

const CAUSES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program. Choose another port, 0 for a free one, or off',
  EACCES: 'is not permitted to this user. Choose a port above 1023'
}

function describe ({ transport, address, location: { origin, error } }: Endpoint): string {
  // The same for every port, so that the message appears only once.
  if (error?.code === 'EADDRNOTAVAIL') return `HOST=${error.address}: this machine does not have that address. Set HOST to one that it has`
  const kind = transport === 'udp' ? 'udp' : 'tcp'
  return `${origin.variable}=${origin.port}: ${kind} port ${origin.port} on ${error?.address ?? address} ${CAUSES[error?.code ?? ''] ?? error?.message}`
}
