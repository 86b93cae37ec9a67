/** The special behaviour of single services, routes and runners. */
import { randomBytes } from 'node:crypto'
import { createSocket, Socket } from 'node:dgram'
import { once } from 'node:events'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import WebSocket from 'ws'
import { ask, exchange } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import type { Endpoint } from '../src/traffic/endpoint.ts'
import { Feed } from '../src/traffic/feed.ts'
import type { FeedEvent } from '../src/shared/messages.ts'
import { isMulticastOrBroadcast } from '../src/plugins/udp.ts'
import { printable } from '../src/shared/printable.ts'
import { wsEcho } from '../src/routes/ws-echo.ts'
import { wsFeed } from '../src/routes/ws-feed.ts'
import { wsTime } from '../src/routes/ws-time.ts'
import { defineTcpService, defineUdpService, type WebSocketClient, type WebSocketService } from '../src/service.ts'
import { rawSocket } from './clients.ts'
import { appOf, connect, readAll, serverFor, settled, TIMEOUT_MS, until } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }
const MIB = 1_048_576

t.test('text from clients cannot control a terminal or forge a log line', async (t) => {
  t.equal(printable('a\u001b[2Jb\r\n\u202ec\u0085'), 'a\\u001b[2Jb\\u000d\\u000a\\u202ec\\u0085')
  t.equal(printable('x'.repeat(300)), `${'x'.repeat(256)}…`)
  const server = await serverFor(t)
  const sender = createSocket('udp4')
  sender.send(`\u001b]0;title\u0007${'x'.repeat(1000)}`, server.target('listener').port, '127.0.0.1')
  await until(() => server.log.some(({ msg }) => msg.startsWith('Received Messages')), 'the listener logs')
  sender.close()
  const line = server.log.find(({ msg }) => msg.startsWith('Received Messages'))
  t.match(line, { level: 30, msg: /^Received Messages: \\u001b]0;title\\u0007x+… from 127\.0\.0\.1:\d+$/, service: 'listener', bytes: 1010 })
})

t.test('the feed tells every listener, but one that throws only once', async (t) => {
  const errors: unknown[] = []
  const feed = new Feed((error) => errors.push(error))
  const heard: FeedEvent[] = []
  t.equal(feed.isWatched, false)
  feed.subscribe(() => { throw new Error('a bad listener') })
  const unsubscribe = feed.subscribe((event) => heard.push(event))
  const event: FeedEvent = { at: 0, type: 'connect', transport: 'tcp', service: 'echo', connection: 1, peer: '127.0.0.1:1' }
  feed.publish(event)
  feed.publish(event)
  t.equal(heard.length, 2)
  t.equal(errors.length, 1)
  unsubscribe()
  t.equal(feed.isWatched, false)
})

t.test('exchange speaks first', async (t) => {
  const { target } = await serverFor(t)
  const { greeting, answer } = await exchange(target('exchange'), Buffer.from('Hello'), options)
  t.equal(String(greeting), 'Welcome to the exchange: send one message\r\n')
  t.equal(String(answer), 'Received: Hello\r\n')
})

t.test('/ws/echo', async (t) => {
  const { target, log } = await serverFor(t)
  const at = { ...target('http'), path: '/ws/echo' }

  await t.test('returns text as text and binary as binary, from empty to 1 MiB, in order', async (t) => {
    const got: { data: Buffer, isBinary: boolean }[] = []
    const socket = await connectWebSocket(at, { ...options, onMessage: (one) => got.push(one) })
    const sent: (string | Buffer)[] = ['', Buffer.alloc(0), 'Grüße', Buffer.from([0xff, 0]), 'x'.repeat(1_048_576), Buffer.alloc(1_048_576, 1)]
    for (const message of sent) socket.send(message)
    await until(() => got.length === sent.length, 'all came back')
    for (const [index, message] of sent.entries()) {
      t.equal(got[index]?.isBinary, typeof message !== 'string')
      t.ok(got[index]?.data.equals(Buffer.from(message as string)))
    }
    socket.close()
    await once(socket, 'close')
  })

  await t.test('answers a ping, and a close frame with its own code', async (t) => {
    for (const code of [1000, 1001, 3000, 4999]) {
      const socket = await connectWebSocket(at, options)
      const pong = once(socket, 'pong')
      socket.ping('are you there?')
      t.equal(String((await pong)[0]), 'are you there?')
      socket.close(code, 'bye')
      const [got] = await once(socket, 'close')
      t.equal(got, code)
      await until(() => log.some(({ reason }) => reason === `close code ${code}`), 'the reason is logged')
    }
  })

  await t.test('takes the first offered subprotocol, or none if none is offered', async (t) => {
    const offered = new WebSocket(`ws://127.0.0.1:${at.port}/ws/echo`, ['chat.v2', 'chat.v1'])
    await once(offered, 'open')
    t.equal(offered.protocol, 'chat.v2')
    offered.close()
    const none = await connectWebSocket(at, options)
    t.equal(none.protocol, '')
    none.close()
  })

  await t.test('answers a request without an upgrade with 426', async (t) => {
    const response = await fetch(`http://127.0.0.1:${at.port}/ws/echo`)
    t.equal(response.status, 426)
    t.equal(response.headers.get('upgrade'), 'websocket')
    t.match(await response.json(), { code: 'ERR_UPGRADE_REQUIRED' })
  })

  await t.test('a path without a WebSocket answers an upgrade like any other request', async (t) => {
    await t.rejects(connectWebSocket({ ...at, path: '/nothing' }, options), { message: /the server answered 404/ })
    await t.rejects(connectWebSocket({ ...at, path: '/healthz' }, options), { message: /the server answered 200/ })
  })

  await t.test('an upgrade to another protocol is ignored, and the request is answered', async (t) => {
    const socket = await connect(target('http'))
    socket.write('GET /healthz HTTP/1.1\r\nHost: oneloop\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n')
    const answer = String(await readAll(socket))
    t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
    t.match(answer, /content-security-policy[^]*\r\n\r\n\{"status":"ok"\}$/i)
    await until(() => log.some(({ msg, url }) => msg === 'request' && url === '/healthz'), 'it is logged')
    const webSocketPath = await connect(target('http'))
    webSocketPath.write('GET /ws/echo HTTP/1.1\r\nHost: oneloop\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n')
    t.match(String(await readAll(webSocketPath)), /^HTTP\/1\.1 426 /)
    const reset = await connect(target('http'))
    reset.write('GET / HTTP/1.1\r\nHost: oneloop\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n')
    reset.resetAndDestroy()
  })

  await t.test('offers no compression', async (t) => {
    const socket = new WebSocket(`ws://127.0.0.1:${at.port}/ws/echo`, { perMessageDeflate: true })
    await once(socket, 'open')
    t.equal(socket.extensions, '')
    socket.close()
  })
})

t.test('a WebSocket client that is silent between two pings is ended; one that answers stays', async (t) => {
  const { target, log } = await serverFor(t, { WS_PING_MS: '200' })
  const at = { ...target('http'), path: '/ws/echo' }
  const answering = await connectWebSocket(at, options)
  const silent = await connectWebSocket(at, options)
  // An unfinished frame of 1 MiB: no pong can follow it.
  rawSocket(silent).write(Buffer.from('82ff000000000010000000000000', 'hex'))
  await once(silent, 'close')
  t.equal(answering.readyState, WebSocket.OPEN)
  await until(() => log.some(({ reason }) => reason === 'no pong: WS_PING_MS'), 'the reason is logged')
  answering.close()
})

t.test('/ws/time runs one timer for all clients, and none without clients', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const { target } = await serverFor(t)
  const idle = timers()
  const got: string[] = []
  const onMessage = ({ data }: { data: Buffer }) => got.push(String(data))
  const first = await connectWebSocket({ ...target('http'), path: '/ws/time' }, { ...options, onMessage })
  await until(() => got.length === 1, 'the time comes at once')
  const withOne = timers()
  const second = await connectWebSocket({ ...target('http'), path: '/ws/time' }, { ...options, onMessage })
  await until(() => got.length >= 4, 'then once a second to both')
  t.equal(timers(), withOne, 'a second client adds no timer')
  first.close()
  second.close()
  await Promise.all([once(first, 'close'), once(second, 'close')])
  await until(() => timers() <= idle, 'the timer is gone')
  t.match(got, Array(got.length).fill(/^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$/))
})

t.test('/ws/time skips a client that is behind', async (t) => {
  const sent: Record<string, number> = { quick: 0, slow: 0 }
  const client = (name: string) => ({ remote: { address: '127.0.0.1', port: 1 }, isBehind: false, close () {}, send () { sent[name] = (sent[name] ?? 0) + 1 } })
  const service = wsTime()
  const slow = client('slow')
  const receivers = [service.onConnection(client('quick')), service.onConnection(slow)]
  slow.isBehind = true
  t.teardown(() => { for (const receiver of receivers) if (typeof receiver === 'object') receiver.close?.() })
  await until(() => sent.quick === 3, 'two ticks')
  t.equal(sent.slow, 1, 'it got the first line only')
})

t.test('/ws/time tells its clients in pieces, so that others are served in between', async (t) => {
  const told = perTurn()
  connectMany(t, wsTime(), 100, told.note)
  await nextTurn()
  told.most = 0
  await until(() => told.all >= 200, 'the first line, and a tick')
  await nextTurn()
  t.equal(told.most, 8)
})

t.test('/ws/time tells every client before it tells any of them again', async (t) => {
  const told: number[] = []
  let id = 0
  const ids = new Map<WebSocketClient, number>()
  connectMany(t, wsTime(), 60, function (this: WebSocketClient) {
    if (!ids.has(this)) return ids.set(this, id++)
    told.push(ids.get(this) as number)
    // All clients together take more than a second, until after the next tick.
    busy(25)
  })
  await until(() => told.length >= 60, 'a tick')
  t.equal(new Set(told.slice(0, 60)).size, 60)
})

t.test('/ws/feed tells its viewers in pieces, so that others are served in between, and each viewer in order', async (t) => {
  const feed = new Feed(() => {})
  const told = perTurn()
  const heard: string[] = []
  connectMany(t, wsFeed(feed, { has: () => false, isConnecting: false }), 50, (message) => {
    told.note()
    const { events } = JSON.parse(String(message)) as { events?: FeedEvent[] }
    if (!events) return
    heard.push(...events.map(({ peer }) => peer))
    busy(4)
  })
  await nextTurn()
  told.most = 0
  const publish = (peer: string) => feed.publish({ at: 0, type: 'connect', transport: 'tcp', service: 'echo', connection: 1, peer })
  publish('first')
  await until(() => heard.length > 0, 'it is told')
  // All viewers together take longer than until the next batch.
  publish('second')
  await until(() => heard.length === 100, 'all are told both')
  await nextTurn()
  t.equal(told.most, 2)
  t.same(heard, [...Array<string>(50).fill('first'), ...Array<string>(50).fill('second')])
})

/** Connects a number of fake clients to a service without a server, until the test ends. */
function connectMany (t: Test, service: WebSocketService, count: number, send: WebSocketClient['send']): void {
  const client = (): WebSocketClient => ({ remote: { address: '127.0.0.1', port: 1 }, isBehind: false, close () {}, send })
  const receivers = Array.from({ length: count }, () => service.onConnection(client()))
  t.teardown(() => { for (const receiver of receivers) if (typeof receiver === 'object') receiver.close?.() })
}

function busy (ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** Counts calls, in total and at most in one turn of the loop. */
function perTurn () {
  let inTurn = 0
  const counted = {
    all: 0,
    most: 0,
    note () {
      counted.all++
      if (inTurn++ > 0) return
      setImmediate(() => {
        counted.most = Math.max(counted.most, inTurn)
        inTurn = 0
      })
    }
  }
  return counted
}

t.test('a client that sent during a blocked loop is ended only when it falls silent', async (t) => {
  const { target, endpoint, log } = await serverFor(t, { TCP_IDLE_MS: '2000' })
  const echo = endpoint('echo')
  const socket = await connect(target('echo'))
  socket.pause()
  const sent = 16 * MIB
  socket.write(Buffer.alloc(sent))
  // More than the system's buffers hold: from now on the socket's own timer measures the silence.
  await settled(() => echo.bytesOut)
  t.ok(echo.bytesIn < sent, 'its answers wait')
  let received = 0
  socket.on('data', ({ length }: Buffer) => { received += length }).resume()
  await until(() => received === sent, 'all is answered')
  await new Promise<void>((resolve) => {
    setImmediate(() => {
      socket.write('x')
      // Blocks the loop, so that the timer fires before the byte is read.
      for (const until = performance.now() + 2300; performance.now() < until;);
      resolve()
    })
  })
  await until(() => received === sent + 1, 'it is answered')
  await until(() => echo.open === 0, 'it is ended')
  t.equal(log.find(({ msg }) => msg === 'connection closed')?.reason, 'idle: TCP_IDLE_MS')
})

t.test('a client that does not close after the server\'s FIN is ended after TCP_FIN_MS, even if it goes on sending', async (t) => {
  const { target, log } = await serverFor(t, { TCP_FIN_MS: '200' })
  const socket = await connect(target('time'), { allowHalfOpen: true })
  const more = setInterval(() => socket.write('more'), 10)
  t.teardown(() => clearInterval(more))
  // Not events.once(): the server may end it with an RST, which is an 'error' event.
  await new Promise((resolve) => { socket.resume().once('close', resolve) })
  await until(() => log.some(({ service, msg }) => service === 'time' && msg === 'connection closed'), 'it is logged')
  t.match(log.find(({ msg }) => msg === 'connection closed'), { reason: 'no FIN from client: TCP_FIN_MS', bytesOut: 26 })
})

t.test('a client above TCP_MAX_CONNECTIONS is turned away, counted and logged', async (t) => {
  const { target, endpoint, log, events } = await serverFor(t, { TCP_MAX_CONNECTIONS: '2' })
  const first = await connect(target('echo'))
  const second = await connect(target('echo'))
  await until(() => endpoint('echo').open === 2, 'two are in')
  t.equal((await readAll(await connect(target('echo')))).length, 0)
  await until(() => endpoint('echo').refused === 1, 'the third is counted')
  t.match(log.find(({ msg }) => msg === 'refused'), { service: 'echo', reason: 'TCP_MAX_CONNECTIONS', count: 1 })
  t.match(events.at(-1), { type: 'refuse', service: 'echo', reason: 'TCP_MAX_CONNECTIONS' })
  t.equal(String(await ask(target('greeting'), options)), 'Thank you for connecting with the socket', 'other services have room')
  for (let i = 0; i < 20; i++) await readAll(await connect(target('echo')))
  await until(() => endpoint('echo').refused === 21, 'all are counted')
  t.ok(log.filter(({ msg }) => msg === 'refused').length < 5, 'and logged at most once a second')
  first.destroy()
  second.destroy()
})

t.test('a client that reads slowly or sends is not idle; one that stops is', async (t) => {
  const BYTES = 48 * MIB
  const giver = defineTcpService({
    name: 'giver',
    ports: [1],
    summary: '',
    example: {},
    onConnection (client) {
      client.write(Buffer.alloc(BYTES))
      return () => {}
    }
  })
  const log: { level: number, msg: string, reason?: string }[] = []
  const app = await appOf(t, [giver], { TCP_IDLE_MS: '1500' }, log)
  const endpoint = app.endpoints.find(({ name }) => name === 'giver') as Endpoint
  const socket = await connect({ host: '127.0.0.1', port: endpoint.port ?? 0 })
  let taken = 0
  socket.on('data', ({ length }: Buffer) => { taken += length }).pause()
  // The system buffers so much that the server's queue may not move during some of these steps.
  for (let steps = 1; steps <= 8; steps++) {
    socket.resume()
    await until(() => taken >= steps * 3 * MIB, 'it takes some')
    socket.pause()
    await delay(400)
    t.equal(endpoint.open, 1)
  }
  socket.resume()
  await until(() => taken === BYTES, 'it takes the rest')
  for (let i = 0; i < 6; i++) {
    await delay(400)
    t.equal(endpoint.open, 1)
    socket.write('x')
  }
  await until(() => endpoint.open === 0, 'it is ended')
  t.equal(log.find(({ msg }) => msg === 'connection closed')?.reason, 'idle: TCP_IDLE_MS')
  socket.destroy()
})

t.test('a client is gone with its FIN, before or after the server\'s, and with an RST, even if answers wait', async (t) => {
  const { target, endpoint, log } = await serverFor(t)
  await ask(target('time'), options)
  await ask(target('echo'), { ...options, send: Buffer.from('x') })
  const socket = await connect(target('echo'))
  socket.pause()
  socket.write(Buffer.alloc(48 * MIB))
  await settled(() => endpoint('echo').bytesOut)
  socket.resetAndDestroy()
  const ends = () => log.filter(({ msg }) => msg === 'connection closed').map(({ service, reason }) => `${service}: ${reason}`)
  await until(() => ends().length === 3, 'all are gone')
  t.same(ends(), ['time: closed by service', 'echo: closed by client', 'echo: reset by client'])
})

t.test('UDP', async (t) => {
  await t.test('two of our echo ports do not answer each other', async (t) => {
    const { app } = await serverFor(t, { UDP_ECHO_PORT: '0,0' })
    const [first, second] = app.endpoints.filter(({ name }) => name === 'udp-echo')
    // Imitates a spoofed datagram: its source is a port that the guard takes for our own.
    const peer = createSocket({ type: 'udp4', reuseAddr: true })
    peer.bind(0, '127.0.0.1')
    await once(peer, 'listening')
    if (second) second.location.port = peer.address().port
    peer.send('loop', first?.port ?? 0, '127.0.0.1')
    await until(() => first?.total === 1, 'it arrived')
    t.equal(await settled(() => first?.total ?? 0), 1)
    t.equal(first?.refused, 1)
    t.equal(first?.bytesOut, 0)
    peer.close()
  })

  await t.test('a multicast, broadcast or unspecified source gets no answer', async (t) => {
    const { target, endpoint } = await serverFor(t)
    let socket: Socket | undefined
    const { emit } = Socket.prototype
    t.intercept(Socket.prototype, 'emit', {
      value (this: Socket, ...args: Parameters<typeof emit>) {
        if (args[0] === 'message') socket ??= this
        return emit.apply(this, args)
      }
    })
    await sendDatagram(target('udp-echo'), Buffer.from('x'), { ...options, isAnswered: true })
    // The kernel does not send from such addresses, so the datagrams are emitted by hand.
    for (const address of ['224.0.0.1', '255.255.255.255', '0.0.0.1']) socket?.emit('message', Buffer.from('x'), { address, port: 5000, family: 'IPv4', size: 1 })
    t.same([...endpoint('udp-echo').refusals], [['multicast or broadcast source', 3]])
    t.equal(endpoint('udp-echo').answered, 1)
  })

  t.ok(['224.0.0.1', '239.1.1.1', '255.255.255.255', '224.0.0.0', '0.0.0.0', '0.1.2.3', 'ff02::1', 'FF02::1'].every(isMulticastOrBroadcast))
  t.notOk(['127.0.0.1', '192.0.2.1', '20.0.0.1', '223.255.255.255', '::1', '2001:db8::2', 'fd00::1', 'fe80::1'].some(isMulticastOrBroadcast))
})

t.test('a chunk that a service keeps is not changed by later reads', async (t) => {
  const kept: Buffer[] = []
  const keeper = defineTcpService({
    name: 'keeper',
    ports: [1],
    summary: '',
    example: {},
    onConnection: (client) => ({ data (chunk) { kept.push(chunk) }, end () { client.end(Buffer.concat(kept)) } })
  })
  const app = await appOf(t, [keeper], { TCP_MAX_BYTES: '1000000000' })
  const data = randomBytes(4_000_000)
  const socket = await connect({ host: '127.0.0.1', port: app.endpoints.find(({ name }) => name === 'keeper')?.port ?? 0 }, { allowHalfOpen: true })
  const received = readAll(socket)
  socket.end(data)
  t.ok((await received).equals(data))
})

t.test('a service may answer long after the client\'s FIN', async (t) => {
  const late = defineTcpService({
    name: 'late',
    ports: [1],
    summary: '',
    example: {},
    onConnection: (client) => ({
      data () {},
      end () { setTimeout(() => client.end('late'), 50) }
    })
  })
  const app = await appOf(t, [late])
  const port = app.endpoints.find(({ name }) => name === 'late')?.port ?? 0
  t.equal(String(await ask({ host: '127.0.0.1', port }, options)), 'late')
})

t.test('a service that fails loses only that client', async (t) => {
  const log: { level: number, msg: string }[] = []
  const bad = [
    defineTcpService({
      name: 'bad',
      ports: [1],
      summary: '',
      example: {},
      onConnection: () => () => { throw new Error('a bad service') }
    }),
    defineUdpService({
      name: 'worse',
      ports: [1],
      summary: '',
      example: {},
      onMessage (message) {
        if (message.length === 1) throw new Error('a bad service')
        return Buffer.concat([message, message])
      }
    })
  ]
  const app = await appOf(t, bad, {}, log)
  const port = (name: string) => app.endpoints.find((one) => one.name === name)?.port ?? 0
  const other = await connect({ host: '127.0.0.1', port: port('bad') })
  const socket = await connect({ host: '127.0.0.1', port: port('bad') })
  socket.write('x')
  await readAll(socket)
  t.match(log, [{ level: 50, msg: 'the service failed' }, { msg: 'connection closed', reason: 'service failed' }])
  t.equal(app.endpoints.find((one) => one.name === 'bad')?.open, 1, 'the other client is still there')
  other.destroy()
  const sender = createSocket('udp4')
  sender.send('x', port('worse'), '127.0.0.1')
  await until(() => log.filter(({ level }) => level === 50).length === 2, 'the error is logged')
  sender.send('xx', port('worse'), '127.0.0.1')
  const worse = app.endpoints.find((one) => one.name === 'worse')
  await until(() => worse?.refused === 1, 'a reply larger than its request is dropped')
  t.equal(worse?.bytesOut, 0)
  sender.close()
})

t.test('a TCP service that sends more than TCP_MAX_BYTES loses its client', async (t) => {
  const talker = defineTcpService({
    name: 'talker',
    ports: [1],
    summary: '',
    example: {},
    onConnection (client) { for (let i = 0; i < 3; i++) client.write(Buffer.alloc(60_000)) }
  })
  const app = await appOf(t, [talker], { TCP_MAX_BYTES: '100000' })
  const endpoint = app.endpoints.find(({ name }) => name === 'talker')
  await readAll(await connect({ host: '127.0.0.1', port: endpoint?.port ?? 0 }))
  await until(() => endpoint?.open === 0, 'it is gone')
  t.same([...endpoint?.crossings ?? []], [['TCP_MAX_BYTES', 1]])
  t.equal(endpoint?.bytesOut, 120_000, 'what came after that was not even counted')
})

t.test('a WebSocket service that fails ends only that client, with 1011', async (t) => {
  t.intercept(wsEcho, 'onConnection', {
    value: (client: WebSocketClient) => (message: Buffer) => {
      if (message.length === 1) throw new Error('a bad service')
      client.send(message)
    }
  })
  const { target, endpoint, log } = await serverFor(t)
  const got: string[] = []
  const other = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, { ...options, onMessage: ({ data }) => got.push(String(data)) })
  const client = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
  const closed = once(client, 'close')
  client.send('x')
  const [code, reason] = await closed
  t.equal(code, 1011)
  t.equal(String(reason), 'service failed')
  t.match(log.filter(({ level }) => level >= 50), [{ msg: 'the service failed', err: { message: 'a bad service' } }])
  await until(() => endpoint('ws-echo').open === 1, 'it is gone')
  other.send('on')
  await until(() => got.includes('on'), 'the other client is answered')
  other.terminate()
})
