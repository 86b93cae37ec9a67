/** The clients of the soak: well-behaved, rude and silent ones on every transport. Each rejects if the server breaks a promise. */
import { once } from 'node:events'
import { request, type Agent } from 'node:http'
import { connect as connectSocket, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type WebSocket from 'ws'
import type { Target } from '../src/shared/address.ts'
import { ask, exchange } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'

export type Transport = 'http' | 'websocket' | 'tcp' | 'udp' | 'lab'

export interface Server {
  /** The address of a service. */
  target (service: string): Target
  /** Keeps HTTP connections alive from one client to the next. */
  readonly agent: Agent
}

export interface Client {
  readonly transport: Transport
  readonly name: string
  /** How often the client runs, relative to the others. */
  readonly weight: number
  readonly run: (server: Server) => Promise<void>
}

const KIB = 1024
const timeout = { timeoutMs: 10_000 }
const TCP_SERVICES = ['time', 'echo', 'echo-once', 'greeting', 'exchange', 'sink']
const STYLE = 'GET /assets/style.css HTTP/1.1\r\nHost: oneloop\r\n\r\n'

const between = (low: number, high: number) => low + Math.floor(Math.random() * (high - low))
const oneOf = <T>(list: readonly T[]): T => list[between(0, list.length)] as T
const bytes = (most: number) => Buffer.alloc(between(1, most), `${Math.random()} `)

function expect (isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`a wrong answer: ${what}`)
}

/** A socket whose later errors do not matter. */
async function open (target: Target): Promise<Socket> {
  const socket = connectSocket({ ...target, noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket.on('error', () => {})
}

async function end (socket: Socket): Promise<void> {
  if (socket.closed) return
  const closed = new Promise((resolve) => { socket.once('close', resolve) })
  if (Math.random() < 0.5) socket.resetAndDestroy()
  else socket.destroy()
  await closed
}

/** Sends far more than the buffers hold, reads nothing, and gives up after a while. */
async function neverRead (target: Target, block: string | Buffer, times: number): Promise<void> {
  const socket = await open(target)
  socket.pause()
  for (let i = 0; i < times; i++) socket.write(block)
  await delay(between(50, 500))
  await end(socket)
}

/** Sends a text, and resolves to the answer up to the connection's end. */
async function say (target: Target, text: string): Promise<string> {
  const socket = await open(target)
  let answer = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => { answer += chunk })
  const over = new Promise((resolve) => { socket.once('end', resolve).once('close', resolve) })
  socket.write(text)
  await over
  await end(socket)
  return answer
}

function call (target: Target, method: string, path: string, agent: Agent | false): Promise<{ status: number, body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...target, method, path, agent, headers: { accept: oneOf(['application/json', 'text/html']) } }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { body += chunk }).on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    sent.on('error', reject).setTimeout(timeout.timeoutMs, () => sent.destroy(new Error(`no answer to ${method} ${path}`)))
    sent.end()
  })
}

const ROUTES: readonly (readonly [method: string, path: string, status: number])[] = [
  ['GET', '/', 200], ['GET', '/healthz', 200], ['GET', '/readyz', 200], ['GET', '/api/services', 200], ['HEAD', '/', 200],
  ['GET', '/assets/style.css', 200], ['GET', '/nothing', 404], ['POST', '/', 405], ['GET', '/ws/echo', 426], ['POST', '/api/lab/wait?ms=x', 400]
]

async function visit (target: Target, agent: Agent | false): Promise<void> {
  const [method, path, status] = oneOf(ROUTES)
  const got = await call(target, method, path, agent)
  expect(got.status === status, `${method} ${path} gave ${got.status}`)
}

const NONSENSE: readonly (readonly [text: string, answer: RegExp])[] = [
  ['what?\r\n\r\n', /^HTTP\/1\.1 400 /],
  ['GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', /^HTTP\/1\.1 400 /],
  [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ['POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99999999\r\n\r\n', /^HTTP\/1\.1 413 /]
]

/** Connects; `next` returns the messages in order. */
async function webSocket (server: Server, path: string): Promise<{ socket: WebSocket, next: () => Promise<Buffer> }> {
  const queue: Buffer[] = []
  let heard = () => {}
  const socket = await connectWebSocket({ ...server.target('http'), path }, { ...timeout, onMessage: ({ data }) => { queue.push(data); heard() } })
  async function next (): Promise<Buffer> {
    while (queue.length === 0) {
      if (socket.readyState === socket.CLOSED) throw new Error(`${path} closed before it answered`)
      await new Promise<void>((resolve) => { heard = resolve; socket.once('close', resolve) })
    }
    return queue.shift() as Buffer
  }
  return { socket, next }
}

const rawSocket = (socket: WebSocket) => (socket as unknown as { _socket: Socket })._socket

async function leave (socket: WebSocket): Promise<void> {
  const closed = once(socket, 'close')
  const way = Math.random()
  if (way < 0.6) {
    socket.close(1000)
    const [code] = await closed
    expect(code === 1000, `a close frame with 1000 was answered with ${code}`)
    return
  }
  if (way < 0.8) socket.terminate()
  else rawSocket(socket).resetAndDestroy()
  await closed
}

async function watch (server: Server, path: string, first: RegExp): Promise<void> {
  const { socket, next } = await webSocket(server, path)
  expect(first.test(String(await next())), `the first message of ${path}`)
  if (path === '/ws/feed') socket.send(JSON.stringify(oneOf([{ transports: ['tcp'] }, { service: 'echo' }, { follow: 1 }, {}])))
  await delay(between(0, 1500))
  await leave(socket)
}

const RESET_STEPS: readonly ((socket: Socket) => unknown)[] = [
  () => {},
  (socket) => socket.write('Hello'),
  // Waits for the FIN: after an RST during it, Node.js would never close the socket.
  (socket) => new Promise<void>((resolve) => { socket.end('Hello', () => resolve()) }),
  () => delay(between(1, 20)),
  async (socket) => { socket.write('Hello'); await delay(between(1, 20)) }
]

export const clients: readonly Client[] = [
  { transport: 'http', name: 'keep-alive', weight: 200, run: ({ target, agent }) => visit(target('http'), agent) },
  { transport: 'http', name: 'close', weight: 100, run: ({ target }) => visit(target('http'), false) },
  {
    transport: 'http',
    name: 'bad request',
    weight: 40,
    async run ({ target }) {
      const [text, answer] = oneOf(NONSENSE)
      const got = await say(target('http'), text)
      expect(answer.test(got), `${JSON.stringify(text.slice(0, 40))} gave ${JSON.stringify(got.slice(0, 40))}`)
    }
  },
  {
    transport: 'http',
    name: 'reset in a request or an answer',
    weight: 40,
    async run ({ target }) {
      const socket = await open(target('http'))
      socket.write(oneOf(['GE', 'GET / HTTP/1.1\r\nHost: x', STYLE, STYLE.repeat(20)]))
      await delay(between(0, 10))
      await end(socket)
    }
  },
  {
    transport: 'http',
    name: 'slow request',
    weight: 20,
    async run ({ target }) {
      const socket = await open(target('http'))
      const got = once(socket, 'data')
      for (const part of ['GET /hea', 'lthz HTTP/1.1\r\n', 'Host: oneloop\r', '\nConnection: close\r\n\r\n']) {
        socket.write(part)
        await delay(between(5, 100))
      }
      expect(String((await got)[0]).startsWith('HTTP/1.1 200 '), 'to a request in four parts')
      await end(socket)
    }
  },
  { transport: 'http', name: 'never reads', weight: 5, run: ({ target }) => neverRead(target('http'), STYLE.repeat(100), 4) },
  {
    transport: 'websocket',
    name: 'echo, ping, close',
    weight: 120,
    async run (server) {
      const { socket, next } = await webSocket(server, '/ws/echo')
      for (let i = between(1, 5); i > 0; i--) {
        const message = bytes(oneOf([16, 1000, 64 * KIB]))
        socket.send(message)
        expect((await next()).equals(message), 'of /ws/echo')
      }
      const pong = once(socket, 'pong')
      socket.ping('there?')
      expect(String((await pong)[0]) === 'there?', 'to a ping')
      await leave(socket)
    }
  },
  {
    transport: 'websocket',
    name: 'reset in a frame',
    weight: 30,
    async run (server) {
      const { socket } = await webSocket(server, '/ws/echo')
      rawSocket(socket).write(Buffer.from('81ff0000000000010000', 'hex').subarray(0, between(1, 10)))
      await delay(between(0, 10))
      const closed = once(socket, 'close')
      rawSocket(socket).resetAndDestroy()
      await closed
    }
  },
  {
    transport: 'websocket',
    name: 'broken frame',
    weight: 20,
    async run (server) {
      const { socket } = await webSocket(server, '/ws/echo')
      const closed = once(socket, 'close')
      // A client's frames are masked (RFC 6455, section 5.1).
      rawSocket(socket).write(Buffer.from('810548656c6c6f', 'hex'))
      expect((await closed)[0] === 1002, 'to a frame without a mask')
    }
  },
  {
    transport: 'websocket',
    name: 'never reads',
    weight: 5,
    async run (server) {
      const { socket } = await webSocket(server, '/ws/echo')
      socket.pause()
      for (let i = 0; i < 16; i++) socket.send(Buffer.alloc(256 * KIB))
      await delay(between(50, 500))
      const closed = once(socket, 'close')
      socket.terminate()
      await closed
    }
  },
  { transport: 'websocket', name: 'time', weight: 5, run: (server) => watch(server, '/ws/time', /^\w{3} \w{3} [ \d]\d \d\d:/) },
  { transport: 'websocket', name: 'feed', weight: 5, run: (server) => watch(server, '/ws/feed', /^\{"type":"hello"/) },
  { transport: 'websocket', name: 'loop', weight: 3, run: (server) => watch(server, '/ws/loop', /^\{"type":"hello"/) },
  {
    transport: 'tcp',
    name: 'echo with a half-close',
    weight: 100,
    async run ({ target }) {
      const sent = bytes(oneOf([16, 1000, 64 * KIB, 256 * KIB]))
      expect((await ask(target('echo'), { send: sent, ...timeout })).equals(sent), 'of echo')
    }
  },
  { transport: 'tcp', name: 'time', weight: 60, run: async ({ target }) => expect(/ \d{4}\r\n$/.test(String(await ask(target('time'), timeout))), 'of time') },
  { transport: 'tcp', name: 'greeting', weight: 60, run: async ({ target }) => expect(/^Thank you/.test(String(await ask(target('greeting'), timeout))), 'of greeting') },
  {
    transport: 'tcp',
    name: 'exchange',
    weight: 60,
    run: async ({ target }) => expect(String((await exchange(target('exchange'), Buffer.from('Hello'), timeout)).answer) === 'Received: Hello\r\n', 'of exchange')
  },
  { transport: 'tcp', name: 'echo-once', weight: 60, run: async ({ target }) => expect(String(await ask(target('echo-once'), { send: Buffer.from('Hello'), ...timeout })) === 'Hello', 'of echo-once') },
  {
    transport: 'tcp',
    name: 'sink',
    weight: 60,
    async run ({ target }) {
      const sent = bytes(512 * KIB)
      expect(String(await ask(target('sink'), { send: sent, ...timeout })) === `All Data Received: ${sent.length} bytes\r\n`, 'of sink')
    }
  },
  {
    transport: 'tcp',
    name: 'slow',
    weight: 20,
    async run ({ target }) {
      const send = async function * () { for (const byte of Buffer.from('Hello')) { yield Buffer.of(byte); await delay(between(1, 100)) } }
      expect(String(await ask(target('echo'), { send: send(), ...timeout })) === 'Hello', 'of echo, a byte at a time')
    }
  },
  {
    transport: 'tcp',
    name: 'reset',
    weight: 100,
    async run ({ target }) {
      const socket = await open(target(oneOf(TCP_SERVICES)))
      await oneOf(RESET_STEPS)(socket)
      await end(socket)
    }
  },
  { transport: 'tcp', name: 'never reads', weight: 10, run: ({ target }) => neverRead(target(oneOf(TCP_SERVICES)), Buffer.alloc(256 * KIB), 16) },
  {
    transport: 'udp',
    name: 'echo',
    weight: 100,
    async run ({ target }) {
      const sent = bytes(1472)
      expect((await sendDatagram(target('udp-echo'), sent, timeout))?.equals(sent) === true, 'of udp-echo')
    }
  },
  {
    transport: 'udp',
    name: 'to the listener, and too large',
    weight: 60,
    run: async ({ target }) => { await sendDatagram(target(oneOf(['listener', 'udp-echo'])), bytes(3000), { ...timeout, isAnswered: false }) }
  },
  {
    transport: 'lab',
    name: 'Wait',
    weight: 1,
    async run ({ target }) {
      const { status, body } = await call(target('http'), 'POST', '/api/lab/wait?ms=50', false)
      expect((status === 200 && body.includes('"sentence":"A timer waited for 50 ms')) || status === 429, `of Wait: ${status} ${body}`)
    }
  },
  {
    transport: 'lab',
    name: 'Run it',
    weight: 4,
    async run ({ target }) {
      const started = performance.now()
      const { status, body } = await call(target('http'), 'POST', `/api/lab/run?service=${oneOf([...TCP_SERVICES, 'http', 'ws-echo', 'udp-echo'])}`, false)
      // On a busy machine the run may reach its limit of 3 s.
      const isLate = performance.now() - started > 2900
      expect((status === 200 && (isLate || !body.includes('"error"'))) || status === 429, `of Run it: ${status} ${body}`)
    }
  }
]
