/** TCP clients without streams: whether this Node.js can, and what becomes of it where it cannot. What such clients may expect stands in services.test.ts and streams.test.ts. */
import { connect as connectSocket, Server, Socket, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { ask } from '../src/clients/tcp.ts'
import type { Handle, Inside, Request, ServerHandle } from '../src/plugins/handle.ts'
import { HandleSocket } from '../src/plugins/handle-socket.ts'
import { defineTcpService } from '../src/service.ts'
import { appOf, connect, forThose, listeners, readAll, serverFor, streamsMade, TIMEOUT_MS, until, withInside, type TestServer } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

/** Talks to three services; how many streams Node.js made for that. */
const streamsFor = (t: Test, { target }: TestServer) => streamsMade(async () => {
  t.match(String(await ask(target('time'), options)), /^\w{3} \w{3} .*\d{4}\r\n$/)
  t.equal(String(await ask(target('echo'), { ...options, send: Buffer.from('hello') })), 'hello')
  const socket = await connect(target('exchange'))
  socket.write('hello')
  t.match(String(await readAll(socket)), /^Welcome[^]*Received: hello\r\n$/)
})

const isWarned = ({ log }: TestServer) => log.some(({ msg }) => msg === 'this Node.js has no way to accept a client without a stream: TCP connections cost more')

t.test('this Node.js can', async (t) => {
  const server = await serverFor(t)
  t.equal(isWarned(server), false)
  t.equal(await streamsFor(t, server), 0)
})

t.test('an accept that fails is told of, as before', async (t) => {
  const servers = listeners(t)
  const { endpoint, log } = await serverFor(t)
  const server = servers.find((one) => one.listening && (one.address() as AddressInfo).port === endpoint('time').port) as Server & { _handle: ServerHandle }
  server._handle.onconnection(-24, undefined)
  t.same([...endpoint('time').errors], [['EMFILE', 1]])
  t.match(log.at(-1), { service: 'time', msg: 'accept failed' })
})

const forOurs = (method: () => unknown) => forThose(HandleSocket, method)

/** Of Node.js's handles: the method, what it is instead, and what is wrong with that. */
const OTHERS = [
  ['writeBuffer', () => undefined, 'is not there'],
  ['writeBuffer', () => () => -1, 'fails'],
  ['writeBuffer', () => () => 0, 'writes nothing'],
  ['writeBuffer', forOurs(() => { throw new Error('it is another') }), 'throws'],
  ['shutdown', forOurs(() => 0), 'sends no FIN'],
  ['getpeername', () => undefined, 'is not there'],
  ['getpeername', () => () => -1, 'fails'],
  ['getpeername', forOurs(() => { throw new Error('it is another') }), 'throws'],
  ['useUserBuffer', () => undefined, 'is not there'],
  ['useUserBuffer', () => () => {}, 'does nothing']
] as const

for (const [name, make, title] of OTHERS) {
  t.test(`where ${name} ${title}, its clients are streams`, async (t) => {
    const server = await withInside(name, make, () => serverFor(t))
    t.equal(isWarned(server), true)
    t.equal(await streamsFor(t, server), 3)
  })
}

t.test('where Node.js asks its sockets for more, its clients are streams', async (t) => {
  const { read } = HandleSocket.prototype
  t.teardown(() => { HandleSocket.prototype.read = read })
  HandleSocket.prototype.read = () => { throw new Error('there is more to do') }
  const server = await serverFor(t)
  t.equal(isWarned(server), true)
  t.equal(await streamsFor(t, server), 3)
})

t.test('where Node.js does not tell them of their reads, its clients are streams', async (t) => {
  const { defineProperty } = Object
  t.intercept(Object, 'defineProperty', {
    value: (object: object, key: PropertyKey, descriptor: PropertyDescriptor) => object instanceof HandleSocket ? object : defineProperty(object, key, descriptor)
  })
  const server = await serverFor(t)
  t.equal(isWarned(server), true)
  t.equal(await streamsFor(t, server), 3)
})

t.test('where a socket has no timer that a write may start again, its clients are streams', async (t) => {
  const descriptor = Object.getOwnPropertyDescriptor(Socket.prototype, '_unrefTimer') as PropertyDescriptor
  t.teardown(() => Object.defineProperty(Socket.prototype, '_unrefTimer', descriptor))
  // Those of Node.js itself still have it.
  Object.defineProperty(Socket.prototype, '_unrefTimer', { configurable: true, get () { return this === Socket.prototype ? undefined : descriptor.value as unknown } })
  t.equal(isWarned(await serverFor(t)), true)
})

t.test('a stranger who comes to a port that a trial listens on, sends something and stays holds up no start', async (t) => {
  const { listen } = Server.prototype
  const strangers: Socket[] = []
  t.teardown(() => {
    Server.prototype.listen = listen
    for (const stranger of strangers) stranger.destroy()
  })
  Server.prototype.listen = function (this: Server, ...args: unknown[]) {
    this.once('listening', () => {
      const { port } = this.address() as AddressInfo
      for (let i = 0; i < 2; i++) strangers.push(connectSocket({ host: '127.0.0.1', port }).on('error', () => {}))
      for (const stranger of strangers) stranger.write('x')
    })
    return Reflect.apply(listen, this, args) as Server
  } as typeof listen
  const server = await serverFor(t)
  Server.prototype.listen = listen
  for (const stranger of strangers) stranger.destroy()
  t.match(String(await ask(server.target('time'), options)), /\d{4}\r\n$/)
})

t.test('what had to wait once is no sign of life later', async (t) => {
  let expire = () => {}
  t.intercept(globalThis, 'setTimeout', { value: (act: () => void) => { expire = act; return { unref () { return this }, refresh () {} } } })
  const handle = { writeQueueSize: 0, writeBuffer: () => { handle.writeQueueSize = 100; return 0 } }
  let request: Request = {}
  class Write { constructor () { request = this } }
  const socket = new HandleSocket(handle as unknown as Handle, { Write, owner: Symbol('owner') } as unknown as Inside)
  let timeouts = 0
  let written = 0
  socket.on('timeout', () => { timeouts++ }).setTimeout(1000)
  socket.write(Buffer.alloc(100), () => { written++ })
  handle.writeQueueSize = 40
  expire()
  t.equal(timeouts, 0, 'it takes some')
  handle.writeQueueSize = 0
  request.oncomplete?.(0)
  t.equal(written, 1)
  expire()
  t.equal(timeouts, 1)
})

t.test('what waits to be taken stays what it was, whatever is collected meanwhile', async (t) => {
  const BYTES = 16 * 1_048_576
  const answer = (byte: number) => Buffer.alloc(BYTES, byte)
  let clients = 0
  const giver = defineTcpService({ name: 'giver', ports: [1], summary: '', example: {}, onConnection: (client) => client.end(answer(++clients)) })
  const app = await appOf(t, [giver])
  const endpoint = app.endpoints.find(({ name }) => name === 'giver')
  const sockets: Socket[] = []
  for (let i = 1; i <= 4; i++) {
    sockets.push((await connect({ host: '127.0.0.1', port: endpoint?.port ?? 0 })).pause())
    await until(() => clients === i, 'it is served')
  }
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const others: Buffer[] = []
  for (let i = 0; i < 4; i++) {
    collect()
    // Where it was, there is something else now.
    others.push(answer(0xff))
    await delay(10)
  }
  for (const [i, socket] of sockets.entries()) {
    const received = readAll(socket)
    socket.resume()
    t.ok((await received).equals(answer(i + 1)))
  }
  t.equal(others.length, 4)
})
