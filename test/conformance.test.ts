/** One suite over every service: whatever a client does, it is answered correctly, forgotten afterwards, and does not affect others. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { ask as askTcp } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { ask as askWebSocket, connect as connectWebSocket } from '../src/clients/websocket.ts'
import { get } from '../src/clients/http.ts'
import type { Endpoint } from '../src/traffic/endpoint.ts'
import { wsEcho } from '../src/routes/ws-echo.ts'
import { wsTime } from '../src/routes/ws-time.ts'
import { rawServices } from '../src/sockets/index.ts'
import { rawSocket } from './clients.ts'
import { connect, readAll, serverFor, settled, TIMEOUT_MS, until, type TestServer } from './support.ts'

const MIB = 1_048_576
const CLIENTS = 50
const options = { timeoutMs: TIMEOUT_MS }

/** Largest backlog of a client that never reads: the socket buffers of both ends and the high-water marks of the program. */
const MAX_UNREAD_BYTES = 24 * MIB

async function isServed (server: TestServer, endpoint: Endpoint): Promise<boolean> {
  const target = server.target(endpoint.name)
  const { send, answer } = endpoint.example
  switch (endpoint.transport) {
    case 'http': return (await get(target, '/healthz', TIMEOUT_MS)).status === 200
    case 'websocket': return answer?.test(String((await askWebSocket({ ...target, path: endpoint.path ?? '' }, send, options)).data)) === true
    case 'tcp': return answer?.test(String(await askTcp(target, { send: Buffer.from(send ?? ''), ...options }))) === true
    case 'udp': {
      const got = await sendDatagram(target, Buffer.from(send ?? ''), { ...options, isAnswered: answer !== undefined })
      return answer === undefined || answer.test(String(got))
    }
  }
}

/** Checks that the service still serves, and that the client is forgotten. */
async function isUnharmed (t: Test, server: TestServer, endpoint: Endpoint): Promise<void> {
  t.ok(await isServed(server, endpoint), 'a fresh client is served')
  await until(() => server.app.endpoints.every(({ open }) => open === 0), `${endpoint.name} forgets its connections`)
  t.notOk(server.log.some(({ level }) => level >= 50), 'nothing is logged as an error')
}

async function servesMany (t: Test, server: TestServer, endpoint: Endpoint): Promise<void> {
  const served = await Promise.all(Array.from({ length: CLIENTS }, () => isServed(server, endpoint)))
  t.same(served, Array(CLIENTS).fill(true))
  await isUnharmed(t, server, endpoint)
}

/** Writes each byte in a separate turn of the loop, so that the server reads it alone. */
async function writeByteByByte (socket: Socket, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) {
    await new Promise((resolve) => { socket.write(Buffer.of(byte), resolve) })
    await new Promise(setImmediate)
  }
}

for (const service of rawServices.filter(({ transport }) => transport === 'tcp')) {
  t.test(`tcp ${service.name}`, async (t) => {
    const server = await serverFor(t, { PROFILE: 'bench' })
    const endpoint = server.endpoint(service.name)
    const target = server.target(service.name)
    const text = service.example.send ?? ''

    await t.test('survives an RST at every step', async (t) => {
      const steps: Record<string, (socket: Socket) => Promise<unknown> | unknown> = {
        'after connect': () => {},
        'once it was accepted': () => until(() => endpoint.open > 0 || endpoint.total > 0, 'accepted'),
        'after sending': (socket) => new Promise((resolve) => { socket.write('Hello', resolve) }),
        'after the half-close': (socket) => new Promise((resolve) => { socket.end('Hello', () => resolve(undefined)) }),
        'with an unread answer': async (socket) => {
          socket.pause()
          for (let i = 0; i < 16; i++) socket.write(Buffer.alloc(65_536))
          await until(() => endpoint.bytesIn > 0, 'the server reads')
        }
      }
      for (const [name, step] of Object.entries(steps)) {
        const socket = await connect(target, { allowHalfOpen: true })
        await step(socket)
        socket.resetAndDestroy()
        t.ok(await isServed(server, endpoint), `a fresh client is served, ${name}`)
      }
      await isUnharmed(t, server, endpoint)
    })

    await t.test('answers a client that half-closed', async (t) => {
      const socket = await connect(target, { allowHalfOpen: true })
      socket.end(text)
      t.match(String(await readAll(socket)), service.example.answer)
      t.equal(socket.errored, null)
      await isUnharmed(t, server, endpoint)
    })

    await t.test('answers a client that sends 1 MiB, with no RST over its answer', async (t) => {
      const sent = Buffer.alloc(MIB, 'oneloop ')
      const answer = await askTcp(target, { send: sent, ...options })
      if (service.name === 'echo') t.ok(answer.equals(sent), 'every byte came back')
      else if (service.name === 'sink') t.equal(String(answer), `All Data Received: ${MIB} bytes\r\n`)
      else t.ok(answer.length > 0, 'the answer came whole, to its FIN')
      await isUnharmed(t, server, endpoint)
    })

    await t.test(`serves ${CLIENTS} clients at once`, (t) => servesMany(t, server, endpoint))

    await t.test('does not read a client that never reads', async (t) => {
      const socket = await connect(target, { allowHalfOpen: true })
      socket.pause()
      const before = endpoint.bytesIn
      let wanted = 64
      const block = Buffer.alloc(MIB)
      const more = () => { while (wanted-- > 0 && socket.write(block)); }
      socket.on('drain', more)
      more()
      const taken = await settled(() => endpoint.bytesIn) - before
      if (service.name === 'echo') t.ok(taken < MAX_UNREAD_BYTES, `${taken} bytes were taken of 64 MiB`)
      t.ok(await isServed(server, endpoint), 'another client is served meanwhile')
      socket.resetAndDestroy()
      await isUnharmed(t, server, endpoint)
    })

    await t.test('serves a client that sends a byte at a time', async (t) => {
      const socket = await connect(target, { allowHalfOpen: true })
      const answered = readAll(socket)
      await writeByteByByte(socket, Buffer.from(text))
      socket.end()
      const answer = String(await answered)
      // TCP has no message boundaries: to these two services, one read is one message.
      if (service.name === 'echo-once') t.ok(answer.length > 0 && text.startsWith(answer), answer)
      else if (service.name === 'exchange') t.match(answer, /^Welcome.*\r\nReceived: H[elo, wrd]*\r\n$/)
      else t.match(answer, service.example.answer)
      await isUnharmed(t, server, endpoint)
    })

    await t.test('tells the feed and the log of a connection from connect to close', async (t) => {
      server.events.length = 0
      server.log.length = 0
      const answer = await askTcp(target, { send: Buffer.from(text), ...options })
      await until(() => server.events.some(({ type }) => type === 'close'), 'close is published')
      const [first] = server.events
      const sum = (type: string) => server.events.filter((event) => event.type === type).reduce((bytes, event) => bytes + (event.bytes ?? 0), 0)
      t.match(first, { type: 'connect', transport: 'tcp', service: service.name, peer: /^127\.0\.0\.1:\d+$/ })
      t.equal(server.events.at(-1)?.type, 'close')
      t.ok(server.events.some(({ type }) => type === 'half-close'))
      t.equal(sum('receive'), text.length)
      t.equal(sum('send'), answer.length)
      t.ok(server.events.every(({ connection }) => connection === first?.connection))
      t.match(server.log.filter(({ service: name }) => name === service.name), [{
        msg: 'connection closed', connection: first?.connection, peer: first?.peer, bytesIn: text.length, bytesOut: answer.length, reason: /^closed by/
      }])
    })
  })
}

for (const service of [wsEcho, wsTime()]) {
  t.test(`websocket ${service.name}`, async (t) => {
    const server = await serverFor(t, { PROFILE: 'bench' })
    const endpoint = server.endpoint(service.name)
    const target = { ...server.target(service.name), path: service.path }
    const open = () => connectWebSocket(target, options)

    await t.test('survives an RST at every step', async (t) => {
      const beforeUpgrade = await connect(target)
      beforeUpgrade.write(`GET ${service.path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`)
      beforeUpgrade.resetAndDestroy()
      const inUpgrade = await connect(target)
      inUpgrade.write(`GET ${service.path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`)
      inUpgrade.resetAndDestroy()
      for (const step of ['after the upgrade', 'after a message', 'in a frame', 'with an unread answer']) {
        const socket = await open()
        if (step === 'after a message') socket.send('Hello')
        if (step === 'in a frame') rawSocket(socket).write(Buffer.from([0x81, 0x85, 1, 2, 3, 4, 5]))
        if (step === 'with an unread answer') {
          socket.pause()
          for (let i = 0; i < 16; i++) socket.send(Buffer.alloc(65_536))
        }
        rawSocket(socket).resetAndDestroy()
        t.ok(await isServed(server, endpoint), `a fresh client is served, ${step}`)
      }
      await isUnharmed(t, server, endpoint)
    })

    await t.test('ends with a client that half-closed', async (t) => {
      const socket = await open()
      rawSocket(socket).end()
      await once(socket, 'close')
      await isUnharmed(t, server, endpoint)
    })

    await t.test('takes a message of 1 MiB', async (t) => {
      const sent = Buffer.alloc(MIB, 'oneloop ')
      const { data } = await askWebSocket(target, sent, options)
      if (service.name === 'ws-echo') t.ok(data.equals(sent), 'it came back whole')
      await isUnharmed(t, server, endpoint)
    })

    await t.test(`serves ${CLIENTS} clients at once`, (t) => servesMany(t, server, endpoint))

    await t.test('does not read a client that never reads', async (t) => {
      const socket = await open()
      socket.pause()
      const before = endpoint.bytesIn
      for (let i = 0; i < 64; i++) socket.send(Buffer.alloc(MIB))
      const taken = await settled(() => endpoint.bytesIn) - before
      if (service.name === 'ws-echo') t.ok(taken < MAX_UNREAD_BYTES, `${taken} bytes were taken of 64 MiB`)
      t.ok(await isServed(server, endpoint), 'another client is served meanwhile')
      socket.terminate()
      await isUnharmed(t, server, endpoint)
    })

    await t.test('serves a client that sends a byte at a time', async (t) => {
      const socket = await open()
      const answered = once(socket, 'message')
      // "Hello" in one masked frame (RFC 6455, section 5.7).
      await writeByteByByte(rawSocket(socket), Buffer.from('818537fa213d7f9f4d5158', 'hex'))
      const [data] = await answered
      if (service.name === 'ws-echo') t.equal(String(data), 'Hello')
      socket.close()
      await isUnharmed(t, server, endpoint)
    })

    await t.test('tells the feed and the log of a connection from connect to close', async (t) => {
      server.events.length = 0
      server.log.length = 0
      const { data } = await askWebSocket(target, service.example.send, options)
      await until(() => server.events.filter(({ type }) => type === 'close').length === 2, 'both lives are closed')
      const own = server.events.filter((event) => event.service === service.name)
      t.match(own.map(({ type }) => type), service.example.send === undefined ? ['connect', 'send', 'close'] : ['connect', 'receive', 'send', 'close'])
      t.match(own.at(-1), { reason: 'close code 1000' })
      const http = server.events.filter((event) => event.service === 'http')
      t.match(http.at(-1), { type: 'close', reason: 'upgraded', connection: own[0]?.connection }, 'the upgrade keeps the connection\'s number')
      t.match(server.log.filter((line) => line.service === service.name), [{ msg: 'connection closed', bytesOut: data.length, reason: 'close code 1000' }])
    })
  })
}

t.test('http', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const endpoint = server.endpoint('http')
  const target = server.target('http')
  const request = 'GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n'

  await t.test('survives an RST at every step', async (t) => {
    for (const sent of ['', 'GE', 'GET / HTTP/1.1\r\nHos', request, request.repeat(100)]) {
      const socket = await connect(target)
      if (sent) await new Promise((resolve) => { socket.write(sent, resolve) })
      socket.resetAndDestroy()
      t.ok(await isServed(server, endpoint), `a fresh client is served after ${sent.length} bytes`)
    }
    await isUnharmed(t, server, endpoint)
  })

  await t.test('answers a client that half-closed', async (t) => {
    const socket = await connect(target, { allowHalfOpen: true })
    socket.end(request)
    t.match(String(await readAll(socket)), /^HTTP\/1\.1 200 OK/)
    await isUnharmed(t, server, endpoint)
  })

  await t.test('refuses a body of more than 1 MiB where no body belongs, and serves on', async (t) => {
    const socket = await connect(target)
    socket.write(`POST / HTTP/1.1\r\nHost: oneloop\r\nConnection: close\r\nContent-Length: ${MIB}\r\n\r\n`)
    socket.write(Buffer.alloc(MIB))
    t.match(String(await readAll(socket)), /^HTTP\/1\.1 405/)
    socket.destroy()
    await isUnharmed(t, server, endpoint)
  })

  await t.test(`serves ${CLIENTS} clients at once`, (t) => servesMany(t, server, endpoint))

  await t.test('does not read a client that never reads', async (t) => {
    const socket = await connect(target)
    socket.pause()
    const before = endpoint.bytesIn
    const block = Buffer.from('GET /assets/style.css HTTP/1.1\r\nHost: oneloop\r\n\r\n'.repeat(20_000))
    for (let i = 0; i < 16; i++) socket.write(block)
    await settled(() => endpoint.bytesOut)
    t.ok(socket.writableLength > 0, `${endpoint.bytesIn - before} bytes of ${16 * block.length} were taken, and no more`)
    t.ok(await isServed(server, endpoint), 'another client is served meanwhile')
    socket.destroy()
    await isUnharmed(t, server, endpoint)
  })

  await t.test('serves a client that sends a byte at a time', async (t) => {
    const socket = await connect(target, { allowHalfOpen: true })
    const answered = readAll(socket)
    await writeByteByByte(socket, Buffer.from(request))
    socket.end()
    t.match(String(await answered), /^HTTP\/1\.1 200 OK/)
    await isUnharmed(t, server, endpoint)
  })

  await t.test('tells the feed and the log of a connection from connect to close', async (t) => {
    server.events.length = 0
    server.log.length = 0
    await get(target, '/healthz', TIMEOUT_MS)
    await until(() => server.events.some(({ type }) => type === 'close'), 'close is published')
    t.match(server.events.map(({ type }) => type), ['connect', 'receive', 'send', 'close'])
    const { connection, peer } = server.events[0] ?? {}
    t.match(server.log, [
      { msg: 'request', connection, peer, method: 'GET', url: '/healthz', status: 200 },
      { msg: 'connection closed', connection, peer, bytesIn: server.events[1]?.bytes, bytesOut: server.events[2]?.bytes }
    ])
  })
})

for (const service of rawServices.filter(({ transport }) => transport === 'udp')) {
  t.test(`udp ${service.name}`, async (t) => {
    const server = await serverFor(t, { PROFILE: 'bench' })
    const endpoint = server.endpoint(service.name)
    const target = server.target(service.name)
    const isAnswered = service.example.answer !== undefined

    await t.test('takes the empty datagram and the largest that it answers', async (t) => {
      for (const size of [0, 1, 1472]) {
        const sent = Buffer.alloc(size, 'oneloop ')
        const total = endpoint.total
        const got = await sendDatagram(target, sent, { ...options, isAnswered })
        if (isAnswered) t.ok(got?.equals(sent), `${size} bytes came back`)
        await until(() => endpoint.total === total + 1, `${size} bytes are counted`)
      }
      await isUnharmed(t, server, endpoint)
    })

    await t.test('survives a sender that is gone before its answer', async (t) => {
      for (let i = 0; i < 100; i++) await sendDatagram(target, Buffer.from('gone'), { ...options, isAnswered: false })
      await isUnharmed(t, server, endpoint)
    })

    await t.test(`serves ${CLIENTS} clients at once`, (t) => servesMany(t, server, endpoint))

    await t.test('tells the feed of a datagram and its answer', async (t) => {
      await settled(() => endpoint.total)
      server.events.length = 0
      await isServed(server, endpoint)
      const types = isAnswered ? ['receive', 'send'] : ['receive']
      await until(() => server.events.length === types.length, 'the events')
      t.match(server.events, types.map((type) => ({ type, transport: 'udp', service: service.name, connection: 0, bytes: 12 })))
    })
  })
}

const bytes = (maxLength: number) => fc.uint8Array({ maxLength, size: 'max' }).map((array) => Buffer.from(array))
/** Pieces of up to 70,000 bytes in total: more than the server reads at once. */
const pieces = fc.array(fc.oneof(bytes(16), bytes(7000)), { maxLength: 10 })

t.test('any bytes come back from echo, split in any way', async (t) => {
  const { target } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  await fc.assert(fc.asyncProperty(pieces, async (parts) => {
    const send = (async function * () {
      for (const part of parts) {
        yield part
        await new Promise(setImmediate)
      }
    })()
    const got = await askTcp(target('echo'), { send, ...options })
    return got.equals(Buffer.concat(parts))
  }), { numRuns: 60 })
})

t.test('any datagram comes back from udp-echo', async (t) => {
  const { target } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  await fc.assert(fc.asyncProperty(bytes(1472), async (sent) => {
    const got = await sendDatagram(target('udp-echo'), sent, options)
    return got?.equals(sent)
  }), { numRuns: 60 })
})

t.test('any messages come back from /ws/echo, of their kind and in order, split into any fragments', async (t) => {
  const { target } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  const message = fc.oneof(
    fc.record({ isBinary: fc.constant(true), parts: fc.array(bytes(7000), { minLength: 1, maxLength: 5 }) }),
    fc.record({ isBinary: fc.constant(false), parts: fc.array(fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)), { minLength: 1, maxLength: 5 }) })
  )
  await fc.assert(fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), async (messages) => {
    const got: { data: Buffer, isBinary: boolean }[] = []
    const socket = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, { ...options, onMessage: (one) => got.push(one) })
    for (const { isBinary, parts } of messages) {
      for (const [index, part] of parts.entries()) socket.send(part, { binary: isBinary, fin: index === parts.length - 1 })
    }
    // The close frame follows the messages, and its answer follows theirs.
    socket.close(1000)
    await once(socket, 'close')
    return got.length === messages.length && messages.every(({ isBinary, parts }, index) =>
      got[index]?.isBinary === isBinary && got[index].data.equals(Buffer.concat(parts)))
  }), { numRuns: 50 })
})
