/** Shared by the client commands: where to connect, what to send, and how to show the answer. */
import { isUtf8 } from 'node:buffer'
import { once } from 'node:events'
import { fstatSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { formatAddress, parseTarget, reachable, type Target } from '../shared/address.ts'
import { ClientError } from '../clients/client-error.ts'
import { loadConfig } from '../config/config.ts'
import { printable } from '../shared/printable.ts'

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  readonly code: string

  constructor (message: string, code = 'ERR_USAGE') {
    super(message)
    this.code = code
  }
}

export const DEFAULT_TEXT = 'Hello, world'
export const TEXT_HELP = `what to send; without it, standard input, or '${DEFAULT_TEXT}' on a terminal`

/** Time without input after which a client says that it waits. */
const NOTICE_MS = 1000

export interface ClientOptions { readonly timeout: number, readonly json?: true }

/**
 * Makes a command with `[address]`, `--timeout` and `--json`. Its help shows the default address and an example.
 * @param example the arguments in that example.
 * @param service the service whose port is the default.
 */
export function clientCommand (name: string, description: string, example: string, service = name): Command {
  return new Command(name)
    .description(description)
    .argument('[address]', 'HOST, HOST:PORT, :PORT or [IPV6]:PORT')
    .addOption(new Option('--timeout <seconds>', 'longest wait for the server').default(5).argParser(seconds))
    .option('--json', 'print the result, or the failure, as JSON on one line')
    .addHelpText('after', () => {
      const { hosts, ports } = loadConfig()
      const { variable = '', ports: [port = 0] = [] } = ports[service] ?? {}
      return `\nDefault address: ${formatAddress(hosts[0]?.address ?? '', port)} (HOST and ${variable} in the environment)\nExample: npx oneloop ${name} ${example}`
    })
}

function seconds (text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && value <= 86_400)) throw new InvalidArgumentError('It must be a number of seconds above 0, at most 86400.')
  return value
}

/** Completes the given address from the environment: HOST, and the service's first port. */
export function targetOf (address: string | undefined, service: string): Target {
  const config = loadConfig(process.env)
  const port = config.ports[service]?.ports[0] || loadConfig().ports[service]?.ports[0] || 0
  const defaults = { host: reachable(config.hosts[0]?.address ?? ''), port }
  if (address === undefined) return defaults
  try {
    return parseTarget(address, defaults)
  } catch (error) {
    throw new UsageError((error as Error).message, 'ERR_ADDRESS')
  }
}

/** The text from the command line; without one, standard input; on a terminal, a greeting. */
export function inputOf (text: string | undefined): Uint8Array | AsyncIterable<Buffer> {
  if (text !== undefined) return Buffer.from(text)
  return process.stdin.isTTY ? Buffer.from(DEFAULT_TEXT) : standardInput()
}

/** Reads all of `inputOf`. Rejects with a ClientError above `maxBytes`; `why` explains the limit. */
export async function inputBytes (text: string | undefined, maxBytes: number, why: string): Promise<Buffer> {
  const input = inputOf(text)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of input instanceof Uint8Array ? [input] : input) {
    size += chunk.length
    if (size > maxBytes) throw new ClientError('ERR_INPUT_TOO_LARGE', `the input is too large: ${why}`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export async function * standardInput (): AsyncGenerator<Buffer> {
  // Node.js treats a folder as empty input.
  if (fstatSync(0).isDirectory()) throw new ClientError('EISDIR', 'cannot read standard input: it is a folder')
  const notice = setTimeout(() => {
    console.error('oneloop: waiting for standard input, which Ctrl-D ends. The text can also follow the address, see --help')
  }, NOTICE_MS)
  try {
    for await (const chunk of process.stdin) {
      clearTimeout(notice)
      yield chunk
    }
  } catch (error) {
    const { code = 'ERR_INPUT', message } = error as NodeJS.ErrnoException
    throw new ClientError(code, `cannot read standard input: ${message}`)
  } finally {
    clearTimeout(notice)
  }
}

export interface Facts { readonly service: string, readonly address: string, readonly port: number, readonly ms: number }

interface Report<T> {
  /** Reads the input; this time does not count as the server's. */
  readonly input?: () => Promise<Buffer>
  /** The conversation. If it resolves to nothing, nothing is printed. */
  readonly run: (input: Buffer, facts: () => Facts) => Promise<T | void>
  readonly say: (got: T) => string
}

/** Runs a client and prints its result: in the words of `say`, or as JSON with the facts. Errors carry the facts too. */
export async function report<T extends object> (service: string, target: Target, { json }: ClientOptions, { input, run, say }: Report<T>): Promise<void> {
  let started = performance.now()
  const facts = () => ({ service, address: target.host, port: target.port, ms: Number((performance.now() - started).toFixed(3)) })
  try {
    const sent = await input?.() ?? Buffer.alloc(0)
    started = performance.now()
    const got = await run(sent, facts)
    if (got) await print(json ? jsonLine({ ...facts(), ...got }) : `${say(got)}\n`)
  } catch (error) {
    throw error instanceof ClientError ? Object.assign(error, { facts: facts() }) : error
  }
}

/** One line of JSON. Bytes become text if they are UTF-8, else `{ "hex": … }`; unsafe characters are escaped. */
export function jsonLine (fields: object): string {
  const entries = Object.entries(fields).map(([key, value]: [string, unknown]) =>
    [key, Buffer.isBuffer(value) ? isUtf8(value) ? value.toString() : { hex: value.toString('hex') } : value])
  return `${printable(JSON.stringify(Object.fromEntries(entries)), Infinity)}\n`
}

/** A server's answer as one printable line. */
export function lineOf (answer: Buffer): string {
  return printable(answer.toString().trimEnd(), Infinity)
}

/** Writes to standard output, and waits for a slow reader. */
export async function print (data: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(data)) await once(process.stdout, 'drain')
}
