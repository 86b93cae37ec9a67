/** Every command, and what an error of each kind becomes: one line and an exit code. */
import { Command, CommanderError } from 'commander'
import { ClientError } from './clients/client-error.ts'
import { checkCommand } from './commands/check.ts'
import { UsageError } from './commands/input.ts'
import { serveCommand } from './commands/serve.ts'
import { sinkCommand } from './commands/sink.ts'
import { tcpCommands } from './commands/tcp.ts'
import { udpCommand } from './commands/udp.ts'
import { wsCommand } from './commands/ws.ts'
import { ConfigError } from './config.ts'
import { StartError } from './start-error.ts'
import { VERSION } from './version.ts'

/** @param args as Node.js has them: itself, the program, and then what somebody wrote. */
export async function run (args: readonly string[]): Promise<void> {
  const program = new Command('oneloop')
    .description('HTTP, WebSocket, raw TCP and raw UDP from one process and one event loop, and a client for each.')
    .version(VERSION)
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage or settings.')
    .addCommand(serveCommand(), { isDefault: true })
  for (const command of [...tcpCommands(), sinkCommand(), udpCommand(), wsCommand(), checkCommand()]) program.addCommand(command)
  for (const command of [program, ...program.commands]) command.exitOverride()

  // Somebody downstream, such as head(1), has read enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
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
