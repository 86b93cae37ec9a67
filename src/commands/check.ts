/** `oneloop check`: asks every service. It is also the container's health check. */
import type { Command } from 'commander'
import type { ClientError } from '../clients/client-error.ts'
import { check, listServices, type Checked, type Listed } from '../clients/check.ts'
import { loadConfig, type Config } from '../config/config.ts'
import { wsEcho } from '../routes/ws-echo.ts'
import { WS_FEED } from '../routes/ws-feed.ts'
import { WS_LOOP } from '../routes/ws-loop.ts'
import { wsTime } from '../routes/ws-time.ts'
import { rawServices } from '../sockets/index.ts'
import { table } from './table.ts'
import type { Target } from '../shared/address.ts'
import { printable } from '../shared/printable.ts'
import { clientCommand, report, targetOf, type ClientOptions } from './input.ts'

export function checkCommand (): Command {
  return clientCommand('check', 'ask every service; exit with 0 if none of them fails, else with 1', '127.0.0.1', 'http')
    .addHelpText('after', `
The address is the server's HTTP address, which lists the services. With
HTTP_PORT=off, the settings in the environment list them. A service that is
off, or was skipped because its default port was in use, does not fail.`)
    .action(async (address: string | undefined, options: ClientOptions) => {
      const config = loadConfig(process.env)
      const timeoutMs = options.timeout * 1000
      const target = targetOf(address, 'http')
      await report('check', target, options, {
        async run () {
          const listed = await listOf(config, address, target, timeoutMs)
          const services = await check(target.host, listed ?? fromSettings(config), KNOWN, { timeoutMs, http: listed && target })
          const ok = services.every(({ result }) => result !== 'failed')
          if (!ok) process.exitCode = 1
          return { ok, services }
        },
        say: ({ services }) => describe(services)
      })
    })
}

const KNOWN = [wsEcho, wsTime(), WS_FEED, WS_LOOP, ...rawServices]

function describe (services: readonly Checked[]): string {
  return table(['service', 'protocol', 'port', 'result', 'round trip'], services.map(({ name, transport, port, result, ms, message }) =>
    [name, transport, String(port ?? '–'), result, message ?? `${ms?.toFixed(1)} ms`].map((cell) => printable(cell))))
}

/** The services that the server lists; undefined if HTTP is off or another program has its default port. */
async function listOf ({ ports: { http } }: Config, address: string | undefined, target: Target, timeoutMs: number): Promise<Listed[] | undefined> {
  if (address === undefined && http?.ports.length === 0) return undefined
  try {
    return await listServices(target, timeoutMs)
  } catch (error) {
    if (address === undefined && http?.isSet === false && (error as ClientError).code === 'ERR_NOT_ONELOOP') return undefined
    throw error
  }
}

/** The services by their settings. HTTP is `busy` here: another program answered at its port. */
function fromSettings ({ ports }: Config): Listed[] {
  return [{ name: 'http', transport: 'http' }, ...rawServices].flatMap(({ name, transport }) => {
    const setting = ports[name]
    return setting?.ports.map((port) => ({ name, transport, port, state: name === 'http' ? 'busy' : 'open', ...(!setting.isSet && { isGuess: true as const }) })) ?? []
  })
}
