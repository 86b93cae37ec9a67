/** What a flood of datagrams does to everybody else, on both ways of reading and of sending; and that nothing of it is lost on the way. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pauseOf, works, type PauseOf } from '../src/plugins/udp-pause.ts'
import type { SendRequest, UdpHandle } from '../src/plugins/udp-handle.ts'
import { plainSenderOf, senderOf, works as sends, type SenderOf } from '../src/plugins/udp-sender.ts'
import { ALONE_MS, SHARE_MS } from '../src/turn.ts'
import { serverFor, TIMEOUT_MS, until, type TestServer } from './support.ts'

const COUNT = 60
/** What a datagram takes here: longer than it does, so that the busiest machine counts the same. */
const EACH_MS = SHARE_MS
/** What a flood that is alone has of a turn, and the one that crosses it. */
const MOST = ALONE_MS / EACH_MS + 1

/** The methods of a UDP socket's handle. */
function methods (): UdpHandle {
  const socket = createSocket('udp4')
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol') as symbol
  const { handle } = (socket as unknown as Record<symbol, { handle: object }>)[symbol] as { handle: object }
  socket.close()
  return Object.getPrototypeOf(handle) as UdpHandle
}

/** A socket that sends to the echo service, and what it is answered. */
async function clientOf (t: Test, { target }: TestServer): Promise<{ sender: Socket, answers: string[] }> {
  const sender = createSocket('udp4')
  t.teardown(() => sender.close())
  const answers: string[] = []
  sender.on('message', (message) => answers.push(String(message)))
  sender.connect(target('udp-echo').port, '127.0.0.1')
  await once(sender, 'connect')
  return { sender, answers }
}

/** Sends a flood that comes while the loop is held, and tells how much of it was served in each turn after that, and the answers. */
async function flood (t: Test, server: TestServer): Promise<{ turns: number[], answers: string[] }> {
  const { sender, answers } = await clientOf(t, server)
  const echo = server.endpoint('udp-echo')
  const { now } = performance
  let passed = 0
  // It is asked when a datagram comes.
  performance.now = () => now.call(performance) + (passed += EACH_MS)
  t.teardown(() => { performance.now = now })
  for (let i = 0; i < COUNT; i++) sender.send(String(i))
  const turns: number[] = []
  const deadline = now.call(performance) + TIMEOUT_MS
  for (let before = echo.total; echo.total < COUNT; before = echo.total) {
    if (now.call(performance) > deadline) throw new Error(`${COUNT - echo.total} datagrams did not come`)
    await nextTurn()
    if (echo.total > before) turns.push(echo.total - before)
  }
  performance.now = now
  await until(() => answers.length === COUNT, 'every datagram is answered')
  return { turns, answers }
}

const everyOne = Array.from({ length: COUNT }, (_, i) => String(i))

t.test('a flood of datagrams has its share of a turn, and the rest waits for the next ones', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const { turns, answers } = await flood(t, server)
  t.ok(Math.max(...turns) <= MOST, `served in each turn: ${turns.join(' ')}`)
  t.same(answers, everyOne, 'each is answered, in its order')
  t.notOk(server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to stop')))
})

t.test('beside others a port is read every second turn if they are quick, and else in each', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const echo = server.endpoint('udp-echo')
  const { sender } = await clientOf(t, server)
  const { now } = performance
  t.teardown(() => { performance.now = now })
  for (const [title, othersMs, isEverySecond] of [['quick', 0, true], ['slow', 2 * SHARE_MS, false]] as const) {
    server.app.presence.served++
    sender.send('somebody else is there')
    const before = echo.total
    await until(() => echo.total === before + 1, 'it is served')
    // A datagram takes a share; whatever else asks, in this turn or in the next, does so after as long as others take.
    let asked = 0
    performance.now = () => echo.total * SHARE_MS + asked++ * othersMs
    for (let i = 0; i < 6; i++) sender.send(String(i))
    const served: number[] = []
    for (let last = echo.total; echo.total < before + 7; last = echo.total) {
      if (served.length > 1000) throw new Error('they do not come')
      await nextTurn()
      served.push(echo.total - last)
    }
    performance.now = now
    const first = served.findIndex((count) => count > 0)
    const turns = served.slice(first)
    t.ok(turns.length > 2, `served in each turn: ${served.join(' ')}`)
    t.ok(turns.every((count, i) => (count === 0) === (isEverySecond && i % 2 === 1)), title)
  }
})

t.test('where Node.js has no way to stop a socket all is served at once', async (t) => {
  const handle = methods()
  const { recvStop } = handle
  handle.recvStop = () => {}
  const server = await serverFor(t, { PROFILE: 'bench' }).finally(() => { handle.recvStop = recvStop })
  t.ok(server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to stop a UDP socket')))
  const { turns, answers } = await flood(t, server)
  t.ok(Math.max(...turns) > MOST, `served in each turn: ${turns.join(' ')}`)
  t.same(answers, everyOne)
})

t.test('what a socket does when it is stopped is found out at the start', async (t) => {
  t.equal(await works(pauseOf, '127.0.0.1'), true, 'this Node.js')
  const others: Record<string, PauseOf> = {
    'one without a way': () => undefined,
    'one that goes on': () => ({ stop () {}, start () {} }),
    'one that does not start again': (socket) => ({ stop () { pauseOf(socket)?.stop() }, start () {} })
  }
  for (const [name, other] of Object.entries(others)) t.equal(await works(other, '127.0.0.1', 300), false, name)
  t.equal(await works(pauseOf, '192.0.2.1'), false, 'on an address that is not of this machine')
})

t.test('a socket that is closed while it waits stays closed', async (t) => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const pause = pauseOf(socket)
  t.ok(pause)
  pause?.stop()
  socket.close()
  await once(socket, 'close')
  t.doesNotThrow(() => pause?.start())
  t.doesNotThrow(() => pause?.stop())
})

/** A server on a Node.js whose sockets cannot be sent with past `send`. */
async function plainServer (t: Test): Promise<TestServer> {
  const handle = methods()
  Object.defineProperty(handle, 'send', { writable: false })
  return serverFor(t, { PROFILE: 'bench' }).finally(() => Object.defineProperty(handle, 'send', { writable: true }))
}

t.test('where Node.js has no way to send directly datagrams are answered as it does it', async (t) => {
  const server = await plainServer(t)
  t.ok(server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to send datagrams directly')))
  t.same((await flood(t, server)).answers, everyOne)
  t.equal(server.endpoint('udp-echo').answered, COUNT)
  t.equal(server.endpoint('udp-echo').bytesOut, everyOne.join('').length)
})

t.test('what a socket does when it is sent with is found out at the start', async (t) => {
  t.equal(await sends(senderOf, '127.0.0.1'), true, 'this Node.js')
  t.equal(await sends(senderOf, '::1'), true, 'over IPv6')
  t.equal(await sends(plainSenderOf, '127.0.0.1'), true, 'as it is documented')
  const others: Record<string, SenderOf> = {
    'one without a way': () => undefined,
    'one that sends nothing': () => ({ unsentBytes: 0, send: (bytes, _port, _address, onSent) => onSent(null, bytes.length) }),
    'one that does not tell': (socket) => ({ unsentBytes: 0, send: (bytes, port, address) => { senderOf(socket)?.send(bytes, port, address, () => {}) } }),
    'one that counts wrongly': (socket) => ({ unsentBytes: 0, send: (bytes, port, address, onSent) => { senderOf(socket)?.send(bytes, port, address, () => onSent(null, 1)) } }),
    'one that sends something else': (socket) => ({ unsentBytes: 0, send: (bytes, port, address, onSent) => { senderOf(socket)?.send(bytes.fill(120), port, address, onSent) } }),
    'one that fails': () => ({ unsentBytes: 0, send: (_bytes, _port, _address, onSent) => onSent(new Error('failed'), 0) })
  }
  for (const [name, other] of Object.entries(others)) t.equal(await sends(other, '127.0.0.1', 300), false, name)
  t.equal(await sends(senderOf, '192.0.2.1'), false, 'on an address that is not of this machine')
})

t.test('an answer that is not sent is told of, and one from a closed socket is none', async (t) => {
  for (const way of [senderOf, plainSenderOf]) {
    const socket = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) })
    const bound = once(socket, 'listening')
    socket.bind(0, '127.0.0.1')
    await bound
    const sender = way(socket)
    const [error, bytes] = await new Promise<[NodeJS.ErrnoException | null, number]>((resolve) => { sender?.send(Buffer.from('x'), 9, '255.255.255.255', (error, bytes) => resolve([error, bytes ?? 0])) })
    t.match(error, { code: 'EACCES', syscall: 'send', message: 'send EACCES 255.255.255.255:9', address: '255.255.255.255', port: 9 })
    t.ok(Number(error?.errno) < 0)
    t.equal(bytes, 0)
    socket.close()
    await once(socket, 'close')
    if (way === senderOf) t.doesNotThrow(() => sender?.send(Buffer.from('x'), 9, '127.0.0.1', () => t.fail('it is not sent')))
  }
})

t.test('answers that the system takes later are waited for, up to 256 KiB, and counted then', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const echo = server.endpoint('udp-echo')
  const { sender, answers } = await clientOf(t, server)
  const handle = methods()
  const { send } = handle as Required<UdpHandle>
  const waiting: SendRequest[] = []
  t.teardown(() => { handle.send = send })
  handle.send = function (...args) {
    const [request, , , port] = args
    // Not an answer: the client's socket is connected.
    if (typeof port !== 'number') return Reflect.apply(send, this, args) as number
    waiting.push(request)
    return 0
  }
  const room = Math.floor(262_144 / 1024) + 1
  for (let i = 0; i < room + 2; i++) {
    sender.send(Buffer.alloc(1024, 'x'))
    await until(() => echo.total === i + 1, 'it is there')
  }
  t.equal(waiting.length, room)
  t.equal(new Set(waiting).size, room, 'each has a request of its own')
  t.ok(waiting.every(({ list }) => list?.[0]?.length === 1024), 'which keeps its bytes')
  t.same([...echo.refusals], [['send queue full', 2]])
  t.equal(echo.answered, 0)
  waiting[0]?.oncomplete?.(0, 1024)
  waiting[1]?.oncomplete?.(-1, 0)
  t.equal(echo.answered, 1)
  t.equal(echo.bytesOut, 1024)
  t.same([...echo.errors], [['EPERM', 1]])
  handle.send = send
  sender.send(Buffer.alloc(1024, 'x'))
  await until(() => answers.length === 1, 'there is room again')
})

t.test('what was heard before the end is answered', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const echo = server.endpoint('udp-echo')
  const { sender, answers } = await clientOf(t, server)
  const { now } = performance
  t.teardown(() => { performance.now = now })
  const closed: Promise<unknown>[] = []
  // It is asked when a datagram comes: the first two are answered or held by then, and so is this one before anything else happens.
  performance.now = () => {
    if (echo.total === 2 && closed.length === 0) closed.push(server.app.close())
    return now.call(performance)
  }
  for (let i = 0; i < 10; i++) sender.send(String(i))
  const deadline = now.call(performance) + TIMEOUT_MS
  while (closed.length === 0 && now.call(performance) < deadline) await nextTurn()
  performance.now = now
  await Promise.all(closed)
  t.ok(echo.total > 2)
  await until(() => answers.length === echo.total, 'each is answered')
  t.equal(echo.answered, echo.total)
})

t.test('a socket that was looked at sends as before, and has sent nothing', async (t) => {
  const socket = createSocket({ type: 'udp4', lookup: (host, _options, done) => done(null, host, 4) })
  t.teardown(() => socket.close())
  const bound = once(socket, 'listening')
  socket.bind(0, '127.0.0.1')
  await bound
  t.ok(senderOf(socket))
  const heard = once(socket, 'message')
  socket.send('after', socket.address().port, '127.0.0.1')
  t.equal(String((await heard)[0]), 'after', 'and nothing came before')
})
