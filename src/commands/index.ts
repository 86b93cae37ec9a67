/** Every command, and what an error of each kind becomes: one line and an exit code. */
import { Command, CommanderError } from 'commander'
import { ClientError } from '../clients/client-error.ts'
import { checkCommand } from './check.ts'
import { UsageError } from './input.ts'
import { serveCommand } from './serve.ts'
import { sinkCommand } from './sink.ts'
import { tcpCommands } from './tcp.ts'
import { udpCommand } from './udp.ts'
import { wsCommand } from './ws.ts'
import { ConfigError } from '../config/config-error.ts'
import { StartError } from '../config/start-error.ts'
import { VERSION } from '../shared/version.ts'

/**
 * @param args as Node.js has them: itself, the program, and then what somebody wrote.
 * @param takeOver ends the handling of signals that lasted until here.
 */
export async function run (args: readonly string[], takeOver = () => {}): Promise<void> {
  const program = new Command('oneloop')
    .description('HTTP, WebSocket, raw TCP and raw UDP from one process and one event loop, and a client for each.')
    .version(VERSION)
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage or settings.')
    .addCommand(serveCommand(takeOver), { isDefault: true })
  for (const command of [...tcpCommands(), sinkCommand(), udpCommand(), wsCommand(), checkCommand()]) program.addCommand(command)
  for (const command of [program, ...program.commands]) command.exitOverride()
  // A client that is ended has not done its work.
  program.hook('preAction', (_program, command) => {
    if (command.name() === 'serve') return
    takeOver()
    // Somebody downstream, such as head(1), has read enough.
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit()
    })
  })

  try {
    await program.parseAsync(args)
  } catch (error) {
    // Commander has told its own errors, and shown the help that was asked for.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else if (error instanceof ConfigError || error instanceof UsageError) fail(error, 2)
    else if (error instanceof ClientError || error instanceof StartError) fail(error, 1)
    else throw error
  }
}

function fail (error: Error, exitCode: number): void {
  console.error(`oneloop: ${error.message}`)
  process.exitCode = exitCode
}
