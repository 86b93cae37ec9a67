/** Lines to paste into a terminal to try a service. */
import { isIP, isIPv6 } from 'node:net'
import { formatAddress } from '../shared/address.ts'
import type { Endpoint } from '../traffic/endpoint.ts'

/** TCP services that have a client command. */
const COMMANDS = new Set(['time', 'greeting', 'echo', 'echo-once', 'exchange', 'sink'])
/** Opcodes of RFC 6455. */
const TEXT = 1
const CLOSE = 8

export interface PasteLine {
  readonly tool: 'curl' | 'nc' | 'Python' | 'Node' | 'oneloop'
  readonly line: string
}

/** @param host the name or address at which the reader reaches the server. */
export function pasteLine ({ transport, example, path, port }: Pick<Endpoint, 'transport' | 'example' | 'path' | 'port'>, host: string): string {
  const address = formatAddress(host, port ?? 0)
  const text = quoted(example.send ?? '')
  switch (transport) {
    case 'http': return `curl http://${address}/healthz`
    case 'websocket': return example.send === undefined
      ? `npx oneloop ws ws://${address}${path}`
      : `npx oneloop ws ws://${address}${path} ${text}`
    // nc waits for more input after the server's FIN unless its standard input is closed.
    case 'tcp': return example.send === undefined ? `nc ${host} ${port} </dev/null` : `printf ${text} | nc -N ${host} ${port}`
    case 'udp': return `printf ${text} | nc -u -w 1 ${host} ${port}`
  }
}

/** A client of six lines that prints the answer. It is not indented: the shell ends the here-document only at a bare END. */
export function pythonClient ({ example: { send = '' }, port }: Pick<Endpoint, 'example' | 'port'>, host: string): string {
  return [
    "python3 - <<'END'",
    'import socket',
    `with socket.create_connection(('${host}', ${port})) as s:`,
    `    s.sendall(${pythonBytes(send)})`,
    '    print(s.recv(100))',
    'END'
  ].join('\n')
}

type Pasted = Pick<Endpoint, 'name' | 'transport' | 'example' | 'path' | 'port'>

/**
 * One line for each tool. Each prints the service's answer and ends by itself.
 * @param host a host name or an IP address, as in `pasteLine`.
 */
export function pasteLines (endpoint: Pasted, host: string): PasteLine[] {
  switch (endpoint.transport) {
    case 'http': return httpLines(endpoint, host)
    case 'websocket': return webSocketLines(endpoint, host)
    case 'tcp': return tcpLines(endpoint, host)
    case 'udp': return udpLines(endpoint, host)
  }
}

function httpLines ({ port }: Pasted, host: string): PasteLine[] {
  const address = formatAddress(host, port ?? 0)
  const url = `http://${address}/healthz`
  return [
    { tool: 'curl', line: `curl ${word(url)}` },
    // An HTTP/1.0 server closes after its answer, so nc needs no -N. Some servers take a half-close for a client that has gone.
    { tool: 'nc', line: `printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' | nc ${host} ${port}` },
    python(`import urllib.request; print(urllib.request.urlopen("${url}").read().decode())`),
    node(`fetch("${url}").then((answer) => answer.text()).then(console.log)`),
    oneloop(`check ${word(address)}`)
  ]
}

/** nc and Python do not know WebSocket: their lines spell out the handshake and frames of RFC 6455, and show the raw answer. */
function webSocketLines ({ path, port, example: { send } }: Pasted, host: string): PasteLine[] {
  const address = formatAddress(host, port ?? 0)
  const url = `ws://${address}${path}`
  const handshake = `GET ${path} HTTP/1.1\\r\\nHost: ${address}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n` +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n'
  const head = send === undefined ? [] : frameHead(TEXT, Buffer.byteLength(send))
  // The server answers the close frame after its messages and then closes, so the line ends without a timeout.
  const close = frameHead(CLOSE, 0)
  const frames = send === undefined ? '' : ` b"${hex(head)}" ${pythonBytes(send)}`
  return [
    send === undefined
      ? { tool: 'nc', line: `printf '${handshake}${octal(close)}' | nc ${host} ${port}` }
      : { tool: 'nc', line: `printf '${handshake}${octal(head)}%s${octal(close)}' ${quoted(send)} | nc ${host} ${port}` },
    python(`import socket; s = socket.create_connection(("${host}", ${port})); s.sendall(b"${handshake}"${frames} b"${hex(close)}"); ` +
      'head, frames = s.makefile("rb").read().split(b"\\r\\n\\r\\n", 1); print(head.decode()); print(frames)'),
    node(`const ws = new WebSocket("${url}"); ${send === undefined ? '' : `ws.onopen = () => ws.send(${JSON.stringify(send)}); `}` +
      'ws.onmessage = ({ data }) => { console.log(data); ws.close() }', '--experimental-websocket '),
    oneloop(`ws ${word(url)}${send === undefined ? ' --count 1' : argument(send)}`)
  ]
}

/** Every line half-closes: a service may wait for the client's FIN. */
function tcpLines ({ name, port, example: { send } }: Pasted, host: string): PasteLine[] {
  // Other services use one of these two clients: one only reads, the other also sends.
  const command = COMMANDS.has(name) ? name : send === undefined ? 'greeting' : 'echo'
  return [
    { tool: 'nc', line: send === undefined ? `nc -N ${host} ${port} </dev/null` : `printf %s ${quoted(send)} | nc -N ${host} ${port}` },
    python(`import socket; s = socket.create_connection(("${host}", ${port})); ${send === undefined ? '' : `s.sendall(${pythonBytes(send)}); `}` +
      's.shutdown(socket.SHUT_WR); print(s.makefile().read())'),
    node(`net.connect(${port}, "${host}").end(${send === undefined ? '' : JSON.stringify(send)}).pipe(process.stdout)`),
    oneloop(`${command} ${word(formatAddress(host, port ?? 0))}${argument(send)}`)
  ]
}

/** Names are looked up for IPv4 only: a UDP client cannot tell that nobody listens on the other family. */
function udpLines ({ port, example: { send = '', answer } }: Pasted, host: string): PasteLine[] {
  const family = isIPv6(host) ? 6 : 4
  const python3 = `import socket; s = socket.socket(socket.AF_INET${family === 6 ? 6 : ''}, socket.SOCK_DGRAM); s.sendto(${pythonBytes(send)}, ("${host}", ${port}))`
  const toSend = `s.send(${JSON.stringify(send)}, ${port}, "${host}"`
  return [
    { tool: 'nc', line: `printf %s ${quoted(send)} | nc ${isIP(host) ? '' : '-4 '}-u -w 1 ${host} ${port}` },
    // A datagram may be lost, so the wait needs a timeout.
    python(answer ? `${python3}; s.settimeout(1); print(s.recv(65535).decode())` : python3),
    node(`const s = dgram.createSocket("udp${family}"); ${answer
      ? `s.on("message", (data) => console.log(String(data))); ${toSend}); setTimeout(() => s.close(), 1000)`
      : `${toSend}, () => s.close())`}`),
    oneloop(`udp ${answer ? '' : '--no-answer '}${word(formatAddress(host, port ?? 0))}${argument(send)}`)
  ]
}

const python = (code: string): PasteLine => ({ tool: 'Python', line: `python3 -c ${quoted(code)}` })
/** Node.js 20 has WebSocket behind a flag; later versions accept the flag too. */
const node = (code: string, flags = ''): PasteLine => ({ tool: 'Node', line: `node ${flags}-e ${quoted(code)}` })
const oneloop = (args: string): PasteLine => ({ tool: 'oneloop', line: `npx oneloop ${args}` })

/** Single quotes: within double quotes, an interactive shell interprets `!`, `$`, backquotes and backslashes. */
function quoted (text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** Quotes an IPv6 address or URL: zsh takes brackets for a pattern. */
function word (text: string): string {
  return text.includes('[') ? quoted(text) : text
}

/** A text as an argument of `oneloop`: `--` keeps a leading `-` from making it an option. */
function argument (text: string | undefined): string {
  if (text === undefined) return ''
  return text.startsWith('-') ? ` -- ${quoted(text)}` : ` ${quoted(text)}`
}

function pythonBytes (text: string): string {
  return `b"${Buffer.from(text).toString('latin1').replace(/[^ !#-[\]-~]/g, (char) => hex([char.charCodeAt(0)]))}"`
}

function hex (bytes: readonly number[]): string {
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
}

/** Octal escapes, because printf in dash does not know `\x`. */
function octal (bytes: readonly number[]): string {
  return bytes.map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
}

/** The header of a client's frame (RFC 6455, section 5.2). Its mask is four zeros, which leaves the payload readable. */
function frameHead (opcode: number, length: number): number[] {
  return [0x80 | opcode, ...(length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff]), 0, 0, 0, 0]
}
