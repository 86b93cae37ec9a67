/** `oneloop ws`: a WebSocket client, line by line on a terminal. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { StringDecoder } from 'node:string_decoder'
import { InvalidArgumentError, type Command } from 'commander'
import { connect, converse, type Message, type WebSocketTarget } from '../clients/websocket.ts'
import { ClientError } from '../clients/client-error.ts'
import { loadConfig } from '../config/config.ts'
import { formatBytes } from '../shared/bytes.ts'
import { show } from '../shared/printable.ts'
import { clientCommand, jsonLine, print, report, standardInput, targetOf, UsageError, type ClientOptions } from './input.ts'

type WsOptions = ClientOptions & { path: string, binary?: true, count?: number }

export function wsCommand (): Command {
  return clientCommand('ws', 'talk to a WebSocket; on a terminal, line by line', "127.0.0.1 'Hello, world'", 'http')
    .argument('[text]', 'one message to send; without it, each line of standard input is one')
    .option('--path <path>', 'the path of the service', (path) => path.startsWith('/') ? path : `/${path}`, '/ws/echo')
    .option('--binary', 'send binary messages instead of text')
    .option('--count <messages>', 'close after this many answers', count)
    .addHelpText('after', 'The address may be a URL: npx oneloop ws ws://127.0.0.1/ws/time --count 1')
    .action(async (address: string | undefined, text: string | undefined, options: WsOptions) => {
      const target = webSocketTarget(address, options.path)
      const timeoutMs = options.timeout * 1000
      const encode = (line: string) => options.binary ? Buffer.from(line) : line
      await report('ws', target, options, {
        async run (_input, facts) {
          if (text === undefined && options.count === undefined && process.stdin.isTTY) return await interact(target, timeoutMs, encode)
          await converse(target, {
            timeoutMs,
            send: text !== undefined ? [encode(text)] : process.stdin.isTTY ? [] : encodedLines(encode),
            ...(options.count !== undefined && { count: options.count }),
            onMessage: (message) => print(options.json
              ? jsonLine({ ...facts(), isBinary: message.isBinary, received: message.data })
              : `${describe(message)}\n`)
          })
        },
        say: String
      })
    })
}

/** The lines of standard input, without line ends. Not readline: it would buffer a line of any length. */
async function * encodedLines (encode: (line: string) => Uint8Array | string): AsyncGenerator<Uint8Array | string> {
  const { maxMessageBytes } = loadConfig(process.env).websocket
  const decoder = new StringDecoder()
  let rest = ''
  for await (const chunk of standardInput()) {
    const lines = decoder.write(chunk).split('\n')
    lines[0] = rest + lines[0]
    rest = lines.pop() ?? ''
    for (const line of lines) yield encode(line.replace(/\r$/, ''))
    if (rest.length > maxMessageBytes) throw new ClientError('ERR_INPUT_TOO_LARGE', `a line of the input is too large: a server takes messages of ${formatBytes(maxMessageBytes)} at most (WS_MAX_MESSAGE_BYTES)`)
  }
  rest += decoder.end()
  if (rest !== '') yield encode(rest)
}

function count (text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.')
  return Number(text)
}

/** Reads `ws://HOST:PORT/PATH`, or an address as in every client command, completed by `--path`. */
function webSocketTarget (address: string | undefined, path: string): WebSocketTarget {
  const [, scheme = '', host, rest = ''] = /^(\w+):\/\/([^/?#]*)(.*)$/.exec(address ?? '') ?? []
  if (/^(wss|https)$/i.test(scheme)) throw new UsageError(`'${address}' asks for TLS, which this client does not speak: write ws://`)
  if (scheme !== '' && !/^(ws|http)$/i.test(scheme)) throw new UsageError(`'${address}' is not a WebSocket URL: write ws://`)
  if (host === '') throw new UsageError(`'${address}' names no host: write ws://HOST:PORT/PATH`)
  return { ...targetOf(host ?? address, 'http'), path: rest.startsWith('/') ? rest : `${path}${rest}` }
}

/** Sends each typed line as a message; Ctrl-D and Ctrl-C close with 1000. */
async function interact (target: WebSocketTarget, timeoutMs: number, encode: (line: string) => Uint8Array | string): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' })
  const say = (line: string) => {
    process.stdout.write(`\r\u001b[K${line}\n`)
    terminal.prompt()
  }
  try {
    const socket = await connect(target, { timeoutMs, onMessage: (message) => say(describe(message)) })
    say(`Connected to ${socket.url}. Type a line to send it; Ctrl-C closes.`)
    terminal.on('line', (line) => {
      if (socket.readyState === socket.OPEN) socket.send(encode(line))
      terminal.prompt()
    })
    terminal.once('close', () => socket.close(1000))
    const [code, reason] = await once(socket, 'close') as [number, Buffer]
    process.stdout.write(`\r\u001b[KClosed with ${code}${reason.length > 0 ? ` ${show(reason)}` : ''}.\n`)
  } finally {
    terminal.close()
  }
}

const describe = ({ data, isBinary }: Message): string => `Received ${isBinary ? 'binary ' : ''}${show(data)}`
