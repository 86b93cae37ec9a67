/** Every limit: crossing it gets the client the documented answer, is counted under the limit's name, and does not affect others. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { buildApp } from '../src/app.ts'
import { get } from '../src/clients/http.ts'
import { ask } from '../src/clients/tcp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { loadConfig, type Values } from '../src/config/config.ts'
import { fitConnections } from '../src/config/fit-connections.ts'
import { Gate } from '../src/traffic/gate.ts'
import { Bucket, Rates } from '../src/traffic/rates.ts'
import { isLimit, settings } from '../src/config/settings.ts'
import { rawServices } from '../src/sockets/index.ts'
import { rawSocket } from './clients.ts'
import { LATER } from './corpus-http.ts'
import { connect, FREE_PORTS, handshake, readAll, serverFor, TIMEOUT_MS, until, type TestServer } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }
const GET = 'GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n'

/** A client from another address of this machine, such as 127.0.0.2. */
async function connectFrom (localAddress: string, { host, port }: { host: string, port: number }): Promise<Socket> {
  const socket = connectSocket({ host, port, localAddress })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Sends raw bytes to HTTP. Resolves to everything received before the connection ends. */
async function http ({ target }: TestServer, text: string, from = '127.0.0.1'): Promise<string> {
  const socket = await connectFrom(from, target('http'))
  socket.write(text)
  return String(await readAll(socket))
}

const page = (headers = '') => `GET /api/services HTTP/1.1\r\nHost: oneloop\r\nConnection: close\r\n${headers}\r\n`
const openWebSocket = ({ target }: TestServer, onMessage?: (message: { data: Buffer }) => void) =>
  connectWebSocket({ ...target('http'), path: '/ws/echo' }, { ...options, ...(onMessage && { onMessage }) })

/** Checks that one more client is turned away: its connection is closed without a byte. */
async function isClosedUnanswered (t: Test, server: TestServer, name: string, from = '127.0.0.1'): Promise<void> {
  t.equal((await readAll(await connectFrom(from, server.target(name)))).length, 0, 'one more is closed at once')
}

interface Case {
  /** Sets the limit to a value that a test can cross. */
  readonly settings: Values
  /** Crosses the limit at least once, and checks what the client gets. */
  cross (t: Test, server: TestServer): Promise<unknown>
}

const cases: Readonly<Record<string, Case>> = {
  HTTP_MAX_CONNECTIONS: {
    settings: { HTTP_MAX_CONNECTIONS: '2' },
    async cross (t, server) {
      const holders = [await connect(server.target('http')), await connect(server.target('http'))]
      await until(() => server.endpoint('http').open === 2, 'two are in')
      await isClosedUnanswered(t, server, 'http', '127.0.0.2')
      holders[0]?.destroy()
      await until(() => server.endpoint('http').open === 1, 'one is gone')
      t.match(await http(server, page()), /^HTTP\/1\.1 200/, 'its place is free again')
      holders[1]?.destroy()
    }
  },
  HTTP_MAX_PER_ADDRESS: {
    settings: { HTTP_MAX_PER_ADDRESS: '2' },
    async cross (t, server) {
      const holders = [await connect(server.target('http')), await connect(server.target('http'))]
      await until(() => server.endpoint('http').open === 2, 'two are in')
      await isClosedUnanswered(t, server, 'http')
      t.match(await http(server, page(), '127.0.0.2'), /^HTTP\/1\.1 200/, 'another address is served')
      for (const holder of holders) holder.destroy()
    }
  },
  HTTP_MAX_REQUESTS: {
    settings: { HTTP_MAX_REQUESTS: '2' },
    async cross (t, server) {
      const answers = (await http(server, GET.repeat(2))).split(/(?=HTTP\/1\.1 200 OK)/)
      t.match(answers[0], /^connection: keep-alive/im)
      t.match(answers[1], /^connection: close/im)
    }
  },
  HTTP_MAX_PIPELINED: {
    settings: { HTTP_MAX_PIPELINED: '3', HTTP_RATE: '1000', HTTP_BURST: '1000' },
    async cross (t, server) {
      const answers = await http(server, LATER.repeat(3) + page())
      t.same(answers.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 429'])
      t.match(answers, '"code":"ERR_HTTP_MAX_PIPELINED"')
      t.same((await http(server, LATER.repeat(500))).match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 429'], 'what comes behind it gets nothing')
      t.equal(server.endpoint('http').refused, 2, 'and costs nothing: one request is refused a connection')
      t.equal((await http(server, GET.repeat(20) + page())).match(/HTTP\/1\.1 200/g)?.length, 21, 'requests that are answered at once do not add up')
    }
  },
  HTTP_RATE: {
    settings: { HTTP_RATE: '1', HTTP_BURST: '3' },
    async cross (t, server) {
      const answers = await http(server, GET.replace('/healthz', '/%ff').repeat(2) + GET.replace('/healthz', '/nothing') + page())
      t.match(answers, /^HTTP\/1\.1 400[^]*HTTP\/1\.1 400[^]*HTTP\/1\.1 404[^]*HTTP\/1\.1 429 Too Many Requests\r\n[^]*retry-after: 1\r\n/, 'bad URLs and missing pages count')
      t.match(answers, '"code":"ERR_HTTP_RATE","message":"more than 1 requests a second from one address (HTTP_RATE): try again in 1 s"')
      t.match(await http(server, page(), '127.0.0.2'), /^HTTP\/1\.1 200/, 'another address is served')
      t.equal((await get(server.target('http'), '/healthz', TIMEOUT_MS)).status, 200, 'health checks have a rate of their own')
      await Promise.all([1, 2].map(() => get(server.target('http'), '/readyz', TIMEOUT_MS)))
      t.equal((await get(server.target('http'), '/metrics', TIMEOUT_MS)).status, 429, 'but have one')
    }
  },
  HTTP_MAX_BODY_BYTES: {
    settings: { HTTP_MAX_BODY_BYTES: '10' },
    async cross (t, server) {
      const post = (body: string) => http(server, `POST /nothing HTTP/1.1\r\nHost: oneloop\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      t.match(await post('x'.repeat(10)), /^HTTP\/1\.1 404/)
      t.match(await post('x'.repeat(11)), /^HTTP\/1\.1 413/)
    }
  },
  HTTP_MAX_HEADER_BYTES: {
    settings: { HTTP_MAX_HEADER_BYTES: '2000' },
    async cross (t, server) {
      t.match(await http(server, page(`X: ${'x'.repeat(1500)}\r\n`)), /^HTTP\/1\.1 200/)
      t.match(await http(server, page(`X: ${'x'.repeat(2500)}\r\n`)), /^HTTP\/1\.1 431 [^]*"code":"ERR_HTTP_MAX_HEADER_BYTES"/)
    }
  },
  HTTP_MAX_HEADERS: {
    settings: {},
    async cross (t, server) {
      t.match(await http(server, page('a:b\r\n'.repeat(98))), /^HTTP\/1\.1 200/, 'a hundred, with Host and Connection')
      t.match(await http(server, page('a:b\r\n'.repeat(99))), /^HTTP\/1\.1 431 [^]*"code":"ERR_HTTP_MAX_HEADERS"/)
      t.match(await http(server, page('a:b\r\n'.repeat(2500))), /^HTTP\/1\.1 431 [^]*"code":"ERR_HTTP_MAX_HEADERS"/, 'more than Node.js would tell of')
    }
  },
  HTTP_HEADERS_MS: {
    settings: { HTTP_HEADERS_MS: '100' },
    async cross (t, server) {
      const began = performance.now()
      t.match(await http(server, 'GET / HTTP/1.1\r\nHost:'), /^HTTP\/1\.1 408 [^]*"code":"ERR_HTTP_TIMEOUT"/)
      t.ok(performance.now() - began < TIMEOUT_MS / 2, 'it is looked for every second: Node.js does every 30')
    }
  },
  HTTP_REQUEST_MS: {
    settings: { HTTP_HEADERS_MS: '100', HTTP_REQUEST_MS: '200' },
    cross: async (t, server) => t.match(await http(server, 'POST /nothing HTTP/1.1\r\nHost: oneloop\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n1'), /^HTTP\/1\.1 408/)
  },
  HTTP_IDLE_MS: {
    settings: { HTTP_IDLE_MS: '100' },
    cross: async (t, server) => t.equal(await http(server, 'POST / HTTP/1.1\r\nHost: oneloop\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n1'), '')
  },
  HTTP_KEEP_ALIVE_MS: {
    settings: { HTTP_KEEP_ALIVE_MS: '1' },
    cross: async (t, server) => t.match(await http(server, GET), /^HTTP\/1\.1 200/)
  },
  WS_MAX_CONNECTIONS: {
    settings: { WS_MAX_CONNECTIONS: '1' },
    async cross (t, server) {
      const holder = await openWebSocket(server)
      const socket = new WebSocket(`ws://127.0.0.1:${server.target('http').port}/ws/time`, { localAddress: '127.0.0.2' })
      const [, response] = await once(socket, 'unexpected-response')
      t.match({ status: response.statusCode, retryAfter: response.headers['retry-after'] }, { status: 503, retryAfter: '1' }, 'of all WebSocket services')
      socket.on('error', () => {}).terminate()
      holder.close()
      await until(() => server.endpoint('ws-echo').open === 0, 'it is gone')
      ;(await openWebSocket(server)).close()
    }
  },
  WS_MAX_PER_ADDRESS: {
    settings: { WS_MAX_PER_ADDRESS: '1' },
    async cross (t, server) {
      const holder = await openWebSocket(server)
      await t.rejects(openWebSocket(server), { message: /the server answered 503/ })
      const other = new WebSocket(`ws://127.0.0.1:${server.target('http').port}/ws/echo`, { localAddress: '127.0.0.2' })
      await once(other, 'open')
      for (const socket of [holder, other]) socket.close()
    }
  },
  WS_RATE: {
    settings: { WS_RATE: '1', WS_BURST: '3' },
    async cross (t, server) {
      let echoed = 0
      const socket = await openWebSocket(server, () => { echoed++ })
      socket.send('1')
      socket.ping()
      for (let i = 2; i < 9; i++) socket.send(String(i))
      const [code, reason] = await once(socket, 'close')
      t.equal(code, 1008)
      t.equal(String(reason), 'more than 1 messages a second')
      t.equal(echoed, 2, 'the ping counts')
    }
  },
  WS_MAX_MESSAGE_BYTES: {
    settings: { WS_MAX_MESSAGE_BYTES: '10' },
    async cross (t, server) {
      const socket = await openWebSocket(server)
      socket.send('x'.repeat(11))
      t.equal((await once(socket, 'close'))[0], 1009)
    }
  },
  WS_MAX_FRAGMENTS: {
    settings: { WS_MAX_FRAGMENTS: '3' },
    async cross (t, server) {
      const socket = await openWebSocket(server)
      for (let i = 0; i < 4; i++) socket.send('', { fin: false })
      t.equal((await once(socket, 'close'))[0], 1008, 'empty ones count')
    }
  },
  WS_PAUSE_BYTES: {
    settings: { WS_PAUSE_BYTES: '1' },
    async cross (_t, server) {
      const socket = await openWebSocket(server)
      socket.pause()
      for (let i = 0; i < 32; i++) socket.send(Buffer.alloc(1_000_000))
      await until(() => server.endpoint('ws-echo').crossings.has('WS_PAUSE_BYTES'), 'it is paused')
      let bytes = 0
      socket.on('message', (data: Buffer) => { bytes += data.length })
      socket.resume()
      await until(() => bytes === 32_000_000, 'nothing was lost')
      socket.close()
    }
  },
  WS_MAX_UNSENT_BYTES: {
    settings: { WS_PAUSE_BYTES: '104857600', WS_MAX_UNSENT_BYTES: '1' },
    async cross (_t, server) {
      const socket = await openWebSocket(server)
      socket.pause()
      for (let i = 0; i < 32; i++) socket.send(Buffer.alloc(1_000_000))
      await until(() => server.log.some(({ reason }) => reason === 'reads too slowly: WS_MAX_UNSENT_BYTES'), 'it is ended')
      socket.terminate()
    }
  },
  WS_PING_MS: {
    settings: { WS_PING_MS: '100' },
    async cross (t, server) {
      const socket = new WebSocket(`ws://127.0.0.1:${server.target('http').port}/ws/echo`, { autoPong: false })
      await once(socket, 'open')
      t.equal((await once(socket, 'close'))[0], 1006)
    }
  },
  WS_CLOSE_MS: {
    settings: { WS_CLOSE_MS: '100', WS_RATE: '1', WS_BURST: '1' },
    async cross (_t, server) {
      const socket = await openWebSocket(server)
      // It stops reading, and so does not answer the close frame that follows.
      socket.pause()
      socket.send('1')
      socket.send('2')
      await until(() => server.endpoint('ws-echo').open === 0, 'it is ended')
      socket.terminate()
    }
  },
  TCP_MAX_CONNECTIONS: {
    settings: { TCP_MAX_CONNECTIONS: '2', ECHO_PORT: '0,0' },
    async cross (t, server) {
      const [first, second] = server.app.endpoints.filter(({ name }) => name === 'echo').map(({ port }) => ({ host: '127.0.0.1', port: port ?? 0 }))
      const holders = [await connect(first ?? server.target('echo')), await connect(second ?? server.target('echo'))]
      await until(() => server.app.endpoints.filter(({ name }) => name === 'echo').every(({ open }) => open === 1), 'one is in on each port')
      await isClosedUnanswered(t, server, 'echo', '127.0.0.2')
      t.equal(String(await ask(server.target('greeting'), options)), 'Thank you for connecting with the socket', 'other services have room')
      for (const holder of holders) holder.destroy()
      await until(() => server.endpoint('echo').open === 0, 'they are gone')
      t.equal(String(await ask(server.target('echo'), { send: Buffer.from('abc'), ...options })), 'abc')
    }
  },
  TCP_MAX_PER_ADDRESS: {
    settings: { TCP_MAX_PER_ADDRESS: '2' },
    async cross (t, server) {
      const holders = [await connect(server.target('echo')), await connect(server.target('echo'))]
      await until(() => server.endpoint('echo').open === 2, 'two are in')
      await isClosedUnanswered(t, server, 'echo')
      const other = await connectFrom('127.0.0.2', server.target('echo'))
      other.end('abc')
      t.equal(String(await readAll(other)), 'abc', 'another address is served')
      for (const holder of holders) holder.destroy()
    }
  },
  TCP_IDLE_MS: {
    settings: { TCP_IDLE_MS: '100' },
    cross: async (t, server) => t.equal((await readAll(await connect(server.target('echo')))).length, 0)
  },
  TCP_LIFE_MS: {
    settings: { TCP_LIFE_MS: '200' },
    async cross (_t, server) {
      const socket = await connect(server.target('echo'))
      const more = setInterval(() => socket.write('more'), 20)
      await readAll(socket)
      clearInterval(more)
      await until(() => server.log.some(({ reason }) => reason === 'lived too long: TCP_LIFE_MS'), 'the reason is logged')
    }
  },
  TCP_MAX_BYTES: {
    settings: { TCP_MAX_BYTES: '100000' },
    async cross (t, server) {
      t.equal((await ask(server.target('echo'), { send: Buffer.alloc(100_000), ...options })).length, 100_000)
      for (const name of ['echo', 'sink']) {
        const socket = await connect(server.target(name), { allowHalfOpen: true })
        socket.end(Buffer.alloc(200_000))
        await readAll(socket)
      }
      await until(() => server.log.filter(({ reason }) => reason === 'received too much: TCP_MAX_BYTES').length === 2, 'the reason is logged')
    }
  },
  TCP_FIN_MS: {
    settings: { TCP_FIN_MS: '100' },
    async cross (_t, server) {
      const socket = await connect(server.target('time'), { allowHalfOpen: true })
      await new Promise((resolve) => { socket.resume().once('close', resolve); server.app.feed.subscribe(({ type }) => { if (type === 'close') socket.destroy() }) })
    }
  },
  UDP_MAX_BYTES: {
    settings: { UDP_MAX_BYTES: '10' },
    cross: (t, server) => isAnsweredFewer(t, server, [10, 11], 1)
  },
  UDP_RATE: {
    settings: { UDP_RATE: '1', UDP_BURST: '3' },
    async cross (t, server) {
      await isAnsweredFewer(t, server, [1, 1, 1, 1, 1], 3)
      await isAnsweredFewer(t, server, [1], 1, '127.0.0.2')
    }
  },
  UDP_TOTAL_RATE: {
    settings: { UDP_TOTAL_RATE: '3' },
    async cross (t, server) {
      await isAnsweredFewer(t, server, [1, 1], 2)
      await isAnsweredFewer(t, server, [1, 1, 1], 1, '127.0.0.2')
    }
  },
  SHED_DELAY_MS: {
    settings: { SHED_DELAY_MS: '30' },
    async cross (t, server) {
      const status = async (path: string) => (await get(server.target('http'), path, TIMEOUT_MS)).status
      const block = (ms: number) => { for (const end = performance.now() + ms; performance.now() < end;); }
      block(500)
      t.equal(await status('/api/services'), 200, 'one block is not lasting')
      let isBusy = true
      const keepBusy = () => { block(100); if (isBusy) setImmediate(keepBusy) }
      keepBusy()
      await until(async () => await status('/api/services') === 503, 'it sheds load')
      t.equal(await status('/healthz'), 200)
      t.equal(await status('/metrics'), 200)
      isBusy = false
      await until(async () => await status('/api/services') === 200, 'it serves again')
    }
  },
  SHED_MEMORY_BYTES: {
    settings: { SHED_MEMORY_BYTES: '1', HTTP_RATE: '1000', HTTP_BURST: '1000' },
    async cross (t, server) {
      const large = await openWebSocket(server)
      const small = await openWebSocket(server)
      const ended = once(large, 'close')
      // Two unfinished messages of 1 MiB.
      for (const [socket, bytes] of [[large, 70_000], [small, 60_000]] as const) {
        rawSocket(socket).write(Buffer.concat([Buffer.from('82ff000000000010000000000000', 'hex'), Buffer.alloc(bytes)]))
      }
      await until(async () => (await get(server.target('http'), '/api/services', TIMEOUT_MS)).status === 503, 'it sheds load')
      t.equal((await ended)[0], 1013)
      t.equal(small.readyState, WebSocket.OPEN)
      t.equal((await get(server.target('http'), '/readyz', TIMEOUT_MS)).status, 200)
      small.terminate()
    }
  }
}

/** Sends datagrams of these sizes, one after another, and checks how many are answered. */
async function isAnsweredFewer (t: Test, { endpoint }: TestServer, sizes: readonly number[], answered: number, from = '127.0.0.1'): Promise<void> {
  const echo = endpoint('udp-echo')
  const before = { answered: echo.answered, refused: echo.refused }
  const sender = createSocket('udp4').bind(0, from)
  await once(sender, 'listening')
  let got = 0
  sender.on('message', () => { got++ })
  for (const size of sizes) {
    const { total } = echo
    sender.send(Buffer.alloc(size), echo.port ?? 0, '127.0.0.1')
    await until(() => echo.total > total, 'it is counted')
  }
  await until(() => got === answered && echo.answered - before.answered === answered, `${answered} are answered`)
  t.equal(echo.refused - before.refused, sizes.length - answered, `${from}: the others are refused`)
  sender.close()
}

/** Limits that are tested elsewhere, or together with another. */
const ELSEWHERE = ['DRAIN_MS', 'HTTP_BURST', 'WS_BURST', 'UDP_BURST', 'MAX_ADDRESSES', 'LOG_RATE', 'LOG_BURST']

t.test('every limit has its test', async (t) => {
  t.same([...Object.keys(cases), ...ELSEWHERE].sort(), Object.keys(settings).filter(isLimit).sort())
})

for (const [limit, { settings, cross }] of Object.entries(cases)) {
  t.test(limit, async (t) => {
    const server = await serverFor(t, settings)
    const crossed = async () => {
      const { body } = await server.app.inject('/metrics')
      return Number(new RegExp(`^oneloop_limits_crossed_total\\{service="[a-z-]+",limit="${limit}"\\} (\\d+)$`, 'm').exec(body)?.[1] ?? 0)
    }
    t.equal(await crossed(), 0)
    await cross(t, server)
    await until(async () => await crossed() > 0, 'it is counted')
    await until(() => server.app.endpoints.every(({ open }) => open === 0), 'nothing is left')
    t.notOk(server.log.some(({ level }) => level >= 50), 'nothing is logged as an error')
  })
}

t.test('a client that ignores its 1008 and goes on sending is destroyed', async (t) => {
  const server = await serverFor(t, { WS_RATE: '1', WS_BURST: '3', WS_CLOSE_MS: '60000' })
  const socket = await connect(server.target('http'))
  const message = Buffer.from('81810000000078', 'hex')
  socket.write(handshake('/ws/echo'))
  socket.write(Buffer.concat(Array(7).fill(message)))
  t.ok((await readAll(socket)).includes(Buffer.from('03f0', 'hex')), '1008')
})

t.test('a client whose message comes in more than 32,768 pieces is closed with 1008', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench', WS_MAX_FRAGMENTS: '1024' })
  const socket = await connect(server.target('http'))
  const received = readAll(socket)
  socket.write(handshake('/ws/echo'))
  // The header of a frame of 1 MiB and one byte, which ws buffers in pieces.
  socket.write(Buffer.from('82ff000000000010000100000000', 'hex'))
  // One byte in each turn of the loop, so that each is read alone.
  for (let i = 0; i < 40_000 && !server.endpoint('ws-echo').crossings.has('WS_MAX_FRAGMENTS'); i++) {
    socket.write('x')
    await nextTurn()
  }
  t.same([...server.endpoint('ws-echo').crossings], [['WS_MAX_FRAGMENTS', 1]])
  socket.end()
  t.ok((await received).includes(Buffer.from('03f0', 'hex')), '1008')
})

t.test('headers above Node.js\'s own limit are counted', async (t) => {
  const server = await serverFor(t, { HTTP_MAX_HEADERS: '1500', HTTP_MAX_HEADER_BYTES: '65536' })
  t.match(await http(server, page('a:b\r\n'.repeat(1400))), /^HTTP\/1\.1 200/)
  t.match(await http(server, page('a:b\r\n'.repeat(1600))), /^HTTP\/1\.1 431/)
})

t.test('upgrades at the same time do not take the last place twice, and a client turned away counts until it is gone', async (t) => {
  const app = await buildApp(loadConfig({}, { ...FREE_PORTS, HTTP_MAX_CONNECTIONS: '3', WS_MAX_CONNECTIONS: '1', WS_CLOSE_MS: '60000', DRAIN_MS: '2000' }), pino({ level: 'silent' }))
  t.teardown(() => app.close())
  const held: (() => void)[] = []
  app.addHook('preValidation', async ({ ws }) => { if (ws) await new Promise<void>((resolve) => { held.push(resolve) }) })
  await app.ready()
  const find = (name: string) => app.endpoints.find((one) => one.name === name)
  const target = { host: '127.0.0.1', port: find('http')?.port ?? 0 }

  const racers = await Promise.all([1, 2, 3].map(() => connect(target)))
  for (const racer of racers) racer.write(handshake('/ws/echo'))
  await until(() => held.length === 3, 'each found the place free')
  for (const resolve of held) resolve()
  await until(() => find('ws-echo')?.refusals.get('WS_MAX_CONNECTIONS') === 2, 'two are turned away')
  t.equal(find('ws-echo')?.open, 1)
  const first = await connect(target)
  await until(() => find('http')?.open === 3, 'there is room for one')
  t.equal((await readAll(await connect(target))).length, 0, 'and for no more: those two have not answered the close frame')
  for (const socket of [...racers, first]) socket.destroy()
})

t.test('a flood of log lines about one address leaves room for others, and is counted', async (t) => {
  const server = await serverFor(t, { LOG_RATE: '1', LOG_BURST: '3' })
  const lines = () => server.log.filter(({ msg }) => msg === 'connection closed')
  for (let i = 0; i < 10; i++) await ask(server.target('greeting'), options)
  await until(() => server.endpoint('greeting').open === 0, 'all are gone')
  t.equal(lines().length, 3)
  const other = await connectFrom('127.0.0.2', server.target('greeting'))
  await readAll(other)
  await until(() => lines().length === 4, 'another address has its line')
  t.match(lines().at(-1), { peer: /^127\.0\.0\.2:/, unlogged: 7 })
  t.match((await server.app.inject('/metrics')).body, /^oneloop_log_lines_dropped_total 7$/m)
})

t.test('a bucket holds its burst and refills at its rate; a table forgets the least recent address', async (t) => {
  const bucket = new Bucket({ perSecond: 10, burst: 2 }, 0)
  t.same([0, 0, 0, 99, 100, 100, 5000, 5000, 5000].map((now) => bucket.take(now)), [true, true, false, false, true, false, true, true, false])
  const rates = new Rates({ perSecond: 1, burst: 1 }, 2)
  t.same(['a', 'b', 'a'].map((key) => rates.take(key, 0)), [true, true, false])
  t.equal(rates.take('c', 0), true)
  t.equal(rates.size, 2)
  t.equal(rates.take('a', 0), false, 'it was seen after b')
  t.equal(rates.take('b', 0), true, 'it was forgotten')
  for (let i = 0; i < 20_000; i++) rates.take(String(i), 0)
  t.equal(rates.size, 2)
})

t.test('a gate counts its places', async (t) => {
  const gate = new Gate({ maxConnections: 3, maxPerAddress: 2 })
  for (const address of ['a', 'a', 'b']) {
    t.equal(gate.refusal(address), undefined)
    gate.enter(address)
  }
  t.equal(gate.refusal('c'), 'MAX_CONNECTIONS')
  gate.leave('b')
  t.equal(gate.refusal('a'), 'MAX_PER_ADDRESS')
  t.equal(gate.refusal('b'), undefined)
  gate.leave('a')
  t.equal(gate.refusal('a'), undefined)
})

t.test('default connection limits are lowered to fit the descriptors; limits that were set must fit', async (t) => {
  const caps = ({ http, websocket, tcp }: ReturnType<typeof loadConfig>) => [http.maxConnections, websocket.maxConnections, tcp.maxConnections]
  const services = rawServices.filter(({ transport }) => transport === 'tcp').length
  const sum = (config: ReturnType<typeof loadConfig>) => config.http.maxConnections + config.websocket.maxConnections + services * config.tcp.maxConnections
  const enough = Math.ceil(sum(loadConfig()) / 0.8)
  t.same(fitConnections(loadConfig(), Infinity, 20).lowered, {})
  t.same(fitConnections(loadConfig(), enough, 20).lowered, {}, `${sum(loadConfig())} are 80 % of ${enough}`)
  t.same(Object.keys(fitConnections(loadConfig(), enough - 2, 20).lowered), ['HTTP_MAX_CONNECTIONS', 'WS_MAX_CONNECTIONS', 'TCP_MAX_CONNECTIONS'])
  for (const limit of [1024, 256, 120]) {
    const { config, lowered } = fitConnections(loadConfig(), limit, 20)
    t.ok(sum(config) <= limit * 0.8 && sum(config) + 20 <= limit, `${limit}: ${caps(config)}`)
    t.same(Object.values(lowered), caps(config))
    t.ok(caps(config).every((cap) => cap >= 1))
  }
  t.same(caps(fitConnections(loadConfig({ HTTP_MAX_CONNECTIONS: '300' }), 1024, 20).config)[0], 300, 'one that was set stays')
  t.same(fitConnections(loadConfig(Object.fromEntries(Object.keys(loadConfig().ports).map((name) => [`${name.toUpperCase().replaceAll('-', '_')}_PORT`, 'off']))), 3000, 20).lowered, {}, 'services that are off need none')
  t.throws(() => fitConnections(loadConfig({ WS_MAX_CONNECTIONS: '5000' }), 1024, 20), { message: new RegExp(`WS_MAX_CONNECTIONS=5000.*TCP_MAX_CONNECTIONS=256 × ${services} services: this process may have 1024 file descriptors open, of which 819 are for connections.*ulimit -n`) })
  t.throws(() => fitConnections(loadConfig(), 40, 20), { message: /of which 0 are for connections|file descriptors/ })
})

t.test('PROFILE=bench raises every limit that was not set, and logs a warning', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench', WS_RATE: '7' })
  t.match(server.log, [{ level: 40, msg: /lowered/ }, { level: 40, msg: 'PROFILE=bench: every limit is raised, for measurements. Do not let strangers reach this server' }].slice(server.log[0]?.msg.includes('lowered') ? 0 : 1))
  const { config } = server.app
  t.equal(config.websocket.rate.perSecond, 7)
  t.equal(config.http.rate.perSecond, 1_000_000)
  t.equal(config.udp.maxBytes, 65_507)
  for (const [name, { default: value, bench }] of Object.entries(settings)) if (bench !== undefined) t.ok(bench >= Number(value), name)
  t.equal((await serverFor(t)).log.filter(({ msg }) => /PROFILE/.test(msg)).length, 0)
})
