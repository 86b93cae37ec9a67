/** Messages that are one whole frame go past ws: that must not be seen, and whatever is anything else must reach it untouched. */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Socket, type AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { WebSocketServer, type WebSocket } from 'ws'
import type { Target } from '../src/address.ts'
import { AnswerBatch } from '../src/plugins/answer-batch.ts'
import { ClientFrames } from '../src/plugins/client-frames.ts'
import { FrameMemory, MAX_UNFINISHED_BYTES } from '../src/plugins/frame-memory.ts'
import { isText, nativeUnmask, unmaskBy } from '../src/plugins/unmask.ts'
import { WebSocketReader } from '../src/plugins/websocket-reader.ts'
import { WebSocketWriter } from '../src/plugins/websocket-writer.ts'
import { Turn } from '../src/turn.ts'
import { frameBytes as frame } from './corpus-websocket.ts'
import { connect, handshake, readAll, serverFor, settled } from './support.ts'

const MIB = 1_048_576
const MAX_MESSAGE_BYTES = 100_000
const SETTINGS = { PROFILE: 'bench', WS_RATE: '1000000', WS_BURST: '1000000', WS_MAX_MESSAGE_BYTES: String(MAX_MESSAGE_BYTES) }
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10]

const BYE = frame(CLOSE, Buffer.of(0x03, 0xe8))

/** How a stream is sorted that comes in pieces: what is held of it, and what kind each part is. */
function sorted (bytes: Buffer, cuts: readonly number[], maxMessageBytes = MIB): { held: Buffer, kinds: string } {
  const frames = new ClientFrames(new FrameMemory(), maxMessageBytes)
  const held: Buffer[] = []
  let kinds = ''
  const holder = {
    hold: (piece: Buffer) => { held.push(piece) },
    addRun: (run: number) => { kinds += (run > 0 ? 'm' : 'w').repeat(Math.abs(run)) }
  }
  let before = 0
  for (const cut of [...cuts, bytes.length]) {
    frames.sort(bytes.subarray(before, cut), holder)
    before = cut
  }
  return { held: Buffer.concat(held), kinds }
}
const kindsOf = (parts: readonly (readonly [string, Buffer])[]): string => parts.map(([kind, { length }]) => kind.repeat(length)).join('')

t.test('sorting', async (t) => {
  t.test('whole messages of every length of length, and all else, wherever they are cut', async (t) => {
    const whole = [0, 1, 125, 126, 4000, 4096, 65_535, 65_536, 200_000].map((size) => ['m', frame(size % 2 === 0 ? TEXT : BINARY, randomBytes(size))] as const)
    const parts = [
      ...whole,
      ['w', frame(PING, randomBytes(20))],
      ['m', frame(BINARY, randomBytes(70_000))],
      ['w', frame(TEXT, randomBytes(10_000), { isLast: false })],
      ['w', frame(PONG, randomBytes(3))],
      ['w', frame(CONTINUATION, randomBytes(10), { isLast: false })],
      ['w', frame(CONTINUATION, randomBytes(10_000))],
      ['m', frame(TEXT, randomBytes(10))],
      ['w', frame(BINARY, randomBytes(MIB + 1))],
      ['m', frame(TEXT, randomBytes(10))],
      ['w', frame(CLOSE, randomBytes(2))],
      // Nothing counts after that.
      ['w', frame(BINARY, randomBytes(10))]
    ] as const
    const bytes = Buffer.concat(parts.map(([, part]) => part))
    const borders = parts.map((_, i) => Buffer.concat(parts.slice(0, i).map(([, part]) => part)).length)
    for (let i = 0; i < 100; i++) {
      const cuts = Array.from({ length: randomInt(12) }, () => randomInt(2) === 0 ? randomInt(bytes.length) : (borders[randomInt(borders.length)] as number) + randomInt(16)).sort((a, b) => a - b)
      const { held, kinds } = sorted(bytes, cuts)
      t.ok(held.equals(bytes), `cut at ${cuts.join()}`)
      t.equal(kinds === kindsOf(parts), true)
    }
    const some = bytes.subarray(0, 9000)
    const { held, kinds } = sorted(some, Array.from({ length: some.length }, (_, i) => i))
    const size = borders[6] as number
    t.ok(held.equals(some.subarray(0, size)), 'byte by byte: of the last one there is only a part')
    t.equal(kinds, 'm'.repeat(size))
  })

  t.test('what ws ends a connection for is left to it, with all that follows a frame whose end nobody knows', async (t) => {
    const sound = ['m', frame(BINARY, randomBytes(50))] as const
    const after = ['w', sound[1]] as const
    for (const [name, ...parts] of [
      ['a reserved bit', sound, ['w', frame(BINARY, randomBytes(5), { rsv: 0x40 })], after],
      ['no mask', sound, ['w', frame(BINARY, randomBytes(5), { isMasked: false })], after],
      ['a length that nothing has', sound, ['w', frame(BINARY, randomBytes(5), { claimed: 2n ** 62n })], after],
      ['a message inside of another', ['w', frame(TEXT, randomBytes(5), { isLast: false })], ['w', frame(TEXT, randomBytes(5))]],
      ['an opcode that there is not', ['w', frame(3, randomBytes(5))]]
    ] as const) {
      const bytes = Buffer.concat(parts.map(([, part]) => part))
      t.equal(sorted(bytes, []).kinds, kindsOf(parts), name)
    }
    t.equal(sorted(frame(BINARY, randomBytes(9000)), [], 8999).kinds[0], 'w', 'a message that is too large')
    t.equal(sorted(frame(BINARY, randomBytes(9000)), [1, 2, 3, 5], 9000).kinds[0], 'm')
  })

  t.test('without memory for it, a message that has not come whole is left to ws', async (t) => {
    const memory = new FrameMemory()
    for (let next = memory.begin(1_000_000); next; next = memory.begin(1_000_000));
    for (let next = memory.begin(6000); next; next = memory.begin(6000));
    for (let next = memory.begin(4000); next; next = memory.begin(4000));
    const frames = new ClientFrames(memory, MIB)
    const runs: number[] = []
    const message = frame(BINARY, randomBytes(4000))
    frames.sort(Buffer.concat([message, message.subarray(0, 100)]), { hold () {}, addRun: (run) => { runs.push(run) } })
    frames.sort(Buffer.concat([message.subarray(100), message]), { hold () {}, addRun: (run) => { runs.push(run) } })
    t.same(runs, [message.length, -100, 100 - message.length, message.length])
  })
})

t.test('unmasking', async (t) => {
  for (const [name, native] of [['bufferutil', nativeUnmask()], ['JavaScript', undefined]] as const) {
    const unmask = unmaskBy(native)
    t.test(`by ${name} is its own inverse, of all lengths, and sees what is not ASCII or does not look`, { skip: name === 'bufferutil' && !native && 'it is not installed' }, async (t) => {
      for (const size of [0, 1, 2, 3, 4, 5, 16, 47, 48, 49, 1000, 70_000]) {
        for (const payload of [randomBytes(size), Buffer.alloc(size, 'a'), Buffer.alloc(size, 'é')]) {
          const bytes = frame(BINARY, payload)
          const masked = Buffer.from(bytes)
          const from = bytes.length - size
          const isBeyondAscii = unmask(bytes, from, bytes.length)
          t.ok(bytes.subarray(from).equals(payload))
          if (native === undefined || size < 48) t.equal(isBeyondAscii, payload.some((byte) => byte > 127))
          unmask(bytes, from, bytes.length)
          t.ok(bytes.equals(masked))
        }
      }
    })
  }

  t.test('text is UTF-8', async (t) => {
    t.ok(isText(Buffer.from('é'), true))
    t.ok(isText(Buffer.from('é'), undefined))
    t.notOk(isText(Buffer.from('e9', 'hex'), true))
    t.notOk(isText(Buffer.from('e9', 'hex'), undefined))
  })
})

/** All that a server answers to a stream of frames, until it has ended the connection. */
async function answersTo (target: Target, pieces: readonly Buffer[]): Promise<string> {
  const socket = await connect(target, { allowHalfOpen: true })
  socket.on('error', () => {})
  const received = readAll(socket)
  socket.write(handshake('/ws/echo'))
  await once(socket, 'data')
  for (const piece of pieces) {
    socket.write(piece)
    if (pieces.length < 40) await nextTurn()
  }
  socket.end()
  const bytes = await received
  return bytes.toString('latin1', bytes.indexOf('\r\n\r\n') + 4)
}

/** ws alone, with the same limits. */
async function wsAlone (): Promise<{ target: Target, close: () => void }> {
  const http = createServer()
  const server = new WebSocketServer({ server: http, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES })
  server.on('connection', (socket) => {
    socket.on('error', () => {}).on('message', (data, isBinary) => socket.send(data as Buffer, { binary: isBinary }))
  })
  await new Promise<void>((resolve) => { http.listen(0, '127.0.0.1', resolve) })
  const { port } = http.address() as AddressInfo
  return {
    target: { host: '127.0.0.1', port },
    close () {
      for (const client of server.clients) client.terminate()
      http.close()
    }
  }
}

t.test('any stream of frames is answered as ws alone answers it', async (t) => {
  const { target } = await serverFor(t, SETTINGS)
  const alone = await wsAlone()
  t.teardown(alone.close)

  const text = fc.oneof(fc.string({ maxLength: 70, unit: 'binary' }), fc.string({ maxLength: 20 })).map((text) => Buffer.from(text))
  const size = fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, fc.nat(3000), fc.constantFrom(125, 126, 2048, 2049, 4096, 65_535, 65_536, MAX_MESSAGE_BYTES))
  const bytes = size.map((size) => Buffer.alloc(size, 'x'))
  const anyBytes = fc.uint8Array({ maxLength: 60 })
  const split = fc.tuple(fc.constantFrom(TEXT, BINARY), text, fc.nat(70), fc.array(text, { maxLength: 2 })).map(([opcode, text, at, pings]) => Buffer.concat([
    frame(opcode, text.subarray(0, at), { isLast: false }),
    ...pings.map((ping) => frame(PING, ping.subarray(0, 125))),
    frame(CONTINUATION, text.subarray(at))
  ]))
  const sound = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom(TEXT, BINARY), bytes).map(([opcode, bytes]) => frame(opcode, bytes)) },
    { weight: 3, arbitrary: text.map((text) => frame(TEXT, text)) },
    { weight: 2, arbitrary: anyBytes.map((bytes) => frame(BINARY, bytes)) },
    split,
    text.map((text) => frame(PING, text.subarray(0, 125))),
    text.map((text) => frame(PONG, text.subarray(0, 125)))
  )
  const broken = fc.oneof(
    anyBytes.map((bytes) => frame(TEXT, Buffer.concat([bytes, Buffer.of(0xff)]))),
    fc.constant(frame(TEXT, Buffer.alloc(5000, 0xe9))),
    fc.tuple(fc.nat(15), anyBytes, fc.record({ isLast: fc.boolean(), rsv: fc.constantFrom(0, 0, 0x10, 0x20, 0x40), isMasked: fc.boolean() }))
      .map(([opcode, bytes, options]) => frame(opcode, bytes, options)),
    fc.constantFrom(
      frame(BINARY, Buffer.alloc(MAX_MESSAGE_BYTES + 1)),
      frame(BINARY, Buffer.alloc(9), { claimed: 2n ** 62n }),
      frame(BINARY, Buffer.alloc(9), { claimed: 126n }),
      frame(CONTINUATION, Buffer.alloc(3)),
      frame(PING, Buffer.alloc(126)),
      frame(CLOSE, Buffer.of(3)),
      BYE
    )
  )
  const anything = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes))
  const stream = fc.record({
    before: fc.array(sound, { maxLength: 30 }),
    broken: fc.option(fc.oneof({ weight: 4, arbitrary: broken }, anything), { nil: undefined }),
    after: fc.array(sound, { maxLength: 6 }),
    /** The client goes in the middle of something. */
    missing: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(30)),
    cuts: fc.array(fc.tuple(fc.nat(36), fc.nat(16)), { maxLength: 8 })
  })
  await fc.assert(fc.asyncProperty(stream, async ({ before, broken, after, missing, cuts }) => {
    const frames = [...before, ...(broken ? [broken] : []), ...after, BYE]
    const whole = Buffer.concat(frames)
    const all = whole.subarray(0, whole.length - Math.min(missing, whole.length))
    // Near the borders of frames, where there is something to go wrong.
    const places = cuts.map(([which, behind]) => Math.min(all.length, Buffer.concat(frames.slice(0, which)).length + behind)).sort((a, b) => a - b)
    const pieces = [...places, all.length].map((place, i) => all.subarray(places[i - 1] ?? 0, place))
    const [here, there] = await Promise.all([answersTo(target('http'), pieces), answersTo(alone.target, pieces)])
    return here === there
  }), { numRuns: 300 })
})

t.test('a frame that may not come is refused with its first two bytes', async (t) => {
  const { target } = await serverFor(t, SETTINGS)
  const begun = frame(TEXT, Buffer.from('x'), { isLast: false }).toString('hex')
  for (const head of ['83ff', '8bfe', '89fe', '08fe', '0981', '00ff', '80fe', '91fe', '817e', `${begun}81ff`, `${begun}01fe`]) {
    const socket = await connect(target('http'))
    socket.write(handshake('/ws/echo'))
    await once(socket, 'data')
    const received = readAll(socket)
    socket.write(Buffer.from(head, 'hex'))
    t.equal((await received).toString('hex'), '880203ea', head)
  }
})

t.test('what is on its way to a client who does not read is not overwritten by what others send', async (t) => {
  const { target, endpoint } = await serverFor(t, SETTINGS)
  for (const size of [100, 2000, 3000, 8000, 70_000]) {
    const slow = await connect(target('http'))
    slow.write(handshake('/ws/echo'))
    await once(slow, 'data')
    slow.pause()
    const texts: string[] = []
    while (slow.writableLength === 0) {
      for (let i = 0; i < 10; i++) {
        texts.push(String(texts.length).padStart(size, 'a'))
        slow.write(frame(BINARY, Buffer.from(texts.at(-1) as string)))
      }
      await nextTurn()
    }
    await settled(() => endpoint('ws-echo').bytesIn)
    const other = await connect(target('http'))
    other.write(handshake('/ws/echo'))
    await once(other, 'data')
    for (let i = 0; i < 20; i++) {
      other.write(frame(BINARY, Buffer.alloc(3000 + i * 3000, 'b')))
      await once(other, 'data')
    }
    other.destroy()
    const received = readAll(slow)
    slow.resume().end(BYE)
    const answers = (await received).toString('latin1')
    const headSize = answers.indexOf('a')
    t.ok(texts.length > 10)
    t.equal(answers.length, texts.length * (headSize + size) + 4, `all of ${size} bytes each, and a close frame`)
    t.ok(answers.endsWith('\x88\x02\x03\xe8'))
    t.ok(texts.every((text, i) => answers.endsWith(text, (i + 1) * (headSize + size))), `in their order, of ${size} bytes each`)
  }
})

interface ReaderSetup {
  readonly turn?: Turn
  readonly receiver?: object | null
  readonly onMessage?: (reader: WebSocketReader, raw: Socket) => void
}

/** A reader whose client is nobody, and what it hands on. */
function readerOf ({ turn = new Turn(1000), receiver = {}, onMessage = () => {} }: ReaderSetup = {}) {
  const raw = new Socket()
  const memory = Buffer.alloc(65_536)
  const frames = new FrameMemory()
  const socket = { isPaused: false, pause () {}, resume () {}, _receiver: receiver && { errored: null, ...receiver } } as unknown as WebSocket
  const reader = new WebSocketReader(socket, raw, new WebSocketWriter(socket, raw, new AnswerBatch(turn), memory), { turn, memory, frames, maxMessageBytes: MIB })
  const messages: Buffer[] = []
  const given: Buffer[] = []
  reader.start(() => true, Buffer.alloc(0), {
    isBorrowing: true,
    take (message) {
      messages.push(Buffer.from(message))
      onMessage(reader, raw)
    }
  })
  raw.on('data', (chunk: Buffer) => given.push(Buffer.from(chunk)))
  const read = (bytes: Buffer): boolean => {
    bytes.copy(memory)
    return reader.onRead(bytes.length, memory)
  }
  return { raw, reader, frames, messages, given, read }
}

t.test('where nobody can tell whether ws has refused something, or it has, all goes to ws, as it came', async (t) => {
  const bytes = Buffer.concat([frame(BINARY, Buffer.from('one')), frame(PING, Buffer.from('two')), frame(TEXT, Buffer.from('three'))])
  for (const receiver of [null, { errored: new Error('refused') }]) {
    const { messages, given, read } = readerOf({ receiver })
    read(bytes)
    t.same(messages, [])
    t.ok(Buffer.concat(given).equals(bytes))
  }
  const { messages, given, read } = readerOf()
  read(bytes)
  t.same(messages.map(String), ['one', 'three'])
  t.equal(given.length, 1)
})

t.test('a large message is read on in its turn, unless there is little memory left for others', async (t) => {
  const turn = new Turn(0)
  const { raw, frames, messages, read } = readerOf({ turn })
  const bytes = frame(BINARY, randomBytes(200_000))
  let resumed = 0
  raw.resume = () => {
    resumed++
    return raw
  }
  t.equal(read(bytes.subarray(0, 60_000)), false)
  await nextTurn()
  await nextTurn()
  t.equal(resumed, 1)
  for (let next = frames.begin(MIB); next && !frames.isScarce; next = frames.begin(MIB));
  t.ok(frames.isScarce)
  t.equal(read(bytes.subarray(60_000, 120_000)), true)
  read(bytes.subarray(120_000, 180_000))
  t.equal(read(bytes.subarray(180_000)), true, 'it is whole')
  for (let i = 0; i < 5; i++) await nextTurn()
  t.equal(messages.length, 1)
  t.ok(MAX_UNFINISHED_BYTES > 4 * MIB)
})

t.test('of one read, nothing is told any more to who has stopped, until it goes on, or is gone', async (t) => {
  const bytes = Buffer.concat(['one', 'two', 'three'].map((text) => frame(TEXT, Buffer.from(text))))
  const stopped = readerOf({ onMessage: (reader) => { if (stopped.messages.length === 1) reader.stop() } })
  stopped.read(bytes)
  t.same(stopped.messages.map(String), ['one'])
  stopped.reader.go()
  await nextTurn()
  await nextTurn()
  t.same(stopped.messages.map(String), ['one', 'two', 'three'])
  const gone = readerOf({ onMessage: (_reader, raw) => raw.destroy() })
  gone.read(bytes)
  t.same(gone.messages.map(String), ['one'])
})
