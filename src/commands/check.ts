/** `oneloop check`: asks every service; the container's health check. */
import type { Command } from 'commander'
import { reachable } from '../shared/address.ts'
import { check, listServices, type Checked, type Listed } from '../clients/check.ts'
import { loadConfig, type Config } from '../config/config.ts'
import { wsEcho } from '../routes/ws-echo.ts'
import { WS_FEED } from '../routes/ws-feed.ts'
import { WS_LOOP } from '../routes/ws-loop.ts'
import { wsTime } from '../routes/ws-time.ts'
import { rawServices } from '../sockets/index.ts'
import { table } from './table.ts'
import { clientCommand, print, targetOf, type ClientOptions } from './input.ts'

export function checkCommand (): Command {
  return clientCommand('check', 'ask every service; exit with 0 if all answer, else with 1')
    .addHelpText('after', '\nThe address is that of HTTP, which names the services. With HTTP_PORT=off the settings in the environment name them.')
    .action(async (address: string | undefined, options: ClientOptions) => {
      const config = loadConfig(process.env)
      const timeoutMs = options.timeout * 1000
      const isWithoutHttp = address === undefined && config.ports.http?.ports.length === 0
      const http = isWithoutHttp ? undefined : targetOf(address, 'http')
      const listed = http ? await listServices(http, timeoutMs) : fromSettings(config)
      const results = await check(http?.host ?? reachable(config.hosts[0]?.address ?? ''), listed, [wsEcho, wsTime(), WS_FEED, WS_LOOP, ...rawServices], { timeoutMs, http })
      const failed = results.some(({ result }) => result === 'failed')
      if (failed) process.exitCode = 1
      if (options.json) return await print(`${JSON.stringify({ ok: !failed, services: results })}\n`)
      await print(`${describe(results)}\n`)
    })
}

function describe (results: readonly Checked[]): string {
  return table(['service', 'protocol', 'port', 'result', 'round trip'], results.map(({ name, transport, port, result, ms, message }) =>
    [name, transport, String(port ?? '–'), result, ms === undefined ? message ?? '' : `${ms.toFixed(1)} ms`]))
}

function fromSettings (config: Config): Listed[] {
  return rawServices.flatMap(({ name, transport }) => (config.ports[name]?.ports ?? []).map((port) => ({ name, transport, port, state: 'open' })))
}
