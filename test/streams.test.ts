/** What makes it fast must not be seen: order, completeness, half-close, RST, readers that are slow or stop, in all ways of reading; and who waits for whom. */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { HandleSocket } from '../src/plugins/handle-socket.ts'
import { BUFFER_BYTES, MAX_LENT, ReadMemory } from '../src/plugins/read-memory.ts'
import { TcpReader } from '../src/plugins/tcp-reader.ts'
import { Presence, Turn, type Answer } from '../src/turn.ts'
import { frame as frameText } from './corpus-websocket.ts'
import { connect, handshake, onStreams, readAll, serverFor, settled, until, withInside, type TestServer } from './support.ts'

const MIB = 1_048_576
const SETTINGS = { PROFILE: 'bench', WS_RATE: '1000000', WS_BURST: '1000000' }

/** A server on a Node.js whose `useUserBuffer` is another. */
const withUserBuffer = (t: Test, method: unknown) => withInside('useUserBuffer', () => method, () => serverFor(t, SETTINGS))

const isPlain = (server: TestServer) => server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to read'))

const isOnStreams = (server: TestServer) => server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to accept'))

const frame = (text: string, opcode = 2, isLast = true): Buffer => Buffer.from(frameText(opcode, text, { isLast }), 'latin1')
const BYE = frame('\x03\xe8', 8)

/** The frames of a server, each as `opcode:payload`, from everything that came after its handshake. */
function frames (bytes: Buffer): string[] {
  const list: string[] = []
  for (let at = bytes.indexOf('\r\n\r\n') + 4; at < bytes.length;) {
    let length = bytes.readUInt8(at + 1)
    let head = 2
    if (length === 126) [length, head] = [bytes.readUInt16BE(at + 2), 4]
    list.push(`${bytes.readUInt8(at) & 15}:${bytes.toString('latin1', at + head, at + head + length)}`)
    at += head + length
  }
  return list
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`)
const binary = (texts: readonly string[]) => texts.map((text) => `2:${text}`)

/** From now on all answers are sent at the end of their turn, as where many come and nobody else is there. */
function holdAnswers (t: Test): void {
  const held = new WeakMap<Turn, Answer[]>()
  t.intercept(Turn.prototype, 'sendHeld', {
    value (this: Turn) {
      const answers = held.get(this)
      held.delete(this)
      for (const answer of answers ?? []) answer.send()
    }
  })
  t.intercept(Turn.prototype, 'answer', {
    value (this: Turn, answer: Answer) {
      const answers = held.get(this)
      if (answers) return answers.push(answer)
      held.set(this, [answer])
      setImmediate(() => this.sendHeld())
    }
  })
}

interface Way { readonly start: (t: Test) => Promise<TestServer>, readonly plain?: true, readonly onStreams?: true }
const inMemory = (t: Test) => serverFor(t, SETTINGS)
const WAYS: Readonly<Record<string, Way>> = {
  'into memory that is there': { start: inMemory },
  'into memory that is there, with answers at the end of the turn': {
    start (t) {
      holdAnswers(t)
      return inMemory(t)
    }
  },
  'into memory that is there, with TCP clients on streams': { start: (t) => onStreams(() => inMemory(t)), onStreams: true },
  'as Node.js does it': { start: (t) => withUserBuffer(t, undefined), plain: true, onStreams: true }
}

for (const [title, way] of Object.entries(WAYS)) {
  t.test(`reading ${title}`, async (t) => {
    const server = await way.start(t)
    t.equal(isPlain(server), way.plain === true)
    t.equal(isOnStreams(server), way.onStreams === true)
    const { target } = server

    t.test('a stream comes back whole and in order, whatever its pieces, and after a FIN', async (t) => {
      const data = randomBytes(12 * MIB)
      const socket = await connect(target('echo'), { allowHalfOpen: true })
      const received = readAll(socket)
      for (let at = 0; at < data.length;) {
        const end = at + (randomInt(4) === 0 ? randomInt(1, 300_000) : randomInt(1, 3000))
        if (!socket.write(data.subarray(at, end))) await once(socket, 'drain')
        at = end
      }
      socket.end()
      t.ok((await received).equals(data))
    })

    t.test('more streams at once than there are buffers for: each gets its own bytes, alone and among others', async (t) => {
      const other = await connect(target('echo'))
      other.on('data', (chunk) => other.write(chunk))
      for (const isAlone of [true, false]) {
        if (!isAlone) other.write('x')
        const answers = await Promise.all(Array.from({ length: MAX_LENT + 8 }, async () => {
          const data = randomBytes(2 * MIB)
          const socket = await connect(target('echo'), { allowHalfOpen: true })
          const received = readAll(socket)
          socket.end(data)
          return (await received).equals(data)
        }))
        t.ok(answers.every(Boolean))
      }
      other.destroy()
    })

    t.test('a reader that stops is not read, holds nobody up, and gets everything once it reads on', async (t) => {
      const data = randomBytes(48 * MIB)
      const slow = await connect(target('echo'), { allowHalfOpen: true })
      slow.pause()
      slow.end(data)
      const endpoint = server.endpoint('echo')
      const taken = await settled(() => endpoint.bytesIn)
      t.ok(slow.writableLength > 0, 'it is not read to its end')
      const other = randomBytes(4 * MIB)
      const socket = await connect(target('echo'), { allowHalfOpen: true })
      const received = readAll(socket)
      socket.end(other)
      t.ok((await received).equals(other), 'others are served, with their own bytes')
      t.equal(endpoint.bytesIn - taken, other.length, 'and it still is not read')
      const all = readAll(slow)
      slow.resume()
      t.ok((await all).equals(data))
    })

    t.test('an RST at every step leaves the others alone', async (t) => {
      for (let step = 0; step < 40; step++) {
        const socket = await connect(target('echo'))
        if (step % 4 > 0) socket.write(randomBytes(step % 4 === 1 ? 10 : 2 * MIB))
        if (step % 4 === 2) socket.pause()
        if (step % 4 === 3) await once(socket, 'data')
        socket.resetAndDestroy()
      }
      await until(() => server.endpoint('echo').open === 0, 'all are gone')
      const data = randomBytes(8 * MIB)
      const socket = await connect(target('echo'), { allowHalfOpen: true })
      const received = readAll(socket)
      socket.end(data)
      t.ok((await received).equals(data))
    })

    t.test('messages of one write are answered in order, with what came with the handshake, up to the close frame', async (t) => {
      const socket = await connect(target('http'))
      const received = readAll(socket)
      const texts = numbered(6000)
      const all = texts.map((text) => frame(text))
      socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...all.slice(0, 20)]))
      socket.write(Buffer.concat([...all.slice(20), BYE, frame('late')]))
      const answers = frames(await received)
      t.same(answers.slice(0, -1), binary(texts))
      t.match(answers.at(-1), /^8:/)
    })

    t.test('pings and fragments between them keep their place', async (t) => {
      const socket = await connect(target('http'))
      const received = readAll(socket)
      const batch = Buffer.concat([frame('a'), frame('b', 2, false), frame('p', 9), frame('c', 0), frame('d', 1), frame('q', 9), BYE])
      socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), batch]))
      t.same(frames(await received).slice(0, -1), ['2:a', '10:p', '2:bc', '1:d', '10:q'])
    })

    t.test('messages before a FIN are all answered', async (t) => {
      for (const count of [10, 3000]) {
        const socket = await connect(target('http'), { allowHalfOpen: true })
        const received = readAll(socket)
        const texts = numbered(count)
        socket.end(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...texts.map((text) => frame(text))]))
        t.same(frames(await received), binary(texts))
      }
    })

    t.test('a peer that stops reading in the middle of a batch gets the rest once it reads on', async (t) => {
      const socket = await connect(target('http'))
      socket.write(handshake('/ws/echo'))
      await once(socket, 'data')
      socket.pause()
      // Linux takes up to 36 MiB for both.
      const texts = Array.from({ length: 48_000 }, (_, i) => `${i} ${'x'.repeat(1000)}`)
      socket.write(Buffer.concat([...texts.map((text) => frame(text)), BYE]))
      await settled(() => server.endpoint('ws-echo').bytesIn)
      t.ok(socket.writableLength > 0, 'it is not read')
      const rest = readAll(socket)
      socket.resume()
      const answers = frames(Buffer.concat([Buffer.from('\r\n\r\n'), await rest]))
      t.same(answers.slice(0, -1), binary(texts))
    })

    t.test('an RST in the middle of a batch leaves the others alone', async (t) => {
      for (let i = 0; i < 10; i++) {
        const socket = await connect(target('http'))
        socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...numbered(3000).map((text) => frame(text))]))
        if (i % 2 === 0) await once(socket, 'data')
        socket.resetAndDestroy()
      }
      await until(() => server.endpoint('ws-echo').open === 0, 'all are gone')
      t.same(server.log.filter(({ level }) => level >= 50), [])
    })

    t.test('requests are answered in order, wherever they are cut, up to the FIN', async (t) => {
      const names = Array.from({ length: 400 }, (_, i) => `/nothing-${i}`)
      const body = 'x'.repeat(9000)
      const all = names.map((name, i) => i % 50 === 7
        ? `POST ${name} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        : `GET ${name} HTTP/1.1\r\nHost: a\r\n\r\n`).join('')
      for (const most of [all.length, 3000, 40]) {
        const socket = await connect(target('http'), { allowHalfOpen: true })
        const received = readAll(socket)
        for (let at = 0; at < all.length;) {
          const end = at + (most === all.length ? most : randomInt(1, most))
          socket.write(all.slice(at, end))
          at = end
          if (randomInt(3) === 0) await nextTurn()
        }
        socket.end()
        t.same(String(await received).match(/\/nothing-\d+/g), names)
      }
    })

    t.test('a client that does not read its answers is not read, and gets all of them once it reads on, after its FIN too', async (t) => {
      const socket = await connect(target('http'), { allowHalfOpen: true })
      socket.pause()
      socket.end('GET /assets/page.js HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2000))
      const endpoint = server.endpoint('http')
      await settled(() => endpoint.bytesOut)
      const others = await connect(target('http'))
      others.write('GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      t.match(String(await readAll(others)), /"ok"/)
      const answers = readAll(socket)
      socket.resume()
      t.same(String(await answers).match(/(?<=HTTP\/1\.1 )(?:200 OK|404 Not Found)/g), Array.from({ length: 2000 }, () => ['200 OK', '404 Not Found']).flat())
    })

    t.test('an RST in the middle of many requests leaves the others alone', async (t) => {
      for (let i = 0; i < 20; i++) {
        const socket = await connect(target('http'))
        socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1 + 500 * (i % 3)))
        if (i % 2 === 0) await once(socket, 'data')
        if (i % 4 === 3) await nextTurn()
        socket.resetAndDestroy()
      }
      await until(() => server.endpoint('http').open === 0, 'all are gone')
      t.same(server.log.filter(({ level }) => level >= 50), [])
    })

    t.test('what follows the last answer is not looked at', async (t) => {
      const socket = await connect(target('http'))
      const received = readAll(socket)
      socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' + 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200))
      t.equal(String(await received).match(/^HTTP\/1\.1 200 OK/gm)?.length, 1)
      const broken = await connect(target('http'))
      const answer = readAll(broken)
      broken.write('GET\r\n\r\n'.repeat(1000))
      t.equal(String(await answer).match(/^HTTP\/1\.1 400 /gm)?.length, 1)
    })

    t.test('the answers to one read go out with one system call', async (t) => {
      const socket = await connect(target('http'))
      socket.write(handshake('/ws/echo'))
      await once(socket, 'data')
      const { _write, _writev } = Socket.prototype as unknown as Record<'_write' | '_writev', (...args: unknown[]) => unknown>
      let calls = 0
      const counted = (write: typeof _write) => function (this: Socket, ...args: unknown[]) {
        if (this.localPort === target('http').port) calls++
        write.apply(this, args)
      }
      Object.assign(Socket.prototype, { _write: counted(_write), _writev: counted(_writev) })
      t.teardown(() => Object.assign(Socket.prototype, { _write, _writev }))
      socket.write(Buffer.concat(numbered(16).map((text) => frame(text))))
      await once(socket, 'data')
      t.equal(calls, 1)
      socket.destroy()
    })

    t.test('a short answer behind a large one is sent, though nothing comes after it', async (t) => {
      const socket = await connect(target('http'))
      const chunks: Buffer[] = []
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      socket.write(handshake('/ws/echo'))
      await until(() => chunks.length > 0, 'it is a WebSocket')
      const large = Buffer.concat([Buffer.from('82ff00000000000186a000000000', 'hex'), Buffer.alloc(100_000, 'y')])
      for (let i = 0; i < 5; i++) {
        chunks.length = 0
        socket.write(Buffer.concat([large, frame('short')]))
        await until(() => Buffer.concat(chunks).length === 100_010 + 7, 'both are answered')
      }
      t.same(Buffer.concat(chunks).subarray(-8), Buffer.from('y\x82\x05short', 'latin1'))
      socket.destroy()
    })

    t.test('what is sent between two slices is sent at once', async () => {
      const socket = await connect(target('http'))
      let text = ''
      socket.on('data', (chunk: Buffer) => { text += chunk.toString('latin1') })
      const times = () => text.match(/\d\d:\d\d:\d\d \d{4}/g)?.length ?? 0
      socket.write(handshake('/ws/time'))
      await until(() => times() > 0, 'it is told the time')
      const before = times()
      socket.write(frame('a message', 1))
      await until(() => times() > before + 1, 'it is told the time again')
      socket.destroy()
    })

    t.test('answers of all lengths keep their place among what ws itself sends', async (t) => {
      const lengths = [0, 1, 125, 126, 127, 2047, 2048, 2049, 4000, 65_535, 3]
      const messages = Array.from({ length: 40 }, () => lengths.map((length) => 'x'.repeat(length))).flat()
      const socket = await connect(target('http'))
      const received = readAll(socket)
      socket.write(handshake('/ws/echo'))
      socket.write(Buffer.concat([...messages.flatMap((text, i) => [frame(text, i % 3 === 0 ? 1 : 2), frame(String(i), 9)]), frame('tr\xc3\xa4ge', 1), BYE]))
      t.same(frames(await received), [...messages.flatMap((text, i) => [`${i % 3 === 0 ? 1 : 2}:${text}`, `10:${i}`]), '1:tr\xc3\xa4ge', '8:\x03\xe8'])
    })
  })
}

t.test('a Node.js that only seems to read into memory of ours is found out at the start', async (t) => {
  const server = await withUserBuffer(t, () => {})
  t.ok(isPlain(server))
  const socket = await connect(server.target('echo'), { allowHalfOpen: true })
  const received = readAll(socket)
  socket.end('as ever')
  t.equal(String(await received), 'as ever')
})

t.test('a stream comes back whole, in smaller pieces while anybody else is there', async (t) => {
  const { target } = await serverFor(t, SETTINGS)
  const sizes: number[] = []
  const { onRead } = TcpReader.prototype
  t.intercept(TcpReader.prototype, 'onRead', {
    value (this: TcpReader, bytes: number, buffer: Buffer) {
      sizes.push(bytes)
      return onRead.call(this, bytes, buffer)
    }
  })
  const data = randomBytes(32 * MIB)
  const echo = async (): Promise<number> => {
    sizes.length = 0
    const socket = await connect(target('echo'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.end(data)
    t.ok((await received).equals(data))
    return sizes.sort((a, b) => b - a)[Math.floor(sizes.length / 20)] as number
  }
  t.ok(await echo() > 98_304, 'alone')
  const other = await connect(target('echo'))
  other.on('data', (chunk) => other.write(chunk))
  other.write('x')
  t.equal(await echo(), 98_304)
  other.destroy()
})

t.test('what is read into the memory of all is copied, and what a stream is lent is not, in pieces of both sizes', async (t) => {
  for (const isAlone of [true, false]) {
    const memory = new ReadMemory()
    const presence = new Presence()
    const turn = new Turn(1000, { presence })
    if (!isAlone) {
      presence.served++
      turn.spend(0)
      await nextTurn()
    }
    t.equal(turn.isAlone, isAlone)
    const chunks: Buffer[] = []
    const taker = { isTaking: true, isBorrowing: true, take (chunk: Buffer) { chunks.push(chunk) }, count: () => true }
    const reader = new TcpReader(new Socket(), taker, { readInto: () => true, memory, turn, presence })
    const buffers = [0, 1].map(() => {
      const buffer = reader.nextBuffer()
      reader.onRead(40_000, buffer)
      return buffer
    })
    t.ok(buffers.every(({ length }) => length === (isAlone ? BUFFER_BYTES : 98_304)))
    t.equal(buffers[0]?.buffer, memory.shared.buffer)
    t.not(chunks[0]?.buffer, buffers[0]?.buffer)
    t.not(buffers[1]?.buffer, memory.shared.buffer)
    t.equal(chunks[1]?.buffer, buffers[1]?.buffer)
    const { served } = presence
    // A stream ends in a few bytes, too; who goes on with a few is none.
    for (const [bytes, count] of [[100, 0], [100, 1], [40_000, 2], [100, 2], [40_000, 3]] as const) {
      reader.onRead(bytes, reader.nextBuffer())
      t.equal(presence.served - served, count)
    }
  }
})

t.test("Nagle's algorithm is off from the second answer on, which it would hold back", async (t) => {
  const { target } = await serverFor(t, SETTINGS)
  const socket = await connect(target('echo'))
  let calls = 0
  for (const prototype of [Socket.prototype, HandleSocket.prototype] as { setNoDelay: (isOn?: boolean) => unknown }[]) {
    const { setNoDelay } = prototype
    prototype.setNoDelay = function (...args) {
      calls++
      return setNoDelay.apply(this, args)
    }
    t.teardown(() => { prototype.setNoDelay = setNoDelay })
  }
  for (const expected of [0, 1, 1]) {
    socket.write('x')
    await once(socket, 'data')
    t.equal(calls, expected)
  }
  socket.destroy()
})

t.test('many requests at once do not hold up the other protocols', async (t) => {
  const { target } = await serverFor(t, SETTINGS)
  const echo = await connect(target('echo'))
  const flood = await connect(target('http'), { allowHalfOpen: true })
  const received = readAll(flood)
  flood.end('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1600))
  await once(flood, 'data')
  const ended = received.then(() => true)
  let echoes = 0
  for (let isEnded = false; !isEnded; echoes++) {
    echo.write('x')
    isEnded = await Promise.race([ended, once(echo, 'data').then(() => false)])
  }
  t.equal(String(await received).match(/200 OK/g)?.length, 1600)
  t.ok(echoes > 10, `${echoes} echoes meanwhile`)
  echo.destroy()
})

t.test('others are served between the requests of one packet, however long each takes', async (t) => {
  const { app, target } = await serverFor(t, SETTINGS)
  const echo = await connect(target('echo'))
  const many = await connect(target('http'))
  const received = readAll(many)
  let served = 0
  app.server.on('request', () => {
    served++
    for (const end = performance.now() + 5; performance.now() < end;);
  })
  const request = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'
  many.write(request.repeat(19) + request.replace('Host', 'Connection: close\r\nHost'))
  echo.write('x')
  await once(echo, 'data')
  t.ok(served < 10, `${served} requests were served before the echo was back`)
  t.equal(String(await received).match(/200 OK/g)?.length, 20)
  echo.destroy()
})

t.test('a Node.js whose HTTP server does not parse what it is handed is found out at the start', async (t) => {
  const { emit } = Socket.prototype
  Socket.prototype.emit = function (...event: unknown[]) {
    return 'parser' in this && event[0] === 'data' ? false : Reflect.apply(emit, this, event) as boolean
  }
  const server = await serverFor(t, SETTINGS).finally(() => { Socket.prototype.emit = emit })
  t.notOk(isPlain(server))
  t.ok(server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to hand its HTTP parser')))
  const socket = await connect(server.target('http'))
  socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  t.match(String(await readAll(socket)), /^HTTP\/1\.1 200 OK\r\n[^]*"ok"/)
})

t.test('buffers are lent so long as there are any, and again once they are back', async (t) => {
  const memory = new ReadMemory()
  const lent = Array.from({ length: MAX_LENT }, () => memory.lend())
  t.equal(new Set(lent).size, MAX_LENT)
  t.equal(memory.lend(), undefined)
  memory.giveBack(lent[0] as Buffer)
  t.equal(memory.lend(), lent[0])
  for (const own of [undefined, lent[1]]) {
    const whole = memory.part(own, false)
    const small = memory.part(own, true)
    t.equal(whole.length, BUFFER_BYTES)
    t.equal(small.length, 98_304)
    t.equal(small.buffer, (own ?? memory.shared).buffer)
    t.equal(small.byteOffset, 0)
  }
})
