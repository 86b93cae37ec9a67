/** Settings → app → listening → signals. The only file that touches the process's signals. */
import { createServer } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import closeWithGrace from 'close-with-grace'
import type { FastifyBaseLogger } from 'fastify'
import { type App, buildApp } from './app.ts'
import type { Config } from './config.ts'
import { descriptorLimit, fitConnections, openDescriptors } from './descriptors.ts'
import type { Endpoint } from './endpoint.ts'
import { StartError } from './start-error.ts'
import type { Logger } from './logger.ts'
import { listen, close } from './plugins/net-server.ts'

/** Of a process that has just started, where the system does not tell: some more than were seen. */
const UNKNOWN_DESCRIPTORS = 32

/** Starts everything. Throws a StartError, with every endpoint closed again. */
export async function start (config: Config, logger: FastifyBaseLogger): Promise<App> {
  const host = await usableHost(config.host)
  if (host !== config.host) logger.warn({ wanted: config.host, host }, 'this machine has no IPv6: listening on IPv4 only')
  const { config: fitted, lowered } = fitConnections(config, descriptorLimit(), openDescriptors() ?? UNKNOWN_DESCRIPTORS)
  if (Object.keys(lowered).length > 0) logger.warn({ ...lowered, descriptors: descriptorLimit() }, 'connection limits lowered to what the file descriptors allow. Allow more with ulimit -n')
  if (config.isBench) logger.warn('PROFILE=bench: every limit is raised, for a laboratory. Let no stranger reach this server')
  const app = await buildApp({ ...fitted, host }, logger)
  await app.ready()
  const problems = app.endpoints.filter((endpoint) => endpoint.isFatal).map(describe)
  if (problems.length === 0 && !app.endpoints.some(({ state }) => state === 'open')) {
    problems.push('there is nothing to serve: every service is off, or its port is in use. Is oneloop running already?')
  }
  if (problems.length > 0) {
    await app.close()
    throw new StartError(problems)
  }
  for (const { state, transport, origin } of app.endpoints) {
    if (state !== 'busy' || transport === 'websocket') continue
    logger.warn(`${transport} port ${origin.port} is in use by another program: skipped. Set ${origin.variable} to choose another`)
  }
  return app
}

/** A V8 that does not know one of them says so on standard error, and does without. */
export const V8_FLAGS: readonly string[] = [
  // By how much the heap may outgrow what lives in it before V8 collects, in percent. V8 itself lets it double: an idle WebSocket had
  // 6.8 to 8 KB resident then, with 5.2 alive; with this it has 4.9 to 5.6, and opening one costs no more.
  '--heap-growing-percent=30',
  // Else V8 puts what has often lived for long among what is old from the start. How long a connection lives is its client's choice:
  // of each short one half a kilobyte stayed, and what it pointed to, until the whole heap was marked.
  '--no-allocation-site-pretenuring'
]

/** Starts everything and stays until SIGTERM or SIGINT; a second signal exits at once, with 1. */
export async function serve (config: Config, logger: Logger): Promise<App> {
  for (const flag of V8_FLAGS) setFlagsFromString(flag)
  const starting = start(config, logger)
  // An exit before its time must not wait for a reader of the log.
  const giveUp = () => { logger.close() }
  // Not 'beforeExit': it would turn the exit code of a failed start into 0.
  const options = { delay: config.drainMs, logger, onSecondSignal: giveUp, onTimeout: giveUp, skip: ['beforeExit' as const] }
  // While it still starts: a process that is its container's first ignores signals that it has no listener for.
  closeWithGrace(options, async ({ err, signal }) => {
    if (err) logger.fatal({ err }, 'uncaught error: exiting')
    else logger.info({ signal }, 'draining')
    const app = await starting.catch(() => undefined)
    await app?.close()
    logger.info('stopped')
    await logger.flushAndClose()
  })
  const app = await starting
  followParent()
  return app
}

const PARENT_CHECK_MS = 500

/**
 * npm hands its SIGTERM to the shell that it runs us in, and that shell dies of it without telling us: the
 * ports would stay taken. So under npm the loss of the parent counts as a SIGTERM.
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

/** `::`, or 0.0.0.0 on a machine that has no IPv6; any other address as it is. */
async function usableHost (host: string): Promise<string> {
  if (host !== '::') return host
  const probe = createServer()
  try {
    await listen(probe, { host, port: 0 })
    return host
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return '0.0.0.0'
    throw error
  } finally {
    await close(probe)
  }
}

const CAUSES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program. Choose another port, 0 for a free one, or off',
  EACCES: 'is not permitted to this user. Choose a port above 1023',
  EADDRNOTAVAIL: 'cannot be opened: the address is not one of this machine. Set HOST to one that is'
}

function describe ({ origin, transport, address, error }: Endpoint): string {
  const kind = transport === 'udp' ? 'udp' : 'tcp'
  return `${origin.variable}=${origin.port}: ${kind} port ${origin.port} on ${address} ${CAUSES[error?.code ?? ''] ?? error?.message}`
}
