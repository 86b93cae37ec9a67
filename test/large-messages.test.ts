/** Large WebSocket messages are put together in memory that is used again: nobody may see another's bytes, nor wait longer for a refusal, and none is lost. */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { Socket } from 'node:net'
import t from 'tap'
import type { WebSocket } from 'ws'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { AnswerBatch } from '../src/plugins/answer-batch.ts'
import { FrameMemory, MAX_UNFINISHED_BYTES } from '../src/plugins/frame-memory.ts'
import { WebSocketReader } from '../src/plugins/websocket-reader.ts'
import { WebSocketWriter } from '../src/plugins/websocket-writer.ts'
import { wsEcho } from '../src/routes/ws-echo.ts'
import type { WebSocketClient } from '../src/service.ts'
import { Turn } from '../src/turn.ts'
import { frameBytes as frame } from './corpus-websocket.ts'
import { connect, handshake, readAll, serverFor, settled, TIMEOUT_MS, until, type TestServer } from './support.ts'

const MIB = 1_048_576
const SETTINGS = { PROFILE: 'bench', WS_RATE: '1000000', WS_BURST: '1000000' }
const [TEXT, BINARY] = [1, 2]

/** The head of a frame of so many bytes, and the first of them. */
const begun = (bytes: number, first: number): Buffer => frame(BINARY, 'x'.repeat(first), { claimed: BigInt(bytes) })

/** So many of 1 MiB, with the heads of their frames. */
const MOST = Math.floor(MAX_UNFINISHED_BYTES / MIB) - 1

t.test('memory', async (t) => {
  t.test('is used again for a frame of its size, and never by two', async (t) => {
    const memory = new FrameMemory()
    const first = memory.begin(60_000) as Buffer
    const second = memory.begin(60_000) as Buffer
    t.equal(first.length, 60_000)
    t.not(first.buffer, second.buffer)
    memory.finish(first)
    t.not(memory.begin(60_000)?.buffer, first.buffer, 'whole is not free')
    memory.giveBack(first)
    t.not(memory.begin(70_000)?.buffer, first.buffer, 'too small')
    const third = memory.begin(50_000)
    t.equal(third?.buffer, first.buffer)
    t.equal(third?.length, 50_000)
    t.not(memory.begin(50_000)?.buffer, first.buffer)
  })

  t.test('for what has not come whole ends, and begins again', async (t) => {
    const memory = new FrameMemory()
    const frames: Buffer[] = []
    for (let next = memory.begin(MIB); next; next = memory.begin(MIB)) frames.push(next)
    t.equal(frames.length, MOST)
    memory.finish(frames[0] as Buffer)
    t.ok(memory.begin(MIB))
    t.notOk(memory.begin(MIB))
  })

  t.test('is kept for the next ones up to a limit, and let go', async (t) => {
    const memory = new FrameMemory()
    const frames = Array.from({ length: 2 * MOST }, () => {
      const one = memory.begin(MIB) as Buffer
      memory.finish(one)
      return one
    })
    for (const one of frames) memory.giveBack(one)
    const kept = new Set(frames.map(({ buffer }) => buffer))
    const again = Array.from({ length: MOST }, () => memory.begin(MIB)?.buffer as ArrayBuffer)
    t.ok(again.every((buffer) => kept.has(buffer)))
    for (const buffer of again) memory.finish(Buffer.from(buffer))
    t.notOk(kept.has(memory.begin(MIB)?.buffer as ArrayBuffer), 'no more than that')
    for (let i = 0; i < 20; i++) {
      memory.giveBack(frames[0] as Buffer)
      const one = memory.begin(MIB) as Buffer
      t.equal(one.buffer, frames[0]?.buffer, 'as often as one likes')
      memory.finish(one)
    }
    memory.giveBack(frames[0] as Buffer)
    memory.clear()
    t.notOk(kept.has(memory.begin(MIB)?.buffer as ArrayBuffer))
  })

  t.test('that nobody has needed for a while is let go', async (t) => {
    const memory = new FrameMemory()
    const begin = (count: number) => Array.from({ length: count }, () => memory.begin(MIB) as Buffer)
    const giveBack = (frames: Buffer[]) => {
      for (const one of frames) memory.finish(one)
      for (const one of frames) memory.giveBack(one)
    }
    const first = begin(6)
    giveBack(first)
    const known = new Set(first.map(({ buffer }) => buffer))
    const kept = () => {
      const again = begin(6)
      giveBack(again)
      return again.filter(({ buffer }) => known.has(buffer)).length
    }
    memory.trim()
    t.equal(kept(), 6, 'it was in use since')
    memory.trim()
    giveBack(begin(2))
    giveBack(begin(1))
    memory.trim()
    t.equal(kept(), 2, 'as much as was in use at once')
    memory.trim()
    memory.trim()
    memory.trim()
    t.equal(kept(), 0)
    const all = begin(MOST)
    giveBack(all)
    const largest = new Set(all.map(({ buffer }) => buffer))
    t.ok(begin(MOST).every(({ buffer }) => largest.has(buffer)), 'what was let go counts no more')
  })
})

t.test('each beat lets go of memory that nobody has needed since the last one', async (t) => {
  const { trim } = FrameMemory.prototype
  let trims = 0
  FrameMemory.prototype.trim = function () {
    trims++
    trim.call(this)
  }
  t.teardown(() => { FrameMemory.prototype.trim = trim })
  await serverFor(t, { WS_PING_MS: '1000' })
  await until(() => trims >= 2, 'two beats')
})

t.test('memory of one size gives way to that of another', async (t) => {
  const memory = new FrameMemory()
  const begun = (bytes: number, count: number) => Array.from({ length: count }, () => {
    const one = memory.begin(bytes) as Buffer
    memory.finish(one)
    return one
  })
  for (const one of begun(MIB, MOST + 1)) memory.giveBack(one)
  const small = begun(60_000, 60)
  for (const one of small) memory.giveBack(one)
  const kept = new Set(small.map(({ buffer }) => buffer))
  t.equal(begun(60_000, 60).filter(({ buffer }) => kept.has(buffer)).length, 60)
})

/** How often memory was asked for, had and given back. */
function watchMemory (): { begun: number, refused: number, givenBack: number, last?: ArrayBufferLike, end (): void } {
  const { begin, giveBack } = FrameMemory.prototype
  const seen: ReturnType<typeof watchMemory> = { begun: 0, refused: 0, givenBack: 0, end: () => { Object.assign(FrameMemory.prototype, { begin, giveBack }) } }
  FrameMemory.prototype.begin = function (bytes) {
    const memory = begin.call(this, bytes)
    if (memory) seen.begun++
    else seen.refused++
    return memory
  }
  FrameMemory.prototype.giveBack = function (one) {
    seen.givenBack++
    seen.last = one.buffer
    giveBack.call(this, one)
  }
  return seen
}

const options = { timeoutMs: TIMEOUT_MS }
const open = (server: TestServer, onMessage?: (message: Buffer) => void) =>
  connectWebSocket({ ...server.target('http'), path: '/ws/echo' }, { ...options, ...(onMessage && { onMessage: ({ data }) => onMessage(data) }) })

t.test('an echo', async (t) => {
  const seen = watchMemory()
  t.teardown(seen.end)
  const server = await serverFor(t, SETTINGS)

  t.test('of large messages uses the same memory again', async (t) => {
    const got: Buffer[] = []
    const socket = await open(server, (message) => got.push(message))
    for (let i = 0; i < 20; i++) {
      const sent = randomBytes(65_536)
      socket.send(sent)
      await until(() => got.length === i + 1, 'the answer')
      t.ok(got[i]?.equals(sent))
    }
    t.equal(seen.begun, 20)
    t.equal(seen.givenBack, 20)
    socket.terminate()
  })

  t.test('of several clients at once, of any sizes, one of whom reads late: each gets its own bytes', async (t) => {
    const slow = await connect(server.target('http'))
    slow.write(handshake('/ws/echo'))
    await once(slow, 'data')
    slow.pause()
    const late = Array.from({ length: 60 }, () => randomBytes(200_000))
    for (const message of late) slow.write(frame(BINARY, message))
    await settled(() => server.endpoint('ws-echo').bytesIn)
    t.ok(slow.writableLength > 0, 'it is not read')
    const givenBack = seen.givenBack

    await Promise.all(Array.from({ length: 6 }, async () => {
      const sent = Array.from({ length: 120 }, () => randomBytes(randomInt(4) === 0 ? randomInt(400_000) : randomInt(9000)))
      const got: Buffer[] = []
      const socket = await open(server, (message) => got.push(message))
      for (const message of sent) socket.send(message)
      await until(() => got.length === sent.length, 'all answers')
      t.ok(got.every((message, i) => message.equals(sent[i] as Buffer)))
      socket.terminate()
    }))
    t.ok(seen.givenBack > givenBack, 'others use their memory again')

    const answers = readAll(slow)
    slow.resume()
    slow.write(frame(8, Buffer.from('\x03\xe8')))
    const bytes = await answers
    // Each answer: ten bytes of head, and the payload.
    t.ok(late.every((message, i) => bytes.subarray(i * 200_010 + 10, (i + 1) * 200_010).equals(message)))
  })

  t.test('of text, which is text, and of what is none, which ends the connection', async (t) => {
    const text = 'é€😀'.repeat(20_000)
    const socket = await connectWebSocket({ ...server.target('http'), path: '/ws/echo' }, options)
    socket.send(text)
    const [data, isBinary] = await once(socket, 'message') as [Buffer, boolean]
    t.equal(String(data), text)
    t.equal(isBinary, false)
    socket.send(Buffer.alloc(50_000, 0xff), { binary: false })
    t.equal((await once(socket, 'close'))[0], 1007)
  })
})

t.test('where memory is short, none is kept', async (t) => {
  const seen = watchMemory()
  t.teardown(seen.end)
  const server = await serverFor(t, SETTINGS)
  const socket = await open(server)
  const memories: unknown[] = []
  for (let i = 0; i < 3; i++) {
    if (i === 2) server.app.pressure.onMemoryShort()
    const answered = once(socket, 'message')
    socket.send(randomBytes(100_000))
    await answered
    memories.push(seen.last)
  }
  t.equal(memories[1], memories[0])
  t.not(memories[2], memories[1])
  socket.terminate()
})

t.test('clients whose messages never end hold up nobody, and what they held is there again once they are gone', async (t) => {
  const seen = watchMemory()
  t.teardown(seen.end)
  const server = await serverFor(t, SETTINGS)
  const echo = async () => {
    const sent = randomBytes(MIB)
    const got: Buffer[] = []
    const socket = await open(server, (message) => got.push(message))
    socket.send(sent)
    await until(() => got.length === 1, 'the answer')
    socket.terminate()
    return got[0]?.equals(sent)
  }
  for (let round = 1; round <= 2; round++) {
    seen.begun = seen.refused = seen.givenBack = 0
    const stuck = await Promise.all(Array.from({ length: MOST + 3 }, async () => {
      const socket = await connect(server.target('http'))
      socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), begun(MIB, 5000)]))
      return socket
    }))
    await until(() => seen.begun + seen.refused === stuck.length, 'all have begun')
    t.equal(seen.begun, MOST, `round ${round}`)
    t.ok(await echo(), 'another is served')
    t.equal(seen.begun, MOST, 'without that memory')
    for (const socket of stuck) socket.destroy()
    await until(() => server.endpoint('ws-echo').open === 0, 'they are gone')
    t.equal(seen.givenBack, MOST, 'and what they had can be used again')
  }
})

t.test('a service keeps what it was given, whatever comes afterwards', async (t) => {
  const kept: Buffer[] = []
  t.intercept(wsEcho, 'onConnection', {
    value: (client: WebSocketClient) => (message: Buffer) => {
      kept.push(message)
      client.send(message)
    }
  })
  const server = await serverFor(t, SETTINGS)
  const sent = Array.from({ length: 30 }, (_, i) => randomBytes([20, 1000, 65_536][i % 3] as number))
  const socket = await open(server)
  for (const message of sent) {
    const answered = once(socket, 'message')
    socket.send(message)
    await answered
  }
  t.ok(sent.every((message, i) => message.equals(kept[i] as Buffer)))
  socket.terminate()
})

t.test('a message that is too large is refused at its head, and one that is not is answered', async (t) => {
  const server = await serverFor(t, { WS_MAX_MESSAGE_BYTES: '20000' })
  const socket = await connect(server.target('http'))
  const received = readAll(socket)
  socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), frame(BINARY, randomBytes(20_000)), begun(20_001, 100)]))
  const bytes = await received
  const at = bytes.indexOf('\r\n\r\n') + 4
  t.equal(bytes.readUInt16BE(at + 2), 20_000)
  t.equal(bytes.readUInt16BE(at + 4 + 20_000 + 2), 1009)
})

t.test('a client that is not to be read is not read, though ws reads on after its close frame; and then it is read, though ws does not', async (t) => {
  const raw = new Socket()
  let isPaused = false
  const socket = {
    get isPaused () { return isPaused },
    pause () { isPaused = true; raw.pause() },
    // As ws, whose receiver has failed.
    resume () { isPaused = false }
  } as unknown as WebSocket
  const memory = Buffer.alloc(65_536)
  const turn = new Turn(1)
  const reader = new WebSocketReader(socket, raw, new WebSocketWriter(socket, raw, new AnswerBatch(turn), memory), { turn, memory, frames: new FrameMemory(), maxMessageBytes: MIB })
  reader.stop()
  t.ok(raw.isPaused())
  raw.resume()
  reader.onRead(1000, memory)
  t.ok(raw.isPaused())
  t.equal(reader.heldBytes, 1000)
  reader.go()
  t.notOk(raw.isPaused())
})

t.test('what follows a message that ws refuses is read to its end, so that the connection ends', async (t) => {
  const server = await serverFor(t, { ...SETTINGS, WS_CLOSE_MS: '60000' })
  const socket = await connect(server.target('http'))
  const received = readAll(socket)
  socket.write(handshake('/ws/echo'))
  await once(socket, 'data')
  socket.end(Buffer.concat([
    frame(TEXT, Buffer.alloc(70_000, 0xff)),
    ...Array.from({ length: 3000 }, () => frame(BINARY, randomBytes(20))),
    frame(8, Buffer.from('\x03\xe8'))
  ]))
  const bytes = await received
  t.equal(bytes.readUInt16BE(bytes.length - bytes.readUInt8(bytes.lastIndexOf(0x88) + 1)), 1007)
  await until(() => server.endpoint('ws-echo').open === 0, 'it is gone')
  t.same([...server.endpoint('ws-echo').crossings], [])
})
