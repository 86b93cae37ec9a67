/** Runs the commands, and turns each error into one line and an exit code. */
import { Command, CommanderError } from 'commander'
import { ClientError } from '../clients/client-error.ts'
import { checkCommand } from './check.ts'
import { jsonLine, UsageError, type Facts } from './input.ts'
import { serveCommand } from './serve.ts'
import { sinkCommand } from './sink.ts'
import { tcpCommands } from './tcp.ts'
import { udpCommand } from './udp.ts'
import { wsCommand } from './ws.ts'
import { ConfigError } from '../config/config-error.ts'
import { StartError } from '../config/start-error.ts'
import { printable } from '../shared/printable.ts'
import { VERSION } from '../shared/version.ts'

/**
 * @param args the arguments as in process.argv: Node.js, the program, then the user's.
 * @param takeOver removes the signal handlers that cli.ts installed.
 */
export async function run (args: readonly string[], takeOver = () => {}): Promise<void> {
  const program = new Command('oneloop')
    .description('HTTP, WebSocket, raw TCP and raw UDP from one process and one event loop, and a client for each.')
    .version(VERSION)
    .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage or settings.')
    .addCommand(serveCommand(takeOver), { isDefault: true })
  for (const command of [...tcpCommands(), sinkCommand(), udpCommand(), wsCommand(), checkCommand()]) program.addCommand(command)
  // Commander's errors are printed below, like all others.
  for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ outputError () {} })
  process.stdout.on('error', onOutputError)
  // There is nobody left to tell.
  process.stderr.on('error', () => {})
  let client: Command | undefined
  program.hook('preAction', (_program, command) => {
    if (command.name() === 'serve') {
      // The server serves on without its output.
      process.stdout.off('error', onOutputError)
      return
    }
    // A signal must not end a client with 0: its work is not done.
    takeOver()
    client = command
  })

  try {
    await program.parseAsync(args)
  } catch (cause) {
    // Commander has shown its help, either on request or because `help` did not know the command.
    if (cause instanceof CommanderError && (cause.exitCode === 0 || cause.code === 'commander.help')) process.exitCode = cause.exitCode === 0 ? 0 : 2
    else fail(cause instanceof CommanderError ? new UsageError(cause.message.replace(/^error: /, '').replace('\n', ' ')) : cause, client, args.includes('--json'))
  } finally {
    // An open standard input would keep the process alive.
    if (client) process.stdin.destroy()
  }
}

function fail (error: unknown, client: Command | undefined, isJson: boolean): void {
  const isFailure = error instanceof ClientError || error instanceof StartError
  if (!isFailure && !(error instanceof UsageError || error instanceof ConfigError)) throw error
  process.exitCode = isFailure && error.code !== 'ERR_URL' ? 1 : 2
  const text = `${error.message}${client ? hint(error.code, client) : ''}`
  const message = text.split('\n').map((line) => printable(line, Infinity)).join('\n')
  if (isJson) process.stdout.write(jsonLine({ ...(error as { facts?: Facts }).facts, code: error.code, message }))
  else console.error(`oneloop: ${message}`)
}

/** A hint for `oneloop echo Hello`, where the single word is taken for the address. */
function hint (code: string, client: Command): string {
  const [word, ...others] = client.args
  const mayBeText = client.registeredArguments.length > 1 && word !== undefined && others.length === 0
  if (!mayBeText || !['ERR_ADDRESS', 'ENOTFOUND', 'EAI_AGAIN'].includes(code)) return ''
  return `. If this is the text to send, write the address before it: oneloop ${client.name()} localhost '${word}'`
}

function onOutputError ({ code, message }: NodeJS.ErrnoException): void {
  // The reader, such as head(1), has read enough.
  if (code === 'EPIPE') process.exit()
  console.error(`oneloop: cannot write the output: ${message}`)
  process.exit(1)
}
