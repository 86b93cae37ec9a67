/** `oneloop serve`: the server. */
import { Command, Option } from 'commander'
import { findRunning } from '../clients/running.ts'
import { loadConfig } from '../config/config.ts'
import { ownName } from '../config/hosts.ts'
import { settingHelp, topicOf } from '../config/settings-table.ts'
import { flag, settings } from '../config/settings.ts'
import { StartError } from '../config/start-error.ts'
import { UsageError } from './input.ts'
import { startTable } from './start-table.ts'

/** @param takeOver removes earlier signal handlers once the server has its own. */
export function serveCommand (takeOver: () => void): Command {
  const command = new Command('serve')
    .description('serve every service; this is what oneloop does without a command')
    .addHelpText('after', '\nEach flag has an environment variable: HTTP_PORT for --http-port. A flag wins.')
  for (const [name, setting] of Object.entries(settings)) {
    command.addOption(new Option(`${flag(name)} <value>`, settingHelp(setting)).helpGroup(topicOf(name)))
  }
  return command.allowExcessArguments().action(async (options: Record<string, string>) => {
    // Serving is the default command, so a mistyped command ends up here.
    if (command.args[0] !== undefined) throw new UsageError(`there is no command '${command.args[0]}'. See: oneloop --help`)
    const flags = Object.fromEntries(Object.keys(settings).map((name) => [name, options[camel(name)]]))
    const config = loadConfig(process.env, flags)
    const running = await findRunning(config.hosts.map(({ address }) => address), config.ports.http?.ports ?? [])
    if (running) throw new StartError(`already running at ${running}. A second one needs another HTTP_PORT`)
    // Imported here, so that client commands do not load the server's modules.
    // One after the other: with too few file descriptors Node.js 20 would report the second failure itself, with a stack.
    const { createLogger } = await import('../log/logger.ts')
    const { logPorts, serve } = await import('../server.ts')
    const isTerminal = process.stdout.isTTY === true
    const logger = createLogger(config.logLevel, isTerminal)
    const app = await serve(config, logger, takeOver)
    if (isTerminal) console.log(startTable(app.endpoints, await ownName(), config.lab))
    else logPorts(app.endpoints, logger)
  })
}

/** `DRAIN_MS` → `drainMs`, as commander names the flag's value. */
function camel (name: string): string {
  return name.toLowerCase().replace(/_(\w)/g, (_match, letter: string) => letter.toUpperCase())
}
