/** What the client commands have in common: where to connect, what to send, and how to show what came back. */
import { isUtf8 } from 'node:buffer'
import { once } from 'node:events'
import { Command, InvalidArgumentError, Option } from 'commander'
import { parseTarget, reachable, type Target } from '../shared/address.ts'
import { loadConfig } from '../config/config.ts'
import { printable } from '../shared/printable.ts'

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {}

export const DEFAULT_TEXT = 'Hello, world'

export interface ClientOptions { readonly timeout: number, readonly json?: true }

/** A command with `[address]`, `--timeout` and `--json`. */
export function clientCommand (name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .argument('[address]', 'HOST, HOST:PORT, :PORT or [IPV6]:PORT')
    .addOption(new Option('--timeout <seconds>', 'longest wait for the server').default(5).argParser(seconds))
    .option('--json', 'print the result as one line of JSON')
}

function seconds (text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && value <= 86_400)) throw new InvalidArgumentError('It must be a number of seconds above 0, at most 86400.')
  return value
}

/** The address given, completed by the settings in the environment: HOST, and the service's first port. */
export function targetOf (address: string | undefined, service: string): Target {
  const config = loadConfig(process.env)
  const port = config.ports[service]?.ports[0] || loadConfig().ports[service]?.ports[0] || 0
  const defaults = { host: reachable(config.hosts[0]?.address ?? ''), port }
  if (address === undefined) return defaults
  try {
    return parseTarget(address, defaults)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** The text of the command line; without one, standard input; on a terminal, a greeting. */
export function inputOf (text: string | undefined): Uint8Array | AsyncIterable<Uint8Array> {
  if (text !== undefined) return Buffer.from(text)
  return process.stdin.isTTY ? Buffer.from(DEFAULT_TEXT) : process.stdin
}

/** As `inputOf`, whole. */
export async function inputBytes (text: string | undefined): Promise<Buffer> {
  const input = inputOf(text)
  if (input instanceof Uint8Array) return Buffer.from(input)
  const chunks: Uint8Array[] = []
  for await (const chunk of input) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** `'Hello, world'`, with control characters escaped; bytes that are no text as `3 bytes: ff fe 00`. */
export function show (bytes: Buffer): string {
  if (isUtf8(bytes)) return `'${printable(bytes.toString(), Infinity)}'`
  return `${bytes.length} bytes: ${hex(bytes)}`
}

/** `ff fe 00`. */
export function hex (bytes: Buffer): string {
  return bytes.toString('hex').replace(/(..)(?!$)/g, '$1 ')
}

/** For `--json`: text where the bytes are UTF-8, else `{ "hex": … }`. */
export function jsonBytes (bytes: Buffer): string | { hex: string } {
  return isUtf8(bytes) ? bytes.toString() : { hex: bytes.toString('hex') }
}

/** Writes to standard output and waits while its reader is slow. */
export async function print (data: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(data)) await once(process.stdout, 'drain')
}
